/// \file How letters travel, and the loops that read them. Two kinds of post exist: MPI's (ranks.h) and mailboxes in one
/// process, which shards and tests use.
#pragma once

#include "tailor/farm/master.h"
#include "tailor/farm/worker.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace tailor::farm {

struct Post {
  /// Returns at once; letters to one rank arrive in the order sent.
  std::function<void(int rank, const std::string& line)> send;
  /// The next letter, or nothing after so many seconds. @throws Error interrupted
  std::function<std::optional<Letter>(double timeout_s)> receive;
};

/// Told after each message of a worker; calls never overlap.
struct FarmStatus {
  double seconds = 0;
  std::uint64_t trials = 0;  // of this run
  std::vector<std::string> remarks;
};

/// Until the master has nothing left to do; then everybody is told to stop. Returns the seconds it took.
/// @throws Error interrupted, write_failed; records are kept
double run_master(Master& master, const Post& post, const std::function<void(const FarmStatus&)>& on_status);

/// Until the master says stop. @param runner as Worker's. A worker that cannot go on says so and waits for that too.
/// @throws Error interrupted
void run_worker(const std::string& runner, const Post& post);

/// Mailboxes of the ranks 0..ranks-1 of one process. Thread-safe.
class Mailboxes {
 public:
  explicit Mailboxes(int ranks);
  ~Mailboxes();
  /// Valid as long as the mailboxes are.
  Post post_of(int rank);

 private:
  struct Box;
  std::vector<std::unique_ptr<Box>> boxes_;
};

/// The master with so many workers as threads of this process. @param runner as Worker's
/// @throws as run_master
double run_here(Master& master, int workers, const std::string& runner,
                const std::function<void(const FarmStatus&)>& on_status);

}  // namespace tailor::farm
