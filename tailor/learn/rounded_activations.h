/// \file Activations as units compute with them: rounded to levels that were measured before training, so that the weights learn
/// beside the rounding (Jacob et al., arXiv:1712.05877).
#pragma once

#include "tailor/data/dataset.h"
#include "tailor/graph/model.h"
#include "tailor/saliency/quantise.h"

#include <map>
#include <string>
#include <vector>

namespace tailor::learn {

/// By the value's name.
using RoundedActivations = std::map<std::string, saliency::ValueLevels>;

/// Levels of `bits` for values, by their range (0 in it) in the model on the first `samples`.
/// @throws Error dataset_mismatch, not_trainable, unknown_name where the graph has no such value; interrupted
RoundedActivations measured_levels(const graph::Model& model, const std::vector<std::string>& values,
                                   const data::Dataset& data, int bits, std::int64_t samples = 256);

}  // namespace tailor::learn
