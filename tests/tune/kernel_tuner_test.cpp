// Kernel Tuner's files: a T1 space and a cache file as the benchmark hub has them, T4 out.
#include "tailor/tune/kernel_tuner.h"

#include "tests/tune/spaces.h"

#include <nlohmann/json.hpp>

namespace tailor::tune {
namespace {

using testing::code_of;

constexpr const char* kT1 = R"({
  "General": {"BenchmarkName": "convolution"},
  "ConfigurationSpace": {
    "TuningParameters": [
      {"Name": "block_size_x", "Type": "int", "Values": "[16, 32, 48, 64]", "Default": 16},
      {"Name": "block_size_y", "Type": "int", "Values": [1, 2, 4]},
      {"Name": "use_padding", "Type": "bool", "Values": "[False, True]"},
      {"Name": "layout", "Type": "string", "Values": "['nchw', 'nhwc']"}
    ],
    "Conditions": [
      {"Expression": "block_size_x * block_size_y >= 64", "Parameters": ["block_size_x", "block_size_y"]},
      {"Expression": "use_padding == False or block_size_x % 32 != 0", "Parameters": ["use_padding", "block_size_x"]}
    ]
  },
  "KernelSpecification": {"Language": "CUDA"}
})";

TEST(KernelTuner, T1BecomesASpace) {
  const Space space = space_from_t1(parse_json(kT1, "t1"), "t1");
  ASSERT_EQ(space.parameters().size(), 4u);
  // 16x4 32x2 32x4 48x2 48x4 64x1 64x2 64x4; padding for 16x4, 48x2, 48x4 too; two layouts each
  EXPECT_EQ(space.count(), 2u * (8 + 3));
  EXPECT_EQ(space.text(space.at(0)), "block_size_x=16 block_size_y=4 use_padding=0 layout=nchw");
}

TEST(KernelTuner, BrokenT1IsRefused) {
  auto refused = [](const std::function<void(Json&)>& spoil) {
    Json json = parse_json(kT1, "t1");
    spoil(json["ConfigurationSpace"]);
    return code_of([&] { space_from_t1(json, "t1"); });
  };
  EXPECT_EQ(refused([](Json& s) { s.erase("TuningParameters"); }), Code::bad_json);
  EXPECT_EQ(refused([](Json& s) { s["TuningParameters"] = 3; }), Code::bad_json);
  EXPECT_EQ(refused([](Json& s) { s["TuningParameters"][0].erase("Name"); }), Code::bad_json);
  EXPECT_EQ(refused([](Json& s) { s["TuningParameters"][0]["Values"] = "range(3)"; }), Code::bad_space);
  EXPECT_EQ(refused([](Json& s) { s["TuningParameters"][0]["Values"] = "[1, __import__('os')]"; }),
            Code::bad_space);
  EXPECT_EQ(refused([](Json& s) { s["TuningParameters"][0]["Values"] = Json::array({Json::array()}); }),
            Code::bad_json);
  EXPECT_EQ(refused([](Json& s) { s["TuningParameters"][0]["Values"] = "[]"; }), Code::bad_space);
  EXPECT_EQ(refused([](Json& s) { s["Conditions"][0]["Expression"] = "unknown > 1"; }), Code::bad_space);
  EXPECT_EQ(refused([](Json& s) { s["Conditions"][0]["Expression"] = "block_size_x > 100"; }),
            Code::bad_space);
  EXPECT_EQ(code_of([] { space_from_t1(Json(1), "t1"); }), Code::bad_json);
}

TEST(KernelTuner, CacheFilesAreMeasuredSpaces) {
  const Json json = parse_json(R"({"device_name": "A100", "tune_params_keys": ["x", "y"],
    "cache": {"16,1": {"x": 16, "y": 1, "time": 3.5, "times": [3.4, 3.6]},
              "16,2": {"x": 16, "y": 2, "time": "CompilationFailedConfig"},
              "32,1": {"x": 32, "y": 1, "time": "RuntimeFailedConfig"},
              "32,2": {"x": 32, "y": 2, "time": 1.25}}})",
                               "cache");
  const MeasuredSpace measured = measured_from_cache(json, "cache");
  EXPECT_EQ(measured.space.count(), 4u);
  EXPECT_EQ(measured.best_us(), 1250);
  EXPECT_EQ(measured.trial({0, 0}).us, 3500);
  EXPECT_EQ(measured.trial({0, 1}).outcome, Outcome::compile);
  EXPECT_EQ(measured.trial({1, 0}).outcome, Outcome::invalid);
  EXPECT_EQ(code_of([] { measured_from_cache(parse_json(R"({"cache": []})", "c"), "c"); }), Code::bad_json);
  EXPECT_EQ(
      code_of([] { measured_from_cache(parse_json(R"({"tune_params_keys": [], "cache": {}})", "c"), "c"); }),
      Code::bad_space);
  EXPECT_EQ(code_of([] {
              measured_from_cache(parse_json(R"({"tune_params_keys": ["x"], "cache": {"1": {}}})", "c"), "c");
            }),
            Code::bad_json);
}

TEST(KernelTuner, T4HoldsEveryRecord) {
  Record ok;
  ok.key = {"gemm", "f32", "row-major", "EPYC", 0.5, "g++ 12", "abc"};
  ok.configuration = {{"tile", std::int64_t{8}}};
  ok.us = {2000, 1500}, ok.compile_s = 0.25, ok.when = "2026-11-21T20:00:00Z";
  std::vector<Record> records = {ok};
  for (Outcome outcome : kOutcomes)
    if (outcome != Outcome::ok)
      records.push_back(ok), records.back().us.clear(), records.back().outcome = outcome;
  const Json t4 = to_t4(records);
  EXPECT_EQ(t4["schema_version"], "1.0.0");
  ASSERT_EQ(t4["results"].size(), 6u);
  const Json& first = t4["results"][0];
  EXPECT_EQ(first["times"]["runtimes"], (Json::array({2.0, 1.5})));
  EXPECT_EQ(first["times"]["compilation_time"], 250);
  EXPECT_EQ(first["measurements"][0]["value"], 1.5);
  EXPECT_EQ(first["objectives"], Json::array({"time"}));
  std::vector<std::string> words;
  for (const Json& result : t4["results"]) {
    words.push_back(result["invalidity"]);
    EXPECT_EQ(result["correctness"], words.back() == "correct" ? 1 : 0);
  }
  EXPECT_EQ(words,
            (std::vector<std::string>{"correct", "compile", "runtime", "timeout", "runtime", "correctness"}));
}

}  // namespace
}  // namespace tailor::tune
