// Opener    walks a graph and its bodies and writes the flat graph: names get their prefix on the way
// lay_open  an Opener, where there is something to open
// Closer    walks the flat graph from bracket to bracket and fills the bodies again
// Both sides number bodies in the same order, so the Closer finds the node that a bracket came from by its token.
#include "tailor/graph/bodies.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tailor::graph {
namespace {

constexpr int kDeepest = 16;
constexpr std::size_t kLongestPrefix = 120;  // of names that people should be able to read

const Graph* body(const Node& node, std::string_view attribute) {
  const auto* found = node.find<std::shared_ptr<const Graph>>(attribute);
  return found ? found->get() : nullptr;
}

// Attributes that hold the bodies, in the order in which they are laid open.
const std::vector<std::string>& bodies_of(const std::string& op) {
  static const std::vector<std::string> none, branches = {"then_branch", "else_branch"}, one = {"body"};
  return op == "If" ? branches : op == "Loop" || op == "Scan" ? one : none;
}

std::size_t bodies_among(const Node& node) {
  return static_cast<std::size_t>(
      std::count_if(node.attributes.begin(), node.attributes.end(), [](const auto& attribute) {
        return std::holds_alternative<std::shared_ptr<const Graph>>(attribute.second.value);
      }));
}

// Outputs that nobody wants may be left out at the end.
bool fits_loop(const Node& node, const Graph& inner) {
  return node.inputs.size() >= 2 && inner.inputs.size() == node.inputs.size() &&
         inner.outputs.size() + 1 >= node.inputs.size() && inner.outputs.size() >= node.outputs.size() + 1;
}

bool fits_scan(const Node& node, const Graph& inner) {
  const std::int64_t sequences = node.integer("num_scan_inputs", 0);
  const auto inputs = static_cast<std::int64_t>(node.inputs.size());
  return sequences >= 1 && sequences <= inputs && inner.inputs.size() == node.inputs.size() &&
         static_cast<std::int64_t>(inner.outputs.size()) >= inputs - sequences &&
         inner.outputs.size() >= node.outputs.size();
}

// Has the node the inputs and outputs that its bodies ask for?
bool well_formed(const Node& node, std::int64_t opset) {
  const std::vector<std::string>& names = bodies_of(node.op);
  if (!node.domain.empty() || names.empty() || bodies_among(node) != names.size()) return false;
  for (const std::string& name : names)
    if (!body(node, name)) return false;
  if (std::all_of(node.outputs.begin(), node.outputs.end(), [](const auto& name) { return name.empty(); }))
    return false;  // the closing bracket would have nothing that keeps it
  const Graph& first = *body(node, names.front());
  if (node.op == "Loop") return fits_loop(node, first);
  if (node.op == "Scan") return opset >= 9 && fits_scan(node, first);
  return node.inputs.size() == 1 && first.inputs.empty() && first.outputs.size() == node.outputs.size() &&
         body(node, names.back())->inputs.empty() &&
         body(node, names.back())->outputs.size() == node.outputs.size();
}

bool can_open(const Node& node, std::int64_t opset, int depth) {
  if (depth > kDeepest || !well_formed(node, opset)) return false;
  for (const std::string& name : bodies_of(node.op))
    for (const Node& inner : body(node, name)->nodes)
      if (is_bracket(inner) || (has_body(inner) && !can_open(inner, opset, depth + 1))) return false;
  return true;
}

std::int64_t opset_of(const Model& model) {
  auto it = model.opsets.find("");
  return it == model.opsets.end() ? 1 : it->second;
}

bool opens_something(const Model& model) {
  const auto& nodes = model.graph.nodes;
  return std::none_of(nodes.begin(), nodes.end(), is_bracket) &&
         std::any_of(nodes.begin(), nodes.end(),
                     [&](const Node& node) { return has_body(node) && can_open(node, opset_of(model), 1); });
}

// Every name as the file has it, to keep prefixes apart from them.
void collect_names(const Graph& graph, std::set<std::string, std::less<>>& names) {
  for (const ValueInfo& input : graph.inputs) names.insert(input.name);
  for (const auto& [name, tensor] : graph.initializers) names.insert(name);
  for (const Node& node : graph.nodes) {
    names.insert(node.name);
    names.insert(node.outputs.begin(), node.outputs.end());
    for (const auto& [key, attribute] : node.attributes)
      if (const Graph* inner = body(node, key)) collect_names(*inner, names);
  }
}

// What names of a body mean: those of its own, else those of the graph around it.
struct Environment {
  const Environment* around = nullptr;
  std::string prefix = {};
  std::set<std::string, std::less<>> own = {};

  std::string flat(const std::string& name) const {
    if (name.empty()) return name;
    for (const Environment* at = this; at->around; at = at->around)
      if (at->own.contains(name)) return at->prefix + name;
    return name;
  }
};

class Opener {
 public:
  explicit Opener(const Model& model) : opset_(opset_of(model)) {
    collect_names(model.graph, names_);
    flat_ = {model.ir_version, model.opsets, {}, {}};
    flat_.graph = model.graph;
    flat_.graph.nodes.clear();
    Environment top;
    emit(model.graph, top, 0);
  }

