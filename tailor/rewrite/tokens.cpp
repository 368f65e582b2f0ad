// keep_tokens, in the order in which it runs:
//   adapt      constants of each node behind the site: those beside tokens, targets of shapes, bounds, indices
//   annotate   dimensions of value_infos
//   insert     the Gather, and all readers of the site read what it gives
//   confirm    inferred shapes of the result must equal the flow's counts
// token_sites asks token_flow for every axis, and tries.
#include "tailor/rewrite/tokens.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using graph::Shape;
using graph::TokenAxis;
using graph::TokenFlow;

std::int64_t size_kept(const TokenAxis& t, const std::vector<int>& kept) {
  return t.outer * t.inner * static_cast<std::int64_t>(places_kept(t, kept).size());
}

// Constants of one model brought in line, node by node.
class Adapting {
 public:
  Adapting(Model& result, const graph::Shapes& shapes, const TokenFlow& flow, const std::vector<int>& kept)
      : model_(result), before_(result), uses_(before_.graph), shapes_(shapes), flow_(flow), kept_(kept) {}

  void adapt(int index) {
    const Node& node = before_.graph.nodes[static_cast<std::size_t>(index)];
    if (node.op == "Reshape" || node.op == "Expand")
      target(index, node);
    else if (node.op == "Slice")
      bounds(index, node);
    else if (node.op == "Gather")
      indices(index, node);
  }

  void constants() {
    std::map<std::pair<int, int>, std::map<int, std::vector<int>>> places;
    for (const graph::TokenConstant& c : flow_.constants)
      places[{c.node, c.input}][c.axis] = places_kept(c.tokens, kept_);
    for (const auto& [operand, axes] : places) {
      const auto [node, input] = operand;
      const std::string& name =
          before_.graph.nodes[static_cast<std::size_t>(node)].input(static_cast<std::size_t>(input));
      set_operand(model_, node, static_cast<std::size_t>(input), take(*literal(name), axes));
    }
  }

 private:
  const std::vector<TokenAxis>& axes(const std::string& value) const {
    static const std::vector<TokenAxis> none;
    auto it = flow_.values.find(value);
    return it == flow_.values.end() ? none : it->second;
  }

  const graph::Tensor* literal(const std::string& value) const {
    return graph::literal(before_.graph, uses_, shapes_, value);
  }

  void set(int index, std::size_t input, std::vector<std::int64_t> values, const graph::Tensor& like) {
    const auto count = static_cast<std::int64_t>(values.size());
    graph::Tensor tensor = graph::make_i64({count}, std::move(values));
    if (like.type == graph::DataType::i32) tensor = narrow(tensor);
    tensor.dims = like.dims.empty() ? Shape{} : Shape{count};
    set_operand(model_, index, input, std::move(tensor));
  }

  static graph::Tensor narrow(const graph::Tensor& wide) {
    std::vector<std::int32_t> values;
    for (std::int64_t v : wide.values<std::int64_t>()) values.push_back(static_cast<std::int32_t>(v));
    return {graph::DataType::i32, wide.dims, Bytes::own(std::move(values))};
  }

  // What stands in a target for an axis that holds tokens: its size, if the file says it by a number.
  void target(int index, const Node& node) {
    const graph::Tensor* whole = literal(node.input(1));
    auto entries = whole ? graph::as_integers(*whole) : std::nullopt;
    bool changed = false;
    const Shape *to = shapes_.shape(node.output(0)), *given = shapes_.shape(node.input(1));
    const auto behind =
        static_cast<std::int64_t>(to->size()) - (given && given->size() == 1 ? (*given)[0] : 0);
    for (const TokenAxis& t : axes(node.output(0))) {
      const auto at = static_cast<std::size_t>(t.axis - behind);  // an Expand may name the last axes only
      if (entries && at < entries->size() && (*entries)[at] == t.size())
        (*entries)[at] = size_kept(t, kept_), changed = true;
      if (!entries) part_of_target(node.input(1), at, t);
    }
    if (changed) set(index, 1, *entries, *whole);
  }

  // A target that a Concat makes of computed and literal numbers.
  void part_of_target(const std::string& shape, std::size_t entry, const TokenAxis& t) {
    const int producer = uses_.producer(shape);
    if (producer < 0 || before_.graph.nodes[static_cast<std::size_t>(producer)].op != "Concat") return;
    const Node& concat = before_.graph.nodes[static_cast<std::size_t>(producer)];
    std::size_t first = 0;
    for (std::size_t i = 0; i < concat.inputs.size(); ++i) {
      const Shape* part = shapes_.shape(concat.inputs[i]);
      if (!part || part->size() != 1 || (*part)[0] < 0) return;
      const auto size = static_cast<std::size_t>((*part)[0]);
      const graph::Tensor* number = literal(concat.inputs[i]);
      auto values = number ? graph::as_integers(*number) : std::nullopt;
      if (entry < first + size && values && (*values)[entry - first] == t.size()) {
        (*values)[entry - first] = size_kept(t, kept_);
        return set(producer, i, *values, *number);
      }
      first += size;
      if (entry < first) return;
    }
  }

