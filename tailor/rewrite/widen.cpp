// New positions go right behind the group's last unit in every label (a flattened unit owns several
// positions, and gets as many new ones). Allowed only through operators for which zero weights stay harmless;
// everything else is an obstacle with a name.
#include "tailor/rewrite/widen.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
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

Model widen(const Model& model, const graph::Shapes& shapes, const Channels& channels,
            const std::map<int, int>& extra) {
  for (const auto& [group, count] : extra) {
    if (std::string why = obstacle_to_widening(model, channels, group); !why.empty())
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
  for (const graph::Binding& b : channels.bindings) {
    if (!changed(b.label)) continue;
    const Node& node = model.graph.nodes[b.node];
    auto [it, first] = operands.try_emplace({b.node, b.input});
    if (first) {
      const graph::Tensor* direct = graph::constant(model.graph, uses, node.inputs[b.input]);
      it->second = direct ? *direct : *shapes.constant(node.inputs[b.input]);
    }
    bool variance = node.op == "BatchNormalization" && b.input == 4;
    it->second = spread(it->second, b.axis, widened(channels, b.label, extra), variance ? 1.0f : 0.0f);
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