  Model flat_;
  Scopes scopes_;
  std::unordered_map<std::string, const Node*> opened_;  // by the token of the opening bracket

 private:
  void emit(const Graph& graph, Environment& names, int depth) {
    for (const Node& node : graph.nodes) {
      if (has_body(node) && can_open(node, opset_, depth + 1))
        open(node, names, depth + 1);
      else
        flat_.graph.nodes.push_back(renamed(node, names));
      if (names.around) names.own.insert(node.outputs.begin(), node.outputs.end());
    }
  }

  static Node renamed(const Node& node, const Environment& names) {
    if (!names.around) return node;
    Node copy = node;
    for (std::string& name : copy.inputs) name = names.flat(name);
    for (std::string& name : copy.outputs)
      if (!name.empty()) name = names.prefix + name;
    if (!copy.name.empty()) copy.name = names.prefix + copy.name;
    return copy;
  }

  bool taken(const std::string& piece) const {
    auto next = names_.lower_bound(piece);
    return next != names_.end() && next->starts_with(piece);
  }

  // A prefix that no other name begins with.
  std::string prefix_of(const Environment& names, const Node& node, const std::string& attribute) {
    std::string piece = fmt::format("{}.{}", node.label(), attribute);
    if (names.prefix.size() + piece.size() > kLongestPrefix || taken(piece) ||
        !used_.insert(names.prefix + piece).second)
      do piece = fmt::format("body{}", ++serial_);
      while (taken(piece) || !used_.insert(names.prefix + piece).second);
    return names.prefix + piece;
  }

  Node bracket(const std::string& op, const Node& node, const Environment& names) const {
    Node made{op + node.op, std::string(kBracketDomain), {}, {}, {}};
    made.name = names.prefix + node.label();
    return made;
  }

  void open(const Node& node, Environment& names, int depth) {
    const std::vector<std::string>& attributes = bodies_of(node.op);
    std::string token;
    std::vector<std::string> left;  // what the bodies give
    for (std::size_t i = 0; i < attributes.size(); ++i) {
      const Graph& inner = *body(node, attributes[i]);
      std::string next = prefix_of(names, node, attributes[i]);
      Node first = bracket(i == 0 ? "Enter" : "Next", node, names);
      if (i == 0) {
        first.inputs = node.inputs;
        for (std::string& name : first.inputs) name = names.flat(name);
        for (const auto& [key, attribute] : node.attributes)
          if (!body(node, key)) first.attributes.emplace(key, attribute);
        opened_.emplace(next, &node);
      } else {
        first.inputs = {token};
      }
      Environment within{&names, next + "/"};
      first.outputs = {token = next};
      for (const ValueInfo& input : inner.inputs) first.outputs.push_back(within.prefix + input.name);
      flat_.graph.nodes.push_back(std::move(first));
      enter(inner, within, depth, left);
    }
    Node last = bracket("Leave", node, names);
    last.inputs = {token};
    last.inputs.insert(last.inputs.end(), left.begin(), left.end());
    for (const std::string& name : node.outputs)
      last.outputs.push_back(name.empty() ? name : names.prefix + name);
    flat_.graph.nodes.push_back(std::move(last));
  }

  void enter(const Graph& inner, Environment& within, int depth, std::vector<std::string>& left) {
    scopes_.add(within.prefix);
    for (const ValueInfo& input : inner.inputs) within.own.insert(input.name);
    for (const auto& [name, tensor] : inner.initializers) {
      within.own.insert(name);
      flat_.graph.initializers[within.prefix + name] = tensor;
    }
    emit(inner, within, depth);
    for (const ValueInfo& output : inner.outputs) left.push_back(within.flat(output.name));
    for (const auto& [name, info] : inner.value_infos) describe(info, within);
    for (const auto* list : {&inner.inputs, &inner.outputs})
      for (const ValueInfo& info : *list)
        if (within.own.contains(info.name)) describe(info, within);
  }

  void describe(ValueInfo info, const Environment& within) {
    info.name = within.prefix + info.name;
    std::string name = info.name;
    flat_.graph.value_infos.emplace(std::move(name), std::move(info));
  }

  std::int64_t opset_;
  std::set<std::string, std::less<>> names_;
  std::set<std::string> used_;
  int serial_ = 0;
};

class Closer {
 public:
  Closer(const Model& flat, const Model& original) : flat_(flat), opener_(original) {
    for (const auto& [name, tensor] : flat.graph.initializers)
      initializers_[std::string(scopes().of(name))].push_back(name);
  }

