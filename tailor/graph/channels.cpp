// From labels to groups. channel_groups runs the rules over the nodes (channel_rules.cpp), freezes what the
// graph's outputs show, and finish() turns the union-find into atoms and groups:
//   collect_atoms   one atom per class that occurs in a value or a binding
//   make_groups     atoms with the same signature (the same set of labels, as often) are interchangeable: one
//   group name_groups     a group is called after the first layer that makes it
#include "tailor/graph/channels.h"

#include "tailor/base/error.h"
#include "tailor/graph/channel_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace tailor::graph {

Label Channels::find(const std::string& value, int axis) const {
  auto it = values.find({value, axis});
  return it == values.end() ? nullptr : it->second;
}

std::vector<std::pair<int, int>> Channels::composition(const Label& label) const {
  std::map<int, int> count;
  if (label)
    for (int atom : *label) ++count[atoms[atom].group];
  return {count.begin(), count.end()};
}

AxisIds ChannelBuilder::of(const std::string& value) const {
  if (auto it = axes_.find(value); it != axes_.end()) return it->second;
  return AxisIds(shape(value).size());
}

Shape ChannelBuilder::shape(const std::string& value) const {
  const Shape* known = shapes.shape(value);
  return known ? *known : Shape{};
}

bool ChannelBuilder::labelled(const std::string& value) const {
  auto it = axes_.find(value);
  return it != axes_.end() &&
         std::any_of(it->second.begin(), it->second.end(), [](const Ids& ids) { return ids != nullptr; });
}

Ids ChannelBuilder::fresh(std::int64_t count) {
  if (!has_room(count)) return nullptr;
  auto ids = std::make_shared<std::vector<int>>(count);
  std::iota(ids->begin(), ids->end(), static_cast<int>(parent_.size()));
  parent_.insert(parent_.end(), ids->begin(), ids->end());
  return ids;
}

int ChannelBuilder::root(int element) const {
  while (parent_[element] != element) element = parent_[element] = parent_[parent_[element]];
  return element;
}

void ChannelBuilder::unite(int a, int b) {
  a = root(a), b = root(b);
  if (a == b) return;
  if (a > b) std::swap(a, b);
  parent_[b] = a;
  if (auto it = frozen_.find(b); it != frozen_.end()) frozen_.emplace(a, it->second);
}

void ChannelBuilder::unite(const Ids& a, const Ids& b) {
  TAILOR_CHECK(a && b && a->size() == b->size());
  for (std::size_t i = 0; i < a->size(); ++i) unite((*a)[i], (*b)[i]);
}

void ChannelBuilder::freeze(const Ids& ids, const Node& node, const std::string& reason) {
  if (!ids) return;
  for (int id : *ids) frozen_.emplace(root(id), std::pair(reason, node.label()));
}

void ChannelBuilder::freeze(const AxisIds& axes, const Node& node, const std::string& reason) {
  for (const Ids& ids : axes) freeze(ids, node, reason);
}

bool ChannelBuilder::frozen(const Ids& ids) const {
  return ids && std::any_of(ids->begin(), ids->end(), [&](int id) { return frozen_.contains(root(id)); });
}

void ChannelBuilder::freeze_inputs(const Node& node, const std::string& reason) {
  for (const std::string& name : reads(node)) freeze(of(name), node, reason);
}

