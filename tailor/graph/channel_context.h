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
  bool constant(std::size_t i) const { return b.is_constant(node.input(i)); }
  void bind(std::size_t input, int axis, const Ids& ids, Role role) const {
    if (!node.input(input).empty()) b.bind(index, static_cast<int>(input), axis, ids, role);
  }
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
void conv(const Context& c);
void conv_transpose(const Context& c);
void qlinear_conv(const Context& c);
void gemm(const Context& c);
void matmul(const Context& c);

}  // namespace tailor::graph::labels
