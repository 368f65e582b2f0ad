/// \file A model as the list of layers that a runner without ONNX executes: what a runtime fuses is fused, what moves no
/// data is left away.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/pipeline/surgery.h"

#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// One launch of the network.
struct ListedLayer {
  std::string text;         // as runners/cuda/layer.h reads it
  std::vector<int> inputs;  // tensors
  int output = 0;
  std::string name;  // of the node
  int layer = -1;    // index into Subject::layers; -1: pooling, elementwise, products of activations
};

struct LayerList {
  std::vector<ListedLayer> layers;      // in the model's order
  std::map<std::string, int> tensors;   // values of the model that layers read or write, and their numbers
  std::map<std::string, int> left_out;  // operators that the runner does not compute, and how many of each

  /// {"layers": [{"layer", "in", "out"}]}, the protocol's network, as one line.
  std::string to_line() const;
};

/// "f32" and "tf32" (f32), "f16", "bf16", "i8". @throws Error bad_value
graph::DataType type_of_precision(const std::string& precision);

/// The subject's layers with weights of `type`, whatever type the model has; with them what is fused (Subject::layers),
/// pooling, elementwise operators and products of activations. O(nodes).
LayerList layer_list(const Subject& subject, graph::DataType type);

}  // namespace tailor::pipeline
