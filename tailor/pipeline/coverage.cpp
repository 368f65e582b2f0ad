// Weight operands of all layers, each followed back to the tensor that is stored (through DequantizeLinear, Cast
// ...), then asked what the channel groups say of it on the way: `Standing` is the best that a use says.
#include "tailor/pipeline/coverage.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>
#include <unordered_map>

namespace tailor::pipeline {
namespace {

using graph::Node;

// Inputs that may hold weights, by operator.
const std::vector<int>& weight_inputs(const std::string& op) {
  static const std::vector<int> none;
  static const std::map<std::string, std::vector<int>, std::less<>> table = {
      {"Conv", {1}},        {"FusedConv", {1}},      {"ConvInteger", {1}},      {"ConvTranspose", {1}},
      {"QLinearConv", {3}}, {"Gemm", {0, 1}},        {"FusedGemm", {0, 1}},     {"QGemm", {3}},
      {"MatMul", {0, 1}},   {"FusedMatMul", {0, 1}}, {"MatMulInteger", {0, 1}}, {"QLinearMatMul", {0, 3}},
      {"MatMulNBits", {1}}, {"LSTM", {1, 2}},        {"GRU", {1, 2}},           {"RNN", {1, 2}}};
  auto it = table.find(op);
  return it == table.end() ? none : it->second;
}

bool passes_weights_on(const std::string& op) {
  static constexpr std::array<std::string_view, 6> ops = {"DequantizeLinear", "Cast",    "Identity",
                                                          "Transpose",        "Reshape", "Unsqueeze"};
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

struct Standing {
  std::int64_t elements = 0;
  bool changeable = false;
  std::string reason;
};

class Survey {
 public:
  explicit Survey(const Subject& subject) : s_(subject), uses_(subject.model.graph) {
    for (const graph::Binding& binding : s_.channels.bindings)
      labels_[{binding.node, binding.input}].push_back(binding.label);
  }

  void visit(int index) {
    const Node& node = s_.model.graph.nodes[static_cast<std::size_t>(index)];
    for (int input : weight_inputs(node.op)) trace(index, input);
  }

  void visit_body(const graph::Graph& body) {
    for (const Node& node : body.nodes)
      for (int input : weight_inputs(node.op))
        add_body(body, node, node.input(static_cast<std::size_t>(input)));
  }

  Coverage result() const {
    Coverage all = bodies_;
    for (const auto& [name, tensor] : tensors_) {
      all.weights += tensor.elements;
      if (tensor.changeable)
        all.changeable += tensor.elements;
      else
        all.frozen[tensor.reason] += tensor.elements;
    }
    return all;
  }

 private:
  // Weights of a layer in a body: of its own, or of the graph around it. Those of recurrent layers are often put
  // together from parts first.
  void add_body(const graph::Graph& body, const Node& layer, const std::string& name, int depth = 8) {
    const graph::Tensor* own = own_constant(body, name);
    const graph::Tensor* tensor = own ? own : graph::constant(s_.model.graph, uses_, name);
    if (tensor) {
      if (!own && !outer_.insert(name).second) return;
      std::int64_t elements =
          tensor->type == graph::DataType::i64 ? 0 : std::max<std::int64_t>(tensor->size(), 0);
      if (elements == 0) return;
      bodies_.weights += elements;
      bodies_.frozen["is in the body of If, Loop or Scan"] += elements;
      return;
    }
    bool recurrent = layer.op == "LSTM" || layer.op == "GRU" || layer.op == "RNN";
    for (const Node& maker : body.nodes)
      if (recurrent && depth > 0 && maker.output(0) == name)
        for (const std::string& part : maker.inputs) add_body(body, layer, part, depth - 1);
  }

  static const graph::Tensor* own_constant(const graph::Graph& body, const std::string& name) {
    if (auto it = body.initializers.find(name); it != body.initializers.end()) return &it->second;
    for (const Node& maker : body.nodes)
      if (maker.op == "Constant" && maker.output(0) == name) return maker.find<graph::Tensor>("value");
    return nullptr;
  }

  void trace(int layer, int input) {
    std::vector<std::pair<int, int>> slots;
    for (int at = layer, slot = input;;) {
      slots.emplace_back(at, slot);
      const Node& node = s_.model.graph.nodes[static_cast<std::size_t>(at)];
      const std::string& name = node.input(static_cast<std::size_t>(slot));
      if (const graph::Tensor* tensor = graph::constant(s_.model.graph, uses_, name))
        return judge(name, tensor->size(), slots, layer);
      at = uses_.producer(name), slot = 0;
      if (at < 0) return;
      if (!passes_weights_on(s_.model.graph.nodes[static_cast<std::size_t>(at)].op)) {
        if (const graph::Tensor* folded = s_.shapes.constant(name)) judge(name, folded->size(), slots, layer);
        return;
      }
    }
  }

  void judge(const std::string& name, std::int64_t elements, const std::vector<std::pair<int, int>>& slots,
             int layer) {
    Standing& tensor = tensors_[name];
    tensor.elements = std::max<std::int64_t>(elements, 0);
    for (const auto& slot : slots)
      if (auto it = labels_.find(slot); it != labels_.end())
        for (const graph::Label& label : it->second) judge(tensor, label);
    if (tensor.changeable || !tensor.reason.empty()) return;
    auto fixed = s_.channels.fixed_layers.find(layer);
    tensor.reason =
        fixed != s_.channels.fixed_layers.end()
            ? fixed->second
            : s_.model.graph.nodes[static_cast<std::size_t>(layer)].op + " without channels of its own";
  }

  void judge(Standing& tensor, const graph::Label& label) {
    for (auto [group, positions] : s_.channels.composition(label)) {
      const graph::ChannelGroup& g = s_.channels.groups[static_cast<std::size_t>(group)];
      tensor.changeable = tensor.changeable || g.changeable();
      if (tensor.reason.empty()) tensor.reason = g.frozen;
    }
  }

  const Subject& s_;
  graph::Uses uses_;
  std::map<std::pair<int, int>, std::vector<graph::Label>> labels_;  // node, input -> of its axes
  std::map<std::string, Standing> tensors_;
  Coverage bodies_;
  std::set<std::string> outer_;  // weights of the outermost graph that bodies read: counted once
};

void visit_bodies(Survey& survey, const Node& node) {
  for (const auto& [name, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<const graph::Graph>>(&attribute.value)) {
      survey.visit_body(**body);
      for (const Node& inner : (*body)->nodes) visit_bodies(survey, inner);
    }
}

}  // namespace

Coverage coverage(const Subject& subject) {
  Survey survey(subject);
  const auto& nodes = subject.model.graph.nodes;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    survey.visit(static_cast<int>(i));
    visit_bodies(survey, nodes[i]);
  }
  return survey.result();
}

}  // namespace tailor::pipeline
