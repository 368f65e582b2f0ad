// An analysis without a device: profiles made by hand, an oracle that is a formula.
#include "tailor/pipeline/analyze.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tests/app/models.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

#include <numeric>

namespace tailor::pipeline {
namespace {

using latency::Workload;

// Blocks of 16 output channels; inputs that are no multiple of 4 cost twice.
class BlockOracle : public latency::LatencyOracle {
 public:
  std::vector<latency::Estimate> evaluate(std::span<const Workload> workloads) override {
    std::vector<latency::Estimate> estimates;
    for (const Workload& w : workloads) {
      double us = static_cast<double>((w.oc + 15) / 16 * w.ic) * (w.ic % 4 == 0 ? 1 : 2);
      estimates.push_back({{us}, {us}, {us}, How::modelled, ""});
    }
    return estimates;
  }
  latency::Context context() const override { return {"formula", "1", "none", "none", 1, "evicted"}; }
};

// `cost` is what the profiler adds to each node; nodes last 10, 20, ... us.
runtime::InPlaceProfile made_profile(int nodes, int runs, double cost) {
  runtime::InPlaceProfile profile;
  double whole = 0;
  for (int i = 0; i < nodes; ++i) {
    const double us = 10.0 * (i + 1);
    whole += us;
    profile.nodes.push_back({"n" + std::to_string(i), "Conv", {}, ""});
    for (int r = 0; r < runs; ++r) profile.nodes.back().us.push_back(us + cost);
  }
  profile.run_us.assign(static_cast<std::size_t>(runs), whole + 3 * cost * nodes);
  profile.unprofiled_us.assign(static_cast<std::size_t>(runs), whole);
  return profile;
}

TEST(InPlace, FindsWhatTheProfilerAdds) {
  InPlace in_place = account(made_profile(5, 40, 0.75));
  EXPECT_NEAR(in_place.node_us, 0.75, 1e-6);
  EXPECT_NEAR(in_place.difference(), 0, 1e-6);
  EXPECT_NEAR(in_place.reported_difference(), 5 * 0.75 / 150, 1e-9);
  EXPECT_NEAR(in_place.nodes[2].us, 30, 1e-6);
  EXPECT_NEAR(in_place.nodes[2].reported_us, 30.75, 1e-9);
}

TEST(InPlace, DoesNotExplainEverythingAway) {
  EXPECT_NEAR(account(made_profile(5, 40, 10)).difference(), 5 * 8.5 / 150, 1e-6) << "at most 1.5 us a node";
  InPlace shorter = account(made_profile(5, 40, -1));
  EXPECT_EQ(shorter.node_us, 0) << "nothing is added";
  EXPECT_LT(shorter.difference(), 0);
}

TEST(InPlace, TakesOffWhatProfilingAddsToWholeRuns) {
  runtime::InPlaceProfile profile = made_profile(5, 40, 7);
  profile.inside_share = 1.0 / 3;  // the rest lies between the nodes
  const InPlace in_place = account(profile);
  EXPECT_NEAR(in_place.profiler_node_us, 7, 1e-6);
  EXPECT_NEAR(in_place.node_us, 0, 1e-6);
  EXPECT_NEAR(in_place.difference(), 0, 1e-6);
  EXPECT_NEAR(in_place.reported_difference(), 5 * 7.0 / 150, 1e-9);
}

// The machine runs at half its speed for a while, again and again: what a neighbour on the same core does to it.
TEST(InPlace, AChangeOfSpeedFallsOnBothOfAPair) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    runtime::InPlaceProfile profile = made_profile(5, 60, 4);
    profile.inside_share = 1.0 / 3;
    double speed = 1;
    for (std::size_t run = 0; run < 60; ++run) {
      if (run % 3 == 0 && random.uniform() < 0.3) speed = 1.0 + random.uniform();
      profile.run_us[run] *= speed, profile.unprofiled_us[run] *= speed;
      for (runtime::NodeTime& node : profile.nodes) node.us[run] *= speed;
    }
    EXPECT_NEAR(account(profile).difference(), 0, 1e-6) << "seed " << seed;
  }
}

