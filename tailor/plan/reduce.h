/// \file The same problem, smaller: dominated candidates removed, factors merged, constants taken out.
#pragma once

#include "tailor/plan/problem.h"

#include <vector>

namespace tailor::plan {

struct Reduced {
  Problem problem;            // variables with at least two candidates; every factor has a scope
  Cost constant;              // to be added to every choice; infinite latency: nothing is possible
  std::vector<int> variable;  // of the original problem, per reduced variable
  std::vector<std::vector<int>> candidates;  // original indices that survived, per original variable
  std::size_t original_factors = 0;

  /// A choice of the reduced problem in the terms of the original one.
  std::vector<int> original(const std::vector<int>& choice) const;
};

/// A candidate goes if another one is at least as good in both costs whatever the other variables choose (of
/// equals, the first stays). Factors whose scope lies in another one's are added to it; each factor's least
/// latency and loss become part of the constant. The Pareto front is unchanged. O(factors x table x
/// candidates), repeated until nothing changes.
Reduced reduce(const Problem& problem);

}  // namespace tailor::plan
