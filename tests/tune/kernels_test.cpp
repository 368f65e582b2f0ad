// Generated kernels: every configuration of small layers computes what loops compute; crashes, hangs and lies of a
// kernel are outcomes. Needs a C++ compiler, as the feature does.
#include "tailor/base/file.h"
#include "tailor/tune/compiled_once.h"
#include "tailor/tune/product.h"
#include "tailor/tune/scheduler.h"
#include "tailor/tune/surface.h"
#include "tests/tune/spaces.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

namespace tailor::tune {
namespace {

using testing::code_of;

latency::Workload workload(const std::string& text) { return latency::parse_workload(text); }

class Kernels : public ::testing::Test {
 protected:
  // A few configurations at random, each compiled, checked and timed.
  void try_some(const std::string& text, int count, int workers) {
    const latency::Workload w = workload(text);
    ASSERT_EQ(no_kernel(w), "");
    const VectorUnit unit = vector_unit();
    const Space space = kernel_space(w, unit);
    Random random(7);
    for (int i = 0; i < count; ++i) {
      const Configuration configuration = space.sample(random);
      const Compiled compiled =
          compile_kernel(kernel_source(w, unit, space, configuration), folder.fresh(".so"), quick);
      ASSERT_EQ(compiled.outcome, Outcome::ok) << compiled.message;
      const KernelTiming timing = runner.time(compiled.library, w, workers, 2, 1);
      ASSERT_EQ(timing.outcome, Outcome::ok)
          << text << ", " << space.text(configuration) << ": " << timing.message;
      EXPECT_EQ(timing.us.size(), 2u);
      try_shapeless(w, unit, space, configuration, workers);
    }
  }
  void try_shapeless(const latency::Workload& w, const VectorUnit& unit, const Space& space,
                     const Configuration& configuration, int workers) {
    const ShapelessKernel kernel = shapeless_kernel(w, unit, space, configuration);
    const Compiled compiled = once.of(kernel.text);
    ASSERT_EQ(compiled.outcome, Outcome::ok) << compiled.message;
    const KernelTiming timing = runner.time(compiled.library, w, workers, 2, 1, kernel.shape);
    ASSERT_EQ(timing.outcome, Outcome::ok)
        << to_string(w) << ", any shape, " << space.text(configuration) << ": " << timing.message;
  }
  // A kernel whose kernel_run is `body`.
  std::filesystem::path made_of(const std::string& body) {
    const Compiled compiled = compile_kernel(
        "#include <cstddef>\n#include <cstdlib>\nextern \"C\" void kernel_sizes(std::size_t* a, std::size_t* "
        "b) { *a = *b = 1; }\n"
        "extern \"C\" void kernel_prepare(const float*, float*) {}\n"
        "extern \"C\" void kernel_run(const float*, const float*, const float*, const float*, float* out, "
        "float*, int, int) {" +
            body + "}\n",
        folder.fresh(".so"), quick);
    EXPECT_EQ(compiled.outcome, Outcome::ok) << compiled.message;
    return compiled.library;
  }
  // The first configuration whose text begins so.
  static Configuration like(const Space& space, const std::string& text) {
    for (std::uint64_t i = 0; i < space.count(); ++i)
      if (space.text(space.at(i)).starts_with(text)) return space.at(i);
    ADD_FAILURE() << "no configuration " << text;
    return space.at(0);
  }
  CompilerOptions quick = {.flags = "-O1 -march=native"};
  TemporaryFolder folder;
  CompiledOnce once{[this](const std::string& text, const std::filesystem::path& file) {
                      return compile_kernel(text, file, quick);
                    },
                    ".so"};
  KernelRunner runner{-1, "exec " TAILOR_BINARY_DIR "/bin/tailor-runner-kernels", 5};
};

TEST_F(Kernels, ProductsComputeWhatLoopsCompute) {
  try_some("gemm_m37_k53_n71_f32+bias+relu", 6, 1);
  try_some("gemm_m1_k100_n10_f32", 3, 1);
  try_some("gemm_m64_k300_n96_f32+bias", 3, 3);
}

TEST_F(Kernels, ConvolutionsComputeWhatLoopsCompute) {
  try_some("conv_mb1_g1_ic5ih9iw11_oc7oh9ow11_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu", 6, 1);
  try_some("conv_mb2_g1_ic16ih12iw12_oc24oh6ow6_kh3kw3_sh2sw2_pt1pl1pb0pr0_f32+bn+add+relu", 4, 1);
  try_some("conv_mb1_g1_ic8ih10iw10_oc8oh6ow6_kh3kw3_sh1sw1_dh2dw2_ph0pw0_f32+bias+clip", 4, 5);
  try_some("conv_mb1_g1_ic32ih7iw7_oc16oh7ow7_kh1kw1_sh1sw1_ph0pw0_f32+bias", 4, 2);
}

TEST_F(Kernels, OneObjectServesEveryLayerAndAllBlocks) {
  const VectorUnit unit = vector_unit();
  std::set<std::string> texts;
  for (const char* layer : {"conv_mb1_g1_ic5ih9iw11_oc7oh9ow11_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
                            "conv_mb2_g1_ic32ih12iw12_oc24oh6ow6_kh3kw3_sh2sw2_pt1pl1pb0pr0_f32+bn+add+relu",
                            "conv_mb1_g1_ic70ih7iw7_oc60oh7ow7_kh1kw1_sh1sw1_ph0pw0_f32"}) {
    const latency::Workload w = workload(layer);
    const Space space = kernel_space(w, unit);
    for (const char* blocks : {"mr=4 nv=2 unroll=2 kc=", "mr=4 nv=2 unroll=2 kc=64 "}) {
      if (product_of(w).k <= 64 && std::string(blocks).ends_with("64 ")) continue;
      const Configuration c = like(space, blocks);
      texts.insert(shapeless_kernel(w, unit, space, c).text);
      try_shapeless(w, unit, space, c, 1);
    }
  }
  EXPECT_EQ(texts.size(), 1u);
}

TEST_F(Kernels, ShapesThatDoNotFitTheKernelAreRefused) {
  const latency::Workload w = workload("gemm_m37_k53_n71_f32");
  const Space space = kernel_space(w, vector_unit());
  const ShapelessKernel kernel = shapeless_kernel(w, vector_unit(), space, space.at(0));
  const std::filesystem::path library = once.of(kernel.text).library;
  std::vector<std::int64_t> longer = kernel.shape;
  longer.push_back(1);
  for (const std::vector<std::int64_t>& wrong : {std::vector<std::int64_t>{}, {1}, longer}) {
    const KernelTiming timing = runner.time(library, w, 1, 1, 1, wrong);
    EXPECT_EQ(timing.outcome, Outcome::invalid);
    EXPECT_NE(timing.message.find("for its shape"), std::string::npos) << timing.message;
  }
  EXPECT_EQ(runner.time(made_of(""), w, 1, 1, 1, {1}).outcome, Outcome::invalid);
  EXPECT_EQ(runner.time(library, w, 1, 1, 1, kernel.shape).outcome, Outcome::ok);
}

TEST(CompiledOnce, IsCompiledByTheFirstWhoAsks) {
  std::atomic<int> compiled = 0;
  CompiledOnce once(
      [&](const std::string& text, const std::filesystem::path& file) {
        ++compiled;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        return Compiled{text == "bad" ? Outcome::compile : Outcome::ok, file, 3, text};
      },
      ".so");
  std::atomic<int> paid = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { paid += once.of("a").seconds == 3; });
  }
  EXPECT_EQ(compiled, 1);
  EXPECT_EQ(paid, 1);
  EXPECT_EQ(once.of("bad").outcome, Outcome::compile);
  EXPECT_EQ(once.of("bad").message, "bad") << "a refusal is kept";
  EXPECT_EQ(compiled, 2);
  EXPECT_NE(once.of("a").library, once.of("b").library);
}

