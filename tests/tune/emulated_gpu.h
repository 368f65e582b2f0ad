/// \file A multiprocessor on a processor, made to find faults: blocks one after the other, their threads as fibers.
///
/// - A warp runs as far as it can, to the next barrier of its block, before another one does, in random order: what is only
///   right because warps happen to keep step fails.
/// - What is brought to shared memory is destroyed at once and arrives when its own thread waits for it, no sooner: a missing
///   wait, a missing barrier, and a stage that is filled while somebody still reads it all give NaN.
/// - ldmatrix and mma.m16n8k16 move between lanes as the PTX ISA's figures of their fragments say; a warp that does not come
///   to them as a whole is a fault, and so are addresses outside the tensors or shared memory, or not aligned.
#pragma once

#include "tests/tune/emulated_cuda.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tailor::testing {

/// Nearest, ties to even. @pre value is finite or NaN
std::uint16_t half_of(float value);
float float_of(std::uint16_t half);

struct EmulatedLaunch {
  unsigned grid = 1, block = 32;
  std::int64_t shared_bytes = 0;
  bool at_once = false;  // copies arrive at once, as before compute capability 8
  std::uint64_t seed = 1;
};

/// Memory that `bring` may read.
struct Readable {
  const void* begin = nullptr;
  std::size_t bytes = 0;
};

struct Emulated {
  std::string fault;                // the first one; "" if there was none
  std::int64_t bank_conflicts = 0;  // of ldmatrix: rows that share banks with another of their matrix
  std::int64_t products = 0;        // multiply_adds of warps
};

/// The functions for `use` of a text that was compiled with emulated_cuda.h. One at a time is in use.
const emulated::Machine& emulated_machine();

/// Runs `thread` as every thread of every block. Not thread-safe.
Emulated emulate(const EmulatedLaunch& launch, const std::vector<Readable>& readable,
                 const std::function<void()>& thread);

}  // namespace tailor::testing
