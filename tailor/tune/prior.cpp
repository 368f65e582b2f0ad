#include "tailor/tune/prior.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace tailor::tune {
namespace {

constexpr std::size_t kFewest = 5, kNearest = 3;

double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

}  // namespace

Prior::Prior(const Space& space, const std::vector<Trial>& trials, std::string source)
    : space_(&space), source_(std::move(source)) {
  for (const Trial& trial : trials)
    if (trial.outcome == Outcome::ok && trial.us > 0 && space.allows(trial.configuration))
      known_[trial.configuration] = std::log(trial.us);
  if (known_.size() < kFewest)
    throw Error(Code::nothing_to_transfer,
                fmt::format("only {} of its configurations are in this space", known_.size()), source_);
  std::vector<double> sorted;
  for (const auto& [configuration, value] : known_) sorted.push_back(value), ranked_.push_back(configuration);
  std::sort(sorted.begin(), sorted.end());
  for (auto& [configuration, value] : known_) {
    value -= sorted[sorted.size() / 2];
    points_.push_back(space.encode(configuration));
    values_.push_back(value);
  }
  std::stable_sort(ranked_.begin(), ranked_.end(), [&](const Configuration& a, const Configuration& b) {
    return known_.at(a) < known_.at(b);
  });
}

double Prior::operator()(const Configuration& configuration) const {
  if (auto it = known_.find(configuration); it != known_.end()) return it->second;
  const std::vector<double> point = space_->encode(configuration);
  std::array<std::pair<double, double>, kNearest> nearest;
  nearest.fill({std::numeric_limits<double>::infinity(), 0});
  for (std::size_t i = 0; i < points_.size(); ++i) {
    const double distance = squared_distance(points_[i], point);
    if (distance >= nearest.back().first) continue;
    nearest.back() = {distance, values_[i]};
    std::sort(nearest.begin(), nearest.end());
  }
  double sum = 0, weights = 0;
  for (const auto& [distance, value] : nearest)
    sum += value / (distance + 1e-9), weights += 1 / (distance + 1e-9);
  return sum / weights;
}

double kendall_tau(const std::vector<double>& a, const std::vector<double>& b) {
  TAILOR_CHECK(a.size() == b.size());
  auto sign = [](double x) { return (x > 0) - (x < 0); };
  double agree = 0, of_a = 0, of_b = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) {
      const int x = sign(a[i] - a[j]), y = sign(b[i] - b[j]);
      agree += x * y, of_a += x * x, of_b += y * y;
    }
  return of_a > 0 && of_b > 0 ? agree / std::sqrt(of_a * of_b) : 0;
}

}  // namespace tailor::tune
