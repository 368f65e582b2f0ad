/// \file Whether parts of a device really run beside each other, and what they take from each other.
#pragma once

#include "runners/opencl/kernel.h"

#include <memory>
#include <vector>

namespace tailor::opencl {

/// Of one kernel, in each part the same. Per part, one value per round; microseconds of one run.
struct Beside {
  std::vector<std::vector<double>> alone_us, beside_us;  // on the wall
  std::vector<std::vector<double>> alone_cpu_us,
      beside_cpu_us;         // of the part's thread; empty unless a processor's
  std::vector<int> threads;  // per part: the one that did most of its work alone; empty unless a processor's
  std::vector<double> throughput;  // per round: runs per second of all at once over the mean of one alone
};

/// Each round runs every kernel alone for `seconds`, one after the other, then all at the same time, each from a thread of
/// its own. @pre kernels of parts of one split; rounds >= 1 @throws Refused
Beside run_beside(const std::vector<std::unique_ptr<Kernel>>& kernels, bool processor, int rounds,
                  double seconds);

}  // namespace tailor::opencl
