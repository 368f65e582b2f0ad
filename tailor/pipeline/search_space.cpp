// resolve: one function per kind of axis. tail_free: the layers near each group timed at each of its widths.
#include "tailor/pipeline/search_space.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"
#include "tailor/pipeline/tail_free.h"
#include "tailor/rewrite/linear_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::pipeline {
namespace {

constexpr std::size_t kMostWidths = 1024;  // of one axis

const graph::ChannelGroup& group_of(const Subject& subject, int group) {
  return subject.channels.groups[static_cast<std::size_t>(group)];
}

[[noreturn]] void refuse(const std::string& what, const std::string& place) {
  throw Error(Code::bad_space, what, place, "tailor inspect MODEL --groups lists what can change");
}

std::vector<int> range(const WidthRule& rule, int width) {
  std::vector<int> list;
  const int least = std::max(1, static_cast<int>(std::ceil(rule.from * width - 1e-9)));
  for (int w = (least + rule.step - 1) / rule.step * rule.step; w < width; w += rule.step) list.push_back(w);
  return list;
}

WidthAxis width_axis(const Subject& subject, int group, const WidthRule& rule) {
  const int width = group_of(subject, group).width();
  std::set<int> widths = {width};
  for (int w : rule.widths) {
    if (w < 1 || w > width)
      refuse(fmt::format("{} has {} channels, not {}", group_of(subject, group).name, width, w), rule.place);
    widths.insert(w);
  }
  if (rule.widths.empty() && !rule.keep)
    for (int w : range(rule, width)) widths.insert(w);
  if (widths.size() > kMostWidths)
    refuse(fmt::format("{} would have {} widths", group_of(subject, group).name, widths.size()), rule.place);
  return {group, {widths.begin(), widths.end()}};
}

// Groups that make or feed a layer whose time is known.
bool matters(const std::vector<LayerWidths>& layers, int group) {
  return std::any_of(layers.begin(), layers.end(),
                     [&](const LayerWidths& layer) { return touches(layer, group); });
}

std::map<int, WidthRule> named_rules(const SpaceRules& rules, const Subject& subject) {
  const std::map<std::string, int> names = names_of_groups(subject);
  std::map<int, WidthRule> found;
  for (const WidthRule& rule : rules.groups) {
    const auto at = names.find(rule.group);
    if (at == names.end()) {
      std::vector<std::string> known;
      for (const auto& [name, group] : names) known.push_back(name);
      throw Error(
          Code::unknown_name,
          fmt::format("the model has no channel group '{}'{}", rule.group, did_you_mean(rule.group, known)),
          rule.place, "tailor inspect MODEL --groups lists them");
    }
    const graph::ChannelGroup& g = group_of(subject, at->second);
    if (!g.changeable() && !rule.keep)
      refuse(fmt::format("{} cannot change: {}", g.name, g.frozen), rule.place);
    if (!found.emplace(at->second, rule).second) refuse(fmt::format("{} is named twice", g.name), rule.place);
  }
  return found;
}

std::vector<WidthAxis> width_axes(const SpaceRules& rules, const Subject& subject) {
  const std::map<int, WidthRule> named = named_rules(rules, subject);
  const std::vector<LayerWidths> layers = layer_widths(subject);
  std::vector<WidthAxis> axes;
  for (int g = 0; g < static_cast<int>(subject.channels.groups.size()); ++g) {
    if (!group_of(subject, g).changeable() || !matters(layers, g)) continue;
    const auto own = named.find(g);
    WidthAxis axis = width_axis(subject, g, own == named.end() ? rules.widths : own->second);
    if (axis.widths.size() > 1) axes.push_back(std::move(axis));
  }
  return axes;
}

std::vector<int> branch_axes(const SpaceRules& rules, const Subject& subject) {
  std::vector<int> list;
  std::vector<std::string> names;
  for (int b = 0; b < static_cast<int>(subject.branches.size()); ++b) {
    names.push_back(subject.branches[static_cast<std::size_t>(b)].name);
    if (rules.all_branches ||
        std::find(rules.branches.begin(), rules.branches.end(), names.back()) != rules.branches.end())
      list.push_back(b);
  }
  for (const std::string& name : rules.branches)
    if (std::find(names.begin(), names.end(), name) == names.end())
      throw Error(
          Code::unknown_name,
          fmt::format("there is no residual branch '{}' that could go{}", name, did_you_mean(name, names)),
          rules.place, "branches are named by the outputs of their sums");
  return list;
}

bool wanted(const SpaceRules& rules, const graph::Node& node) {
  const auto& list = rules.convolutions;
  return list.empty() || std::find(list.begin(), list.end(), node.name) != list.end() ||
         std::find(list.begin(), list.end(), node.output(0)) != list.end();
}

std::vector<KernelAxis> kernel_axes(const SpaceRules& rules, const Subject& subject) {
  std::vector<KernelAxis> axes;
  if (rules.kernels.empty()) return axes;
  std::vector<rewrite::LinearLayer> layers = rewrite::linear_layers(subject.model, subject.shapes);
  for (rewrite::LinearLayer& layer : rewrite::depthwise_layers(subject.model, subject.shapes))
    layers.push_back(std::move(layer));
  for (const rewrite::LinearLayer& layer : layers) {
    const graph::Node& node = subject.model.graph.nodes[static_cast<std::size_t>(layer.node)];
    if (!wanted(rules, node)) continue;
    KernelAxis axis{layer.node, node.output(0), {}};
    for (const rewrite::Taps& taps : rewrite::smaller_kernels(subject.model, layer))
      if (taps.kh == taps.kw &&
          std::find(rules.kernels.begin(), rules.kernels.end(), taps.kh) != rules.kernels.end())
        axis.taps.push_back(taps);
    if (!axis.taps.empty()) axes.push_back(std::move(axis));
  }
  if (axes.empty()) refuse("no convolution has a kernel that can shrink to one of these sides", rules.place);
  return axes;
}

}  // namespace

