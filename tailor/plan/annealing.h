/// \file Splits that need not be contiguous, by simulated annealing. Private to placement.
#pragma once

#include "tailor/plan/pieces.h"

#include <cstdint>
#include <vector>

namespace tailor::plan {

/// Moves single pieces between devices (Kirkpatrick, Gelatt, Vecchi 1983), at first where it makes loads worse,
/// later hardly any more. What falls is the 8-norm of the loads: close to the largest, but it feels the others.
/// Never returns anything worse than `start`. Deterministic. O(steps x degree)
/// @param start device of each piece, within the memory of each accelerator
std::vector<int> anneal(const OperatorGraph& graph, const Pieces& pieces, std::vector<int> start,
                        std::uint64_t steps, std::uint64_t seed);

}  // namespace tailor::plan
