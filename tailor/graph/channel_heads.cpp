// Which Reshapes split channels into attention heads. A pass of its own labels every axis that a split makes
// and runs the rules as always; the axis whose labels arrive at a batch axis of a product of two values counts
// heads. Channels are then cut by whole heads; a rectangle stays a rectangle.
#include "tailor/graph/channel_builder.h"

#include <algorithm>
#include <set>

namespace tailor::graph {
namespace {

bool multiplies_values(const Node& node, const Shapes& shapes) {
  return node.op == "MatMul" && !shapes.constant(node.input(0)) && !shapes.constant(node.input(1));
}

}  // namespace

Carriers find_heads(const Model& model, const Shapes& shapes) {
  const std::vector<Node>& nodes = model.graph.nodes;
  if (std::none_of(nodes.begin(), nodes.end(), [&](const Node& n) { return multiplies_values(n, shapes); }))
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
