/// \file A network in stages, each on a core of its own, beside the whole network on one core.
#pragma once

#include "runners/onnxruntime/session.h"
#include "runners/onnxruntime/timing.h"

#include <string>
#include <vector>

namespace tailor::ort {

struct Pipelining {
  std::vector<std::string>
      stages;         // model files; what a stage reads is the network's input or given by an earlier one
  std::string whole;  // the network in one file
  int samples = 64;   // that flow through in each round
  int rounds = 15;    // pipeline and whole network take turns
  std::uint64_t seed = 0;
};

/// All times by the wall clock, in microseconds a sample.
struct Pipelined {
  std::vector<double> us;                    // per round, between the samples that leave a full pipeline
  std::vector<double> whole_us;              // per round
  std::vector<std::vector<double>> busy_us;  // [stage][round]: computing
  double difference = 0;  // largest of an output of the two, as a share of its largest magnitude
  bool pinned = false;    // every stage kept to a core of its own
};

/// Stages run in threads of this process; samples are handed on without copying, and at most two wait before each stage. The
/// same sample flows again and again: times do not depend on it.
/// @param shapes of the network's inputs, as a request gives them, or null
/// @throws Error runtime_refused; usage: a stage reads what nobody gives, an output of the network is given by no stage
Pipelined run_pipelined(ModelCache& models, const Pipelining& what, const Json& shapes,
                        const Progress& progress);

}  // namespace tailor::ort
