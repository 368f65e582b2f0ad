/// \file Wider layers that compute the same: channels of zero weights up to a width that the hardware runs
/// faster, or channels that nobody reads yet and that can be trained.
#pragma once

#include "tailor/graph/channels.h"
#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace tailor::rewrite {

/// Why `group` cannot be widened without changing the function; empty if it can. O(positions of its labels).
std::string obstacle_to_widening(const graph::Model& model, const graph::Channels& channels, int group);

/// The same for channels that are not zero but unread: empty only where constant weights are all that reads the group.
std::string obstacle_to_growing(const graph::Model& model, const graph::Channels& channels, int group);

/// `extra[g]` channels more in group g: rows and columns of zeros, normalisations that give zero. The outputs
/// are the same for every finite input.
/// @param seed given: what makes the new channels is drawn as for training (He et al., arXiv:1502.01852; normalisations
/// scale by 1), only what reads them is zero: the outputs are still the same, and every new weight can learn (Net2Wider,
/// arXiv:1511.05641, with zeros in the place of copies)
/// @throws Error bad_cut with the obstacle, or for weights to be drawn that are no float32
graph::Model widen(const graph::Model& model, const graph::Shapes& shapes, const graph::Channels& channels,
                   const std::map<int, int>& extra, std::optional<std::uint64_t> seed = {});

}  // namespace tailor::rewrite
