// A supernet's members against the networks that are cut out of it: the same weights, the same answers as in ONNX
// Runtime, the same gradients; and the training of all of them together.
#include "tailor/learn/supernet.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/batches.h"
#include "tailor/learn/state.h"
#include "tailor/learn/train.h"
#include "tailor/pipeline/search_space.h"
#include "tests/learn/graphs.h"
#include "tests/running.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tailor::learn {
namespace {

namespace fs = std::filesystem;
using pipeline::SearchSpace;

// A network, a space over it, and what carves members.
struct Whole {
  explicit Whole(graph::Model model, pipeline::SpaceRules rules = everything())
      : subject(pipeline::make_subject(with_own_vectors(std::move(model)), {})),
        space(pipeline::resolve(rules, subject)),
        orders(pipeline::removal_orders(subject, pipeline::Criterion::l1, {})),
        numbers(pipeline::make_subject(numbered(subject.model), {})) {}

  static pipeline::SpaceRules everything() {
    pipeline::SpaceRules rules;
    rules.widths.from = 0.1;
    rules.all_branches = true;
    rules.kernels = {1};
    return rules;
  }
  pipeline::Surgery surgery(const pipeline::Member& member) const {
    return pipeline::surgery_of(subject, space, orders, member);
  }
  graph::Model carved(const pipeline::Member& member) const {
    return pipeline::apply(numbers, surgery(member));
  }
  graph::Model cut(const pipeline::Member& member) const { return pipeline::apply(subject, surgery(member)); }

  pipeline::Subject subject;
  SearchSpace space;
  pipeline::RemovalOrders orders;
  pipeline::Subject numbers;
};

std::string bits(const graph::Model& model) { return onnx::serialize_to_string(model); }

TEST(Supernet, NumbersComeThroughEverySurgery) {
  Whole whole(testing::small_classifier());
  EXPECT_EQ(whole.space.branches.size(), 1u);
  EXPECT_GE(whole.space.kernels.size(), 2u);
  Random random(1);
  std::vector<pipeline::Member> members = {pipeline::largest(whole.space), pipeline::smallest(whole.space)};
  for (int i = 0; i < 40; ++i) members.push_back(pipeline::drawn(whole.space, random));
  for (const pipeline::Member& member : members)
    EXPECT_EQ(bits(with_weights_of(whole.carved(member), whole.subject.model)), bits(whole.cut(member)))
        << pipeline::key_of(member);
}

// What the supernet computes for a member, beside ONNX Runtime on the member's file.
void expect_like_the_cut(const Whole& whole, int members, std::int64_t samples) {
  Network supernet(whole.subject.model);
  const runtime::NamedTensors inputs =
      testing::random_inputs(whole.subject.model, whole.subject.shapes, 5, samples);
  Random random(2);
  for (int i = 0; i < members; ++i) {
    const pipeline::Member member =
        i == 0 ? pipeline::smallest(whole.space) : pipeline::drawn(whole.space, random);
    Network smaller = borrowed(whole.carved(member), supernet);
    runtime::NamedTensors found;
    const std::vector<graph::Tensor> outputs = smaller.run(inputs);
    for (std::size_t k = 0; k < outputs.size(); ++k)
      found.emplace_back(whole.subject.model.graph.outputs[k].name, outputs[k]);
    EXPECT_LT(testing::difference(testing::run_model(whole.cut(member), inputs), found), 1e-4)
        << pipeline::key_of(member);
  }
}

TEST(Supernet, MembersAnswerLikeTheirFiles) {
  TAILOR_NEEDS_RUNNER();
  expect_like_the_cut(Whole(testing::small_classifier()), 20, 1);
}

// Residual groups across blocks, padded shortcuts, statistics that were learned.
TEST(Supernet, MembersOfARealNetworkAnswerLikeTheirFiles) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  Whole whole(onnx::read(testing::real_model("resnet20_cifar10")));
  EXPECT_GE(whole.space.branches.size(), 8u);
  expect_like_the_cut(whole, 6, 3);
}

TEST(Supernet, GradientsArriveWhereTheWeightsCameFrom) {
  Whole whole(testing::small_classifier());
  Random random(3);
  for (int i = 0; i < 5; ++i) {
    const pipeline::Member member = pipeline::drawn(whole.space, random);
    Network supernet(whole.subject.model);
    Network smaller = borrowed(whole.carved(member), supernet), own(whole.cut(member));
    at::Tensor x = to_aten(testing::drawn({4, 3, 8, 8}, 9, 1), at::kFloat);
    auto take = [&](Network& network) {
      // By the batch's statistics, and nothing dropped at random.
      network.state()
          .forward({{"x", x}}, {"k"}, Setting{at::kFloat, false, true})[0]
          .square()
          .sum()
          .backward();
    };
    take(smaller), take(own);
    // Gradients of the member's own copy, put where with_weights_of takes weights from, must be the supernet's.
    NamedTensors gradients;
    for (const auto& [name, tensor] : supernet.state().tensors)
      gradients.emplace_back(
          name, from_aten(tensor.grad().defined() ? tensor.grad() : at::zeros_like(tensor.detach())));
    const graph::Model of_supernet = with_values(whole.subject.model, gradients);
    const graph::Model part = with_weights_of(whole.carved(member), of_supernet);
    graph::Uses uses(part.graph);
    double all = 0, taken = 0;
    for (const Parameter& p : own.parameters()) {
      if (p.statistic()) continue;
      const at::Tensor wanted = own.state().tensors.at(p.name).grad();
      const at::Tensor found = to_aten(*graph::constant(part.graph, uses, p.name), at::kFloat);
      const double size = 1 + wanted.abs().max().item().toDouble();
      EXPECT_LT((wanted - found).abs().max().item().toDouble(), 1e-4 * size) << p.name;
      taken += found.abs().sum().item().toDouble();
    }
    for (const auto& [name, tensor] : supernet.state().tensors)
      if (tensor.grad().defined()) all += tensor.grad().abs().sum().item().toDouble();
    EXPECT_NEAR(all, taken, 1e-4 * (1 + all)) << "nothing arrives at weights that the member has not";
  }
}

