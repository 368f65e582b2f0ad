// A network in stages: every operator in one of them, and the same outputs when they run one after the other.
#include "tailor/pipeline/stages.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/onnx/onnx.h"
#include "tests/rewrite/graphs.h"

#include <nlohmann/json.hpp>

#include <numeric>
#include <set>

namespace tailor::pipeline {
namespace {

using graph::kUnknown;

std::vector<double> random_times(const Subject& subject, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> us(subject.model.graph.nodes.size());
  for (double& time : us) time = 1 + 9 * random.uniform();
  return us;
}

// What the last stage gives when the stages run one after the other.
runtime::NamedTensors run_in_turn(const Subject& subject, const std::vector<graph::Model>& stages,
                                  const runtime::NamedTensors& inputs) {
  std::map<std::string, graph::Tensor> known(inputs.begin(), inputs.end());
  for (const graph::Model& stage : stages) {
    runtime::NamedTensors fed;
    for (const graph::ValueInfo& input : stage.graph.inputs)
      fed.emplace_back(input.name, known.at(input.name));
    for (auto& [name, tensor] : testing::run_model(stage, fed)) known[name] = tensor;
  }
  runtime::NamedTensors outputs;
  for (const graph::ValueInfo& output : subject.model.graph.outputs)
    outputs.emplace_back(output.name, known.at(output.name));
  return outputs;
}

TEST(Stages, TogetherComputeWhatTheNetworkComputes) {
  TAILOR_NEEDS_RUNNER();
  int networks = 0;
  for (const char* name :
       {"resnet20_cifar10", "nanodet_m_320", "FastestDet", "vit_cifar10_pgd_2_3_16", "prisma_seg_256"}) {
    if (!std::filesystem::exists(tailor::testing::real_model(name))) continue;
    SCOPED_TRACE(name);
    ++networks;
    const Subject subject = make_subject(onnx::read(tailor::testing::real_model(name)), {});
    const runtime::NamedTensors inputs = testing::random_inputs(subject.model, subject.shapes, 3);
    const runtime::NamedTensors whole = testing::run_model(subject.model, inputs);
    for (int count : {2, 3, 5}) {
      const StagePlan plan =
          plan_stages(subject, random_times(subject, static_cast<std::uint64_t>(count)), count);
      ASSERT_EQ(plan.stages.size(), static_cast<std::size_t>(count));
      EXPECT_TRUE(plan.optimal);
      EXPECT_LE(testing::difference(whole, run_in_turn(subject, stage_models(subject, plan), inputs)), 1e-4)
          << count;
    }
  }
  if (networks == 0) GTEST_SKIP() << "no real models";
}

// Against every way to cut a chain in three.
TEST(Stages, OfAChainAreTheBestOfAllCuts) {
  const Subject chain = make_subject(
      testing::graph_of({"Conv x 4x4x1x1 -> a", "MaxPool a -> b | kernel_shape=[1,1]", "Conv b 4x4x1x1 -> c",
                         "MaxPool c -> d | kernel_shape=[1,1]", "Conv d 4x4x1x1 -> e",
                         "MaxPool e -> f | kernel_shape=[1,1]", "Conv f 4x4x1x1 -> y"},
                        {kUnknown, 4, 5, 5}),
      {});
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const std::vector<double> us = random_times(chain, seed);
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t i = 1; i < us.size(); ++i)
      for (std::size_t j = i + 1; j < us.size(); ++j) {
        const auto sum = [&](std::size_t from, std::size_t to) {
          return std::accumulate(us.begin() + static_cast<std::ptrdiff_t>(from),
                                 us.begin() + static_cast<std::ptrdiff_t>(to), 0.0);
        };
        best = std::min(best, std::max({sum(0, i), sum(i, j), sum(j, us.size())}));
      }
    const StagePlan plan = plan_stages(chain, us, 3);
    EXPECT_NEAR(plan.expected_us(), best, 1e-9);
    EXPECT_TRUE(plan.optimal);
    for (std::size_t s = 0; s + 1 < plan.stages.size(); ++s)
      EXPECT_EQ(plan.stages[s].outputs, plan.stages[s + 1].inputs) << "a chain hands on one value";
  }
}

