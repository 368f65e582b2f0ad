/// \file Staircases: where the latency of a layer jumps as its width grows, and which widths are worth
/// having.
///
/// Edges come from an optimal partition of the logarithm of the latencies into treads of constant height
/// (exact dynamic programming; Jackson et al., "An algorithm for optimal partitioning of data on an
/// interval", 2005), with absolute deviations so that disturbed samples do not matter. Edges say where the
/// hardware's blocks end; they explain. Candidates are taken from the latencies themselves
/// (worthwhile_widths): the last width before an edge is often slower than the edge, and on some kernels
/// whole residue classes of widths are slow, which no staircase shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tailor::latency {

/// Widths first..last take about the same time.
struct Tread {
  std::int64_t first = 0, last = 0;
  double level_us = 0;    // median of the tread
  std::int64_t best = 0;  // the widest width whose latency is the tread's least, within the noise: tail-free
};

/// Between widths `last` and `next` the latency jumps by `height_us` (from the tread to the next one), a
/// factor `ratio`.
struct Edge {
  std::int64_t last = 0, next = 0;
  double height_us = 0;
  double ratio = 1;
};

struct Staircase {
  std::vector<std::int64_t> widths;  // increasing
  std::vector<double> latencies_us;  // one per width
  double sigma = 0;                  // noise of log latency from one width to the next
  std::vector<Tread> treads;         // from the narrowest up, without gaps
  std::vector<Edge> edges;           // jumps upwards that stand out; not every border of two treads is one
};

struct StaircaseOptions {
  double penalty = 3;         // cost of a tread, in units of ln(number of widths)
  double least_jump = 0.015;  // of log latency; smaller jumps are no edges
  double least_sigma = 1e-3;  // modelled latencies have no noise
};

/// Fits treads and finds edges. A ramp (latency proportional to width) has treads, but its borders are no
/// edges: most of a jump must happen between two neighbouring widths. O(n^2 log n) for n widths.
/// @throws Error bad_value unless widths increase, latencies are positive and finite, and there are as many
/// of both
Staircase find_staircase(std::span<const std::int64_t> widths, std::span<const double> latencies_us,
                         const StaircaseOptions& options = {});

/// The widths for which no wider width is as fast (Pareto-optimal in width and latency), increasing. With a
/// tolerance, a narrower width must be faster by that share to stay. The widest width always stays. O(n)
/// @throws Error bad_value as find_staircase
std::vector<std::int64_t> worthwhile_widths(std::span<const std::int64_t> widths,
                                            std::span<const double> latencies_us, double tolerance = 0);

/// What a layer of the present width could have instead.
struct FreeWidths {
  double present_us = 0;
  /// The widest width that costs no more than the present one, if it is wider: channels for nothing.
  std::optional<std::int64_t> wider;
  /// The nearest narrower worthwhile widths that save more than the tolerance, nearest first.
  std::vector<std::int64_t> narrower;
};

/// @param tolerance share of the present latency that is called equal
/// @param count     how many narrower widths at most
/// @throws Error bad_value if the width was not measured
FreeWidths free_widths(const Staircase& staircase, std::int64_t width, double tolerance = 0.01,
                       std::size_t count = 2);

}  // namespace tailor::latency
