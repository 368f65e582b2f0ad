// absorbing_convolutions: Add(x, Conv(x)) by its shape. absorb_identities: weights, then the sum goes.
#include "tailor/rewrite/absorb.h"

#include "tailor/rewrite/linear_layer.h"

#include <algorithm>
#include <optional>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;

// Row-major index of the tap that reads the position it writes, for stride 1 and equal planes.
std::optional<int> tap_at_offset_zero(const saliency::Geometry& g) {
  bool there = g.sh == 1 && g.sw == 1 && g.pt % g.dh == 0 && g.pl % g.dw == 0 && g.pt / g.dh < g.kh &&
               g.pl / g.dw < g.kw;
  return there ? std::optional(g.pt / g.dh * g.kw + g.pl / g.dw) : std::nullopt;
}

// The node that adds the layer's own input to what it gives, and is all that reads it; -1 if there is none.
int sum_with_input(const Model& model, const graph::Uses& uses, const graph::Shapes& shapes,
                   const LinearLayer& layer) {
  const auto& readers = uses.consumers(layer.y);
  if (readers.size() != 1 || uses.is_output(layer.y)) return -1;
  const Node& sum = model.graph.nodes[static_cast<std::size_t>(readers[0])];
  const graph::Shape *x = shapes.shape(layer.x), *y = shapes.shape(layer.y);
  bool adds = (sum.op == "Add" || sum.op == "Sum") && sum.inputs.size() == 2 &&
              ((sum.inputs[0] == layer.x && sum.inputs[1] == layer.y) ||
               (sum.inputs[1] == layer.x && sum.inputs[0] == layer.y));
  return adds && x && y && *x == *y ? readers[0] : -1;
}

struct Absorbing {
  LinearLayer layer;
  int sum, tap;
};

std::vector<Absorbing> find(const Model& model, const graph::Shapes& shapes) {
  graph::Uses uses(model.graph);
  std::vector<Absorbing> list;
  for (LinearLayer& layer : linear_layers(model, shapes)) {
    if (model.graph.nodes[static_cast<std::size_t>(layer.node)].op != "Conv" || layer.inputs != layer.outputs)
      continue;
    auto tap = tap_at_offset_zero(layer.geometry);
    int sum = tap ? sum_with_input(model, uses, shapes, layer) : -1;
    if (sum >= 0) list.push_back({std::move(layer), sum, *tap});
  }
  return list;
}

void add_identity(Model& model, const Absorbing& a) {
  std::vector<float> w = weights(model, a.layer);
  auto taps = static_cast<std::size_t>(a.layer.geometry.taps()),
       inputs = static_cast<std::size_t>(a.layer.inputs);
  for (std::size_t c = 0; c < inputs; ++c) w[(c * inputs + c) * taps + static_cast<std::size_t>(a.tap)] += 1;
  const Node& node = model.graph.nodes[static_cast<std::size_t>(a.layer.node)];
  graph::Shape dims = graph::constant(model.graph, graph::Uses(model.graph), node.inputs[1])->dims;
  set_operand(model, a.layer.node, 1, graph::make_f32(std::move(dims), std::move(w)));
}

}  // namespace

std::vector<int> absorbing_convolutions(const Model& model, const graph::Shapes& shapes) {
  std::vector<int> nodes;
  for (const Absorbing& a : find(model, shapes)) nodes.push_back(a.layer.node);
  return nodes;
}

Model absorb_identities(const Model& model, const graph::Shapes& shapes) {
  std::vector<Absorbing> list = find(model, shapes);
  if (list.empty()) return model;
  Model result = model;
  for (const Absorbing& a : list) {
    add_identity(result, a);
    Node &conv = result.graph.nodes[static_cast<std::size_t>(a.layer.node)],
         &sum = result.graph.nodes[static_cast<std::size_t>(a.sum)];
    std::swap(conv.outputs[0], sum.outputs[0]);  // nothing reads what the sum gives then
  }
  graph::remove_dead(result.graph);
  graph::check(result.graph);
  return result;
}

}  // namespace tailor::rewrite
