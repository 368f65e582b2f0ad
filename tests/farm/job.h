/// \file A job of mpirun whose processes can be killed one by one.
#pragma once

#include <string>
#include <vector>

namespace tailor::testing {

enum class Victim { runner, worker, master };
inline constexpr Victim kVictims[] = {Victim::runner, Victim::worker, Victim::master};

/// Starts the words as a process; its output is kept. Not thread-safe.
class Job {
 public:
  explicit Job(const std::vector<std::string>& words);
  /// Kills what is left.
  ~Job();
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  void wait(double seconds);
  /// Has the first process not ended yet?
  bool runs();
  /// kill -9 of one process of that kind, of several the one that started last. False if there is none.
  bool kill(Victim victim);
  /// Waits for the end of the first process, so many seconds at most. Its exit status, 128 + n for signal n; -1: it runs.
  int end(double seconds);
  /// kill -9 of all processes that there were; returns when they are gone.
  void kill_all();
  /// What was written to stdout and stderr so far.
  std::string words() const;

 private:
  std::vector<int> descendants() const;
  int pid_ = -1, status_ = 0;
  bool ended_ = false;
  std::string output_;  // a file
};

}  // namespace tailor::testing
