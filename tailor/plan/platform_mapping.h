/// \file Layers and a platform as a mapping problem, and what a mapping costs in time and in energy.
#pragma once

#include "tailor/device/platform.h"
#include "tailor/latency/platform_cost.h"
#include "tailor/plan/mapping.h"

#include <string>
#include <vector>

namespace tailor::plan {

enum class Objective { latency, energy };

struct LayerToMap {
  std::string name;
  latency::Workload workload;
  /// For each of latency::unit_choices(platform): what each output channel loses there.
  std::vector<std::vector<double>> loss;
  std::vector<int> reads;  // indices of the layers whose activations it reads
};

/// Cost is in microseconds or microjoules. @pre platform.knows_power() for energy
SplitProblem split_problem(const device::Platform& platform, const LayerToMap& layer, Objective objective);

struct PlatformProblem {
  MappingProblem mapping;
  std::vector<SplitProblem> splits;  // per layer
  int largest_step = 1;              // of Splits::step: 1 if every split was looked at
};
/// @throws Error goal_not_met if no unit can compute a layer, naming it
PlatformProblem platform_problem(const device::Platform& platform, const std::vector<LayerToMap>& layers,
                                 Objective objective);

/// A mapping: one split per layer, and what it costs.
struct Mapping {
  std::vector<Split> splits;
  double latency_us = 0, energy_uj = -1;  // energy < 0: the platform states no power
  double loss = 0;
  /// Per layer the way to compute of each channel, where more than the numbers is given; empty: those of least loss.
  std::vector<std::vector<int>> assignment = {};
};
/// Latency and energy of splits, with handing over. The loss is the sum of theirs.
Mapping price_mapping(const device::Platform& platform, const std::vector<LayerToMap>& layers,
                      std::vector<Split> splits);
/// Of a point of the front.
Mapping mapping_of(const device::Platform& platform, const std::vector<LayerToMap>& layers,
                   const MappingProblem& problem, const std::vector<int>& choice);

/// A simple mapping that any other one has to be compared with.
struct Baseline {
  std::string name;
  Mapping mapping;
};
/// Everything on each way to compute (layers that it cannot compute go to the first that can); first and last
/// layer on the most precise way and the rest on each other one. All on the most precise way comes first; only
/// those that differ from each other are listed.
/// @pre every layer can be computed by some unit
std::vector<Baseline> baselines(const device::Platform& platform, const std::vector<LayerToMap>& layers);

/// The most precise of unit_choices(platform): the most bits, whole layers before depthwise ones, the first
/// of equals.
int precise_choice(const device::Platform& platform);

}  // namespace tailor::plan
