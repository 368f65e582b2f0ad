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

/// What happens to the layer's output on its way into a sum: y -> [BatchNormalization, or the Add of a product's bias]
/// -> [Add with `other`] -> goal.
struct Destination {
  int normalisation = -1;  // node, or -1
  int bias = -1;           // node that adds a constant per output, or -1
  int sum = -1;            // node, or -1
  std::string other;       // the other operand of the sum
  std::string
      goal;  // value whose original the layer is fitted to: the sum, or the normalised output, or y itself
};

/// A Conv with one group, a Gemm or a MatMul with constant weights.
struct LinearLayer {
  int node = 0;
  std::string x, y;
  saliency::Geometry geometry;
  int inputs = 0, outputs = 0;
  bool depthwise = false;      // every output reads one input of its own
  bool transposed = false;     // weights stored inputs x outputs
  bool channels_last = false;  // MatMul: in x, y and all up to the goal channels are the last axis
  Destination destination;

  /// False if nothing is added to its weights' sums, and nothing can be without another node.
  bool takes_intercept() const { return !channels_last || destination.bias >= 0; }
};

/// A value that the layer reads or writes, with its channels on axis 1: mb x c x places of each sample (or as it is).
graph::Tensor channels_first(const LinearLayer& layer, const graph::Tensor& value);

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

/// The constant that is added to a layer's outputs behind it. @pre destination.bias >= 0
std::vector<float> added_bias(const graph::Model& model, const LinearLayer& layer);

/// Weights as outputs x inputs x taps, whatever the layer stores.
std::vector<float> weights(const graph::Model& model, const LinearLayer& layer);

/// Replaces weights (outputs x inputs x taps) and makes `intercept` what the layer adds to them: its bias,
/// or, where it has none, part of the mean of the normalisation that follows. Of a MatMul it is added to the bias behind it.
/// A constant shared with other nodes is copied first. @pre the intercept is zero if !layer.takes_intercept()
void set_weights(graph::Model& model, const LinearLayer& layer, std::vector<float> weights,
                 const std::vector<float>& intercept);

/// Replaces the constant behind an operand; other readers of it keep the old one.
void set_operand(graph::Model& model, int node, std::size_t input, graph::Tensor tensor);

}  // namespace tailor::rewrite
