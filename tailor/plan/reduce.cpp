// reduce = keep_undominated (until stable) -> restrict every factor to what is left -> absorb factors in
// larger ones -> take_constants. A factor's table is walked as [before][variable][after]: two candidates are
// two slices of it.
#include "tailor/plan/reduce.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace tailor::plan {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
using Kept = std::vector<std::vector<int>>;

bool no_worse(const Cost& a, const Cost& b) {
  return std::isinf(b.latency_us) || (a.latency_us <= b.latency_us && a.loss <= b.loss);
}

// The factor restricted to the candidates kept; variables with one candidate leave its scope.
Factor restricted(const Problem& problem, const Factor& factor, const Kept& kept) {
  Factor result;
  for (int v : factor.scope)
    if (kept[v].size() > 1) result.scope.push_back(v);
  std::vector<std::size_t> digit(factor.scope.size(), 0);
  for (;;) {
    std::size_t index = 0;
    for (std::size_t i = 0; i < digit.size(); ++i)
      index = index * static_cast<std::size_t>(problem.variables[factor.scope[i]].candidates) +
              static_cast<std::size_t>(kept[factor.scope[i]][digit[i]]);
    result.table.push_back(factor.table[index]);
    std::size_t i = digit.size();
    while (i > 0 && ++digit[i - 1] == kept[factor.scope[i - 1]].size()) digit[--i] = 0;
    if (i == 0) return result;
  }
}

// Does candidate a (position in kept) make b superfluous in this factor?
bool covers(const Factor& factor, std::size_t after, std::size_t count, std::size_t a, std::size_t b) {
  for (std::size_t block = 0; block < factor.table.size(); block += count * after)
    for (std::size_t i = 0; i < after; ++i)
      if (!no_worse(factor.table[block + a * after + i], factor.table[block + b * after + i])) return false;
  return true;
}

struct Slices {
  const Factor* factor;
  std::size_t after;
};

std::vector<Slices> slices_of(const std::vector<Factor>& factors, const Kept& kept, int variable) {
  std::vector<Slices> result;
  for (const Factor& factor : factors) {
    auto at = std::find(factor.scope.begin(), factor.scope.end(), variable);
    if (at == factor.scope.end()) continue;
    std::size_t after = 1;
    for (++at; at != factor.scope.end(); ++at) after *= kept[*at].size();
    result.push_back({&factor, after});
  }
  return result;
}

std::vector<int> undominated(const std::vector<Slices>& slices, const std::vector<int>& kept) {
  const std::size_t count = kept.size();
  std::vector<bool> gone(count, false);
  for (std::size_t b = 0; b < count; ++b)
    for (std::size_t a = 0; a < count && !gone[b]; ++a) {
      if (a == b || gone[a]) continue;
      auto covered = [&](std::size_t x, std::size_t y) {
        return std::all_of(slices.begin(), slices.end(),
                           [&](const Slices& s) { return covers(*s.factor, s.after, count, x, y); });
      };
      gone[b] = covered(a, b) && (a < b || !covered(b, a));
    }
  std::vector<int> result;
  for (std::size_t i = 0; i < count; ++i)
    if (!gone[i]) result.push_back(kept[i]);
  return result;
}

Kept keep_undominated(const Problem& problem) {
  Kept kept;
  for (const Variable& variable : problem.variables) {
    kept.emplace_back(variable.candidates);
    std::iota(kept.back().begin(), kept.back().end(), 0);
  }
  for (bool changed = true; changed;) {
    changed = false;
    std::vector<Factor> factors;
    for (const Factor& factor : problem.factors) factors.push_back(restricted(problem, factor, kept));
    const Kept before =
        kept;  // the factors' layout; a candidate dropped for one variable only helps the others
    for (std::size_t v = 0; v < kept.size(); ++v) {
      if (before[v].size() < 2) continue;
      kept[v] = undominated(slices_of(factors, before, static_cast<int>(v)), before[v]);
      changed = changed || kept[v].size() != before[v].size();
    }
  }
  return kept;
}

// Adds `part` to `whole`, whose scope contains the scope of `part`.
void absorb(const Problem& problem, Factor& whole, const Factor& part) {
  std::vector<int> choice(problem.variables.size(), 0);
  for (Cost& cost : whole.table) {
    const Cost& extra = part.table[table_index(problem, part, choice)];
    cost.latency_us += extra.latency_us;
    cost.loss += extra.loss;
    for (std::size_t i = whole.scope.size(); i-- > 0;) {
      int v = whole.scope[i];
      if (++choice[v] < problem.variables[v].candidates) break;
      choice[v] = 0;
    }
  }
}

bool contains(const std::vector<int>& whole, const std::vector<int>& part) {
  return std::all_of(part.begin(), part.end(),
                     [&](int v) { return std::find(whole.begin(), whole.end(), v) != whole.end(); });
}

void add_factor(Problem& problem, const Factor& factor) {
  for (Factor& whole : problem.factors)
    if (contains(whole.scope, factor.scope)) return absorb(problem, whole, factor);
  problem.factors.push_back(factor);
}

void take_constants(Reduced& reduced) {
  for (Factor& factor : reduced.problem.factors) {
    Cost least{infinity, infinity};
    for (const Cost& cost : factor.table) {
      if (std::isinf(cost.latency_us)) continue;
      least = {std::min(least.latency_us, cost.latency_us), std::min(least.loss, cost.loss)};
    }
    reduced.constant.latency_us += least.latency_us;
    if (std::isinf(least.latency_us)) return;
    reduced.constant.loss += least.loss;
    for (Cost& cost : factor.table) {
      cost.latency_us -= least.latency_us;
      cost.loss -= least.loss;
    }
  }
}

}  // namespace

std::vector<int> Reduced::original(const std::vector<int>& choice) const {
  std::vector<int> result;
  for (const std::vector<int>& kept : candidates) result.push_back(kept.front());
  for (std::size_t i = 0; i < variable.size(); ++i) result[variable[i]] = candidates[variable[i]][choice[i]];
  return result;
}

Reduced reduce(const Problem& problem) {
  Reduced result;
  result.candidates = keep_undominated(problem);
  result.original_factors = problem.factors.size();
  std::vector<int> renamed(problem.variables.size(), -1);
  for (std::size_t v = 0; v < problem.variables.size(); ++v) {
    int count = static_cast<int>(result.candidates[v].size());
    if (count < 2) continue;
    renamed[v] = static_cast<int>(result.variable.size());
    result.variable.push_back(static_cast<int>(v));
    result.problem.variables.push_back({problem.variables[v].name, count});
  }
  std::vector<Factor> factors;
  for (const Factor& factor : problem.factors) {
    factors.push_back(restricted(problem, factor, result.candidates));
    for (int& v : factors.back().scope) v = renamed[v];
  }
  std::stable_sort(factors.begin(), factors.end(),
                   [](const Factor& a, const Factor& b) { return a.scope.size() > b.scope.size(); });
  for (const Factor& factor : factors) {
    if (!factor.scope.empty()) {
      add_factor(result.problem, factor);
      continue;
    }
    result.constant.latency_us += factor.table[0].latency_us;
    result.constant.loss += factor.table[0].loss;
  }
  take_constants(result);
  return result;
}

}  // namespace tailor::plan
