// Kernels of cuda_source.h in shares of the fake device: compiled by the fake NVRTC, checked, timed beside each other. What the
// kernels compute is real (tests/tune/emulated_gpu.h); what they take is the fake's arithmetic.
#include "runners/kernels/layer.h"
#include "tailor/base/file.h"
#include "tailor/tune/cuda_source.h"
#include "tests/cuda/fake_runner.h"
#include "tests/tune/emulated_gpu.h"
#include "tests/tune/needs_fibers.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

using Values = std::vector<std::int64_t>;  // bm, bn, bk, stages, wm, wn, split_k, raster, persistent

const std::string kConv = "conv_mb2_g1_ic8ih9iw11_oc24oh9ow11_kh3kw3_sh1sw1_ph1pw1_f16+bn+add+relu";
const std::string kProduct = "gemm_m520_k72_n264_f16+bias+relu";

std::string text_of(const std::string& layer, const Values& values) {
  const latency::Workload w = latency::parse_workload(layer);
  const tune::Space space = tune::cuda_space(w, device::find_device("h200"));
  tune::Configuration c;
  for (std::size_t p = 0; p < values.size(); ++p)
    c.push_back(space.find(p, tune::Value(values[p])).value_or(0));
  EXPECT_EQ(space.allows(c), true) << space.text(c);
  return tune::cuda_source(w, space, c);
}

// The fake device with kernels compiled for it.
struct Trials {
  explicit Trials(const FakeOptions& options = {}) : runner(options) {}

  // Adds a trial of a text in a share.
  void add(int share, const std::string& layer, const std::string& text) {
    const std::string file = folder.fresh(".cubin").string();
    const Json built =
        runner.ask({{"op", "compile"}, {"text", text}, {"architecture", "sm_90a"}, {"file", file}});
    ASSERT_EQ(built["outcome"], "ok") << built;
    constexpr std::size_t kIntroduction = 10;  // "// tailor "
    const std::string first = text.substr(kIntroduction, text.find('\n') - kIntroduction);
    list.push_back(
        {{"share", share}, {"cubin", file}, {"launch", parse_json(first, "text")}, {"workload", layer}});
  }
  void add(int share, const std::string& layer, const Values& values) {
    add(share, layer, text_of(layer, values));
  }
  Json run(int least, int samples = 3, double min_sample_us = 200) {
    return runner.ask({{"op", "trials"},
                       {"least", least},
                       {"samples", samples},
                       {"min_sample_us", min_sample_us},
                       {"trials", list}});
  }
  void expect_clean() {
    EXPECT_EQ(runner.end(), "exit status 0");
    EXPECT_EQ(runner.cuda.logged("misuse"), std::vector<std::string>{});
    EXPECT_EQ(runner.cuda.logged("leak"), std::vector<std::string>{});
  }

  FakeRunner runner;
  TemporaryFolder folder;
  Json list = Json::array();
};

void expect_all_right(const Json& answer, std::size_t count) {
  ASSERT_EQ(answer["ok"], true) << answer;
  ASSERT_EQ(answer["trials"].size(), count);
  for (const Json& trial : answer["trials"]) {
    EXPECT_EQ(trial["outcome"], "ok") << trial;
    EXPECT_LE(trial["error"], 1) << trial;
    EXPECT_GT(trial["error"], 0) << "an f16 is not that exact: was anything compared?";
    ASSERT_EQ(trial["us"].size(), 3u);
    for (const Json& us : trial["us"]) EXPECT_GT(us.get<double>(), 2);
  }
  EXPECT_EQ(answer["sentinel"].size(), count);
  for (const Json& share : answer["sentinel"]) EXPECT_EQ(share["before_us"], share["after_us"]);
}

TEST(HalfLayers, OperandsAreNumbersThatAnF16Holds) {
  const kernels::Layer layer = kernels::make_layer(latency::parse_workload(kConv));
  for (const std::vector<float>* operand : {&layer.input, &layer.weights, &layer.residual}) {
    ASSERT_FALSE(operand->empty());
    for (float value : *operand) {
      ASSERT_EQ(kernels::half_value(kernels::half_bits(value)), value);
      ASSERT_EQ(half_of(value), kernels::half_bits(value)) << value;
    }
  }
  for (unsigned bits = 0; bits < 0x7c00; ++bits)
    ASSERT_EQ(kernels::half_value(static_cast<std::uint16_t>(bits)),
              float_of(static_cast<std::uint16_t>(bits)));
}

