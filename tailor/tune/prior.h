/// \file What is known of a space from another device, share or shape.
#pragma once

#include "tailor/tune/space.h"
#include "tailor/tune/trial.h"

#include <map>
#include <string>
#include <vector>

namespace tailor::tune {

/// Times of another source over the configurations of this space. Between measured configurations it interpolates:
/// the three nearest in coordinates, weighted by inverse squared distance (Shepard 1968).
class Prior {
 public:
  /// @param trials of configurations of `space`; failed ones and strangers are passed over
  /// @param source what people call it, "RTX 2080 Ti"
  /// @throws Error nothing_to_transfer if fewer than five are left
  Prior(const Space& space, const std::vector<Trial>& trials, std::string source);

  /// Natural logarithm of the time over that of the middle one of the source. O(measured x parameters) where the
  /// configuration was not measured.
  double operator()(const Configuration& configuration) const;
  /// The measured configurations, fastest first.
  const std::vector<Configuration>& ranked() const { return ranked_; }
  const std::string& source() const { return source_; }

 private:
  const Space* space_;
  std::map<Configuration, double> known_;
  std::vector<std::vector<double>> points_;
  std::vector<double> values_;
  std::vector<Configuration> ranked_;
  std::string source_;
};

/// Kendall's tau-b of two lists of equal length: 1 where they are in the same order, -1 where reversed, 0 where a list
/// is constant. O(n^2)
double kendall_tau(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace tailor::tune