  std::int64_t places_before(const TokenAxis& t, std::int64_t end) const {
    const std::vector<int> stay = places_kept(t, kept_);
    return std::lower_bound(stay.begin(), stay.end(), end) - stay.begin();
  }

  void bounds(int index, const Node& node) {
    const Shape& shape = *shapes_.shape(node.input(0));
    for (const TokenAxis& t : axes(node.input(0))) {
      const auto at = static_cast<std::size_t>(t.axis);
      const auto range = graph::slice_range(before_.graph, uses_, shapes_, node, t.axis,
                                            static_cast<int>(shape.size()), shape[at]);
      if (!range || !t.plain() || (range->start == 0 && range->end == shape[at])) continue;
      set_bound(index, 0, range->entry, places_before(t, range->start));
      set_bound(index, 1, range->entry, places_before(t, range->end));
    }
  }

  void set_bound(int index, int field, std::size_t entry, std::int64_t value) {
    Node& node = model_.graph.nodes[static_cast<std::size_t>(index)];
    const graph::Uses uses(model_.graph);
    std::vector<std::int64_t> values = graph::slice_field(model_.graph, uses, shapes_, node, field);
    values.at(entry) = value;
    if (node.attributes.contains("starts"))
      node.attributes.find(field == 0 ? "starts" : "ends")->second.value = values;
    else
      set(index, static_cast<std::size_t>(field) + 1, values, graph::make_i64({1}, {0}));
  }

  void indices(int index, const Node& node) {
    const auto rank = static_cast<std::int64_t>(shapes_.shape(node.input(0))->size());
    const std::int64_t named = node.integer("axis", 0), axis = named < 0 ? named + rank : named;
    for (const TokenAxis& t : axes(node.input(0))) {
      if (t.axis != axis) continue;
      const graph::Tensor& before = *literal(node.input(1));
      const std::vector<int> stay = places_kept(t, kept_);
      const std::vector<std::int64_t> picked = graph::as_integers(before).value();
      std::vector<std::int64_t> ranks;
      for (std::int64_t i : picked) {
        const auto at = std::lower_bound(stay.begin(), stay.end(), i < 0 ? i + t.size() : i);
        if (at != stay.end() && *at == (i < 0 ? i + t.size() : i)) ranks.push_back(at - stay.begin());
      }
      if (ranks.empty())
        throw Error(Code::bad_cut, "none of the tokens that are picked would be left", node.label());
      set(index, 1, ranks, before);
    }
  }

  Model& model_;
  const Model before_;
  const graph::Uses uses_;
  const graph::Shapes& shapes_;
  const TokenFlow& flow_;
  const std::vector<int>& kept_;
};

void check_kept(const TokenFlow& flow, const std::vector<int>& kept) {
  if (!flow.possible())
    throw Error(Code::bad_cut, "tokens cannot go here: " + flow.at + " " + flow.obstacle, flow.site);
  const bool increasing =
      std::is_sorted(kept.begin(), kept.end()) && std::adjacent_find(kept.begin(), kept.end()) == kept.end();
  if (kept.empty() || !increasing || kept.front() < 0 || kept.back() >= flow.count)
    throw Error(Code::bad_cut, fmt::format("the tokens kept are no increasing places of {}", flow.count),
                flow.site);
  for (int token : flow.needed)
    if (!std::binary_search(kept.begin(), kept.end(), token))
      throw Error(Code::bad_cut, fmt::format("token {} is read by its place and has to stay", token),
                  flow.site);
}

void annotate(Model& model, const TokenFlow& flow, const std::vector<int>& kept) {
  for (const auto& [value, axes] : flow.values)
    if (auto it = model.graph.value_infos.find(value);
        value != flow.site && it != model.graph.value_infos.end() && it->second.shape)
      for (const TokenAxis& t : axes)
        if (const auto at = static_cast<std::size_t>(t.axis);
            at < it->second.shape->size() && (*it->second.shape)[at] >= 0)
          (*it->second.shape)[at] = size_kept(t, kept);
}

void insert_gather(Model& model, const TokenFlow& flow, const std::vector<int>& kept) {
  const std::string left = kept_value(flow.site), indices = left + "_places";
  const int producer = graph::Uses(model.graph).producer(flow.site);
  for (Node& node : model.graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), flow.site, left);
  model.graph.initializers[indices] =
      graph::make_i64({static_cast<std::int64_t>(kept.size())}, {kept.begin(), kept.end()});
  Node gather{"Gather", "", left, {flow.site, indices}, {left}};
  gather.attributes["axis"].value = std::int64_t{flow.axis};
  model.graph.nodes.insert(model.graph.nodes.begin() + producer + 1, std::move(gather));
}

graph::Shapes inferred(const Model& model, const graph::ShapeOverrides& inputs, const TokenFlow& flow) try {
  return graph::infer_shapes(model, inputs);
} catch (const Error& error) {
  throw Error(Code::bad_cut, fmt::format("{} does not fit fewer tokens: {}", error.place(), error.what()),
              flow.site);
}

