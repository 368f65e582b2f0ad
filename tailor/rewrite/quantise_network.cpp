// quantise_network, on a copy whose nodes keep their numbers until the end:
//   fold_normalisation   the BatchNormalization behind a convolution goes into scales, signs and biases
//   quantise_weights     levels and biases as constants behind DequantizeLinear
//   quantise_value       a pair (with a Clip between) after whatever makes a value, instead of a Relu or Clip that cuts off what has
//                        no level; graph inputs get a new name for their readers
//   assemble             all nodes in order: those before (dequantised weights), the node, those behind (pairs)
#include "tailor/rewrite/quantise_network.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/opset.h"
#include "tailor/rewrite/tensors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using graph::Tensor;

constexpr std::int64_t kMiddle = 128;          // the u8 that stands for level 0
constexpr std::int64_t kFloat = 1, kByte = 2;  // TensorProto.FLOAT, UINT8

bool is_plain(const Node& node) {
  if (node.op == "Conv" || node.op == "MatMul") return true;
  return node.op == "Gemm" && node.integer("transA", 0) == 0 && node.real("alpha", 1) == 1 &&
         node.real("beta", 1) == 1;
}

template <class T>
Tensor tensor_of(graph::DataType type, graph::Shape dims, std::vector<T> values) {
  return {type, std::move(dims), Bytes::own(std::move(values)), {}};
}

// The layer, the normalisation and the activation that alone read what it gives: numbers of nodes, -1 if absent.
struct Chain {
  int layer = 0, normalisation = -1, activation = -1;
  int last() const { return activation >= 0 ? activation : normalisation >= 0 ? normalisation : layer; }
};

Chain chain_of(const Model& model, const graph::Uses& uses, int layer) {
  Chain chain{layer, -1, -1};
  auto reader = [&](int node) {
    return uses.only_reader(model.graph.nodes[static_cast<std::size_t>(node)].output(0));
  };
  auto op = [&](int node) {
    return node < 0 ? std::string() : model.graph.nodes[static_cast<std::size_t>(node)].op;
  };
  int next = reader(layer);
  if (op(layer) == "Conv" && op(next) == "BatchNormalization")
    chain.normalisation = next, next = reader(next);
  if (op(next) == "Relu" || op(next) == "Clip") chain.activation = next;
  return chain;
}

class Quantiser {
 public:
  Quantiser(const Model& model, const Quantisation& how)
      : how_(how),
        model_(model),
        uses_(model.graph),
        before_(model.graph.nodes.size()),
        behind_(model.graph.nodes.size()),
        gone_(model.graph.nodes.size()) {
    for (const Node& node : model.graph.nodes)
      for (const std::string& name : node.outputs) taken_.insert(name);
  }

  Model round_values() {
    simulated_ = true;
    for (const auto& [value, range] : how_.ranges) quantise_value(value);
    return assemble().model;
  }

  QuantisedNetwork run() {
    std::vector<int> layers;
    for (const auto& [node, levels] : how_.layers) layers.push_back(node);
    const std::vector<std::string> values = quantised_values(model_, layers);
    const Model original = model_;
    for (int node : layers) quantise_layer(original, node);
    for (const std::string& value : values) quantise_value(value);
    return assemble();
  }

 private:
  Node& node(int i) { return model_.graph.nodes[static_cast<std::size_t>(i)]; }

  std::string fresh(const std::string& stem) {
    std::string name = stem;
    for (int i = 1; taken_.contains(name) || model_.graph.initializers.contains(name); ++i)
      name = stem + "_" + std::to_string(i);
    taken_.insert(name);
    return name;
  }

  std::string constant(const std::string& stem, Tensor tensor) {
    std::string name = fresh(stem);
    model_.graph.initializers[name] = std::move(tensor);
    return name;
  }

  Node convert(const char* op, std::vector<std::string> inputs, const std::string& output,
               std::int64_t axis) {
    const bool known = model_.opsets[""] >= 13;
    if (!known) model_.opsets.try_emplace("com.microsoft", 1);
    Node made{op, known ? "" : "com.microsoft", fresh(output + "_" + op), std::move(inputs), {output}};
    if (axis >= 0) made.attributes["axis"].value = axis;
    return made;
  }