TEST(InPlace, TheOtherHalfJudges) {
  runtime::InPlaceProfile profile = made_profile(5, 40, 1);
  for (std::size_t i = 1; i < 40; i += 2) profile.unprofiled_us[i] *= 1.2;
  EXPECT_NEAR(account(profile).difference(), 1 / 1.2 - 1, 1e-6);
}

TEST(InPlace, DisturbedRunsDoNotCount) {
  runtime::InPlaceProfile profile = made_profile(5, 40, 0.5);
  for (std::size_t i = 0; i < 8; ++i) {
    profile.run_us[i] *= 10;
    for (runtime::NodeTime& node : profile.nodes) node.us[i] *= 10;
  }
  EXPECT_NEAR(account(profile).sum_us, 150, 1e-6);
}

TEST(InPlace, TooFewRunsAreRefused) { EXPECT_THROW(account(made_profile(2, 3, 0)), Error); }

TEST(InPlace, RunsWithoutAPartnerAreRefused) {
  runtime::InPlaceProfile profile = made_profile(2, 8, 0);
  profile.unprofiled_us.pop_back();
  EXPECT_THROW(account(profile), Error);
}

class Analyzing : public ::testing::Test {
 protected:
  static Subject subject(int width) { return make_subject(tailor::testing::small_model(width), {}); }
  static InPlace executed(std::vector<ExecutedNode> nodes) {
    InPlace in_place;
    in_place.nodes = std::move(nodes);
    return in_place;
  }
  static ExecutedNode node(const std::string& name, const std::string& op, const std::string& shapes = "") {
    ExecutedNode made;
    made.name = name, made.op = op, made.shapes = shapes, made.us = 1;
    return made;
  }
};

const char* const kFirst = R"([{"float":[1,3,32,32]},{"float":[16,3,3,3]}])";     // 12 channels, padded
const char* const kSecond = R"([{"float":[1,16,32,32]},{"float":[16,16,3,3]}])";  // 8 of 12
const char* const kLast = R"([{"float":[1,8]},{"float":[10]}])";

TEST_F(Analyzing, MatchesByNameOfWhatWasFused) {
  InPlace p =
      executed({node("ReorderInput", "ReorderInput"), node("relu_nchwc", "Conv", kFirst),
                node("c_nchwc", "Conv", kSecond), node("ReorderOutput_token_3", "ReorderOutput"),
                node("pool", "GlobalAveragePool"), node("flat", "Flatten"), node("last", "Gemm", kLast)});
  match_layers(subject(12), p);
  EXPECT_EQ(p.matched("name"), 3);
  std::vector<int> layers;
  std::vector<std::string> kinds;
  for (const ExecutedNode& n : p.nodes) layers.push_back(n.layer), kinds.push_back(n.kind);
  EXPECT_EQ(layers, (std::vector<int>{-1, 0, 1, -1, -1, -1, 2}));
  EXPECT_EQ(kinds,
            (std::vector<std::string>{"reorder", "layer", "layer", "reorder", "pooling", "shape", "layer"}));
  EXPECT_EQ(p.us_of("layer"), 3);
}

TEST_F(Analyzing, MatchesByShapeWhereNamesSayNothing) {
  InPlace p =
      executed({node("Conv_0", "Conv", kSecond), node("Conv_1", "Conv", kFirst), node("x", "Gemm", kLast)});
  match_layers(subject(12), p);
  EXPECT_EQ(p.matched("shape"), 3);
  EXPECT_EQ(p.nodes[0].layer, 1);
  EXPECT_EQ(p.nodes[1].layer, 0);
}

TEST_F(Analyzing, MatchesByOrderWhereNothingElseIsKnown) {
  InPlace p = executed({node("k1", "Conv"), node("k2", "FusedConv"), node("k3", "FusedGemm")});
  match_layers(subject(12), p);
  EXPECT_EQ(p.matched("order"), 3);
  EXPECT_EQ(p.nodes[1].layer, 1);
}

