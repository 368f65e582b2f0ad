// token_flow walks the nodes behind the site; the rule of each operator says which axes of its outputs hold tokens:
//   elementwise, product    operands side by side, and sums over an axis
//   softmax, normalise      sums over an axis that leave it
//   reduce                  axes that go
//   transpose, reshape, squeeze, unsqueeze, expand   tokens moved
//   gather, slice, concat   tokens picked and joined
// A rule returns why tokens cannot go, or nothing.
#include "tailor/graph/tokens.h"

#include "tailor/graph/token_rules.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace tailor::graph {

namespace tokens {

const Shape& Context::shape(std::size_t i) const {
  static const Shape scalar;
  const Shape* known = shapes.shape(node.input(i));
  return known ? *known : scalar;
}

std::vector<TokenAxis> Context::in(std::size_t i) const {
  auto it = flow.values.find(node.input(i));
  return it == flow.values.end() ? std::vector<TokenAxis>{} : it->second;
}

std::optional<TokenAxis> Context::on(std::size_t i, int axis) const {
  for (const TokenAxis& t : in(i))
    if (t.axis == axis) return t;
  return std::nullopt;
}

std::optional<std::vector<std::int64_t>> Context::integers(std::size_t i) const {
  const Tensor* tensor = literal(model.graph, uses, shapes, node.input(i));
  return tensor ? as_integers(*tensor) : std::nullopt;
}

void Context::set(std::vector<TokenAxis> axes, std::size_t output) const {
  if (!axes.empty() && !node.output(output).empty()) flow.values[node.output(output)] = std::move(axes);
}

}  // namespace tokens

namespace {

using tokens::Context;

// Values whose shape a rule relies on.
bool shapes_known(const Context& c) {
  for (const std::string& name : c.node.inputs)
    if (!name.empty() && !c.shapes.shape(name)) return false;
  return !c.node.outputs.empty() && c.shapes.shape(c.node.output(0));
}

// Whatever a rule thought, tokens lie on axes of their size.
bool sizes_fit(const Context& c) {
  for (const std::string& name : c.node.outputs)
    if (auto it = c.flow.values.find(name); it != c.flow.values.end()) {
      const Shape* shape = c.shapes.shape(name);
      for (const TokenAxis& t : it->second)
        if (!shape || t.axis < 0 || t.axis >= static_cast<int>(shape->size()) ||
            (*shape)[static_cast<std::size_t>(t.axis)] != t.size())
          return false;
    }
  return true;
}

bool holds_tokens(const TokenFlow& flow, const Node& node) {
  const std::vector<std::string> read = reads(node);
  return std::any_of(read.begin(), read.end(),
                     [&](const std::string& name) { return flow.values.contains(name); });
}

std::string follow(const Context& c) {
  if (c.node.op == "Shape" || c.node.op == "Size") return {};  // sizes are asked of what is there
  if (has_body(c.node)) return "reads tokens in a body";
  const tokens::Rule rule =
      c.node.domain.empty() || c.node.domain == "ai.onnx" ? tokens::find_rule(c.node.op) : nullptr;
  if (!rule) return "is an operator that is not known to compute each token by itself";
  if (!shapes_known(c)) return "has an operand of unknown shape";
  if (std::string why = rule(c); !why.empty()) return why;
  if (!sizes_fit(c)) return "has a result of another size than its tokens";
  for (const std::string& name : c.node.outputs)
    if (c.flow.values.contains(name) && c.uses.is_output(name))
      return "gives the tokens as an output of the model";
  return {};
}

TokenFlow start(const Shapes& shapes, const std::string& site, int axis) {
  TokenFlow flow;
  flow.site = site, flow.axis = axis;
  flow.count = static_cast<int>((*shapes.shape(site))[static_cast<std::size_t>(axis)]);
  if ((*shapes.shape(site))[static_cast<std::size_t>(axis)] > kMostTokens) return flow;
  std::vector<int> all(static_cast<std::size_t>(flow.count));
  std::iota(all.begin(), all.end(), 0);
  flow.values[site] = {{axis, 1, 1, std::make_shared<const std::vector<int>>(std::move(all)), false}};
  return flow;
}

}  // namespace

TokenFlow token_flow(const Model& model, const Shapes& shapes, const std::string& site, int axis) {
  const Uses uses(model.graph);
  TokenFlow flow = start(shapes, site, axis);
  if (flow.values.empty()) flow.obstacle = "has too many places to be tokens", flow.at = site;
  auto opset = model.opsets.find("");
  if (uses.is_output(site)) flow.obstacle = "is an output of the model", flow.at = site;
  for (std::size_t i = 0; i < model.graph.nodes.size() && flow.possible(); ++i) {
    const Node& node = model.graph.nodes[i];
    if (!holds_tokens(flow, node)) continue;
    const Context c{
        model, shapes, uses, node, static_cast<int>(i), opset == model.opsets.end() ? 17 : opset->second,
        flow};
    flow.obstacle = follow(c);
    if (!flow.possible()) flow.at = node.label();
  }
  return flow;
}

const Tensor* literal(const Graph& graph, const Uses& uses, const Shapes& shapes, const std::string& value) {
  if (value.empty()) return nullptr;
  if (const Tensor* direct = constant(graph, uses, value)) return direct;
  return is_literal(graph, uses, value) ? shapes.constant(value) : nullptr;
}

std::vector<std::int64_t> slice_field(const Graph& graph, const Uses& uses, const Shapes& shapes,
                                      const Node& node, int field) {
  constexpr const char* kNames[] = {"starts", "ends", "axes", "steps"};
  if (node.attributes.contains("starts")) return node.integers(kNames[field]);
  const Tensor* tensor = literal(graph, uses, shapes, node.input(static_cast<std::size_t>(field) + 1));
  return tensor ? as_integers(*tensor).value_or(std::vector<std::int64_t>{}) : std::vector<std::int64_t>{};
}

std::optional<SliceRange> slice_range(const Graph& graph, const Uses& uses, const Shapes& shapes,
                                      const Node& node, int axis, int rank, std::int64_t size) {
  const auto field = [&](int f) { return slice_field(graph, uses, shapes, node, f); };
  const std::vector<std::int64_t> starts = field(0), ends = field(1), axes = field(2), steps = field(3);
  const bool all_axes = !node.attributes.contains("axes") && node.input(3).empty();
  for (std::size_t i = 0; i < std::min(starts.size(), ends.size()); ++i) {
    const std::int64_t named = all_axes          ? static_cast<std::int64_t>(i)
                               : i < axes.size() ? axes[i]
                                                 : -rank - 1;
    if ((named < 0 ? named + rank : named) != axis) continue;
    if (!node.input(4).empty() && (i >= steps.size() || steps[i] != 1)) return std::nullopt;
    const auto place = [&](std::int64_t at) {
      return at < 0 ? std::max<std::int64_t>(at + size, 0) : std::min(at, size);
    };
    return SliceRange{i, place(starts[i]), place(ends[i])};
  }
  return std::nullopt;
}

}  // namespace tailor::graph
