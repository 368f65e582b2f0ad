// cut() in the order in which it runs:
//   kept_atoms             what stays, as one flag per atom
//   remake_node            attributes and constant operands that name sizes (Reshape, Split, Slice, Pad, Gather ...)
//   ConstantRewriter       (constant_rewriter.h) bound weights are sliced; copies where two uses differ
//   annotate               dimensions of value_infos
//   share_equal            new constants that are equal become one
//   confirm                inferred shapes of the result must equal the labels' counts
//   keep_computed_numbers  floats that follow from sizes stay
// mask() shares kept_atoms and ConstantRewriter. Both work on a graph without bodies: where there are bodies, on the laid
// open one, which is put back together afterwards.
#include "tailor/rewrite/cut.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/constant_rewriter.h"
#include "tailor/rewrite/remake.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

namespace tailor::rewrite {
namespace {

using graph::Channels;
using graph::Label;
using graph::Model;

std::vector<int> kept_positions(const Label& label, const std::vector<bool>& keep) {
  std::vector<int> positions;
  for (std::size_t i = 0; i < label->size(); ++i)
    if (keep[(*label)[i]]) positions.push_back(static_cast<int>(i));
  return positions;
}

std::vector<int> removed_positions(const Label& label, const std::vector<bool>& keep) {
  std::vector<int> positions;
  for (std::size_t i = 0; i < label->size(); ++i)
    if (!keep[(*label)[i]]) positions.push_back(static_cast<int>(i));
  return positions;
}

std::map<Slot, Change> changes_of(const Channels& channels, const std::vector<bool>& keep) {
  std::map<Slot, Change> changes;
  for (const graph::Binding& binding : channels.bindings)
    if (!removed_positions(binding.label, keep).empty())
      changes[{binding.node, binding.input}].axes[binding.axis] = kept_positions(binding.label, keep);
  return changes;
}

// Atoms that no weights read, or that a product of two values sums over: they vanish only if they are made
// zero.
std::vector<bool> zero_at_source(const Model& model, const graph::Shapes& shapes, const Channels& channels) {
  std::vector<bool> source(channels.atoms.size(), true);
  for (const graph::Binding& binding : channels.bindings)
    if (binding.role == graph::Binding::Role::consumes)
      for (int atom : *binding.label) source[atom] = false;
  for (const graph::Node& node : model.graph.nodes) {
    bool quantised = node.op == "QLinearMatMul",
         product = quantised || node.op == "MatMul" || node.op == "MatMulInteger";
    const graph::Shape* a = product ? shapes.shape(node.input(0)) : nullptr;
    if (!a || a->empty() || shapes.constant(node.input(quantised ? 3 : 1))) continue;
    if (Label summed = channels.find(node.input(0), static_cast<int>(a->size()) - 1))
      for (int atom : *summed) source[atom] = true;
  }
  return source;
}

std::byte zero_of(const graph::Node& node, int input, const graph::Shapes& shapes) {
  static const std::map<std::pair<std::string, int>, std::size_t> zero_points = {
      {{"QLinearConv", 3}, 5}, {{"QLinearMatMul", 3}, 5},   {{"QGemm", 3}, 5},
      {{"QLinearAdd", 0}, 2},  {{"QLinearAdd", 3}, 5},      {{"MatMulInteger", 1}, 3},
      {{"ConvInteger", 1}, 3}, {{"DequantizeLinear", 0}, 2}};
  auto at = zero_points.find({node.op, input});
  if (at == zero_points.end()) return {};
  const graph::Tensor* zero = shapes.constant(node.input(at->second));
  if (!zero || zero->data.size() == 0) return {};
  std::byte first = *zero->data.data();
  if (std::any_of(zero->data.data(), zero->data.data() + zero->data.size(),
                  [&](std::byte b) { return b != first; }))
    throw Error(Code::bad_cut, "weights with several zero points cannot be masked", "node " + node.label());
  return first;
}

std::map<Slot, Change> masks_of(const Model& model, const graph::Shapes& shapes, const Channels& channels,
                                const std::vector<bool>& keep) {
  using Role = graph::Binding::Role;
  static const std::set<std::string> linear = {"Add",       "Sub",       "Sum",     "Mul",       "QLinearAdd",
                                               "Concat",    "Expand",    "LSTM",    "GRU",       "RNN",
                                               "EnterLoop", "EnterScan", "LeaveIf", "LeaveLoop", "LeaveScan"};
  std::vector<bool> source = zero_at_source(model, shapes, channels);
  std::map<Slot, Change> changes;
  for (const graph::Binding& b : channels.bindings) {
    const graph::Node& node = model.graph.nodes[b.node];
    if (b.role == Role::follows && !linear.contains(node.op)) continue;
    std::vector<int> positions = removed_positions(b.label, keep);
    if (b.role != Role::consumes) std::erase_if(positions, [&](int i) { return !source[(*b.label)[i]]; });
    if (positions.empty()) continue;
    Change& change = changes[{b.node, b.input}];
    change.axes[b.axis] = std::move(positions);
    change.fill = zero_of(node, b.input, shapes);
  }
  return changes;
}

// Nodes that remake_node asks for; last, since bindings count nodes.
void insert(graph::Graph& graph, std::vector<std::vector<graph::Node>> before) {
  std::vector<graph::Node> nodes;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    std::move(before[i].begin(), before[i].end(), std::back_inserter(nodes));
    nodes.push_back(std::move(graph.nodes[i]));
  }
  graph.nodes = std::move(nodes);
}

void annotate(Model& model, const Channels& channels, const std::vector<bool>& keep) {
  for (const auto& [key, label] : channels.values) {
    auto it = model.graph.value_infos.find(key.first);
    if (it == model.graph.value_infos.end() || !it->second.shape ||
        key.second >= static_cast<int>(it->second.shape->size()))
      continue;
    std::int64_t& dim = (*it->second.shape)[key.second];
    if (dim >= 0) dim = static_cast<std::int64_t>(kept_positions(label, keep).size());
  }
}

graph::ShapeOverrides input_shapes(const Model& model, const graph::Shapes& shapes) {
  graph::ShapeOverrides overrides;
  for (const graph::ValueInfo& input : model.graph.inputs)
    if (const graph::Shape* shape = shapes.shape(input.name)) overrides[input.name] = *shape;
  return overrides;
}

void confirm(const graph::Shapes& after, const graph::Shapes& before, const Channels& channels,
             const std::vector<bool>& keep) {
  for (const auto& [key, label] : channels.values) {
    const graph::Shape *shape = after.shape(key.first), *old = before.shape(key.first);
    auto axis = static_cast<std::size_t>(key.second);
    if (!shape || axis >= shape->size()) continue;
    bool never_known = (*shape)[axis] < 0 && old && axis < old->size() && (*old)[axis] < 0;
    auto expected = static_cast<std::int64_t>(kept_positions(label, keep).size());
    if ((*shape)[axis] != expected && !never_known)
      throw Error(Code::bad_cut,
                  fmt::format("the cut leaves {} positions on axis {} of '{}', but the graph computes {}",
                              expected, key.second, key.first, graph::to_string(*shape)));
  }
}

// Numbers that the graph computes from the sizes of what was cut (attention is scaled by the root of its
// width) stay what they were: the weights were trained with them.
bool keep_computed_numbers(Model& model, const graph::Shapes& before, const graph::Shapes& after) {
  graph::Uses uses(model.graph);
  bool any = false;
  for (graph::Node& node : model.graph.nodes)
    for (std::string& name : node.outputs) {
      const graph::Tensor *then = before.constant(name), *now = after.constant(name);
      bool number = then && now && graph::as_floats(*then) && then->type == now->type;
      if (!number || then->dims != now->dims || then->data == now->data || uses.is_output(name)) continue;
      model.graph.initializers[name] = *then;
      name += "_uncut";
      any = true;
    }
  return any;
}

// Initializers that the surgery made and that are equal become one, in each body for itself. Names of the original
// (`uses`) stay as they are.
void share_equal(const graph::Graph& original, const graph::Uses& uses, const graph::Scopes& scopes,
                 graph::Graph& graph) {
  using Content = std::tuple<std::string_view, graph::DataType, graph::Shape, std::string_view>;
  std::map<Content, const std::string*> first;
  std::unordered_map<std::string_view, const std::string*> other_name;
  for (const auto& [name, tensor] : graph.initializers) {
    bool ours = !original.initializers.contains(name) && uses.producer(name) < 0;
    if (!ours || tensor.data.empty()) continue;
    auto [at, fresh] =
        first.try_emplace({scopes.of(name), tensor.type, tensor.dims, tensor.data.view()}, &name);
    if (!fresh) other_name[name] = at->second;
  }
  if (other_name.empty()) return;
  for (graph::Node& node : graph.nodes)
    for (std::string& input : node.inputs)
      if (auto it = other_name.find(input); it != other_name.end()) input = *it->second;
}

// What nobody needed before the cut stays: a comparison of both files shows the cut and nothing else. Bodies stay too, so
// that brackets remain pairs.
std::unordered_set<std::string> not_to_lose(const graph::Graph& graph) {
  std::unordered_set<std::string> names = graph::dead_values(graph);
  for (const graph::Node& node : graph.nodes)
    if (graph::is_bracket(node)) names.insert(node.outputs.begin(), node.outputs.end());
  names.erase("");
  return names;
}

Model cut_flat(const Model& model, const graph::Scopes& scopes, const graph::Shapes& shapes,
               const Channels& channels, const std::vector<bool>& keep) {
  Model result = model;
  graph::Uses uses(model.graph);
  std::vector<std::vector<graph::Node>> before(result.graph.nodes.size());
  for (std::size_t i = 0; i < result.graph.nodes.size(); ++i)
    remake_node(result, static_cast<int>(i), shapes, channels, keep, uses, before[i]);
  ConstantRewriter(result, shapes)
      .rewrite(changes_of(channels, keep),
               [](const graph::Tensor& tensor, const Change& change) { return take(tensor, change.axes); });
  insert(result.graph, std::move(before));
  annotate(result, channels, keep);
  const std::unordered_set<std::string> spare = not_to_lose(model.graph);
  share_equal(model.graph, uses, scopes, result.graph);
  graph::remove_dead(result.graph, spare);
  graph::check(result.graph);
  graph::Shapes after = graph::infer_shapes(result, input_shapes(result, shapes));
  confirm(after, shapes, channels, keep);
  if (keep_computed_numbers(result, shapes, after)) graph::remove_dead(result.graph, spare);
  return result;
}

Model mask_flat(const Model& model, const graph::Shapes& shapes, const Channels& channels,
                const std::vector<bool>& keep) {
  Model result = model;
  ConstantRewriter(result, shapes)
      .rewrite(masks_of(model, shapes, channels, keep), [](graph::Tensor tensor, const Change& change) {
        for (const auto& [axis, positions] : change.axes)
          tensor = zero_slices(tensor, axis, positions, change.fill);
        return tensor;
      });
  return result;
}

// The channels of the laid open graph.
Channels laid_open(const Channels& channels) {
  Channels all = channels;
  all.bindings = channels.inside->bindings, all.layers = channels.inside->layers;
  return all;
}

}  // namespace

