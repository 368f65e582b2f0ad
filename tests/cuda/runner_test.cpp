// What the runner answers where everything goes well, against the arithmetic of the fake device.
#include "tailor/base/error.h"
#include "tests/cuda/fake_runner.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::testing {
namespace {

const std::string kConv = "conv_mb1_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu";

// 2 us of launch and waves of blocks of 128 x 128 x k, 1024 multiply-accumulates per clock of 1980 MHz.
double product_us(std::int64_t m, std::int64_t n, std::int64_t k, int sms) {
  const std::int64_t blocks = ((m + 127) / 128) * ((n + 127) / 128), waves = (blocks + sms - 1) / sms;
  return 2 + static_cast<double>(waves) * 128 * 128 * static_cast<double>(k) / 1024 / 1980;
}

void expect_clean(FakeRunner& runner) {
  EXPECT_EQ(runner.end(), "exit status 0");
  EXPECT_EQ(runner.cuda.logged("misuse"), std::vector<std::string>{});
  EXPECT_EQ(runner.cuda.logged("leak"), std::vector<std::string>{});
}

TEST(CudaRunner, SaysWhatItIs) {
  FakeRunner runner({.settings = "sms=58,major=8,minor=9,name=Fake L4"});
  Json hello = runner.ask({{"op", "hello"}});
  EXPECT_EQ(hello["ok"], true);
  EXPECT_EQ(hello["runtime"], "cuda");
  EXPECT_EQ(hello["isa"], "sm_89");
  EXPECT_EQ(hello["processor"], "Fake L4");
  EXPECT_EQ(hello["cores"], 58);
  EXPECT_EQ(hello["device"]["multiprocessors"], 58);
  EXPECT_EQ(hello["device"]["least_partition"], 8);
  EXPECT_EQ(hello["profiles"], true);
  EXPECT_NE(hello["version"].get<std::string>().find("cuDNN 91300"), std::string::npos);
  EXPECT_EQ(runner.ask({{"op", "quit"}})["ok"], true);
  expect_clean(runner);
}

TEST(CudaRunner, TimesAStaircaseOfProducts) {
  FakeRunner runner;
  std::vector<std::string> lines;
  for (int n = 1024; n <= 2048; n += 128)
    lines.push_back("gemm_m2048_k512_n" + std::to_string(n) + "_f16+bias+relu");
  Json answer = runner.time(lines);
  ASSERT_EQ(answer["ok"], true) << answer;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const double expected = product_us(2048, 1024 + 128 * static_cast<std::int64_t>(i), 512, 132);
    ASSERT_EQ(answer["jobs"][i]["us"].size(), 3u);
    for (double us : answer["jobs"][i]["us"]) EXPECT_NEAR(us, expected, 0.02 * expected) << lines[i];
    EXPECT_EQ(answer["jobs"][i]["clock"], "gpu events");
  }
  // 2048 x 1024 are 128 blocks: 0.97 waves of 132 multiprocessors.
  const Json& kernel = answer["jobs"][0]["kernels"][0];
  EXPECT_EQ(kernel["name"], "fake_gemm_128x128");
  EXPECT_EQ(kernel["grid"], (Json{8, 16, 1}));
  EXPECT_NEAR(kernel["waves"].get<double>(), 128.0 / 132, 1e-6);
  expect_clean(runner);
}

TEST(CudaRunner, TimesEveryKindInEveryType) {
  FakeRunner runner;
  std::vector<std::string> lines = {
      "pool_max_mb1_c64ih112iw112_oh56ow56_kh3kw3_sh2sw2_ph1pw1_f16",
      "bgemm_b12_m197_k64_n197_f16",
      "eltwise_n100352_f16+add+relu",
      "conv_mb8_g32_ic32ih28iw28_oc32oh28ow28_kh3kw3_sh1sw1_ph1pw1_f16+bn+clip",
      "conv_mb1_g1_ic8ih9iw7_oc16oh5ow4_kh3kw3_sh2sw2_pt1pl1pb1pr1_f16+bias+hardswish",
      "gemm_m7_k13_n17_f16+bias+add+gelu"};
  for (std::string type : {"f32", "f16", "bf16", "i8"}) {
    lines.push_back("gemm_m64_k256_n256_" + type + "+bias+relu");
    lines.push_back("conv_mb1_g1_ic64ih14iw14_oc64oh14ow14_kh3kw3_sh1sw1_ph1pw1_" + type + "+bn+add+relu");
  }
  for (bool evict : {false, true}) {
    Json answer = runner.time(lines, evict);
    ASSERT_EQ(answer["ok"], true) << answer;
    for (const Json& job : answer["jobs"])
      for (double us : job["us"]) EXPECT_GT(us, 2) << job;
  }
  expect_clean(runner);
}

TEST(CudaRunner, WithoutTf32NoTensorCoreComputesF32) {
  const std::string line = "conv_mb1_g1_ic64ih14iw14_oc64oh14ow14_kh3kw3_sh1sw1_ph1pw1_f32+bn+relu";
  FakeRunner strict, loose({.arguments = "--tf32"});
  EXPECT_NE(strict.time({line})["jobs"][0]["choice"].get<std::string>().find("engine 1,"), std::string::npos);
  EXPECT_NE(loose.time({line})["jobs"][0]["choice"].get<std::string>().find("engine 45,"), std::string::npos);
  FakeRunner only_tensor({.settings = "tensor_only=1"});
  Json refused = only_tensor.time({line});
  EXPECT_EQ(refused["kind"], "refused") << refused;
  EXPECT_NE(refused["message"].get<std::string>().find("tf32"), std::string::npos);
}

