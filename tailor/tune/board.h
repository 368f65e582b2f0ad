/// \file What a tuning run is given, what it gives, and what all that measure for it share: the desks, the record file, the
/// counts, the clock.
#pragma once

#include "tailor/tune/alone.h"
#include "tailor/tune/cuda_bench.h"
#include "tailor/tune/desk.h"
#include "tailor/tune/kernel_bench.h"
#include "tailor/tune/partition.h"
#include "tailor/tune/records.h"
#include "tailor/tune/stop.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace tailor::tune {

struct TuneOptions {
  int jobs = 1;         // parts, each a core at least, or shares of a GPU at once
  double seconds = 60;  // for everything; a trial that has begun is ended
  StopRules per_task = {.trials = 0, .seconds = 0, .gain = 0.002};
  std::string searcher = "model";
  std::uint64_t seed = 1;
  int samples = 5;      // of a trial
  int finalists = 4;    // per task, timed alone at the end; 0: none
  double drift = 0.02;  // of the unchanging kernel around a trial, above which it is measured again
  bool ahead = true;  // the next kernel is compiled while one is measured; not with `cuda`, which always does
  /// Trials share compiled kernels where the backend has such (Backend::shapeless); finals are compiled for their layer.
  bool shapeless = true;
  /// oneDNN as one more finalist of each one-thread task; where it cannot take part, TuneResult::library says why.
  OneDnnFile onednn = {};
  CompilerOptions compiler = {};
  std::string runner = {};  // command; empty: tailor-runner-kernels beside this program
  /// Kernels in OpenCL C in the place of C++: on parts of this device instead of cores, with compute units as workers.
  /// `compiler` and `runner` are then those of the library's kernel only.
  std::optional<OpenClPlace> opencl = {};
  /// Kernels in CUDA C++ in f16, in shares of this GPU (cuda_tuner.h): jobs are then shares at once, 0 as many as fit, and
  /// `onednn`, `compiler` and `runner` are not used.
  std::optional<CudaPlace> cuda = {};
  /// Told after each trial; calls never overlap.
  struct Status {
    std::size_t trials = 0;  // of this run
    double seconds = 0;
    std::string doing;
  };
  std::function<void(const Status&)> on_status = {};
};

struct TaskResult {
  TuneTask task;
  RecordKey key;
  std::size_t trials = 0, before = 0;  // of this run; found in the file
  std::optional<Standing> best;        // of everything known, measured alone if any is
  std::optional<double> gain_left;     // share that one more trial is expected to save
  std::string stopped;                 // why no more was tried
};

/// What a tuning run did, beside its records.
struct TuneResult {
  std::vector<TaskResult> tasks;
  double seconds = 0;  // of the trials, without the finalists
  std::size_t trials = 0;
  std::size_t repeated = 0;  // measurements thrown away because the unchanging kernel drifted
  double compile_seconds = 0, measure_seconds = 0;  // summed over all parts
  std::string library;  // why a library that was asked for has no time, of one of the tasks; "" if all have
};

/// A configuration that is to be tried, and its text; with a shape others may have the same.
struct Job {
  std::size_t desk = 0;
  Configuration configuration;
  std::string source;
  std::vector<std::int64_t> shape = {};
};

/// Hands out jobs and takes records back; each call may come from another thread, but for those that return references, which
/// are for when nobody measures.
class Board {
 public:
  /// Refers to `file` and `options`. @throws Error as make_desk, Backend::machine
  Board(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options, Backend backend);

  /// The next thing to try; nothing when the time is over, or every task that is `open` is done. @param open nothing: all are
  std::optional<Job> next(const std::function<bool(const TuneTask&)>& open = {});
  /// The record is in the file when it returns; its key, configuration and time are set here. @throws Error write_failed
  void done(const Job& job, Record record);
  void count(double compile_seconds, double measure_seconds, std::size_t repeated);
  /// Nothing more is handed out.
  void stop() { stopped_ = true; }
  /// Why the library's kernel has no time.
  void refused(const std::string& why) { result_.library = why; }

  const Desk& desk(std::size_t index) const { return desks_[index]; }
  const std::vector<Desk>& desks() const { return desks_; }
  const Backend& backend() const { return backend_; }
  const TuneOptions& options() const { return options_; }
  RecordFile& file() { return file_; }
  std::size_t size() const { return desks_.size(); }
  double seconds() const;

  /// What came of it; the board is done with then. @param seconds of the trials
  TuneResult result(double seconds);

 private:
  Job job_of(std::size_t desk, const Configuration& configuration) const;
  bool over() const;
  bool may_ask(std::size_t index) const;

  RecordFile& file_;
  const TuneOptions& options_;
  Backend backend_;
  std::vector<Desk> desks_;
  std::vector<std::uint64_t> under_way_;  // per desk: asked for and not yet done
  TuneResult result_;
  std::mutex mutex_;
  std::atomic<bool> stopped_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace tailor::tune
