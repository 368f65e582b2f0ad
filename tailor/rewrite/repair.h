/// \file Cascaded least-squares repair: accuracy back without training.
///
/// After a cut, each layer that can be refitted is, in topological order, fitted to what the original network
/// had at that place, from what the pruned network has at its input by then: errors made upstream are
/// corrected as far as the layer can. A layer that ends in a residual sum is fitted so that the *sum* is
/// right, so it also makes up for what the other operand lost. No labels, no gradients.
#pragma once

#include "tailor/graph/channels.h"
#include "tailor/rewrite/activations.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/saliency/normal_equations.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tailor::rewrite {

struct RepairOptions {
  double ridge =
      1e-4;  // relative to the mean of the Gram matrix's diagonal; pulls towards the present weights
  int positions = 64;  // output positions used of each sample
  std::uint64_t seed = 0;
  int rectify = 6;    // alternations of the fit behind a Relu or a Clip; 0: plain least squares
  bool refit = true;  // false: only the equations, the weights stay
  std::optional<std::set<std::string>> only = std::nullopt;  // layers to refit, by their output; absent: all
  std::set<std::string> except =
      {};  // values that the original has other places of: layers that end there stay
};

/// What stays of every value of the original: (value, axis) -> positions; absent: all.
using KeptChannels = std::map<std::pair<std::string, int>, std::vector<int>>;
KeptChannels kept_channels(const graph::Channels& channels, const std::vector<bool>& keep);
/// Where what now is at position `i` of the value's axis stood in the original.
std::size_t place_in_original(const KeptChannels& kept, const std::string& value, int axis, std::size_t i);

/// What the original has at `name`, cut to the channels that stay.
graph::Tensor goal_of(const graph::Model& original, Activations& wanted, const KeptChannels& kept,
                      const std::string& name);

/// Normal equations of every layer of `pruned`, by the name of the layer's output: input of the pruned
/// network, wanted output of the original. Layers behind which nothing can be learned (no sample, unknown
/// shapes) are absent.
using Equations = std::map<std::string, saliency::NormalEquations>;

struct Repaired {
  graph::Model model;
  Equations equations;
};

/// @param original what to come near to; `wanted` runs it
/// @param pruned   values of the same names as the original's; `present` runs it (its samples are those of
/// `wanted`)
Repaired repair(const graph::Model& original, Activations& wanted, const graph::Model& pruned,
                Activations& present, const KeptChannels& kept, const graph::Shapes& pruned_shapes,
                const RepairOptions& options);

/// Statistics of every BatchNormalization re-estimated on the samples: mean and variance of its input as it
/// is now. Topological order; O(samples x network).
graph::Model reestimate_normalisation(const graph::Model& pruned, Activations& present);

}  // namespace tailor::rewrite
