/// \file Operators tuned in f16 with CUDA kernels, in shares of one GPU at the same time.
///
/// As scheduler.h does on cores, with two differences. The shares are green contexts of one runner process, because processes do
/// not run side by side on a GPU; so trials go in batches, one for each share, of one size of share at a time. And kernels are
/// compiled ahead of the GPU by processes of their own: those of the next batch while the present one is measured.
/// Not run on hardware so far: tests run it on a device that computes and whose clock is simulated (tests/cuda).
#pragma once

#include "tailor/tune/board.h"

#include <vector>

namespace tailor::tune {

/// Tunes until the time is over or no task has anything left to gain, then times the finalists one at a time in one share with
/// nobody beside. A task's workers are the multiprocessors of its share. Every trial of a batch is in `file` before the next batch
/// begins; a batch around which the kernel that never changes drifted by more than options.drift is measured again, at most
/// three times in all.
/// @pre options.cuda is set; no_cuda_kernel is "" for each task, whose share is one of cuda_share
/// @throws Error interrupted (records are kept); bad_value: more jobs than shares; runtime_missing, runtime_refused, runner_failed
TuneResult tune_on_cuda(const std::vector<TuneTask>& tasks, RecordFile& file, const TuneOptions& options);

}  // namespace tailor::tune
