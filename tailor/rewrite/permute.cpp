// A permutation renames the atoms of a group. Operators unite, concatenate and reshape atoms by their places, whatever their
// names are, so only what is bound to atoms by its values has to move: constants along labelled axes.
#include "tailor/rewrite/permute.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/constant_rewriter.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace tailor::rewrite {
namespace {

using graph::Channels;
using graph::Label;

void check(const Channels& channels, int g, const std::vector<int>& order) {
  if (g < 0 || g >= static_cast<int>(channels.groups.size()))
    throw Error(Code::bad_cut, fmt::format("there is no channel group {}", g));
  const graph::ChannelGroup& group = channels.groups[static_cast<std::size_t>(g)];
  std::vector<int> sorted = order, all(static_cast<std::size_t>(group.width()));
  std::sort(sorted.begin(), sorted.end());
  std::iota(all.begin(), all.end(), 0);
  if (sorted != all)
    throw Error(Code::bad_cut,
                fmt::format("an order of the {} channels names each of them once", group.width()),
                group.name);
  if (!group.changeable())
    throw Error(Code::bad_cut,
                fmt::format("the channels of '{}' cannot change: {}", group.name, group.frozen),
                group.frozen_at);
  if (channels.in_bodies(g))
    throw Error(Code::bad_cut, "channels in the body of an If, Loop or Scan keep their order", group.name);
}

// Per atom, the one that takes its place.
std::vector<int> successors(const Channels& channels, const Orders& orders) {
  std::vector<int> next(channels.atoms.size());
  std::iota(next.begin(), next.end(), 0);
  for (const auto& [g, order] : orders) {
    check(channels, g, order);
    const std::vector<int>& atoms = channels.groups[static_cast<std::size_t>(g)].atoms;
    for (std::size_t i = 0; i < order.size(); ++i)
      next[static_cast<std::size_t>(atoms[i])] = atoms[static_cast<std::size_t>(order[i])];
  }
  return next;
}

// Which old position each new one takes: the n-th place of an atom takes what was at the n-th place of its successor.
std::vector<int> sources(const Label& label, const std::vector<int>& next) {
  std::map<int, std::vector<int>> places;
  for (std::size_t p = 0; p < label->size(); ++p) places[(*label)[p]].push_back(static_cast<int>(p));
  std::map<int, std::size_t> used;
  std::vector<int> result;
  result.reserve(label->size());
  for (int atom : *label) {
    const int successor = next[static_cast<std::size_t>(atom)];
    const std::vector<int>& from = places[successor];
    const std::size_t n = used[successor]++;
    if (n >= from.size()) throw Error(Code::bad_cut, "channels of a group do not appear equally often");
    result.push_back(from[n]);
  }
  return result;
}

bool is_identity(const std::vector<int>& positions) {
  for (std::size_t i = 0; i < positions.size(); ++i)
    if (positions[i] != static_cast<int>(i)) return false;
  return true;
}

}  // namespace

graph::Model permute(const graph::Model& model, const graph::Shapes& shapes, const Channels& channels,
                     const Orders& orders) {
  const std::vector<int> next = successors(channels, orders);
  std::map<Slot, Change> changes;
  for (const graph::Binding& binding : channels.bindings)
    if (std::vector<int> from = sources(binding.label, next); !is_identity(from))
      changes[{binding.node, binding.input}].axes[binding.axis] = std::move(from);
  graph::Model result = model;
  ConstantRewriter(result, shapes).rewrite(changes, [](const graph::Tensor& tensor, const Change& change) {
    return take(tensor, change.axes);
  });
  graph::remove_dead(result.graph, graph::dead_values(model.graph));
  return result;
}

std::vector<int> moved(const Channels& channels, const Orders& orders, const Label& label) {
  return sources(label, successors(channels, orders));
}

}  // namespace tailor::rewrite