TEST(HalfLayers, SomeOutputsAreThoseOfAll) {
  for (const std::string& text : {kConv, kProduct}) {
    const latency::Workload w = latency::parse_workload(text);
    const kernels::Layer all = kernels::make_layer(w), some = kernels::make_layer(w, latency::macs(w) / 7);
    EXPECT_EQ(all.stride, 1);
    ASSERT_GT(some.stride, 6);
    EXPECT_LT(some.stride, 20);
    ASSERT_EQ(static_cast<std::int64_t>(all.expected.size()), all.outputs);
    ASSERT_EQ(static_cast<std::int64_t>(some.expected.size()), (all.outputs + some.stride - 1) / some.stride);
    for (std::size_t i = 0; i < some.expected.size(); ++i)
      ASSERT_EQ(some.expected[i], all.expected[i * static_cast<std::size_t>(some.stride)]) << i;
  }
}

TEST(CudaTrials, WhatKernelsComputeIsCompared) {
  NEEDS_FIBERS();
  Trials t;
  t.add(0, kConv, Values{32, 32, 32, 3, 2, 2, 1, 1, 0});
  t.add(3, kConv, Values{64, 32, 32, 2, 4, 1, 2, 2, 0});  // parts of the reduction in a workspace
  t.add(5, kProduct, Values{64, 64, 32, 2, 2, 2, 1, 1, 0});
  t.add(15, kProduct, Values{256, 128, 64, 2, 4, 2, 1, 2, 0});  // more shared memory than 48 KiB
  const Json answer = t.run(8);
  expect_all_right(answer, 4);
  ASSERT_EQ(answer["shares"].size(), 17u) << "132 multiprocessors: sixteen shares of 8, and 4 are left over";
  for (std::size_t i = 0; i < 17; ++i) {
    EXPECT_EQ(answer["shares"][i]["multiprocessors"], i < 16 ? 8 : 4);
    EXPECT_EQ(answer["shares"][i]["remainder"], i == 16);
  }
  t.expect_clean();
}

TEST(CudaTrials, PersistentGridsAreCutToTheShare) {
  NEEDS_FIBERS();
  // 9 x 9 tiles x 2 parts of 32 x 32: more than the device holds at a time in one block each of 132 multiprocessors.
  const std::string layer = "gemm_m280_k128_n280_f16+bias";
  Trials t;
  t.add(0, layer, Values{32, 32, 32, 2, 2, 2, 2, 1, 1});
  t.add(1, layer, Values{32, 32, 32, 2, 2, 2, 2, 1, 0});
  const Json small = t.run(8), large = t.run(64);
  expect_all_right(small, 2);
  expect_all_right(large, 2);
  // 128 threads of 48 registers: ten blocks for each multiprocessor.
  EXPECT_EQ(small["trials"][0]["blocks"], 80);
  EXPECT_EQ(small["trials"][1]["blocks"], 162);
  EXPECT_EQ(large["trials"][0]["blocks"], 162) << "no more than there is work";
  t.list.erase(1);
  const Json whole = t.run(0);
  expect_all_right(whole, 1);
  EXPECT_EQ(whole["shares"].size(), 1u);
  EXPECT_EQ(whole["shares"][0]["multiprocessors"], 132);
  t.expect_clean();
}

TEST(CudaTrials, NeighboursAreBusyForAboutAsLong) {
  NEEDS_FIBERS();
  Trials t;
  t.add(0, kConv, Values{32, 32, 32, 3, 2, 2, 1, 1, 0});
  t.add(1, "gemm_m512_k512_n512_f16", Values{64, 64, 32, 2, 2, 2, 1, 1, 0});
  const Json answer = t.run(8, 3, 100);
  expect_all_right(answer, 2);
  double busy[2];
  for (std::size_t i = 0; i < 2; ++i)
    busy[i] = answer["trials"][i]["us"][0].get<double>() * answer["trials"][i]["repeats"].get<double>();
  EXPECT_GE(busy[0], 100);
  EXPECT_NEAR(busy[0] / busy[1], 1, 0.35) << answer;
  t.expect_clean();
}

