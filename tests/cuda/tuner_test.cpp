// tune_on_cuda on the fake device: batches in shares, who is blamed for what, drift, finals.
#include "tailor/base/error.h"
#include "tailor/tune/cuda_source.h"
#include "tailor/tune/cuda_tuner.h"
#include "tests/cuda/fake_runner.h"
#include "tests/tune/needs_fibers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace tailor::tune {
namespace {

using testing::FakeCuda;

const std::string kOne = "gemm_m130_k72_n72_f16+bias+relu",
                  kTwo = "conv_mb1_g1_ic8ih9iw11_oc24oh9ow11_kh3kw3_sh1sw1_ph1pw1_f16+bn";

TuneTask task_of(const CudaPlace& place, const std::string& layer, double share) {
  TuneTask task;
  task.workload = latency::parse_workload(layer), task.share = cuda_share(place, share);
  task.workers = static_cast<int>(std::lround(task.share * place.device.sm.count));
  return task;
}

struct FakeTuning {
  explicit FakeTuning(const std::string& settings = "")
      : cuda({.settings = settings}), place(find_cuda(0, cuda.command())) {
    options.cuda = place, options.jobs = 0, options.seconds = 300, options.samples = 3;
    options.searcher = "random", options.finalists = 0, options.per_task.gain = 0;
  }
  TuneResult tune(const std::vector<std::pair<std::string, double>>& layers, std::uint64_t trials) {
    options.per_task.trials = trials;
    std::vector<TuneTask> tasks;
    for (const auto& [layer, share] : layers) tasks.push_back(task_of(place, layer, share));
    RecordFile file(path);
    return tune_on_cuda(tasks, file, options);
  }
  std::vector<Record> records() const { return RecordFile(path).records(); }

