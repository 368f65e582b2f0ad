/// \file Fair timing on a device: every job a graph of many runs, whose operands rotate through more memory than the L2
/// holds; jobs interleaved in shuffled rounds; the device's own clock.
#pragma once

#include "runners/cuda/activity.h"
#include "runners/cuda/network.h"

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace tailor::cuda {

struct Measurement {
  int rounds = 15;
  double min_sample_us = 1500;
  bool evict = false;  // operands rotate; else every run reads and writes the same ones
  std::uint64_t seed = 0;
  double time_limit_s = 0;  // 0: none
};
/// @throws Error bad_json, bad_value; usage for more than one thread
Measurement parse_measurement(const Json& request);

/// Told now and then how much is done (0..1); may throw to stop.
using Progress = std::function<void(double)>;

/// A layer alone, or a network.
using Job = std::variant<Layer, NetworkText>;

struct JobSamples {
  std::vector<double> us;             // per run, one per round
  std::vector<KernelLaunch> kernels;  // of one run; empty where tracing is not possible
  std::string choice;                 // of the library's heuristics, of a layer alone
  int runs = 0;                       // in one sample
};
/// @param traced kernels are read through CUPTI, if it can be used
/// @throws Error runtime_refused, CallFailed
std::vector<JobSamples> measure(Gpu& gpu, const std::vector<Job>& jobs, const Measurement& how, bool traced,
                                const Progress& progress);

/// A network's layers where they are: by CUPTI, in whole runs, which take turns with runs that nobody traces.
struct InPlace {
  struct LayerTimes {
    std::string line;
    std::vector<double> us;             // per traced run
    std::vector<KernelLaunch> kernels;  // of the first traced run
  };
  std::vector<LayerTimes> layers;
  std::vector<double> traced_us, untraced_us;  // whole runs
};
/// @throws Error runtime_missing: no CUPTI; runtime_refused; CallFailed
InPlace measure_in_place(Gpu& gpu, const NetworkText& text, const Measurement& how, const Progress& progress);

/// Bytes that a rotation goes through: twice the L2, at least 64 MB.
std::size_t rotation_bytes(const Facts& facts);

}  // namespace tailor::cuda