TEST(CudaTrials, AWrongKernelIsOneAndItsNeighbourIsRight) {
  NEEDS_FIBERS();
  std::string broken = text_of(kConv, {32, 32, 32, 3, 2, 2, 1, 1, 0});
  broken.replace(broken.find("value += bias[n];"), 17, "value -= bias[n];");
  Trials t;
  t.add(0, kConv, broken);
  t.add(1, kConv, Values{32, 32, 32, 3, 2, 2, 1, 1, 0});
  const Json answer = t.run(8);
  ASSERT_EQ(answer["ok"], true) << answer;
  EXPECT_EQ(answer["trials"][0]["outcome"], "wrong_result");
  EXPECT_GT(answer["trials"][0]["error"], 1);
  EXPECT_TRUE(answer["trials"][0]["us"].empty());
  EXPECT_EQ(answer["trials"][1]["outcome"], "ok");
  EXPECT_EQ(answer["sentinel"].size(), 1u);
  t.expect_clean();
}

// Nothing is launched, so sanitizers see operands laid out and modules loaded here.
TEST(CudaTrials, WhatDoesNotFitIsADeviceLimit) {
  Trials t;
  t.add(0, kConv, Values{32, 32, 32, 3, 2, 2, 1, 1, 0});
  t.list[0]["launch"]["run"][0]["shared"] = 300000;
  EXPECT_EQ(t.run(8)["trials"][0]["outcome"], "device_limit");
  write_file(t.folder.path() / "none.cubin", "no program of this device");
  t.list[0]["cubin"] = (t.folder.path() / "none.cubin").string();
  EXPECT_EQ(t.run(8)["trials"][0]["outcome"], "invalid");
  t.expect_clean();
}

TEST(CudaTrials, AFaultEndsTheProcessAfterItsAnswer) {
  NEEDS_FIBERS();
  Trials t({.settings = "fault=BM:64"});
  t.add(0, kProduct, Values{64, 64, 32, 2, 2, 2, 1, 1, 0});
  t.add(1, kProduct, Values{32, 32, 32, 2, 2, 2, 1, 1, 0});
  const Json answer = t.run(8);
  EXPECT_EQ(answer["ok"], false);
  EXPECT_EQ(answer["kind"], "internal") << answer;
  EXPECT_NE(answer["message"].get<std::string>().find("700"), std::string::npos) << answer;
  EXPECT_TRUE(t.runner.ask({{"op", "hello"}}).is_null());
  EXPECT_EQ(t.runner.end(), "exit status 1");
}

TEST(CudaTrials, SharesThatOverlapAreRefused) {
  NEEDS_FIBERS();
  Trials t({.settings = "overlap=1"});
  t.add(0, kConv, Values{32, 32, 32, 3, 2, 2, 1, 1, 0});
  const Json answer = t.run(8);
  EXPECT_EQ(answer["kind"], "refused") << answer;
  EXPECT_EQ(answer["code"], "E6003");
  EXPECT_NE(answer["message"].get<std::string>().find("15 multiprocessors"), std::string::npos) << answer;
  EXPECT_FALSE(answer["help"].get<std::string>().empty());
  expect_all_right(t.run(0), 1);
  t.expect_clean();
}

TEST(CudaTrials, AnOldDriverHasTheWholeDeviceOnly) {
  NEEDS_FIBERS();
  Trials t({.settings = "green=0"});
  t.add(0, kConv, Values{32, 32, 32, 3, 2, 2, 1, 1, 0});
  EXPECT_EQ(t.run(8)["ok"], false);
  expect_all_right(t.run(0), 1);
  t.expect_clean();
}

