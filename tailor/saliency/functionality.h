/// \file What channels do, as their readers see it, and which of them do what another one does already.
///
/// Filters that answer alike are redundant however large their weights are, and can go without loss if one of them
/// keeps the function (Qin et al., "Functionality-Oriented Convolutional Filter Pruning", arXiv:1810.07322; the workshop
/// version, arXiv:1811.02639). There the function of a filter is the picture that excites it most, and pictures are
/// clustered by k-means. Here it is the filter's responses on samples, which need no gradients, and clusters grow one by
/// one: the unit goes whose function another unit takes over at the least cost. So for every width there is one survivor
/// per cluster, and the survivors of a smaller width are among those of a larger one.
#pragma once

#include <cstddef>
#include <vector>

namespace tailor::saliency {

/// Where an element of a row-major matrix stands. O(1)
constexpr std::size_t element(int row, int column, int columns) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(column);
}

/// What one reader sees: `units` rows of `samples` values. A unit that owns several inputs has them one behind another
/// in its row.
struct Responses {
  int units = 0;
  std::size_t samples = 0;
  std::vector<float> values;
};

/// How one unit's responses are best had from another's: gain * x + offset, and the share of the variance that this
/// leaves (1 - squared correlation; 0 for a unit that is constant).
struct Line {
  double gain = 0, offset = 0, unexplained = 1;
};

/// Means and covariances of the units of one reader. O(units^2 samples).
class Moments {
 public:
  explicit Moments(const Responses& responses);
  int units() const { return units_; }
  double variance(int unit) const { return covariance(unit, unit); }
  /// Least squares of `removed` on `heir`. A heir that is constant explains nothing but the mean.
  Line line(int removed, int heir) const;

 private:
  double covariance(int a, int b) const;

  int units_;
  std::vector<double> mean_, covariance_;
};

/// units x units, row-major: what the readers lose if `row` goes and `column` takes over its function.
struct TakeOver {
  int units = 0;
  std::vector<double> cost;

  double at(int removed, int heir) const { return cost[element(removed, heir, units)]; }
};

/// Adds a reader: what is left of a unit's variance, times the squared weights that read it, as a share of what all
/// units bring to the reader. Readers of nothing (all units constant, or all weights zero) add nothing.
/// @param weight per unit, sum of the squares of the weights that read it @pre as many as units
void add_reader(TakeOver& costs, const Moments& moments, const std::vector<double>& weight);

/// In which order units go, and which of those that stay takes over each.
struct Redundancy {
  std::vector<int> order;    // all units, those that go first in front; the last one is the last survivor
  std::vector<int> heir;     // heir[i] takes over order[i]; for the last, itself
  std::vector<double> cost;  // that order[i] adds, what it had taken over before included
};
/// Each step removes the unit whose function, with those that it took over, another one takes over at the least cost.
/// O(units^2) for most costs, O(units^3) at worst. @pre costs.units >= 1
/// @param cluster of each unit (likeness.h), or empty. While a cluster has two units left, only units go that one of
///                their own cluster takes over; so every cluster keeps one until there is no other way.
Redundancy remove_repeats(TakeOver costs, std::vector<int> cluster = {});

/// The order after arXiv:1810.07322, which ranks the filters of a cluster by gradients: the unit of least `worth` first, but of every cluster the worthiest
/// stays until all other units are gone. O(units log units). @pre as many worths as units
std::vector<int> least_of_clusters(const std::vector<double>& worth, const std::vector<int>& cluster);

/// For units that go while `kept` stay: the kept one that takes over each at the least cost; kept ones have themselves.
/// O(units^2). @pre kept is not empty and increasing
std::vector<int> heirs(const TakeOver& costs, const std::vector<int>& kept);

}  // namespace tailor::saliency
