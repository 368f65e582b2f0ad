/// \file A network over several cores, each of which computes a contiguous part of it: samples flow through like through a
/// pipeline, and the slowest part sets the pace.
///
/// The parts are the exact answer of plan/placement.h (arXiv:2006.16423) to the times that the network's nodes take in place.
/// Written as models of their own, they are run as a pipeline and timed; where a part takes longer than its nodes promised
/// (lost fusions, values handed over), its nodes' times are corrected and the parts chosen again.
#pragma once

#include "tailor/base/json.h"
#include "tailor/pipeline/in_place.h"
#include "tailor/pipeline/surgery.h"
#include "tailor/plan/placement.h"
#include "tailor/runtime/runner.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// A part of the network as a model of its own.
struct Stage {
  std::vector<int> nodes;  // of the subject that it owns, increasing
  std::vector<std::string> inputs,
      outputs;                 // values, in the order of their makers; inputs of the network first
  std::int64_t bytes_out = 0;  // that it hands to later stages, per run; 0 where a shape is unknown
  double expected_us = 0;
};

struct StagePlan {
  std::vector<Stage> stages;   // in the order in which samples pass them
  bool optimal = false;        // no other contiguous parts have a smaller largest time
  double bound_us = 0;         // none has a smaller one than this
  double expected_us() const;  // of the slowest
};

/// Microseconds of each node, by its index, from a profile in place: a fused node's time is its layer's, what belongs to no node
/// (reorderings of layouts) is spread over all. O(nodes)
std::vector<double> node_times(const Subject& subject, const InPlace& in_place);

/// @param us per node @throws Error bad_value if the network has fewer parts than stages (nodes that a runtime fuses stay together)
StagePlan plan_stages(const Subject& subject, const std::vector<double>& us, int stages);

/// A value as an input or output of a part. @param shapes with a free batch where the model's is free
graph::ValueInfo declared(const Subject& subject, const graph::Shapes& shapes, const std::string& name);

/// The stages as models. What follows from constants alone is in every stage that needs it.
std::vector<graph::Model> stage_models(const Subject& subject, const StagePlan& plan);

/// As the runner answers (docs/runner-protocol.md, pipeline): medians of its rounds, microseconds a sample.
struct PipelineTimes {
  double us = 0, whole_us = 0;  // of the pipeline, of the network on one core
  std::vector<double> busy_us;  // of each stage
  double difference = 0;
  bool pinned = false;
  double gain() const { return us > 0 ? whole_us / us : 0; }
};

struct StagingOptions {
  int stages = 2;
  int rounds = 11;
  int samples = 96;      // in each round
  int corrections = 3;   // at most
  double enough = 0.02;  // no correction where the slowest stage is that near to what is expected
  std::uint64_t seed = 0;
  std::function<void(const std::string&)> say = {};
};

struct Staging {
  StagePlan plan;
  std::vector<graph::Model> models;
  PipelineTimes times;
  double profiled_us = 0;  // the slowest stage by the profile alone, of the first parts
  int corrections = 0;     // that were made
};

/// Profiles, plans, writes the parts to a temporary folder, times, and plans again. Of several plans the one whose pipeline was
/// fastest. @throws Error as Runner::profile and plan_stages; runner_failed if the outputs differ by more than 1e-3 of their magnitude
Staging stage_network(runtime::Runner& runner, const Subject& subject, const StagingOptions& options);

/// Document "tailor/stages/1".
Json stages_json(const Subject& subject, const Staging& staging, const std::vector<std::string>& files);

}  // namespace tailor::pipeline
