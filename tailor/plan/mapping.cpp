// The mapping as a problem of the width planner: a variable per layer, its splits the candidates. Where
// handovers cost something, a second variable per reading layer says which units it uses: so a factor of a
// handover has (splits of the writer) x (sets of units) entries, not (splits) x (splits).
#include "tailor/plan/mapping.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <map>
#include <numeric>
#include <set>

namespace tailor::plan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const LayerSplits& layer_of(const MappingProblem& problem, int layer) {
  return problem.layers[static_cast<std::size_t>(layer)];
}

// The sets of units that occur among the splits of a layer, increasing.
std::vector<unsigned> unit_sets(const LayerSplits& layer) {
  std::set<unsigned> sets;
  for (const Split& split : layer.splits) sets.insert(units_used(split));
  return {sets.begin(), sets.end()};
}

Factor costs_of(int variable, const LayerSplits& layer) {
  Factor factor{{variable}, {}};
  for (const Split& split : layer.splits) factor.table.push_back({split.cost, split.loss});
  return factor;
}

// Forbids every pair of a split and a set that is not the split's own.
Factor same_units(int layer_variable, int set_variable, const LayerSplits& layer,
                  const std::vector<unsigned>& sets) {
  Factor factor{{layer_variable, set_variable}, {}};
  for (const Split& split : layer.splits)
    for (unsigned set : sets) factor.table.push_back({units_used(split) == set ? 0.0 : kInfinity, 0});
  return factor;
}

Factor handing_over(const Handover& handover, int set_variable, const LayerSplits& from,
                    const std::vector<unsigned>& sets) {
  Factor factor{{handover.from, set_variable}, {}};
  for (const Split& split : from.splits)
    for (unsigned set : sets)
      factor.table.push_back({handover_cost(handover, split, from.unit_of_option, set), 0});
  return factor;
}

Problem as_problem(const MappingProblem& mapping) {
  Problem problem;
  for (const LayerSplits& layer : mapping.layers) {
    TAILOR_CHECK(!layer.splits.empty() && layer.splits.size() <= 65535);
    problem.variables.push_back({layer.name, static_cast<int>(layer.splits.size())});
    problem.factors.push_back(costs_of(static_cast<int>(problem.variables.size()) - 1, layer));
  }
  std::map<int, int> set_variable;  // of a reading layer
  for (const Handover& handover : mapping.handovers) {
    const LayerSplits& reader = layer_of(mapping, handover.to);
    std::vector<unsigned> sets = unit_sets(reader);
    auto [entry, added] = set_variable.try_emplace(handover.to, static_cast<int>(problem.variables.size()));
    if (added) {
      problem.variables.push_back({reader.name + " units", static_cast<int>(sets.size())});
      problem.factors.push_back(same_units(handover.to, entry->second, reader, sets));
    }
    problem.factors.push_back(handing_over(handover, entry->second, layer_of(mapping, handover.from), sets));
  }
  return problem;
}

}  // namespace

unsigned units_used(const Split& split) {
  unsigned used = 0;
  for (std::size_t u = 0; u < split.unit_cycles.size(); ++u)
    if (split.unit_cycles[u] > 0) used |= 1u << u;
  return used;
}

double handover_cost(const Handover& handover, const Split& from, const std::vector<int>& unit_of_option,
                     unsigned to) {
  double channels = 0;
  for (std::size_t o = 0; o < from.counts.size(); ++o) {
    unsigned own = 1u << unit_of_option[o];
    channels += from.counts[o] * std::popcount(to & ~own);
  }
  return channels > 0 ? handover.units_per_change + channels * handover.units_per_channel : 0;
}

Cost evaluate(const MappingProblem& problem, const std::vector<int>& choice) {
  Cost sum;
  auto split_of = [&](int layer) -> const Split& {
    return layer_of(problem, layer).splits[static_cast<std::size_t>(choice[static_cast<std::size_t>(layer)])];
  };
  for (std::size_t l = 0; l < problem.layers.size(); ++l) {
    const Split& split = split_of(static_cast<int>(l));
    sum.latency_us += split.cost, sum.loss += split.loss;
  }
  for (const Handover& handover : problem.handovers)
    sum.latency_us +=
        handover_cost(handover, split_of(handover.from), layer_of(problem, handover.from).unit_of_option,
                      units_used(split_of(handover.to)));
  return sum;
}

Front plan_mapping(const MappingProblem& problem, const PlannerOptions& options) {
  Front front = plan_widths(as_problem(problem), options);
  for (Point& point : front.points) {
    point.choice.resize(problem.layers.size());
    point.cost = evaluate(problem, point.choice);
  }
  return front;
}

LeastCost find_least_cost(const MappingProblem& problem) {
  MappingProblem bare = problem;
  for (LayerSplits& layer : bare.layers)
    for (Split& split : layer.splits) split.loss = 0;
  Front front = plan_mapping(bare);
  TAILOR_CHECK(!front.points.empty());
  LeastCost result;
  result.least_cost = front.points.front().cost.latency_us;
  for (std::size_t l = 0; l < problem.layers.size(); ++l) {
    const std::vector<Split>& splits = problem.layers[l].splits;
    result.share.push_back(splits[static_cast<std::size_t>(front.points.front().choice[l])].cost);
  }
  result.slowest.resize(problem.layers.size());
  std::iota(result.slowest.begin(), result.slowest.end(), 0);
  std::stable_sort(result.slowest.begin(), result.slowest.end(), [&](int a, int b) {
    return result.share[static_cast<std::size_t>(a)] > result.share[static_cast<std::size_t>(b)];
  });
  std::vector<double> sorted;
  for (int layer : result.slowest) sorted.push_back(result.share[static_cast<std::size_t>(layer)]);
  result.share = std::move(sorted);
  return result;
}

}  // namespace tailor::plan
