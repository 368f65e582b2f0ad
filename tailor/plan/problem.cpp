// The planner's problem as a value: costs of complete choices, consistency.
#include "tailor/plan/problem.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::plan {
namespace {

[[noreturn]] void reject(std::size_t factor, const char* what) {
  throw Error(Code::bug, fmt::format("factor {} of the planner's problem: {}", factor, what));
}

bool valid(const Cost& cost) {
  return cost.latency_us >= 0 && cost.loss >= 0 && (std::isfinite(cost.loss) || std::isinf(cost.latency_us));
}

}  // namespace

std::size_t table_index(const Problem& problem, const Factor& factor, const std::vector<int>& choice) {
  std::size_t index = 0;
  for (int variable : factor.scope)
    index = index * static_cast<std::size_t>(problem.variables[variable].candidates) +
            static_cast<std::size_t>(choice[variable]);
  return index;
}

Cost evaluate(const Problem& problem, const std::vector<int>& choice) {
  Cost sum;
  for (const Factor& factor : problem.factors) {
    const Cost& cost = factor.table[table_index(problem, factor, choice)];
    sum.latency_us += cost.latency_us;
    sum.loss += cost.loss;
  }
  return sum;
}

void check(const Problem& problem) {
  for (const Variable& variable : problem.variables)
    if (variable.candidates < 1 || variable.candidates > 65535)
      throw Error(Code::bug,
                  fmt::format("variable {} has {} candidates", variable.name, variable.candidates));
  for (std::size_t f = 0; f < problem.factors.size(); ++f) {
    const Factor& factor = problem.factors[f];
    std::size_t size = 1;
    for (std::size_t i = 0; i < factor.scope.size(); ++i) {
      int v = factor.scope[i];
      if (v < 0 || static_cast<std::size_t>(v) >= problem.variables.size()) reject(f, "unknown variable");
      if (std::count(factor.scope.begin(), factor.scope.end(), v) != 1) reject(f, "a variable twice");
      size *= static_cast<std::size_t>(problem.variables[v].candidates);
    }
    if (size != factor.table.size()) reject(f, "the table's size is not the product of the candidates");
    if (!std::all_of(factor.table.begin(), factor.table.end(), valid))
      reject(f, "a negative or undefined cost");
  }
}

}  // namespace tailor::plan
