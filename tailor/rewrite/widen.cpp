// New positions go right behind the group's last unit in every label (a flattened unit owns several
// positions, and gets as many new ones). Allowed only through operators for which zero weights stay harmless;
// everything else is an obstacle with a name.
#include "tailor/rewrite/widen.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::rewrite {
namespace {

using graph::Channels;
using graph::Label;
using graph::Model;
using graph::Node;

bool touches(const Channels& channels, const Label& label, int group) {
  return label && std::any_of(label->begin(), label->end(),
                              [&](int atom) { return channels.atoms[atom].group == group; });
}

// End of the run of `group`'s units that starts at `begin`: units 0..w-1 in order, each `repeat` times. 0 if
// there is none.
std::size_t run_end(const Channels& channels, const std::vector<int>& label, std::size_t begin, int group,
                    std::size_t& repeat) {
  repeat = 0;
  while (begin + repeat < label.size() && label[begin + repeat] == label[begin]) ++repeat;
  std::size_t at = begin;
  for (int atom : channels.groups[group].atoms)
    for (std::size_t r = 0; r < repeat; ++r, ++at)
      if (at >= label.size() || label[at] != atom) return 0;
  return at;
}

// Where every position of the widened axis comes from; -1: new. Empty if the units do not lie in order.
std::vector<int> widened(const Channels& channels, const Label& label, const std::map<int, int>& extra) {
  std::vector<int> source;
  for (std::size_t at = 0; at < label->size();) {
    int group = channels.atoms[(*label)[at]].group;
    auto wanted = extra.find(group);
    if (wanted == extra.end()) {
      source.push_back(static_cast<int>(at++));
      continue;
    }
    std::size_t repeat = 0, end = run_end(channels, *label, at, group, repeat);
    if (end == 0) return {};
    while (at < end) source.push_back(static_cast<int>(at++));
    source.insert(source.end(), repeat * static_cast<std::size_t>(wanted->second), -1);
  }
  return source;
}

bool harmless(const Node& node) {
  static const std::set<std::string> ops = {
      "Conv",          "Gemm",        "MatMul",      "BatchNormalization",
      "Relu",          "LeakyRelu",   "Clip",        "PRelu",
      "Sigmoid",       "HardSigmoid", "HardSwish",   "Tanh",
      "Elu",           "Softplus",    "Add",         "Sum",
      "Mul",           "MaxPool",     "AveragePool", "GlobalAveragePool",
      "GlobalMaxPool", "Flatten",     "Concat",      "Identity",
      "Dropout",       "Gelu",        "Constant"};
  const bool scaled = node.op == "Resize" && node.input(3).empty();  // sizes would name the channels
  return scaled || ops.contains(node.op);
}

// Groups of several inputs: as many channels would have to be added to each of them.
bool grouped(const Model& model, const graph::Uses& uses, const Node& node) {
  if (node.op != "Conv" || node.integer("group", 1) == 1) return false;
  const graph::Tensor* w = graph::constant(model.graph, uses, node.input(1));
  return !w || w->dims.size() < 2 || w->dims[1] != 1;
}

bool has_weights(const Node& node) { return node.op == "Conv" || node.op == "Gemm" || node.op == "MatMul"; }

// The axes of one operand that got new positions.
struct WidenedAxis {
  int axis = 0;
  bool read = false;        // its positions are read, not made
  std::vector<int> source;  // -1: new
};

bool is_new(const WidenedAxis& axis, std::int64_t position) {
  return axis.source[static_cast<std::size_t>(position)] < 0;
}

// Draws the weights of new rows, but those in columns that are new themselves.
void draw(graph::Tensor& weights, const std::vector<WidenedAxis>& axes, Random& random, const Node& node) {
  if (weights.type != graph::DataType::f32)
    throw Error(Code::bad_cut, "only float32 weights can be drawn", node.label());
  std::vector<float> values = weights.values<float>();
  std::vector<std::int64_t> at(weights.dims.size(), 0);
  for (float& value : values) {
    bool made = false, read = false;
    for (const WidenedAxis& axis : axes)
      if (is_new(axis, at[static_cast<std::size_t>(axis.axis)])) (axis.read ? read : made) = true;
    if (made && !read) {
      std::int64_t fan_in = static_cast<std::int64_t>(values.size());
      for (const WidenedAxis& axis : axes)
        if (!axis.read) fan_in /= weights.dims[static_cast<std::size_t>(axis.axis)];
      value = static_cast<float>(std::sqrt(2.0 / static_cast<double>(std::max<std::int64_t>(fan_in, 1))) *
                                 random.normal());
    }
    for (std::size_t d = at.size(); d-- > 0;) {
      if (++at[d] < weights.dims[d]) break;
      at[d] = 0;
    }
  }
  weights = graph::make_f32(weights.dims, std::move(values));
}

}  // namespace