TEST(CudaTrials, ASlowerClockShowsInTheSentinel) {
  NEEDS_FIBERS();
  Trials t({.settings = "drift=60000:110"});
  t.add(0, kConv, Values{32, 32, 32, 3, 2, 2, 1, 1, 0});
  const Json answer = t.run(8, 20, 5000);
  ASSERT_EQ(answer["ok"], true) << answer;
  const Json& share = answer["sentinel"][0];
  EXPECT_NEAR(share["after_us"].get<double>() / share["before_us"].get<double>(), 1.1, 0.01) << answer;
}

TEST(CudaTrials, RequestsThatMakeNoSense) {
  Trials t;
  const Json good = {
      {"op", "trials"},
      {"least", 8},
      {"samples", 1},
      {"min_sample_us", 100},
      {"trials",
       {{{"share", 0},
         {"cubin", "/nowhere"},
         {"workload", kConv},
         {"launch",
          {{"workspace", 0},
           {"persistent", false},
           {"run", {{{"kernel", "product"}, {"grid", {1}}, {"block", {32}}, {"shared", 0}}}}}}}}}};
  EXPECT_EQ(t.runner.ask(good)["code"], "E2101") << "only the file is missing";
  auto refused = [&](const char* pointer, const Json& value) {
    Json bad = good;
    bad[Json::json_pointer(pointer)] = value;
    const Json answer = t.runner.ask(bad);
    EXPECT_EQ(answer["ok"], false) << pointer << value;
    EXPECT_EQ(answer["kind"], "usage") << pointer << answer;
    EXPECT_NE(answer["code"], "E2101") << pointer << answer;
  };
  refused("/least", -1);
  refused("/samples", 0);
  refused("/min_sample_us", 0);
  refused("/trials", Json::array());
  refused("/trials", 7);
  refused("/trials/1", good["trials"][0]);
  refused("/trials/0/share", 60);
  refused("/trials/0/share", 99);
  refused("/trials/0/workload", "gemm_m8_k8_n8_f32");
  refused("/trials/0/workload", "nonsense");
  refused("/trials/0/launch", Json::object());
  refused("/trials/0/launch/workspace", -1);
  refused("/trials/0/launch/run", Json::array());
  refused("/trials/0/launch/run/0/kernel", "finish");
  refused("/trials/0/launch/run/0/grid", Json::array({0}));
  refused("/trials/0/launch/run/0/grid", 7);
  refused("/trials/0/launch/run/0/block", Json::array({4096}));
  refused("/trials/0/launch/run/0/shared", -1);
}

// Every function of the driver that a trial needs fails once: the answer says so, and nothing is left behind.
TEST(CudaTrials, EachFunctionFails) {
  NEEDS_FIBERS();
  Trials good;  // whose cubins all others load
  good.add(0, kProduct, Values{256, 128, 64, 2, 4, 2, 1, 2, 0});
  good.add(1, kConv, Values{32, 32, 32, 3, 2, 2, 1, 1, 0});
  for (const char* name : {"cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute",
                           "cuOccupancyMaxActiveBlocksPerMultiprocessor", "cuMemAlloc_v2", "cuMemcpyHtoD_v2",
                           "cuMemcpyDtoH_v2", "cuLaunchKernel", "cuEventCreate", "cuEventRecord",
                           "cuEventElapsedTime", "cuCtxSynchronize", "cuDevSmResourceSplitByCount"})
    for (int call : {1, 2, 4}) {
      Trials t({.settings = fmt::format("fail={}:{}:999", name, call)});
      t.list = good.list;
      const Json answer = t.run(8);
      ASSERT_TRUE(answer.is_object()) << name;
      EXPECT_TRUE(answer["ok"] == false || answer["trials"].size() == 2u) << name << answer;
      EXPECT_TRUE(call > 1 || answer["ok"] == false || answer["trials"][0]["outcome"] != "ok")
          << name << answer;
      t.runner.end();
      EXPECT_EQ(t.runner.cuda.logged("misuse"), std::vector<std::string>{}) << name << call;
      EXPECT_EQ(t.runner.cuda.logged("leak"), std::vector<std::string>{}) << name << call;
    }
}

}  // namespace
}  // namespace tailor::testing