SearchSpace resolve(const SpaceRules& rules, const Subject& subject) {
  SearchSpace space{width_axes(rules, subject), branch_axes(rules, subject), kernel_axes(rules, subject)};
  if (space.widths.empty() && space.branches.empty() && space.kernels.empty())
    refuse("there is nothing to choose: no width, no branch, no kernel", rules.place);
  return space;
}

bool holds(const SearchSpace& space, const Member& member) {
  if (member.widths.size() != space.widths.size() || member.gone.size() != space.branches.size() ||
      member.kernels.size() != space.kernels.size())
    return false;
  for (std::size_t i = 0; i < space.widths.size(); ++i)
    if (!std::binary_search(space.widths[i].widths.begin(), space.widths[i].widths.end(), member.widths[i]))
      return false;
  for (std::size_t i = 0; i < space.kernels.size(); ++i)
    if (member.kernels[i] < 0 || member.kernels[i] > static_cast<int>(space.kernels[i].taps.size()))
      return false;
  return std::all_of(member.gone.begin(), member.gone.end(), [](int gone) { return gone == 0 || gone == 1; });
}

double log10_size(const SearchSpace& space) {
  double sum = static_cast<double>(space.branches.size()) * std::log10(2.0);
  for (const WidthAxis& axis : space.widths) sum += std::log10(static_cast<double>(axis.widths.size()));
  for (const KernelAxis& axis : space.kernels) sum += std::log10(static_cast<double>(axis.taps.size() + 1));
  return sum;
}

SearchSpace tail_free(const Subject& subject, const SearchSpace& space, LatencyBook& book) {
  const std::vector<LayerWidths> layers = written_layers(subject);
  std::vector<latency::Workload> needed;
  for (const WidthAxis& axis : space.widths)
    for (const LayerWidths& layer : layers)
      for (int width : axis.widths)
        if (touches(layer, axis.group)) needed.push_back(workload_at(subject, layer, {{axis.group, width}}));
  book.learn(needed);
  SearchSpace edges = space;
  for (WidthAxis& axis : edges.widths) {
    std::vector<LayerWidths> near;
    std::copy_if(layers.begin(), layers.end(), std::back_inserter(near),
                 [&](const LayerWidths& layer) { return touches(layer, axis.group); });
    std::vector<double> us;
    for (int width : axis.widths) us.push_back(layers_cost(subject, near, book, {{axis.group, width}}));
    const int whole = axis.widths.back();
    const double whole_us = us.back();
    axis.widths.pop_back(), us.pop_back();
    axis.widths = undominated(axis.widths, us, whole_us);
    axis.widths.push_back(whole);
  }
  return edges;
}