TEST_F(Analyzing, DoesNotBelieveANameAgainstTheShape) {
  InPlace p = executed(
      {node("first", "Conv", kSecond), node("odd", "Conv", R"([{"float":[7,7,7,7]},{"float":[7,7,1,1]}])")});
  match_layers(subject(12), p);
  EXPECT_EQ(p.nodes[0].layer, 1);
  EXPECT_EQ(p.nodes[1].kind, "compute") << "nothing is lost";
}

TEST_F(Analyzing, MalformedShapesAreNoShapes) {
  InPlace p = executed({node("first", "Conv", "[{\"float\":"), node("second", "Conv", "{\"a\":3}")});
  match_layers(subject(12), p);
  EXPECT_EQ(p.matched("name"), 2);
}

TEST(Widths, AroundAWidth) {
  for (int width : {1, 3, 8, 16, 17, 34, 64, 130, 960}) {
    const std::vector<int> widths = widths_around(width);
    EXPECT_TRUE(std::is_sorted(widths.begin(), widths.end()));
    EXPECT_TRUE(std::binary_search(widths.begin(), widths.end(), width));
    EXPECT_GE(widths.front(), 1);
    EXPECT_LE(widths.size(), 16u);
    EXPECT_GE(2 * widths.front(), width);
  }
  const std::vector<int> widths = widths_around(34);
  for (int wanted : {32, 36, 40, 48}) EXPECT_TRUE(std::binary_search(widths.begin(), widths.end(), wanted));
}

GroupSweep sweep_of(int width, std::vector<int> widths, std::vector<double> us) {
  GroupSweep sweep;
  sweep.width = width, sweep.widths = std::move(widths), sweep.us = std::move(us);
  find_steps(sweep);
  return sweep;
}

TEST(Widths, JustPastAnEdge) {
  GroupSweep sweep = sweep_of(34, {24, 32, 34, 36, 48, 64}, {99, 100, 200, 200, 201, 300});
  ASSERT_TRUE(sweep.down && sweep.up && sweep.edge);
  EXPECT_EQ(sweep.down->width, 32);
  EXPECT_EQ(sweep.edge->width, 32);
  EXPECT_NEAR(sweep.edge->saved_share, 0.5, 1e-9);
  EXPECT_EQ(sweep.up->width, 48);
}

// Off a runtime's fast path, more channels take less time: these are had for nothing.
TEST(Widths, WiderAndFaster) {
  GroupSweep sweep = sweep_of(35, {32, 35, 36, 40, 48}, {95, 100, 80, 75, 99.5});
  ASSERT_TRUE(sweep.wider && sweep.up && sweep.edge == std::nullopt);
  EXPECT_EQ(sweep.wider->width, 40);
  EXPECT_EQ(sweep.up->width, 48);
  EXPECT_EQ(sweep.fitting()->width, 40);
  EXPECT_EQ(fitting_widths({sweep}, true), (std::map<int, int>{{0, 40}}));
}

TEST(Widths, WhatSavesMoreFits) {
  GroupSweep sweep = sweep_of(34, {32, 34, 36}, {50, 100, 90});
  ASSERT_TRUE(sweep.edge && sweep.wider);
  EXPECT_EQ(sweep.fitting()->width, 32);
  EXPECT_EQ(fitting_widths({sweep}), (std::map<int, int>{{0, 32}}));
  EXPECT_EQ(fitting_widths({sweep}, true), (std::map<int, int>{{0, 36}}));
}

TEST(Widths, ProportionalSavingsAreNoEdge) {
  GroupSweep sweep = sweep_of(64, {32, 48, 60, 64, 80}, {50, 75, 100, 100, 125});
  EXPECT_FALSE(sweep.edge);
  EXPECT_FALSE(sweep.up);
  ASSERT_TRUE(sweep.down);
  EXPECT_EQ(sweep.down->width, 48);
}

