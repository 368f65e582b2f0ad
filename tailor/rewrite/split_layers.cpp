// One layer: followers() are the nodes that go with each part; add_part() copies the layer and them with the operands of
// the part (operand_of); join() is the Concat, and the Gather where order was lost.
#include "tailor/rewrite/split_layers.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/tensors.h"

#include <algorithm>
#include <numeric>
#include <set>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using graph::Tensor;

std::vector<int> flat(const std::vector<LayerPart>& parts) {
  std::vector<int> all;
  for (const LayerPart& part : parts) all.insert(all.end(), part.channels.begin(), part.channels.end());
  return all;
}

bool is_count(const std::vector<int>& channels) {
  for (std::size_t i = 0; i < channels.size(); ++i)
    if (channels[i] != static_cast<int>(i)) return false;
  return true;
}

class Splitter {
 public:
  Splitter(const Model& model, const graph::Shapes& shapes)
      : source_(model),
        shapes_(shapes),
        uses_(model.graph),
        made_(model.graph.nodes.size()),
        gone_(made_.size()) {
    result_.model = model;
    for (const Node& node : model.graph.nodes) {
      taken_.insert(node.outputs.begin(), node.outputs.end());
      names_.insert(node.name);
    }
  }

  void split(const SplitLayer& layer) {
    const Node& node = source_.graph.nodes[static_cast<std::size_t>(layer.node)];
    std::vector<LayerPart> parts;
    for (const LayerPart& part : layer.parts)
      if (!part.channels.empty()) parts.push_back(part);
    check(node, parts);
    if (parts.size() == 1 && parts.front().own_inputs.empty()) {
      const std::vector<int> behind = followers(layer.node);
      const int last = behind.empty() ? layer.node : behind.back();
      made(node, parts.front(), source_.graph.nodes[static_cast<std::size_t>(last)].output(0));
      return;
    }
    if (groups_of(node) > 1 && !std::all_of(parts.begin(), parts.end(), [&](const LayerPart& part) {
          return !inputs_of(node, part).empty();
        })) {
      result_.whole.push_back(node.label());
      return;
    }
    replace(layer.node, parts);
  }

  SplitNetwork finished() {
    std::vector<Node> nodes;
    for (std::size_t i = 0; i < made_.size(); ++i) {
      std::move(made_[i].begin(), made_[i].end(), std::back_inserter(nodes));
      if (!gone_[i]) nodes.push_back(std::move(result_.model.graph.nodes[i]));
    }
    result_.model.graph.nodes = std::move(nodes);
    graph::remove_dead(result_.model.graph, graph::dead_values(source_.graph));
    graph::check(result_.model.graph);
    return std::move(result_);
  }

 private:
  const Tensor* weights_of(const Node& node) const { return constant_behind(node.input(1)); }

  // Of an operand, or of the quantised operand behind a DequantizeLinear.
  const Tensor* constant_behind(const std::string& name) const {
    if (const Tensor* direct = graph::constant(source_.graph, uses_, name)) return direct;
    const int producer = uses_.producer(name);
    if (producer < 0) return nullptr;
    const Node& made = source_.graph.nodes[static_cast<std::size_t>(producer)];
    return made.op == "DequantizeLinear" ? graph::constant(source_.graph, uses_, made.input(0)) : nullptr;
  }

  std::int64_t outputs_of(const Node& node) const {
    const Tensor* weights = weights_of(node);
    TAILOR_CHECK(weights && weights->dims.size() >= 2);
    return outputs_last(node) ? weights->dims.back() : weights->dims.front();
  }

  static std::int64_t groups_of(const Node& node) { return node.op == "Conv" ? node.integer("group", 1) : 1; }

  void check(const Node& node, const std::vector<LayerPart>& parts) const {
    std::vector<int> all = flat(parts);
    std::sort(all.begin(), all.end());
    TAILOR_CHECK(is_count(all) && static_cast<std::int64_t>(all.size()) == outputs_of(node));
    for (const LayerPart& part : parts)
      TAILOR_CHECK(std::is_sorted(part.channels.begin(), part.channels.end()) &&
                   (part.own_inputs.empty() || part.own_inputs.size() == part.channels.size()));
  }

