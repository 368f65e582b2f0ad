// Kernels beside each other in runners of their own, and oneDNN's beside generated ones. Needs a C++ compiler; what needs
// oneDNN or two cores is skipped where they are not.
#include "tailor/base/file.h"
#include "tailor/tune/core_bench.h"
#include "tailor/tune/scheduler.h"
#include "tailor/tune/surface.h"
#include "tests/tune/spaces.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::tune {
namespace {

using testing::code_of;
constexpr const char* kRunner = "exec " TAILOR_BINARY_DIR "/bin/tailor-runner-kernels";

latency::Workload workload(const std::string& text) { return latency::parse_workload(text); }

// Skips the test, visibly, where oneDNN is not installed.
#define TAILOR_NEEDS_ONEDNN(runner)                                                                         \
  do {                                                                                                      \
    const KernelTiming timing = runner.time_onednn("", latency::parse_workload("gemm_m4_k4_n4_f32"), 1, 1); \
    if (timing.message.find("libdnnl") != std::string::npos)                                                \
      GTEST_SKIP() << "oneDNN 2 is missing (Debian: libdnnl2): " << timing.message;                         \
  } while (false)

class Beside : public ::testing::Test {
 protected:
  std::filesystem::path compiled(const latency::Workload& w, int workers) {
    const Space space = kernel_space(w, vector_unit());
    const Configuration usual = usual_configuration(w, vector_unit(), space, workers);
    EXPECT_TRUE(space.allows(usual));
    const Compiled made =
        compile_kernel(kernel_source(w, vector_unit(), space, usual), folder.fresh(".so"), quick);
    EXPECT_EQ(made.outcome, Outcome::ok) << made.message;
    return made.library;
  }
  CompilerOptions quick = {.flags = "-O1 -march=native"};
  TemporaryFolder folder;
  KernelRunner runner{-1, kRunner, 20};
};

TEST_F(Beside, AWindowHoldsWholeRunsInOrder) {
  const latency::Workload w = workload("gemm_m48_k64_n96_f32+bias");
  const int core = usable_cores().front();
  ASSERT_EQ(runner.load("own", compiled(w, 1), w, 1).outcome, Outcome::ok);
  for (const char* name : {"own", "spin", "cache", "memory"}) {
    if (std::string(name) != "own") {
      ASSERT_EQ(runner.load_stressor(name, 1).outcome, Outcome::ok);
    }
    runner.begin_window(name, {core}, 0.01);
    const KernelWindow window = runner.take_window();
    ASSERT_GE(window.us.size(), 3u) << name;
    for (std::size_t i = 0; i < window.us.size(); ++i) {
      EXPECT_GT(window.us[i], 0);
      EXPECT_LT(window.begin_us[i], window.end_us[i]);
      EXPECT_GE(window.begin_us[i], i > 0 ? window.end_us[i - 1] : 0);
    }
  }
}

TEST_F(Beside, ThreadsOfAPartComputeTheirParts) {
  const std::vector<int> cores = usable_cores();
  if (cores.size() < 2) GTEST_SKIP() << "this machine has one core";
  const latency::Workload w =
      workload("conv_mb1_g1_ic8ih14iw14_oc40oh14ow14_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu");
  ASSERT_EQ(runner.load("own", compiled(w, 2), w, 2).outcome, Outcome::ok);
  runner.begin_window("own", {cores[0], cores[1]}, 0.005);
  EXPECT_GE(runner.take_window().us.size(), 3u);
  runner.begin_window("own", {cores[0]}, 0.005);
  EXPECT_EQ(code_of([&] { runner.take_window(); }), Code::runner_failed) << "loaded for two threads";
}

TEST_F(Beside, WhatWasNotLoadedIsRefused) {
  runner.begin_window("nothing", {0}, 0.01);
  EXPECT_EQ(code_of([&] { runner.take_window(); }), Code::runner_failed);
  EXPECT_EQ(runner.load_stressor("heat", 1).outcome, Outcome::invalid);
  EXPECT_EQ(runner.load("x", "/nowhere.so", workload("gemm_m4_k4_n4_f32"), 1).outcome, Outcome::invalid);
  EXPECT_GT(runner.sentinel_us(), 0) << "it lives";
}

TEST_F(Beside, UsualConfigurationsComputeWhatLoopsCompute) {
  for (const char* text : {"gemm_m1_k20_n7_f32", "gemm_m300_k65_n33_f32+bias+relu",
                           "conv_mb2_g1_ic3ih9iw9_oc5oh9ow9_kh3kw3_sh1sw1_ph1pw1_f32"})
    for (int workers : {1, 3})
      EXPECT_EQ(runner.time(compiled(workload(text), workers), workload(text), workers, 1, 1).outcome,
                Outcome::ok)
          << text << " on " << workers;
}

TEST_F(Beside, OneDnnComputesWhatLoopsCompute) {
  TAILOR_NEEDS_ONEDNN(runner);
  for (const char* text :
       {"gemm_m37_k53_n71_f32+bias+relu", "gemm_m1_k100_n10_f32", "gemm_m16_k32_n24_f32+bias+add+relu",
        "conv_mb1_g1_ic5ih9iw11_oc7oh9ow11_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
        "conv_mb2_g1_ic16ih12iw12_oc24oh6ow6_kh3kw3_sh2sw2_pt1pl1pb0pr0_f32+bn+add+relu",
        "conv_mb1_g1_ic8ih10iw10_oc8oh6ow6_kh3kw3_sh1sw1_dh2dw2_ph0pw0_f32+bias+clip",
        "conv_mb1_g1_ic64ih14iw14_oc64oh14ow14_kh3kw3_sh1sw1_ph1pw1_f32+bias+add",
        "conv_mb1_g1_ic32ih7iw7_oc16oh7ow7_kh1kw1_sh1sw1_ph0pw0_f32"}) {
    const KernelTiming timing = runner.time_onednn("", workload(text), 2, 1);
    ASSERT_EQ(timing.outcome, Outcome::ok) << text << ": " << timing.message;
    EXPECT_EQ(timing.us.size(), 2u);
    EXPECT_TRUE(timing.kernel.starts_with("onednn 2.")) << timing.kernel;
  }
}

TEST_F(Beside, ALibraryThatIsNotThereIsAnOutcome) {
  const latency::Workload w = workload("gemm_m4_k4_n4_f32");
  const KernelTiming none = runner.time_onednn("/nowhere/libdnnl.so.2", w, 1, 1);
  EXPECT_EQ(none.outcome, Outcome::invalid);
  EXPECT_NE(none.message.find("/nowhere/libdnnl.so.2"), std::string::npos) << none.message;
  const std::filesystem::path other = folder.fresh(".so");
  ASSERT_EQ(compile_kernel("extern \"C\" struct V { int a, b, c; const char* h; unsigned r, g; } version_{3, "
                           "5, 0, \"\", 2, 0};\n"
                           "extern \"C\" const V* dnnl_version() { return &version_; }\n",
                           other, quick)
                .outcome,
            Outcome::ok);
  const KernelTiming newer = runner.time_onednn(other.string(), w, 1, 1);
  EXPECT_EQ(newer.outcome, Outcome::invalid);
  EXPECT_NE(newer.message.find("3.5.0"), std::string::npos) << newer.message;
  EXPECT_EQ(runner.time_onednn(compiled(w, 1).string(), w, 1, 1).outcome, Outcome::invalid)
      << "no oneDNN at all";
}

TEST_F(Beside, TheLibraryTakesPartInTheContest) {
  TAILOR_NEEDS_ONEDNN(runner);
  const latency::Workload w = workload("gemm_m96_k128_n96_f32+bias");
  const Space space = kernel_space(w, vector_unit());
  Random random(3);
  std::vector<Configuration> own;
  for (int i = 0; i < 3; ++i) own.push_back(space.sample(random));
  const HalvingOptions how{.first = 2, .finalists = 2, .last = 4};
  const TimedAlone timed = time_alone(w, 1, space, own, runner, quick, how, "");
  EXPECT_EQ(timed.order.size(), 4u);
  EXPECT_EQ(timed.refused, "");
  EXPECT_TRUE(timed.library.starts_with("onednn 2.")) << timed.library;
  double best_own = 1e300, library = 0;
  for (const Contender& c : timed.order)
    if (c.configuration == kLibraryKernel)
      library = c.time();
    else
      best_own = std::min(best_own, c.time());
  ASSERT_TRUE(own_over_library(timed));
  EXPECT_DOUBLE_EQ(*own_over_library(timed), best_own / library);
  EXPECT_FALSE(own_over_library(time_alone(w, 1, space, own, runner, quick, how))) << "none was asked for";
  const TimedAlone refused = time_alone(w, 1, space, own, runner, quick, how, "/nowhere/libdnnl.so.2");
  EXPECT_NE(refused.refused, "");
  EXPECT_EQ(refused.order.size(), 3u);
}

TEST_F(Beside, ARecordSaysWhenToUseTheLibrary) {
  TAILOR_NEEDS_ONEDNN(runner);
  TuneOptions options{.jobs = 1, .seconds = 100};
  options.per_task = {.trials = 2};
  options.samples = 2, options.finalists = 2, options.searcher = "random", options.onednn = "";
  options.compiler.flags = "-O1", options.runner = kRunner;
  RecordFile file(folder.fresh(".jsonl"));
  const TuneResult result = tune_kernels(
      {{workload("gemm_m64_k64_n64_f32+bias"), 1, 1, 1}, {workload("gemm_m24_k40_n16_f32"), 1, 2, 1}}, file,
      options);
  EXPECT_EQ(result.library, "");
  int libraries = 0;
  for (const Record& record : file.records()) {
    if (record.configuration.front().first != "library") continue;
    ++libraries;
    EXPECT_EQ(record.key, result.tasks[0].key) << "the other task has two threads";
    EXPECT_EQ(record.tier, Tier::exclusive);
    const std::size_t at = record.message.find("own/library ");
    ASSERT_NE(at, std::string::npos) << record.message;
    const double ratio = std::stod(record.message.substr(at + 12));
    EXPECT_EQ(record.message.find("use the library") != std::string::npos, ratio > 1) << record.message;
    EXPECT_EQ(record_from_json(to_json(record), "here"), record);
  }
  EXPECT_EQ(libraries, 1);
}

TEST(CoreBench, PartsAreCutByShares) {
  const std::vector<int> cores = {0, 1, 2, 3, 8, 9, 10, 11};
  const auto parts = two_parts(cores, {0.25, 0.5});
  EXPECT_EQ(parts[0].cores, (std::vector<int>{0, 1}));
  EXPECT_EQ(parts[1].cores, (std::vector<int>{2, 3, 8, 9}));
  for (const std::array<double, 2>& shares :
       {std::array{0.5, 0.625}, std::array{0.3, 0.5}, std::array{0.0, 0.5}, std::array{1.5, 0.5},
        std::array{0.5, 0.05}})
    EXPECT_EQ(code_of([&] { two_parts(cores, shares); }), Code::bad_value) << shares[0] << " " << shares[1];
}

TEST(CoreBench, LayersAndStressorsRunBesideEachOther) {
  const std::vector<int> cores = usable_cores();
  if (cores.size() < 2) GTEST_SKIP() << "this machine has one core";
  const auto parts = split_cores({cores[0], cores[1]}, 2);
  CoreBench bench({parts[0], parts[1]}, {0.5, 0.5}, kRunner, {.flags = "-O1"});
  const latency::Workload w = workload("gemm_m32_k32_n32_f32+bias");
  const Space space = kernel_space(w, vector_unit());
  Random random(1);
  const Configuration tuned = space.sample(random);
  Record record;
  record.key = key_of({w, 0.5, 1, 1}, {.flags = "-O1"});
  record.configuration = named(space, tuned), record.us = {5};
  Record library = record;
  library.configuration = {{"library", std::string("onednn 2.6.3")}}, library.us = {1};
  bench.add(w, 3, {record, library});
  bench.add(workload("gemm_m16_k48_n16_f32"), 1, {record});
  bench.add_stressor("spin");
  const std::vector<Rival>& rivals = bench.rivals();
  ASSERT_EQ(rivals.size(), 3u);
  EXPECT_TRUE(rivals[0].in[0].tuned && rivals[0].in[1].tuned);
  EXPECT_EQ(rivals[0].in[1].configuration, space.text(tuned)) << "the best of ours, not the library's";
  EXPECT_FALSE(rivals[1].in[0].tuned);
  EXPECT_EQ(rivals[2].layers, 0);
  const InterferenceBench windows = bench.bench(0.005);
  EXPECT_TRUE(windows.run(0, std::nullopt)[1].empty());
  EXPECT_FALSE(windows.run(std::nullopt, 2)[1].empty());
  for (double sentinel : windows.sentinels()) EXPECT_GT(sentinel, 0);
  const InterferenceMatrix matrix = measure_interference(3, windows, {.rounds = 2, .drift = 100});
  int kept = 0;
  for (const InterferenceCell& cell : matrix.cells) kept += cell.kept;
  EXPECT_GT(kept, 0);
}

}  // namespace
}  // namespace tailor::tune