TEST(CompiledOnce, WhatDidNotEndIsTriedAgain) {
  int asked = 0;
  CompiledOnce once(
      [&](const std::string&, const std::filesystem::path& file) {
        if (++asked == 1) throw Error(Code::interrupted, "now");
        return Compiled{asked == 2 ? Outcome::timeout : Outcome::ok, file, 1, ""};
      },
      ".so");
  EXPECT_EQ(code_of([&] { once.of("a"); }), Code::interrupted);
  EXPECT_EQ(once.of("a").outcome, Outcome::timeout);
  EXPECT_EQ(once.of("a").outcome, Outcome::ok);
  EXPECT_EQ(once.of("a").seconds, 0);
  EXPECT_EQ(asked, 3);
}

TEST_F(Kernels, WhatAKernelDoesWrongIsAnOutcome) {
  const latency::Workload w = workload("gemm_m4_k4_n4_f32");
  auto outcome = [&](const std::string& body) { return runner.time(made_of(body), w, 1, 1, 1).outcome; };
  EXPECT_EQ(outcome("for (int i = 0; i < 16; ++i) out[i] = 1;"), Outcome::wrong_result);
  EXPECT_EQ(outcome(""), Outcome::wrong_result) << "what it leaves unwritten counts";
  EXPECT_EQ(outcome("std::abort();"), Outcome::invalid);
  EXPECT_EQ(outcome("*(volatile int*)8 = 1;"), Outcome::invalid);
  EXPECT_EQ(outcome("std::exit(0);"), Outcome::invalid);
  EXPECT_EQ(runner.time("/nowhere.so", w, 1, 1).outcome, Outcome::invalid);
  EXPECT_GT(runner.sentinel_us(), 0) << "the next runner is alive";
}

