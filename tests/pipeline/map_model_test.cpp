// A model over a platform: which layers, what they lose, what is chosen and what is said when nothing can be.
#include "tailor/pipeline/map_model.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tests/app/models.h"
#include "tests/running.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tailor::pipeline {
namespace {

class MapModel : public ::testing::Test {
 protected:
  MapModel() : path(testing::write_small(folder.path(), "small.onnx", 40)) {}

  MapOptions on(const char* platform) const {
    MapOptions options;
    options.platform = platform;
    return options;
  }
  void expect_error(const MapOptions& options, Code code) const {
    try {
      map_model(path, options);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
    }
  }
  TemporaryFolder folder;
  std::filesystem::path path;
};

TEST_F(MapModel, LayersLossesAndBaselines) {
  MapResult result = map_model(path, on("diana"));
  ASSERT_EQ(result.layers.size(), 3u);
  EXPECT_EQ(result.layers[0].layer.name, "first");
  EXPECT_EQ(result.layers[1].layer.reads, (std::vector<int>{0}));
  EXPECT_EQ(result.layers[2].layer.reads, (std::vector<int>{1}));
  EXPECT_TRUE(result.elsewhere.empty());
  EXPECT_EQ(result.other_nodes, 3);
  for (const MappedLayer& mapped : result.layers) {
    auto sum = [&](int option) {
      return std::accumulate(mapped.layer.loss[option].begin(), mapped.layer.loss[option].end(), 0.0);
    };
    EXPECT_LT(sum(0), 0.002) << "8 bits";
    EXPECT_GT(sum(1), 0.1) << "ternary";
    EXPECT_LT(sum(1), 0.5);
  }
  ASSERT_EQ(result.baselines.size(), 4u);
  EXPECT_EQ(result.baselines[0].name, "all on digital");
  EXPECT_EQ(result.baselines[3].name, "least latency");
  ASSERT_TRUE(result.chosen);
  EXPECT_EQ(result.chosen->mapping.latency_us, result.baselines[3].mapping.latency_us);
}

TEST_F(MapModel, ABudgetIsMetExactly) {
  for (plan::Objective objective : {plan::Objective::latency, plan::Objective::energy}) {
    MapOptions options = on("diana");
    options.objective = objective;
    MapResult free = map_model(path, options);
    auto cost = [&](const plan::Mapping& m) {
      return objective == plan::Objective::latency ? m.latency_us : m.energy_uj;
    };
    double most = cost(free.baselines[0].mapping), least = cost(free.baselines.back().mapping);
    options.budget = (most + least) / 2;
    MapResult result = map_model(path, options);
    ASSERT_TRUE(result.chosen);
    EXPECT_LE(cost(result.chosen->mapping), *options.budget);
    EXPECT_TRUE(result.chosen->certificate->optimal);
    EXPECT_EQ(result.chosen->certificate->quantum_us, 0);
    for (const NamedMapping& point : result.front)
      if (cost(point.mapping) <= *options.budget) {
        EXPECT_GE(point.mapping.loss, result.chosen->mapping.loss);
      }
    options.budget.reset(), options.budget_ratio = 1;
    EXPECT_LE(map_model(path, options).chosen->mapping.loss, free.baselines[0].mapping.loss);
  }
}

TEST_F(MapModel, AnImpossibleBudgetNamesTheCheapestRelaxation) {
  MapOptions options = on("diana");
  double least = map_model(path, options).baselines.back().mapping.latency_us;
  options.budget = 0.5 * least;
  MapResult result = map_model(path, options);
  EXPECT_FALSE(result.chosen);
  EXPECT_NE(result.why.find("the budget binds"), std::string::npos) << result.why;
  EXPECT_NE(result.why.find("+100.0 %"), std::string::npos) << result.why;
  EXPECT_NE(result.why.find("second"), std::string::npos) << result.why;
}

TEST_F(MapModel, WhatCannotBeAskedIsRefused) {
  MapOptions options = on("gap8");
  options.objective = plan::Objective::energy;
  expect_error(options, Code::usage);
  options = on("diana");
  options.max_drop = 1;
  expect_error(options, Code::usage);
  expect_error(on("dianna"), Code::unknown_device);
}

TEST_F(MapModel, LayersThatNoUnitComputesRunElsewhere) {
  graph::Model model = testing::small_model(8);
  model.graph.nodes[0].attributes["kernel_shape"].value = std::vector<std::int64_t>{5, 5};
  model.graph.nodes[0].attributes["pads"].value = std::vector<std::int64_t>{2, 2, 2, 2};
  model.graph.initializers["w1"] = testing::random_weights({8, 3, 5, 5}, 1);
  onnx::write(model, path);
  MapResult result = map_model(path, on("ne16"));
  EXPECT_EQ(result.elsewhere, (std::vector<std::string>{"first"}));
  EXPECT_EQ(result.layers.size(), 2u);
  model.graph.nodes = {{"Relu", "", "relu", {"x"}, {"y"}}};
  model.graph.initializers.clear();
  model.graph.outputs[0].shape = graph::Shape{1, 3, 32, 32};
  onnx::write(model, path);
  expect_error(on("ne16"), Code::nothing_to_map);
}

// The channels that go to the coarse unit are the ones that lose least there.
TEST_F(MapModel, ChannelsGoBySensitivity) {
  MapOptions options = on("diana");
  bool split = false;
  for (double ratio : {0.6, 0.8, 0.9, 0.97}) {
    options.budget_ratio = ratio;
    MapResult result = map_model(path, options);
    ASSERT_TRUE(result.chosen);
    for (std::size_t l = 0; l < result.layers.size(); ++l) {
      std::vector<int> option = channel_options(result, l, result.chosen->mapping);
      const auto& loss = result.layers[l].layer.loss;
      double stays = 1e9, goes = -1e9;
      for (std::size_t c = 0; c < option.size(); ++c) {
        double extra = loss[1][c] - loss[0][c];
        option[c] == 0 ? stays = std::min(stays, extra) : goes = std::max(goes, extra);
      }
      EXPECT_LE(goes, stays + 1e-12);
      split = split || (stays < 1e9 && goes > -1e9);
    }
  }
  EXPECT_TRUE(split) << "no layer is split: the test shows nothing";
}

TEST_F(MapModel, RoundedWeightsAreThoseOfTheUnits) {
  MapResult result = map_model(path, on("diana"));
  Subject subject = read_subject(path, {});
  const plan::Mapping& ternary = result.baselines[1].mapping;
  graph::Model model = rounded_model(subject, result, ternary);
  // The Gemm's weights lie inputs x outputs: every column has one magnitude besides zero.
  std::vector<float> weights = model.graph.initializers.at("w3").values<float>();
  for (std::size_t column = 0; column < 10; ++column) {
    float magnitude = 0;
    for (std::size_t row = 0; row < 8; ++row) {
      float x = std::abs(weights[row * 10 + column]);
      if (x == 0) continue;
      if (magnitude == 0) magnitude = x;
      EXPECT_EQ(x, magnitude);
    }
    EXPECT_GT(magnitude, 0);
  }
}

TEST_F(MapModel, DepthwiseUnitsReadTheirOwnChannel) {
  graph::Model model = testing::small_model(8);  // the second convolution reads and writes 8 channels
  onnx::write(model, path);
  MapResult result = map_model(path, on("darkside"));
  EXPECT_GT(
      std::accumulate(result.layers[1].layer.loss[1].begin(), result.layers[1].layer.loss[1].end(), 0.0),
      0.7);
  ASSERT_TRUE(result.chosen);
  EXPECT_EQ(result.chosen->mapping.splits[1].counts[1], 8);
  graph::Model rounded = rounded_model(read_subject(path, {}), result, result.chosen->mapping);
  std::vector<float> weights = rounded.graph.initializers.at("w2").values<float>();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    std::size_t out = i / (8 * 9), in = i / 9 % 8;
    if (out != in) {
      EXPECT_EQ(weights[i], 0);
    }
  }
}