class SupernetData : public ::testing::Test {
 protected:
  SupernetData() {
    set_threads(1);
    fs::create_directory(folder.path() / "test");
    data.emplace(data::read_dataset(testing::write_colours(folder.path(), 200, 3)));
    eval.emplace(data::read_dataset(testing::write_colours(folder.path() / "test", 100, 4)));
  }
  ~SupernetData() override { set_interrupted(false); }

  Task task(bool sandwich = true) const {
    Task t{&*data};
    if (sandwich)
      t.sandwich =
          Sandwich{[this](std::int64_t step) {
                     Random random = generator(1, 7, static_cast<std::uint64_t>(step));
                     return std::vector<graph::Model>{whole.carved(pipeline::smallest(whole.space)),
                                                      whole.carved(pipeline::drawn(whole.space, random))};
                   },
                   1};
    return t;
  }
  static Recipe recipe() {
    return {.schedule = {.rate = 0.1}, .augmentation = {.crop = 1}, .epochs = 6, .batch = 20, .seed = 5};
  }
  // Top-1 of a member with a supernet's weights and statistics of its own.
  double top1(const graph::Model& supernet, const pipeline::Member& member) const {
    const graph::Model model = pipeline::apply(pipeline::make_subject(supernet, {}), whole.surgery(member));
    return evaluate(with_own_statistics(model, *data, 20), *eval).top1();
  }

  TemporaryFolder folder;
  std::optional<data::Dataset> data, eval;
  Whole whole{testing::small_classifier(), [] {
                pipeline::SpaceRules rules;
                rules.widths.from = 0.5;
                return rules;
              }()};
};

TEST_F(SupernetData, StatisticsAreMeansOfBatches) {
  const graph::Model found = with_own_statistics(whole.subject.model, *data, 50);
  Network network(whole.subject.model);
  double mean = 0, variance = 0;
  for (std::int64_t b = 0; b < 4; ++b) {
    const std::vector<graph::Tensor> a = network.run({{"x", data->batch(b * 50, 50)}}, {"a"});
    const at::Tensor channel = to_aten(a[0], at::kFloat).select(1, 2);
    mean += channel.mean().item().toDouble() / 4;
    variance += channel.var(true).item().toDouble() / 4;
  }
  graph::Uses uses(found.graph);
  auto statistic = [&](int input) {
    return graph::constant(found.graph, uses, found.graph.nodes[1].input(input))->values<float>()[2];
  };
  EXPECT_NEAR(statistic(3), mean, 1e-4 * std::abs(mean));
  EXPECT_NEAR(statistic(4), variance, 1e-3 * variance);
  EXPECT_EQ(bits(with_own_statistics(found, *data, 50)), bits(found)) << "what was there does not matter";
}

TEST_F(SupernetData, AllMembersLearn) {
  const graph::Model supernet = train(whole.subject.model, task(), recipe()).model,
                     alone = train(whole.subject.model, task(false), recipe()).model;
  EXPECT_GT(top1(supernet, pipeline::largest(whole.space)), 0.9);
  EXPECT_GT(top1(supernet, pipeline::smallest(whole.space)), 0.7);
  EXPECT_GT(top1(supernet, pipeline::smallest(whole.space)), top1(alone, pipeline::smallest(whole.space)));
}

TEST_F(SupernetData, GoesOnToTheSameBits) {
  const std::string once = bits(train(whole.subject.model, task(), recipe()).model);
  EXPECT_EQ(once, bits(train(whole.subject.model, task(), recipe()).model));
  EXPECT_NE(once, bits(train(whole.subject.model, task(false), recipe()).model));
  std::optional<Training> pieces;
  for (bool resume = false; !pieces; resume = true) {
    std::int64_t steps = 0;
    set_interrupted(false);
    try {
      pieces =
          train(whole.subject.model, task(), recipe(), {folder.path() / "run", {}, "this run", resume, 0},
                [&](const Moment&) { set_interrupted(++steps == 7); });
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Code::interrupted);
    }
  }
  EXPECT_GT(pieces->resumed_at, 0);
  EXPECT_EQ(bits(pieces->model), once);
}

TEST(Supernet, HoldsFloatsOnly) {
  graph::Model model = testing::small_classifier();
  model.graph.initializers["w1"] = {
      graph::DataType::f64, {6, 3, 3, 3}, Bytes::own(std::vector<double>(162, 0.5))};
  try {
    numbered(with_own_vectors(model));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_trainable);
    EXPECT_EQ(error.place(), "w1");
  }
}

}  // namespace
}  // namespace tailor::learn