TEST(CudaRunner, WhatCannotBeFusedRunsAfterwards) {
  FakeRunner fused, unfused({.settings = "unfused=1"});
  Json a = fused.time({kConv}), b = unfused.time({kConv});
  EXPECT_EQ(a["jobs"][0]["kernels"].size(), 1u) << a;
  ASSERT_EQ(b["jobs"][0]["kernels"].size(), 2u) << b;
  EXPECT_EQ(b["jobs"][0]["kernels"][1]["name"], "tailor_elementwise_f16");
  EXPECT_GT(b["jobs"][0]["us"][0].get<double>(), a["jobs"][0]["us"][0].get<double>());
  expect_clean(fused);
  expect_clean(unfused);
}

TEST(CudaRunner, RunsANetworkAsOneGraph) {
  FakeRunner runner;
  Json answer = runner.ask({{"op", "time"},
                            {"rounds", 4},
                            {"min_sample_us", 200},
                            {"jobs", {{{"network", small_network()}}, {{"workload", kConv}}}}});
  ASSERT_EQ(answer["ok"], true) << answer;
  EXPECT_EQ(answer["rounds"], 4);
  EXPECT_EQ(answer["jobs"][0]["kernels"].size(), 5u);
  Json alone = runner.ask({{"op", "profile"}, {"rounds", 3}, {"job", {{"network", small_network()}}}});
  ASSERT_EQ(alone["ok"], true) << alone;
  ASSERT_EQ(alone["nodes"].size(), 5u);
  EXPECT_EQ(alone["nodes"][0]["op"], "conv");
  EXPECT_EQ(alone["nodes"][2]["op"], "pool");
  double sum = 0;
  for (const Json& node : alone["nodes"]) sum += node["us"][0].get<double>();
  EXPECT_NEAR(sum, alone["run_us"][0].get<double>(), 1e-6);
  // Each of the five launches costs 2 us that no kernel's own time has.
  EXPECT_NEAR(alone["unprofiled_us"][0].get<double>(), sum + 10, 0.2);
  EXPECT_NEAR(answer["jobs"][0]["us"][0].get<double>(), sum + 10, 0.2);
  expect_clean(runner);
}

TEST(CudaRunner, ProbesShares) {
  FakeRunner runner;
  Json answer = runner.ask({{"op", "partitions"},
                            {"least", 32},
                            {"workloads", {"eltwise_n100000_f16+relu", "eltwise_n200000_f16+relu"}}});
  ASSERT_EQ(answer["ok"], true) << answer;
  ASSERT_EQ(answer["shares"].size(), 5u);  // four of 32 and the last 4
  EXPECT_EQ(answer["shares"][0]["multiprocessors"], 32);
  EXPECT_EQ(answer["shares"][0]["seen"], 32);
  EXPECT_EQ(answer["shares"][4]["multiprocessors"], 4);
  EXPECT_EQ(answer["shares"][4]["remainder"], true);
  EXPECT_EQ(answer["in_several_shares"], 0);
  EXPECT_EQ(answer["at_once"], 5);
  ASSERT_EQ(answer["beside"].size(), 2u);
  EXPECT_GT(answer["beside"][0]["alone_us"].get<double>(), 2);
  expect_clean(runner);
}

TEST(CudaRunner, AnOldDriverHasNoShares) {
  FakeRunner runner({.settings = "green=0"});
  EXPECT_EQ(runner.ask({{"op", "hello"}})["device"]["least_partition"], 0);
  EXPECT_EQ(runner.ask({{"op", "partitions"}, {"least", 8}})["ok"], false);
  expect_clean(runner);
}

TEST(CudaRunner, PlansForTheDeviceThatIsThere) {
  FakeRunner runner;
  Json answer = runner.ask({{"op", "plan"}, {"workloads", {kConv}}, {"most", 2}});
  ASSERT_EQ(answer["ok"], true) << answer;
  const Json& plan = answer["plans"][0];
  ASSERT_EQ(plan["choices"].size(), 2u);
  EXPECT_EQ(plan["choices"][0]["engine"], 45);
  EXPECT_EQ(plan["choices"][0]["knobs"]["TILE_SIZE"], 5);
  EXPECT_EQ(plan["choices"][0]["tensor_cores"], true);
  expect_clean(runner);
}

TEST(CudaRunner, IsUnderstoodByTheClient) {
  FakeCuda cuda;
  runtime::Runner runner({.command = cuda.command()});
  EXPECT_EQ(runner.hello().runtime, "cuda");
  runtime::Job job;
  job.workload = latency::parse_workload(kConv);
  const auto samples = runner.time(std::vector<runtime::Job>{job}, {.rounds = 5, .evict = true});
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].us.size(), 5u);
  EXPECT_NE(samples[0].kernel.find("fake_fprop_64x64"), std::string::npos);
}

TEST(CudaRunner, SurvivesItsDeath) {
  FakeCuda cuda({.settings = "die=cudnnBackendExecute:1"});
  runtime::Runner runner({.command = cuda.command()});
  runtime::Job job;
  job.workload = latency::parse_workload(kConv);
  try {
    runner.time(std::vector<runtime::Job>{job}, {});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::runner_failed);
    EXPECT_NE(std::string(error.what()).find("signal 9"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace tailor::testing
