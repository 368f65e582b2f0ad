// Part: one thread with its runner; it takes a job from the board, compiles it ahead, measures, gives back a record. Arena:
// alone, at the end.
#include "tailor/tune/scheduler.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/tune/compiled_once.h"
#include "tailor/tune/measure_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>

namespace tailor::tune {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// On the partition's first core; of an OpenCL device, all its units, which the driver binds to cores by itself.
KernelRunner runner_on(const Partition& partition, const TuneOptions& options, const TemporaryFolder& cache) {
  if (!options.opencl) return KernelRunner(partition.cores.front(), options.runner);
  return KernelRunner(-1, command_for(*options.opencl, partition.cores.front(),
                                      static_cast<int>(partition.cores.size()), cache.path()));
}

class Part {
 public:
  Part(Board& board, CompiledOnce& compiled, const Partition& partition, bool alone)
      : board_(board),
        compiled_(compiled),
        partition_(partition),
        alone_(alone),
        runner_(runner_on(partition, board.options(), folder_)) {}

  void work() {
    first_sentinel_ = runner_.sentinel_us();
    std::optional<Ahead> next = take();
    while (next) {
      Ahead now = std::move(*next);
      if (board_.options().ahead) next = take();  // compiled while this one is measured
      Compiled compiled = now.compiled.get();
      board_.count(compiled.seconds, 0, 0);
      finish(now.job, compiled);
      std::error_code ignored;
      if (now.job.shape.empty()) std::filesystem::remove(compiled.library, ignored);
      if (!board_.options().ahead) next = take();
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
    std::future<Compiled> compiled =
        std::async(std::launch::async, [source = job->source, shared = !job->shape.empty(),
                                        library = folder_.fresh(board_.backend().extension), this] {
          return shared ? compiled_.of(source) : board_.backend().compile(source, library);
        });
    return Ahead{std::move(*job), std::move(compiled)};
  }

  void finish(const Job& job, const Compiled& compiled) {
    Record record;
    record.outcome = compiled.outcome, record.message = compiled.message, record.compile_s = compiled.seconds;
    const Backend& backend = board_.backend();
    const int workers = board_.desk(job.desk).task.workers;
    record.clock = backend.clock;
    record.partition = to_string(occupied(backend, partition_, workers), backend.unit);
    record.neighbours = !alone_ ? "busy" : board_.options().opencl ? "idle" : "compiler";
    record.tier = Tier::parallel;
    if (compiled.outcome == Outcome::ok) measure(job, {compiled.library, job.shape}, record);
    board_.done(job, std::move(record));
  }

  void measure(const Job& job, const TrialKernel& kernel, Record& record) {
    const auto start = Clock::now();
    const TrialCare care{board_.options().samples, board_.options().drift, first_sentinel_};
    const std::size_t repeated = measure_trial(runner_, kernel, board_.desk(job.desk).task, care, record);
    board_.count(0, seconds_since(start), repeated);
  }

  Board& board_;
  CompiledOnce& compiled_;
  Partition partition_;
  bool alone_;
  TemporaryFolder folder_;
  KernelRunner runner_;
  double first_sentinel_ = 0;
};

// All parts until the board has nothing left. The first error stops them all and is thrown when they have ended.
void run_parts(Board& board, const std::vector<Partition>& partitions) {
  CompiledOnce compiled(board.backend().compile, board.backend().extension);
  std::exception_ptr thrown;
  std::mutex mutex;
  std::vector<std::jthread> threads;
  for (const Partition& partition : partitions)
    threads.emplace_back([&, partition] {
      try {
        Part(board, compiled, partition, partitions.size() == 1).work();
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!thrown) thrown = std::current_exception();
        board.stop();
      }
    });
  threads.clear();  // joins
  if (thrown) std::rethrow_exception(thrown);
}

// Where finals are held: with nobody beside.
struct Arena {
  Board& board;
  Partition partition;
  Backend backend;
  KernelRunner runner;
  std::optional<KernelRunner> library = std::nullopt;  // the library's, where it needs another program

