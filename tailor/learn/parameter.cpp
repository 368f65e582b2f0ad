// parameters() asks each node which of its inputs are parameters (sites), follows them back to the constant they come
// from (leaf), and keeps each constant once. with_own_vectors() asks the same question to find vectors with two sites.
#include "tailor/learn/parameter.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

namespace tailor::learn {
namespace {

using graph::Graph;
using graph::Node;
using graph::Tensor;
using graph::Uses;

struct Site {
  std::size_t input = 0;
  Role role = Role::weight;
};

const std::map<std::string_view, std::vector<Site>>& fixed_sites() {
  static const std::vector<Site> kLayer = {{1, Role::weight}, {2, Role::bias}},
                                 kNorm = {{1, Role::scale}, {2, Role::shift}};
  static const std::map<std::string_view, std::vector<Site>> sites = {
      {"Conv", kLayer},
      {"ConvTranspose", kLayer},
      {"Gemm", {{0, Role::weight}, {1, Role::weight}, {2, Role::bias}}},
      {"MatMul", {{0, Role::weight}, {1, Role::weight}}},
      {"BatchNormalization", {{1, Role::scale}, {2, Role::shift}, {3, Role::mean}, {4, Role::variance}}},
      {"LayerNormalization", kNorm},
      {"InstanceNormalization", kNorm},
      {"GroupNormalization", kNorm},
      {"PRelu", {{1, Role::slope}}},
      {"Gather", {{0, Role::table}}}};
  return sites;
}

class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph), uses_(graph) {}

  std::vector<Site> sites(const Node& node);
  // The constant behind input `i`, through operators that only rearrange; "" if there is none that can be trained.
  std::string leaf(const Node& node, std::size_t i) const;
  const Tensor* constant(const std::string& name) const { return graph::constant(graph_, uses_, name); }

 private:
  bool suits(const Node& node, const Site& site) const;
  std::vector<Site> spelled_out(const Node& node);
  std::string_view producer_op(const std::string& value) const;

  const Graph& graph_;
  const Uses uses_;
  std::set<std::string> scaled_;  // values behind a scale that is spelled out: what is added there is a shift
};

std::string_view Finder::producer_op(const std::string& value) const {
  int producer = uses_.producer(value);
  return producer < 0 ? std::string_view{}
                      : std::string_view(graph_.nodes[static_cast<std::size_t>(producer)].op);
}

std::string Finder::leaf(const Node& node, std::size_t i) const {
  static const std::set<std::string_view> kMoves = {"Identity", "Transpose", "Reshape",
                                                    "Squeeze",  "Unsqueeze", "Flatten"};
  std::string name = node.input(i);
  for (int producer = uses_.producer(name); producer >= 0; producer = uses_.producer(name)) {
    const Node& from = graph_.nodes[static_cast<std::size_t>(producer)];
    if (!kMoves.contains(from.op)) break;
    name = from.input(0);
  }
  const Tensor* tensor = name.empty() ? nullptr : constant(name);
  bool real = tensor && (tensor->type == graph::DataType::f32 || tensor->type == graph::DataType::f64);
  return real ? name : std::string{};
}

// Matrices for products, tables of rank 2; anything for the rest.
bool Finder::suits(const Node& node, const Site& site) const {
  std::string name = leaf(node, site.input);
  if (name.empty()) return false;
  std::size_t rank = constant(name)->dims.size();
  if (site.role == Role::table) return rank == 2;
  return node.op != "MatMul" || rank >= 2;
}

// A constant that is added behind a layer is its bias; one that multiplies behind a division, its scale: so exporters
// without LayerNormalization write it.
std::vector<Site> Finder::spelled_out(const Node& node) {
  static const std::set<std::string_view> kLayers = {"Conv", "ConvTranspose", "MatMul", "Gemm"};
  bool sum = node.op == "Add", product = node.op == "Mul";
  if ((!sum && !product) || node.inputs.size() != 2) return {};
  for (std::size_t i : {std::size_t{0}, std::size_t{1}}) {
    std::string name = leaf(node, i);
    if (name.empty() || constant(name)->size() < 2) continue;
    const std::string& other = node.input(1 - i);
    if (product && producer_op(other) == "Div")
      return scaled_.insert(node.output(0)), std::vector<Site>{{i, Role::scale}};
    if (sum && scaled_.contains(other)) return {{i, Role::shift}};
    if (sum && kLayers.contains(producer_op(other))) return {{i, Role::bias}};
  }
  return {};
}