TEST(Widths, WhatNoiseCoversIsNoSaving) {
  GroupSweep sweep;
  sweep.width = 34, sweep.widths = {32, 34}, sweep.us = {90, 100}, sweep.lo = {80, 85}, sweep.hi = {99, 110};
  find_steps(sweep);
  EXPECT_FALSE(sweep.down || sweep.edge);
}

TEST_F(Analyzing, SweepsPriceAllLayersOfAGroup) {
  Subject s = subject(18);
  BlockOracle oracle;
  std::vector<GroupSweep> sweeps = sweep_groups(s, oracle, {1, 1, 1});
  ASSERT_EQ(sweeps.size(), 2u);
  const GroupSweep& first = sweeps[0];
  EXPECT_EQ(first.width, 18);
  EXPECT_EQ(first.us_at(18), 2 * 3 * 2 + 18 * 2) << "first writes 18 (of 3 inputs), second reads 18";
  EXPECT_EQ(first.us_at(16), 1 * 3 * 2 + 16);
  ASSERT_TRUE(first.edge);
  EXPECT_EQ(first.edge->width, 16);
  std::vector<double> saved = joint_savings(s, oracle, {1, 1, 1}, fitting_widths(sweeps));
  EXPECT_EQ(saved, (std::vector<double>{6, 20, 0}));
  EXPECT_EQ(fitting_widths(sweeps).at(first.group), 16);
}

TEST_F(Analyzing, ScaleMakesThemTimesInPlace) {
  BlockOracle oracle;
  EXPECT_EQ(sweep_groups(subject(18), oracle, {10, 0, 1})[0].us_at(18), 10 * 2 * 3 * 2);
}

LayerEvidence evidence(const std::string& workload, double us) {
  LayerEvidence e;
  e.workload = latency::parse_workload(workload);
  e.us = e.alone_us = us, e.streaming_gbytes = 20, e.best_gflops = 200;
  return e;
}
const char* const kConv = "conv_mb1_g1_ic34ih56iw56_oc34oh56ow56_kh3kw3_sh1sw1_ph1pw1_f32";
const char* const kPointwise = "conv_mb1_g1_ic64ih112iw112_oc16oh112ow112_kh1kw1_sh1sw1_ph0pw0_f32";

TEST(Verdicts, FallbackNeedsProof) {
  LayerEvidence e = evidence(kConv, 400);
  EXPECT_EQ(judge_layer(e).verdict, LayerVerdict::ok);
  e.aligned_us = 395;
  EXPECT_EQ(judge_layer(e).verdict, LayerVerdict::ok);
  e.aligned_us = 230;
  EXPECT_EQ(judge_layer(e).verdict, LayerVerdict::fallback);
  EXPECT_NE(judge_layer(e).why.find("34 % 4 != 0"), std::string::npos);
}

TEST(Verdicts, FallbackProvenFromBelow) {
  LayerEvidence e = evidence(kConv, 400);
  e.aligned_us = 400, e.below_us = 230;
  EXPECT_EQ(judge_layer(e).verdict, LayerVerdict::fallback);
  EXPECT_NE(judge_layer(e).why.find("32 > 32 230.0 us"), std::string::npos) << judge_layer(e).why;
  e.below_us = 350;  // 12 % less work, 13 % less time
  EXPECT_EQ(judge_layer(e).verdict, LayerVerdict::ok);
}

TEST(Verdicts, Launch) { EXPECT_EQ(judge_layer(evidence(kConv, 4)).verdict, LayerVerdict::launch); }

TEST(Verdicts, PadInsideAStepAndPastAnEdge) {
  LayerEvidence e = evidence(kConv, 400);
  GroupSweep inside = sweep_of(40, {32, 36, 40, 48, 64}, {100, 200, 200, 200, 300});
  e.sweep = &inside;
  EXPECT_EQ(judge_layer(e).verdict, LayerVerdict::pad);
  EXPECT_EQ(judge_layer(e).why, "inside a step: widths 36 to 48 cost the same");
  GroupSweep past = sweep_of(34, {32, 34, 48}, {100, 200, 200});
  e.sweep = &past;
  EXPECT_EQ(judge_layer(e).verdict, LayerVerdict::pad);
  GroupSweep at_edge = sweep_of(48, {32, 40, 48, 64}, {100, 200, 200, 300});
  e.sweep = &at_edge;
  EXPECT_EQ(judge_layer(e).verdict, LayerVerdict::ok) << "nothing wider is free";
}

