// Integer arithmetic only, but for the estimates of stream_k's costs.
#include "tailor/latency/waves.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailor::latency {
namespace {

std::int64_t parts(std::int64_t value, std::int64_t size) { return (value + size - 1) / size; }

// Cost of joining what several blocks computed of one tile, in iterations.
std::int64_t fix_up(std::int64_t tiles, std::int64_t blocks, std::int64_t waves, std::int64_t iterations) {
  std::int64_t peers = parts(blocks, tiles) + 1;
  double skew = 0.02 * static_cast<double>(peers * iterations);
  if (blocks % tiles == 0) peers = blocks / tiles, skew = 0;
  return static_cast<std::int64_t>(std::ceil(2.0 * static_cast<double>(peers + waves) + skew));
}

struct Shares {
  std::int64_t blocks = 0, saved = std::numeric_limits<std::int64_t>::min();
};

// The number of blocks that saves most iterations over whole tiles.
Shares best_shares(std::int64_t tiles, std::int64_t iterations, std::int64_t sms, std::int64_t least,
                   std::int64_t most) {
  constexpr std::int64_t kLeastIterations = 2;  // of a block
  Shares best;
  const std::int64_t all = tiles * iterations, whole = iterations * parts(tiles, sms);
  for (std::int64_t blocks = least; blocks <= std::min(most, all / kLeastIterations); ++blocks) {
    const std::int64_t waves = parts(blocks, sms), taken = parts(all, blocks) * waves;
    const std::int64_t saved = whole - taken - fix_up(tiles, blocks, waves, taken);
    if (saved >= best.saved) best = {blocks, saved};
  }
  return best;
}

}  // namespace

std::int64_t tiles(std::int64_t m, std::int64_t n, Tile tile) { return parts(m, tile.m) * parts(n, tile.n); }

double tile_efficiency(std::int64_t m, std::int64_t n, Tile tile) {
  return static_cast<double>(m) * static_cast<double>(n) /
         (static_cast<double>(tiles(m, n, tile)) * tile.m * tile.n);
}

std::optional<double> profiler_tail_estimate(const Waves& waves) {
  const std::int64_t full = waves.full();
  if (waves.tail_blocks() == 0 || full < 1 || full > 4) return std::nullopt;
  return 1.0 / static_cast<double>(1 + full);
}

std::vector<TailFree> tail_free_widths(std::int64_t m, std::int64_t most, Tile tile, int split,
                                       std::int64_t capacity) {
  TAILOR_CHECK(m > 0 && split > 0 && capacity > 0);
  const std::int64_t per_column = parts(m, tile.m) * split;
  std::vector<TailFree> widths;
  const std::int64_t columns = most / tile.n, last = parts(columns * per_column, capacity);
  for (std::int64_t wave = 1; wave <= last; ++wave) {
    const std::int64_t width = std::min(columns, wave * capacity / per_column) * tile.n;
    if (width > 0 && (widths.empty() || widths.back().width < width)) widths.push_back({wave, width});
  }
  return widths;
}

std::int64_t serial_rounds(std::int64_t blocks, int multiprocessors, int resident, int lone) {
  const std::int64_t of_busiest = parts(blocks, multiprocessors);
  const std::int64_t sets = of_busiest / resident, rest = of_busiest % resident;
  return sets * std::max(resident, lone) + (rest ? std::max<std::int64_t>(rest, lone) : 0);
}

StreamK stream_k(std::int64_t tiles, std::int64_t iterations, int multiprocessors, int occupancy) {
  const std::int64_t sms = multiprocessors, full = tiles / sms, partial = tiles % sms;
  const StreamK whole{tiles, 0, 0};
  if (partial == 0) return whole;
  const bool room = full < occupancy;  // for the shared tiles beside the full waves
  const std::int64_t shared = room ? partial : partial + sms;
  const std::int64_t least = room ? std::min(sms, shared + 1) : sms,
                     most = room ? sms * (occupancy - full) : sms;
  const Shares best = best_shares(shared, iterations, sms, least, most);
  if (best.blocks == 0 || best.saved < 0) return whole;
  return {tiles - shared, shared, best.blocks};
}

std::int64_t stream_k_persistent(std::int64_t tiles, std::int64_t iterations, std::int64_t blocks_per_wave) {
  constexpr std::int64_t kLeastIterations = 8;  // of a shared tile
  const std::int64_t full = tiles / blocks_per_wave, tail = tiles % blocks_per_wave;
  if (tail == 0 || iterations <= kLeastIterations || 2 * tail >= blocks_per_wave) return 0;
  return tiles - std::max<std::int64_t>(full - 1, 0) * blocks_per_wave;
}

}  // namespace tailor::latency
