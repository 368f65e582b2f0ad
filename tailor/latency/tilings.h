/// \file The best way to cut a layer's loops for an accelerator, among all ways.
///
/// A dimension is split over the levels at which the dataflow has a loop for it, by rounding up: a split is looked at if
/// no bound of it could be smaller, which leaves the best one in, because no cost and no size falls when a bound grows.
/// Splits of the dimensions are combined by depth-first branch and bound: what a partial tiling costs with the other
/// dimensions whole inside the innermost loops, and its turns times the turns that the rest needs on the PEs that are
/// left, are lower bounds of what follows. Deterministic. The worst case is the product of the numbers of splits (of a
/// dimension n over k levels, at most about (2 sqrt n)^(k-1)); layers of common networks take milliseconds.
#pragma once

#include "tailor/latency/loop_nest.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace tailor::latency {

/// What is to be small: cycles (of equals, energy), energy (of equals, cycles), or the product of the two.
enum class Objective { latency, energy, product };
/// "latency", "energy", "product". @throws Error unknown_name
Objective parse_objective(std::string_view text);

struct TilingLimits {
  /// Tilings and parts of tilings that are looked at before the search ends with the best so far.
  std::int64_t looked_at = 20'000'000;
  /// Splits of a dimension; where there are more, inner bounds are powers of two only.
  std::size_t splits = 20'000;
};

struct BestTiling {
  Tiling tiling;
  NestCost cost;
  std::int64_t looked_at = 0;  // tilings and parts of them that were priced
  bool exact = true;           // false: a limit was met, there may be a better one
};

/// The best tiling that fits, or none if none does (or a limit was met before one was found).
std::optional<BestTiling> best_tiling(const device::Accelerator& accelerator, const LayerLoops& layer,
                                      Objective objective, const TilingLimits& limits = {});

/// The least cycles of any tiling, whatever the energy; absent as above. Faster than best_tiling.
std::optional<double> least_cycles(const device::Accelerator& accelerator, const LayerLoops& layer,
                                   const TilingLimits& limits = {});

/// Why no tiling fits: what is wrong with the one that puts everything into the outermost loops. Empty if that one fits.
std::vector<std::string> why_nothing_fits(const device::Accelerator& accelerator, const LayerLoops& layer);

}  // namespace tailor::latency
