/// \file What the exact planner solves: choose one candidate per variable, pay latency and loss per factor.
///
/// A variable is a channel group (its candidates are widths), a layer's precision or its unit. A factor
/// couples the variables whose choice it depends on: a convolution's latency depends on the width in and the
/// width out. Minimise the summed loss under a latency budget, for every budget at once (the Pareto front).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tailor::plan {

/// Latency in microseconds (>= 0) and loss (>= 0, any unit that adds up) of one combination of choices.
/// Infinite latency forbids the combination (its loss does not matter then); a loss is finite otherwise.
struct Cost {
  double latency_us = 0;
  double loss = 0;
  friend bool operator==(const Cost&, const Cost&) = default;
};

struct Variable {
  std::string name;
  int candidates = 1;  // 1..65535
};

struct Factor {
  std::vector<int> scope;  // distinct variables; may be empty (a constant cost)
  std::vector<Cost>
      table;  // row-major, the last variable of the scope runs fastest; size = product of the candidates
};

struct Problem {
  std::vector<Variable> variables;
  std::vector<Factor> factors;
};

/// Where `choice` (a candidate index per variable of the problem) lies in the factor's table.
std::size_t table_index(const Problem& problem, const Factor& factor, const std::vector<int>& choice);

/// Cost of one complete choice (a candidate index per variable). O(factors).
Cost evaluate(const Problem& problem, const std::vector<int>& choice);

/// @throws Error bug if scopes or table sizes are inconsistent, or a cost is negative or NaN.
void check(const Problem& problem);

}  // namespace tailor::plan