TEST_F(Kernels, OneThatHangsIsATimeout) {
  KernelRunner impatient(-1, "exec " TAILOR_BINARY_DIR "/bin/tailor-runner-kernels", 0.5);
  const auto library = made_of("for (volatile int i = 0;;) i = 1;");
  EXPECT_EQ(impatient.time(library, workload("gemm_m4_k4_n4_f32"), 1, 1).outcome, Outcome::timeout);
}

TEST_F(Kernels, TheCompilersNoIsAnOutcome) {
  const Compiled refused = compile_kernel("int f( {", folder.fresh(".so"));
  EXPECT_EQ(refused.outcome, Outcome::compile);
  EXPECT_NE(refused.message.find("error"), std::string::npos) << refused.message;
  EXPECT_EQ(compile_kernel("int x;", folder.fresh(".so"), {.command = "/nowhere/c++"}).outcome,
            Outcome::compile);
  EXPECT_EQ(compile_kernel("int x;", folder.fresh(".so"), {.command = "sleep 9 #", .timeout_s = 0.2}).outcome,
            Outcome::timeout);
  EXPECT_EQ(code_of([] { compiler_version({.command = "/nowhere/c++"}); }), Code::runtime_missing);
}

TEST(KernelSource, WhatHasNoKernelSaysWhy) {
  EXPECT_EQ(no_kernel(workload("conv_mb1_g8_ic8ih9iw9_oc8oh9ow9_kh3kw3_sh1sw1_ph1pw1_f32")),
            "grouped convolution");
  EXPECT_EQ(no_kernel(workload("gemm_m8_k8_n8_f32+bias+sigmoid")), "followed by 'sigmoid'");
  EXPECT_NE(no_kernel(workload("gemm_m100000_k100000_n100000_f32")), "");
}

TEST(KernelSource, NoTileNeedsMoreRegistersThanThereAre) {
  for (const VectorUnit& unit :
       {VectorUnit{4, 16, "sse"}, VectorUnit{8, 16, "avx2"}, VectorUnit{16, 32, "avx512"}}) {
    const Space space = kernel_space(workload("gemm_m768_k768_n768_f32"), unit);
    Random random(1);
    std::set<int> tall;
    for (int i = 0; i < 500; ++i) {
      const Configuration c = space.sample(random);
      const auto mr = std::get<std::int64_t>(space.parameters()[0].values[static_cast<std::size_t>(c[0])]);
      const auto nv = std::get<std::int64_t>(space.parameters()[1].values[static_cast<std::size_t>(c[1])]);
      EXPECT_LE(mr * nv + nv + 1, unit.registers);
      tall.insert(static_cast<int>(mr));
    }
    EXPECT_TRUE(tall.contains(6));
    EXPECT_GT(space.count(), 3000u);
  }
}

