/// \file The candidate table: per channel group the widths worth having, per residual branch the question
/// whether to keep it, to fold it into one convolution or to drop it, per convolution the smaller kernels, each
/// with the loss that was measured for it on the network as it is now (of a layer's kernels one is measured, the
/// others are inferred from the error of their fit), per value behind which tokens can go the counts worth having.
#pragma once

#include "tailor/graph/tokens.h"
#include "tailor/latency/workload.h"
#include "tailor/pipeline/criterion.h"
#include "tailor/pipeline/recover.h"
#include "tailor/pipeline/surgery.h"
#include "tailor/rewrite/taps.h"
#include "tailor/runtime/runner.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Samples and reference outputs that measure loss and feed repair.
struct Calibration {
  runtime::NamedTensors fit;     // samples for the normal equations while searching
  runtime::NamedTensors finish;  // more of them, for the last repair; those of fit are among them
  runtime::NamedTensors judge;   // other samples: loss is measured on what the fit has not seen
  int threads = 1;               // to run samples with
  std::size_t memory = std::size_t{3} << 30;  // bytes of activations kept at a time
};

/// One width of a group: which units stay (of the present network's group) and what that costs.
struct WidthCandidate {
  int width = 0;
  std::vector<int> kept;
  double loss = 0;
};
struct GroupCandidates {
  int group = 0;  // of the present subject
  // Increasing. Below the present width with a measured loss; the present one and wider ones (zeros added)
  // lose nothing.
  std::vector<WidthCandidate> widths;
};
/// What may become of a branch besides staying: one convolution in its place, or nothing (kernel 0).
struct BranchOption {
  int kernel = 0;
  double loss = 0;
};
struct BranchCandidate {
  int branch = 0;  // index into the present subject's branches
  std::vector<BranchOption> options;
};
/// Smaller kernels that a layer may have.
struct KernelOption {
  rewrite::Taps taps;  // of the present kernel
  double error = 0;    // what the fit leaves besides what it leaves with all taps, summed over outputs
  double loss = 0;
};
struct KernelCandidate {
  std::string layer;  // what it gives
  int node = 0;       // of the present subject
  std::vector<KernelOption> options;
};
/// Fewer tokens behind a value.
struct TokenOption {
  std::string site;
  int axis = 0;
  std::vector<int> kept;  // places of the present network's tokens, increasing
  double loss = 0;
  std::map<int, latency::Workload> layers = {};  // those that change, by node of the present subject
  /// What else of the network's time changes: attention, and all that is no layer. Filled in by whoever measures networks.
  double beside_us = 0;
};
struct CandidateTable {
  double base_loss = 0;  // of the present network against the original
  std::vector<GroupCandidates> groups;
  std::vector<BranchCandidate> branches;
  std::vector<KernelCandidate> kernels;
  std::vector<TokenOption> tokens;  // at most one of them is chosen
};

/// Counts of tokens to try behind a value.
struct TokenCounts {
  graph::TokenFlow flow;    // of the present network
  std::vector<int> counts;  // increasing, below the present count
};

/// The present network with `group` cut to `kept` and the layers that read it refitted from the equations.
graph::Model cut_and_refit(const Subject& present, const rewrite::Equations& equations, int group,
                           const std::vector<int>& kept, double ridge);

/// The present network with the kernel of a layer reduced to `taps`, fitted to what the whole one should give.
graph::Model crop_and_refit(const Subject& present, const rewrite::Equations& equations,
                            const rewrite::LinearLayer& layer, const rewrite::Taps& taps, double ridge);

struct TableOptions {
  Criterion criterion = Criterion::reconstruction;
  std::shared_ptr<const GradientWorth> worth = {};       // criteria taylor and fisher: of the original
  std::shared_ptr<const PatternClusters> patterns = {};  // criterion functionality, if any: of the original
  Recover recover = Recover::lsq;
  double ridge = 1e-4;
  int positions = 64;
  bool branches = true;
  bool kernels = true;  // only with least squares: what stays of a kernel has to be fitted
  std::vector<TokenCounts> tokens = {};
  std::set<std::string> incomparable = {};  // values that have fewer tokens than the original's
  std::function<void(int done, int all)> progress = {};
};

/// Measures every candidate. @param widths per group of `present` the widths to try (increasing, without the
/// present width) O(candidates x cost of the network behind the change).
CandidateTable fill_table(runtime::Runner& runner, const Subject& original, const Subject& present,
                          const rewrite::KeptChannels& kept, const rewrite::Equations& equations,
                          const Calibration& calibration,
                          const std::vector<std::pair<int, std::vector<int>>>& widths,
                          const TableOptions& options);

}  // namespace tailor::pipeline
