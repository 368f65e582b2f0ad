/// \file Measurements of which it is known that they cannot fall.
#pragma once

#include <vector>

namespace tailor::pipeline {

/// The values nearest to `values` in squares among those that nowhere fall (pool adjacent violators; Barlow, Bartholomew,
/// Bremner and Brunk, Statistical Inference under Order Restrictions, 1972). O(n)
std::vector<double> isotonic(const std::vector<double>& values);

}  // namespace tailor::pipeline
