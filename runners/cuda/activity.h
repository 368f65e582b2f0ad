/// \file What really ran: name, grid, block, registers and shared memory of every kernel, as CUPTI reports them, so that
/// waves are read and not guessed.
#pragma once

#include "runners/cuda/gpu.h"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tailor::cuda {

struct KernelLaunch {
  std::string name;
  std::array<std::int64_t, 3> grid{}, block{};
  int registers = 0;
  std::int64_t shared_bytes = 0;  // static and dynamic
  double us = 0;
  double waves = 0;  // blocks over what the device holds at a time; 0 if that cannot be told
  std::int64_t start = 0;

  std::int64_t blocks() const { return grid[0] * grid[1] * grid[2]; }
};

/// Kernels that `work` puts on the stream, in the order in which they began. Waits for them. Tracing costs time:
/// nothing that is measured runs meanwhile.
/// @throws Error runtime_missing: no CUPTI; CallFailed
std::vector<KernelLaunch> trace(Gpu& gpu, const std::function<void()>& work);

/// false, once and for all, where CUPTI is missing or the system does not let this user trace; `why` says so.
bool can_trace(Gpu& gpu, std::string& why);

/// "sm80_xmma_fprop 64x1x1 blocks of 256, 1.21 waves", several joined by " + ".
std::string to_string(const std::vector<KernelLaunch>& kernels);
Json to_json(const KernelLaunch& kernel);

}  // namespace tailor::cuda