  void quantise_layer(const Model& original, int i) {
    const Chain chain = chain_of(original, uses_, i);
    saliency::Levels levels = how_.layers.at(i);
    std::vector<float> bias = bias_of(original, i, levels.scale.size());
    if (chain.normalisation >= 0) fold_normalisation(original, chain, levels, bias);
    const saliency::ValueLevels x = levels_of(original.graph.nodes[static_cast<std::size_t>(i)].input(0));
    for (double& scale : levels.scale)
      if (!(static_cast<float>(scale) > 0)) scale = 1;
    quantise_weights(i, levels);
    if (node(i).op != "MatMul" && std::any_of(bias.begin(), bias.end(), [](float b) { return b != 0; }))
      quantise_bias(i, levels, bias, x);
    else if (node(i).inputs.size() > 2)
      node(i).inputs.resize(2);
  }

  // Absent or of one element: the same for all.
  std::vector<float> bias_of(const Model& original, int i, std::size_t outputs) {
    const Tensor* tensor = graph::constant(original.graph, uses_, node(i).input(2));
    std::vector<float> bias =
        tensor ? graph::as_floats(*tensor).value_or(std::vector<float>{}) : std::vector<float>{};
    if (bias.size() != outputs) bias.assign(outputs, bias.empty() ? 0 : bias.front());
    return bias;
  }

  void fold_normalisation(const Model& original, const Chain& chain, saliency::Levels& levels,
                          std::vector<float>& bias) {
    const Affine map = affine(original, original.graph.nodes[static_cast<std::size_t>(chain.normalisation)]);
    const std::size_t row = levels.level.size() / levels.scale.size();
    for (std::size_t c = 0; c < levels.scale.size(); ++c) {
      levels.scale[c] *= std::abs(double{map.scale[c]});
      bias[c] = bias[c] * map.scale[c] + map.offset[c];
      for (std::size_t k = 0; map.scale[c] < 0 && k < row; ++k) levels.level[c * row + k] *= -1;
    }
    gone_[static_cast<std::size_t>(chain.normalisation)] = true;
    node(chain.layer).outputs[0] = node(chain.normalisation).outputs[0];
  }

  void quantise_weights(int i, const saliency::Levels& levels) {
    const std::string stem = node(i).input(1);
    const graph::Shape dims = graph::constant(model_.graph, uses_, stem)->dims;
    std::vector<std::uint8_t> stored;
    for (std::int32_t level : levels.level) stored.push_back(static_cast<std::uint8_t>(level + kMiddle));
    if (outputs_last(node(i))) stored = transposed(stored, levels.scale.size());
    const std::vector<std::uint8_t> zero(levels.scale.size(), static_cast<std::uint8_t>(kMiddle));
    const std::vector<float> scale(levels.scale.begin(), levels.scale.end());
    const auto outputs = static_cast<std::int64_t>(scale.size());
    const std::vector<std::string> inputs = {
        constant(stem + "_u8", tensor_of(graph::DataType::u8, dims, stored)),
        constant(stem + "_scale", graph::make_f32({outputs}, scale)),
        constant(stem + "_zero", tensor_of(graph::DataType::u8, {outputs}, zero))};
    dequantise(i, 1, inputs, stem + "_dq",
               outputs_last(node(i)) ? static_cast<std::int64_t>(dims.size()) - 1 : 0);
  }

  void quantise_bias(int i, const saliency::Levels& levels, const std::vector<float>& bias,
                     saliency::ValueLevels x) {
    std::vector<float> scale;
    std::vector<std::int32_t> stored;
    constexpr double kMost = 2e9;  // far from the ends of i32: products are added
    for (std::size_t c = 0; c < bias.size(); ++c) {
      scale.push_back(x.scale * static_cast<float>(levels.scale[c]));
      stored.push_back(static_cast<std::int32_t>(
          std::clamp(std::nearbyint(double{bias[c]} / scale.back()), -kMost, kMost)));
    }
    const auto outputs = static_cast<std::int64_t>(bias.size());
    const std::string stem = node(i).output(0) + "_bias";
    const std::vector<std::string> inputs = {
        constant(stem + "_i32", tensor_of(graph::DataType::i32, {outputs}, stored)),
        constant(stem + "_scale", graph::make_f32({outputs}, scale))};
    node(i).inputs.resize(3);
    dequantise(i, 2, inputs, stem + "_dq", 0);
  }

