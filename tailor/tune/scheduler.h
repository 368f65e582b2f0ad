/// \file Several operators tuned at once on parts of the processor that do not overlap.
///
/// The parts rank: while neighbours run, a time is good enough to say which configurations to keep. The finalists are
/// timed again alone, and only that decides (arXiv:2008.03602 multiplexes tuning jobs over parts of a GPU; the second
/// look is ours). One thread drives one part and its runner process; the next kernel is compiled while the present one
/// is measured, on the cores that belong to no part where there are any. A kernel that never changes is timed before
/// and after each trial; where its two times differ, the trial is measured again. All state is the record file: who is
/// killed goes on from it. With OpenCL the parts are sub-devices, each with a runner of its own, and the driver compiles.
#pragma once

#include "tailor/tune/board.h"

#include <vector>

namespace tailor::tune {

/// Tunes until the time is over or no task has anything left to gain, then times the finalists alone, unless all of them
/// were timed alone before. Every trial is
/// in `file` when the next one begins. Tasks that were begun before go on from their records.
/// @pre the backend has a kernel for each task
/// @throws Error interrupted (records are kept), bad_value (more jobs than cores or units; a task that wants more units
/// than a job has), runtime_missing, runner_failed
TuneResult tune_kernels(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options);

}  // namespace tailor::tune
