// From a workload to the staircases of a split (split_problem), from layers to a mapping problem
// (platform_problem), and from splits back to time and energy (price_mapping).
#include "tailor/plan/platform_mapping.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::plan {
namespace {

using device::Platform;
using latency::UnitChoice;

double us(const Platform& platform, double cycles) { return cycles / platform.frequency_mhz; }

std::vector<double> staircase(const Platform& platform, UnitChoice choice,
                              const latency::Workload& workload) {
  std::vector<double> cycles;
  for (std::int64_t n = 0; n <= workload.oc; ++n)
    cycles.push_back(latency::cycles(platform, choice, workload, n));
  return cycles;
}

// Cycles that handing one channel of a layer over takes.
double cycles_per_channel(const Platform& platform, const latency::Workload& from) {
  double values = static_cast<double>(from.mb * from.oh * from.ow);
  return values * platform.transfer.bytes * platform.transfer.cycles_per_byte;
}

std::vector<Handover> handovers_of(const Platform& platform, const std::vector<LayerToMap>& layers,
                                   Objective objective) {
  std::vector<Handover> handovers;
  if (platform.transfer.free()) return handovers;
  // Milliwatts times microseconds are nanojoules.
  double per_cycle =
      us(platform, 1) * (objective == Objective::energy ? platform.transfer.power_mw * 1e-3 : 1);
  for (std::size_t l = 0; l < layers.size(); ++l)
    for (int from : layers[l].reads)
      handovers.push_back(
          {from, static_cast<int>(l),
           per_cycle * cycles_per_channel(platform, layers[static_cast<std::size_t>(from)].workload),
           per_cycle * platform.transfer.cycles});
  return handovers;
}

std::vector<int> units_of(const Platform& platform) {
  std::vector<int> units;
  for (UnitChoice choice : latency::unit_choices(platform)) units.push_back(choice.unit);
  return units;
}

double handing_over(const Platform& platform, const std::vector<LayerToMap>& layers,
                    const std::vector<Split>& splits, Objective objective) {
  double sum = 0;
  const std::vector<int> units = units_of(platform);
  for (const Handover& handover : handovers_of(platform, layers, objective))
    sum += handover_cost(handover, splits[static_cast<std::size_t>(handover.from)], units,
                         units_used(splits[static_cast<std::size_t>(handover.to)]));
  return sum;
}

// Everything in the option wanted, or in the first that can.
Split whole(const SplitProblem& problem, int wanted) {
  auto all_in = [&](std::size_t option) {
    std::vector<int> counts(problem.options.size());
    counts[option] = problem.channels;
    return split_with(problem, counts);
  };
  Split split = all_in(static_cast<std::size_t>(wanted));
  for (std::size_t o = 0; o < problem.options.size() && !std::isfinite(split.cost); ++o) split = all_in(o);
  return split;
}

bool same_counts(const Mapping& a, const Mapping& b) {
  return std::equal(a.splits.begin(), a.splits.end(), b.splits.begin(), b.splits.end(),
                    [](const Split& x, const Split& y) { return x.counts == y.counts; });
}

}  // namespace

SplitProblem split_problem(const Platform& platform, const LayerToMap& layer, Objective objective) {
  SplitProblem problem;
  problem.channels = static_cast<int>(layer.workload.oc);
  problem.units = static_cast<int>(platform.units.size());
  problem.whole = layer.workload.g > 1 && !latency::is_depthwise(layer.workload);
  const std::vector<UnitChoice> choices = latency::unit_choices(platform);
  TAILOR_CHECK(layer.loss.size() == choices.size());
  for (std::size_t o = 0; o < choices.size(); ++o)
    problem.options.push_back(
        {choices[o].unit, staircase(platform, choices[o], layer.workload), layer.loss[o]});
  if (objective == Objective::latency)
    problem.cost = [&platform](std::span<const double> cycles) {
      return us(platform, latency::makespan(cycles));
    };
  else
    problem.cost = [&platform](std::span<const double> cycles) {
      return latency::energy_uj(platform, cycles);
    };
  return problem;
}