// What is fused has no time of its own: it stays where it is computed.
TEST(Stages, WhatIsFusedStaysTogether) {
  const Subject subject =
      make_subject(testing::graph_of({"Conv x 4x4x1x1 -> a", "BatchNormalization a 4 4 4 4 -> b",
                                      "Relu b -> c", "Conv c 4x4x1x1 -> d", "Add c d -> e", "Relu e -> y"},
                                     {kUnknown, 4, 5, 5}),
                   {});
  const StagePlan plan = plan_stages(subject, std::vector<double>(6, 1.0), 2);
  ASSERT_EQ(plan.stages.size(), 2u);
  EXPECT_EQ(plan.stages[0].nodes, (std::vector<int>{0, 1, 2}));
  EXPECT_EQ(plan.stages[1].nodes, (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(plan.stages[0].outputs, std::vector<std::string>{"c"});
  EXPECT_EQ(plan.stages[0].bytes_out, 4 * 5 * 5 * 4);
  EXPECT_EQ(plan.stages[1].bytes_out, 0) << "an output of the network is handed to no stage";
  try {
    plan_stages(subject, std::vector<double>(6, 1.0), 3);
    ADD_FAILURE() << "there are two parts";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_value);
  }
}

TEST(Stages, NodesTakeWhatTheProfileSays) {
  const Subject subject =
      make_subject(testing::graph_of({"Conv x 4x4x1x1 -> a", "Relu a -> b",
                                      "MaxPool b -> c | kernel_shape=[1,1]", "Conv c 4x4x1x1 -> y"},
                                     {1, 4, 5, 5}),
                   {});
  InPlace in_place;
  in_place.network_us = 24;
  const auto executed = [&](const char* name, int layer, double us) {
    ExecutedNode node;
    node.name = name, node.layer = layer, node.us = us;
    in_place.nodes.push_back(node);
  };
  executed("fused", 0, 6), executed("n2", -1, 1), executed("reorder", -1, 2), executed("n3", 1, 3);
  const std::vector<double> us = node_times(subject, in_place);
  const std::vector<double> expected = {14.4, 0, 2.4, 7.2};  // the reordering's share is spread
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(us[i], expected[i], 1e-12);
}

TEST(Stages, RunAsAPipeline) {
  TAILOR_NEEDS(tailor::testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  const Subject subject = read_subject(tailor::testing::real_model("resnet20_cifar10"), {});
  StagingOptions options;
  options.rounds = 2, options.samples = 8, options.corrections = 1;
  int said = 0;
  options.say = [&](const std::string&) { ++said; };
  const Staging staging = stage_network(*testing::runner(), subject, options);
  ASSERT_EQ(staging.models.size(), 2u);
  EXPECT_EQ(staging.times.busy_us.size(), 2u);
  EXPECT_GT(staging.times.us, 0);
  EXPECT_GT(staging.times.whole_us, 0);
  EXPECT_LE(staging.times.difference, 1e-5);
  EXPECT_GE(said, 1);
  const Json json = stages_json(subject, staging, {"a.onnx", "b.onnx"});
  EXPECT_EQ(json["stages"][1]["file"], "b.onnx");
  std::size_t operators = 0;
  for (const Json& stage : json["stages"]) operators += stage["operators"].get<std::size_t>();
  EXPECT_EQ(operators, subject.model.graph.nodes.size());
}

TEST(Stages, TheRunnerRefusesWhatCannotFlow) {
  TAILOR_NEEDS_RUNNER();
  TemporaryFolder folder;
  const graph::Model whole = testing::graph_of({"Conv x 4x4x1x1 -> a", "Relu a -> y"}, {1, 4, 5, 5}),
                     other = testing::graph_of({"Relu elsewhere -> y"}, {1, 4, 5, 5});
  const auto a = folder.fresh(".onnx"), b = folder.fresh(".onnx");
  onnx::write(whole, a), onnx::write(other, b);
  for (const Json& stages : {Json{b.string()}, Json::array(), Json{1}, Json{a.string() + "x"}}) {
    try {
      testing::runner()->ask({{"op", "pipeline"}, {"stages", stages}, {"whole", a.string()}, {"rounds", 1}});
      ADD_FAILURE() << stages;
    } catch (const Error& error) {
      EXPECT_FALSE(std::string(error.what()).empty());
    }
  }
  EXPECT_NO_THROW(testing::runner()->ask(
      {{"op", "pipeline"}, {"stages", {a.string()}}, {"whole", a.string()}, {"rounds", 1}}))
      << "it is alive, and one stage is a pipeline";
}

}  // namespace
}  // namespace tailor::pipeline
