/// \file A kernel run again and again for a while, on cores of its own: one side of a measurement of interference.
///
/// Times of begin and end are those of a clock that all processes share, so who reads the answers of two runners knows
/// which runs of one fell into the time of the other.
#pragma once

#include "runners/kernels/kernel.h"

#include <string>
#include <vector>

namespace tailor::kernels {

/// Samples of a window, in the order taken.
struct Window {
  std::vector<double> us;                // processor time of one run, of the worker who takes longest
  std::vector<double> begin_us, end_us;  // of each sample, on the clock that all processes share
};

/// Runs on one thread per core, each bound to its core, for `seconds` and at least three samples; one run in front is
/// not counted. A sample is `repeats` runs. @pre cores is not empty; repeats >= 1
/// @throws Error bad_value for a core where this process may not run
Window run_window(const Kernel& kernel, const std::vector<int>& cores, int repeats, double seconds);

/// Work without a layer that uses one thing up: "spin" (arithmetic in registers), "cache" (sweeps over 1 MiB),
/// "memory" (sweeps over 64 MiB). @throws Error unknown_name
Kernel make_stressor(const std::string& name, int at_once);

}  // namespace tailor::kernels
