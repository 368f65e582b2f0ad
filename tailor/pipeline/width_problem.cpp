#include "tailor/pipeline/width_problem.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace tailor::pipeline {
namespace {

using latency::Workload;

std::vector<std::pair<int, int>> per_unit(const Subject& subject, const graph::Label& label, int& fixed) {
  std::vector<std::pair<int, int>> list;
  for (auto [group, positions] : subject.channels.composition(label)) {
    const graph::ChannelGroup& g = subject.channels.groups[group];
    if (g.changeable())
      list.emplace_back(group, positions / g.width());
    else
      fixed += positions;
  }
  return list;
}

std::int64_t total(const Subject& subject, const std::vector<std::pair<int, int>>& parts, int fixed,
                   const std::map<int, int>& widths) {
  std::int64_t sum = fixed;
  for (auto [group, each] : parts) {
    auto it = widths.find(group);
    sum += std::int64_t{each} * (it == widths.end() ? subject.channels.groups[group].width() : it->second);
  }
  return sum;
}

// Variables of the problem and the groups they stand for.
struct Variables {
  std::map<int, int> of_group;                 // group -> variable
  std::vector<std::pair<int, int>> of_branch;  // (branch, variable)
  std::vector<int> candidates;
};

Variables variables(const CandidateTable& table) {
  Variables v;
  for (const GroupCandidates& g : table.groups) {
    v.of_group[g.group] = static_cast<int>(v.candidates.size());
    v.candidates.push_back(static_cast<int>(g.widths.size()));
  }
  for (const BranchCandidate& b : table.branches) {
    v.of_branch.emplace_back(b.branch, static_cast<int>(v.candidates.size()));
    v.candidates.push_back(2);
  }
  return v;
}

bool in_branch(const Subject& subject, int branch, int node) {
  const std::vector<int>& nodes = subject.branches[branch].nodes;
  return std::binary_search(nodes.begin(), nodes.end(), node);
}

// Variables that decide a layer's latency: groups on its axes, branches that it lies in.
std::vector<int> scope_of(const Subject& subject, const LayerWidths& layer, const Variables& v) {
  std::vector<int> scope;
  auto add = [&](int variable) {
    if (std::find(scope.begin(), scope.end(), variable) == scope.end()) scope.push_back(variable);
  };
  for (const auto* side : {&layer.in, &layer.out})
    for (auto [group, each] : *side)
      if (auto it = v.of_group.find(group); it != v.of_group.end()) add(it->second);
  for (auto [branch, variable] : v.of_branch)
    if (in_branch(subject, branch, layer.node)) add(variable);
  return scope;
}

// Calls f(choice of the scope) for every combination, the last variable fastest.
template <class F>
void for_each_choice(const std::vector<int>& scope, const std::vector<int>& candidates, F f) {
  std::vector<int> choice(scope.size(), 0);
  while (true) {
    f(choice);
    std::size_t i = scope.size();
    while (i > 0 && ++choice[i - 1] == candidates[scope[i - 1]]) choice[--i] = 0;
    if (i == 0) return;
  }
}

// Widths that a choice means for the layer; false if the layer is gone with its branch.
bool widths_of(const CandidateTable& table, const std::vector<int>& scope, const std::vector<int>& choice,
               std::map<int, int>& widths) {
  auto groups = static_cast<int>(table.groups.size());
  for (std::size_t i = 0; i < scope.size(); ++i) {
    if (scope[i] >= groups) {
      if (choice[i] == 1) return false;
    } else {
      const GroupCandidates& g = table.groups[scope[i]];
      widths[g.group] = g.widths[choice[i]].width;
    }
  }
  return true;
}

// Branches that hold every producing layer of the group: dropping one of them makes the group's width
// irrelevant.
std::vector<int> branches_around(const Subject& subject, int group, const Variables& v) {
  std::vector<int> list;
  for (auto [branch, variable] : v.of_branch) {
    bool all = true, any = false;
    for (const graph::LayerChannels& layer : subject.channels.layers) {
      if (!layer.out || std::none_of(layer.out->begin(), layer.out->end(),
                                     [&](int atom) { return subject.channels.atoms[atom].group == group; }))
        continue;
      any = true, all = all && in_branch(subject, branch, layer.node);
    }
    if (any && all) list.push_back(variable);
  }
  return list;
}

plan::Factor loss_factor(const Subject& subject, const CandidateTable& table, std::size_t index,
                         const Variables& v) {
  plan::Factor factor;
  factor.scope = {static_cast<int>(index)};
  for (int variable : branches_around(subject, table.groups[index].group, v))
    factor.scope.push_back(variable);
  for_each_choice(factor.scope, v.candidates, [&](const std::vector<int>& choice) {
    bool gone = std::any_of(choice.begin() + 1, choice.end(), [](int c) { return c == 1; });
    factor.table.push_back({0, gone ? 0 : table.groups[index].widths[choice[0]].loss});
  });
  return factor;
}

}  // namespace

