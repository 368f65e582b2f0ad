/// \file A network as decided so far: cut, dropped, folded and repaired.
#pragma once

#include "tailor/pipeline/candidates.h"
#include "tailor/pipeline/functional.h"
#include "tailor/rewrite/repair_jointly.h"

#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Layers that were fitted together: how far the value where they end is from what the original has there.
struct FittedTogether {
  std::string goal;              // name of that value
  double before = 0, after = 0;  // mean squared distance on samples that the fit has not seen
};

struct Present {
  Subject subject;
  rewrite::Equations equations;          // of its layers, on the samples of the repair
  rewrite::KeptChannels kept;            // what stays of the original's values
  std::vector<Merged> merged;            // if it was asked for
  std::vector<FittedTogether> together;  // by PresentOptions::joint
};

struct PresentOptions {
  rewrite::RepairOptions repair;
  Recover recover = Recover::lsq;
  bool equations = true;  // wanted even where nothing is refitted
  bool merge = false;     // functions of what goes into what stays, before anything else
  std::optional<rewrite::JointRepairOptions> joint = {};  // after the cascade, if anything is refitted
};

/// Output positions of each sample to look at, for about `rows` rows in all.
int positions(const runtime::NamedTensors& samples, std::int64_t rows);

/// Carries `surgery` out on the original and repairs what is left by the samples. No zeros are added.
/// O(samples x network, twice) and one fit per layer.
Present present_network(runtime::Runner& runner, const Subject& original, const Surgery& surgery,
                        const Calibration& calibration, const runtime::NamedTensors& samples,
                        const PresentOptions& options);

/// Divergence of a model from the original on the samples to judge on.
double loss_of(runtime::Runner& runner, const Subject& original, const graph::Model& model,
               const Calibration& calibration);

}  // namespace tailor::pipeline
