// Kernels in OpenCL C on the device that is there: every configuration of small layers computes what loops compute, in
// sub-devices of one unit and on the whole; what goes wrong is an outcome.
#include "tailor/base/file.h"
#include "tailor/base/subprocess.h"
#include "tailor/tune/kernel_source.h"
#include "tailor/tune/scheduler.h"
#include "tests/opencl/devices.h"
#include "tests/tune/spaces.h"

#include <nlohmann/json.hpp>

#include <set>

namespace tailor::tune {
namespace {

class OpenClKernels : public ::testing::Test {
 protected:
  void SetUp() override { TAILOR_NEEDS_OPENCL(); }

  // Some configurations at random, each compiled, checked and timed.
  void try_some(const std::string& layer, int count, int units) {
    const latency::Workload w = latency::parse_workload(layer);
    const Space space = opencl_space(w, place().device);
    KernelRunner runner(-1, command_for(place(), 0, place().device.units, folder.path()));
    Random random(7);
    for (int i = 0; i < count; ++i) {
      const Configuration configuration = space.sample(random);
      const std::filesystem::path file = folder.fresh(".cl");
      write_file(file, opencl_source(w, space, configuration));
      const KernelTiming timing = runner.time(file, w, units, 2, 1);
      ASSERT_EQ(timing.outcome, Outcome::ok)
          << layer << ", " << space.text(configuration) << ": " << timing.message;
      EXPECT_EQ(timing.us.size(), 2u);
    }
  }
  static const OpenClPlace& place() { return *testing::opencl_here(); }
  int one() const { return place().device.by_counts ? 1 : place().device.units; }