std::vector<LayerWidths> layer_widths(const Subject& subject) {
  std::map<int, graph::LayerChannels> channels;
  for (const graph::LayerChannels& layer : subject.channels.layers) channels[layer.node] = layer;
  std::vector<LayerWidths> list;
  for (const latency::LayerWorkload& layer : subject.layers) {
    LayerWidths widths{layer.workload, layer.node, {}, {}, 0, 0, 1};
    auto it = channels.find(layer.node);
    if (it != channels.end() && it->second.in)
      widths.in = per_unit(subject, it->second.in, widths.fixed_in);
    else
      widths.fixed_in = static_cast<int>(layer.workload.ic);
    if (it != channels.end() && it->second.out)
      widths.out = per_unit(subject, it->second.out, widths.fixed_out);
    else
      widths.fixed_out = static_cast<int>(layer.workload.oc);
    list.push_back(std::move(widths));
  }
  return list;
}

Workload workload_at(const Subject& subject, const LayerWidths& layer, const std::map<int, int>& widths) {
  Workload w = layer.workload;
  bool depthwise = w.g > 1 && w.g == w.ic;
  w.ic = total(subject, layer.in, layer.fixed_in, widths);
  w.oc = total(subject, layer.out, layer.fixed_out, widths);
  if (depthwise) w.g = w.ic;
  return w;
}

std::vector<Workload> needed_workloads(const Subject& subject, const std::vector<LayerWidths>& layers,
                                       const CandidateTable& table) {
  Variables v = variables(table);
  std::set<Workload> needed;
  for (const LayerWidths& layer : layers) {
    std::vector<int> scope = scope_of(subject, layer, v);
    for_each_choice(scope, v.candidates, [&](const std::vector<int>& choice) {
      std::map<int, int> widths;
      if (widths_of(table, scope, choice, widths)) needed.insert(workload_at(subject, layer, widths));
    });
  }
  return {needed.begin(), needed.end()};
}

plan::Problem width_problem(const Subject& subject, const std::vector<LayerWidths>& layers,
                            const CandidateTable& table, const std::map<Workload, double>& latency) {
  Variables v = variables(table);
  plan::Problem problem;
  for (const GroupCandidates& g : table.groups)
    problem.variables.push_back({subject.channels.groups[g.group].name, static_cast<int>(g.widths.size())});
  for (const BranchCandidate& b : table.branches)
    problem.variables.push_back({subject.branches[b.branch].name, 2});
  for (const LayerWidths& layer : layers) {
    plan::Factor factor{scope_of(subject, layer, v), {}};
    for_each_choice(factor.scope, v.candidates, [&](const std::vector<int>& choice) {
      std::map<int, int> widths;
      bool there = widths_of(table, factor.scope, choice, widths);
      factor.table.push_back(
          {there ? layer.correction * latency.at(workload_at(subject, layer, widths)) : 0, 0});
    });
    problem.factors.push_back(std::move(factor));
  }
  for (std::size_t i = 0; i < table.groups.size(); ++i)
    problem.factors.push_back(loss_factor(subject, table, i, v));
  for (std::size_t i = 0; i < table.branches.size(); ++i)
    problem.factors.push_back({{v.of_branch[i].second}, {{0, 0}, {0, table.branches[i].loss}}});
  return problem;
}

