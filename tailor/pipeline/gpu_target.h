/// \file An NVIDIA GPU that is there, as what latency is measured on. Its runner computes with random numbers and keeps no
/// results, so samples are never run on it.
#pragma once

#include "tailor/graph/shapes.h"
#include "tailor/latency/oracle.h"
#include "tailor/pipeline/layer_list.h"
#include "tailor/runtime/runner.h"

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct GpuTarget {
  std::string precision =
      "f32";  // f32, tf32, f16, bf16 or i8: of layers as they are timed, whatever the file holds
  runtime::RunnerOptions runner = {};  // as the user named it; no command: the program beside this one
};

/// Another type for every workload that is asked about: candidates are made of the model's own. `inner` must outlive it.
class Retyped final : public latency::LatencyOracle {
 public:
  Retyped(latency::LatencyOracle& inner, graph::DataType type) : inner_(inner), type_(type) {}
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override;
  latency::Context context() const override { return inner_.context(); }

 private:
  latency::LatencyOracle& inner_;
  graph::DataType type_;
};

/// Options of the runner for GPUs: its program beside this one, unless a command is named.
runtime::RunnerOptions gpu_runner(runtime::RunnerOptions options, const std::string& precision);
inline runtime::RunnerOptions gpu_runner(const GpuTarget& target) {
  return gpu_runner(target.runner, target.precision);
}

/// @throws Error usage where the runner is no GPU's, or rounds f32 to tf32 and should not (or the other way round)
void check_gpu_runner(const runtime::Hello& hello, const std::string& precision);

/// "Conv, 2 Softmax" of LayerList::left_out; empty for nothing.
std::string left_out_text(const std::map<std::string, int>& left_out);

/// The job that times a model on such a runner; operators that it does not compute are left out (`left_out`, if given, is
/// told which). @throws Error as read_subject, bad_value; nothing_to_change for a model without layers
runtime::Job network_job(const std::filesystem::path& model, const graph::ShapeOverrides& overrides,
                         const std::string& precision, std::map<std::string, int>* left_out = nullptr);

/// The same of a whole network: nothing may be left out, or two networks could not be compared.
/// @throws Error runtime_refused with the names of what the runner does not compute; as network_job
runtime::Job whole_network_job(const Subject& subject, const std::string& precision);
runtime::Job whole_network_job(const std::filesystem::path& model, const graph::ShapeOverrides& overrides,
                               const std::string& precision);

}  // namespace tailor::pipeline
