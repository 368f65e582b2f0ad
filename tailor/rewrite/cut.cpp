// cut() in the order in which it runs:
//   kept_atoms        what stays, as one flag per atom
//   cut_constants     bound weights are sliced; copies where two uses differ
//   remake_node       attributes and constant operands that name sizes (Reshape, Split, Slice, Pad, Gather,
//   group counts) annotate          dimensions of value_infos confirm           inferred shapes of the result
//   must equal the labels' counts
// mask() shares the first two steps.
#include "tailor/rewrite/cut.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/remake.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

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

// How one operand slot changes: per axis, the positions to keep (or to zero). Equal changes of one constant
// share a tensor.
using Change = std::map<int, std::vector<int>>;
using Slot = std::pair<int, int>;  // node, input

// Rewrites the constants behind the slots. A constant whose uses all change alike keeps its name; else each
// variant is new.
class ConstantRewriter {
 public:
  ConstantRewriter(Model& target, const graph::Shapes& its_shapes)
      : model_(target), shapes_(its_shapes), uses_(target.graph) {}

  template <class Apply>
  void rewrite(const std::map<Slot, Change>& changes, Apply apply) {
    std::map<std::string, std::map<Change, std::vector<Slot>>> by_name;
    for (const auto& [slot, change] : changes)
      by_name[model_.graph.nodes[slot.first].inputs[slot.second]][change].push_back(slot);
    for (const auto& [name, variants] : by_name) {
      bool alone = variants.size() == 1 && count_uses(name) == variants.begin()->second.size() &&
                   !uses_.is_output(name);
      int serial = 0;
      for (const auto& [change, slots] : variants) {
        graph::Tensor tensor = apply(constant(name), change);
        if (alone)
          replace(name, std::move(tensor));
        else
          redirect(slots, add(fmt::format("{}_cut", name), serial, std::move(tensor)));
      }
    }
  }

 private:
  const graph::Tensor& constant(const std::string& name) const {
    if (const graph::Tensor* direct = graph::constant(model_.graph, uses_, name)) return *direct;
    const graph::Tensor* folded = shapes_.constant(name);
    if (!folded) throw Error(Code::bad_cut, fmt::format("the constant '{}' is too large to be folded", name));
    return *folded;
  }

  std::size_t count_uses(const std::string& name) const {
    std::size_t count = 0;
    for (int node : uses_.consumers(name)) {
      const auto& inputs = model_.graph.nodes[node].inputs;
      count +=
          std::max<std::size_t>(1, static_cast<std::size_t>(std::count(inputs.begin(), inputs.end(), name)));
    }
    return count;
  }

  void replace(const std::string& name, graph::Tensor tensor) {
    int producer = uses_.producer(name);
    if (producer < 0) {
      model_.graph.initializers[name] = std::move(tensor);
    } else if (graph::Node& node = model_.graph.nodes[producer]; node.find<graph::Tensor>("value")) {
      node.attributes.find("value")->second.value = std::move(tensor);
    } else {  // folded from other constants: those stay behind and die
      node.outputs[0] = name + "_uncut";
      model_.graph.initializers[name] = std::move(tensor);
    }
  }

  std::string add(const std::string& stem, int& serial, graph::Tensor tensor) {
    std::string name;
    do name = fmt::format("{}{}", stem, serial++);
    while (model_.graph.initializers.contains(name) || uses_.producer(name) >= 0);
    model_.graph.initializers[name] = std::move(tensor);
    return name;
  }

  void redirect(const std::vector<Slot>& slots, const std::string& name) {
    for (auto [node, input] : slots) model_.graph.nodes[node].inputs[input] = name;
  }

  Model& model_;
  const graph::Shapes& shapes_;
  graph::Uses uses_;
};

std::map<Slot, Change> changes_of(const Channels& channels, const std::vector<bool>& keep, bool masking) {
  std::map<Slot, Change> changes;
  for (const graph::Binding& binding : channels.bindings) {
    if (masking && binding.role != graph::Binding::Role::consumes) continue;
    std::vector<int> removed = removed_positions(binding.label, keep);
    if (removed.empty()) continue;
    changes[{binding.node, binding.input}][binding.axis] =
        masking ? removed : kept_positions(binding.label, keep);
  }
  return changes;
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

void confirm(const Model& result, const graph::Shapes& before, const Channels& channels,
             const std::vector<bool>& keep) {
  graph::Shapes after = graph::infer_shapes(result, input_shapes(result, before));
  for (const auto& [key, label] : channels.values) {
    const graph::Shape* shape = after.shape(key.first);
    if (!shape || key.second >= static_cast<int>(shape->size())) continue;
    auto expected = static_cast<std::int64_t>(kept_positions(label, keep).size());
    if ((*shape)[key.second] != expected)
      throw Error(Code::bad_cut,
                  fmt::format("the cut leaves {} positions on axis {} of '{}', but the graph computes {}",
                              expected, key.second, key.first, graph::to_string(*shape)));
  }
}

}  // namespace

std::vector<bool> kept_atoms(const Channels& channels, const Cut& what) {
  std::vector<bool> keep(channels.atoms.size(), true);
  for (const auto& [g, units] : what.kept) {
    if (g < 0 || g >= static_cast<int>(channels.groups.size()))
      throw Error(Code::bad_cut, fmt::format("there is no channel group {}", g));
    const graph::ChannelGroup& group = channels.groups[g];
    if (static_cast<int>(units.size()) == group.width()) continue;
    if (!group.changeable())
      throw Error(Code::bad_cut,
                  fmt::format("the channels of '{}' cannot change: {}", group.name, group.frozen),
                  group.frozen_at);
    if (units.empty())
      throw Error(Code::bad_cut, "a channel group must keep at least one channel", group.name);
    for (int atom : group.atoms) keep[atom] = false;
    for (int unit : units) {
      if (unit < 0 || unit >= group.width())
        throw Error(Code::bad_cut, fmt::format("the group has no channel {}", unit), group.name);
      keep[group.atoms[unit]] = true;
    }
  }
  return keep;
}

Model cut(const Model& model, const graph::Shapes& shapes, const Channels& channels, const Cut& what) {
  std::vector<bool> keep = kept_atoms(channels, what);
  Model result = model;
  for (std::size_t i = 0; i < result.graph.nodes.size(); ++i)
    remake_node(result, static_cast<int>(i), shapes, channels, keep);
  ConstantRewriter(result, shapes)
      .rewrite(changes_of(channels, keep, false), [](graph::Tensor tensor, const Change& change) {
        for (const auto& [axis, positions] : change) tensor = take(tensor, axis, positions);
        return tensor;
      });
  annotate(result, channels, keep);
  graph::remove_dead(result.graph);
  graph::check(result.graph);
  confirm(result, shapes, channels, keep);
  return result;
}

Model mask(const Model& model, const graph::Shapes& shapes, const Channels& channels, const Cut& what) {
  std::vector<bool> keep = kept_atoms(channels, what);
  Model result = model;
  ConstantRewriter(result, shapes)
      .rewrite(changes_of(channels, keep, true), [](graph::Tensor tensor, const Change& change) {
        for (const auto& [axis, positions] : change) tensor = zero_slices(tensor, axis, positions);
        return tensor;
      });
  return result;
}

}  // namespace tailor::rewrite
