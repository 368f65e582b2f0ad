// min_fill_order works on an adjacency matrix of the interaction graph. eliminate keeps a pool of open
// tables; for each variable the tables that contain it are joined smallest first until two are left, and the
// last join is fused with the minimisation, so no table over scope + variable is stored for it. Then min-sum
// upwards, outside downwards, decoding.
#include "tailor/plan/elimination.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace tailor::plan {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
using Adjacency = std::vector<std::vector<char>>;

std::size_t saturating(std::size_t a, std::size_t b) {
  constexpr std::size_t limit = std::size_t{1} << 60;
  return a > limit / b ? limit : a * b;
}

std::size_t entries_of(const Problem& problem, const std::vector<int>& scope) {
  std::size_t product = 1;
  for (int v : scope)
    product = saturating(product, static_cast<std::size_t>(problem.variables[v].candidates));
  return product;
}

Adjacency interaction(const Problem& problem) {
  Adjacency graph(problem.variables.size(), std::vector<char>(problem.variables.size(), 0));
  for (const Factor& factor : problem.factors)
    for (int u : factor.scope)
      for (int v : factor.scope) graph[u][v] = u != v;
  return graph;
}

std::vector<int> neighbours(const Adjacency& graph, int v) {
  std::vector<int> result;
  for (std::size_t u = 0; u < graph.size(); ++u)
    if (graph[v][u]) result.push_back(static_cast<int>(u));
  return result;
}

std::size_t fill_of(const Adjacency& graph, const std::vector<int>& around) {
  std::size_t missing = 0;
  for (std::size_t i = 0; i < around.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) missing += !graph[around[i]][around[j]];
  return missing;
}

void remove(Adjacency& graph, int v, const std::vector<int>& around) {
  for (int u : around)
    for (int w : around) graph[u][w] = u != w;
  for (int u : around) graph[u][v] = graph[v][u] = 0;
}

// Open tables of the elimination and the steps made so far.
struct Pool {
  const Problem& problem;
  std::vector<Step> steps;
  std::vector<int> open;

  void add_leaf(int factor) {
    Step step;
    step.factor = factor;
    step.scope = problem.factors[factor].scope;
    std::sort(step.scope.begin(), step.scope.end());
    step.entries = entries_of(problem, step.scope);
    push(std::move(step));
  }

  void push(Step step) {
    open.push_back(static_cast<int>(steps.size()));
    steps.push_back(std::move(step));
  }

  std::vector<int> joined_scope(int a, int b) const {
    std::vector<int> scope;
    std::set_union(steps[a].scope.begin(), steps[a].scope.end(), steps[b].scope.begin(), steps[b].scope.end(),
                   std::back_inserter(scope));
    return scope;
  }

  std::size_t stride(int table, int variable) const {
    std::size_t product = 1;
    for (std::size_t i = steps[table].scope.size(); i-- > 0;) {
      if (steps[table].scope[i] == variable) return product;
      product *= static_cast<std::size_t>(problem.variables[steps[table].scope[i]].candidates);
    }
    return 0;
  }

  // Joins a and b (b may be -1) and minimises over `variable` (may be -1).
  void combine(int a, int b, int variable) {
    Step step;
    step.a = a, step.b = b, step.variable = variable;
    step.scope = b < 0 ? steps[a].scope : joined_scope(a, b);
    step.leaves = steps[a].leaves + (b < 0 ? 0 : steps[b].leaves);
    if (variable >= 0) {
      std::erase(step.scope, variable);
      step.choices = static_cast<std::size_t>(problem.variables[variable].candidates);
      step.hop_a = stride(a, variable);
      step.hop_b = b < 0 ? 0 : stride(b, variable);
    }
    step.entries = entries_of(problem, step.scope);
    for (int v : step.scope) {
      step.radix.push_back(static_cast<std::size_t>(problem.variables[v].candidates));
      step.stride_a.push_back(stride(a, v));
      step.stride_b.push_back(b < 0 ? 0 : stride(b, v));
    }
    std::erase_if(open, [&](int t) { return t == a || t == b; });
    push(std::move(step));
  }

  // Of the given tables, the pair with the smallest join; of equals the one over the fewest factors: its
  // fronts are short.
  std::pair<int, int> smallest_pair(const std::vector<int>& tables) const {
    std::pair<int, int> best{tables[0], tables[1]};
    std::pair<std::size_t, std::size_t> least{std::numeric_limits<std::size_t>::max(), 0};
    for (std::size_t i = 0; i < tables.size(); ++i)
      for (std::size_t j = i + 1; j < tables.size(); ++j) {
        std::pair score{entries_of(problem, joined_scope(tables[i], tables[j])),
                        steps[tables[i]].leaves + steps[tables[j]].leaves};
        if (score < least) least = score, best = {tables[i], tables[j]};
      }
    return best;
  }

  std::vector<int> containing(int variable) const {
    std::vector<int> result;
    for (int t : open)
      if (std::binary_search(steps[t].scope.begin(), steps[t].scope.end(), variable)) result.push_back(t);
    return result;
  }
};

std::vector<double> leaf_prices(const Problem& problem, const Step& step, Prices prices) {
  std::vector<double> result;
  for (const Cost& cost : sorted_table(problem, problem.factors[step.factor]))
    result.push_back(std::isinf(cost.latency_us)
                         ? infinity
                         : cost.latency_us * prices.per_us + cost.loss * prices.per_loss);
  return result;
}

}  // namespace

