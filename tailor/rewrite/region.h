/// \file A few layers in a row that can be fitted together.
#pragma once

#include "tailor/rewrite/linear_layer.h"
#include "tailor/saliency/tape.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tailor::rewrite {

/// The part of a model between values that are given and one goal, as a tape: layers, normalisations, bounds, sums and
/// means. Nothing outside reads what lies between, so its weights can change freely.
struct Region {
  std::vector<LinearLayer> layers;  // topological; the tape's layers in this order
  saliency::Tape tape;
  std::vector<std::string> inputs;  // values, in the order of the tape's
  std::string goal;
};

/// Layers of a model by their node: dense and depthwise.
std::map<int, LinearLayer> layers_by_node(const graph::Model& model, const graph::Shapes& shapes);

/// The region that ends at the destination of `last`, with at most `most` layers, the nearest ones; depthwise ones, which
/// have few weights, come along uncounted. Absent where no second layer can be taken in: it is read by others too, or what lies between is none of the steps of a tape.
/// O(nodes). @pre most >= 2
std::optional<Region> region_before(const graph::Model& model, const graph::Shapes& shapes,
                                    const std::map<int, LinearLayer>& layers, const LinearLayer& last,
                                    int most);

/// Present weights of a region's layers, as its tape takes them.
saliency::TapeWeights tape_weights(const graph::Model& model, const Region& region);
/// Writes them into the model.
void set_tape_weights(graph::Model& model, const Region& region, const saliency::TapeWeights& weights);

}  // namespace tailor::rewrite
