// Board: what all parts share, behind one mutex: searchers, the file, counts. Part: one thread with its runner; it
// takes a job from the board, compiles it ahead, measures, gives back a record. run_alone: alone, at the end.
#include "tailor/tune/scheduler.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/tune/alone.h"
#include "tailor/tune/searcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <thread>

namespace tailor::tune {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kPatience = 3;            // measurements of one trial until drift is accepted and recorded
constexpr std::size_t kFairStart = 12;  // trials of every task before those that promise most come first
constexpr double kForFinalists = 0.15;  // of the time

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One task under way. The space does not move: the searcher refers to it.
struct Desk {
  TuneTask task;
  RecordKey key;
  std::unique_ptr<const Space> space;
  std::unique_ptr<Searcher> searcher;
  SearchState state;
  std::size_t before = 0;
  double best_us = 0;  // 0: nothing yet
  std::string stopped;
};

struct Job {
  std::size_t desk = 0;
  Configuration configuration;
  std::string source;
};

class Board {
 public:
  Board(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options)
      : file_(file), options_(options), unit_(vector_unit()) {
    for (std::size_t i = 0; i < tasks.size(); ++i) desks_.push_back(make_desk(tasks[i], i));
  }

  // The next thing to try; nothing when the time is over, or every task is done.
  std::optional<Job> next() {
    std::lock_guard lock(mutex_);
    while (!over()) {
      const std::optional<std::size_t> desk = most_promising();
      if (!desk) return std::nullopt;
      Desk& d = desks_[*desk];
      std::optional<Configuration> configuration = d.searcher->ask();
      if (!configuration) {
        d.stopped = "every configuration tried";
        continue;
      }
      if (std::optional<double> gain = d.searcher->expected_gain()) d.state.gains.push_back(*gain);
      return Job{*desk, *configuration, kernel_source(d.task.workload, unit_, *d.space, *configuration)};
    }
    return std::nullopt;
  }

  void done(const Job& job, Record record) {
    std::lock_guard lock(mutex_);
    Desk& d = desks_[job.desk];
    record.key = d.key, record.configuration = named(*d.space, job.configuration), record.when = now_text();
    file_.append(record);
    tell(d, job.configuration, record);
    ++result_.trials, ++d.state.trials, d.state.seconds = seconds_since(start_);
    if (d.stopped.empty()) d.stopped = reason_to_stop(options_.per_task, d.state);
    if (options_.on_status)
      options_.on_status({result_.trials, seconds_since(start_), latency::to_string(d.task.workload)});
  }
  void count(double compile_seconds, double measure_seconds, std::size_t repeated) {
    std::lock_guard lock(mutex_);
    result_.compile_seconds += compile_seconds, result_.measure_seconds += measure_seconds;
    result_.repeated += repeated;
  }

  void stop() { stopped_ = true; }
  const Desk& desk(std::size_t index) const { return desks_[index]; }
  const VectorUnit& unit() const { return unit_; }
  const TuneOptions& options() const { return options_; }
  RecordFile& file() { return file_; }
  const RecordFile& file() const { return file_; }
  std::size_t size() const { return desks_.size(); }
  double seconds() const { return seconds_since(start_); }

  void refused(const std::string& why) { result_.library = why; }

  TuneResult result(double seconds) {
    result_.seconds = seconds;
    for (Desk& d : desks_) {
      TaskResult task{d.task,
                      d.key,
                      d.state.trials,
                      d.before,
                      std::nullopt,
                      d.searcher->expected_gain(),
                      d.stopped.empty() ? "the time is over" : d.stopped};
      task.best = best_of(file_.records(), d.key);
      result_.tasks.push_back(std::move(task));
    }
    return std::move(result_);
  }

 private:
  Desk make_desk(const TuneTask& task, std::size_t index) {
    Desk desk{task, key_of(task, options_.compiler), nullptr, nullptr, {}, 0, 0, ""};
    desk.space = std::make_unique<const Space>(kernel_space(task.workload, unit_));
    desk.searcher = make_searcher(options_.searcher, *desk.space, options_.seed + index);
    for (const Record& record : file_.records()) {
      if (record.key != desk.key || record.tier != Tier::parallel) continue;
      const std::optional<Configuration> configuration = place_of(*desk.space, record.configuration);
      if (configuration) tell(desk, *configuration, record), ++desk.before;
    }
    return desk;
  }
  static void tell(Desk& desk, const Configuration& configuration, const Record& record) {
    const bool ok = record.outcome == Outcome::ok;
    desk.searcher->tell({configuration, record.outcome, ok ? record.time_us() : 0});
    if (ok && (desk.best_us == 0 || record.time_us() < desk.best_us)) desk.best_us = record.time_us();
  }
  bool over() const { return stopped_ || seconds_since(start_) >= options_.seconds * (1 - kForFinalists); }