TEST_F(MapModel, WithSamplesLossAndDropAreMeasured) {
  TAILOR_NEEDS_RUNNER();
  MapOptions options = on("diana");
  options.eval = options.calib = testing::write_cifar(folder.path(), 64);
  options.calib_limit = 32;
  MapResult result = map_model(path, options);
  EXPECT_TRUE(result.measured_loss);
  for (const NamedMapping& baseline : result.baselines) {
    ASSERT_TRUE(baseline.accuracy && baseline.accuracy->top1);
    EXPECT_EQ(baseline.accuracy->samples, 64);
  }
  options.max_drop = 100;  // anything goes: the cheapest
  result = map_model(path, options);
  ASSERT_TRUE(result.chosen);
  EXPECT_EQ(result.chosen->mapping.latency_us, result.front.front().mapping.latency_us);
  options.eval.clear();
  options.max_drop = 0;  // the same class for every sample, or no mapping
  result = map_model(path, options);
  if (result.chosen) {
    EXPECT_EQ(result.chosen->accuracy->drop(), 0);
  } else {
    EXPECT_NE(result.why.find("--max-drop binds"), std::string::npos) << result.why;
  }
}

// Samples of one colour each: a network of random weights sees several classes in them.
std::filesystem::path write_colours(const std::filesystem::path& folder, int samples) {
  Random random(11);
  std::string bytes;
  for (int s = 0; s < samples; ++s) {
    bytes += static_cast<char>(random.below(10));
    for (int channel = 0; channel < 3; ++channel)
      bytes += std::string(32 * 32, static_cast<char>(random.below(256)));
  }
  write_file(folder / "colours.bin", bytes);
  return folder / "colours.bin";
}