  void dequantise(int i, std::size_t input, const std::vector<std::string>& constants,
                  const std::string& stem, std::int64_t axis) {
    const std::string name = fresh(stem);
    before_[static_cast<std::size_t>(i)].push_back(convert("DequantizeLinear", constants, name, axis));
    node(i).inputs[input] = name;
  }

  bool given_out(const std::string& value) const {
    return std::any_of(model_.graph.outputs.begin(), model_.graph.outputs.end(),
                       [&](const graph::ValueInfo& output) { return output.name == value; });
  }

  saliency::ValueLevels levels_of(const std::string& value) const {
    const Range range = how_.ranges.at(value);
    return saliency::value_levels(range.lo, range.hi, given_out(value) ? 8 : how_.activation_bits);
  }

  // u8 has more levels than these. They are limited as integers: what makes the value then still ends in a QuantizeLinear, and
  // ONNX Runtime sums its products as integers. Clip has limits for floats alone before opset 12, and as attributes before 11.
  void limit(saliency::ValueLevels levels, const std::string& from, const std::string& to,
             std::vector<Node>& nodes) {
    const std::int64_t opset = model_.opsets[""];
    const auto last = static_cast<std::uint8_t>(levels.most);
    if (opset >= 12) {
      const std::string lo = constant(to + "_least", tensor_of<std::uint8_t>(graph::DataType::u8, {}, {0})),
                        hi = constant(to + "_most", tensor_of<std::uint8_t>(graph::DataType::u8, {}, {last}));
      nodes.push_back({"Clip", "", fresh(to + "_Clip"), {from, lo, hi}, {to}});
      return;
    }
    const std::string steps = fresh(to + "_f32"), limited = fresh(to + "_limited");
    nodes.push_back(cast(from, steps, kFloat));
    Node clip{"Clip", "", fresh(to + "_Clip"), {steps}, {limited}};
    if (opset < 11)
      clip.attributes["min"].value = 0.0f, clip.attributes["max"].value = static_cast<float>(last);
    for (float end : {0.0f, static_cast<float>(last)})
      if (opset >= 11) clip.inputs.push_back(constant(to + "_limit", graph::make_f32({}, {end})));
    nodes.push_back(std::move(clip));
    nodes.push_back(cast(limited, to, kByte));
  }

  Node cast(const std::string& from, const std::string& to, std::int64_t type) {
    Node made{"Cast", "", fresh(to + "_Cast"), {from}, {to}};
    made.attributes["to"].value = type;
    return made;
  }

  // The nodes that take `from` through u8 to `to`.
  std::vector<Node> pair(const std::string& value, const std::string& from, const std::string& to) {
    const saliency::ValueLevels levels = levels_of(value);
    const std::vector<std::uint8_t> middle = {static_cast<std::uint8_t>(levels.zero)};
    const std::string scale = constant(value + "_scale", graph::make_f32({}, {levels.scale})),
                      zero = constant(value + "_zero", tensor_of(graph::DataType::u8, {}, middle)),
                      stored = fresh(value + "_u8"),
                      rounded = levels.most < 255 ? fresh(value + "_rounded") : stored;
    std::vector<Node> nodes = {convert("QuantizeLinear", {from, scale, zero}, rounded, -1)};
    if (levels.most < 255) limit(levels, rounded, stored, nodes);
    if (simulated_)
      add_steps_to_values(levels, stored, scale, to, nodes);
    else
      nodes.push_back(convert("DequantizeLinear", {stored, scale, zero}, to, -1));
    return nodes;
  }

