/// \file The wave model fitted to a GPU that was measured: its kernels one by one, and the few numbers that stand for the
/// device where a kernel is not known beforehand.
#pragma once

#include "tailor/device/device.h"
#include "tailor/latency/wave_fit.h"
#include "tailor/latency/workload.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace tailor::latency {

/// A kernel that ran for a layer, as a tracer names it.
struct RanKernel {
  std::string name;
  std::int64_t blocks = 1;
};
/// A layer timed in the type of its workload; `ran` is empty where nothing was traced.
struct TimedLayer {
  Workload workload;
  double us = 0;
  std::vector<RanKernel> ran;
};
/// One layer at several output widths, ascending.
using TimedStaircase = std::vector<TimedLayer>;

/// A kernel, explained by rounds and by a smooth line.
struct KernelFit {
  std::string kernel;
  graph::DataType type = graph::DataType::f32;
  std::size_t launches = 0;
  WaveFit fit;             // of all launches
  FitError waves, smooth;  // of launches of shapes that were left out of the fit (cross_validate)
};
/// Of each kernel that ran alone for at least `least` layers of a type; most launches first. Where a kernel splits the
/// reduction its blocks are counted, but the length of their part is not known: the layer's stands for it.
/// O(launches). @pre least >= 20
std::vector<KernelFit> fit_kernels(std::span<const TimedStaircase> staircases, int multiprocessors,
                                   std::size_t least = 40);

/// How often a model names the faster one of two widths of a layer, and of those pairs whose wider one is faster.
struct FasterNamed {
  int right = 0, pairs = 0;
  int wider_right = 0, wider_pairs = 0;
  FasterNamed& operator+=(const FasterNamed& other);
};
/// Pairs whose measured times differ by a factor of `least` or more. O(widths^2). @param measured us, by ascending width
FasterNamed faster_named(std::span<const double> measured, std::span<const double> modelled, double least);

/// One precision of a device.
struct PrecisionFit {
  std::string precision;
  std::size_t layers = 0;
  double work = 1;
  FitError error;  // on each half of the staircases, of the fit to the other half
};
struct DeviceFit {
  device::Device device;  // with launch_us, and work and error of every precision that was measured
  std::vector<PrecisionFit> precisions;
  std::vector<std::string> left_out;  // precisions with fewer than 20 layers; work and error stay
  FasterNamed named;                  // pairs at least 5 % apart, by that device
};
/// launch_us and one `work` per precision of least relative error, each layer with the kernel that the model takes for
/// fastest. All else of `device` stays. O(layers x plausible kernels), some hundred times.
/// @throws Error bad_value for a precision without a peak, times that are not positive, or fewer than 20 layers of every
/// precision; interrupted
DeviceFit fit_device(const device::Device& device, std::span<const TimedStaircase> staircases);

}  // namespace tailor::latency
