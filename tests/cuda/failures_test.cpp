// Everything that can go wrong: each function of CUDA failing at each of its first calls, missing and damaged libraries,
// requests that make no sense.
#include "runners/cuda/api.h"
#include "tests/cuda/fake_runner.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace tailor::testing {
namespace {

const std::string kConv = "conv_mb1_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu+hardswish";

Json everything() {
  return {{"op", "time"},
          {"rounds", 2},
          {"min_sample_us", 50},
          {"evict", true},
          {"jobs",
           {{{"workload", kConv}},
            {{"workload", "gemm_m64_k256_n256_f16+bias+relu"}},
            {{"workload", "bgemm_b2_m64_k64_n64_f16"}},
            {{"network", small_network()}}}}};
}

// Functions by symbol; those that give back (and may fail silently) are left out.
std::vector<std::string> symbols() {
  std::vector<std::string> names;
#define TAILOR_CUDA_NAME(name, symbol, ...) names.push_back(#symbol);
  TAILOR_CUDA_DRIVER(TAILOR_CUDA_NAME)
  TAILOR_CUDA_BLAS(TAILOR_CUDA_NAME)
  TAILOR_CUDA_DNN(TAILOR_CUDA_NAME)
#undef TAILOR_CUDA_NAME
  std::erase_if(names, [](const std::string& s) {
    // An attribute that a driver does not know is 0 and no failure; some attributes of a product are optional.
    return s.find("Destroy") != std::string::npos || s.find("Release") != std::string::npos ||
           s == "cuMemFree_v2" || s == "cuModuleUnload" || s == "cuGetErrorString" ||
           s == "cuDeviceGetAttribute" || s == "cublasLtMatmulAlgoConfigGetAttribute" ||
           s == "cublasLtMatmulPreferenceSetAttribute" || s == "cuFuncSetAttribute" ||
           s == "cuOccupancyMaxActiveBlocksPerMultiprocessor" ||  // trials_test.cpp
           s == "cuMemcpyDtoH_v2";                                // of shares only, see below
  });
  return names;
}

class EachFunctionFails : public ::testing::TestWithParam<std::string> {};

TEST_P(EachFunctionFails, IsAnAnswerAndLeaksNothing) {
  constexpr int kStatus = 999;
  for (int call : {1, 2, 9}) {
    FakeRunner runner(
        {.settings = "fail=" + GetParam() + ":" + std::to_string(call) + ":" + std::to_string(kStatus)});
    Json answer = runner.ask(everything());
    ASSERT_TRUE(answer.is_object()) << GetParam() << " at call " << call << " ended the runner";
    if (answer["ok"] == true) {
      EXPECT_GT(call, 1) << GetParam() << ": the first call failed and nobody noticed";
    } else {
      EXPECT_TRUE(answer["kind"] == "internal" || answer["kind"] == "refused" || answer["kind"] == "device")
          << answer;
      EXPECT_FALSE(answer["message"].get<std::string>().empty());
    }
    runner.end();
    EXPECT_EQ(runner.cuda.logged("misuse"), std::vector<std::string>{}) << GetParam() << " at call " << call;
    EXPECT_EQ(runner.cuda.logged("leak"), std::vector<std::string>{}) << GetParam() << " at call " << call;
  }
}
INSTANTIATE_TEST_SUITE_P(Cuda, EachFunctionFails, ::testing::ValuesIn(symbols()),
                         [](const auto& each) { return each.param; });

TEST(CudaFailures, EachFunctionOfShares) {
  std::vector<std::string> names = {"cuMemcpyDtoH_v2"};
#define TAILOR_CUDA_NAME(name, symbol, ...) names.push_back(#symbol);
  TAILOR_CUDA_GREEN(TAILOR_CUDA_NAME)
#undef TAILOR_CUDA_NAME
  std::erase(names, "cuGreenCtxDestroy");
  for (const std::string& name : names)
    for (int call : {1, 3}) {
      FakeRunner runner({.settings = "fail=" + name + ":" + std::to_string(call) + ":999"});
      Json answer =
          runner.ask({{"op", "partitions"}, {"least", 32}, {"workloads", {"eltwise_n1000_f16+relu"}}});
      ASSERT_TRUE(answer.is_object()) << name;
      EXPECT_TRUE(call > 1 || answer["ok"] == false) << name << answer;
      runner.end();
      EXPECT_EQ(runner.cuda.logged("misuse"), std::vector<std::string>{}) << name;
      EXPECT_EQ(runner.cuda.logged("leak"), std::vector<std::string>{}) << name;
    }
}

TEST(CudaFailures, ALostContextEndsTheRunnerAfterItsAnswer) {
  FakeRunner runner({.settings = "fail=cuGraphLaunch:3:719"});
  Json answer = runner.time({kConv});
  EXPECT_EQ(answer["kind"], "internal") << answer;
  EXPECT_NE(answer["message"].get<std::string>().find("719"), std::string::npos);
  EXPECT_TRUE(runner.ask({{"op", "hello"}}).is_null());
  EXPECT_EQ(runner.end(), "exit status 1");
}

TEST(CudaFailures, OutOfMemoryIsSaidAndSurvived) {
  FakeRunner runner({.settings = "memory_gb=1"});
  Json answer = runner.time({"gemm_m16384_k16384_n16384_f16"});
  EXPECT_EQ(answer["kind"], "memory") << answer;
  EXPECT_NE(answer["message"].get<std::string>().find("cuMemAlloc"), std::string::npos);
  EXPECT_EQ(runner.time({"gemm_m64_k64_n64_f16"})["ok"], true);
  runner.end();
  EXPECT_EQ(runner.cuda.logged("leak"), std::vector<std::string>{});
}

TEST(CudaFailures, ADamagedLibraryIsNamed) {
  for (std::string name : {"libcuda.so.1", "libcublasLt.so.13", "libcudnn.so.9"}) {
    FakeRunner runner({.broken = {name}});
    Json answer = runner.ask(everything());
    EXPECT_EQ(answer["kind"], "device") << name << answer;
    EXPECT_EQ(answer["code"], "E6001");
    EXPECT_NE(answer["message"].get<std::string>().find(name), std::string::npos) << answer;
    EXPECT_FALSE(answer["help"].get<std::string>().empty());
    EXPECT_EQ(runner.ask({{"op", "quit"}})["ok"], true);
  }
}

TEST(CudaFailures, WithoutCuptiLayersAreStillTimed) {
  FakeRunner runner({.broken = {"libcupti.so.13"}});
  Json hello = runner.ask({{"op", "hello"}});
  EXPECT_EQ(hello["profiles"], false);
  EXPECT_NE(hello["tracing"].get<std::string>().find("libcupti"), std::string::npos) << hello;
  Json answer = runner.time({kConv});
  ASSERT_EQ(answer["ok"], true) << answer;
  EXPECT_TRUE(answer["jobs"][0]["kernels"].empty());
  EXPECT_NE(answer["jobs"][0]["kernel"].get<std::string>().find("engine 45"), std::string::npos);
  EXPECT_EQ(runner.ask({{"op", "profile"}, {"job", {{"network", small_network()}}}})["kind"], "device");
}

TEST(CudaFailures, TracingThatTheSystemForbidsIsSaid) {
  FakeRunner runner({.settings = "fail=cuptiActivityEnable:1:35"});
  Json hello = runner.ask({{"op", "hello"}});
  EXPECT_EQ(hello["profiles"], false);
  EXPECT_NE(hello["tracing"].get<std::string>().find("35"), std::string::npos) << hello;
}

TEST(CudaFailures, NoDevice) {
  FakeRunner none({.settings = "sms=0"}), second({.arguments = "--gpu 1"});
  for (FakeRunner* runner : {&none, &second}) {
    Json answer = runner->ask({{"op", "hello"}});
    EXPECT_EQ(answer["kind"], "device") << answer;
    EXPECT_NE(answer["help"].get<std::string>().find("nvidia-smi"), std::string::npos);
  }
}

TEST(CudaFailures, RequestsThatMakeNoSense) {
  FakeRunner runner;
  const std::string network = R"({"op":"time","jobs":[{"network":)";
  for (const std::string& text : std::vector<std::string>{
           R"({"op":"dance"})",
           R"({"op":7})",
           R"({})",
           R"({"op":"time"})",
           R"({"op":"time","jobs":7})",
           R"({"op":"time","jobs":[7]})",
           R"({"op":"time","jobs":[{"workload":7}]})",
           R"({"op":"time","threads":2,"jobs":[]})",
           R"({"op":"time","rounds":-1,"jobs":[]})",
           R"({"op":"time","jobs":[{"workload":"gemm_m1_k2"}]})",
           R"({"op":"time","jobs":[{"workload":"pool_max_f16"}]})",
           R"({"op":"time","jobs":[{"workload":"eltwise_n0_f16+relu"}]})",
           R"({"op":"time","jobs":[{"workload":"bgemm_b1_m1_k1_n1_f64"}]})",
           network + "7}]}",
           network + "{}}]}",
           network + R"({"layers":[]}}]})",
           network + R"({"layers":[{"layer":"eltwise_n4_f16+relu","in":[],"out":1}]}}]})",
           network + R"({"layers":[{"layer":"eltwise_n4_f16+relu","in":[0],"out":0}]}}]})",
           network + R"({"layers":[{"layer":"eltwise_n4_f16+relu","in":[0,1],"out":2}]}}]})",
           network + R"({"layers":[{"layer":"eltwise_n4_f16+relu","in":[-1],"out":2}]}}]})",
           R"({"op":"profile","job":{"workload":"gemm_m1_k2_n3_f16"}})",
           R"({"op":"plan","workloads":7})",
           R"({"op":"plan","workloads":[7]})",
           R"({"op":"plan","workloads":[],"most":0})",
           R"({"op":"plan","workloads":[],"device":{}})",
           R"({"op":"partitions"})",
           R"({"op":"partitions","least":0})",
           R"({"op":"partitions","least":8,"workloads":[7]})"}) {
    Json answer = runner.ask(parse_json(text, "test"));
    ASSERT_TRUE(answer.is_object()) << text;
    EXPECT_EQ(answer["ok"], false) << text;
    EXPECT_EQ(answer["kind"], "usage") << text << answer;
  }
  EXPECT_EQ(runner.end(), "exit status 0");
}

TEST(CudaFailures, WhatItCannotComputeIsRefused) {
  FakeRunner runner;
  for (std::string line :
       {"deconv_mb1_g1_ic8ih8iw8_oc8oh16ow16_kh2kw2_sh2sw2_ph0pw0_f16", "gemm_m4_k4_n4_f16+softmax",
        "conv_mb1_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+add+add",
        "pool_max_mb1_c64ih112iw112_oh57ow57_kh3kw3_sh2sw2_ph1pw1_f16",
        "gemm_m16777216_k16777216_n16777216_f16"}) {
    Json answer = runner.time({line});
    EXPECT_EQ(answer["kind"], "refused") << line << answer;
    EXPECT_EQ(answer["code"], "E6003");
  }
  EXPECT_EQ(runner.ask({{"op", "run"}})["kind"], "refused");
  EXPECT_EQ(runner.ask({{"op", "time"}, {"jobs", {{{"model", "/a.onnx"}}}}})["kind"], "refused");
  EXPECT_EQ(runner.time({"gemm_m4_k4_n4_f16"})["ok"], true);
}

}  // namespace
}  // namespace tailor::testing
