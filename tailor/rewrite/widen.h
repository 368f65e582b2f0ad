/// \file Wider layers that compute the same: channels of zero weights up to a width that the hardware runs
/// faster.
#pragma once

#include "tailor/graph/channels.h"
#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <map>
#include <string>

namespace tailor::rewrite {

/// Why `group` cannot be widened without changing the function; empty if it can. O(positions of its labels).
std::string obstacle_to_widening(const graph::Model& model, const graph::Channels& channels, int group);

/// `extra[g]` channels more in group g: rows and columns of zeros, normalisations that give zero. The outputs
/// are the same for every finite input.
/// @throws Error bad_cut with the obstacle
graph::Model widen(const graph::Model& model, const graph::Shapes& shapes, const graph::Channels& channels,
                   const std::map<int, int>& extra);

}  // namespace tailor::rewrite
