/// \file From candidates and latencies to the planner's problem. The way back is merge.h.
#pragma once

#include "tailor/latency/oracle.h"
#include "tailor/pipeline/candidates.h"
#include "tailor/plan/problem.h"

#include <map>
#include <utility>
#include <vector>

namespace tailor::pipeline {

/// A layer with weights as its latency depends on widths: how often each group lies on its input and output
/// axis, and what is fixed there.
struct LayerWidths {
  latency::Workload workload;  // at the present widths
  int node = 0;
  std::vector<std::pair<int, int>> in, out;  // (group, positions per unit)
  int fixed_in = 0, fixed_out = 0;  // positions of unchangeable groups, or the whole axis where it is fixed
  double correction = 1;            // in place over alone, if known
};
std::vector<LayerWidths> layer_widths(const Subject& subject);
/// The same once the subject is in its final form (surgery.h): convolutions without the sums that they absorb.
std::vector<LayerWidths> written_layers(const Subject& subject);

/// The workload at other widths (group -> width; absent: present).
latency::Workload workload_at(const Subject& subject, const LayerWidths& layer,
                              const std::map<int, int>& widths);

/// All workloads that the problem will ask for.
std::vector<latency::Workload> needed_workloads(const Subject& subject,
                                                const std::vector<LayerWidths>& layers,
                                                const CandidateTable& table);

/// The convolution that would stand for a branch of `subject` as a layer whose latency depends on widths; its
/// node is -1. @throws Error bad_cut as rewrite::fold_branch
LayerWidths folded_layer(const Subject& subject, int branch, int kernel);

/// Variables 0..groups-1 are the table's groups, then its branches, then its kernels (0: keep, i: option i-1), then,
/// if the table has any, its tokens (0: all, i: option i-1).
/// One factor per layer and per convolution that may stand for a branch (latency), one per group, per branch and
/// per kernel (loss). A width or a kernel in a branch that does not stay costs nothing.
/// @param latency by workload; all of needed_workloads
plan::Problem width_problem(const Subject& subject, const std::vector<LayerWidths>& layers,
                            const CandidateTable& table, const std::map<latency::Workload, double>& latency);

/// The most that an option of tokens saves beside the layers, at least 0: the problem's latencies are larger by that, since
/// a planner's are never negative.
double tokens_saving(const CandidateTable& table);

/// Branches of the subject that hold every layer that makes or reads the group, increasing: without one of them its
/// width is irrelevant.
std::vector<int> branches_around(const Subject& subject, int group);

}  // namespace tailor::pipeline
