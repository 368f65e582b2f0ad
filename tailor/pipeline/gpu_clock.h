/// \file What a search asks of a GPU that is there: layers by its runner, kept in a profile, and whole networks over the
/// original as CUDA graphs, interleaved.
#pragma once

#include "tailor/pipeline/gpu_target.h"
#include "tailor/runtime/profile.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct GpuClockOptions {
  int rounds = 15;         // of layers
  int ratio_rounds = 101;  // of networks against the original, divided among three processes
  std::uint64_t seed = 0;
  runtime::Journal journal = runtime::Journal::go_on;
};

/// The profile must outlive it. Not thread-safe.
class GpuClock final : public latency::LatencyOracle {
 public:
  /// Starts the runner and times the original once, so what is missing or refused is said before any work.
  /// @throws Error as whole_network_job, check_gpu_runner, runtime::Runner and its time(); nothing_to_resume
  GpuClock(const GpuTarget& target, const Subject& original, runtime::Profile& profile,
           const GpuClockOptions& options);

  /// Latencies of layers alone, in the target's precision, operands rotating beyond the L2 cache. @throws as Runner::time
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override;
  latency::Context context() const override { return typed_.context(); }

  /// The network's latency over the original's. Each of three fresh processes builds its kernels anew and draws its
  /// memory anew, as in bench. @throws as whole_network_job and Runner::time
  double ratio(const graph::Model& model) const;
  double original_us() const { return original_us_; }

  /// "NVIDIA H200 (sm_90), f16; driver 13000, cuDNN 91300, cuBLASLt 130100"
  std::string text() const;
  const runtime::MeasuringOracle& timings() const { return oracle_; }

 private:
  GpuTarget target_;
  GpuClockOptions options_;
  graph::ShapeOverrides overrides_;
  runtime::Job original_;
  runtime::Runner runner_;
  runtime::MeasuringOracle oracle_;
  Retyped typed_;
  double original_us_ = 0;
};

}  // namespace tailor::pipeline
