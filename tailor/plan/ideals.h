/// \file Ideals of the forward graph, and the dynamic programme over them. Private to placement.
#pragma once

#include "tailor/plan/pieces.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace tailor::plan {

/// The down-closed sets of pieces, smaller ones first: 0 is empty, the last one is everything. Each knows by
/// which pieces it can grow, and to which ideal.
struct Lattice {
  std::vector<std::size_t> begin;  // ideals + 1
  std::vector<int> piece, next;    // increasing pieces within an ideal
  std::size_t size() const { return begin.size() - 1; }
};
/// All ideals; nothing if there are more than `most`. O(ideals x (width + pieces / 64)).
std::optional<Lattice> all_ideals(const Pieces& pieces, std::size_t most);
/// Pieces for which the programmes are meant: they go one call deeper with each piece of a device.
inline constexpr std::size_t kMostPieces = 20000;

/// The ideals of the linear order 0, 1, 2 ...
Lattice chain(std::size_t pieces);

struct SplitSearch {
  std::vector<int> device;  // of each piece; empty: nothing below the limit
  double largest = 0;       // load; the limit if nothing was found
  bool complete = true;     // false: ended by most_pairs
  std::uint64_t pairs = 0;  // of ideals that were looked at
};
/// The contiguous split of least largest load below `limit`. Pairs are gone through by adding pieces in
/// increasing order, so that each comes up once; loads are kept up to date on the way. What exceeds the
/// limit, or leaves more work than the other devices can do below it, is left out. O(pairs x degree)
SplitSearch best_split(const OperatorGraph& graph, const Pieces& pieces, const Lattice& lattice, double limit,
                       std::uint64_t most_pairs);

/// Accelerator work that CPUs can take over in `time` at most, if pieces could be divided.
class TakenOver {
 public:
  explicit TakenOver(const Pieces& pieces);
  double in(double time) const;

 private:
  std::vector<std::pair<double, double>> points_;  // time, work: concave
};

/// No split, contiguous or not, has a smaller largest load: the accelerators' work less what the CPUs take
/// over, shared equally, and the piece that is slowest on its faster device.
double load_bound(const OperatorGraph& graph, const Pieces& pieces);

}  // namespace tailor::plan
