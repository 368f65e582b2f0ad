// One pass over the nodes in their order. Values get numbers when they first occur; what moves no data gives its input's
// number to its output. A layer takes the nodes that are fused into it along, and they are passed over later.
#include "tailor/pipeline/layer_list.h"

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/latency/post.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <set>
#include <span>
#include <string_view>

namespace tailor::pipeline {
namespace {

using graph::Node;
using graph::Shape;

// Operators of one input that a kernel does element by element, and the runner's word for each.
const std::map<std::string, std::string> kUnary = {
    {"Relu", "relu"},           {"Clip", "clip"}, {"LeakyRelu", "leakyrelu"},
    {"Sigmoid", "sigmoid"},     {"Tanh", "tanh"}, {"HardSigmoid", "hardsigmoid"},
    {"HardSwish", "hardswish"}, {"Gelu", "gelu"}, {"BatchNormalization", "bn"}};
const std::set<std::string> kBinary = {"Add", "Sum", "Sub", "Mul", "Div"};
const std::set<std::string> kViews = {"Reshape", "Flatten",   "Identity", "Dropout",
                                      "Squeeze", "Unsqueeze", "Cast"};
// They compute shapes, or nothing at run time.
const std::set<std::string> kFree = {"Constant", "ConstantOfShape", "Shape", "Gather", "Range"};

class Lister {
 public:
  Lister(const Subject& subject, graph::DataType type)
      : subject_(subject),
        type_(type),
        nodes_(subject.model.graph.nodes),
        uses_(subject.model.graph),
        taken_(nodes_.size(), false) {
    for (std::size_t i = 0; i < subject.layers.size(); ++i)
      layer_of_[subject.layers[i].node] = static_cast<int>(i);
  }

  LayerList list() {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      if (!taken_[i]) add_node(static_cast<int>(i));
    list_.tensors = std::move(tensors_);
    return std::move(list_);
  }

 private:
  int tensor(const std::string& value) {
    return tensors_.try_emplace(value, static_cast<int>(tensors_.size())).first->second;
  }
  const Shape* shape(const std::string& value) const {
    const Shape* found = subject_.shapes.shape(value);
    return found && graph::element_count(*found) > 0 ? found : nullptr;
  }
  bool constant(const std::string& value) const { return subject_.shapes.constant(value) != nullptr; }
  std::string type() const { return std::string(graph::name(type_)); }

  void add(const Node& node, std::string text, std::vector<int> inputs, const std::string& output,
           int layer = -1) {
    list_.layers.push_back({std::move(text), std::move(inputs), tensor(output),
                            node.name.empty() ? node.output(0) : node.name, layer});
  }
  void leave_out(const Node& node) { ++list_.left_out[node.op]; }

  void add_node(int index) {
    const Node& node = nodes_[static_cast<std::size_t>(index)];
    if (auto layer = layer_of_.find(index); layer != layer_of_.end()) return add_layer(node, layer->second);
    if (kFree.contains(node.op) || constant(node.output(0))) return;
    if (kViews.contains(node.op) && !node.inputs.empty()) {
      tensors_[node.output(0)] = tensor(node.input(0));
      return;
    }
    std::optional<std::string> text;
    if (node.op.ends_with("Pool")) text = pooling(node);
    if (text) return add(node, *text, {tensor(node.input(0))}, node.output(0));
    if (node.op == "MatMul" && add_product(node)) return;
    if (!add_elementwise(node)) leave_out(node);
  }

  // The layer and, along the words after it, the nodes that are fused.
  void add_layer(const Node& node, int layer) {
    latency::Workload w = subject_.layers[static_cast<std::size_t>(layer)].workload;
    if (w.kind == latency::Kind::conv_transpose) return leave_out(node);
    w.type = type_;
    std::vector<int> inputs = {tensor(node.input(0))};
    const std::vector<std::string> words = latency::post_words(w.post);
    std::string value = node.output(0);
    const bool own_bias = !node.input(2).empty();
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (i == 0 && own_bias) continue;
      if (words[i] == "add" && inputs.size() > 1) {
        // One residual sum per launch: the rest is launched by itself.
        w.post = latency::joined_post(std::span(words).first(i));
        break;
      }
      const int next = uses_.consumers(value).front();
      const Node& fused = nodes_[static_cast<std::size_t>(next)];
      taken_[static_cast<std::size_t>(next)] = true;
      if (words[i] == "add") inputs.push_back(tensor(fused.inputs[fused.inputs[0] == value ? 1 : 0]));
      value = fused.output(0);
    }
    add(node, latency::to_string(w), inputs, value, layer);
  }

