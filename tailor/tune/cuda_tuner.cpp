// Batch: what is tried at once. CudaRun: takes batches from the board, has them compiled ahead, measures them, holds the finals.
#include "tailor/tune/cuda_tuner.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/base/parallel.h"
#include "tailor/tune/cuda_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <future>
#include <map>

namespace tailor::tune {
namespace {

using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr int kPatience = 3;  // measurements of one batch until drift is accepted and recorded

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Jobs of one size of share, the i-th for share i.
struct Batch {
  int multiprocessors = 0;
  std::vector<Job> jobs;
  std::vector<fs::path> cubins;
  std::future<std::vector<CudaBuild>> builds;
};

bool steady(const std::vector<CudaTiming>& timings, double drift) {
  return std::all_of(timings.begin(), timings.end(), [&](const CudaTiming& t) {
    return t.before_us <= 0 || t.after_us <= 0 || std::abs(t.after_us / t.before_us - 1) <= drift;
  });
}

class CudaRun {
 public:
  CudaRun(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options)
      : place_(*options.cuda),
        options_(options),
        board_(tasks, file, options, cuda_backend(place_)),
        bench_(place_.runner) {}

  void try_all() {
    std::optional<Batch> next = take();
    while (next) {
      Batch now = std::move(*next);
      const std::vector<CudaBuild> builds = now.builds.get();
      next = take();  // compiled while this one is measured
      measure(now, builds);
      for (const fs::path& cubin : now.cubins) forget(cubin);
    }
  }

  void hold_finals() {
    const std::vector<Desk>& desks = board_.desks();
    for (const Desk& desk : desks) contest(desk, contestants_of(desk, records(), options_.finalists));
    for (std::size_t i = 0; i < desks.size(); ++i) contest(desks[i], guests_of(desks, i, records()));
  }

  Board& board() { return board_; }

 private:
  const std::vector<Record>& records() { return board_.file().records(); }
  static void forget(const fs::path& file) {
    std::error_code ignored;
    fs::remove(file, ignored);
  }
  // What the runner is asked to split into; the whole device is not split.
  int least(int multiprocessors) const {
    return multiprocessors == place_.device.sm.count ? 0 : multiprocessors;
  }
  std::size_t room(int multiprocessors) const {
    const int fit = cuda_shares_at_once(place_, multiprocessors);
    return static_cast<std::size_t>(options_.jobs > 0 ? std::min(options_.jobs, fit) : fit);
  }

  // The task that promises most decides which shares the batch is of.
  std::optional<Batch> take() {
    Batch batch;
    std::optional<Job> job = board_.next();
    if (!job) return std::nullopt;
    batch.multiprocessors = board_.desk(job->desk).task.workers;
    auto same = [&](const TuneTask& task) { return task.workers == batch.multiprocessors; };
    while (job) {
      batch.jobs.push_back(std::move(*job));
      job = batch.jobs.size() < room(batch.multiprocessors) ? board_.next(same) : std::nullopt;
    }
    std::vector<std::string> texts;
    for (const Job& one : batch.jobs)
      texts.push_back(one.source), batch.cubins.push_back(folder_.fresh(".cubin"));
    batch.builds = std::async(std::launch::async,
                              [this, texts, cubins = batch.cubins] { return compile(texts, cubins); });
    return batch;
  }

  // One core is left to the runner, which has to launch in time.
  std::vector<CudaBuild> compile(const std::vector<std::string>& texts,
                                 const std::vector<fs::path>& cubins) const {
    return compile_cuda(texts, place_.architecture, place_.compiler, std::max(1, cores() - 1), {}, cubins);
  }

  CudaTrial trial_of(const Batch& batch, std::size_t i) const {
    const Job& job = batch.jobs[i];
    return {static_cast<int>(i), batch.cubins[i], cuda_launch_line(job.source),
            board_.desk(job.desk).task.workload};
  }

  // What did not compile leaves its share idle.
  void measure(const Batch& batch, const std::vector<CudaBuild>& builds) {
    const auto start = Clock::now();
    std::vector<CudaTrial> trials;
    double compile_s = 0;
    for (std::size_t i = 0; i < builds.size(); ++i) {
      compile_s += builds[i].seconds;
      if (builds[i].outcome == Outcome::ok) trials.push_back(trial_of(batch, i));
    }
    std::size_t repeated = 0;
    std::vector<CudaTiming> timings;
    for (int attempt = 0; attempt < kPatience && !trials.empty(); ++attempt) {
      timings = bench_.run(least(batch.multiprocessors), trials, options_.samples);
      if (steady(timings, options_.drift)) break;
      if (attempt + 1 < kPatience) repeated += trials.size();
    }
    board_.count(compile_s, seconds_since(start), repeated);
    std::size_t next = 0;
    for (std::size_t i = 0; i < builds.size(); ++i)
      board_.done(batch.jobs[i], builds[i].outcome == Outcome::ok
                                     ? record_of(batch, i, builds[i], timings[next++])
                                     : record_of(builds[i]));
  }

