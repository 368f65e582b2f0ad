/// \file What kernels lose to each other: the time of one in its part of the device while another runs in the
/// neighbouring part, over its time there with nobody beside.
///
/// A cell is visited once a round, all cells in random order. A visit is three windows in random order, close to each
/// other: the first part alone, the second alone, both. Before and after it a kernel that never changes is timed in
/// each part; where that drifted the visit is thrown away, so the speed of the cores is not taken for interference.
/// Slowdown matrices of pairs of kernels are how contention in shared caches, memory and clocks is made visible
/// (Elvinger et al., SoCC 2025, arXiv:2501.16909).
#pragma once

#include "tailor/runtime/measure.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace tailor::tune {

/// Samples of one window in microseconds, of each part that had a kernel; only those that were taken while both ran.
using WindowTimes = std::array<std::vector<double>, 2>;

/// How windows come to be: processes on cores, or a record of some.
struct InterferenceBench {
  /// Runs one kernel in each part at the same time; nothing: that part idles.
  std::function<WindowTimes(std::optional<std::size_t> first, std::optional<std::size_t> second)> run;
  /// Microseconds of the unchanging kernel in each part, one after the other; 0: unknown.
  std::function<std::array<double, 2>()> sentinels;
};

struct InterferenceOptions {
  int rounds = 10;
  double seconds = 0;    // no new round is begun after so long; 0: no limit
  double drift = 0.02;   // of the unchanging kernel over a visit, above which the visit is thrown away
  int patience = 3;      // visits of a cell in one round until it is passed over
  double margin = 0.02;  // slowdowns within it are called the same
  std::uint64_t seed = 1;
  std::function<void(double)> on_progress = {};  // told 0..1
};

/// Of one kernel beside another one.
struct Slowdown {
  runtime::Comparison
      over_alone;  // median ratio of a visit's medians, 95 % interval by bootstrap over visits
  double alone_us = 0, beside_us = 0;  // medians of the visits' medians; 0 without a visit
};

/// One kernel in the first part, one in the second.
struct InterferenceCell {
  Slowdown first, second;
  int kept = 0, thrown = 0;  // visits; fewer than five kept are AMBIGUOUS
};

struct InterferenceMatrix {
  std::size_t kernels = 0;
  std::vector<InterferenceCell> cells;  // of (first, second) at first * kernels + second
  int rounds = 0;                       // begun
  double seconds = 0;
  const InterferenceCell& at(std::size_t first, std::size_t second) const {
    return cells[first * kernels + second];
  }
  /// The slowdown that so many of a hundred do not exceed, of both parts of all cells with five visits or more; 100: the
  /// largest. Nothing if there is no such cell. @pre 0 < percent <= 100
  std::optional<double> percentile(double percent) const;
};

/// Visits all pairs of `kernels`. O(rounds x kernels^2) visits of three windows.
/// @pre kernels, rounds and patience are at least 1 @throws as the bench; Error interrupted
InterferenceMatrix measure_interference(std::size_t kernels, const InterferenceBench& bench,
                                        const InterferenceOptions& options);

/// A sample with the time that it took up, on a clock that both parts share.
struct TimedSample {
  double us = 0, begin_us = 0, end_us = 0;
};
/// The samples of each list that were taken while the other list's were: those that lie wholly between its first begin
/// and its last end. None if one list is empty. O(samples)
WindowTimes samples_of_both(const std::vector<TimedSample>& first, const std::vector<TimedSample>& second);

}  // namespace tailor::tune
