/// \file The exact planner: dynamic programming over a tree decomposition, one Pareto front per separator
/// assignment.
///
/// Variables are eliminated one by one (min-fill order; Dechter 1999, bucket elimination); instead of one
/// number every table entry holds the Pareto front of (latency, loss) over the eliminated part. The sum of
/// fronts is pruned by dominance. Where fronts grow beyond `max_points`, latencies are rounded up to a
/// quantum, and the result carries how much that can have cost; where the width of the decomposition makes
/// tables larger than `max_entries`, a Lagrangian bound plus search takes over and the gap is stated.
/// Multiple-choice knapsack: Kellerer, Pferschy, Pisinger 2004, ch. 11.
#pragma once

#include "tailor/plan/problem.h"

#include <cstddef>
#include <vector>

namespace tailor::plan {

struct PlannerOptions {
  double budget_us = -1;  // points above are not needed; < 0: the whole front
  double quantum_us = 0;  // 0: exact as long as fronts stay below max_points, then chosen automatically
  std::size_t max_points = 4096;      // of one front
  std::size_t max_entries = 4000000;  // table entries of one elimination step, before the search takes over
};

/// How far from optimal a point can be.
struct Certificate {
  bool optimal = false;   // nothing of at most this latency has a smaller loss (up to quantum_us of latency)
  double quantum_us = 0;  // latency resolution of the statement; 0: exact
  double loss_bound = 0;  // no choice within the same latency has a smaller loss than this
  /// (loss - bound) / loss; 0 when optimal.
  double gap = 0;
};

struct Point {
  Cost cost;                // exact cost of the choice (evaluate(), not rounded)
  std::vector<int> choice;  // candidate index per variable
  Certificate certificate;
};

/// Points of strictly increasing latency and strictly decreasing loss. Empty if every combination is
/// forbidden.
struct Front {
  std::vector<Point> points;
  /// The point of least loss with latency <= budget; nullptr if none (the budget is infeasible).
  const Point* best_within(double budget_us) const;
};

/// @pre check(problem). Deterministic. Time: sum over elimination steps of (table entries x candidates x
/// front merge).
Front plan_widths(const Problem& problem, const PlannerOptions& options = {});

/// Stupid reference: enumerates every combination. @pre product of the candidates <= 10^7
Front plan_by_enumeration(const Problem& problem);

}  // namespace tailor::plan
