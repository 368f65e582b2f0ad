/// \file Training for units that keep weights coarsely: every run sees the weights as they are kept, and the gradient
/// passes as if nothing had been rounded (straight-through estimator; Bengio et al., arXiv:1308.3432).
#pragma once

#include "tailor/graph/model.h"
#include "tailor/saliency/quantise.h"

#include <map>
#include <string>
#include <vector>

namespace tailor::learn {

/// The weights of one layer.
struct KeptWeights {
  std::vector<saliency::Keeping> ways;
  std::vector<int> way;       // per output channel: which of them
  bool outputs_last = false;  // output channels are the last axis of the tensor, not the first
  friend bool operator==(const KeptWeights&, const KeptWeights&) = default;
};

/// By parameter.
using Keepings = std::map<std::string, KeptWeights>;

/// The model with these weights as they are kept. O(weights x log(row))
/// @throws Error not_trainable if one of the names is no parameter; plan_mismatch if it has other output channels
graph::Model as_kept(const graph::Model& model, const Keepings& keepings);

}  // namespace tailor::learn