  // Input channels that a part of a layer with groups reads; empty if it has only some channels of a group.
  std::vector<int> inputs_of(const Node& node, const LayerPart& part) const {
    const std::int64_t groups = groups_of(node), per_group = outputs_of(node) / groups,
                       width = weights_of(node)->dims[1];
    std::map<std::int64_t, std::int64_t> count;
    for (int c : part.channels) ++count[c / per_group];
    std::vector<int> inputs;
    for (auto [group, channels] : count) {
      if (channels != per_group) return {};
      for (std::int64_t i = 0; i < width; ++i) inputs.push_back(static_cast<int>(group * width + i));
    }
    return inputs;
  }

  std::string fresh(const std::string& stem) {
    std::string name = stem;
    for (int i = 1; taken_.contains(name) || result_.model.graph.initializers.contains(name); ++i)
      name = stem + "_" + std::to_string(i);
    taken_.insert(name);
    return name;
  }

  std::string fresh_node(const std::string& stem) {
    std::string name = stem;
    for (int i = 1; !names_.insert(name).second; ++i) name = stem + "_" + std::to_string(i);
    return name;
  }

  std::string constant(const std::string& stem, Tensor tensor) {
    std::string name = fresh(stem);
    result_.model.graph.initializers[name] = std::move(tensor);
    return name;
  }

  // Nodes behind the layer that alone read what is before them, and do the same to every channel or have a constant for it.
  std::vector<int> followers(int layer) const {
    static const std::set<std::string> kinds = {"Relu", "Clip", "LeakyRelu", "QuantizeLinear",
                                                "BatchNormalization"};
    std::vector<int> list;
    for (int at = layer;;) {
      const Node& before = source_.graph.nodes[static_cast<std::size_t>(at)];
      const int next = uses_.only_reader(before.output(0));
      // Parts end in 8 bits: what is behind them finds the same pattern as without a split.
      if (next < 0 || before.op == "QuantizeLinear") return list;
      const Node& node = source_.graph.nodes[static_cast<std::size_t>(next)];
      if (!kinds.contains(node.op) || node.input(0) != before.output(0) || !has_constants(node)) return list;
      list.push_back(at = next);
    }
  }

  bool has_constants(const Node& node) const {
    return std::all_of(node.inputs.begin() + 1, node.inputs.end(), [&](const std::string& name) {
      return name.empty() || graph::constant(source_.graph, uses_, name);
    });
  }

  // Slices of a constant along `axis`; of one that is the same for all channels, itself.
  std::string sliced(const std::string& name, int axis, const std::vector<int>& channels, std::int64_t all,
                     const std::string& part) {
    const Tensor* tensor = graph::constant(source_.graph, uses_, name);
    TAILOR_CHECK(tensor);
    if (axis >= static_cast<int>(tensor->dims.size()) ||
        tensor->dims[static_cast<std::size_t>(axis)] != all || all == 1)
      return name;
    return constant(name + "/" + part, take(*tensor, axis, channels));
  }

  // The operand of a part: a slice, or a slice behind a DequantizeLinear of its own.
  std::string operand_of(const std::string& name, int axis, const LayerPart& part, std::int64_t all,
                         std::vector<Node>& before) {
    if (graph::constant(source_.graph, uses_, name)) return sliced(name, axis, part.channels, all, part.name);
    Node made = source_.graph.nodes[static_cast<std::size_t>(uses_.producer(name))];
    made.inputs[0] = sliced(made.inputs[0], axis, part.channels, all, part.name);
    for (std::size_t i = 1; i < made.inputs.size(); ++i)
      if (!made.inputs[i].empty()) made.inputs[i] = sliced(made.inputs[i], 0, part.channels, all, part.name);
    return push(std::move(made), part, before);
  }

