/// \file Between the documents of `tailor map` and what trains: how weights are kept, and the search for units.
#pragma once

#include "tailor/base/json.h"
#include "tailor/data/dataset.h"
#include "tailor/learn/kept_weights.h"
#include "tailor/learn/rounded_activations.h"
#include "tailor/learn/unit_search.h"
#include "tailor/plan/platform_mapping.h"

#include <filesystem>
#include <string>
#include <vector>

namespace tailor::trainer {

/// @throws Error plan_mismatch if the model lacks one of the mapping's layers; not_trainable if two layers share weights that
/// they keep in different ways; as pipeline::read_mapping
learn::Keepings keepings_of(const graph::Model& model, const std::filesystem::path& mapping);

/// Levels of the values that layers read and give, over their range on the first samples; none for 0 bits.
/// @throws Error as learn::measured_levels
learn::RoundedActivations rounded_activations(const graph::Model& model, const data::Dataset& data, int bits);

/// What `assign` is asked for, besides the training.
struct UnitGoal {
  std::string platform;
  plan::Objective objective = plan::Objective::latency;
  double strength = 0.1, rate = 0.01, cooling = 0.045;  // as learn::UnitSearch
};

/// The layers of a model that the platform's units can compute.
/// @throws Error as pipeline::map_model; usage for a measured platform; bad_value; not_trainable if a layer cannot be split
learn::UnitSearch unit_search(const std::filesystem::path& model, const UnitGoal& goal);

/// What each unit's cycles add to microseconds or microjoules, by which units end after which (UnitSearch::prices).
std::vector<double> unit_prices(const device::Platform& platform, plan::Objective objective,
                                std::span<const double> unit_cycles);

/// Document of schema "tailor/map/1": what the search decided, priced. @param model that was written
Json mapping_document(const std::filesystem::path& model, const UnitGoal& goal,
                      const learn::Keepings& decided);

}  // namespace tailor::trainer
