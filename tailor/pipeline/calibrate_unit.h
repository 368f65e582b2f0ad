/// \file A unit of a platform whose cost model is fitted to timings of its own: at most fifty layers on a runner.
#pragma once

#include "tailor/base/json.h"
#include "tailor/device/platform.h"
#include "tailor/latency/unit_fit.h"
#include "tailor/runtime/runner.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tailor::pipeline {

inline constexpr int kMostCalibrationLayers = 50;

struct CalibrateOptions {
  std::string platform, unit;        // as device::find_platform; a name of its units
  std::filesystem::path model = {};  // whose layers are timed; empty: layers of many sizes, drawn at random
  std::string precision = "f32";     // "f32", "bf16" or "i8": what the layers are timed in
  int layers = kMostCalibrationLayers;
  int rounds = 15;
  std::uint64_t seed = 0;
  runtime::RunnerOptions runner = {};
  std::function<void(double)> progress = {};
};

struct UnitCalibration {
  device::Platform platform;  // with the unit's cost model in the place of what it had
  std::string unit, precision, runtime, version, isa, processor;
  std::vector<latency::LayerTiming> timings;
  std::vector<std::string> refused;  // layers that the runner does not compute
  latency::UnitFit fit;
};

/// Layers of convolutional networks: dense of one and nine taps, some with stride, depthwise ones, products; sizes drawn
/// evenly on a logarithmic scale. Different ones. @pre 1 <= count <= 50
std::vector<latency::Workload> drawn_layers(int count, graph::DataType type, std::uint64_t seed);

/// Times the layers, caches evicted, in interleaved rounds, and fits the cost model "blocks" to their medians.
/// @throws Error unknown_name for a unit that is not there; usage for a measured platform; bad_value for fewer than ten
/// layers; as find_platform, Runner::time and fit_unit
UnitCalibration calibrate_unit(const CalibrateOptions& options);

/// Schema "tailor/platform-calibrate/1".
Json to_json(const UnitCalibration& calibration);

}  // namespace tailor::pipeline
