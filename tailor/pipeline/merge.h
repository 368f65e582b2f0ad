/// \file From the planner's answer back to a surgery on the original.
#pragma once

#include "tailor/pipeline/candidates.h"

#include <map>
#include <set>
#include <vector>

namespace tailor::pipeline {

/// The surgery on the original that the choice means, on top of what was done before. Widths of groups that are not among
/// shared_groups() stay as they are.
/// @param choice a candidate per variable of width_problem()
Surgery merge(const Subject& original, const Surgery& before, const Subject& present,
              const CandidateTable& table, const std::vector<int>& choice);

/// Which group of the original each group of the present subject is.
std::map<int, int> original_groups(const Subject& original, const Surgery& surgery, const Subject& present);

/// Groups of the present subject that a surgery on the original can cut: each of their units is one or several of the
/// original's. Where one head of attention is left, the present units are its positions, which the original's are not.
std::set<int> shared_groups(const Subject& original, const Surgery& surgery, const Subject& present);

/// Branches of the present subject that a surgery on the original can take away: the same operands of the same sums, with
/// nothing in them that is outside of the original's branch. In the order of the present's sums. O(branches x nodes)
std::vector<rewrite::Branch> shared_branches(const Subject& original, const Subject& present);

}  // namespace tailor::pipeline