TEST(Surface, LoadsAreThoseOfDealingBlocksInTurn) {
  const latency::Workload w = workload("gemm_m40_k32_n64_f32");
  const VectorUnit unit{8, 16, "avx2"};
  const Space space = kernel_space(w, unit);
  auto configured = [&](std::int64_t mc, std::int64_t nc) {
    for (std::uint64_t i = 0; i < space.count(); ++i) {
      const Configuration c = space.at(i);
      const std::string text = space.text(c);
      if (text.starts_with(fmt::format("mr=4 nv=2 unroll=1 kc=32 mc={} nc={} ", mc, nc))) return c;
    }
    ADD_FAILURE() << "no such configuration";
    return space.at(0);
  };
  const Configuration one = configured(40, 64), four = configured(24, 48);
  for (int workers : {1, 2, 5})
    EXPECT_EQ(largest_load(w, unit, space, one, workers), 1) << "one block cannot be divided";
  // 24 + 16 rows by 48 + 16 columns, dealt column by column: 1152, 768, 384, 256 of 2560.
  EXPECT_DOUBLE_EQ(largest_load(w, unit, space, four, 1), 1);
  EXPECT_DOUBLE_EQ(largest_load(w, unit, space, four, 2), (1152.0 + 384) / 2560);
  EXPECT_DOUBLE_EQ(largest_load(w, unit, space, four, 3), (1152.0 + 256) / 2560);
  EXPECT_DOUBLE_EQ(largest_load(w, unit, space, four, 4), 1152.0 / 2560);
  const auto order = rank_at(w, unit, space, {{one, 100}, {four, 120}}, 4);
  EXPECT_EQ(order.front().configuration, four);
  EXPECT_EQ(rank_at(w, unit, space, {{four, 120}, {one, 100}}, 1).front().configuration, one);
}

TEST(Surface, NobodyGetsLessThanHisShareAndTheyAddUp) {
  const latency::Workload w = workload("conv_mb2_g1_ic8ih20iw20_oc50oh20ow20_kh3kw3_sh1sw1_ph1pw1_f32");
  const VectorUnit unit = vector_unit();
  const Space space = kernel_space(w, unit);
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    const Configuration c = space.sample(random);
    for (int workers : {1, 2, 3, 8, 64}) {
      const double load = largest_load(w, unit, space, c, workers);
      EXPECT_GE(load, 1.0 / workers - 1e-12);
      EXPECT_LE(load, 1);
    }
  }
}

TEST(Partition, PartsAreDisjointAndEqual) {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    std::vector<int> cores;
    for (int core = 0; core < 40; ++core)
      if (random.below(3) == 0) cores.push_back(core);
    const int parts = 1 + static_cast<int>(random.below(6));
    if (static_cast<int>(cores.size()) < parts) {
      EXPECT_EQ(code_of([&] { split_cores(cores, parts); }), Code::bad_value);
      continue;
    }
    const std::vector<Partition> partitions = split_cores(cores, parts);
    ASSERT_EQ(partitions.size(), static_cast<std::size_t>(parts));
    EXPECT_TRUE(are_disjoint(partitions));
    std::size_t used = 0;
    for (const Partition& partition : partitions) {
      EXPECT_EQ(partition.cores.size(), partitions.front().cores.size());
      used += partition.cores.size();
    }
    EXPECT_EQ(remaining_cores(cores, partitions).size() + used, cores.size());
    EXPECT_LT(cores.size() - used, static_cast<std::size_t>(parts));
  }
  EXPECT_FALSE(are_disjoint({{{0, 1}}, {{1, 2}}}));
  EXPECT_EQ(to_string(Partition{{0, 1, 2, 5, 7, 8}}), "cpu 0-2,5,7-8");
}

