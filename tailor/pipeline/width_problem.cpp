// Variables       groups first, then branches
// layer_widths    which groups lie on the axes of each layer; folded_layer: of what may stand for a branch
// width_problem   one factor per layer (latency), per group and per branch (loss)
// merge           a choice back to a surgery on the original, by original_atoms
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
    v.candidates.push_back(1 + static_cast<int>(b.options.size()));
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
      if (choice[i] != 0) return false;
    } else {
      const GroupCandidates& g = table.groups[scope[i]];
      widths[g.group] = g.widths[choice[i]].width;
    }
  }
  return true;
}

// Branches that hold every layer that makes or reads the group: without the branch its width is irrelevant.
std::vector<int> branches_around(const Subject& subject, int group, const Variables& v) {
  std::vector<int> list;
  for (auto [branch, variable] : v.of_branch) {
    bool all = true, any = false;
    for (const graph::LayerChannels& layer : subject.channels.layers)
      if (contains_group(subject.channels, layer.out, group) ||
          contains_group(subject.channels, layer.in, group))
        any = true, all = all && in_branch(subject, branch, layer.node);
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
    bool gone = std::any_of(choice.begin() + 1, choice.end(), [](int c) { return c != 0; });
    factor.table.push_back({0, gone ? 0 : table.groups[index].widths[choice[0]].loss});
  });
  return factor;
}

// A convolution that stands for a branch when its variable has one certain value.
struct Folded {
  LayerWidths layer;
  std::vector<int> scope;  // the branch's variable last
  int value = 0;
};

std::vector<Folded> folded_layers(const Subject& subject, const CandidateTable& table, const Variables& v) {
  std::vector<Folded> list;
  for (std::size_t i = 0; i < table.branches.size(); ++i)
    for (std::size_t o = 0; o < table.branches[i].options.size(); ++o) {
      if (table.branches[i].options[o].kernel == 0) continue;
      Folded f{folded_layer(subject, table.branches[i].branch, table.branches[i].options[o].kernel),
               {},
               static_cast<int>(o) + 1};
      for (const auto* side : {&f.layer.in, &f.layer.out})
        for (auto [group, each] : *side)
          if (auto it = v.of_group.find(group);
              it != v.of_group.end() &&
              std::find(f.scope.begin(), f.scope.end(), it->second) == f.scope.end())
            f.scope.push_back(it->second);
      f.scope.push_back(v.of_branch[i].second);
      list.push_back(std::move(f));
    }
  return list;
}

std::map<int, int> group_widths(const CandidateTable& table, const std::vector<int>& scope,
                                const std::vector<int>& choice) {
  std::map<int, int> widths;
  for (std::size_t i = 0; i < scope.size(); ++i)
    if (scope[i] < static_cast<int>(table.groups.size())) {
      const GroupCandidates& g = table.groups[scope[i]];
      widths[g.group] = g.widths[choice[i]].width;
    }
  return widths;
}

plan::Factor folded_factor(const Subject& subject, const CandidateTable& table, const Folded& folded,
                           const Variables& v, const std::map<Workload, double>& latency) {
  plan::Factor factor{folded.scope, {}};
  for_each_choice(factor.scope, v.candidates, [&](const std::vector<int>& choice) {
    bool there = choice.back() == folded.value;
    Workload w = workload_at(subject, folded.layer, group_widths(table, folded.scope, choice));
    factor.table.push_back({there ? folded.layer.correction * latency.at(w) : 0, 0});
  });
  return factor;
}

plan::Factor branch_loss(const BranchCandidate& branch, int variable) {
  plan::Factor factor{{variable}, {{0, 0}}};
  for (const BranchOption& option : branch.options) factor.table.push_back({0, option.loss});
  return factor;
}

}  // namespace

LayerWidths folded_layer(const Subject& subject, int branch, int kernel) {
  const rewrite::Branch& b = subject.branches[static_cast<std::size_t>(branch)];
  graph::Model model = rewrite::fold_branch(subject.model, subject.shapes, b, kernel);
  std::string value = rewrite::folded_value(b, kernel);
  for (const latency::LayerWorkload& layer :
       latency::extract_workloads(model, graph::infer_shapes(model, subject.overrides))) {
    if (model.graph.nodes[layer.node].output(0) != value) continue;
    LayerWidths widths{layer.workload, -1, {}, {}, 0, 0, 1};
    std::string from = rewrite::branch_input(subject.model, subject.shapes, b);
    auto axis = [&](const std::string& name, std::int64_t width, auto& parts, int& fixed) {
      auto it = subject.channels.values.find({name, 1});
      if (it == subject.channels.values.end())
        fixed = static_cast<int>(width);
      else
        parts = per_unit(subject, it->second, fixed);
    };
    axis(from, layer.workload.ic, widths.in, widths.fixed_in);
    axis(b.operand, layer.workload.oc, widths.out, widths.fixed_out);
    return widths;
  }
  throw Error(Code::bad_cut, "the shape of the folded branch is unknown", b.name);
}

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
  for (const Folded& folded : folded_layers(subject, table, v))
    for_each_choice(folded.scope, v.candidates, [&](const std::vector<int>& choice) {
      needed.insert(workload_at(subject, folded.layer, group_widths(table, folded.scope, choice)));
    });
  return {needed.begin(), needed.end()};
}