TEST(Verdicts, MemoryNeedsBandwidthAndLittleWork) {
  EXPECT_EQ(judge_layer(evidence(kPointwise, 250)).verdict, LayerVerdict::ok) << "16 GB/s, but 6 per byte";
  EXPECT_EQ(judge_layer(evidence("conv_mb1_g32_ic32ih112iw112_oc32oh112ow112_kh3kw3_sh1sw1_ph1pw1_f32", 200))
                .verdict,
            LayerVerdict::memory);
  EXPECT_EQ(judge_layer(evidence("conv_mb1_g32_ic32ih112iw112_oc32oh112ow112_kh3kw3_sh1sw1_ph1pw1_f32", 2000))
                .verdict,
            LayerVerdict::ok)
      << "1.6 GB/s";
}

TEST(Verdicts, OutputsOfADepthwiseLayer) {
  Workload w = latency::parse_workload("conv_mb1_g32_ic32ih8iw8_oc64oh8ow8_kh3kw3_sh1sw1_ph1pw1_f32");
  Workload wider = with_outputs(w, 36);
  EXPECT_EQ(std::tuple(wider.g, wider.ic, wider.oc), std::tuple(36, 36, 72));
  EXPECT_EQ(with_outputs(latency::parse_workload(kConv), 40).oc, 40);
}

Analysis made_analysis() {
  Analysis analysis;
  analysis.runtime = "onnxruntime", analysis.version = "1", analysis.model = "a.onnx", analysis.threads = 2;
  analysis.in_place = account(made_profile(3, 20, 0.5));
  AnalyzedLayer layer;
  layer.name = "first", layer.op = "Conv", layer.workload = latency::parse_workload(kConv);
  layer.us = 400, layer.verdict = LayerVerdict::pad, layer.why = "because", layer.in_place = true;
  layer.recoverable_us = 12.5, layer.down = WidthStep{32, 20, 0.05};
  analysis.layers = {layer};
  analysis.groups = {sweep_of(34, {32, 34, 48}, {100, 200, 200})};
  analysis.picture_layer = "first";
  const std::vector<std::int64_t> widths = {16, 32, 48};
  analysis.picture = latency::find_staircase(widths, std::vector<double>{1, 2, 3});
  return analysis;
}

TEST(AnalysisJson, ComesBackAsItWent) {
  Json json = to_json(made_analysis());
  EXPECT_EQ(json["totals"]["recoverable_us"], 12.5);
  EXPECT_EQ(to_json(analysis_from_json(json, "test")), json);
}

TEST(AnalysisJson, DamageIsBadJson) {
  const Json good = to_json(made_analysis());
  std::vector<std::pair<Json::json_pointer, Json>> damages = {
      {"/schema"_json_pointer, "tailor/bench/1"},
      {"/layers"_json_pointer, 3},
      {"/layers/0/verdict"_json_pointer, "fine"},
      {"/layers/0/workload"_json_pointer, "conv_x"},
      {"/layers/0/down"_json_pointer, "32"},
      {"/groups/0/us"_json_pointer, Json::array({1})},
      {"/groups/0/widths/0"_json_pointer, "x"},
      {"/in_place/nodes/0/us"_json_pointer, nullptr},
      {"/staircase/widths"_json_pointer, Json::array({3, 2, 1})}};
  for (const auto& [at, value] : damages) {
    Json bad = good;
    bad[at] = value;
    try {
      analysis_from_json(bad, "test");
      ADD_FAILURE() << at.to_string();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_json) << at.to_string();
    }
  }
}

}  // namespace
}  // namespace tailor::pipeline
