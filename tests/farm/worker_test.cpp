// A worker with a real compiler and a real runner process, which is killed; and master and workers as threads.
#include "tailor/base/error.h"
#include "tailor/farm/post.h"
#include "tailor/tune/partition.h"
#include "tailor/tune/record_lock.h"
#include "tests/farm/fake_workers.h"
#include "tests/tune/spaces.h"

#include <nlohmann/json.hpp>

#include <fstream>

namespace tailor::farm {
namespace {

using testing::code_of;

const std::string kRunner = "exec " TAILOR_BINARY_DIR "/bin/tailor-runner-kernels";
const std::string kLayer = "gemm_m1_k8_n10_f32";

std::string trial(std::int64_t ticket, std::uint64_t index = 0) {
  const tune::TuneTask task{latency::parse_workload(kLayer), 1, 1, 1};
  const tune::Space space = kernel_space(task.workload, tune::vector_unit());
  return to_text(ToWorker(TrialOrder{ticket, task, named(space, space.at(index)), 2, 0.5}));
}

TrialAnswer answer_of(Worker& worker) { return std::get<TrialAnswer>(read_from_worker(worker.work())); }

TEST(Workers, MeasureWhatIsOrderedInItsOrder) {
  Worker worker(kRunner);
  const auto hello = std::get<Hello>(read_from_worker(worker.hello()));
  worker.take(to_text(ToWorker(Place{hello.cores.front(), {}, "compiler"})));
  EXPECT_TRUE(worker.idle());
  worker.take(trial(5)), worker.take(trial(6, 1));
  for (const std::int64_t ticket : {5, 6}) {
    const TrialAnswer answer = answer_of(worker);
    EXPECT_EQ(answer.ticket, ticket);
    EXPECT_EQ(answer.record.outcome, tune::Outcome::ok) << answer.record.message;
    EXPECT_EQ(answer.record.us.size(), 2u);
    EXPECT_EQ(answer.record.neighbours, "compiler");
    EXPECT_EQ(answer.record.key.op, kLayer);
  }
  EXPECT_TRUE(worker.idle());
}

TEST(Workers, ForgetOrdersWhenTheyAreNotWanted) {
  Worker worker(kRunner);
  worker.take(trial(1));
  worker.take(to_text(ToWorker(Wait{"no"})));
  EXPECT_TRUE(worker.idle());
  EXPECT_FALSE(worker.stopped());
  worker.take(to_text(ToWorker(Stop{})));
  EXPECT_TRUE(worker.stopped());
}

TEST(Workers, RefuseWhatNoMasterSays) {
  Worker worker(kRunner);
  EXPECT_EQ(code_of([&] { worker.take("gossip"); }), Code::bad_json);
  const tune::TuneTask task{latency::parse_workload(kLayer), 1, 1, 1};
  const Named foreign = {{"mr", std::int64_t{1000}}};
  EXPECT_EQ(code_of([&] {
              worker.take(to_text(ToWorker(TrialOrder{1, task, foreign, 2, 0.5})));
            }),
            Code::bad_value);
}

// A runner that is killed from outside says nothing of the kernel: the trial is measured again. The first one here dies of
// signal 9 when it is asked for times, the second while it starts, the third is whole.
TEST(Workers, AKilledRunnerSaysNothingOfTheKernel) {
  TemporaryFolder folder;
  const std::filesystem::path script = folder.path() / "runner", count = folder.path() / "count";
  std::ofstream(script) << "n=$(cat " << count << " 2>/dev/null || echo 0)\n"
                        << "echo $((n + 1)) > " << count << "\n"
                        << "if [ $n = 1 ]; then kill -9 $$; fi\n"
                        << "i=0\n"
                        << "while [ $n = 0 ] && read line; do\n"
                        << "  i=$((i + 1))\n"
                        << "  case $line in *'\"time\"'*) kill -9 $$;; esac\n"
                        << "  echo \"{\\\"id\\\":$i,\\\"ok\\\":true,\\\"us\\\":10}\"\n"
                        << "done\n"
                        << kRunner << "\n";
  Worker worker("exec sh " + script.string());
  worker.take(to_text(ToWorker(Place{tune::usable_cores().front(), {}, "compiler"})));
  worker.take(trial(1));
  const TrialAnswer answer = answer_of(worker);
  EXPECT_EQ(answer.record.outcome, tune::Outcome::ok) << answer.record.message;
  int started = 0;
  std::ifstream(count) >> started;
  EXPECT_EQ(started, 3);
}

TEST(Workers, GiveUpWhenNoRunnerStarts) {
  TemporaryFolder folder;
  tune::RecordFile file(folder.path() / "trials.jsonl");
  Master master(testing::portions_of_layers({kLayer}), file, {.seconds = 60, .searcher = "exhaustive"}, 1);
  run_here(master, 1, "exit 3", {});
  EXPECT_TRUE(file.records().empty());
  EXPECT_NE(master.unfinished(0).find("runner of kernels"), std::string::npos) << master.unfinished(0);
}

// Threads instead of ranks: the whole space of a small layer, each configuration once, finalists alone.
TEST(Workers, TuneTogether) {
  TemporaryFolder folder;
  tune::RecordFile file(folder.path() / "trials.jsonl");
  const int workers = std::min<int>(2, static_cast<int>(tune::usable_cores().size()));
  FarmOptions options{.seconds = 300, .gain = 0, .searcher = "exhaustive", .samples = 1, .finalists = 2};
  Master master(testing::portions_of_layers({kLayer}), file, options, workers);
  std::size_t told = 0;
  run_here(master, workers, kRunner, [&](const FarmStatus&) { ++told; });
  EXPECT_GT(told, 0u);
  EXPECT_EQ(master.unfinished(0), "");
  const tune::Space space = kernel_space(latency::parse_workload(kLayer), tune::vector_unit());
  const auto tried = testing::tried_once(file.records());
  ASSERT_EQ(tried.size(), 1u);
  EXPECT_EQ(tried.begin()->second.size(), space.count());
  EXPECT_EQ(best_of(file.records(), tried.begin()->first)->tier, tune::Tier::exclusive);
}

TEST(Locks, OneWriterPerFile) {
  TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "trials.jsonl";
  {
    const tune::RecordLock lock(path);
    EXPECT_EQ(code_of([&] { tune::RecordLock again(path); }), Code::write_failed);
  }
  const tune::RecordLock free(path);
  EXPECT_EQ(code_of([&] { tune::RecordLock nowhere(folder.path() / "none" / "trials.jsonl"); }),
            Code::write_failed);
}

}  // namespace
}  // namespace tailor::farm