void confirm(const Model& model, const graph::Shapes& before, const TokenFlow& flow,
             const std::vector<int>& kept) {
  graph::ShapeOverrides inputs;
  for (const graph::ValueInfo& input : model.graph.inputs)
    if (const Shape* shape = before.shape(input.name)) inputs[input.name] = *shape;
  const graph::Shapes after = inferred(model, inputs, flow);
  for (const auto& [value, axes] : flow.values) {
    const Shape *then = before.shape(value), *now = after.shape(value);
    if (value == flow.site || !then) continue;
    Shape expected = *then;
    for (const TokenAxis& t : axes) expected[static_cast<std::size_t>(t.axis)] = size_kept(t, kept);
    if (!now || *now != expected)
      throw Error(Code::bad_cut,
                  fmt::format("'{}' has a size that is computed from a value before the tokens go", value),
                  flow.site);
  }
}

// Flows along the axes of a value that may hold tokens.
std::vector<int> axes_to_try(const graph::Shapes& shapes, const std::string& value,
                             const std::vector<TokenFlow>& earlier) {
  for (const TokenFlow& flow : earlier)
    if (auto it = flow.values.find(value); it != flow.values.end())
      return it->second.size() == 1 && it->second[0].plain() ? std::vector<int>{it->second[0].axis}
                                                             : std::vector<int>{};
  std::vector<int> axes;
  if (const Shape* shape = shapes.shape(value))
    for (std::size_t axis = 1; axis < shape->size(); ++axis)
      if ((*shape)[axis] > 1) axes.push_back(static_cast<int>(axis));
  return axes;
}

// All but the first token that may go.
std::vector<int> all_but_one(const TokenFlow& flow) {
  std::vector<int> kept(static_cast<std::size_t>(flow.count));
  std::iota(kept.begin(), kept.end(), 0);
  const auto one = std::find_if(kept.begin(), kept.end(), [&](int t) { return !flow.needed.contains(t); });
  if (one != kept.end()) kept.erase(one);
  return kept;
}

std::string why_not(const Model& model, const graph::Shapes& shapes, const TokenFlow& flow) {
  if (!flow.possible()) return flow.at + " " + flow.obstacle;
  if (static_cast<int>(flow.needed.size()) == flow.count) return "every token is read by its place";
  try {
    keep_tokens(model, shapes, flow, all_but_one(flow));
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace

std::string kept_value(const std::string& site) { return site + "_kept_tokens"; }

std::vector<int> places_kept(const TokenAxis& axis, const std::vector<int>& kept) {
  std::vector<int> places;
  for (std::size_t i = 0; i < axis.tokens->size(); ++i)
    if (const int token = (*axis.tokens)[i]; token < 0 || std::binary_search(kept.begin(), kept.end(), token))
      places.push_back(static_cast<int>(i));
  return places;
}

Model keep_tokens(const Model& model, const graph::Shapes& shapes, const TokenFlow& flow,
                  const std::vector<int>& kept) {
  check_kept(flow, kept);
  if (graph::Uses(model.graph).producer(flow.site) < 0 ||
      graph::Uses(model.graph).producer(kept_value(flow.site)) >= 0)
    throw Error(Code::bad_cut, "tokens go behind a node, and once", flow.site);
  Model result = model;
  Adapting adapting(result, shapes, flow, kept);
  for (int i = 0; i < static_cast<int>(model.graph.nodes.size()); ++i) {
    const std::vector<std::string> read = graph::reads(model.graph.nodes[static_cast<std::size_t>(i)]);
    if (std::any_of(read.begin(), read.end(), [&](const auto& name) { return flow.values.contains(name); }))
      adapting.adapt(i);
  }
  adapting.constants();
  annotate(result, flow, kept);
  insert_gather(result, flow, kept);
  graph::remove_dead(result.graph);
  graph::check(result.graph);
  confirm(result, shapes, flow, kept);
  return result;
}

TokenSites token_sites(const Model& model, const graph::Shapes& shapes,
                       const std::vector<std::string>& values) {
  TokenSites sites;
  std::size_t furthest = 0;
  for (const std::string& value : values)
    for (int axis : axes_to_try(shapes, value, sites.flows)) {
      TokenFlow flow = graph::token_flow(model, shapes, value, axis);
      const bool known = !sites.flows.empty() && sites.flows.front().values.contains(value);
      if (flow.attentions.empty() && !known) {
        if (sites.obstacle.empty())
          sites.obstacle = "no attention mixes places of the values that residual sums carry";
        continue;
      }
      std::string why = why_not(model, shapes, flow);
      if (why.empty()) {
        sites.flows.push_back(std::move(flow));
        break;
      }
      if (flow.values.size() > furthest) furthest = flow.values.size(), sites.obstacle = std::move(why);
    }
  if (!sites.flows.empty()) sites.obstacle.clear();
  return sites;
}

}  // namespace tailor::rewrite
