/// \file How many blocks of a kernel one multiprocessor holds at a time.
///
/// CUDA's rules exactly, as its occupancy calculator applies them with the largest shared memory: warps, blocks,
/// registers (handed out to the quarters of a multiprocessor, per warp in units of 256) and shared memory (in units of
/// 128 bytes, 256 before compute capability 8). For AMD the same four limits without units of allocation: an upper
/// bound.
#pragma once

#include "tailor/device/device.h"

#include <cstdint>
#include <vector>

namespace tailor::device {

/// What a kernel needs.
struct Launch {
  int threads = 0;                // of a block
  int registers = 0;              // of a thread
  std::int64_t shared_bytes = 0;  // of a block, static and dynamic
};

enum class Limit { warps, blocks, registers, shared };
const char* name(Limit limit);

struct Occupancy {
  int blocks = 0;                  // of one multiprocessor; 0: the kernel cannot run
  std::vector<Limit> limits = {};  // those that allow no more
  double share = 0;                // of the resident threads that the multiprocessor could hold
};

/// O(1). @throws Error bad_value unless 1 <= threads, 0 <= registers, 0 <= shared_bytes
Occupancy occupancy(const Device& device, const Launch& launch);

/// Blocks of one wave on the whole device: what runs at a time.
std::int64_t wave_capacity(const Device& device, const Launch& launch);

}  // namespace tailor::device