  // Every task gets its fair start; then whichever network time is expected to shrink most.
  std::optional<std::size_t> most_promising() const {
    std::optional<std::size_t> chosen;
    double most = -1;
    for (std::size_t i = 0; i < desks_.size(); ++i) {
      const Desk& d = desks_[i];
      if (!d.stopped.empty()) continue;
      const std::size_t known = d.before + d.state.trials;
      const double gain = d.state.gains.empty() ? 1 : d.state.gains.back();
      double promise = gain * d.best_us * d.task.layers;
      if (known < kFairStart || d.best_us == 0) promise = 1e12 - static_cast<double>(known);
      if (promise > most) most = promise, chosen = i;
    }
    return chosen;
  }

  RecordFile& file_;
  const TuneOptions& options_;
  VectorUnit unit_;
  std::vector<Desk> desks_;
  TuneResult result_;
  std::mutex mutex_;
  std::atomic<bool> stopped_ = false;
  Clock::time_point start_ = Clock::now();
};

class Part {
 public:
  Part(Board& board, const Partition& partition, const CompilerOptions& compiler, bool alone)
      : board_(board),
        partition_(partition),
        compiler_(compiler),
        alone_(alone),
        runner_(partition.cores.front(), board.options().runner) {}

  void work() {
    first_sentinel_ = runner_.sentinel_us();
    std::optional<Ahead> next = take();
    while (next) {
      Ahead now = std::move(*next);
      next = take();  // compiled while this one is measured
      Compiled compiled = now.compiled.get();
      board_.count(compiled.seconds, 0, 0);
      finish(now.job, compiled);
      std::error_code ignored;
      std::filesystem::remove(compiled.library, ignored);
    }
  }

 private:
  struct Ahead {
    Job job;
    std::future<Compiled> compiled;
  };
  std::optional<Ahead> take() {
    std::optional<Job> job = board_.next();
    if (!job) return std::nullopt;
    const std::filesystem::path library = folder_.fresh(".so");
    std::future<Compiled> compiled = std::async(
        std::launch::async,
        [source = job->source, library, how = compiler_] { return compile_kernel(source, library, how); });
    return Ahead{std::move(*job), std::move(compiled)};
  }

  void finish(const Job& job, const Compiled& compiled) {
    Record record;
    record.outcome = compiled.outcome, record.message = compiled.message, record.compile_s = compiled.seconds;
    record.clock = "thread cpu", record.partition = to_string(Partition{{partition_.cores.front()}});
    record.neighbours = alone_ ? "compiler" : "busy", record.tier = Tier::parallel;
    if (compiled.outcome == Outcome::ok) measure(job, compiled.library, record);
    board_.done(job, std::move(record));
  }

  // Again, up to a few times, while the unchanging kernel says that the core's speed changed in between.
  void measure(const Job& job, const std::filesystem::path& library, Record& record) {
    const Desk& desk = board_.desk(job.desk);
    const auto start = Clock::now();
    std::size_t repeated = 0;
    for (int attempt = 0; attempt < kPatience; ++attempt) {
      const double before = runner_.sentinel_us();
      KernelTiming timing =
          runner_.time(library, desk.task.workload, desk.task.workers, board_.options().samples);
      record.outcome = timing.outcome, record.us = std::move(timing.us),
      record.message = std::move(timing.message);
      if (record.outcome != Outcome::ok) break;
      const double after = runner_.sentinel_us();
      record.sentinel = first_sentinel_ > 0 ? std::max(before, after) / first_sentinel_ : 1;
      if (before > 0 && after > 0 && std::abs(after / before - 1) <= board_.options().drift) break;
      if (attempt + 1 < kPatience) ++repeated;
    }
    board_.count(0, seconds_since(start), repeated);
  }

  Board& board_;
  Partition partition_;
  CompilerOptions compiler_;
  bool alone_;
  KernelRunner runner_;
  TemporaryFolder folder_;
  double first_sentinel_ = 0;
};

// All parts until the board has nothing left. The first error stops them all and is thrown when they have ended.
void run_parts(Board& board, const std::vector<Partition>& partitions, const CompilerOptions& compiler) {
  std::exception_ptr thrown;
  std::mutex mutex;
  std::vector<std::jthread> threads;
  for (const Partition& partition : partitions)
    threads.emplace_back([&, partition] {
      try {
        Part(board, partition, compiler, partitions.size() == 1).work();
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!thrown) thrown = std::current_exception();
        board.stop();
      }
    });
  threads.clear();  // joins
  if (thrown) std::rethrow_exception(thrown);
}

// The best of a task as its search found them.
std::vector<Configuration> finalists_of(const Board& board, std::size_t index) {
  const Desk& desk = board.desk(index);
  std::vector<Record> own;
  for (const Record& record : board.file().records())
    if (record.key == desk.key && record.tier == Tier::parallel) own.push_back(record);
  std::vector<Configuration> finalists;
  for (const Standing& standing : ranking({desk.key, std::move(own)}))
    if (finalists.size() < static_cast<std::size_t>(board.options().finalists))
      if (std::optional<Configuration> at = place_of(*desk.space, standing.configuration))
        finalists.push_back(std::move(*at));
  return finalists;
}