class Scheduler : public ::testing::Test {
 protected:
  static std::vector<TuneTask> tasks() {
    return {{workload("gemm_m32_k32_n32_f32+bias"), 1, 1, 1}, {workload("gemm_m24_k40_n16_f32"), 0.5, 2, 3}};
  }
  TuneOptions options(int trials) const {
    TuneOptions made{.jobs = static_cast<int>(std::min<std::size_t>(2, usable_cores().size())),
                     .seconds = 300};
    made.per_task = {.trials = static_cast<std::uint64_t>(trials)};
    made.samples = 2, made.finalists = 2, made.searcher = "random";
    made.compiler.flags = "-O1", made.runner = "exec " TAILOR_BINARY_DIR "/bin/tailor-runner-kernels";
    return made;
  }
  TemporaryFolder folder;
};

TEST_F(Scheduler, TriesWhatItShouldAndTimesTheBestAlone) {
  RecordFile file(folder.fresh(".jsonl"));
  std::size_t told = 0;
  TuneOptions how = options(6);
  how.on_status = [&](const TuneOptions::Status& status) { told = std::max(told, status.trials); };
  const TuneResult result = tune_kernels(tasks(), file, how);
  ASSERT_EQ(result.tasks.size(), 2u);
  EXPECT_EQ(told, result.trials);
  for (const TaskResult& task : result.tasks) {
    EXPECT_EQ(task.trials, 6u);
    ASSERT_TRUE(task.best);
    EXPECT_EQ(task.best->tier, Tier::exclusive);
    EXPECT_GE(task.best->us.size(), 20u);
  }
  std::set<std::pair<std::string, std::string>> seen;
  for (const Record& record : file.records()) {
    if (record.tier != Tier::parallel) continue;
    EXPECT_TRUE(seen.emplace(record.key.op, to_string(record.configuration)).second) << "tried twice";
  }
}

TEST_F(Scheduler, GoesOnFromItsRecords) {
  const auto path = folder.fresh(".jsonl");
  {
    RecordFile file(path);
    tune_kernels(tasks(), file, options(4));
  }
  RecordFile file(path);
  const std::size_t before = file.records().size();
  const TuneResult result = tune_kernels(tasks(), file, options(3));
  for (const TaskResult& task : result.tasks) EXPECT_GE(task.before, 4u);
  EXPECT_GT(file.records().size(), before);
  std::set<std::pair<std::string, std::string>> seen;
  for (const Record& record : file.records()) {
    if (record.tier != Tier::parallel) continue;
    EXPECT_TRUE(seen.emplace(record.key.op, to_string(record.configuration)).second) << "tried twice";
  }
}

TEST_F(Scheduler, FinalistsMeetOnce) {
  RecordFile file(folder.fresh(".jsonl"));
  tune_kernels(tasks(), file, options(3));
  const std::size_t before = file.records().size();
  TuneOptions how = options(3);
  how.seconds = 0;  // no trial
  const TuneResult result = tune_kernels(tasks(), file, how);
  EXPECT_EQ(file.records().size(), before);
  for (const TaskResult& task : result.tasks) EXPECT_TRUE(task.best);
}

TEST_F(Scheduler, MoreJobsThanCoresAreRefused) {
  RecordFile file(folder.fresh(".jsonl"));
  TuneOptions how = options(1);
  how.jobs = 5000;
  EXPECT_EQ(code_of([&] { tune_kernels(tasks(), file, how); }), Code::bad_value);
}

TEST_F(Scheduler, AuditSaysWhetherAChoiceHolds) {
  RecordFile file(folder.fresh(".jsonl"));
  const TuneOptions how = options(3);
  tune_kernels({tasks().front()}, file, how);
  std::vector<RecordGroup> groups = group(file.records());
  ASSERT_EQ(groups.size(), 1u);
  KernelRunner runner(-1, how.runner);
  const RunnerOf of = [&](int) -> KernelRunner& { return runner; };
  const Audit result = audit(groups.front(), 2, 1, of, how.compiler);
  EXPECT_EQ(result.skipped, "");
  ASSERT_EQ(result.entries.size(), 2u);
  EXPECT_GE(result.regret, 0);
  for (const Audit::Entry& entry : result.entries) EXPECT_GT(entry.now_us, 0);
  groups.front().key.source = "another text";
  EXPECT_NE(audit(groups.front(), 2, 1, of, how.compiler).skipped, "");
}

}  // namespace
}  // namespace tailor::tune
