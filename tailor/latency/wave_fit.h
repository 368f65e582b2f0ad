/// \file Parameters of the wave model from measured launches whose kernels are known (their tile and grid).
///
/// Two fits. Of one kernel on one device: five numbers, as exact as the form allows; it says how good "rounds" are
/// against a smooth line. Of a device: one number for all its kernels, which also predicts devices that were not
/// measured. Both minimise absolute relative errors (least squares, reweighted) and know a floor: short launches take
/// what starting them takes.
#pragma once

#include "tailor/device/device.h"
#include "tailor/latency/wave_model.h"
#include "tailor/latency/waves.h"

#include <cstdint>
#include <span>

namespace tailor::latency {

/// One measured launch.
struct KernelTiming {
  Tile tile;
  std::int64_t blocks = 1;
  std::int64_t k = 1;      // reduction of one block
  std::int64_t bytes = 0;  // of operands and result, each once
  double us = 0;
};

/// max(floor, overhead + rounds x (round + per_k x k) + per_byte x bytes), k rounded up to 8.
struct WaveFit {
  double floor_us = 0, overhead_us = 0, round_us = 0, per_k_us = 0, per_byte_us = 0;
  int resident = 1, lone = 1;  // as serial_rounds takes them
  bool smooth = false;         // rounds = blocks / multiprocessors: no stairs, for comparison
};
double predict(const WaveFit& fit, const KernelTiming& timing, int multiprocessors);

/// Relative errors.
struct FitError {
  double mean = 0, median = 0;
};

/// Launches of one kernel. O(launches) for each of a few residencies. @throws Error bad_value for fewer than 20
/// launches, or times that are not positive
WaveFit fit_waves(std::span<const KernelTiming> timings, int multiprocessors, bool smooth = false);

/// Fits on all but one of `folds` parts and predicts that one; launches of one shape are in one part. The residency is
/// chosen anew in each part.
FitError cross_validate(std::span<const KernelTiming> timings, int multiprocessors, bool smooth = false,
                        int folds = 5);

/// One number for all f32 kernels of a device (Device::work), with what a launch costs in this measurement.
struct WorkFit {
  double work = 1;
  WaveForm form = {};
  double overhead_us = 0, floor_us = 0;
  FitError error;
};
double predict(const device::Device& device, const WorkFit& fit, const KernelTiming& timing);
FitError error_of(const device::Device& device, const WorkFit& fit, std::span<const KernelTiming> timings);
/// @throws Error bad_value as fit_waves
WorkFit fit_work(const device::Device& device, std::span<const KernelTiming> timings,
                 const WaveForm& form = {});

}  // namespace tailor::latency
