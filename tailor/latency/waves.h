/// \file The arithmetic of waves: how the thread blocks of a kernel fall onto a GPU's multiprocessors, and which widths
/// fill what they pay for.
///
/// A layer as a matrix product of M x N (a convolution: M = batch x output pixels, N = output channels; NVIDIA,
/// "Matrix Multiplication Background", and CUTLASS's implicit GEMM) is cut into tiles, one block each. A wave is what
/// runs at a time: multiprocessors x blocks that one of them holds (device/occupancy.h). The tail is the last wave, if
/// it is not full (Yu et al., arXiv:2011.03897).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tailor::latency {

/// Output of one block.
struct Tile {
  int m = 128, n = 128;
  friend bool operator==(const Tile&, const Tile&) = default;
};

/// Tiles of an m x n output. @pre m, n >= 1
std::int64_t tiles(std::int64_t m, std::int64_t n, Tile tile);
/// Share of the tiles' area that is output and not padding.
double tile_efficiency(std::int64_t m, std::int64_t n, Tile tile);

struct Waves {
  std::int64_t blocks = 0, capacity = 1;

  double count() const { return static_cast<double>(blocks) / static_cast<double>(capacity); }
  std::int64_t full() const { return blocks / capacity; }
  std::int64_t tail_blocks() const { return blocks % capacity; }  // of the last wave; 0: it is full
  std::int64_t paid() const { return (blocks + capacity - 1) / capacity; }
  /// Share of the paid waves that does work; 1 - this is what a perfect width would win.
  double efficiency() const {
    return blocks ? static_cast<double>(blocks) / static_cast<double>(paid() * capacity) : 1;
  }
};

/// What NVIDIA's profiler says about a launch, so that its users find their figure again: its "Tail Effect" rule fires
/// for one to four full waves and a partial one, and estimates 1 / (1 + full waves) whatever the fill of the last one.
/// @return the estimate, a share of the time; nothing where the rule is silent
std::optional<double> profiler_tail_estimate(const Waves& waves);

/// One step's right edge: the widest output that takes so many waves.
struct TailFree {
  std::int64_t waves = 0, width = 0;
  friend bool operator==(const TailFree&, const TailFree&) = default;
};
/// Right edges up to the width `most`, increasing in both. O(waves of `most`).
/// @param m        rows of the product @param split parts of the reduction that are blocks of their own
/// @param capacity blocks of a wave
std::vector<TailFree> tail_free_widths(std::int64_t m, std::int64_t most, Tile tile, int split,
                                       std::int64_t capacity);

/// Rounds that the busiest multiprocessor works through, in units of the time of one block that has it for itself.
/// Measured GEMMs step at every multiple of the multiprocessors, not of the wave: resident blocks share one
/// multiprocessor's arithmetic, so a tail of one block each is cheaper than a full wave. `resident` blocks run
/// together; a set of fewer than `lone` takes as long as `lone` (too few warps to keep it busy).
/// @pre 1 <= lone <= resident
std::int64_t serial_rounds(std::int64_t blocks, int multiprocessors, int resident = 1, int lone = 1);

/// How stream-K (Osama et al., arXiv:2301.03598) shares out a product's tiles: whole tiles in waves, and a rest whose
/// reductions are cut evenly, so that no multiprocessor idles: kernels that do so have no tail.
struct StreamK {
  std::int64_t whole_tiles = 0, shared_tiles = 0, shared_blocks = 0;
  friend bool operator==(const StreamK&, const StreamK&) = default;
};
/// The decision of CUTLASS 2's swizzle: share the partial wave if the device has room beside the full ones, else the
/// partial wave and a full one, if the shared iterations save more than the fix-up costs. O(multiprocessors).
/// @param iterations of the reduction per tile
StreamK stream_k(std::int64_t tiles, std::int64_t iterations, int multiprocessors, int occupancy);
/// Tiles that CUTLASS 3's persistent scheduler shares: none where the tail is at least half a wave or reductions have
/// at most 8 iterations; else all but the whole waves before the last full one.
std::int64_t stream_k_persistent(std::int64_t tiles, std::int64_t iterations, std::int64_t blocks_per_wave);

}  // namespace tailor::latency