  // A copy of a node for one part; what it gives.
  std::string push(Node node, const LayerPart& part, std::vector<Node>& nodes) {
    const std::string label = node.name.empty() ? node.output(0) : node.name;
    node.name = fresh_node(label + "/" + part.name), node.origin = {};
    node.outputs = {fresh(node.output(0) + "/" + part.name)};
    nodes.push_back(std::move(node));
    return nodes.back().outputs.front();
  }

  // The DequantizeLinear that gives a value, if one does.
  const Node* dequantised_by(const std::string& value) const {
    const int maker = uses_.producer(value);
    const Node* node = maker < 0 ? nullptr : &source_.graph.nodes[static_cast<std::size_t>(maker)];
    return node && node->op == "DequantizeLinear" ? node : nullptr;
  }

  void made(const Node& layer, const LayerPart& part, const std::string& output) {
    const Node* stored = dequantised_by(layer.input(0));
    result_.parts.push_back({layer.label(), part.name, stored ? stored->input(0) : layer.input(0), output});
  }

  // Channels of the input, taken before the layer; in 8 bits where the input comes in 8 bits.
  std::string taken(const std::string& x, const std::vector<int>& channels, const LayerPart& part,
                    std::vector<Node>& nodes) {
    const Node* dequantise = dequantised_by(x);
    const std::string from = dequantise ? dequantise->input(0) : x;
    std::vector<std::int64_t> indices(channels.begin(), channels.end());
    const auto count = static_cast<std::int64_t>(indices.size());
    Node gather{"Gather",
                "",
                x + "/take",
                {from, constant(x + "/channels", graph::make_i64({count}, std::move(indices)))},
                {from}};
    gather.attributes["axis"].value = std::int64_t{1};
    const std::string value = push(std::move(gather), part, nodes);
    if (!dequantise) return value;
    Node back = *dequantise;
    back.inputs[0] = value;
    return push(std::move(back), part, nodes);
  }

  // Weights of channels that read their own input channel alone: the rest of each row is zero.
  std::string own_weights(const std::string& name, const LayerPart& part, std::vector<Node>& nodes) {
    const auto all = static_cast<std::int64_t>(constant_behind(name)->dims.front());
    std::string value = operand_of(name, 0, part, all, nodes);
    Node* dequantise = nodes.empty() || nodes.back().output(0) != value ? nullptr : &nodes.back();
    std::string& stored = dequantise ? dequantise->inputs[0] : value;
    const Tensor& rows = result_.model.graph.initializers.at(stored);
    std::vector<Tensor> own;
    for (std::size_t i = 0; i < part.channels.size(); ++i)
      own.push_back(take(rows, {{0, {static_cast<int>(i)}}, {1, {part.own_inputs[i]}}}));
    stored = constant(stored + "/own", stacked(own));
    return value;
  }

  static Tensor stacked(const std::vector<Tensor>& slices) {
    std::vector<std::byte> bytes;
    for (const Tensor& slice : slices)
      bytes.insert(bytes.end(), slice.data.data(), slice.data.data() + slice.data.size());
    Tensor result{slices.front().type, slices.front().dims, Bytes::own(std::move(bytes)), {}};
    result.dims[0] = static_cast<std::int64_t>(slices.size());
    return result;
  }

