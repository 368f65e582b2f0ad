/// \file A layer's computation with its memory, ready to run: of a generated kernel here, of a library in onednn.h.
#pragma once

#include "runners/kernels/layer.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tailor::kernels {

/// The work is dealt to `workers`; each run does the part of one. Parts of different workers may run at the same time
/// if there is memory for so many (load_kernel).
struct Kernel {
  std::function<void(int worker, int workers)> run;
  std::shared_ptr<std::vector<float>> out;  // as long as the layer's result
  std::string name = {};                    // of a library: its version and what it chose
};

/// A shared object made of kernels/product.cc. `layer` must outlive the kernel.
/// @param at_once workers that may run at the same time; each gets scratch memory of its own
/// @param shape numbers that a kernel for any shape wants; it holds one at a time, so of one file one kernel may live
/// @throws Error runtime_refused if it cannot be loaded, wants more than 4 GiB, or another number of numbers
Kernel load_kernel(const std::string& path, const Layer& layer, int at_once = 1,
                   const std::vector<std::int64_t>& shape = {});

/// The largest error of all workers' parts, one after the other, beginning with nothing in the result.
double error_of(const Kernel& kernel, const Layer& layer, int workers);

/// The processor time of this thread in microseconds.
double thread_us();
/// Processor time of one run: with several workers that of the one who takes longest, each timed alone.
double time_us(const Kernel& kernel, int workers, int repeats);

}  // namespace tailor::kernels