  // A kernel whose product is `body`.
  KernelTiming outcome_of(const std::string& body, const std::string& launch = R"("global":[1])",
                          double timeout_s = 30) {
    const std::filesystem::path file = folder.fresh(".cl");
    write_file(file, R"(// tailor {"packed":0,"scratch":0,"prepare":[],"run":[{"kernel":"product",)" +
                         launch +
                         "}]}\n__kernel void product(__global const float* a, __global const float* b, "
                         "__global float* c,\n"
                         "    __global const float* d, __global const float* e, __global float* f, __global "
                         "float* out) {\n" +
                         body + "\n}\n");
    KernelRunner runner(-1, command_for(place(), 0, place().device.units, folder.path()), timeout_s);
    return runner.time(file, latency::parse_workload("gemm_m4_k4_n4_f32"), one(), 1, 1);
  }
  TemporaryFolder folder;
};

TEST_F(OpenClKernels, ProductsComputeWhatLoopsCompute) {
  try_some("gemm_m37_k53_n71_f32+bias+relu", 4, one());
  try_some("gemm_m1_k100_n10_f32", 2, one());
  try_some("gemm_m64_k300_n96_f32+bias", 2, place().device.units);
}

TEST_F(OpenClKernels, ConvolutionsComputeWhatLoopsCompute) {
  try_some("conv_mb1_g1_ic5ih9iw11_oc7oh9ow11_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu", 4, one());
  try_some("conv_mb2_g1_ic16ih12iw12_oc24oh6ow6_kh3kw3_sh2sw2_pt1pl1pb0pr0_f32+bn+add+relu", 3,
           place().device.units);
  try_some("conv_mb1_g1_ic8ih10iw10_oc8oh6ow6_kh3kw3_sh1sw1_dh2dw2_ph0pw0_f32+bias+clip", 2, one());
  try_some("conv_mb1_g1_ic32ih7iw7_oc16oh7ow7_kh1kw1_sh1sw1_ph0pw0_f32+bias", 2, one());
  try_some("conv_mb1_g1_ic8ih16iw16_oc16oh16ow16_kh3kw3_sh1sw1_ph1pw1_f32+bias", 2, place().device.units);
}

TEST_F(OpenClKernels, WhatAKernelDoesWrongIsAnOutcome) {
  EXPECT_EQ(outcome_of("for (int i = 0; i < 16; ++i) out[i] = 1;").outcome, Outcome::wrong_result);
  EXPECT_EQ(outcome_of("").outcome, Outcome::wrong_result) << "what it leaves unwritten counts";
  const KernelTiming refused = outcome_of("this is no C;");
  EXPECT_EQ(refused.outcome, Outcome::compile);
  EXPECT_FALSE(refused.message.empty());
  const std::int64_t group = 2 * place().device.group;
  EXPECT_EQ(outcome_of("", fmt::format(R"("global":[{0}],"local":[{0}])", group)).outcome,
            Outcome::device_limit);
  if (!place().device.processor) return;  // a crash of a kernel is one of this process on processors only
  EXPECT_EQ(outcome_of("*(volatile __global int*)8 = 1;").outcome, Outcome::invalid);
}

TEST_F(OpenClKernels, OneThatHangsIsATimeout) {
  if (!place().device.processor) GTEST_SKIP() << "a GPU would hang for everybody";
  EXPECT_EQ(outcome_of("for (volatile int i = 0;;) i = 1;", R"("global":[1])", 3).outcome, Outcome::timeout);
}

// The sub-devices of two runners are different cores' threads; one process has both out of one split.
TEST_F(OpenClKernels, PartsRunBesideEachOtherOnThreadsOfTheirOwn) {
  if (!place().device.by_counts || place().device.units < 2)
    GTEST_SKIP() << "one compute unit, or none to hand out";
  const latency::Workload w = latency::parse_workload("gemm_m64_k64_n64_f32");
  const Space space = opencl_space(w, place().device);
  const std::filesystem::path file = folder.fresh(".cl");
  Random random(2);
  write_file(file, opencl_source(w, space, space.sample(random)));
  Subprocess child(command_for(place(), 0, place().device.units, folder.path()));
  child.write_line(
      R"({"op":"partitions","workload":"gemm_m64_k64_n64_f32","workers":1,"rounds":2,"seconds":0.05,"library":")" +
          file.string() + "\"}",
      5);
  const Json json = parse_json(child.read_line(60, 1 << 20).text, "answer");
  ASSERT_EQ(json["ok"], true) << to_line(json);
  ASSERT_EQ(json["right"], true) << to_line(json);
  const auto units = static_cast<std::size_t>(place().device.units);
  EXPECT_EQ(json["units"].size(), units);
  EXPECT_EQ(json["throughput"].size(), 2u);
  if (!place().device.processor) return;
  const auto threads = json["threads"].get<std::vector<int>>();
  EXPECT_EQ(std::set<int>(threads.begin(), threads.end()).size(), units)
      << "each part has a thread of its own";
  for (const Json& part : json["beside_cpu_us"])
    for (const Json& us : part) EXPECT_GT(us.get<double>(), 0) << "that thread worked while the others did";
}

TEST_F(OpenClKernels, AreTunedThroughTheScheduler) {
  TuneOptions how{.jobs = 1, .seconds = 120};
  how.per_task = {.trials = 3}, how.samples = 2, how.finalists = 2, how.searcher = "random";
  how.opencl = place();
  RecordFile file(folder.fresh(".jsonl"));
  const latency::Workload w = latency::parse_workload("gemm_m32_k32_n32_f32+bias");
  const double share = static_cast<double>(one()) / place().device.units;
  const TuneResult result = tune_kernels({{w, share, one(), 1}}, file, how);
  ASSERT_TRUE(result.tasks.front().best);
  EXPECT_EQ(result.tasks.front().best->tier, Tier::exclusive);
  for (const Record& record : file.records()) {
    EXPECT_EQ(record.outcome, Outcome::ok) << record.message;
    EXPECT_TRUE(record.key.device.starts_with("OpenCL: "));
    EXPECT_EQ(record.clock, place().clock);
  }
}

}  // namespace
}  // namespace tailor::tune