// Atoms of the present subject -> atoms of the original, through the operands that both bind.
namespace {
std::map<int, std::set<int>> original_atoms(const Subject& original, const Surgery& surgery,
                                            const Subject& present) {
  using OperandAxis = std::tuple<std::string, int, int>;  // output of the node, input, axis
  std::vector<bool> keep = rewrite::kept_atoms(original.channels, {surgery.kept});
  std::map<OperandAxis, graph::Label> before;
  for (const graph::Binding& b : original.channels.bindings)
    before[{original.model.graph.nodes[b.node].output(0), b.input, b.axis}] = b.label;
  std::map<int, std::set<int>> found;
  for (const graph::Binding& b : present.channels.bindings) {
    auto it = before.find({present.model.graph.nodes[b.node].output(0), b.input, b.axis});
    if (it == before.end()) continue;
    std::size_t i = 0;
    for (int atom : *it->second)
      if (keep[atom] && i < b.label->size()) found[(*b.label)[i++]].insert(atom);
  }
  return found;
}
}  // namespace

std::map<int, int> original_groups(const Subject& original, const Surgery& surgery, const Subject& present) {
  std::map<int, int> found;
  for (const auto& [now, then] : original_atoms(original, surgery, present))
    found.emplace(present.channels.atoms[now].group, original.channels.atoms[*then.begin()].group);
  return found;
}

Surgery merge(const Subject& original, const Surgery& before, const Subject& present,
              const CandidateTable& table, const std::vector<int>& choice) {
  Surgery surgery = before;
  surgery.added.clear();  // zeros are not part of the present network: they are chosen anew
  Variables v = variables(table);
  std::map<int, std::set<int>> atoms_of = original_atoms(original, before, present);
  std::set<int> removed;  // atoms of the original: dropped branches may have joined or parted its groups
  for (std::size_t i = 0; i < table.groups.size(); ++i) {
    const GroupCandidates& g = table.groups[i];
    std::vector<int> around = branches_around(present, g.group, v);
    if (std::any_of(around.begin(), around.end(),
                    [&](int variable) { return choice[static_cast<std::size_t>(variable)] == 1; }))
      continue;
    const WidthCandidate& chosen = g.widths[choice[i]];
    const graph::ChannelGroup& group = present.channels.groups[g.group];
    if (chosen.width > group.width() && atoms_of.contains(group.atoms[0]))
      surgery.added[original.channels.atoms[*atoms_of[group.atoms[0]].begin()].group] =
          chosen.width - group.width();
    for (int unit = 0; unit < group.width(); ++unit)
      if (!std::binary_search(chosen.kept.begin(), chosen.kept.end(), unit)) {
        const std::set<int>& then = atoms_of[group.atoms[unit]];
        removed.insert(then.begin(), then.end());
      }
  }
  std::vector<bool> keep = rewrite::kept_atoms(original.channels, {before.kept});
  for (int atom : removed) surgery.kept[original.channels.atoms[atom].group].clear();
  for (auto& [group, kept] : surgery.kept) {
    kept.clear();
    const std::vector<int>& atoms = original.channels.groups[group].atoms;
    for (std::size_t unit = 0; unit < atoms.size(); ++unit)
      if (keep[atoms[unit]] && !removed.contains(atoms[unit])) kept.push_back(static_cast<int>(unit));
  }
  for (std::size_t i = 0; i < table.branches.size(); ++i)
    if (choice[table.groups.size() + i] == 1)
      surgery.dropped.insert(present.branches[table.branches[i].branch].name);
  return surgery;
}

}  // namespace tailor::pipeline