PlatformProblem platform_problem(const Platform& platform, const std::vector<LayerToMap>& layers,
                                 Objective objective) {
  PlatformProblem result;
  result.mapping.units = static_cast<int>(platform.units.size());
  result.mapping.handovers = handovers_of(platform, layers, objective);
  for (const LayerToMap& layer : layers) {
    result.splits.push_back(split_problem(platform, layer, objective));
    Splits splits = find_splits(result.splits.back(), {.pareto = result.mapping.handovers.empty()});
    if (splits.splits.empty())
      throw Error(Code::goal_not_met, fmt::format("no unit of {} can compute this layer", platform.name),
                  layer.name);
    result.largest_step = std::max(result.largest_step, splits.step);
    result.mapping.layers.push_back({layer.name, std::move(splits.splits), units_of(platform)});
  }
  return result;
}

Mapping price_mapping(const Platform& platform, const std::vector<LayerToMap>& layers,
                      std::vector<Split> splits) {
  Mapping mapping;
  const bool power = platform.knows_power();
  mapping.latency_us = handing_over(platform, layers, splits, Objective::latency);
  if (power) mapping.energy_uj = handing_over(platform, layers, splits, Objective::energy);
  for (const Split& split : splits) {
    mapping.latency_us += us(platform, latency::makespan(split.unit_cycles));
    if (power) mapping.energy_uj += latency::energy_uj(platform, split.unit_cycles);
    mapping.loss += split.loss;
  }
  mapping.splits = std::move(splits);
  return mapping;
}

Mapping mapping_of(const Platform& platform, const std::vector<LayerToMap>& layers,
                   const MappingProblem& problem, const std::vector<int>& choice) {
  std::vector<Split> splits;
  for (std::size_t l = 0; l < choice.size(); ++l)
    splits.push_back(problem.layers[l].splits[static_cast<std::size_t>(choice[l])]);
  return price_mapping(platform, layers, std::move(splits));
}

int precise_choice(const Platform& platform) {
  const std::vector<UnitChoice> choices = latency::unit_choices(platform);
  auto worth = [&](UnitChoice choice) {
    const device::Unit& unit = platform.units[static_cast<std::size_t>(choice.unit)];
    int bits = unit.weights[static_cast<std::size_t>(choice.format)].bits;
    return unit.computes == device::Computes::layer ? bits : bits - 1000;
  };
  auto less = [&](UnitChoice a, UnitChoice b) { return worth(a) < worth(b); };
  return static_cast<int>(std::max_element(choices.begin(), choices.end(), less) - choices.begin());
}

std::vector<Baseline> baselines(const Platform& platform, const std::vector<LayerToMap>& layers) {
  std::vector<SplitProblem> problems;
  for (const LayerToMap& layer : layers)
    problems.push_back(split_problem(platform, layer, Objective::latency));
  std::vector<Baseline> list;
  auto add = [&](std::string name, int ends, int rest) {
    std::vector<Split> splits;
    for (std::size_t l = 0; l < problems.size(); ++l)
      splits.push_back(whole(problems[l], l == 0 || l + 1 == problems.size() ? ends : rest));
    Mapping mapping = price_mapping(platform, layers, std::move(splits));
    bool known = std::any_of(list.begin(), list.end(),
                             [&](const Baseline& other) { return same_counts(other.mapping, mapping); });
    if (!known) list.push_back({std::move(name), std::move(mapping)});
  };
  const std::vector<UnitChoice> choices = latency::unit_choices(platform);
  const int precise = precise_choice(platform);
  auto all_on = [&](int o) {
    add("all on " + latency::name(platform, choices[static_cast<std::size_t>(o)]), o, o);
  };
  all_on(precise);
  for (int o = 0; o < static_cast<int>(choices.size()); ++o)
    if (o != precise) all_on(o);
  for (int o = 0; o < static_cast<int>(choices.size()); ++o)
    if (o != precise)
      add(fmt::format("first and last on {}, rest on {}",
                      latency::name(platform, choices[static_cast<std::size_t>(precise)]),
                      latency::name(platform, choices[static_cast<std::size_t>(o)])),
          precise, o);
  return list;
}

}  // namespace tailor::plan
