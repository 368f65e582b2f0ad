/// \file The elimination tree: in which order factors are joined and variables minimised away, as a list of
/// steps.
///
/// Every step makes one table from one or two earlier ones; its entries belong to assignments of the step's
/// scope. The same list serves single numbers (min-sum, here) and Pareto fronts (front_program.h). Min-fill
/// order and buckets: Dechter, "Bucket elimination", Artificial Intelligence 113, 1999.
#pragma once

#include "tailor/plan/problem.h"

#include <cstddef>
#include <vector>

namespace tailor::plan {

/// One step: leaf (factor >= 0), join of two tables, and, with `variable` >= 0, minimisation over that
/// variable.
struct Step {
  std::vector<int> scope;  // ascending
  std::size_t entries = 1;
  int factor = -1;
  int a = -1, b = -1;  // earlier steps; b may be missing
  int variable = -1;
  std::size_t choices = 1;  // candidates of `variable`, or 1
  std::size_t leaves = 1;   // factors at or below
  // Entry of a and b that belongs to a digit of the scope (stride) and to a candidate of `variable` (hop).
  std::vector<std::size_t> radix, stride_a, stride_b;
  std::size_t hop_a = 0, hop_b = 0;
};

/// Steps in an order of computation; the last one has an empty scope. Each step but the last is used exactly
/// once.
struct Elimination {
  std::vector<Step> steps;
  /// Largest entries x choices of a step: cost and memory of min-sum.
  std::size_t largest = 0;
};

/// Variables in min-fill order (ties: smaller table, fewer factors below it, smaller index). O(variables^2 x
/// degree^2).
std::vector<int> min_fill_order(const Problem& problem);
/// @pre every variable is in a factor, every factor has a scope
Elimination eliminate(const Problem& problem);

/// Calls f(entry, entry of a, entry of b) for every entry of a step.
template <class F>
void walk(const Step& step, F f) {
  std::vector<std::size_t> digit(step.radix.size(), 0);
  std::size_t ia = 0, ib = 0;
  for (std::size_t entry = 0; entry < step.entries; ++entry) {
    f(entry, ia, ib);
    for (std::size_t i = digit.size(); i-- > 0;) {
      ia += step.stride_a[i], ib += step.stride_b[i];
      if (++digit[i] < step.radix[i]) break;
      ia -= step.stride_a[i] * step.radix[i], ib -= step.stride_b[i] * step.radix[i];
      digit[i] = 0;
    }
  }
}

/// The factor's table with its scope in ascending order.
std::vector<Cost> sorted_table(const Problem& problem, const Factor& factor);

/// Price of a cost: latency_us * per_us + loss * per_loss; forbidden combinations are infinite.
struct Prices {
  double per_us = 0, per_loss = 1;
};

/// Per step and entry, the least price of everything at or below the step (inside) and of everything else
/// (outside). inside + outside is at most the price of any complete choice that agrees with the entry.
struct Bounds {
  Prices prices;
  std::vector<std::vector<double>> inside, outside;
  double least() const { return inside.back()[0]; }
};

Bounds min_sum(const Problem& problem, const Elimination& elimination, Prices prices);
/// Fills `outside`.
void add_outside(const Elimination& elimination, Bounds& bounds);
/// A choice of the least price. @pre bounds.least() is finite
std::vector<int> cheapest(const Problem& problem, const Elimination& elimination, const Bounds& bounds);

}  // namespace tailor::plan
