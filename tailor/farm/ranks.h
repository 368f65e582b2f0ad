/// \file The ranks of a job that mpirun started. ranks_mpi.cpp is the only file that knows MPI; where there is no MPI,
/// ranks_none.cpp takes its place and says so.
#pragma once

#include "tailor/farm/post.h"

namespace tailor::farm {

/// One object per process; not thread-safe; posts must be gone before leave(). Waiting sleeps, because a rank that spins takes a core from measurements.
class Ranks {
 public:
  /// Joins the job. @throws Error runtime_missing (built without MPI), runner_failed
  Ranks();
  int rank() const { return rank_; }
  int size() const { return size_; }
  /// @throws from receive: Error interrupted; runner_failed once the process that started the ranks is gone
  Post post();
  /// Leaves the job together with all others: waits for those that have not called it.
  void leave();
  /// Ends all ranks at once.
  [[noreturn]] void abort(int exit_code);

 private:
  int rank_ = 0, size_ = 1;
};

/// What the environment says before the job is joined: this process is a rank and not the first, so that it need not
/// repeat what the first one says.
bool is_later_rank();

}  // namespace tailor::farm