Member largest(const SearchSpace& space) {
  Member member;
  for (const WidthAxis& axis : space.widths) member.widths.push_back(axis.widths.back());
  member.gone.assign(space.branches.size(), 0), member.kernels.assign(space.kernels.size(), 0);
  return member;
}

Member smallest(const SearchSpace& space) {
  Member member;
  for (const WidthAxis& axis : space.widths) member.widths.push_back(axis.widths.front());
  member.gone.assign(space.branches.size(), 1);
  for (const KernelAxis& axis : space.kernels) member.kernels.push_back(static_cast<int>(axis.taps.size()));
  return member;
}

Member drawn(const SearchSpace& space, Random& random) {
  Member member;
  for (const WidthAxis& axis : space.widths)
    member.widths.push_back(axis.widths[random.below(axis.widths.size())]);
  for (std::size_t i = 0; i < space.branches.size(); ++i)
    member.gone.push_back(static_cast<int>(random.below(2)));
  for (const KernelAxis& axis : space.kernels)
    member.kernels.push_back(static_cast<int>(random.below(axis.taps.size() + 1)));
  return member;
}

Member without_idle_choices(const Subject& subject, const SearchSpace& space, Member member) {
  auto gone = [&](int branch) {
    const auto at = std::find(space.branches.begin(), space.branches.end(), branch);
    return at != space.branches.end() && member.gone[static_cast<std::size_t>(at - space.branches.begin())];
  };
  for (std::size_t i = 0; i < space.widths.size(); ++i) {
    const std::vector<int> around = branches_around(subject, space.widths[i].group);
    if (std::any_of(around.begin(), around.end(), gone)) member.widths[i] = space.widths[i].widths.back();
  }
  for (std::size_t i = 0; i < space.kernels.size(); ++i)
    for (int b : space.branches) {
      const std::vector<int>& nodes = subject.branches[static_cast<std::size_t>(b)].nodes;
      if (gone(b) && std::binary_search(nodes.begin(), nodes.end(), space.kernels[i].node))
        member.kernels[i] = 0;
    }
  return member;
}

Surgery surgery_of(const Subject& subject, const SearchSpace& space, const RemovalOrders& orders,
                   const Member& given) {
  const Member member = without_idle_choices(subject, space, given);
  Surgery surgery;
  for (std::size_t i = 0; i < space.widths.size(); ++i) {
    const std::vector<int>& order = orders.at(space.widths[i].group);
    const int width = member.widths[i];
    if (width == static_cast<int>(order.size())) continue;
    std::vector<int> units(order.end() - width, order.end());
    std::sort(units.begin(), units.end());
    surgery.kept[space.widths[i].group] = std::move(units);
  }
  for (std::size_t i = 0; i < space.branches.size(); ++i)
    if (member.gone[i])
      surgery.dropped.insert(subject.branches[static_cast<std::size_t>(space.branches[i])].name);
  for (std::size_t i = 0; i < space.kernels.size(); ++i)
    if (member.kernels[i] > 0)
      surgery.kernels[space.kernels[i].layer] =
          space.kernels[i].taps[static_cast<std::size_t>(member.kernels[i]) - 1];
  return surgery;
}

std::string describe(const Subject& subject, const SearchSpace& space, const Member& member) {
  std::vector<std::string> widths, rest;
  for (std::size_t i = 0; i < space.widths.size(); ++i)
    if (member.widths[i] != space.widths[i].widths.back())
      widths.push_back(fmt::format("{} {}", group_of(subject, space.widths[i].group).name, member.widths[i]));
  if (!widths.empty()) rest.push_back(fmt::format("{}", fmt::join(widths, ", ")));
  for (std::size_t i = 0; i < space.branches.size(); ++i)
    if (member.gone[i])
      rest.push_back("without " + subject.branches[static_cast<std::size_t>(space.branches[i])].name);
  for (std::size_t i = 0; i < space.kernels.size(); ++i)
    if (member.kernels[i] > 0)
      rest.push_back(fmt::format(
          "{} {}", space.kernels[i].layer,
          rewrite::to_string(space.kernels[i].taps[static_cast<std::size_t>(member.kernels[i]) - 1])));
  return rest.empty() ? "the whole network" : fmt::format("{}", fmt::join(rest, "; "));
}

std::string key_of(const Member& member) {
  return fmt::format("{};{};{}", fmt::join(member.widths, ","), fmt::join(member.gone, ","),
                     fmt::join(member.kernels, ","));
}

}  // namespace tailor::pipeline
