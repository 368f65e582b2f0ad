/// \file The requests that this runner answers, each as a function from JSON to JSON.
#pragma once

#include "runners/cuda/gpu.h"
#include "runners/cuda/timing.h"
#include "runners/cuda/trials.h"
#include "tailor/base/json.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace tailor::cuda {

struct ServiceOptions {
  std::string folders = {};  // of libraries, joined by ':'
  int gpu = 0;
  bool tf32 = false;
};

/// Libraries and device are loaded by the first request that needs them, and kept.
class Service {
 public:
  explicit Service(const ServiceOptions& options);

  /// Members of the answer. @throws Error; serving::Failure for a call of CUDA that failed
  Json answer(const Json& request, const Progress& progress);

 private:
  Json answer_op(const std::string& op, const Json& request, const Progress& progress);
  Json hello();
  Json time(const Json& request, const Progress& progress);
  Json profile(const Json& request, const Progress& progress);
  Json plan(const Json& request);
  Json partitions(const Json& request);
  Json trials(const Json& request, const Progress& progress);

  Gpu& gpu();
  bool traces();
  Layer layer_of(const Json& json) const;
  Job job_of(const Json& json) const;

  ServiceOptions options_;
  Libraries libraries_;
  std::unique_ptr<Gpu> gpu_;
  std::unique_ptr<TrialBench> trials_;
  std::optional<bool> traces_;
  std::string why_not_;  // kernels cannot be traced
};

}  // namespace tailor::cuda
