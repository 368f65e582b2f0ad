/// \file Surgery: a model and what to keep of each channel group -> a smaller model.
#pragma once

#include "tailor/graph/channels.h"
#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <map>
#include <string>
#include <vector>

namespace tailor::rewrite {

/// Units kept per group, increasing; a group that is not named keeps all of them.
struct Cut {
  std::map<int, std::vector<int>> kept;
};

/// The pruned model: weights cut, Reshape targets, Split sizes, Slice and Pad bounds, Gather indices and
/// group counts re-made, annotations updated. Entries of a Reshape target that the graph computes are left alone
/// where they adapt, and pinned by a Where where they do not. Names are kept; an initializer that two layers cut differently
/// is copied. Bodies of If, Loop and Scan are cut like the graph around them. Shapes of the result are inferred again
/// and must be what the labels say.
/// @pre shapes and channels belong to model
/// @throws Error bad_cut: a frozen or unknown group, an empty group, or an operator whose bounds cannot be
/// re-made
graph::Model cut(const graph::Model& model, const graph::Shapes& shapes, const graph::Channels& channels,
                 const Cut& what);

/// The reference for cut(): nothing is removed, but whoever reads a removed channel reads it with weight
/// zero; where no weights read it (the product of query and key), it is made zero. A head is read by the rows of
/// the projection behind it: with those zero it is absent, whatever its scores are. A hidden unit of a recurrent layer
/// is read by the columns of R and by what reads the outputs. Same outputs as the pruned
/// model, up to rounding.
graph::Model mask(const graph::Model& model, const graph::Shapes& shapes, const graph::Channels& channels,
                  const Cut& what);

/// True per atom if it stays. @throws Error bad_cut as above
std::vector<bool> kept_atoms(const graph::Channels& channels, const Cut& what);

}  // namespace tailor::rewrite
