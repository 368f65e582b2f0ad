/// \file Which linear layers read a channel group, and where in their input its units lie.
#pragma once

#include "tailor/pipeline/surgery.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/repair.h"

#include <vector>

namespace tailor::pipeline {

/// A layer that reads the group: per unit the inputs of the layer that belong to it, increasing.
struct Reader {
  rewrite::LinearLayer layer;
  std::vector<std::vector<int>> inputs;
};

/// In topological order; layers that read none of the group's units are left out. O(layers + positions).
std::vector<Reader> readers_of(const Subject& subject, int group);

/// Those of them whose layer has equations.
std::vector<Reader> fitted_readers(const Subject& subject, const rewrite::Equations& equations, int group);

/// Whether one of the label's positions belongs to the group; false for no label. O(positions).
bool contains_group(const graph::Channels& channels, const graph::Label& label, int group);

/// Labels of what a layer reads, by its node; null where they are fixed. O(layers).
graph::Label input_label(const Subject& subject, int node);

}  // namespace tailor::pipeline
