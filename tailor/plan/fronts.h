/// \file Tables of Pareto fronts, and the two ways to add fronts and minimise over a variable: exact (merging
/// sorted runs) and on a latency grid (min-plus convolution).
///
/// Kellerer, Pferschy, Pisinger, "Knapsack Problems", 2004, ch. 11 (multiple-choice knapsack, lists and
/// dynamic programming).
#pragma once

#include "tailor/plan/elimination.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace tailor::plan {

/// One front per entry of a step, flat. Within an entry latency rises strictly and loss falls strictly.
struct Fronts {
  std::vector<std::size_t> begin;  // entries + 1
  std::vector<double> latency;     // microseconds, or whole ticks if roundings > 0
  std::vector<double> loss;
  std::vector<std::uint16_t> pick;    // the step's variable; empty if it has none
  std::vector<std::uint32_t> origin;  // after rounded(): index of the exact point
  int roundings = 0;                  // how many roundings up to a tick a latency here can contain

  std::size_t entries() const { return begin.size() - 1; }
  std::size_t size() const { return latency.size(); }
};

/// A front somewhere in a table.
struct Run {
  const double* latency;
  const double* loss;
  std::size_t size;
};
inline Run run(const Fronts& fronts, std::size_t entry) {
  std::size_t at = fronts.begin[entry];
  return {fronts.latency.data() + at, fronts.loss.data() + at, fronts.begin[entry + 1] - at};
}

/// What a step may keep of an entry: latency at most `latency`, and loss + per_us * latency at most `price`.
struct Cap {
  double latency = 0;
  double price = 0;
  double per_us = 0;
};

/// The factor's costs as fronts of at most one point.
Fronts leaf_fronts(const std::vector<Cost>& table, const std::vector<Cap>& caps);

/// Sums of points of both tables, the least over the step's variable, pruned. b is nullptr if the step has
/// one input. Exact. Empty if a front gets longer than `max_points`. O(pairs x log runs)
std::optional<Fronts> exact_step(const Step& step, const Fronts& a, const Fronts* b,
                                 const std::vector<Cap>& caps, std::size_t max_points);

/// Latencies divided by `quantum_us` and rounded up to whole ticks; fronts that were rounded already stay as
/// they are.
Fronts rounded(const Fronts& fronts, double quantum_us);

/// As exact_step, on a grid: latencies of a, b and caps are in ticks. O(sum of shorter front x ticks),
/// vectorised.
Fronts grid_step(const Step& step, const Fronts& a, const Fronts* b, const std::vector<Cap>& caps);

/// About how many additions grid_step makes.
double grid_work(const Step& step, const Fronts& a, const Fronts* b);

/// Pairs of points that a step adds: the work of exact_step.
std::size_t pairs(const Step& step, const Fronts& a, const Fronts* b);

}  // namespace tailor::plan
