/// \file A second opinion on GPU latencies: the analytic predictor of LAUDNet (arXiv:2308.15949) for dense convolutions
/// of one image, written anew from its equations. One block per multiprocessor and tile, f32 lanes, the best of many
/// tiles; it knows neither residency nor split reductions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <set>

namespace tailor::testing {

struct TileSearchGpu {
  std::int64_t multiprocessors = 80, lanes = 64;
  double clock_hz = 1.5e9, bytes_per_s = 700e9;
};

inline std::int64_t divided_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Powers of two up to 128, n/1 ... n/7, and 2 ... 7.
inline std::set<std::int64_t> tile_sizes(std::int64_t n) {
  std::set<std::int64_t> sizes;
  for (std::int64_t p = 1; p <= 128; p *= 2)
    if (p <= 2 * n) sizes.insert(p);
  for (std::int64_t i = 1; i < std::min<std::int64_t>(n, 8); ++i) {
    sizes.insert(divided_up(n, i));
    if (i > 1) sizes.insert(i);
  }
  return sizes;
}

// Share of the 8 values of a memory sector that a row of `size` values uses, `gap` values before the next row.
inline double sector_use(std::int64_t size, std::int64_t gap) {
  constexpr std::int64_t kSector = 8;
  const auto used = static_cast<double>(size);
  if (size > kSector) return used / static_cast<double>(divided_up(size, kSector) * kSector);
  if (size + gap > kSector) return used / kSector;
  return used / static_cast<double>(size + gap);
}

struct TileSearchResult {
  double us = std::numeric_limits<double>::infinity(), compute_us = 0, memory_us = 0;
  std::int64_t tiles = 0;
};

/// A kernel x kernel convolution with stride 1 of ic to oc channels on size x size pixels.
inline TileSearchResult tile_search(const TileSearchGpu& gpu, std::int64_t ic, std::int64_t oc,
                                    std::int64_t size, std::int64_t kernel) {
  constexpr double kLaunchUs = 8;
  const double values_per_us = gpu.bytes_per_s / 4 / 1e6;
  const std::int64_t taps = ic * kernel * kernel, parallel = 4 * gpu.lanes;
  const auto moved = static_cast<double>(oc * taps + (ic + oc) * size * size);
  TileSearchResult best;
  for (std::int64_t c : tile_sizes(oc))
    for (std::int64_t h : tile_sizes(size))
      for (std::int64_t w : tile_sizes(size)) {
        const std::int64_t tiles = divided_up(oc, c) * divided_up(size, h) * divided_up(size, w),
                           area = c * h * w;
        const std::int64_t groups = divided_up(c, oc);  // a tile of more channels than there are reads twice
        const auto fetched = static_cast<double>(
            (c * taps + groups * ic * (h + kernel - 1) * (w + kernel - 1) + area) * tiles);
        const double memory = moved / values_per_us + fetched / (4 * values_per_us) /
                                                          sector_use(w, std::max<std::int64_t>(size - w, 0));
        const double busy =
            static_cast<double>(area) / static_cast<double>(divided_up(area, parallel) * parallel);
        const double compute = static_cast<double>(area * taps) /
                               (gpu.clock_hz / 1e6 * static_cast<double>(gpu.lanes)) / busy *
                               static_cast<double>(divided_up(tiles, gpu.multiprocessors));
        if (kLaunchUs + compute + memory < best.us)
          best = {kLaunchUs + compute + memory, compute, memory, tiles};
      }
  return best;
}

}  // namespace tailor::testing