plan::Problem width_problem(const Subject& subject, const std::vector<LayerWidths>& layers,
                            const CandidateTable& table, const std::map<Workload, double>& latency) {
  Variables v = variables(table);
  plan::Problem problem;
  for (const GroupCandidates& g : table.groups)
    problem.variables.push_back({subject.channels.groups[g.group].name, static_cast<int>(g.widths.size())});
  for (const BranchCandidate& b : table.branches)
    problem.variables.push_back({subject.branches[b.branch].name, 1 + static_cast<int>(b.options.size())});
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
  for (const Folded& folded : folded_layers(subject, table, v))
    problem.factors.push_back(folded_factor(subject, table, folded, v, latency));
  for (std::size_t i = 0; i < table.groups.size(); ++i)
    problem.factors.push_back(loss_factor(subject, table, i, v));
  for (std::size_t i = 0; i < table.branches.size(); ++i)
    problem.factors.push_back(branch_loss(table.branches[i], v.of_branch[i].second));
  return problem;
}

// Atoms of the present subject -> atoms of the original, through the operands that both bind and the values
// that both have (a convolution in place of a branch is bound in the present one only).
namespace {
class OriginalAtoms {
 public:
  OriginalAtoms(const Subject& original, const Surgery& surgery)
      : keep_(rewrite::kept_atoms(original.channels, {surgery.kept})) {}

  void relate(const graph::Label& then, const graph::Label& now) {
    std::size_t i = 0;
    for (int atom : *then)
      if (keep_[atom] && i < now->size()) found[(*now)[i++]].insert(atom);
  }
  std::map<int, std::set<int>> found;

 private:
  std::vector<bool> keep_;
};

std::map<int, std::set<int>> original_atoms(const Subject& original, const Surgery& surgery,
                                            const Subject& present) {
  using OperandAxis = std::tuple<std::string, int, int>;  // output of the node, input, axis
  std::map<OperandAxis, graph::Label> before;
  for (const graph::Binding& b : original.channels.bindings)
    before[{original.model.graph.nodes[b.node].output(0), b.input, b.axis}] = b.label;
  OriginalAtoms atoms(original, surgery);
  for (const graph::Binding& b : present.channels.bindings) {
    auto it = before.find({present.model.graph.nodes[b.node].output(0), b.input, b.axis});
    if (it != before.end()) atoms.relate(it->second, b.label);
  }
  for (const auto& [value, label] : present.channels.values)
    if (auto it = original.channels.values.find(value); it != original.channels.values.end())
      atoms.relate(it->second, label);
  return std::move(atoms.found);
}

// Groups of the original all of whose layers lie in the branch.
std::vector<int> groups_inside(const Subject& original, const rewrite::Branch& branch) {
  std::vector<int> inside;
  for (int g = 0; g < static_cast<int>(original.channels.groups.size()); ++g) {
    bool all = true, any = false;
    for (const graph::LayerChannels& layer : original.channels.layers)
      if (contains_group(original.channels, layer.out, g) || contains_group(original.channels, layer.in, g))
        any = true, all = all && std::binary_search(branch.nodes.begin(), branch.nodes.end(), layer.node);
    if (any && all) inside.push_back(g);
  }
  return inside;
}

void replace_branch(Surgery& surgery, const Subject& original, const std::string& name, int kernel) {
  surgery.folded.erase(name);
  for (const rewrite::Branch& branch : original.branches)
    if (branch.name == name)
      for (int group : groups_inside(original, branch)) surgery.kept.erase(group);
  if (kernel == 0)
    surgery.dropped.insert(name);
  else
    surgery.folded[name] = kernel;
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
                    [&](int variable) { return choice[static_cast<std::size_t>(variable)] != 0; }))
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
    if (int c = choice[table.groups.size() + i]; c != 0)
      replace_branch(surgery, original, present.branches[table.branches[i].branch].name,
                     table.branches[i].options[static_cast<std::size_t>(c) - 1].kernel);
  return surgery;
}

}  // namespace tailor::pipeline