std::string obstacle_to_widening(const Model& model, const Channels& channels, int group) {
  if (!channels.groups[group].changeable()) return channels.groups[group].frozen;
  if (channels.in_bodies(group)) return "some of its channels are in the body of If, Loop or Scan";
  std::map<int, int> one = {{group, 1}};
  auto ordered = [&](const Label& label) {
    return !touches(channels, label, group) || !widened(channels, label, one).empty();
  };
  for (const graph::Binding& binding : channels.bindings)
    if (model.graph.nodes[binding.node].op == "DequantizeLinear" && touches(channels, binding.label, group))
      return fmt::format("the weights behind node {} are quantised", model.graph.nodes[binding.node].label());
  for (const graph::Binding& binding : channels.bindings)
    if (!ordered(binding.label))
      return fmt::format("its channels are not in order at node {}", model.graph.nodes[binding.node].label());
  std::set<std::string> values;
  for (const auto& [key, label] : channels.values) {
    if (!ordered(label)) return fmt::format("its channels are not in order in value '{}'", key.first);
    if (touches(channels, label, group)) values.insert(key.first);
  }
  graph::Uses uses(model.graph);
  for (const Node& node : model.graph.nodes) {
    bool near = std::any_of(node.inputs.begin(), node.inputs.end(),
                            [&](const std::string& n) { return values.contains(n); }) ||
                std::any_of(node.outputs.begin(), node.outputs.end(),
                            [&](const std::string& n) { return values.contains(n); });
    if (near && grouped(model, uses, node)) return fmt::format("{} is a grouped convolution", node.label());
    if (near && !harmless(node))
      return fmt::format("{} ({}) could turn zeros into something else", node.label(), node.op);
  }
  return {};
}

std::string obstacle_to_growing(const Model& model, const Channels& channels, int group) {
  if (std::string why = obstacle_to_widening(model, channels, group); !why.empty()) return why;
  graph::Uses uses(model.graph);
  auto read = [&](const std::string& value) {
    return std::any_of(channels.values.begin(), channels.values.end(), [&](const auto& entry) {
      return entry.first.first == value && touches(channels, entry.second, group);
    });
  };
  for (const Node& node : model.graph.nodes)
    if (node.op == "MatMul" && !graph::constant(model.graph, uses, node.input(0)) &&
        !graph::constant(model.graph, uses, node.input(1)) && (read(node.input(0)) || read(node.input(1))))
      return fmt::format("{} multiplies two activations", node.label());
  return {};
}

Model widen(const Model& model, const graph::Shapes& shapes, const Channels& channels,
            const std::map<int, int>& extra, std::optional<std::uint64_t> seed) {
  for (const auto& [group, count] : extra) {
    if (std::string why =
            seed ? obstacle_to_growing(model, channels, group) : obstacle_to_widening(model, channels, group);
        !why.empty())
      throw Error(Code::bad_cut, "cannot be widened: " + why, channels.groups[group].name);
    if (count < 0)
      throw Error(Code::bad_cut, "cannot be widened by a negative number", channels.groups[group].name);
  }
  Model result = model;
  graph::Uses uses(model.graph);
  auto changed = [&](const Label& label) {
    return label && std::any_of(label->begin(), label->end(),
                                [&](int atom) { return extra.contains(channels.atoms[atom].group); });
  };
  std::map<std::pair<int, int>, graph::Tensor> operands;
  std::map<std::pair<int, int>, std::vector<WidenedAxis>> axes;
  for (const graph::Binding& b : channels.bindings) {
    if (!changed(b.label)) continue;
    const Node& node = model.graph.nodes[b.node];
    auto [it, first] = operands.try_emplace({b.node, b.input});
    if (first) {
      const graph::Tensor* direct = graph::constant(model.graph, uses, node.inputs[b.input]);
      it->second = direct ? *direct : *shapes.constant(node.inputs[b.input]);
    }
    const bool normalises = node.op == "BatchNormalization";
    const bool one = normalises && (b.input == 4 || (seed && b.input == 1));
    std::vector<int> source = widened(channels, b.label, extra);
    it->second = spread(it->second, b.axis, source, one ? 1.0f : 0.0f);
    axes[it->first].push_back({b.axis, b.role == graph::Binding::Role::consumes, std::move(source)});
  }
  if (seed) {
    Random random(*seed);
    for (auto& [slot, tensor] : operands)
      if (const Node& node = model.graph.nodes[slot.first]; has_weights(node) && slot.second == 1)
        draw(tensor, axes.at(slot), random, node);
  }
  for (auto& [slot, tensor] : operands)
    set_operand(result, slot.first, static_cast<std::size_t>(slot.second), std::move(tensor));
  for (std::size_t i = 0; i < result.graph.nodes.size(); ++i) {
    Node& node = result.graph.nodes[i];
    Label x = node.op == "Conv" ? channels.find(node.input(0), 1) : nullptr;
    if (node.integer("group", 1) == 1 || !changed(x)) continue;
    node.attributes["group"] = {static_cast<std::int64_t>(widened(channels, x, extra).size())};
  }
  for (const auto& [key, label] : channels.values) {
    auto it = result.graph.value_infos.find(key.first);
    if (it == result.graph.value_infos.end() || !it->second.shape || !changed(label)) continue;
    if (std::int64_t& dim = (*it->second.shape)[key.second]; dim >= 0)
      dim = static_cast<std::int64_t>(widened(channels, label, extra).size());
  }
  graph::remove_dead(result.graph);
  graph::check(result.graph);
  return result;
}

}  // namespace tailor::rewrite