std::vector<Site> Finder::sites(const Node& node) {
  if (!node.domain.empty()) return {};
  auto at = fixed_sites().find(node.op);
  std::vector<Site> found = at == fixed_sites().end() ? spelled_out(node) : at->second;
  std::erase_if(found, [&](const Site& site) { return !suits(node, site); });
  return found;
}

std::string fresh_name(const Graph& graph, const Uses& uses, const std::string& base) {
  for (int i = 2;; ++i) {
    std::string name = base + "_" + std::to_string(i);
    bool taken =
        graph.initializers.contains(name) || uses.producer(name) >= 0 ||
        std::any_of(graph.inputs.begin(), graph.inputs.end(), [&](const auto& v) { return v.name == name; });
    if (!taken) return name;
  }
}

struct Copy {
  std::size_t node, input;
  std::string name;
};

// Every site but the first of a vector that a layer reads directly.
std::vector<Copy> shared_vectors(const Graph& graph) {
  Finder finder(graph);
  std::map<std::string, int> seen;
  std::vector<Copy> copies;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    for (const Site& site : finder.sites(graph.nodes[n])) {
      const std::string& name = graph.nodes[n].input(site.input);
      const Tensor* tensor = finder.constant(name);
      if (tensor && tensor->dims.size() <= 1 && seen[name]++ > 0) copies.push_back({n, site.input, name});
    }
  return copies;
}

Node constant_node(const std::string& name, Tensor tensor) {
  Node node{"Constant", "", name, {}, {name}};
  node.attributes["value"] = {std::move(tensor)};
  return node;
}

void set_value(Tensor& tensor, const Tensor& value) {
  TAILOR_CHECK(tensor.type == value.type && tensor.dims == value.dims);
  if (tensor.data == value.data) return;
  tensor = value;
}

Tensor* held_by(Node& node) {
  auto at = node.attributes.find("value");
  return at == node.attributes.end() ? nullptr : std::get_if<Tensor>(&at->second.value);
}

}  // namespace

std::vector<Parameter> parameters(const Graph& graph) {
  Finder finder(graph);
  std::vector<Parameter> found;
  std::set<std::string> seen;
  for (const Node& node : graph.nodes)
    for (const Site& site : finder.sites(node)) {
      std::string name = finder.leaf(node, site.input);
      if (seen.insert(name).second) found.push_back({name, site.role, finder.constant(name)->dims});
    }
  return found;
}

graph::Model with_own_vectors(graph::Model model) {
  std::vector<Node>
      constants;  // of models that list their initializers as inputs, where a new one would have to be too
  for (const Copy& copy : shared_vectors(model.graph)) {
    Uses uses(model.graph);
    Tensor tensor = *graph::constant(model.graph, uses, copy.name);
    tensor.origin = {};
    std::string name = fresh_name(model.graph, uses, copy.name);
    for (const Node& node : constants)
      if (node.output(0) == name) name += "_";
    model.graph.nodes[copy.node].inputs[copy.input] = name;
    if (model.ir_version >= 4)
      model.graph.initializers.emplace(name, std::move(tensor));
    else
      constants.push_back(constant_node(name, std::move(tensor)));
  }
  model.graph.nodes.insert(model.graph.nodes.begin(), constants.begin(), constants.end());
  return model;
}

graph::Model with_values(graph::Model model, const std::vector<std::pair<std::string, Tensor>>& values) {
  Uses uses(model.graph);
  for (const auto& [name, value] : values) {
    if (auto at = model.graph.initializers.find(name); at != model.graph.initializers.end()) {
      set_value(at->second, value);
      continue;
    }
    int producer = uses.producer(name);
    TAILOR_CHECK(producer >= 0);
    Tensor* tensor = held_by(model.graph.nodes[static_cast<std::size_t>(producer)]);
    TAILOR_CHECK(tensor);
    set_value(*tensor, value);
  }
  return model;
}

}  // namespace tailor::learn
