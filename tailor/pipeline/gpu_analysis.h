/// \file A network on a GPU that is there: timed as a whole (one CUDA graph), layer by layer in place, and its widths swept
/// on the device. Every number is measured.
#pragma once

#include "tailor/base/json.h"
#include "tailor/pipeline/analyze.h"
#include "tailor/pipeline/device_analysis.h"
#include "tailor/pipeline/free_channels.h"
#include "tailor/pipeline/layer_list.h"
#include "tailor/runtime/profile.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct GpuAnalysisOptions {
  std::string precision = "f32";
  int rounds = 9;        // of the sweeps over widths
  double profile_s = 4;  // of the profile in place
  std::uint64_t seed = 0;
  bool sweeps = true;  // of widths: what takes most of the time
  bool free = false;   // channels that cost nothing are wanted too
  runtime::Journal journal = runtime::Journal::go_on;
  std::filesystem::path profile = {};  // file of measured layers; empty: profile.jsonl in the cache folder
  runtime::RunnerOptions runner = {};
  std::function<void(const std::string& phase, double done)> progress = {};  // 0..1
};

/// One launch of the network, as it ran.
struct GpuLayer {
  std::string name, text;   // of the node; as the runner was asked
  int layer = -1;           // index into Subject::layers
  double us = 0;            // in place, of its kernels
  double share = 0;         // of the network
  std::string kernel = {};  // what ran, with grid and block
  double waves = 0;         // of its longest kernel, as the driver placed it
  DeviceVerdict verdict = DeviceVerdict::ok;
  std::string out_group = {};  // name of the changeable group of its outputs, or empty
  std::optional<WidthStep> down = {}, up = {};
  double recoverable_us = 0;
};

struct GpuAnalysis {
  std::string device, version, isa, precision;
  std::filesystem::path model;
  std::string sha256;
  double network_us = 0;  // median of whole runs, untraced
  double kernels_us = 0;  // sum of the layers in place; the rest is between kernels
  std::vector<GpuLayer> layers;
  std::vector<GroupSweep>
      groups;  // none where the model has transposed convolutions, which the runner does not time
  std::map<std::string, int> left_out;  // operators that were not run
  int measured = 0, known = 0;          // workloads of sweeps
  std::optional<FreeChannels> free;     // by layers alone

  double us_of(DeviceVerdict verdict) const;
  double recoverable_us() const;
};

/// What keeps a layer from being faster, from what ran: launch below 3 us, memory from 60 % of the device's bandwidth,
/// sub_wave below one wave, tail where at least 15 % of the paid waves is idle.
DeviceVerdict judge_measured(const GpuLayer& layer, const latency::Workload* workload, double gbytes_per_s);

/// @throws Error as runtime::Runner; bad_value (precision); usage where the runner is no GPU's; nothing_to_change for a
/// model without layers; runtime_refused where free channels are asked for and widths cannot be swept
GpuAnalysis analyze_gpu(const Subject& subject, const GpuAnalysisOptions& options);

/// Schema "tailor/gpu-analysis/1".
Json to_json(const GpuAnalysis& analysis);

}  // namespace tailor::pipeline
