/// \file Which unit of a platform each channel goes to, learned together with the weights: the search of ODiMO
/// (arXiv:2306.05060, 2409.18566), beside which the exact planner stands.
///
/// Every channel has a share of each way to compute it, the softmax of numbers that learn, over a temperature that falls.
/// Runs see the sum of its weights as each way keeps them, weighted by the shares; what the units would take adds to the loss.
#pragma once

#include "tailor/saliency/quantise.h"

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace tailor::learn {

/// A layer with the ways to compute its channels.
struct SearchedLayer {
  std::string parameter;  // its weights
  std::vector<saliency::Keeping> ways;
  std::vector<int> units;                   // of each way
  std::vector<std::vector<double>> cycles;  // of each way: of 0 .. all output channels; infinite: it cannot
  bool outputs_last = false;                // as KeptWeights

  std::size_t channels() const { return cycles.front().size() - 1; }
};

struct UnitSearch {
  std::vector<SearchedLayer> layers;
  /// What a layer costs whose units work so many cycles, as one price per cycle of each unit: the cost is the sum of
  /// their products, and the prices do not change when all cycles change alike.
  std::function<std::vector<double>(std::span<const double> unit_cycles)> prices;
  double strength =
      1;               // of the cost, as a share of what everything costs on the first way; added to the loss
  double rate = 1e-3;  // of the numbers that become shares (Adam)
  double cooling = 0.045;  // the temperature begins at 1 and is multiplied by exp(-cooling) after each epoch
};

}  // namespace tailor::learn