std::vector<Cost> sorted_table(const Problem& problem, const Factor& factor) {
  if (std::is_sorted(factor.scope.begin(), factor.scope.end())) return factor.table;
  std::vector<int> scope = factor.scope;
  std::sort(scope.begin(), scope.end());
  std::vector<int> choice(problem.variables.size(), 0);
  std::vector<Cost> result;
  for (std::size_t i = 0; i < factor.table.size(); ++i) {
    result.push_back(factor.table[table_index(problem, factor, choice)]);
    for (std::size_t s = scope.size(); s-- > 0;) {
      if (++choice[scope[s]] < problem.variables[scope[s]].candidates) break;
      choice[scope[s]] = 0;
    }
  }
  return result;
}

std::vector<int> min_fill_order(const Problem& problem) {
  Adjacency graph = interaction(problem);
  std::vector<char> done(graph.size(), 0);
  // How many factors the tables of a variable are made of: long fronts come late.
  std::vector<std::size_t> weight(graph.size(), 0);
  for (const Factor& factor : problem.factors)
    for (int v : factor.scope) ++weight[v];
  std::vector<int> order;
  while (order.size() < graph.size()) {
    int best = -1;
    std::tuple<std::size_t, std::size_t, std::size_t> least{};
    for (int v = 0; v < static_cast<int>(graph.size()); ++v) {
      if (done[v]) continue;
      std::vector<int> around = neighbours(graph, v);
      std::tuple score{fill_of(graph, around), entries_of(problem, around), weight[v]};
      if (best < 0 || score < least) best = v, least = score;
    }
    std::vector<int> around = neighbours(graph, best);
    for (int u : around) weight[u] += weight[best];
    remove(graph, best, around);
    done[best] = 1;
    order.push_back(best);
  }
  return order;
}

Elimination eliminate(const Problem& problem) {
  Pool pool{problem, {}, {}};
  for (std::size_t f = 0; f < problem.factors.size(); ++f) pool.add_leaf(static_cast<int>(f));
  for (int v : min_fill_order(problem)) {
    std::vector<int> tables = pool.containing(v);
    TAILOR_CHECK(!tables.empty());
    for (; tables.size() > 2; tables = pool.containing(v)) {
      auto [a, b] = pool.smallest_pair(tables);
      pool.combine(a, b, -1);
    }
    pool.combine(tables[0], tables.size() > 1 ? tables[1] : -1, v);
  }
  while (pool.open.size() > 1) {
    auto [a, b] = pool.smallest_pair(pool.open);
    pool.combine(a, b, -1);
  }
  Elimination result{std::move(pool.steps), 0};
  for (const Step& step : result.steps)
    result.largest = std::max(result.largest, saturating(step.entries, step.choices));
  return result;
}

Bounds min_sum(const Problem& problem, const Elimination& elimination, Prices prices) {
  Bounds bounds{prices, {}, {}};
  for (const Step& step : elimination.steps) {
    if (step.factor >= 0) {
      bounds.inside.push_back(leaf_prices(problem, step, prices));
      continue;
    }
    std::vector<double> least(step.entries, infinity);
    const double* a = bounds.inside[step.a].data();
    const double zero = 0;
    const double* b = step.b < 0 ? &zero : bounds.inside[step.b].data();
    walk(step, [&](std::size_t entry, std::size_t ia, std::size_t ib) {
      for (std::size_t x = 0; x < step.choices; ++x)
        least[entry] = std::min(least[entry], a[ia + x * step.hop_a] + b[ib + x * step.hop_b]);
    });
    bounds.inside.push_back(std::move(least));
  }
  return bounds;
}

void add_outside(const Elimination& elimination, Bounds& bounds) {
  bounds.outside.clear();
  for (const auto& inside : bounds.inside) bounds.outside.emplace_back(inside.size(), infinity);
  bounds.outside.back()[0] = 0;
  for (std::size_t s = elimination.steps.size(); s-- > 0;) {
    const Step& step = elimination.steps[s];
    if (step.factor >= 0) continue;
    const std::vector<double>& out = bounds.outside[s];
    auto lower = [](double& slot, double value) { slot = std::min(slot, value); };
    walk(step, [&](std::size_t entry, std::size_t ia, std::size_t ib) {
      for (std::size_t x = 0; x < step.choices; ++x) {
        std::size_t ea = ia + x * step.hop_a, eb = ib + x * step.hop_b;
        lower(bounds.outside[step.a][ea], out[entry] + (step.b < 0 ? 0 : bounds.inside[step.b][eb]));
        if (step.b >= 0) lower(bounds.outside[step.b][eb], out[entry] + bounds.inside[step.a][ea]);
      }
    });
  }
}

std::vector<int> cheapest(const Problem& problem, const Elimination& elimination, const Bounds& bounds) {
  std::vector<int> choice(problem.variables.size(), 0);
  for (std::size_t s = elimination.steps.size(); s-- > 0;) {
    const Step& step = elimination.steps[s];
    if (step.variable < 0) continue;
    std::size_t entry = 0, ia = 0, ib = 0;
    for (std::size_t i = 0; i < step.scope.size(); ++i) {
      std::size_t digit = static_cast<std::size_t>(choice[step.scope[i]]);
      entry = entry * step.radix[i] + digit, ia += digit * step.stride_a[i], ib += digit * step.stride_b[i];
    }
    for (std::size_t x = 0; x < step.choices; ++x) {
      double price = bounds.inside[step.a][ia + x * step.hop_a];
      if (step.b >= 0) price += bounds.inside[step.b][ib + x * step.hop_b];
      if (price == bounds.inside[s][entry]) choice[step.variable] = static_cast<int>(x);
    }
  }
  return choice;
}

}  // namespace tailor::plan
