/// \file Does model B do what model A does, how much faster, and does that pass the gates?
#pragma once

#include "tailor/base/json.h"
#include "tailor/data/dataset.h"
#include "tailor/pipeline/bench.h"
#include "tailor/pipeline/gpu_target.h"
#include "tailor/runtime/accuracy.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// What B must fulfil; unset: no such gate.
struct Gates {
  std::optional<double> max_drop = {};        // percentage points of top-1 that B may lose against A
  std::optional<double> min_speedup = {};     // time of A over time of B
  std::optional<double> max_latency_us = {};  // of B, its median
  std::optional<double> max_ratio = {};       // time of B over time of A
};

struct VerifyOptions {
  std::filesystem::path eval = {};   // labelled samples: top-1
  std::filesystem::path calib = {};  // samples without labels: agreement
  data::Preparation preparation = {};
  std::int64_t label_offset = 0;  // added to each label
  std::int64_t limit = 0;         // samples used of each set; 0: all
  int random_samples = 8;         // drawn when no data is given
  Gates gates = {};
  graph::ShapeOverrides overrides = {};
  BenchOptions bench = {};            // its runner runs the samples
  std::optional<GpuTarget> gpu = {};  // if set, speed is measured there instead
  std::function<void(const std::string& phase, double done)> progress = {};
};

/// Outputs of both models on one set of samples.
struct Agreement {
  std::string source;          // path of the data, or "random"
  runtime::Score score;        // of the first output; n = 0 if it holds no rows of numbers
  double max_difference = 0;   // largest |a - b| over all float outputs
  double cosine = 1;           // of all float outputs, as one vector
  double mean_divergence = 0;  // of pipeline/loss.h
  std::int64_t samples = 0;
  std::string by = {};  // the runtime that computed both: "onnxruntime 1.30.0"
};

enum class Outcome { pass, fail, ambiguous };
const char* name(Outcome outcome);  // "PASS" ...

struct GateResult {
  std::string gate;    // "max-drop" ...
  std::string wanted;  // ">= 1.3x"
  std::string found;   // "1.71x [1.69, 1.73]"
  Outcome outcome = Outcome::ambiguous;
};

struct Verification {
  std::filesystem::path a, b;
  std::vector<Agreement> samples;  // eval, then calib; or random
  BenchResult speed;               // A, then B
  std::vector<GateResult> gates;

  /// fail if one fails, else ambiguous if one is, else pass.
  Outcome outcome() const;
};

/// Both models must have the same inputs and outputs (names, and shapes as far as they are fixed). On a GPU, what it
/// cannot time is said before the samples are run.
/// @throws Error bad_shape if they have not; usage if a gate on top-1 has no labels;
///         as bench, whole_network_job, check_gpu_runner, data::read_dataset and runtime::Runner::run
Verification verify(const std::filesystem::path& a, const std::filesystem::path& b,
                    const VerifyOptions& options);

/// The first half of verify: outputs only, nothing timed.
std::vector<Agreement> compare_outputs(const std::filesystem::path& a, const std::filesystem::path& b,
                                       const VerifyOptions& options);

/// The second half: both timed, outputs not looked at. @throws as verify
BenchResult compare_speed(const std::filesystem::path& a, const std::filesystem::path& b,
                          const VerifyOptions& options);

/// Each gate against what was found. A gate on time is ambiguous while its limit lies inside the 95 %
/// interval.
std::vector<GateResult> judge_gates(const Gates& gates, const std::vector<Agreement>& samples,
                                    const BenchResult& speed);

/// Schema "tailor/verify/1". @throws Error bad_json
Json to_json(const Verification& verification);
Verification verification_from_json(const Json& json, const std::string& place);

}  // namespace tailor::pipeline
