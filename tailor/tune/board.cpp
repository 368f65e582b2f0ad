#include "tailor/tune/board.h"

namespace tailor::tune {
namespace {

constexpr double kForFinalists = 0.15;  // of the time

}  // namespace

Board::Board(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options,
             Backend backend)
    : file_(file), options_(options), backend_(std::move(backend)) {
  const MachineClass machine = backend_.machine();
  for (std::size_t i = 0; i < tasks.size(); ++i)
    desks_.push_back(make_desk(tasks[i], key_of(tasks[i], machine),
                               backend_.space(tasks[i].workload, tasks[i].workers), options.searcher,
                               options.seed + i, file.records()));
  under_way_.resize(tasks.size());
}

std::optional<Job> Board::next(const std::function<bool(const TuneTask&)>& open) {
  std::lock_guard lock(mutex_);
  while (!over()) {
    const std::optional<std::size_t> desk = most_promising(
        desks_, [&](std::size_t index) { return may_ask(index) && (!open || open(desks_[index].task)); });
    if (!desk) return std::nullopt;
    if (const std::optional<Configuration> configuration = ask(desks_[*desk])) {
      ++under_way_[*desk];
      return job_of(*desk, *configuration);
    }
  }
  return std::nullopt;
}

Job Board::job_of(std::size_t desk, const Configuration& configuration) const {
  const Desk& d = desks_[desk];
  if (!options_.shapeless || !backend_.shapeless)
    return {desk, configuration, backend_.source(d.task.workload, *d.space, configuration)};
  ShapelessKernel kernel = backend_.shapeless(d.task.workload, *d.space, configuration);
  return {desk, configuration, std::move(kernel.text), std::move(kernel.shape)};
}

void Board::done(const Job& job, Record record) {
  std::lock_guard lock(mutex_);
  Desk& d = desks_[job.desk];
  record.key = d.key, record.configuration = named(*d.space, job.configuration), record.when = now_text();
  file_.append(record);
  tell(d, job.configuration, record);
  --under_way_[job.desk], ++result_.trials, ++d.state.trials, d.state.seconds = seconds();
  if (d.stopped.empty()) d.stopped = reason_to_stop(options_.per_task, d.state);
  if (options_.on_status)
    options_.on_status({result_.trials, seconds(), latency::to_string(d.task.workload)});
}

void Board::count(double compile_seconds, double measure_seconds, std::size_t repeated) {
  std::lock_guard lock(mutex_);
  result_.compile_seconds += compile_seconds, result_.measure_seconds += measure_seconds;
  result_.repeated += repeated;
}

double Board::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

TuneResult Board::result(double seconds) {
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

bool Board::over() const { return stopped_ || seconds() >= options_.seconds * (1 - kForFinalists); }

// Trials under way count towards the most that are wanted.
bool Board::may_ask(std::size_t index) const {
  const std::uint64_t most = options_.per_task.trials;
  return most == 0 || desks_[index].state.trials + under_way_[index] < most;
}

}  // namespace tailor::tune
