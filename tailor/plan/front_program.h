/// \file Runs the elimination with Pareto fronts, and finds the choices behind the points of the last table.
#pragma once

#include "tailor/plan/fronts.h"

#include <optional>
#include <vector>

namespace tailor::plan {

struct ProgramLimits {
  double budget_us = 0;              // complete choices above it are not needed
  double quantum_us = 0;             // a tick; 0: exact or not at all
  std::size_t max_points = 0;        // of an exact front
  std::size_t max_pairs = 0;         // of an exact step
  std::size_t max_total_points = 0;  // of all tables together (memory)
  double max_work = 0;               // additions of all steps
  const Bounds* fastest = nullptr;   // prices {1, 0}, with outside
  const Bounds* priced = nullptr;    // if set: only choices of at most price_limit are needed
  double price_limit = 0;
};

struct Tables {
  std::vector<Fronts> fronts;  // per step
  std::vector<Fronts> coarse;  // the same rounded, where a grid step needed it
  const Fronts& last() const { return fronts.back(); }
};

/// Steps stay exact while their fronts are short, then go over to the grid; from there on everything above is
/// on the grid. Nothing, if a limit is hit that rounding does not help, or rounding is not allowed.
std::optional<Tables> run_program(const Problem& problem, const Elimination& elimination,
                                  const ProgramLimits& limits);

/// The choices behind points of the last table (their indices).
std::vector<std::vector<int>> decode(const Problem& problem, const Elimination& elimination,
                                     const Tables& tables, const std::vector<std::uint32_t>& points);

}  // namespace tailor::plan
