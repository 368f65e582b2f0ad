/// \file From the planner's answer back to a surgery on the original.
#pragma once

#include "tailor/pipeline/candidates.h"

#include <map>
#include <vector>

namespace tailor::pipeline {

/// The surgery on the original that the choice means, on top of what was done before.
/// @param choice a candidate per variable of width_problem()
Surgery merge(const Subject& original, const Surgery& before, const Subject& present,
              const CandidateTable& table, const std::vector<int>& choice);

/// Which group of the original each group of the present subject is.
std::map<int, int> original_groups(const Subject& original, const Surgery& surgery, const Subject& present);

}  // namespace tailor::pipeline
