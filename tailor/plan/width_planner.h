/// \file The exact planner: dynamic programming over a tree decomposition, one Pareto front per separator
/// assignment.
///
/// Variables are eliminated one by one (min-fill order; Dechter 1999, bucket elimination); instead of one
/// number every table entry holds the Pareto front of (latency, loss) over the eliminated part. The sum of
/// fronts is pruned by dominance and by the least latency of the rest. Where a step's fronts grow too long,
/// latencies are rounded up to a quantum from there on, and the result carries how much that can have cost;
/// the point at the budget is then settled exactly by a second run that keeps only what a Lagrangian bound
/// cannot exclude. Where the width of the decomposition makes tables larger than `max_entries`, Lagrangian
/// bounds plus search take over and the gap is stated. Multiple-choice knapsack: Kellerer, Pferschy, Pisinger
/// 2004, ch. 11.
#pragma once

#include "tailor/plan/problem.h"

#include <cstddef>
#include <vector>

namespace tailor::plan {

struct PlannerOptions {
  double budget_us = -1;              // points above are not needed; < 0: the whole front
  double quantum_us = 0;              // 0: the budget (or the front's range) / ticks
  std::size_t ticks = 16384;          // of the automatic quantum
  std::size_t max_points = 4096;      // of one exact front, a longer one is rounded; of the result
  std::size_t max_pairs = 2000000;    // of points that one exact step adds; a larger step is rounded
  std::size_t max_entries = 4000000;  // table entries of one elimination step, before the search takes over
  std::size_t max_memory =
      1500000000;          // bytes of all tables; beyond, the quantum is made coarser, then search
  double max_work = 2e10;  // additions on the grid (some 5 s); beyond, as max_memory
};

/// How far from optimal a point can be.
struct Certificate {
  bool optimal = false;   // no choice of at most (latency - quantum_us) has a smaller loss
  double quantum_us = 0;  // latency resolution of that statement (all roundings together); 0: exact
  double loss_bound = 0;  // no choice of at most this latency has a smaller loss than this
  double gap = 0;         // (loss - loss_bound) / loss; 0 when optimal and exact
};

struct Point {
  Cost cost;                // exact cost of the choice (evaluate(), not rounded)
  std::vector<int> choice;  // candidate index per variable
  Certificate certificate;
};

/// Points of strictly increasing latency and strictly decreasing loss. Empty if every combination is
/// forbidden or above the budget (or, only where the search had to take over, if it found none).
struct Front {
  std::vector<Point> points;
  /// The point of least loss with latency <= budget; nullptr if none (the budget is infeasible).
  const Point* best_within(double budget_us) const;
};

/// @throws what check(problem) throws. Deterministic. Time: sum over elimination steps of (table entries x
/// candidates x front merge); the point at a given budget is exact (certificate.quantum_us == 0) wherever the
/// second run finishes.
Front plan_widths(const Problem& problem, const PlannerOptions& options = {});

/// Stupid reference: enumerates every combination. @pre product of the candidates <= 10^7
Front plan_by_enumeration(const Problem& problem);

}  // namespace tailor::plan