std::vector<bool> kept_atoms(const Channels& channels, const Cut& what) {
  std::vector<bool> keep(channels.atoms.size(), true);
  for (const auto& [g, units] : what.kept) {
    if (g < 0 || g >= static_cast<int>(channels.groups.size()))
      throw Error(Code::bad_cut, fmt::format("there is no channel group {}", g));
    const graph::ChannelGroup& group = channels.groups[g];
    if (std::adjacent_find(units.begin(), units.end(), std::greater_equal<>()) != units.end())
      throw Error(Code::bad_cut, "the channels that stay must be listed once and in increasing order",
                  group.name);
    if (!units.empty() && (units.front() < 0 || units.back() >= group.width()))
      throw Error(Code::bad_cut,
                  fmt::format("the group has {} channels, not {}", group.width(), units.back() + 1),
                  group.name);
    if (static_cast<int>(units.size()) == group.width()) continue;
    if (!group.changeable())
      throw Error(Code::bad_cut,
                  fmt::format("the channels of '{}' cannot change: {}", group.name, group.frozen),
                  group.frozen_at);
    if (units.empty())
      throw Error(Code::bad_cut, "a channel group must keep at least one channel", group.name);
    for (int atom : group.atoms) keep[atom] = false;
    for (int unit : units) keep[group.atoms[unit]] = true;
  }
  return keep;
}

Model cut(const Model& model, const graph::Shapes& shapes, const Channels& channels, const Cut& what) {
  const std::vector<bool> keep = kept_atoms(channels, what);
  if (!channels.inside) return cut_flat(model, {}, shapes, channels, keep);
  const graph::LaidOpen& open = channels.inside->open;
  Model result = graph::put_back(cut_flat(open.flat, open.scopes, shapes, laid_open(channels), keep), model);
  graph::check(result.graph);
  return result;
}

Model mask(const Model& model, const graph::Shapes& shapes, const Channels& channels, const Cut& what) {
  const std::vector<bool> keep = kept_atoms(channels, what);
  if (!channels.inside) return mask_flat(model, shapes, channels, keep);
  return graph::put_back(mask_flat(channels.inside->open.flat, shapes, laid_open(channels), keep), model);
}

}  // namespace tailor::rewrite