// A label says how long its axis is; where inference says otherwise, nobody knows what the node does.
void ChannelBuilder::set(const std::string& value, AxisIds axes) {
  if (value.empty()) return;
  const Node unsure{"a node of contradicting shapes", "", value, {}, {}};
  const Shape* known = shapes.shape(value);
  std::size_t rank = known ? known->size() : 0;
  if (rank != axes.size()) {  // rules count on labels having the rank of their value
    freeze(axes, unsure, known ? "reaches a value of unexpected rank" : "reaches a value of unknown rank");
    axes.assign(rank, nullptr);
  }
  for (std::size_t axis = 0; known && axis < axes.size(); ++axis)
    if (axes[axis] && (*known)[axis] >= 0 &&
        static_cast<std::int64_t>(axes[axis]->size()) != (*known)[axis]) {
      freeze(axes[axis], unsure, "reaches an axis of unexpected size");
      axes[axis] = nullptr;
    }
  constexpr std::int64_t kManyLabels = std::int64_t{1} << 22;
  for (Ids& ids : axes) {
    if (!ids) continue;
    auto size = static_cast<std::int64_t>(ids->size());
    if (labelled_ + size > kManyLabels + 4 * weights) {
      freeze(ids, unsure, "reaches more positions than can be followed");
      ids = nullptr;
    } else {
      labelled_ += size;
    }
  }
  axes_[value] = std::move(axes);
}

// An operand whose axis is of another size cannot be cut along with the label: the node makes no sense.
void ChannelBuilder::bind(int node, int input, int axis, const Ids& ids, Binding::Role role) {
  if (!ids) return;
  const Node& reader = model.graph.nodes[node];
  const Shape* dims = shapes.shape(reader.input(input));
  bool fits = dims && axis >= 0 && axis < static_cast<int>(dims->size()) &&
              (*dims)[axis] == static_cast<std::int64_t>(ids->size());
  if (!fits) return freeze(ids, reader, "meets an operand of another size");
  if (!literal(reader.inputs[input]))
    freeze(ids, reader, "meets a constant that the graph computes from sizes");
  bindings_.push_back({node, input, axis, ids, role});
}

// An element is an atom once it occurs somewhere that is cut.
Label ChannelBuilder::resolve(const Ids& ids) {
  if (!ids) return nullptr;
  auto [it, inserted] = resolved_.try_emplace(ids.get());
  if (!inserted) return it->second;
  auto label = std::make_shared<std::vector<int>>();
  label->reserve(ids->size());
  for (int id : *ids) label->push_back(atom_of_root_[root(id)]);
  return it->second = std::move(label);
}

void ChannelBuilder::collect_atoms() {
  atom_of_root_.assign(parent_.size(), -1);
  int next = 0;
  for (std::size_t element = 0; element < parent_.size(); ++element) {
    int at = root(static_cast<int>(element));
    if (atom_of_root_[at] < 0) atom_of_root_[at] = next++;
  }
}

void ChannelBuilder::make_groups(Channels& channels) {
  std::size_t count = 0;
  for (int atom : atom_of_root_) count = std::max(count, static_cast<std::size_t>(atom + 1));
  channels.atoms.resize(count);
  std::vector<std::vector<int>> signature(count);
  std::map<Label, int> seen;  // each label once
  auto visit = [&](const Label& label) {
    if (!label || !seen.emplace(label, static_cast<int>(seen.size())).second) return;
    int number = seen.at(label);
    for (int atom : *label) signature[atom].push_back(number);
  };
  for (const Binding& binding : channels.bindings) visit(binding.label);
  for (const auto& [key, label] : channels.values) visit(label);

  std::vector<std::pair<std::string, std::string>> why(count);
  for (const auto& [element, reason] : frozen_)
    if (auto& slot = why[atom_of_root_[root(element)]]; slot.first.empty()) slot = reason;
  std::map<std::pair<std::vector<int>, std::pair<std::string, std::string>>, int> group_of;
  for (std::size_t atom = 0; atom < count; ++atom) {
    if (signature[atom].empty()) continue;
    auto [it, inserted] =
        group_of.try_emplace({signature[atom], why[atom]}, static_cast<int>(channels.groups.size()));
    if (inserted) channels.groups.push_back({"", {}, why[atom].first, why[atom].second});
    ChannelGroup& group = channels.groups[it->second];
    channels.atoms[atom] = {it->second, group.width()};
    group.atoms.push_back(static_cast<int>(atom));
  }
}

