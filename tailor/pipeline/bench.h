/// \file Models timed against each other in interleaved rounds, and whether the result can be trusted.
#pragma once

#include "tailor/base/json.h"
#include "tailor/graph/shapes.h"
#include "tailor/runtime/measure.h"
#include "tailor/runtime/runner.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::pipeline {

struct BenchOptions {
  int threads = 1;  // 1 to 1024; several: the wall clock
  double time_s =
      5;           // for all models and all processes together, start-up included; three processes at least
  int rounds = 0;  // 0: as many as `time_s` allows; else divided among three processes
  double max_noise = 0.05;  // widest trusted 95 % interval, as a share
  std::uint64_t seed = 0;
  runtime::RunnerOptions runner = {};
  std::string precision = {};                 // as in BenchResult, told only
  std::function<void(double)> progress = {};  // 0..1
};

struct BenchModel {
  std::filesystem::path path;
  std::vector<std::pair<std::string, graph::Shape>> inputs;
  std::vector<double> us;        // one per round; round i of all models ran interleaved
  runtime::Summary summary;      // of `us`
  runtime::Comparison own;       // 95 % interval of the median, relative to the median
  runtime::Comparison to_first;  // ratio to the first model; of the first itself 1
};

struct BenchResult {
  std::string runtime, version, isa, processor, clock;
  int threads = 1, processes = 1;
  double max_noise = 0;
  std::vector<BenchModel> models;
  std::string precision = {};  // of a GPU's layers; empty: as the files say

  /// The widest interval (hi - lo) of the ratios; of one model alone, of its median.
  double noise() const;
  bool trustworthy() const { return noise() <= max_noise; }
};

/// Reads the model and resolves its inputs' shapes. Overrides of names that it does not have are passed over
/// if `others` allows it (another model may have them).
/// @throws Error as onnx::read and infer_shapes; shape_unknown if a free dimension stays free
runtime::Job timing_job(const std::filesystem::path& model, const graph::ShapeOverrides& overrides,
                        bool others = false);
/// The jobs of several models. @throws Error as timing_job; unknown_name for an override that none has
std::vector<runtime::Job> timing_jobs(const std::vector<std::filesystem::path>& models,
                                      const graph::ShapeOverrides& overrides);

/// Times the jobs (models only) in fresh processes of half a second each: a process has a speed of its own, by where
/// its threads and pages lie (runtime/apart.h).
/// @throws Error as runtime::Runner::time
BenchResult bench(const std::vector<runtime::Job>& jobs, const BenchOptions& options);

/// Schema "tailor/bench/1". from: statistics are computed anew from the samples. @throws Error bad_json
Json to_json(const BenchResult& result);
BenchResult bench_from_json(const Json& json, const std::string& place);

/// {"ratio", "lo", "hi", "verdict"}
Json to_json(const runtime::Comparison& comparison);

}  // namespace tailor::pipeline
