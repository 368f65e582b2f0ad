/// \file Layers whose weights can be refitted by least squares, and where their output ends up.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"
#include "tailor/saliency/normal_equations.h"

#include <optional>
#include <string>
#include <vector>

namespace tailor::rewrite {

/// Products keep their weights inputs x outputs unless a Gemm says otherwise; convolutions outputs first.
bool outputs_last(const graph::Node& layer);

/// What happens to the layer's output on its way into a sum: y -> [BatchNormalization] -> [Add with `other`]
/// -> goal.
struct Destination {
  int normalisation = -1;  // node, or -1
  int sum = -1;            // node, or -1
  std::string other;       // the other operand of the sum
  std::string
      goal;  // value whose original the layer is fitted to: the sum, or the normalised output, or y itself
};

/// A Conv with one group or a Gemm with constant weights.
struct LinearLayer {
  int node = 0;
  std::string x, y;
  saliency::Geometry geometry;
  int inputs = 0, outputs = 0;
  bool depthwise = false;   // every output reads one input of its own
  bool transposed = false;  // Gemm weights stored inputs x outputs
  Destination destination;
};

/// The layers of a model in topological order. A sum counts as destination only if its other operand is ready
/// before the layer, so that fitting in this order never looks ahead.
std::vector<LinearLayer> linear_layers(const graph::Model& model, const graph::Shapes& shapes);

/// The same for Convs whose every output reads one input of its own (group = inputs = outputs); `inputs` is 1.
std::vector<LinearLayer> depthwise_layers(const graph::Model& model, const graph::Shapes& shapes);

/// y = scale * (x - shift): what the BatchNormalization of `node` does per channel, as y = scale * x +
/// offset.
struct Affine {
  std::vector<float> scale, offset;
};
Affine affine(const graph::Model& model, const graph::Node& normalisation);

/// Weights as outputs x inputs x taps, whatever the layer stores.
std::vector<float> weights(const graph::Model& model, const LinearLayer& layer);

/// Replaces weights (outputs x inputs x taps) and makes `intercept` what the layer adds to them: its bias,
/// or, where it has none, part of the mean of the normalisation that follows. A constant shared with other
/// nodes is copied first.
void set_weights(graph::Model& model, const LinearLayer& layer, std::vector<float> weights,
                 const std::vector<float>& intercept);

/// Replaces the constant behind an operand; other readers of it keep the old one.
void set_operand(graph::Model& model, int node, std::size_t input, graph::Tensor tensor);

}  // namespace tailor::rewrite
