/// \file One layer as several nodes, each with some of its output channels, as units of a platform compute them side by side.
///
/// What alone reads a part (normalisation, Relu, Clip, rounding to 8 bits) goes with it; a Concat puts the parts together
/// again, and a Gather restores the order where a part's channels are no range of the layer's.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <string>
#include <vector>

namespace tailor::rewrite {

struct LayerPart {
  std::string name;           // of the unit: the node is called "LAYER/NAME"
  std::vector<int> channels;  // of the layer's output, increasing
  std::vector<int> own_inputs =
      {};  // if given, the one input channel that each reads: a depthwise convolution
};

struct SplitLayer {
  int node = 0;  // Conv, Gemm or MatMul with constant weights, or constant ones behind DequantizeLinear
  std::vector<LayerPart> parts;  // together every channel once; empty ones are left out
};

/// What a unit computes of a layer, from one stored value to the next: a layer in 8 bits reads its input and gives its output as
/// integers.
struct MadePart {
  std::string layer, unit;
  std::string input, output;  // values of the split network
};

struct SplitNetwork {
  graph::Model model;
  int layers = 0;                  // that are several nodes now
  int nodes = 0;                   // that they are
  int gathers = 0;                 // of outputs whose order had to be restored
  std::vector<MadePart> parts;     // of all layers that were given, also of those that one unit computes
  std::vector<std::string> whole;  // layers that stay one node: their groups of inputs cross the parts
};

/// Every channel is computed from the same operands as before. O(nodes + weights).
/// @throws Error bug if the parts are no partition of a layer's channels
SplitNetwork split_layers(const graph::Model& model, const graph::Shapes& shapes,
                          const std::vector<SplitLayer>& layers);

}  // namespace tailor::rewrite
