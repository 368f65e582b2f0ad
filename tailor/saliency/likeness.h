/// \file How alike channels are, and clusters of those that are.
///
/// Qin et al. (arXiv:1810.07322) call filters alike whose synthesised patterns are near each other, and put them into as
/// many clusters as k-means is asked for. Here a cluster is complete: any two of its units are as alike as was asked for,
/// so that how many there are follows from the layer, and no chain of small differences joins what differs much.
#pragma once

#include "tailor/saliency/functionality.h"

#include <cstddef>
#include <vector>

namespace tailor::saliency {

/// units x units, row-major, symmetric: 1 alike, 0 nothing in common, -1 opposite. The diagonal is 1.
struct Likeness {
  int units = 0;
  std::vector<double> values = {};

  double at(int a, int b) const { return values[element(a, b, units)]; }
};

/// Cosines of the rows of `patterns` as they are. With patterns of mean 0, s = 1 - d / 2 where d is the mean squared
/// distance of the patterns scaled to deviation 1. Two rows of zeros are alike, and unlike all others. O(units^2 samples)
Likeness cosines(const Responses& patterns);

/// Correlations of the rows. Two constant rows are alike, and unlike all others. O(units^2 samples)
Likeness correlations(const Responses& responses);

/// The mean of several, element by element. @pre at least one; as many units in each
Likeness mean_of(const std::vector<Likeness>& list);
/// The smaller, element by element: alike only in both. @pre as many units
Likeness least_of(const Likeness& a, const Likeness& b);

/// Complete linkage (Defays 1977): from every unit alone, the two clusters are joined whose least alike members are most
/// alike, while those are at least `threshold` alike. Ties go to the units with the smaller numbers. Returns the cluster
/// of each unit, numbered in the order of their first members. O(units^2) for most, O(units^3) at worst.
std::vector<int> clusters(const Likeness& likeness, double threshold);

}  // namespace tailor::saliency
