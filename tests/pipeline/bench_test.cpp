// Judging measurements: gates against intervals that are known, and JSON both ways.
#include "tailor/base/error.h"
#include "tailor/pipeline/verify.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::pipeline {
namespace {

BenchModel timed(const std::string& path, double us, runtime::Comparison to_first) {
  BenchModel model;
  model.path = path;
  model.inputs = {{"x", {1, 3, 32, 32}}};
  for (int i = 0; i < 9; ++i) model.us.push_back(us + i);
  model.summary = runtime::summarize(model.us);
  model.own = {1, 0.99, 1.01, runtime::Verdict::same};
  model.to_first = to_first;
  return model;
}

BenchResult speed(double lo, double hi) {
  BenchResult result{"onnxruntime", "1.30.0", "avx2", "a processor", "thread cpu", 1, 1, 0.02, {}};
  result.models = {timed("a.onnx", 1000, {1, 1, 1, runtime::Verdict::same}),
                   timed("b.onnx", 700, {(lo + hi) / 2, lo, hi, runtime::judge(lo, hi, 0.01)})};
  return result;
}

Agreement top1(std::int64_t a_correct, std::int64_t b_correct) {
  Agreement agreement;
  agreement.source = "data.bin";
  agreement.samples = agreement.score.n = agreement.score.labelled = 1000;
  agreement.score.a_correct = a_correct;
  agreement.score.b_correct = b_correct;
  agreement.score.only_a_correct = std::max<std::int64_t>(a_correct - b_correct, 0);
  return agreement;
}

Outcome of(const Gates& gates, double lo, double hi, std::vector<Agreement> samples = {}) {
  std::vector<GateResult> results = judge_gates(gates, samples, speed(lo, hi));
  EXPECT_EQ(results.size(), 1u);
  return results.at(0).outcome;
}

TEST(Gates, SpeedupIsJudgedByTheInterval) {
  Gates gates{.min_speedup = 1.25};  // a ratio of 0.8 at most
  EXPECT_EQ(of(gates, 0.69, 0.71), Outcome::pass);
  EXPECT_EQ(of(gates, 0.78, 0.81), Outcome::ambiguous);
  EXPECT_EQ(of(gates, 0.81, 0.82), Outcome::fail);
}

TEST(Gates, RatioAndLatency) {
  EXPECT_EQ(of({.max_ratio = 0.7}, 0.68, 0.69), Outcome::pass);
  EXPECT_EQ(of({.max_ratio = 0.7}, 0.69, 0.71), Outcome::ambiguous);
  EXPECT_EQ(of({.max_latency_us = 720}, 0.7, 0.7), Outcome::pass);  // 704 +- 1 %
  EXPECT_EQ(of({.max_latency_us = 704}, 0.7, 0.7), Outcome::ambiguous);
  EXPECT_EQ(of({.max_latency_us = 690}, 0.7, 0.7), Outcome::fail);
}

TEST(Gates, DropIsCountedInPoints) {
  EXPECT_EQ(of({.max_drop = 0.5}, 0.7, 0.7, {top1(920, 915)}), Outcome::pass);
  EXPECT_EQ(of({.max_drop = 0.5}, 0.7, 0.7, {top1(920, 914)}), Outcome::fail);
  EXPECT_EQ(of({.max_drop = 0}, 0.7, 0.7, {top1(920, 921)}), Outcome::pass);
  EXPECT_EQ(of({.max_drop = 0.5}, 0.7, 0.7), Outcome::fail) << "without labels no gate on them is passed";
}

TEST(Gates, FailureBeatsAmbiguity) {
  Verification v{"a.onnx", "b.onnx", {}, speed(0.7, 0.7), {}};
  EXPECT_EQ(v.outcome(), Outcome::pass);
  v.gates = {{"x", "", "", Outcome::pass}, {"y", "", "", Outcome::ambiguous}};
  EXPECT_EQ(v.outcome(), Outcome::ambiguous);
  v.gates.push_back({"z", "", "", Outcome::fail});
  EXPECT_EQ(v.outcome(), Outcome::fail);
}

TEST(Bench, NoiseIsTheWidestRatio) {
  EXPECT_NEAR(speed(0.69, 0.72).noise(), 0.03, 1e-12);
  EXPECT_FALSE(speed(0.69, 0.72).trustworthy());
  EXPECT_TRUE(speed(0.69, 0.70).trustworthy());
  BenchResult one = speed(0.5, 0.9);
  one.models.resize(1);
  EXPECT_NEAR(one.noise(), 0.02, 1e-12) << "of one model: the interval of its own median";
}

TEST(Bench, JsonBothWays) {
  Json json = to_json(speed(0.69, 0.71));
  EXPECT_EQ(to_json(bench_from_json(json, "test")), json);
  json["models"][1].erase("us");
  EXPECT_THROW(bench_from_json(json, "test"), Error);
}

TEST(Verify, JsonBothWays) {
  Verification v{"a.onnx", "b.onnx", {top1(920, 915)}, speed(0.69, 0.71), {}};
  v.samples[0].max_difference = std::nan("");
  v.gates = judge_gates({.max_drop = 1, .min_speedup = 1.3}, v.samples, v.speed);
  Json json = parse_json(to_line(to_json(v)), "test");
  EXPECT_TRUE(json["samples"][0]["max_difference"].is_null());
  EXPECT_EQ(to_line(to_json(verification_from_json(json, "test"))), to_line(json));
}

}  // namespace
}  // namespace tailor::pipeline
