/// \file Jobs timed in several fresh runner processes, one after the other.
///
/// Where a process's pages lie decides which of its data meet in the same cache lines, and it is drawn once per
/// process: the ratio of a network to its pruned form differs by 1 to 3 % between processes (ResNet-56, two
/// processors), whatever the number of rounds in each. So a process is one sample, and the interval of a ratio comes
/// from how processes differ.
#pragma once

#include "tailor/runtime/measure.h"
#include "tailor/runtime/runner.h"

#include <span>
#include <string>
#include <vector>

namespace tailor::runtime {

struct ApartOptions {
  TimingOptions timing = {};  // of each process; its seed is counted up
  int processes = 3;          // at least
  double time_s = 0;          // further processes while less time than this is spent, start-up included
  int fewest_rounds = 1;      // of each process, whatever its time limit
};

/// Times in microseconds: [job][process][round].
using ApartTimes = std::vector<std::vector<std::vector<double>>>;
struct TimedApart {
  ApartTimes us;
  Hello hello;        // of the last process
  std::string clock;  // as in Samples
  int processes() const { return us.empty() ? 0 : static_cast<int>(us.front().size()); }
};

/// on_progress of `runner` is told the share of the whole. @throws Error as Runner and Runner::time
TimedApart time_apart(const RunnerOptions& runner, std::span<const Job> jobs, const ApartOptions& options);

/// B against A: the geometric mean of the processes' median ratios b/a of a round; lo..hi its 95 % interval by
/// Student's t over processes. One process: as compare() of its rounds. Fewer than five rounds in all are AMBIGUOUS.
/// @pre as many processes and rounds in both, all samples > 0
Comparison compare_apart(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b,
                         double margin = 0.01);

}  // namespace tailor::runtime
