// cosines, correlations  products of rows, scaled
// clusters               each cluster knows the one that is most like it; a step joins the best two, and looks again for
//                        those whose best changed
#include "tailor/saliency/likeness.h"

#define EIGEN_USE_BLAS
#include "tailor/base/error.h"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <map>

namespace tailor::saliency {
namespace {

using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Likeness nothing_alike(int units) {
  Likeness likeness{units, std::vector<double>(element(units, 0, units), 0.0)};
  for (int unit = 0; unit < units; ++unit) likeness.values[element(unit, unit, units)] = 1;
  return likeness;
}

// Of all rows with each other.
FloatMatrix products(const Responses& rows) {
  const Eigen::Map<const FloatMatrix> x(rows.values.data(), rows.units,
                                        static_cast<Eigen::Index>(rows.samples));
  return x * x.transpose();
}

double cosine(double both, double a, double b) {
  if (a == 0 && b == 0) return 1;
  return a > 0 && b > 0 ? std::clamp(both / std::sqrt(a * b), -1.0, 1.0) : 0;
}

// Clusters that are still apart; each is known by its first member.
class Joining {
 public:
  Joining(const Likeness& likeness, double threshold)
      : likeness_(likeness), threshold_(threshold), cluster_(static_cast<std::size_t>(likeness.units)) {
    for (int unit = 0; unit < units(); ++unit) cluster_[static_cast<std::size_t>(unit)] = unit;
    best_.assign(cluster_.size(), -1);
    for (int unit = 0; unit < units(); ++unit) look(unit);
  }
  // False if no two clusters are alike enough.
  bool step() {
    int from = -1;
    for (int unit = 0; unit < units(); ++unit)
      if (alone(unit) && best(unit) >= 0 && (from < 0 || value(unit) > value(from))) from = unit;
    if (from < 0 || value(from) < threshold_) return false;
    join(std::min(from, best(from)), std::max(from, best(from)));
    return true;
  }
  const std::vector<int>& first_members() const { return cluster_; }

 private:
  int units() const { return likeness_.units; }
  bool alone(int unit) const { return cluster_[static_cast<std::size_t>(unit)] == unit; }
  int best(int unit) const { return best_[static_cast<std::size_t>(unit)]; }
  double value(int unit) const { return likeness_.at(unit, best(unit)); }

  void join(int first, int second) {
    for (int& c : cluster_)
      if (c == second) c = first;
    for (int other = 0; other < units(); ++other) {
      if (other == first) continue;
      double& forth = likeness_.values[element(first, other, units())];
      forth = std::min(forth, likeness_.at(second, other));
      likeness_.values[element(other, first, units())] = forth;
    }
    for (int other = 0; other < units(); ++other)
      if (alone(other) && (other == first || best(other) == first || best(other) == second)) look(other);
  }
  void look(int unit) {
    int found = -1;
    for (int other = 0; other < units(); ++other)
      if (other != unit && alone(other) &&
          (found < 0 || likeness_.at(unit, other) > likeness_.at(unit, found)))
        found = other;
    best_[static_cast<std::size_t>(unit)] = found;
  }

  Likeness likeness_;
  double threshold_;
  std::vector<int> cluster_, best_;
};

}  // namespace

Likeness cosines(const Responses& patterns) {
  TAILOR_CHECK(patterns.values.size() == static_cast<std::size_t>(patterns.units) * patterns.samples);
  Likeness likeness = nothing_alike(patterns.units);
  const FloatMatrix both = products(patterns);
  for (int a = 0; a < patterns.units; ++a)
    for (int b = 0; b < a; ++b)
      likeness.values[element(a, b, patterns.units)] = likeness.values[element(b, a, patterns.units)] =
          cosine(both(a, b), both(a, a), both(b, b));
  return likeness;
}

Likeness correlations(const Responses& responses) {
  Responses centred = responses;
  for (int unit = 0; unit < responses.units; ++unit) {
    float* row = centred.values.data() + static_cast<std::size_t>(unit) * responses.samples;
    double mean = 0, largest = 0;
    for (std::size_t i = 0; i < responses.samples; ++i)
      mean += double{row[i]} / static_cast<double>(responses.samples),
          largest = std::max(largest, std::abs(double{row[i]}));
    for (std::size_t i = 0; i < responses.samples; ++i) {
      row[i] = static_cast<float>(row[i] - mean);
      if (std::abs(row[i]) < 1e-6 * largest) row[i] = 0;  // what rounding leaves of a constant
    }
  }
  return cosines(centred);
}

Likeness mean_of(const std::vector<Likeness>& list) {
  TAILOR_CHECK(!list.empty());
  Likeness mean = list.front();
  for (std::size_t i = 1; i < list.size(); ++i) {
    TAILOR_CHECK(list[i].units == mean.units);
    for (std::size_t k = 0; k < mean.values.size(); ++k) mean.values[k] += list[i].values[k];
  }
  for (double& value : mean.values) value /= static_cast<double>(list.size());
  return mean;
}

Likeness least_of(const Likeness& a, const Likeness& b) {
  TAILOR_CHECK(a.units == b.units);
  Likeness least = a;
  for (std::size_t k = 0; k < least.values.size(); ++k)
    least.values[k] = std::min(least.values[k], b.values[k]);
  return least;
}

std::vector<int> clusters(const Likeness& likeness, double threshold) {
  Joining joining(likeness, threshold);
  while (joining.step()) {
  }
  std::map<int, int> number;
  std::vector<int> list;
  for (int first : joining.first_members())
    list.push_back(number.emplace(first, static_cast<int>(number.size())).first->second);
  return list;
}

}  // namespace tailor::saliency
