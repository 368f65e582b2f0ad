// Tables of candidates drawn at random: what a search might be offered, with any loss.
#pragma once

#include "tailor/base/random.h"
#include "tailor/pipeline/candidates.h"

#include <algorithm>
#include <numeric>

namespace tailor::testing {

inline std::vector<int> random_units(int width, int count, Random& random) {
  std::vector<int> units(static_cast<std::size_t>(width));
  std::iota(units.begin(), units.end(), 0);
  random.shuffle(units);
  units.resize(static_cast<std::size_t>(count));
  std::sort(units.begin(), units.end());
  return units;
}

inline pipeline::CandidateTable random_table(const pipeline::Subject& subject, Random& random) {
  pipeline::CandidateTable table;
  for (std::size_t g = 0; g < subject.channels.groups.size(); ++g) {
    const graph::ChannelGroup& group = subject.channels.groups[g];
    if (!group.changeable() || group.width() < 3) continue;
    pipeline::GroupCandidates candidates{static_cast<int>(g), {}};
    for (int width : {group.width() / 3, group.width() * 2 / 3})
      candidates.widths.push_back({width, random_units(group.width(), width, random), random.uniform()});
    candidates.widths.push_back({group.width(), random_units(group.width(), group.width(), random), 0});
    table.groups.push_back(std::move(candidates));
  }
  for (std::size_t b = 0; b < subject.branches.size(); ++b) {
    pipeline::BranchCandidate candidate{static_cast<int>(b), {{0, random.uniform()}}};
    for (int kernel : rewrite::fold_kernels(subject.model, subject.shapes, subject.branches[b]))
      candidate.options.push_back({kernel, random.uniform()});
    table.branches.push_back(std::move(candidate));
  }
  for (const rewrite::LinearLayer& layer : rewrite::linear_layers(subject.model, subject.shapes)) {
    pipeline::KernelCandidate candidate{layer.y, layer.node, {}};
    for (const rewrite::Taps& taps : rewrite::smaller_kernels(subject.model, layer))
      candidate.options.push_back({taps, random.uniform()});
    if (!candidate.options.empty()) table.kernels.push_back(std::move(candidate));
  }
  return table;
}

}  // namespace tailor::testing