  FakeCuda cuda;
  CudaPlace place;
  TuneOptions options;
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "records.jsonl";
};

std::int64_t value_of(const Record& record, const std::string& name) {
  for (const auto& [parameter, value] : record.configuration)
    if (parameter == name) return std::get<std::int64_t>(value);
  return -1;
}

TEST(CudaTuner, SharesAreThoseOfTheDriver) {
  const FakeTuning run;
  const int sms = run.place.device.sm.count;
  EXPECT_EQ(sms, 132);
  EXPECT_EQ(run.place.architecture, "sm_90a");
  auto multiprocessors = [&](double share) { return cuda_share(run.place, share) * sms; };
  EXPECT_NEAR(multiprocessors(0.01), 8, 1e-9);
  EXPECT_NEAR(multiprocessors(0.06), 8, 1e-9);
  EXPECT_NEAR(multiprocessors(0.12), 16, 1e-9);
  EXPECT_NEAR(multiprocessors(0.5), 64, 1e-9);
  EXPECT_EQ(cuda_share(run.place, 1), 1);
  EXPECT_EQ(cuda_shares_at_once(run.place, 8), 16);
  EXPECT_EQ(cuda_shares_at_once(run.place, 132), 1);
  const FakeTuning old("green=0");
  EXPECT_EQ(cuda_share(old.place, 1), 1);
  EXPECT_THROW(cuda_share(old.place, 0.5), Error);
}

TEST(CudaTuner, BatchesFillTheSharesAndFinalsAreAlone) {
  NEEDS_FIBERS();
  FakeTuning run;
  run.options.finalists = 2;
  const TuneResult result = run.tune({{kOne, 0.06}, {kTwo, 0.06}, {kOne, 1}}, 9);
  EXPECT_EQ(result.trials, 27u);
  EXPECT_EQ(result.repeated, 0u);
  std::map<std::string, int> partitions;
  std::size_t alone = 0;
  std::set<double> times;
  for (const Record& record : run.records()) {
    EXPECT_EQ(record.outcome, Outcome::ok) << record.message;
    EXPECT_EQ(record.key.precision, "f16");
    EXPECT_EQ(record.key.layout, record.key.op.starts_with("conv") ? "nhwc" : "row-major");
    EXPECT_EQ(record.key.device, "CUDA: Fake GPU, 132 multiprocessors");
    EXPECT_EQ(record.key.versions, "driver 13000, NVRTC 13.0, sm_90a");
    EXPECT_EQ(record.key.source, cuda_hash());
    EXPECT_EQ(record.clock, "gpu events");
    EXPECT_EQ(record.sentinel, 1);
    if (record.tier == Tier::exclusive) {
      ++alone;
      EXPECT_EQ(record.neighbours, "idle");
      EXPECT_GE(record.us.size(), 20u);
      continue;
    }
    EXPECT_EQ(record.us.size(), 3u);
    if (record.key.op == kOne && record.key.share < 1) times.insert(record.time_us());
    ++partitions[record.partition];
    EXPECT_EQ(record.neighbours, record.key.share == 1 ? "idle" : "busy") << record.partition;
  }
  // 18 trials in shares of 8: a batch of 16 and one of two; 9 on the whole device one at a time.
  EXPECT_EQ(partitions["sm 132, share 0"], 9);
  EXPECT_EQ(partitions["sm 8, share 0"], 2);
  EXPECT_EQ(partitions["sm 8, share 1"], 2);
  for (int share = 2; share < 16; ++share)
    EXPECT_EQ(partitions["sm 8, share " + std::to_string(share)], 1) << share;
  EXPECT_GE(alone, 6u);
  EXPECT_LT(*times.begin(), 0.8 * *times.rbegin()) << "there is something to find";
  for (const TaskResult& task : result.tasks) {
    ASSERT_TRUE(task.best);
    EXPECT_EQ(task.best->tier, Tier::exclusive);
  }
  EXPECT_EQ(run.cuda.logged("misuse"), std::vector<std::string>{});
}

TEST(CudaTuner, OnlyTheGuiltyIsBlamed) {
  NEEDS_FIBERS();
  FakeTuning run("fault=BM:32,wrong=BN:64");
  run.options.jobs = 5;
  run.tune({{kOne, 0.06}}, 20);
  std::map<Outcome, int> seen;
  for (const Record& record : run.records()) {
    const bool faults = value_of(record, "bm") == 32, wrong = value_of(record, "bn") == 64;
    EXPECT_EQ(record.outcome, faults  ? Outcome::invalid
                              : wrong ? Outcome::wrong_result
                                      : Outcome::ok)
        << to_string(record.configuration) << record.message;
    ++seen[record.outcome];
  }
  EXPECT_GT(seen[Outcome::ok], 0);
  EXPECT_GT(seen[Outcome::invalid], 0);
  EXPECT_GT(seen[Outcome::wrong_result], 0);
}

TEST(CudaTuner, DriftIsMeasuredAgain) {
  NEEDS_FIBERS();
  FakeTuning run("drift=20000:110");
  run.options.samples = 60;
  const TuneResult result = run.tune({{kOne, 0.06}}, 4);
  EXPECT_EQ(result.repeated, 4u);
  ASSERT_EQ(run.records().size(), 4u);
  for (const Record& record : run.records()) EXPECT_EQ(record.us.size(), 60u);
}

TEST(CudaTuner, GoesOnFromItsRecords) {
  NEEDS_FIBERS();
  FakeTuning run;
  run.tune({{kOne, 0.06}}, 6);
  const TuneResult result = run.tune({{kOne, 0.06}}, 6);
  EXPECT_EQ(result.tasks[0].before, 6u);
  std::set<std::string> tried;
  for (const Record& record : run.records()) tried.insert(to_string(record.configuration));
  EXPECT_EQ(tried.size(), 12u) << "nothing is tried twice";
}

TEST(CudaTuner, MoreJobsThanSharesAreAnError) {
  FakeTuning run;
  run.options.jobs = 17;
  EXPECT_THROW(run.tune({{kOne, 0.06}}, 1), Error);
}

// A cubin of a layer's first configuration with these constants.
CudaTrial compiled(const FakeTuning& run, int share, std::int64_t bm) {
  const latency::Workload w = latency::parse_workload(kOne);
  const Space space = cuda_space(w, run.place.device);
  Configuration c;
  for (std::size_t p = 0;
       const std::int64_t value : {bm, std::int64_t{32}, std::int64_t{32}, std::int64_t{2}, std::int64_t{1},
                                   std::int64_t{2}, std::int64_t{1}, std::int64_t{1}, std::int64_t{0}})
    c.push_back(space.find(p++, Value(value)).value_or(0));
  c[5] = *space.find(5, Value(std::int64_t{2})), c[4] = *space.find(4, Value(std::int64_t{bm == 16 ? 1 : 2}));
  if (bm == 16) c[1] = *space.find(1, Value(std::int64_t{64})), c[5] = *space.find(5, Value(std::int64_t{4}));
  EXPECT_EQ(space.allows(c), true) << space.text(c);
  CudaTrial trial;
  const std::string text = cuda_source(w, space, c);
  trial.share = share, trial.workload = w, trial.launch = cuda_launch_line(text);
  trial.cubin = run.folder.path() / ("trial" + std::to_string(share) + ".cubin");
  EXPECT_EQ(compile_cuda({text}, "sm_90a", run.place.compiler, 1, {}, {trial.cubin}).front().outcome,
            Outcome::ok);
  return trial;
}

TEST(CudaBench, AKernelThatHangsIsATimeoutAndItsNeighboursAreRight) {
  NEEDS_FIBERS();
  const FakeTuning run("hang=BM:64");
  CudaBench bench(run.place.runner, 3);
  const std::vector<CudaTiming> timings =
      bench.run(8, {compiled(run, 0, 32), compiled(run, 1, 64), compiled(run, 2, 16)}, 2);
  ASSERT_EQ(timings.size(), 3u);
  EXPECT_EQ(timings[0].outcome, Outcome::ok) << timings[0].message;
  EXPECT_TRUE(timings[0].alone);
  EXPECT_EQ(timings[1].outcome, Outcome::timeout) << timings[1].message;
  EXPECT_EQ(timings[2].outcome, Outcome::ok) << timings[2].message;
  EXPECT_EQ(timings[2].multiprocessors, 8);
}

// Launches that a batch of two kernels is.
int launches_of_a_batch(const FakeTuning& run, const std::vector<CudaTrial>& trials) {
  CudaBench(run.place.runner).run(8, trials, 2, 200);
  for (const std::string& line : run.cuda.logged("calls: cuLaunchKernel "))
    return std::stoi(line.substr(line.rfind(' ')));
  return 0;
}

TEST(CudaBench, ARunnerKilledFromOutsideIsReplacedAndNobodyIsBlamed) {
  NEEDS_FIBERS();
  const FakeTuning well;
  const std::vector<CudaTrial> trials = {compiled(well, 0, 32), compiled(well, 1, 64)};
  const int launches = launches_of_a_batch(well, trials);
  ASSERT_GT(launches, 10);
  // In the midst of the second batch of each process.
  const FakeTuning run("die=cuLaunchKernel:" + std::to_string(launches * 3 / 2));
  {
    CudaBench bench(run.place.runner);
    for (int i = 0; i < 5; ++i)
      for (const CudaTiming& timing : bench.run(8, trials, 2, 200)) {
        EXPECT_EQ(timing.outcome, Outcome::ok) << timing.message;
        EXPECT_FALSE(timing.alone);
      }
  }
  const std::vector<std::string> last = run.cuda.logged("calls: cuLaunchKernel ");
  ASSERT_EQ(last.size(), 1u) << "all processes but the last one were killed";
  EXPECT_EQ(last[0], "calls: cuLaunchKernel " + std::to_string(launches));
}

TEST(CudaBench, OverlapEndsTheRun) {
  NEEDS_FIBERS();
  FakeTuning run("overlap=1");
  try {
    run.tune({{kOne, 0.06}}, 2);
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::runtime_refused) << error.what();
  }
  EXPECT_TRUE(run.records().empty());
}

}  // namespace
}  // namespace tailor::tune