  Model close(const Model& original) {
    Model result = flat_;
    result.origin = original.origin, result.graph.origin = original.graph.origin;
    result.graph.nodes = nodes_until_bracket();
    TAILOR_CHECK(at_ == flat_.graph.nodes.size());
    std::erase_if(result.graph.initializers, [&](const auto& e) { return !scopes().of(e.first).empty(); });
    std::erase_if(result.graph.value_infos, [&](const auto& e) { return !scopes().of(e.first).empty(); });
    return result;
  }

 private:
  const Scopes& scopes() const { return opener_.scopes_; }
  std::string bare(const std::string& name) const { return std::string(scopes().bare(name)); }
  const Node& next() {
    TAILOR_CHECK(at_ < flat_.graph.nodes.size());
    return flat_.graph.nodes[at_++];
  }

  std::vector<Node> nodes_until_bracket() {
    std::vector<Node> nodes;
    while (at_ < flat_.graph.nodes.size()) {
      const Node& node = flat_.graph.nodes[at_];
      if (is_bracket(node) && !node.op.starts_with("Enter")) break;
      ++at_;
      nodes.push_back(is_bracket(node) ? closed(node) : with_bare_names(node));
    }
    return nodes;
  }

  Node with_bare_names(Node node) const {
    for (std::string& name : node.inputs) name = bare(name);
    for (std::string& name : node.outputs) name = bare(name);
    node.name = bare(node.name);
    return node;
  }

  Node closed(const Node& enter) {
    auto found = opener_.opened_.find(enter.output(0));
    TAILOR_CHECK(found != opener_.opened_.end());
    Node node = *found->second;
    const std::vector<std::string>& attributes = bodies_of(node.op);
    std::vector<Graph> bodies;
    std::vector<std::string> tokens = {enter.output(0)};
    const Node* last = nullptr;
    for (std::size_t i = 0; i < attributes.size(); ++i) {
      bodies.push_back(*body(node, attributes[i]));
      bodies.back().nodes = nodes_until_bracket();
      last = &next();
      if (i + 1 < attributes.size()) tokens.push_back(last->output(0));
    }
    TAILOR_CHECK(last->op.starts_with("Leave"));
    node.inputs = enter.inputs, node.outputs = last->outputs;
    node = with_bare_names(std::move(node));
    node.name = found->second->name;
    std::size_t from = 1;
    for (std::size_t i = 0; i < bodies.size(); ++i) {
      fill(bodies[i], tokens[i] + "/", *last, from);
      from += bodies[i].outputs.size();
      node.attributes.find(attributes[i])->second.value = std::make_shared<const Graph>(std::move(bodies[i]));
    }
    return node;
  }

  // Initializers and descriptions as they are now; outputs by the names that the closing bracket reads.
  void fill(Graph& graph, const std::string& prefix, const Node& leave, std::size_t from) {
    graph.initializers.clear();
    if (auto own = initializers_.find(prefix); own != initializers_.end())
      for (const std::string& name : own->second)
        graph.initializers.emplace(name.substr(prefix.size()), flat_.graph.initializers.at(name));
    for (auto at = graph.value_infos.begin(); at != graph.value_infos.end();)
      at = describe(at->second, prefix + at->first) ? std::next(at) : graph.value_infos.erase(at);
    for (ValueInfo& input : graph.inputs) describe(input, prefix + input.name);
    for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
      describe(graph.outputs[i], prefix + graph.outputs[i].name);
      graph.outputs[i].name = bare(leave.input(from + i));
    }
  }

  bool describe(ValueInfo& info, const std::string& flat_name) const {
    auto now = flat_.graph.value_infos.find(flat_name);
    if (now == flat_.graph.value_infos.end()) return false;
    info.shape = now->second.shape;
    return true;
  }

  const Model& flat_;
  Opener opener_;
  std::unordered_map<std::string, std::vector<std::string>> initializers_;  // by prefix
  std::size_t at_ = 0;
};

}  // namespace

std::string_view Scopes::of(std::string_view name) const {
  for (std::size_t end = name.rfind('/'); end != std::string_view::npos;
       end = end == 0 ? std::string_view::npos : name.rfind('/', end - 1))
    if (auto it = prefixes_.find(name.substr(0, end + 1)); it != prefixes_.end()) return *it;
  return {};
}

std::optional<LaidOpen> lay_open(const Model& model) {
  if (!opens_something(model)) return std::nullopt;
  Opener opener(model);
  return LaidOpen{std::move(opener.flat_), std::move(opener.scopes_)};
}

Model put_back(const Model& flat, const Model& original) { return Closer(flat, original).close(original); }

const Node* opening(const Graph& flat, const Uses& uses, const Node& node) {
  const Node* at = &node;
  for (int steps = 0; steps < 2; ++steps) {  // of an If there are three brackets
    int producer = uses.producer(at->input(0));
    if (producer < 0) return nullptr;
    at = &flat.nodes[static_cast<std::size_t>(producer)];
    if (!is_bracket(*at)) return nullptr;
    if (at->op.starts_with("Enter")) return at;
  }
  return nullptr;
}

}  // namespace tailor::graph
