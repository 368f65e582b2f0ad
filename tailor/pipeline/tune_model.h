/// \file The operators of a model tuned at shares of the processor, beside what the runtime's own kernels take.
#pragma once

#include "tailor/base/json.h"
#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"
#include "tailor/runtime/runner.h"
#include "tailor/tune/scheduler.h"

#include <string>
#include <vector>

namespace tailor::pipeline {

/// Layers that have no kernel of ours, by reason.
struct LeftOut {
  std::string reason;
  int layers = 0;
};

struct TuningPlan {
  std::vector<tune::TuneTask> tasks;  // each operator once per share, those with most work first
  std::vector<LeftOut> left_out;
  int retyped = 0;   // layers of the model in f32 that are tuned as f16
  bool gpu = false;  // shares are of a GPU's multiprocessors
};
/// @param shares of the device, above 0 and at most 1 @param threads that the whole device is, or compute units
/// @throws Error bad_value for a share that is no whole number of them; nothing_to_tune if no layer has a kernel
TuningPlan plan_tuning(const graph::Model& model, const graph::Shapes& shapes,
                       const std::vector<double>& shares, int threads, const tune::Backend& backend = {});

/// Times each one-thread task that has none yet with ONNX Runtime and appends a record whose configuration is
/// {"library": "onnxruntime 1.30.0"}: it stands beside the kernels and can be the best. Of several threads no library
/// is timed: those times are of threads one after the other, which a library's threads are not.
/// @throws as runtime::Runner::time
void time_library(const std::vector<tune::TaskResult>& tasks, tune::RecordFile& file,
                  runtime::Runner& runner);

/// What one task came to.
struct TunedTask {
  tune::TaskResult result;
  std::optional<tune::Standing> own, library;  // the best of each kind
  struct Tried {
    tune::Outcome outcome = tune::Outcome::ok;
    double us = 0;  // the least sample; 0 unless ok
  };
  std::vector<Tried> history =
      {};  // trials of the search in the order of the file, those of earlier runs first
  struct Elsewhere {
    double share = 1;
    std::optional<double> us = {};  // of `own` at that share, timed alone
  };
  std::vector<Elsewhere> at_shares = {};  // all shares of this operator, its own among them
  /// The library's time is below the best of our own, and it was measured.
  bool use_library() const { return library && (!own || library->time_us() < own->time_us()); }
  /// The time of our own best over the library's; nothing if one of them is missing.
  std::optional<double> own_over_library() const {
    return own && library ? std::optional(own->time_us() / library->time_us()) : std::nullopt;
  }
};
std::vector<TunedTask> judge(const std::vector<tune::TaskResult>& tasks, const tune::RecordFile& file);

/// Schema "tailor/tune/1".
Json to_json(const tune::TuneResult& result, const std::vector<TunedTask>& tasks, const TuningPlan& plan);

}  // namespace tailor::pipeline
