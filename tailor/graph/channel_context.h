/// \file Private to the channel rules: what a rule sees of a node, and the rules of layers with weights.
#pragma once

#include "tailor/graph/channel_builder.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tailor::graph::labels {

using Role = Binding::Role;

/// A node whose outputs are to be labelled, with shorthands for its operands.
struct Context {
  ChannelBuilder& b;
  int index;
  const Node& node;

  AxisIds in(std::size_t i) const { return b.of(node.input(i)); }
  Shape shape(std::size_t i) const { return b.shape(node.input(i)); }
  Shape out_shape(std::size_t i = 0) const { return b.shape(node.output(i)); }
  /// Constant, or dequantised from a constant.
  bool constant(std::size_t i) const { return b.is_constant(node.input(i)) || dequantiser(i) >= 0; }
  /// The DequantizeLinear of a constant that makes input `i` and that nobody else reads; -1 if there is none.
  int dequantiser(std::size_t i) const;
  /// Binds the constant behind `input`, with its scales and zero points where it is dequantised.
  void bind(std::size_t input, int axis, const Ids& ids, Role role) const;
  void freeze(const std::string& why) const {
    b.freeze_inputs(node, why);
    for (const std::string& name : node.outputs) b.set(name, AxisIds(b.shape(name).size()));
  }
  std::optional<std::vector<std::int64_t>> integers(std::size_t input) const {
    const Tensor* tensor = node.input(input).empty() ? nullptr : b.shapes.constant(node.input(input));
    return tensor ? as_integers(*tensor) : std::nullopt;
  }
};
using Rule = void (*)(const Context&);

inline std::int64_t wrap(std::int64_t axis, std::size_t rank) {
  return axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
}
inline Ids at(const AxisIds& axes, std::size_t axis) { return axis < axes.size() ? axes[axis] : nullptr; }

inline Ids pick(const Ids& ids, const std::vector<std::int64_t>& positions) {
  auto out = std::make_shared<std::vector<int>>();
  for (std::int64_t p : positions) out->push_back((*ids)[p]);
  return out;
}

/// Why no rule may look at the node, in channel_sanity.cpp; nullptr if it makes sense.
const char* contradiction(const Context& c);

// Rules of layers, in channel_layers.cpp.
void conv_integer(const Context& c);
void qlinear_matmul(const Context& c);
void matmul_integer(const Context& c);
void qgemm(const Context& c);
void conv(const Context& c);
void conv_transpose(const Context& c);
void qlinear_conv(const Context& c);
void gemm(const Context& c);
void matmul(const Context& c);

// In channel_elementwise.cpp.
void elementwise(const Context& c);
void qlinear_binary(const Context& c);
void quantise(const Context& c);
void dynamic_quantise(const Context& c);

// In channel_normalise.cpp.
void batch_normalisation(const Context& c);
void instance_normalisation(const Context& c);
void group_normalisation(const Context& c);
void softmax(const Context& c);
void lp_normalisation(const Context& c);
void mean_variance(const Context& c);
void layer_normalisation(const Context& c);

/// LSTM, GRU, RNN, in channel_recurrent.cpp.
void recurrent(const Context& c);

/// Borders of the bodies of If, Loop and Scan, in channel_bodies.cpp.
void bracket(const Context& c);

}  // namespace tailor::graph::labels
