/// \file The whole network over the units of a platform: one split per layer, exactly.
///
/// Costs of layers add up (layers run one after the other, the parts of a layer side by side), losses add up,
/// so choosing a split for every layer is a multiple-choice knapsack (Kellerer, Pferschy, Pisinger 2004,
/// ch. 11). Handing activations over couples a layer with those that read it; the width planner
/// (width_planner.h) solves both, and its certificate says how far from optimal a point can be.
#pragma once

#include "tailor/plan/problem.h"
#include "tailor/plan/split.h"
#include "tailor/plan/width_planner.h"

#include <optional>
#include <string>
#include <vector>

namespace tailor::plan {

struct LayerSplits {
  std::string name;
  std::vector<Split> splits;  // at least one; its candidates. Units that a split uses have unit_cycles > 0
  std::vector<int> unit_of_option;
};

/// Layer `to` reads activations that layer `from` writes.
struct Handover {
  int from = 0, to = 0;
  double units_per_channel = 0;  // of cost, for each channel handed over from one unit to another
  double units_per_change = 0;   // of cost, if anything is handed over
};

struct MappingProblem {
  int units = 1;  // at most 8
  std::vector<LayerSplits> layers;
  std::vector<Handover> handovers;  // only those that cost anything
};

/// What handing over costs if `from` is split so and the units of `to` (a bit each) read all of it: every
/// unit needs all channels that others made.
double handover_cost(const Handover& handover, const Split& from, const std::vector<int>& unit_of_option,
                     unsigned to);
/// The units that a split uses, a bit each.
unsigned units_used(const Split& split);

/// Cost and loss of one split per layer, with handing over.
Cost evaluate(const MappingProblem& problem, const std::vector<int>& choice);

/// The front over all choices; `cost.latency_us` of a point is the cost in whatever unit the splits have. The
/// point at options.budget_us is exact, the rest of the front to the quantum of its certificate.
/// @throws Error bug if a layer has no split; more than 65535 splits of one layer
Front plan_mapping(const MappingProblem& problem, const PlannerOptions& options = {});

/// Why no mapping costs so little, and what would do.
struct LeastCost {
  double least_cost = 0;      // of any mapping: the budget that is just possible
  std::vector<int> slowest;   // layers by their share of that cost, largest first
  std::vector<double> share;  // of each of them, in units of cost
};
/// @pre every layer has a split
LeastCost find_least_cost(const MappingProblem& problem);

}  // namespace tailor::plan