// Accuracies are of activations rounded as the platform says, where samples give their ranges.
TEST_F(MapModel, ActivationsHaveTheBitsThatThePlatformStates) {
  TAILOR_NEEDS_RUNNER();
  const auto result = [&](int bits) {
    std::string toml = to_toml(device::find_platform("diana"));
    const std::string line = "activation_bits = 7\n";
    toml.replace(toml.find(line), line.size(),
                 bits ? "activation_bits = " + std::to_string(bits) + "\n" : "");
    write_file(folder.path() / "platform.toml", toml);
    MapOptions options = on("");
    options.platform = folder.path() / "platform.toml";
    options.calib = options.eval = write_colours(folder.path(), 64);
    options.baseline = "all on digital";
    return map_model(path, options);
  };
  const MapResult floats = result(0), eight = result(8), two = result(2);
  EXPECT_TRUE(floats.ranges.empty());
  ASSERT_FALSE(eight.ranges.empty());
  for (const auto& [name, range] : eight.ranges) EXPECT_LE(range.lo, range.hi) << name;
  EXPECT_EQ(to_json(two)["activation_bits"], 2);
  EXPECT_EQ(to_json(floats)["activations_rounded"], false);
  const auto agreement = [](const MapResult& r) { return r.chosen->accuracy->agreement; };
  EXPECT_NEAR(agreement(eight), agreement(floats), 15) << "of 64 samples";
  EXPECT_LT(agreement(two), agreement(floats)) << "four levels are few";
}

// Infinity has no eight bits.
TEST_F(MapModel, SamplesOnWhichTheModelOverflowsAreRefused) {
  TAILOR_NEEDS_RUNNER();
  graph::Model model = testing::small_model(8);
  model.graph.initializers["w1"] = graph::make_f32({8, 3, 3, 3}, std::vector<float>(8 * 27, 3e38f));
  onnx::write(model, path);
  MapOptions options = on("diana");
  options.calib = testing::write_cifar(folder.path(), 64);
  expect_error(options, Code::dataset_mismatch);
}

// Where nothing is rounded no statistic moves, whatever the samples are; where something is, some do.
TEST_F(MapModel, StatisticsMoveAsFarAsRoundingMovesThem) {
  TAILOR_NEEDS_RUNNER();
  write_file(folder.path() / "exact.toml", R"(schema = "tailor/platform/1"
name = "exact"
title = "one unit that rounds nothing and one that does"
frequency_mhz = 1
[[unit]]
name = "exact"
weights = ["f32", "int2"]
scale = "channel"
[unit.cost]
model = "pe_array"
channels = 1
columns = 1
bytes_per_cycle = 1
)");
  path = std::filesystem::path(TAILOR_SOURCE_DIR) / "demo" / "shapes.onnx";
  MapOptions options = on((folder.path() / "exact.toml").c_str());
  options.calib = testing::write_cifar(folder.path(), 48);
  options.calib_limit = 8, options.recover = Recover::bn;
  MapResult result = map_model(path, options);
  Subject subject = read_subject(path, {});
  auto largest_move = [&](const plan::Mapping& mapping) {
    graph::Model model = deployed_model(subject, result, mapping, options);
    double moved = 0;
    for (const graph::Node& node : subject.model.graph.nodes) {
      if (node.op != "BatchNormalization") continue;
      std::vector<float> before = subject.model.graph.initializers.at(node.inputs[4]).values<float>(),
                         after = model.graph.initializers.at(node.inputs[4]).values<float>();
      for (std::size_t c = 0; c < before.size(); ++c)
        moved = std::max(moved, std::abs(after[c] / before[c] - 1.0));
    }
    return moved;
  };
  EXPECT_LT(largest_move(result.baselines[0].mapping), 1e-5);
  EXPECT_GT(largest_move(result.baselines[1].mapping), 0.05);
}

// The trained network of the paper: layers in the published order, tables as published.
TEST_F(MapModel, ResNet20OfThePaper) {
  std::filesystem::path model = testing::real_model("odimo_resnet20_cifar10_fp");
  TAILOR_NEEDS(model);
  MapResult result = map_model(model, on("diana"));
  ASSERT_EQ(result.layers.size(), 22u);
  auto cycles = [](const NamedMapping& m) { return m.mapping.latency_us * 260; };
  EXPECT_NEAR(cycles(result.baselines[0]), 257673, 0.5);
  EXPECT_NEAR(cycles(result.baselines[1]), 88121, 1);
  EXPECT_NEAR(cycles(result.baselines[2]), 86964, 1);
  EXPECT_NEAR(cycles(result.baselines[3]), 86964, 1);
  ASSERT_EQ(result.free.size(), 1u);
  EXPECT_EQ(result.free[0].free.most, 4);
  int split = 0;
  for (const plan::Split& s : result.chosen->mapping.splits) split += s.counts[0] > 0 && s.counts[1] > 0;
  EXPECT_EQ(split, 1);
}

}  // namespace
}  // namespace tailor::pipeline