  std::optional<std::string> pooling(const Node& node) const {
    const Shape *x = shape(node.input(0)), *y = shape(node.output(0));
    if (!x || !y || x->size() != 4 || y->size() != 4) return std::nullopt;
    const bool whole = node.op.starts_with("Global");
    std::vector<std::int64_t> window = whole ? std::vector{(*x)[2], (*x)[3]} : node.integers("kernel_shape");
    std::vector<std::int64_t> strides = node.integers("strides"), pads = node.integers("pads");
    if (window.size() != 2) return std::nullopt;
    if (strides.size() != 2) strides = {1, 1};
    if (pads.size() != 4) pads = {0, 0, 0, 0};
    auto fits = [&](std::size_t axis) {
      return ((*x)[2 + axis] + 2 * pads[axis] - window[axis]) / strides[axis] + 1 == (*y)[2 + axis];
    };
    if (!fits(0) || !fits(1)) return std::nullopt;
    return fmt::format("pool_{}_mb{}_c{}ih{}iw{}_oh{}ow{}_kh{}kw{}_sh{}sw{}_ph{}pw{}_{}",
                       node.op.find("Max") == std::string::npos ? "avg" : "max", (*x)[0], (*x)[1], (*x)[2],
                       (*x)[3], (*y)[2], (*y)[3], window[0], window[1], strides[0], strides[1], pads[0],
                       pads[1], type());
  }

  // Both operands are activations, as in attention.
  bool add_product(const Node& node) {
    const Shape *a = shape(node.input(0)), *b = shape(node.input(1)), *y = shape(node.output(0));
    if (!a || !b || !y || a->size() < 2 || a->size() != b->size()) return false;
    const std::int64_t m = (*a)[a->size() - 2], k = a->back(), n = b->back();
    const std::int64_t batches = graph::element_count(*y) / (m * n);
    if (graph::element_count(*a) != batches * m * k || graph::element_count(*b) != batches * k * n)
      return false;
    add(node, fmt::format("bgemm_b{}_m{}_k{}_n{}_{}", batches, m, k, n, type()),
        {tensor(node.input(0)), tensor(node.input(1))}, node.output(0));
    return true;
  }

  bool add_elementwise(const Node& node) {
    const Shape* y = shape(node.output(0));
    if (!y) return false;
    const std::string head = fmt::format("eltwise_n{}_{}", graph::element_count(*y), type());
    if (auto word = kUnary.find(node.op); word != kUnary.end()) {
      add(node, head + "+" + word->second, {tensor(node.input(0))}, node.output(0));
      return true;
    }
    if (!kBinary.contains(node.op) || node.inputs.size() != 2) return false;
    const std::size_t large = constant(node.inputs[0]) ? 1 : 0;
    const Shape *x = shape(node.inputs[large]), *other = shape(node.inputs[1 - large]);
    if (!x || !other) return false;
    // A constant or a smaller operand stays in the caches: it costs what a bias costs.
    if (constant(node.inputs[1 - large]) || *x != *other) {
      const bool first = graph::element_count(*x) >= graph::element_count(*other);
      add(node, head + "+bias", {tensor(node.inputs[first ? large : 1 - large])}, node.output(0));
    } else {
      const bool sum = node.op == "Add" || node.op == "Sum" || node.op == "Sub";
      add(node, head + (sum ? "+add" : "+mul"), {tensor(node.inputs[0]), tensor(node.inputs[1])},
          node.output(0));
    }
    return true;
  }

  const Subject& subject_;
  graph::DataType type_;
  const std::vector<Node>& nodes_;
  graph::Uses uses_;
  std::vector<bool> taken_;
  std::map<int, int> layer_of_;  // node -> index into Subject::layers
  std::map<std::string, int> tensors_;
  LayerList list_;
};

}  // namespace

std::string LayerList::to_line() const {
  Json json = Json::array();
  for (const ListedLayer& l : layers)
    json.push_back({{"layer", l.text}, {"in", l.inputs}, {"out", l.output}});
  return tailor::to_line({{"layers", std::move(json)}});
}

graph::DataType type_of_precision(const std::string& precision) {
  if (precision.empty() || precision == "f32" || precision == "tf32") return graph::DataType::f32;
  for (graph::DataType type : {graph::DataType::f16, graph::DataType::bf16, graph::DataType::i8})
    if (graph::name(type) == precision) return type;
  throw Error(Code::bad_value, fmt::format("there is no precision '{}'", precision), "--precision",
              "f32, tf32, f16, bf16 or i8");
}

LayerList layer_list(const Subject& subject, graph::DataType type) { return Lister(subject, type).list(); }

}  // namespace tailor::pipeline
