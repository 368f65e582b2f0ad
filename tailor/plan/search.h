/// \file For graphs too wide for exact elimination: lower bounds by mini-buckets and Lagrange multipliers,
/// choices by Pareto local search. The gap between the two is stated, not hidden.
///
/// Mini-buckets: Dechter and Rish, "Mini-buckets: a general scheme for bounded inference", J. ACM 50(2),
/// 2003. Pareto local search: Paquete, Chiarandini, Stuetzle, 2004.
#pragma once

#include "tailor/plan/elimination.h"

#include <cstddef>
#include <vector>

namespace tailor::plan {

struct Relaxation {
  Prices prices;
  double bound = 0;         // no choice has a smaller price
  std::vector<int> choice;  // a guess at a cheap one
};

/// Least price with every table of at most `max_entries` entries: a variable whose tables together are larger
/// is minimised once per part of them, which can only lower the price. O(variables x max_entries)
Relaxation relax(const Problem& problem, Prices prices, std::size_t max_entries);

struct Found {
  Cost cost;
  std::vector<int> choice;
};

struct SearchResult {
  std::vector<Found> front;  // latency rises, loss falls; none above the budget
  std::vector<Relaxation> relaxations;
  /// No choice of at most this latency has a smaller loss. O(relaxations)
  double loss_bound(double latency_us) const;
};

struct SearchLimits {
  double budget_us = 0;              // may be infinite
  std::size_t max_entries = 100000;  // of a table of the relaxation
  std::size_t max_moves = 3000000;   // changes of one variable that are tried
  std::size_t max_points = 1024;     // of the front
};

/// Deterministic. May find nothing where forbidden combinations leave few choices.
SearchResult search(const Problem& problem, const SearchLimits& limits);

}  // namespace tailor::plan