  // What DequantizeLinear computes, spelled out: between two of those ONNX Runtime (WeightBiasQuantization) rounds weights in floats
  // to 8 bits of its own.
  void add_steps_to_values(saliency::ValueLevels levels, const std::string& stored, const std::string& scale,
                           const std::string& to, std::vector<Node>& nodes) {
    const std::string steps = fresh(to + "_steps"), centred = fresh(to + "_centred");
    const std::string zero = constant(to + "_middle", graph::make_f32({}, {static_cast<float>(levels.zero)}));
    nodes.push_back(cast(stored, steps, kFloat));
    nodes.push_back({"Sub", "", fresh(to + "_Sub"), {steps, zero}, {centred}});
    nodes.push_back({"Mul", "", fresh(to + "_Mul"), {centred, scale}, {to}});
  }

  void quantise_value(const std::string& value) {
    const int producer = uses_.producer(value);
    if (producer < 0) return quantise_input(value);
    auto maker = static_cast<std::size_t>(producer);
    std::string made_there = value;
    if (!simulated_ && rounding_cuts_off_as(producer, levels_of(value))) {
      gone_[maker] = true, made_there = node(producer).input(0);
      maker = static_cast<std::size_t>(uses_.producer(made_there));
    }
    // A folded normalisation gives nothing any more: its convolution does.
    if (gone_[maker]) maker = static_cast<std::size_t>(uses_.producer(model_.graph.nodes[maker].input(0)));
    const std::string raw = fresh(value + "_f32");
    std::vector<std::string>& outputs = model_.graph.nodes[maker].outputs;
    std::replace(outputs.begin(), outputs.end(), made_there, raw);
    for (Node& made : pair(value, raw, value)) behind_[maker].push_back(std::move(made));
  }

  // Whether a Relu or Clip cuts off nothing but what has no level: then it goes, and sums behind which it stood are rounded
  // as integers.
  bool rounding_cuts_off_as(int i, saliency::ValueLevels levels) {
    const Node& at = node(i);
    if ((at.op != "Relu" && at.op != "Clip") || uses_.producer(at.input(0)) < 0 ||
        uses_.only_reader(at.input(0)) != i)
      return false;
    const std::optional<Range> kept = range_kept(at);
    auto level = [&](float x) { return std::nearbyint(x / levels.scale) + static_cast<float>(levels.zero); };
    return kept && level(kept->lo) <= 0 && level(kept->hi) >= static_cast<float>(levels.most);
  }

  // What a Relu or Clip lets through; nothing where its limits are no constants.
  std::optional<Range> range_kept(const Node& at) const {
    constexpr float kEndless = std::numeric_limits<float>::infinity();
    if (at.op == "Relu") return Range{0, kEndless};
    Range kept{at.real("min", -kEndless), at.real("max", kEndless)};
    for (std::size_t side : {1U, 2U}) {
      if (at.input(side).empty()) continue;
      const Tensor* limit = graph::constant(model_.graph, uses_, at.input(side));
      const auto value = limit ? graph::as_floats(*limit) : std::nullopt;
      if (!value || value->size() != 1) return std::nullopt;
      (side == 1 ? kept.lo : kept.hi) = value->front();
    }
    return kept;
  }

  void quantise_input(const std::string& value) {
    const std::string name = fresh(value + "_dq");
    for (int reader : uses_.consumers(value))
      std::replace(node(reader).inputs.begin(), node(reader).inputs.end(), value, name);
    for (Node& made : pair(value, value, name)) first_.push_back(std::move(made));
  }

  QuantisedNetwork assemble() {
    QuantisedNetwork result;
    std::vector<Node> nodes = std::move(first_);
    for (std::size_t i = 0; i < before_.size(); ++i) {
      std::move(before_[i].begin(), before_[i].end(), std::back_inserter(nodes));
      if (how_.layers.contains(static_cast<int>(i)))
        result.nodes[static_cast<int>(i)] = static_cast<int>(nodes.size());
      if (!gone_[i]) nodes.push_back(std::move(model_.graph.nodes[i]));
      std::move(behind_[i].begin(), behind_[i].end(), std::back_inserter(nodes));
    }
    model_.graph.nodes = std::move(nodes);
    result.model = std::move(model_);
    return result;
  }