  // One record for each who took part, with all samples.
  void run(std::size_t index, const std::vector<Configuration>& finalists, const OneDnnFile& onednn) {
    if (finalists.empty()) return;
    const Desk& desk = board.desk(index);
    const HalvingOptions how{
        .first = 5, .finalists = board.options().finalists, .last = 20, .seed = board.options().seed};
    const Contest contest = time_contest(desk.task, desk.key, *desk.space, finalists, runner,
                                         occupied(backend, partition, desk.task.workers), how, backend,
                                         onednn, library ? &*library : nullptr);
    if (!contest.refused.empty()) board.refused(contest.refused);
    for (const Record& record : contest.records) board.file().append(record);
  }
};

// Who meets in the final of a desk; also finalists that met before, where the library is wanted and was not there.
std::vector<Configuration> contestants(const Board& board, std::size_t index,
                                       const std::vector<Record>& records) {
  const Desk& desk = board.desk(index);
  const bool library_came = std::any_of(records.begin(), records.end(), [&](const Record& record) {
    return record.key == desk.key && record.tier == Tier::exclusive &&
           !place_of(*desk.space, record.configuration);
  });
  const TuneOptions& options = board.options();
  return options.onednn && desk.task.workers == 1 && !library_came
             ? finalists_of(desk, records, options.finalists)
             : contestants_of(desk, records, options.finalists);
}

// Finals of all desks, then the winners of one share as guests at the others.
void run_finals(Board& board, const Partition& partition, const Backend& backend) {
  const TuneOptions& options = board.options();
  const TemporaryFolder cache;
  Arena arena{board, partition, backend, runner_on(partition, options, cache)};
  if (options.opencl && options.onednn) arena.library = KernelRunner(usable_cores().front(), options.runner);
  for (std::size_t i = 0; i < board.size(); ++i)
    arena.run(i, contestants(board, i, board.file().records()), options.onednn);
  for (std::size_t i = 0; i < board.size(); ++i)
    arena.run(i, guests_of(board.desks(), i, board.file().records()), std::nullopt);
}

// Cores of this process, or compute units of a device, in as many parts as there are jobs.
std::vector<Partition> parts_of(const std::vector<TuneTask>& tasks, const TuneOptions& options) {
  if (!options.opencl) return split_cores(usable_cores(), options.jobs);
  std::vector<int> units(static_cast<std::size_t>(options.opencl->device.units));
  std::iota(units.begin(), units.end(), 0);
  const std::vector<Partition> partitions = split_cores(units, options.jobs);
  for (const TuneTask& task : tasks)
    if (static_cast<std::size_t>(task.workers) > partitions.front().cores.size())
      throw Error(Code::bad_value,
                  fmt::format("a share of {} compute units does not fit into one of {} parts of {}",
                              task.workers, options.jobs, units.size()),
                  "--jobs", "fewer jobs, or smaller shares");
  return partitions;
}

// C++ is compiled on cores that nobody measures on, where there are any.
Backend backend_beside(const std::vector<Partition>& partitions, const TuneOptions& options) {
  if (options.opencl) return opencl_backend(*options.opencl);
  CompilerOptions compiler = options.compiler;
  std::vector<Partition> driven;  // one core of each part works; the others can compile
  for (const Partition& partition : partitions) driven.push_back({{partition.cores.front()}});
  compiler.cores = remaining_cores(usable_cores(), driven);
  return compiler;
}

}  // namespace

TuneResult tune_kernels(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options) {
  const std::vector<Partition> partitions = parts_of(tasks, options);
  const Backend beside = backend_beside(partitions, options);
  for (const TuneTask& task : tasks)
    TAILOR_CHECK(beside.no_kernel(task.workload).empty() && task.workers >= 1 && task.share > 0 &&
                 task.share <= 1);
  Board board(tasks, file, options, beside);
  run_parts(board, partitions);
  const double seconds = board.seconds();
  throw_if_interrupted();
  if (options.finalists > 0)
    run_finals(board, partitions.front(), options.opencl ? beside : Backend(options.compiler));
  return board.result(seconds);
}

}  // namespace tailor::tune
