/// \file Private to the surgery: attributes and constant operands that name sizes.
#pragma once

#include "tailor/graph/channels.h"
#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <vector>

namespace tailor::rewrite {

/// Brings node `index` in line with the channels that stay: group counts of convolutions, Reshape and Expand
/// targets, Resize sizes, Split sizes, Slice bounds, Pad amounts, Gather indices. New operands become
/// initializers of their own.
/// @param before receives nodes that have to stand right in front of this one
/// @param uses of the model as it was before the first node was remade
/// @throws Error bad_cut naming the node
void remake_node(graph::Model& model, int index, const graph::Shapes& shapes, const graph::Channels& channels,
                 const std::vector<bool>& keep, const graph::Uses& uses, std::vector<graph::Node>& before);

}  // namespace tailor::rewrite