  // @return what the part gives behind all that goes with it
  std::string add_part(const Node& layer, const std::vector<int>& behind, const LayerPart& part,
                       std::vector<Node>& nodes) {
    const std::int64_t all = outputs_of(layer);
    const int axis = outputs_last(layer) ? static_cast<int>(weights_of(layer)->dims.size()) - 1 : 0;
    Node node = layer;
    if (!part.own_inputs.empty()) {
      node.inputs[0] = taken(layer.input(0), part.own_inputs, part, nodes);
      node.inputs[1] = own_weights(layer.input(1), part, nodes);
      node.attributes["group"].value = static_cast<std::int64_t>(part.channels.size());
    } else {
      if (const std::int64_t groups = groups_of(layer); groups > 1) {
        node.inputs[0] = taken(layer.input(0), inputs_of(layer, part), part, nodes);
        node.attributes["group"].value = groups * static_cast<std::int64_t>(part.channels.size()) / all;
      }
      node.inputs[1] = operand_of(layer.input(1), axis, part, all, nodes);
    }
    if (!layer.input(2).empty())
      node.inputs[2] = operand_of(layer.input(2), bias_axis(layer), part, all, nodes);
    std::string value = push(std::move(node), part, nodes);
    for (int follower : behind) {
      Node copy = source_.graph.nodes[static_cast<std::size_t>(follower)];
      copy.inputs[0] = value;
      for (std::size_t i = 1; i < copy.inputs.size(); ++i)
        if (!copy.inputs[i].empty())
          copy.inputs[i] = sliced(copy.inputs[i], 0, part.channels, all, part.name);
      value = push(std::move(copy), part, nodes);
    }
    ++result_.nodes;
    return value;
  }

  int bias_axis(const Node& layer) const {
    const Tensor* bias = constant_behind(layer.input(2));
    return bias ? std::max(0, static_cast<int>(bias->dims.size()) - 1) : 0;
  }

  void replace(int layer, const std::vector<LayerPart>& parts) {
    const Node& node = source_.graph.nodes[static_cast<std::size_t>(layer)];
    const std::vector<int> behind = followers(layer);
    std::vector<Node>& nodes = made_[static_cast<std::size_t>(layer)];
    std::vector<std::string> values;
    for (const LayerPart& part : parts) values.push_back(add_part(node, behind, part, nodes));
    const int last = behind.empty() ? layer : behind.back();
    const std::string& value = source_.graph.nodes[static_cast<std::size_t>(last)].output(0);
    const bool renamed = join(value, axis_of(node), values, flat(parts), nodes);
    for (std::size_t p = 0; p < parts.size(); ++p) made(node, parts[p], renamed ? value : values[p]);
    gone_[static_cast<std::size_t>(layer)] = true;
    for (int follower : behind) gone_[static_cast<std::size_t>(follower)] = true;
    ++result_.layers;
  }

  std::int64_t axis_of(const Node& node) const {
    if (node.op != "MatMul") return 1;
    return static_cast<std::int64_t>(shapes_.shape(node.output(0))->size()) - 1;
  }

  // @return whether the only part got the name of the value itself
  bool join(const std::string& value, std::int64_t axis, std::vector<std::string> parts,
            const std::vector<int>& order, std::vector<Node>& nodes) {
    const bool gather = !is_count(order);
    if (parts.size() == 1 && !gather) {  // one part that was rewritten
      nodes.back().outputs[0] = value;
      return true;
    }
    Node concat{"Concat",
                "",
                fresh(value + "/parts"),
                std::move(parts),
                {gather ? fresh(value + "/by_unit") : value}};
    concat.attributes["axis"].value = axis;
    const std::string joined = concat.outputs[0];
    nodes.push_back(std::move(concat));
    if (!gather) return false;
    std::vector<std::int64_t> place(order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      place[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(i);
    const auto count = static_cast<std::int64_t>(place.size());
    Node restore{"Gather",
                 "",
                 fresh_node(value + "/order"),
                 {joined, constant(value + "/places", graph::make_i64({count}, std::move(place)))},
                 {value}};
    restore.attributes["axis"].value = axis;
    nodes.push_back(std::move(restore));
    ++result_.gathers;
    return false;
  }

  const Model& source_;
  const graph::Shapes& shapes_;
  graph::Uses uses_;
  std::vector<std::vector<Node>> made_;
  std::vector<bool> gone_;
  std::set<std::string> taken_, names_;  // of values, of nodes
  SplitNetwork result_;
};

}  // namespace

SplitNetwork split_layers(const Model& model, const graph::Shapes& shapes,
                          const std::vector<SplitLayer>& layers) {
  Splitter splitter(model, shapes);
  for (const SplitLayer& layer : layers) splitter.split(layer);
  return splitter.finished();
}

}  // namespace tailor::rewrite
