// Which Reshapes split channels into attention heads. A pass of its own labels every axis that a split makes
// and runs the rules as always; the axis whose labels arrive at a batch axis of a product of two values counts
// heads. Channels are then cut by whole heads; a rectangle stays a rectangle.
#include "tailor/graph/channel_builder.h"

#include <algorithm>
#include <set>

namespace tailor::graph {
namespace {

// Products of two values treat batch axes one by one; InstanceNormalization, which exporters make of
// GroupNormalization, treats axis 1 so.
bool keeps_apart(const Node& node, const Shapes& shapes) {
  if (node.op == "InstanceNormalization") return true;
  std::size_t right = node.op == "QLinearMatMul" ? 3 : 1;
  bool product = right == 3 || node.op == "MatMul" || node.op == "MatMulInteger";
  return product && !shapes.constant(node.input(0)) && !shapes.constant(node.input(right));
}

}  // namespace

Carriers find_heads(const Model& model, const Shapes& shapes) {
  const std::vector<Node>& nodes = model.graph.nodes;
  if (std::none_of(nodes.begin(), nodes.end(), [&](const Node& n) { return keeps_apart(n, shapes); }))
    return {};
  ChannelBuilder builder(model, shapes);
  builder.probe.emplace();
  for (std::size_t i = 0; i < nodes.size(); ++i) apply_channel_rule(builder, static_cast<int>(i));
  std::set<int> batches;
  for (const Ids& ids : builder.probe->batches)
    for (int id : *ids) batches.insert(builder.root(id));
  Carriers heads;
  for (const ChannelBuilder::Probe::Split& split : builder.probe->splits)
    if (batches.contains(builder.root(split.ids->front()))) heads.try_emplace(split.node, split.axis);
  return heads;
}

}  // namespace tailor::graph