// Whether this configuration was timed alone for this task.
bool was_alone(const Board& board, const Desk& desk, const Standing& standing) {
  const auto& records = board.file().records();
  return std::any_of(records.begin(), records.end(), [&](const Record& record) {
    return record.key == desk.key && record.tier == Tier::exclusive &&
           record.configuration == standing.configuration;
  });
}

// The best kernel of ours, of everything known; the library's own times are records too.
std::optional<Standing> winner_of(const Board& board, const Desk& desk) {
  std::vector<Record> own;
  for (const Record& record : board.file().records())
    if (record.key == desk.key) own.push_back(record);
  for (Standing& standing : ranking({desk.key, std::move(own)}))
    if (place_of(*desk.space, standing.configuration)) return std::move(standing);
  return std::nullopt;
}

// Winners of the same operator at other shares that were not timed here: a choice made for one share may be the right
// one here too, and if not, what it costs here is worth knowing. Nothing if there are none; else the task's own winner
// comes along, so that they meet in the same rounds.
std::vector<Configuration> guests_of(const Board& board, std::size_t index) {
  const Desk& desk = board.desk(index);
  std::vector<Configuration> guests;
  auto add = [&](const std::optional<Standing>& standing) {
    const std::optional<Configuration> at =
        standing ? place_of(*desk.space, standing->configuration) : std::nullopt;
    if (at && std::find(guests.begin(), guests.end(), *at) == guests.end()) guests.push_back(*at);
  };
  for (std::size_t other = 0; other < board.size(); ++other) {
    if (other == index || !(board.desk(other).task.workload == desk.task.workload)) continue;
    const std::optional<Standing> best = winner_of(board, board.desk(other));
    if (best && !was_alone(board, desk, *best)) add(best);
  }
  if (!guests.empty()) add(winner_of(board, desk));
  return guests;
}

// A library's record is told by its one parameter, and says what came of the contest.
void name_library(Record& record, const TimedAlone& timed) {
  const std::size_t end = std::min(timed.library.find(": "), timed.library.size());
  record.configuration = {{"library", timed.library.substr(0, end)}};
  record.message = timed.library.substr(std::min(end + 2, timed.library.size()));
  const std::optional<double> ratio = own_over_library(timed);
  if (ratio)
    record.message += fmt::format("; {}own/library {:.3f}", *ratio > 1 ? "use the library: " : "", *ratio);
}

// Timed alone on one core with nobody beside; one record each with all samples.
void run_alone(Board& board, std::size_t index, const std::vector<Configuration>& finalists,
               KernelRunner& runner, int core, const CompilerOptions& compiler, const OneDnnFile& onednn) {
  if (finalists.empty()) return;
  const Desk& desk = board.desk(index);
  const double sentinel = runner.sentinel_us();
  const HalvingOptions how{
      .first = 5, .finalists = board.options().finalists, .last = 20, .seed = board.options().seed};
  TimedAlone timed = time_alone(desk.task.workload, desk.task.workers, *desk.space, finalists, runner,
                                compiler, how, desk.task.workers == 1 ? onednn : std::nullopt);
  if (!timed.refused.empty()) board.refused(timed.refused);
  const double later = runner.sentinel_us();
  for (const Contender& contender : timed.order) {
    if (contender.us.empty()) continue;
    Record record;
    record.key = desk.key;
    if (contender.configuration == kLibraryKernel)
      name_library(record, timed);
    else
      record.configuration = named(*desk.space, contender.configuration);
    record.us = contender.us, record.clock = "thread cpu", record.partition = to_string(Partition{{core}});
    record.neighbours = "idle", record.tier = Tier::exclusive, record.when = now_text();
    record.sentinel = sentinel > 0 && later > 0 ? later / sentinel : 1;
    board.file().append(record);
  }
}

}  // namespace

TuneResult tune_kernels(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options) {
  for (const TuneTask& task : tasks)
    TAILOR_CHECK(no_kernel(task.workload).empty() && task.workers >= 1 && task.share > 0 && task.share <= 1);
  const std::vector<int> cores = usable_cores();
  const std::vector<Partition> partitions = split_cores(cores, options.jobs);
  Board board(tasks, file, options);
  CompilerOptions compiler = options.compiler;
  std::vector<Partition> driven;  // one core of each part works; the others can compile
  for (const Partition& partition : partitions) driven.push_back({{partition.cores.front()}});
  compiler.cores = remaining_cores(cores, driven);
  run_parts(board, partitions, compiler);
  const double seconds = board.seconds();
  throw_if_interrupted();
  if (options.finalists > 0) {
    const int core = partitions.front().cores.front();
    KernelRunner runner(core, options.runner);
    for (std::size_t i = 0; i < board.size(); ++i)
      run_alone(board, i, finalists_of(board, i), runner, core, options.compiler, options.onednn);
    for (std::size_t i = 0; i < board.size(); ++i)
      run_alone(board, i, guests_of(board, i), runner, core, options.compiler, std::nullopt);
  }
  return board.result(seconds);
}

}  // namespace tailor::tune