  Record record_of(const CudaBuild& build) const {
    Record record;
    record.outcome = build.outcome, record.message = build.message, record.compile_s = build.seconds;
    record.clock = board_.backend().clock;
    return record;
  }
  Record record_of(const Batch& batch, std::size_t share, const CudaBuild& build, const CudaTiming& timing) {
    Record record = record_of(build);
    record.outcome = timing.outcome, record.message = timing.message, record.us = timing.us;
    record.partition = where(timing, batch.multiprocessors, share);
    record.neighbours = timing.alone ? "idle" : "busy";
    double& first = first_sentinel_[{batch.multiprocessors, share}];
    const double slower = std::max(timing.before_us, timing.after_us);
    if (first == 0) first = timing.before_us;
    if (first > 0 && slower > 0) record.sentinel = slower / first;
    return record;
  }
  // "sm 8, share 3": as many as the driver provisioned.
  std::string where(const CudaTiming& timing, int multiprocessors, std::size_t share) const {
    const int count = timing.multiprocessors > 0 ? timing.multiprocessors : multiprocessors;
    return fmt::format("{} {}, share {}", board_.backend().unit, count, share);
  }

  // Configurations against each other in share 0, one at a time.
  void contest(const Desk& desk, const std::vector<Configuration>& configurations) {
    if (configurations.empty()) return;
    std::vector<std::string> texts;
    std::vector<fs::path> cubins;
    for (const Configuration& c : configurations)
      texts.push_back(board_.backend().source(desk.task.workload, *desk.space, c)),
          cubins.push_back(folder_.fresh(".cubin"));
    const std::vector<CudaBuild> builds = compile(texts, cubins);
    std::vector<Configuration> made;
    std::map<Configuration, CudaTrial> trials;
    for (std::size_t i = 0; i < builds.size(); ++i)
      if (builds[i].outcome == Outcome::ok) {
        made.push_back(configurations[i]);
        trials[configurations[i]] = {0, cubins[i], cuda_launch_line(texts[i]), desk.task.workload};
      }
    CudaTiming first, last;
    auto time = [&](const Configuration& configuration, int samples) {
      last = bench_.run(least(desk.task.workers), {trials.at(configuration)}, samples).front();
      if (first.before_us == 0) first = last;
      return last.us;
    };
    const HalvingOptions how{.first = 5, .finalists = options_.finalists, .last = 20, .seed = options_.seed};
    for (const Contender& contender : halve(made, time, how))
      if (!contender.us.empty()) keep(desk, contender, first, last);
    for (const fs::path& cubin : cubins) forget(cubin);
  }

  void keep(const Desk& desk, const Contender& contender, const CudaTiming& first, const CudaTiming& last) {
    Record record;
    record.key = desk.key, record.configuration = named(*desk.space, contender.configuration);
    record.us = contender.us, record.clock = board_.backend().clock;
    record.partition = where(first, desk.task.workers, 0);
    record.neighbours = "idle", record.tier = Tier::exclusive, record.when = now_text();
    if (first.before_us > 0 && last.after_us > 0) record.sentinel = last.after_us / first.before_us;
    board_.file().append(record);
  }

  CudaPlace place_;
  const TuneOptions& options_;
  Board board_;
  CudaBench bench_;
  TemporaryFolder folder_;
  std::map<std::pair<int, std::size_t>, double> first_sentinel_;  // by size and index of the share
};

void check_jobs(const std::vector<TuneTask>& tasks, const TuneOptions& options) {
  int most = 1;
  for (const TuneTask& task : tasks) most = std::max(most, cuda_shares_at_once(*options.cuda, task.workers));
  if (options.jobs < 0 || options.jobs > most)
    throw Error(Code::bad_value, fmt::format("there are no {} shares at once, but {}", options.jobs, most),
                "--jobs", "fewer jobs, or smaller shares; without --jobs as many as fit are used");
}

}  // namespace

TuneResult tune_on_cuda(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options) {
  TAILOR_CHECK(options.cuda.has_value());
  for (const TuneTask& task : tasks)
    TAILOR_CHECK(no_cuda_kernel(task.workload).empty() && task.workers >= 1 && task.share > 0 &&
                 task.share <= 1);
  check_jobs(tasks, options);
  CudaRun run(tasks, file, options);
  run.try_all();
  const double seconds = run.board().seconds();
  throw_if_interrupted();
  if (options.finalists > 0) run.hold_finals();
  return run.board().result(seconds);
}

}  // namespace tailor::tune
