// Variables       groups first, then branches, then kernels, then one for all tokens
// layer_widths    which groups lie on the axes of each layer; folded_layer: of what may stand for a branch
// width_problem   one factor per layer (latency), per group, per branch and per kernel (loss)
#include "tailor/pipeline/width_problem.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/readers.h"
#include "tailor/rewrite/absorb.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

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
  std::map<int, int> of_kernel;                // node -> variable
  int of_tokens = -1;                          // or none
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
  for (const KernelCandidate& k : table.kernels) {
    v.of_kernel[k.node] = static_cast<int>(v.candidates.size());
    v.candidates.push_back(1 + static_cast<int>(k.options.size()));
  }
  if (!table.tokens.empty()) {
    v.of_tokens = static_cast<int>(v.candidates.size());
    v.candidates.push_back(1 + static_cast<int>(table.tokens.size()));
  }
  return v;
}

bool in_branch(const Subject& subject, int branch, int node) {
  const std::vector<int>& nodes = subject.branches[branch].nodes;
  return std::binary_search(nodes.begin(), nodes.end(), node);
}

// Variables that decide a layer's latency: groups on its axes, branches that it lies in, its kernel, the tokens.
std::vector<int> scope_of(const Subject& subject, const LayerWidths& layer, const CandidateTable& table,
                          const Variables& v) {
  std::vector<int> scope;
  auto add = [&](int variable) {
    if (std::find(scope.begin(), scope.end(), variable) == scope.end()) scope.push_back(variable);
  };
  for (const auto* side : {&layer.in, &layer.out})
    for (auto [group, each] : *side)
      if (auto it = v.of_group.find(group); it != v.of_group.end()) add(it->second);
  for (auto [branch, variable] : v.of_branch)
    if (in_branch(subject, branch, layer.node)) add(variable);
  if (auto it = v.of_kernel.find(layer.node); it != v.of_kernel.end()) add(it->second);
  if (std::any_of(table.tokens.begin(), table.tokens.end(),
                  [&](const TokenOption& option) { return option.layers.contains(layer.node); }))
    add(v.of_tokens);
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

// On which side the larger padding is makes no difference to the time: fewer workloads to measure.
Workload larger_padding_first(Workload w) {
  if (w.pt < w.pb) std::swap(w.pt, w.pb);
  if (w.pl < w.pr) std::swap(w.pl, w.pr);
  return w;
}

// The workload with a part of its kernel.
Workload with_taps(Workload w, const rewrite::Taps& taps) {
  w.pt -= taps.top * w.dh, w.pl -= taps.left * w.dw;
  w.pb -= (w.kh - taps.top - taps.kh) * w.dh, w.pr -= (w.kw - taps.left - taps.kw) * w.dw;
  w.kh = taps.kh, w.kw = taps.kw;
  return larger_padding_first(w);
}

// What a choice means for a layer: its workload with the whole kernel and all tokens, the taps that stay of it, and the
// workload at the present widths with the tokens that stay.
struct LayerChoice {
  Workload whole;
  const rewrite::Taps* taps = nullptr;
  const Workload* fewer = nullptr;
};

// nullopt if the layer is gone with its branch.
std::optional<LayerChoice> choice_for(const Subject& subject, const LayerWidths& layer,
                                      const CandidateTable& table, const std::vector<int>& scope,
                                      const std::vector<int>& choice) {
  std::map<int, int> widths;
  LayerChoice chosen;
  std::size_t groups = table.groups.size(), kernels = groups + table.branches.size(),
              tokens = kernels + table.kernels.size();
  for (std::size_t i = 0; i < scope.size(); ++i) {
    auto variable = static_cast<std::size_t>(scope[i]), candidate = static_cast<std::size_t>(choice[i]);
    if (variable < groups)
      widths[table.groups[variable].group] = table.groups[variable].widths[candidate].width;
    else if (candidate != 0 && variable < kernels)
      return std::nullopt;
    else if (candidate != 0 && variable == tokens) {
      const auto& layers = table.tokens[candidate - 1].layers;
      if (auto it = layers.find(layer.node); it != layers.end()) chosen.fewer = &it->second;
    } else if (candidate != 0)
      chosen.taps = &table.kernels[variable - kernels].options[candidate - 1].taps;
  }
  chosen.whole = workload_at(subject, layer, widths);
  return chosen;
}

// What a smaller kernel or fewer tokens save is measured at the present widths, and taken for the same share at others.
double latency_of(const LayerWidths& layer, const LayerChoice& choice,
                  const std::map<Workload, double>& latency) {
  double us = layer.correction * latency.at(choice.whole);
  const double whole = choice.taps || choice.fewer ? latency.at(layer.workload) : 1;
  if (choice.taps) us *= latency.at(with_taps(layer.workload, *choice.taps)) / whole;
  if (choice.fewer) us *= latency.at(*choice.fewer) / whole;
  return us;
}

// The planner knows no negative times: what the fastest saves is added to all (width_problem.h).
plan::Factor token_factor(const CandidateTable& table, int variable) {
  const double floor = tokens_saving(table);
  plan::Factor factor{{variable}, {{floor, 0}}};
  for (const TokenOption& option : table.tokens)
    factor.table.push_back({option.beside_us + floor, option.loss});
  return factor;
}

plan::Factor kernel_loss(const Subject& subject, const KernelCandidate& kernel, const Variables& v) {
  plan::Factor factor{{v.of_kernel.at(kernel.node)}, {}};
  for (auto [branch, variable] : v.of_branch)
    if (in_branch(subject, branch, kernel.node)) factor.scope.push_back(variable);
  for_each_choice(factor.scope, v.candidates, [&](const std::vector<int>& choice) {
    bool matters =
        choice[0] != 0 && std::all_of(choice.begin() + 1, choice.end(), [](int c) { return c == 0; });
    factor.table.push_back({0, matters ? kernel.options[static_cast<std::size_t>(choice[0]) - 1].loss : 0});
  });
  return factor;
}

plan::Factor loss_factor(const Subject& subject, const CandidateTable& table, std::size_t index,
                         const Variables& v) {
  plan::Factor factor;
  factor.scope = {static_cast<int>(index)};
  std::vector<int> around = branches_around(subject, table.groups[index].group);
  for (auto [branch, variable] : v.of_branch)
    if (std::binary_search(around.begin(), around.end(), branch)) factor.scope.push_back(variable);
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

// The same layer without the sum behind it.
Workload without_sum(Workload w) {
  for (const char* word : {"add+", "+add", "add"})
    if (std::size_t at = w.post.find(word); at != std::string::npos) {
      w.post.erase(at, std::string_view(word).size());
      break;
    }
  return w;
}

}  // namespace

double tokens_saving(const CandidateTable& table) {
  double most = 0;
  for (const TokenOption& option : table.tokens) most = std::max(most, -option.beside_us);
  return most;
}

LayerWidths folded_layer(const Subject& subject, int branch, int kernel) {
  const rewrite::Branch& b = subject.branches[static_cast<std::size_t>(branch)];
  graph::Model model = rewrite::fold_branch(subject.model, subject.shapes, b, kernel);
  std::string value = rewrite::folded_value(b, kernel);
  graph::Shapes shapes = graph::infer_shapes(model, subject.overrides);
  for (const latency::LayerWorkload& layer : latency::extract_workloads(model, shapes)) {
    if (model.graph.nodes[layer.node].output(0) != value) continue;
    std::vector<int> absorbing = rewrite::absorbing_convolutions(model, shapes);
    bool alone = std::binary_search(absorbing.begin(), absorbing.end(), layer.node);
    LayerWidths widths{alone ? without_sum(layer.workload) : layer.workload, -1, {}, {}, 0, 0, 1};
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

std::vector<int> branches_around(const Subject& subject, int group) {
  std::vector<int> list;
  for (int branch = 0; branch < static_cast<int>(subject.branches.size()); ++branch) {
    bool all = true, any = false;
    for (const graph::LayerChannels& layer : subject.channels.layers)
      if (contains_group(subject.channels, layer.out, group) ||
          contains_group(subject.channels, layer.in, group))
        any = true, all = all && in_branch(subject, branch, layer.node);
    if (any && all) list.push_back(branch);
  }
  return list;
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

std::vector<LayerWidths> written_layers(const Subject& subject) {
  std::vector<int> absorbing = rewrite::absorbing_convolutions(subject.model, subject.shapes);
  std::vector<LayerWidths> list = layer_widths(subject);
  for (LayerWidths& layer : list)
    if (std::binary_search(absorbing.begin(), absorbing.end(), layer.node))
      layer.workload = without_sum(layer.workload);
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
    std::vector<int> scope = scope_of(subject, layer, table, v);
    for_each_choice(scope, v.candidates, [&](const std::vector<int>& choice) {
      auto chosen = choice_for(subject, layer, table, scope, choice);
      if (!chosen) return;
      needed.insert(chosen->whole);
      if (chosen->taps)
        needed.insert(layer.workload), needed.insert(with_taps(layer.workload, *chosen->taps));
      if (chosen->fewer) needed.insert(layer.workload), needed.insert(*chosen->fewer);
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
  for (const KernelCandidate& k : table.kernels)
    problem.variables.push_back({"kernel of " + k.layer, 1 + static_cast<int>(k.options.size())});
  if (v.of_tokens >= 0) problem.variables.push_back({"tokens", v.candidates.back()});
  for (const LayerWidths& layer : layers) {
    plan::Factor factor{scope_of(subject, layer, table, v), {}};
    for_each_choice(factor.scope, v.candidates, [&](const std::vector<int>& choice) {
      auto chosen = choice_for(subject, layer, table, factor.scope, choice);
      factor.table.push_back({chosen ? latency_of(layer, *chosen, latency) : 0, 0});
    });
    problem.factors.push_back(std::move(factor));
  }
  for (const Folded& folded : folded_layers(subject, table, v))
    problem.factors.push_back(folded_factor(subject, table, folded, v, latency));
  for (std::size_t i = 0; i < table.groups.size(); ++i)
    problem.factors.push_back(loss_factor(subject, table, i, v));
  for (std::size_t i = 0; i < table.branches.size(); ++i)
    problem.factors.push_back(branch_loss(table.branches[i], v.of_branch[i].second));
  for (const KernelCandidate& k : table.kernels) problem.factors.push_back(kernel_loss(subject, k, v));
  if (v.of_tokens >= 0) problem.factors.push_back(token_factor(table, v.of_tokens));
  return problem;
}

}  // namespace tailor::pipeline
