// A network that was made smaller beside its base, on stairs that are known: every step is sixteen channels wide.
#include "tailor/pipeline/base_comparison.h"

#include "tailor/base/error.h"
#include "tests/app/models.h"
#include "tests/testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tailor::pipeline {
namespace {

using latency::Estimate;
using latency::Workload;

struct Traits {
  std::int64_t slow = 0;  // output width that takes twice as long
  double noise = 0;       // half the interval, of the time
  double launch = 0;      // us of every layer
};

// Ten microseconds for each started block of sixteen inputs by sixteen outputs.
class Stairs final : public latency::LatencyOracle {
 public:
  explicit Stairs(Traits traits = {}) : traits_(traits) {}
  std::vector<Estimate> evaluate(std::span<const Workload> workloads) override {
    std::vector<Estimate> found;
    for (const Workload& w : workloads) {
      const auto blocks = static_cast<double>(((w.ic + 15) / 16) * ((w.oc + 15) / 16));
      const double us = traits_.launch + 10 * blocks * (w.oc == traits_.slow ? 2 : 1);
      found.push_back({{us}, {us * (1 - traits_.noise)}, {us * (1 + traits_.noise)}, How::measured, {}});
    }
    return found;
  }
  latency::Context context() const override { return {}; }

 private:
  Traits traits_;
};

Subject small(int width) { return make_subject(testing::small_model(width), {}); }

const BaseLayer& layer_of(const BaseComparison& comparison, const std::string& name) {
  for (const BaseLayer& layer : comparison.layers)
    if (layer.name == name) return layer;
  throw std::runtime_error(name);
}

TEST(BaseComparison, WhatStaysOnItsStepGetsNothing) {
  Stairs stairs;
  const BaseComparison c = compare_with_base(small(48), small(33), stairs, How::measured, 0.97);
  const BaseLayer& first = layer_of(c, "first");
  EXPECT_EQ(first.gained, Gained::nothing);
  ASSERT_TRUE(first.step);
  EXPECT_EQ(first.step->narrowest, 33);
  EXPECT_EQ(first.step->widest, 48);
  EXPECT_EQ(first.step->next, 32);
  EXPECT_NEAR(first.step->next_share, 1.0 / 3, 1e-12);
  EXPECT_EQ(
      first.why,
      "31 % fewer multiply-accumulates, 0 % less time: still on the step from 33 to 48 outputs; 32 would "
      "take 33 % less");
  EXPECT_EQ(layer_of(c, "last").gained, Gained::same);
  EXPECT_EQ(c.count(Gained::nothing), 2) << "what reads the channels got nothing either";
  EXPECT_EQ(c.network_ratio, 0.97);
  EXPECT_EQ(c.unpaired, 0);
  EXPECT_EQ(compare_with_base(small(48), small(33), stairs, How::measured).network_ratio, 1);
}

TEST(BaseComparison, AStepDownIsPaid) {
  Stairs stairs;
  const BaseComparison c = compare_with_base(small(48), small(32), stairs, How::measured);
  EXPECT_EQ(layer_of(c, "first").gained, Gained::paid);
  EXPECT_FALSE(layer_of(c, "first").step) << "nobody asks about steps where the time fell";
  EXPECT_NEAR(layer_of(c, "first").us_ratio(), 2.0 / 3, 1e-12);
  EXPECT_NEAR(layer_of(c, "first").macs_ratio(), 2.0 / 3, 1e-12);
}

// Two of three blocks of outputs stay, and what a start costs stays whole: 65 % of the arithmetic for 20 % of the time.
TEST(BaseComparison, LittleForMuchIsPartly) {
  Stairs stairs({.launch = 20});
  const BaseComparison c = compare_with_base(small(48), small(17), stairs, How::measured);
  EXPECT_NEAR(layer_of(c, "first").us_ratio(), 0.8, 1e-12);
  EXPECT_EQ(layer_of(c, "first").gained, Gained::partly);
  EXPECT_EQ(layer_of(compare_with_base(small(48), small(32), stairs, How::measured), "first").gained,
            Gained::paid);
}

TEST(BaseComparison, WhatLeavesTheFastPathIsSlower) {
  Stairs stairs({.slow = 33});
  EXPECT_EQ(layer_of(compare_with_base(small(48), small(33), stairs, How::measured), "first").gained,
            Gained::slower);
}

// Intervals that overlap show nothing, whatever their middles say.
TEST(BaseComparison, DoubtIsNoGain) {
  Stairs noisy({.noise = 0.3});
  EXPECT_EQ(layer_of(compare_with_base(small(48), small(32), noisy, How::measured), "first").gained,
            Gained::nothing);
}

TEST(BaseComparison, LayersArePairedByNameOrElseByOrder) {
  graph::Model renamed = testing::small_model(33);
  for (graph::Node& node : renamed.graph.nodes) node.name = "other_" + node.name;
  Stairs stairs;
  const BaseComparison c = compare_with_base(small(48), make_subject(renamed, {}), stairs, How::measured);
  ASSERT_EQ(c.layers.size(), 3u);
  EXPECT_EQ(c.layers[0].name, "other_first");
  graph::Model longer = renamed;
  longer.graph.nodes[3].inputs = {"extra"};
  longer.graph.nodes.insert(longer.graph.nodes.begin() + 3,
                            {"Conv", "", "added", {"c", "w4"}, {"extra"}, {}});
  longer.graph.initializers["w4"] = testing::random_weights({8, 8, 1, 1}, 4);
  EXPECT_TRUE(paired_layers(small(48), make_subject(longer, {})).empty());
}

TEST(BaseComparison, AnotherNetworkIsRefusedByName) {
  TemporaryFolder folder;
  graph::Model other = testing::small_model(16);
  other.graph.nodes.erase(other.graph.nodes.begin() + 2);  // the second convolution
  other.graph.nodes[2].inputs = {"b"};
  other.graph.initializers["w3"] = testing::random_weights({16, 10}, 4);
  for (graph::Node& node : other.graph.nodes) node.name = "other_" + node.name;
  onnx::write(other, folder.path() / "other.onnx");
  EXPECT_FALSE(base_of(small(8), {}));
  try {
    static_cast<void>(base_of(small(8), folder.path() / "other.onnx"));
    FAIL() << "was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unknown_name);
    EXPECT_NE(error.place().find("other.onnx"), std::string::npos);
  }
}

TEST(BaseComparison, AsJson) {
  Stairs stairs;
  const Json json = to_json(compare_with_base(small(48), small(33), stairs, How::modelled, 1.01));
  EXPECT_EQ(json["how"], "modelled");
  EXPECT_EQ(json["layers"][0]["gained"], "nothing");
  EXPECT_EQ(json["layers"][0]["step"]["next"], 32);
  EXPECT_TRUE(json["layers"][2]["step"].is_null());
}

}  // namespace
}  // namespace tailor::pipeline