  const Quantisation& how_;
  bool simulated_ = false;  // values alone are rounded, and layers compute in floats
  Model model_;
  graph::Uses uses_;  // of the model as it came
  std::vector<std::vector<Node>> before_, behind_;
  std::vector<Node> first_;
  std::vector<bool> gone_;
  std::set<std::string> taken_;
};

}  // namespace

std::vector<int> quantisable_layers(const Model& model, const graph::Shapes& shapes) {
  const graph::Uses uses(model.graph);
  std::vector<int> found;
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
    const Node& node = model.graph.nodes[i];
    if (!is_plain(node) || !node.domain.empty()) continue;
    const Tensor* weights = graph::constant(model.graph, uses, node.input(1));
    const Tensor* bias = graph::constant(model.graph, uses, node.input(2));
    const graph::Shape* y = shapes.shape(node.output(0));
    if (!weights || weights->type != graph::DataType::f32 || weights->dims.size() < 2 || !y || y->empty())
      continue;
    if (node.op == "MatMul" && weights->dims.size() != 2) continue;
    const std::int64_t outputs = outputs_last(node) ? weights->dims.back() : weights->dims.front();
    if (!node.input(2).empty() &&
        (!bias || bias->type != graph::DataType::f32 || (bias->size() != outputs && bias->size() != 1)))
      continue;
    if (weights->size() > 0) found.push_back(static_cast<int>(i));
  }
  return found;
}

std::vector<std::string> quantised_values(const Model& model, const std::vector<int>& layers) {
  const graph::Uses uses(model.graph);
  std::vector<std::string> values;
  std::set<std::string> seen;
  auto add = [&](const std::string& name) {
    if (seen.insert(name).second) values.push_back(name);
  };
  for (int i : layers) {
    add(model.graph.nodes[static_cast<std::size_t>(i)].input(0));
    add(model.graph.nodes[static_cast<std::size_t>(chain_of(model, uses, i).last())].output(0));
  }
  return values;
}

std::vector<std::string> rounded_values(const Model& model, const std::vector<int>& layers) {
  std::set<std::string> leads_on;  // to a layer
  for (int i : layers) leads_on.insert(model.graph.nodes[static_cast<std::size_t>(i)].input(0));
  for (auto node = model.graph.nodes.rbegin(); node != model.graph.nodes.rend(); ++node)
    if (std::any_of(node->outputs.begin(), node->outputs.end(),
                    [&](const std::string& name) { return leads_on.contains(name); }))
      leads_on.insert(node->inputs.begin(), node->inputs.end());
  std::vector<std::string> values = quantised_values(model, layers);
  std::erase_if(values, [&](const std::string& name) { return !leads_on.contains(name); });
  return values;
}

Model with_rounded_values(const Model& model, const std::map<std::string, Range>& ranges, int bits) {
  Quantisation how;
  how.ranges = ranges, how.activation_bits = bits;
  Model rounded = Quantiser(at_least_opset_10(model), how).round_values();
  graph::check(rounded.graph);
  return rounded;
}

std::vector<float> weight_rows(const Model& model, int i) {
  const Node& node = model.graph.nodes[static_cast<std::size_t>(i)];
  const graph::Uses uses(model.graph);
  const Tensor* tensor = graph::constant(model.graph, uses, node.input(1));
  TAILOR_CHECK(tensor && tensor->type == graph::DataType::f32);
  std::vector<float> values = tensor->values<float>();
  return outputs_last(node) ? transposed(values, static_cast<std::size_t>(tensor->dims.front())) : values;
}

QuantisedNetwork quantise_network(const Model& model, const Quantisation& how) {
  QuantisedNetwork result = Quantiser(at_least_opset_10(model), how).run();
  std::map<int, std::string> outputs;
  for (auto [before, now] : result.nodes)
    outputs[before] = result.model.graph.nodes[static_cast<std::size_t>(now)].output(0);
  graph::remove_dead(result.model.graph, graph::dead_values(model.graph));
  const graph::Uses uses(result.model.graph);
  for (auto& [before, now] : result.nodes) now = uses.producer(outputs[before]);
  graph::check(result.model.graph);
  return result;
}

}  // namespace tailor::rewrite
