/// \file Times that were taken in different calls of a runner, on one scale.
///
/// The rounds of one call hit all its jobs alike, but a program that runs beside for a minute makes all layers of one call
/// half as slow again and none of the next: a planner would take that for layers worth cutting. So every call times the
/// same few layers beside its own, the anchors. How long they take says how fast the machine was in each round.
#pragma once

#include "tailor/runtime/runner.h"

#include <cstddef>
#include <vector>

namespace tailor::runtime {

struct Steady {
  std::vector<Samples>
      samples;  // of the jobs before the anchors: calm rounds only, on the scale of the reference
  std::vector<double>
      reference;        // of the anchors, in microseconds: the given one, or what this call makes of itself
  double slowness = 1;  // of the calm rounds: anchors' time over the reference
  int calm = 0, rounds = 0;
  /// Enough calm rounds (a third), at most a tenth slower than the reference. A machine that is faster is as good.
  bool trustworthy() const { return 3 * calm >= rounds && slowness <= 1.1; }
};

/// Calm are the rounds in which the anchors, in the geometric mean of their times over the reference, are at most 8 % slower
/// than in the second fastest round. Samples of these rounds are divided by their round's slowness.
/// @param jobs sample i of all was taken in round i; the last `anchors` of them are the anchors. Jobs that have another
///   number of samples than the anchors are divided by the slowness of all calm rounds.
/// @param reference empty: the calm rounds of this call are the scale, and slowness is 1
/// @pre 1 <= anchors <= jobs.size(), each of them has a sample. O(jobs x rounds)
Steady steadied(std::vector<Samples> jobs, std::size_t anchors, std::vector<double> reference = {});

/// Places of at most `count` of `size` things, spread evenly. O(count)
std::vector<std::size_t> spread(std::size_t size, std::size_t count);

}  // namespace tailor::runtime
