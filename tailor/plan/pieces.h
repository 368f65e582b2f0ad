/// \file A graph of operators contracted to what can be placed on its own. Private to placement.
#pragma once

#include "tailor/plan/placement.h"

#include <vector>

namespace tailor::plan {

/// Operators that stay together, forward and backward ones.
struct Piece {
  double cpu = 0, accelerator = 0, bytes = 0;
  bool supported = true;
  std::vector<int> operators;
};

/// An output and the pieces that make or read it. A device pays its cost if it has some of them but not all.
struct Net {
  double cost = 0;
  std::vector<int> pins;  // increasing, at least two
};

/// Pieces in a topological order of the forward graph.
struct Pieces {
  std::vector<Piece> pieces;
  std::vector<std::vector<int>> before, after;  // in the forward graph
  std::vector<Net> nets;
  std::vector<std::vector<int>> nets_of;  // each piece
  std::size_t size() const { return pieces.size(); }
};

/// Colours become pieces; backward operators without a forward one get a place in the order that mirrors
/// theirs; cycles between pieces are fused; operators that take no time and touch only one piece join it.
/// @pre check(graph). O((operators + edges) x rounds of joining)
Pieces contract(const OperatorGraph& graph);

/// The same pieces numbered by another topological order: order[i] becomes i.
Pieces renumbered(const Pieces& pieces, const std::vector<int>& order);

/// Topological orders that keep what belongs together near: depth first, and breadth first.
std::vector<std::vector<int>> linear_orders(const Pieces& pieces);

/// Device of each operator from that of each piece.
std::vector<int> operators_of(const OperatorGraph& graph, const Pieces& pieces,
                              const std::vector<int>& device);

}  // namespace tailor::plan
