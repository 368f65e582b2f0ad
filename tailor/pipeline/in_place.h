/// \file A profile of the whole network, accounted for: what the profiler cost, which executed node is which
/// layer.
#pragma once

#include "tailor/pipeline/surgery.h"
#include "tailor/runtime/runner.h"

#include <string>
#include <vector>

namespace tailor::pipeline {

/// A node as the runtime executed it, after its own fusions.
struct ExecutedNode {
  std::string name, op;
  std::string kind;  // layer, reorder, elementwise, pooling, shape, compute (a layer not recognised), other
  double reported_us = 0;  // as the runner reported it
  double us = 0;           // less what the profiler still added
  int layer = -1;          // index into Subject::layers; -1: none
  std::string matched_by;  // name, shape, order; empty if it is no layer
  std::string shapes;      // of its inputs, JSON text
};

/// Times of one run, means over the calmer half of the pairs of runs, one profiled and one not, that were taken side by
/// side: what slows the machine for a while slows both. Profiling adds to each node: what it adds to the whole run times
/// the share that lies inside the nodes, which the runner found on chains of trivial nodes, over the number of nodes.
/// What is left is estimated from every second pair of this very profile, as one number per node, from 0 to 1.5 us, by
/// which the sum of the nodes meets the unprofiled runs. All figures here come from the other pairs, so `difference` is a
/// test and no identity.
struct InPlace {
  std::vector<ExecutedNode> nodes;
  double network_us = 0;        // whole run, unprofiled
  double profiled_us = 0;       // whole run under the profiler
  double reported_us = 0;       // sum of the nodes as reported
  double sum_us = 0;            // sum of the nodes, corrected
  double profiler_node_us = 0;  // taken off each node, as far as it lasts longer: what the profiler adds
  double node_us = 0;           // taken off each node besides: what every second pair showed to be left
  int runs = 0, unprofiled_runs = 0;

  /// Sum of the corrected nodes over the network, minus 1.
  double difference() const { return network_us > 0 ? sum_us / network_us - 1 : 0; }
  double reported_difference() const { return network_us > 0 ? reported_us / network_us - 1 : 0; }
  int matched(const std::string& by) const;
  double us_of(const std::string& kind) const;
};

/// Sums and correction; no node is matched yet. @throws Error runner_failed if the profile holds fewer than
/// four pairs of runs
InPlace account(const runtime::InPlaceProfile& profile);

/// Matches nodes to the subject's layers: by name (of the layer or of what was fused into it), then by the
/// shapes of inputs and weights, then by order of what is left, if equally many of one operator are left.
void match_layers(const Subject& subject, InPlace& in_place);

}  // namespace tailor::pipeline
