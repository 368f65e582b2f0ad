// original_atoms  atoms of the present subject in the original's terms
// shared_groups   those whose units are none of the original's in pieces
// shared_branches the original's branches, found again; those that have grown are left out
// merge           widths, then kernels, then branches, then tokens; what lies in a branch that goes is forgotten
#include "tailor/pipeline/merge.h"

#include "tailor/pipeline/fewer_tokens.h"
#include "tailor/pipeline/readers.h"
#include "tailor/pipeline/width_problem.h"
#include "tailor/rewrite/fold.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace tailor::pipeline {
namespace {

// Atoms of the present subject -> atoms of the original, through the operands that both bind and the values
// that both have (a convolution in place of a branch is bound in the present one only).
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

std::set<int> shared(const std::map<int, std::set<int>>& atoms_of, const Subject& present) {
  std::set<int> groups;
  for (int g = 0; g < static_cast<int>(present.channels.groups.size()); ++g) {
    std::set<int> taken;
    bool whole = true;
    for (int atom : present.channels.groups[static_cast<std::size_t>(g)].atoms) {
      auto it = atoms_of.find(atom);
      whole = whole && it != atoms_of.end();
      if (whole)
        for (int then : it->second) whole = taken.insert(then).second && whole;
    }
    if (whole) groups.insert(g);
  }
  return groups;
}

bool encloses(const rewrite::Branch& outer, const rewrite::Branch& inner) {
  return std::binary_search(outer.nodes.begin(), outer.nodes.end(), inner.sum);
}

// Is every value of the present branch one of the original's branch, or of what one of the branches there was folded into?
bool lies_in(const graph::Model& present, const rewrite::Branch& now, const Subject& original,
             const rewrite::Branch& then) {
  std::set<std::string> values;
  for (int node : then.nodes)
    for (const std::string& value : original.model.graph.nodes[static_cast<std::size_t>(node)].outputs)
      values.insert(value);
  for (const rewrite::Branch& branch : original.branches)
    if (branch.name == then.name || encloses(then, branch))
      for (int kernel : rewrite::fold_kernels(original.model, original.shapes, branch))
        values.insert(rewrite::folded_value(branch, kernel));
  return std::all_of(now.nodes.begin(), now.nodes.end(), [&](int node) {
    return values.contains(present.graph.nodes[static_cast<std::size_t>(node)].output(0));
  });
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

void forget_fold(Surgery& surgery, const rewrite::Branch& branch) {
  if (auto folded = surgery.folded.find(branch.name); folded != surgery.folded.end()) {
    surgery.kernels.erase(rewrite::folded_value(branch, folded->second));
    surgery.folded.erase(folded);
  }
}

// What was decided about layers of the branch, and about branches in it, no longer matters.
void forget_branch(Surgery& surgery, const Subject& original, const rewrite::Branch& branch) {
  for (int group : groups_inside(original, branch)) surgery.kept.erase(group);
  for (int node : branch.nodes)
    surgery.kernels.erase(original.model.graph.nodes[static_cast<std::size_t>(node)].output(0));
  forget_fold(surgery, branch);
  for (const rewrite::Branch& inner : original.branches)
    if (encloses(branch, inner)) forget_fold(surgery, inner), surgery.dropped.erase(inner.name);
}

void replace_branch(Surgery& surgery, const Subject& original, const std::string& name, int kernel) {
  for (const rewrite::Branch& branch : original.branches)
    if (branch.name == name) forget_branch(surgery, original, branch);
  if (kernel == 0)
    surgery.dropped.insert(name);
  else
    surgery.folded[name] = kernel;
}

// Units kept of every group once these atoms are gone besides those that were before.
void remove_atoms(Surgery& surgery, const Subject& original, const Surgery& before,
                  const std::set<int>& removed) {
  std::vector<bool> keep = rewrite::kept_atoms(original.channels, {before.kept});
  for (int atom : removed) surgery.kept[original.channels.atoms[atom].group].clear();
  for (auto& [group, kept] : surgery.kept) {
    kept.clear();
    const std::vector<int>& atoms = original.channels.groups[group].atoms;
    for (std::size_t unit = 0; unit < atoms.size(); ++unit)
      if (keep[atoms[unit]] && !removed.contains(atoms[unit])) kept.push_back(static_cast<int>(unit));
  }
}

// The planner's answer in the table's terms: what is chosen instead of keeping, or nullptr.
struct Choice {
  const CandidateTable& table;
  const std::vector<int>& choice;

  const WidthCandidate& width(std::size_t i) const {
    return table.groups[i].widths[static_cast<std::size_t>(choice[i])];
  }
  const BranchOption* branch(std::size_t i) const {
    auto c = static_cast<std::size_t>(choice[table.groups.size() + i]);
    return c == 0 ? nullptr : &table.branches[i].options[c - 1];
  }
  // True if a branch goes that the present subject's branch is part of.
  bool goes_with_another(const Subject& present, int branch_index) const {
    const rewrite::Branch& inner = present.branches[static_cast<std::size_t>(branch_index)];
    for (std::size_t i = 0; i < table.branches.size(); ++i)
      if (branch(i) && encloses(present.branches[static_cast<std::size_t>(table.branches[i].branch)], inner))
        return true;
    return false;
  }
  const rewrite::Taps* kernel(std::size_t i) const {
    auto c = static_cast<std::size_t>(choice[table.groups.size() + table.branches.size() + i]);
    return c == 0 ? nullptr : &table.kernels[i].options[c - 1].taps;
  }
  const TokenOption* tokens() const {
    if (table.tokens.empty()) return nullptr;
    auto c =
        static_cast<std::size_t>(choice[table.groups.size() + table.branches.size() + table.kernels.size()]);
    return c == 0 ? nullptr : &table.tokens[c - 1];
  }
  // True if a branch goes that holds all that makes or reads the group.
  bool moot(const Subject& present, int group) const {
    std::vector<int> around = branches_around(present, group);
    for (std::size_t i = 0; i < table.branches.size(); ++i)
      if (branch(i) && std::binary_search(around.begin(), around.end(), table.branches[i].branch))
        return true;
    return false;
  }
};

void merge_widths(Surgery& surgery, const Subject& original, const Surgery& before, const Subject& present,
                  const Choice& chosen) {
  surgery.added.clear();  // zeros are not part of the present network: they are chosen anew
  std::map<int, std::set<int>> atoms_of = original_atoms(original, before, present);
  const std::set<int> sharing = shared(atoms_of, present);
  std::set<int> removed;  // atoms of the original: dropped branches may have joined or parted its groups
  for (std::size_t i = 0; i < chosen.table.groups.size(); ++i) {
    if (chosen.moot(present, chosen.table.groups[i].group) || !sharing.contains(chosen.table.groups[i].group))
      continue;
    const WidthCandidate& width = chosen.width(i);
    const graph::ChannelGroup& group = present.channels.groups[chosen.table.groups[i].group];
    if (width.width > group.width())
      surgery.added[original.channels.atoms[*atoms_of[group.atoms[0]].begin()].group] =
          width.width - group.width();
    for (int unit = 0; unit < group.width(); ++unit)
      if (!std::binary_search(width.kept.begin(), width.kept.end(), unit)) {
        const std::set<int>& then = atoms_of[group.atoms[unit]];
        removed.insert(then.begin(), then.end());
      }
  }
  remove_atoms(surgery, original, before, removed);
}

void shrink_kernel(Surgery& surgery, const std::string& layer, const rewrite::Taps& taps) {
  auto [known, fresh] = surgery.kernels.emplace(layer, taps);
  if (!fresh) known->second = rewrite::within(known->second, taps);
}

// Places of the present network's tokens are some of the original's.
void merge_tokens(Surgery& surgery, const Subject& original, const TokenOption& option) {
  const std::vector<int> left = places_left(original, surgery.tokens, option.site, option.axis);
  TokenCut cut{option.axis, {}};
  for (int place : option.kept) cut.kept.push_back(left.at(static_cast<std::size_t>(place)));
  surgery.tokens[option.site] = std::move(cut);
}

}  // namespace

std::map<int, int> original_groups(const Subject& original, const Surgery& surgery, const Subject& present) {
  std::map<int, int> found;
  for (const auto& [now, then] : original_atoms(original, surgery, present))
    found.emplace(present.channels.atoms[now].group, original.channels.atoms[*then.begin()].group);
  return found;
}

std::set<int> shared_groups(const Subject& original, const Surgery& surgery, const Subject& present) {
  return shared(original_atoms(original, surgery, present), present);
}

std::vector<rewrite::Branch> shared_branches(const Subject& original, const Subject& present) {
  std::vector<rewrite::Branch> found;
  for (const rewrite::Branch& then : original.branches) {
    auto now =
        rewrite::branch_at(present.model, present.shapes, then.name, rewrite::side_of(original.model, then));
    if (now && lies_in(present.model, *now, original, then)) found.push_back(std::move(*now));
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.sum < b.sum; });
  return found;
}

Surgery merge(const Subject& original, const Surgery& before, const Subject& present,
              const CandidateTable& table, const std::vector<int>& choice) {
  Surgery surgery = before;
  Choice chosen{table, choice};
  merge_widths(surgery, original, before, present, chosen);
  for (std::size_t i = 0; i < table.kernels.size(); ++i)
    if (const rewrite::Taps* taps = chosen.kernel(i)) shrink_kernel(surgery, table.kernels[i].layer, *taps);
  for (std::size_t i = 0; i < table.branches.size(); ++i)
    if (const BranchOption* option = chosen.branch(i);
        option && !chosen.goes_with_another(present, table.branches[i].branch))
      replace_branch(surgery, original, present.branches[table.branches[i].branch].name, option->kernel);
  if (const TokenOption* option = chosen.tokens()) merge_tokens(surgery, original, *option);
  return surgery;
}

}  // namespace tailor::pipeline
