// Weight operands of all layers, each followed back to the tensors that are stored (through DequantizeLinear, Cast
// ...), then asked what the channel groups say of them on the way: `Standing` is the best that a use says. Layers in
// bodies are those of the laid open graph; layers of bodies that cannot be laid open are counted apart.
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

// Weights of recurrent layers are often put together from parts.
bool recurrent(const std::string& op) { return op == "LSTM" || op == "GRU" || op == "RNN"; }
bool joins_parts(const std::string& op) { return op == "Concat" || op == "Slice" || op == "Squeeze"; }

const graph::Graph& graph_of(const Subject& subject) {
  const auto& inside = subject.channels.inside;
  return inside ? inside->open.flat.graph : subject.model.graph;
}

struct Standing {
  std::int64_t elements = 0;
  bool changeable = false;
  std::string reason;
};

class Survey {
 public:
  explicit Survey(const Subject& subject) : s_(subject), graph_(graph_of(subject)), uses_(graph_) {
    const auto& inside = s_.channels.inside;
    for (const graph::Binding& binding : inside ? inside->bindings : s_.channels.bindings)
      labels_[{binding.node, binding.input}].push_back(binding.label);
  }

  void visit(int index) {
    const Node& node = graph_.nodes[static_cast<std::size_t>(index)];
    for (int input : weight_inputs(node.op)) {
      std::vector<std::pair<int, int>> slots;
      trace({index, input}, index, slots);
    }
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
    const graph::Tensor* tensor = own ? own : graph::constant(graph_, uses_, name);
    if (tensor) {
      if (!own && !outer_.insert(name).second) return;
      std::int64_t elements =
          tensor->type == graph::DataType::i64 ? 0 : std::max<std::int64_t>(tensor->size(), 0);
      if (elements == 0) return;
      bodies_.weights += elements;
      bodies_.frozen["is in a body that cannot be laid open"] += elements;
      return;
    }
    for (const Node& maker : body.nodes)
      if (recurrent(layer.op) && depth > 0 && maker.output(0) == name)
        for (const std::string& part : maker.inputs) add_body(body, layer, part, depth - 1);
  }

  static const graph::Tensor* own_constant(const graph::Graph& body, const std::string& name) {
    if (auto it = body.initializers.find(name); it != body.initializers.end()) return &it->second;
    for (const Node& maker : body.nodes)
      if (maker.op == "Constant" && maker.output(0) == name) return maker.find<graph::Tensor>("value");
    return nullptr;
  }

  // `slots`: operands on the way from the layer to what is stored.
  void trace(std::pair<int, int> slot, int layer, std::vector<std::pair<int, int>>& slots) {
    slots.push_back(slot);
    const std::string& name =
        graph_.nodes[static_cast<std::size_t>(slot.first)].input(static_cast<std::size_t>(slot.second));
    if (const graph::Tensor* tensor = graph::constant(graph_, uses_, name))
      judge(name, tensor->size(), slots, layer);
    else if (int maker = uses_.producer(name); maker >= 0)
      trace_maker(maker, name, layer, slots);
    slots.pop_back();
  }

  void trace_maker(int maker, const std::string& name, int layer, std::vector<std::pair<int, int>>& slots) {
    constexpr std::size_t kLongest = 32;  // operators between a layer and its weights
    const Node& node = graph_.nodes[static_cast<std::size_t>(maker)];
    const bool parts = recurrent(graph_.nodes[static_cast<std::size_t>(layer)].op) && joins_parts(node.op);
    if (slots.size() < kLongest && (parts || passes_weights_on(node.op))) {
      const std::size_t inputs = node.op == "Concat" ? node.inputs.size() : 1;
      for (std::size_t i = 0; i < inputs; ++i) trace({maker, static_cast<int>(i)}, layer, slots);
    } else if (const graph::Tensor* folded = s_.shapes.constant(name)) {
      judge(name, folded->size(), slots, layer);
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
    tensor.reason = fixed != s_.channels.fixed_layers.end()
                        ? fixed->second
                        : graph_.nodes[static_cast<std::size_t>(layer)].op + " without channels of its own";
  }

  void judge(Standing& tensor, const graph::Label& label) {
    for (auto [group, positions] : s_.channels.composition(label)) {
      const graph::ChannelGroup& g = s_.channels.groups[static_cast<std::size_t>(group)];
      tensor.changeable = tensor.changeable || g.changeable();
      if (tensor.reason.empty()) tensor.reason = g.frozen;
    }
  }

  const Subject& s_;
  const graph::Graph& graph_;
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
  const auto& nodes = graph_of(subject).nodes;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    survey.visit(static_cast<int>(i));
    visit_bodies(survey, nodes[i]);
  }
  return survey.result();
}

}  // namespace tailor::pipeline
