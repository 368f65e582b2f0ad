/// \file Channels in another order, everywhere at once: the model computes the same.
#pragma once

#include "tailor/graph/channels.h"
#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <map>
#include <vector>

namespace tailor::rewrite {

/// New order of the units of some groups: the unit that stands at i is the old unit order[i].
using Orders = std::map<int, std::vector<int>>;

/// Constants along the groups' channels are reordered (rows and columns of weights, statistics, scales); nodes and shapes
/// stay as they are. Outputs are the same up to the rounding of sums in another order.
/// O(elements of what is reordered).
/// @pre shapes and channels belong to model
/// @throws Error bad_cut: an unknown or frozen group, one with channels in bodies of If, Loop or Scan, or no permutation of
/// its units
graph::Model permute(const graph::Model& model, const graph::Shapes& shapes, const graph::Channels& channels,
                     const Orders& orders);

/// Which old position each position of an axis takes. @throws as permute
std::vector<int> moved(const graph::Channels& channels, const Orders& orders, const graph::Label& label);

}  // namespace tailor::rewrite
