/// \file Several operators tuned at once on parts of the processor that do not overlap.
///
/// The parts rank: while neighbours run, a time is good enough to say which configurations to keep. The finalists are
/// timed again alone, and only that decides (arXiv:2008.03602 multiplexes tuning jobs over parts of a GPU; the second
/// look is ours). One thread drives one part and its runner process; the next kernel is compiled while the present one
/// is measured, on the cores that belong to no part where there are any. A kernel that never changes is timed before
/// and after each trial; where its two times differ, the trial is measured again. All state is the record file: who is
/// killed goes on from it. With OpenCL the parts are sub-devices, each with a runner of its own, and the driver compiles.
#pragma once

#include "tailor/tune/alone.h"
#include "tailor/tune/kernel_bench.h"
#include "tailor/tune/partition.h"
#include "tailor/tune/records.h"
#include "tailor/tune/stop.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tailor::tune {

struct TuneOptions {
  int jobs = 1;         // parts, each a core at least
  double seconds = 60;  // for everything; a trial that has begun is ended
  StopRules per_task = {.trials = 0, .seconds = 0, .gain = 0.002};
  std::string searcher = "model";
  std::uint64_t seed = 1;
  int samples = 5;      // of a trial
  int finalists = 4;    // per task, timed alone at the end; 0: none
  double drift = 0.02;  // of the unchanging kernel around a trial, above which it is measured again
  /// oneDNN as one more finalist of each one-thread task; where it cannot take part, TuneResult::library says why.
  OneDnnFile onednn = {};
  CompilerOptions compiler = {};
  std::string runner = {};  // command; empty: tailor-runner-kernels beside this program
  /// Kernels in OpenCL C in the place of C++: on parts of this device instead of cores, with compute units as workers.
  /// `compiler` and `runner` are then those of the library's kernel only.
  std::optional<OpenClPlace> opencl = {};
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

/// Tunes until the time is over or no task has anything left to gain, then times the finalists alone, unless all of them
/// were timed alone before. Every trial is
/// in `file` when the next one begins. Tasks that were begun before go on from their records.
/// @pre the backend has a kernel for each task
/// @throws Error interrupted (records are kept), bad_value (more jobs than cores or units; a task that wants more units
/// than a job has), runtime_missing, runner_failed
TuneResult tune_kernels(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options);

}  // namespace tailor::tune