void ChannelBuilder::name_groups(Channels& channels) {
  auto name = [&](const Label& label, const std::string& text) {
    if (!label) return;
    for (int atom : *label)
      if (std::string& slot = channels.groups[channels.atoms[atom].group].name; slot.empty()) slot = text;
  };
  for (const LayerChannels& layer : channels.layers) name(layer.out, model.graph.nodes[layer.node].label());
  for (const Binding& binding : channels.bindings)
    name(binding.label, model.graph.nodes[binding.node].label());
  for (const auto& [key, label] : channels.values) name(label, key.first);
}

Channels ChannelBuilder::finish() {
  Channels channels;
  collect_atoms();
  for (const RawBinding& raw : bindings_)
    channels.bindings.push_back({raw.node, raw.input, raw.axis, resolve(raw.ids), raw.role});
  for (const auto& [value, axes] : axes_)
    for (std::size_t axis = 0; axis < axes.size(); ++axis)
      if (axes[axis]) channels.values[{value, static_cast<int>(axis)}] = resolve(axes[axis]);
  for (const Layer& layer : layers_)
    channels.layers.push_back({layer.node, resolve(layer.in), resolve(layer.out)});
  make_groups(channels);
  name_groups(channels);
  return channels;
}

namespace {

void apply_rules(ChannelBuilder& builder) {
  const Graph& graph = builder.model.graph;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) apply_channel_rule(builder, static_cast<int>(i));
  Node shown{"graph output", "", "", {}, {}};
  for (const ValueInfo& output : graph.outputs) {
    shown.name = output.name;
    builder.freeze(builder.of(output.name), shown, "is a graph output");
  }
}

// Heads that cannot change may still have a size that can: then they are split the other way.
Channels groups_of_flat(const Model& model, const Shapes& shapes) {
  Carriers heads = find_heads(model, shapes);
  ChannelBuilder builder(model, shapes, heads);
  apply_rules(builder);
  std::size_t stuck = std::erase_if(heads, [&](const auto& split) {
    auto it = builder.carried.find(split.first);
    return it == builder.carried.end() || builder.frozen(it->second);
  });
  if (stuck == 0) return builder.finish();
  ChannelBuilder again(model, shapes, heads);
  apply_rules(again);
  return again.finish();
}

// Number of each node of the flat graph in the model; -1 for brackets and nodes in bodies.
std::vector<int> outer_numbers(const Graph& flat) {
  std::vector<int> numbers;
  int next = 0, depth = 0;
  for (const Node& node : flat.nodes) {
    if (is_bracket(node) && node.op.starts_with("Enter")) ++depth;
    if (is_bracket(node) && node.op.starts_with("Leave") && --depth == 0) ++next;
    numbers.push_back(is_bracket(node) || depth > 0 ? -1 : next++);
  }
  return numbers;
}

template <class Item>
std::vector<Item> outer_ones(const std::vector<Item>& items, const std::vector<int>& numbers) {
  std::vector<Item> outer;
  for (Item item : items)
    if (item.node = numbers[static_cast<std::size_t>(item.node)]; item.node >= 0) outer.push_back(item);
  return outer;
}

}  // namespace

bool Channels::in_bodies(int group) const {
  if (!inside) return false;
  return std::any_of(values.begin(), values.end(), [&](const auto& entry) {
    return !inside->open.scopes.of(entry.first.first).empty() &&
           std::any_of(entry.second->begin(), entry.second->end(),
                       [&](int atom) { return atoms[static_cast<std::size_t>(atom)].group == group; });
  });
}

Channels channel_groups(const Model& model, const Shapes& shapes) {
  std::optional<LaidOpen> open = lay_open(model);
  if (!open) return groups_of_flat(model, shapes);
  Channels channels = groups_of_flat(open->flat, shapes);
  const std::vector<int> numbers = outer_numbers(open->flat.graph);
  auto inside = std::make_shared<OpenChannels>(
      OpenChannels{std::move(*open), std::move(channels.bindings), std::move(channels.layers)});
  channels.bindings = outer_ones(inside->bindings, numbers);
  channels.layers = outer_ones(inside->layers, numbers);
  channels.inside = std::move(inside);
  return channels;
}

}  // namespace tailor::graph
