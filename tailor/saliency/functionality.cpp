// Moments         one product of the centred responses with themselves
// add_reader      the cost of every pair, weighted by what the reader makes of the unit
// remove_repeats  each unit knows its best heir; a step takes the cheapest unit, hands its costs on to the heir, and
//                 looks again for those whose heir went or whose costs changed
#include "tailor/saliency/functionality.h"

#define EIGEN_USE_BLAS
#include "tailor/base/error.h"

#include <Eigen/Dense>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <utility>

namespace tailor::saliency {
namespace {

using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// The units that are left, while others go.
class Survivors {
 public:
  Survivors(TakeOver& costs, std::vector<int> cluster)
      : costs_(costs),
        cluster_(std::move(cluster)),
        alive_(static_cast<std::size_t>(costs.units), true),
        best_(alive_.size(), 0) {
    if (cluster_.empty()) cluster_.assign(alive_.size(), 0);
    for (int unit = 0; unit < costs.units; ++unit) look(unit);
  }
  // The unit that goes next; the last one where no other is left.
  int next() {
    if (const int unit = cheapest(); unit >= 0) return unit;
    std::fill(cluster_.begin(), cluster_.end(), 0);  // one of each is left
    for (int unit = 0; unit < costs_.units; ++unit)
      if (alive(unit)) look(unit);
    const int unit = cheapest();
    return unit >= 0 ? unit
                     : static_cast<int>(std::find(alive_.begin(), alive_.end(), true) - alive_.begin());
  }
  int heir(int unit) const { return best_[static_cast<std::size_t>(unit)]; }
  double cost(int unit) const { return costs_.at(unit, heir(unit)); }
  // The heir answers for both from now on.
  void remove(int unit) {
    const int takes = heir(unit);
    alive_[static_cast<std::size_t>(unit)] = false;
    for (int other = 0; other < costs_.units; ++other)
      costs_.cost[element(takes, other, costs_.units)] += costs_.at(unit, other);
    for (int other = 0; other < costs_.units; ++other)
      if (alive(other) && (other == takes || heir(other) == unit)) look(other);
  }

 private:
  bool alive(int unit) const { return alive_[static_cast<std::size_t>(unit)]; }
  int cluster(int unit) const { return cluster_[static_cast<std::size_t>(unit)]; }
  // Of those that have an heir; -1 if none has.
  int cheapest() const {
    int cheapest = -1;
    for (int unit = 0; unit < costs_.units; ++unit)
      if (alive(unit) && heir(unit) != unit && (cheapest < 0 || cost(unit) < cost(cheapest))) cheapest = unit;
    return cheapest;
  }
  // Itself where its cluster has no other.
  void look(int unit) {
    int best = unit;
    for (int other = 0; other < costs_.units; ++other)
      if (other != unit && alive(other) && cluster(other) == cluster(unit) &&
          (best == unit || costs_.at(unit, other) < costs_.at(unit, best)))
        best = other;
    best_[static_cast<std::size_t>(unit)] = best;
  }

  TakeOver& costs_;
  std::vector<int> cluster_;
  std::vector<bool> alive_;
  std::vector<int> best_;
};

}  // namespace

Moments::Moments(const Responses& responses)
    : units_(responses.units), mean_(static_cast<std::size_t>(responses.units)) {
  TAILOR_CHECK(responses.samples > 0 &&
               responses.values.size() == static_cast<std::size_t>(units_) * responses.samples);
  const auto samples = static_cast<Eigen::Index>(responses.samples);
  FloatMatrix x = Eigen::Map<const FloatMatrix>(responses.values.data(), units_, samples);
  for (int unit = 0; unit < units_; ++unit) {
    mean_[static_cast<std::size_t>(unit)] = x.row(unit).cast<double>().mean();
    x.row(unit).array() -= static_cast<float>(mean_[static_cast<std::size_t>(unit)]);
  }
  const FloatMatrix products = x * x.transpose() / static_cast<float>(samples);
  covariance_.assign(products.data(), products.data() + products.size());
}

double Moments::covariance(int a, int b) const { return covariance_[element(a, b, units_)]; }

Line Moments::line(int removed, int heir) const {
  const double own = variance(removed), of_heir = variance(heir), both = covariance(removed, heir);
  Line line;
  line.gain = of_heir > 0 ? both / of_heir : 0;
  line.offset = mean_[static_cast<std::size_t>(removed)] - line.gain * mean_[static_cast<std::size_t>(heir)];
  line.unexplained = own > 0 && of_heir > 0 ? std::clamp(1 - both * both / (own * of_heir), 0.0, 1.0)
                     : own > 0              ? 1
                                            : 0;
  return line;
}

void add_reader(TakeOver& costs, const Moments& moments, const std::vector<double>& weight) {
  const int units = moments.units();
  TAILOR_CHECK(weight.size() == static_cast<std::size_t>(units));
  if (costs.units == 0)
    costs = {units, std::vector<double>(static_cast<std::size_t>(units) * static_cast<std::size_t>(units))};
  TAILOR_CHECK(costs.units == units);
  double all = 0;
  for (int u = 0; u < units; ++u) all += moments.variance(u) * weight[static_cast<std::size_t>(u)];
  if (!(all > 0)) return;
  for (int removed = 0; removed < units; ++removed) {
    const double brings = moments.variance(removed) * weight[static_cast<std::size_t>(removed)] / all;
    for (int heir = 0; heir < units; ++heir)
      if (heir != removed)
        costs.cost[element(removed, heir, units)] += brings * moments.line(removed, heir).unexplained;
  }
}

Redundancy remove_repeats(TakeOver costs, std::vector<int> cluster) {
  TAILOR_CHECK(costs.units >= 1);
  TAILOR_CHECK(cluster.empty() || cluster.size() == static_cast<std::size_t>(costs.units));
  Survivors left(costs, std::move(cluster));
  Redundancy result;
  for (int step = 0; step < costs.units; ++step) {
    const int unit = left.next();
    const bool last = step + 1 == costs.units;
    result.order.push_back(unit);
    result.heir.push_back(left.heir(unit));
    result.cost.push_back(last ? std::numeric_limits<double>::infinity() : left.cost(unit));
    left.remove(unit);
  }
  return result;
}

std::vector<int> least_of_clusters(const std::vector<double>& worth, const std::vector<int>& cluster) {
  TAILOR_CHECK(worth.size() == cluster.size());
  std::vector<int> order(worth.size()), stay;
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return worth[static_cast<std::size_t>(a)] < worth[static_cast<std::size_t>(b)];
  });
  std::set<int> seen;
  for (auto unit = order.rbegin(); unit != order.rend(); ++unit)
    if (seen.insert(cluster[static_cast<std::size_t>(*unit)]).second) stay.push_back(*unit);
  const std::set<int> worthiest(stay.begin(), stay.end());
  std::stable_partition(order.begin(), order.end(), [&](int unit) { return !worthiest.contains(unit); });
  return order;
}

std::vector<int> heirs(const TakeOver& costs, const std::vector<int>& kept) {
  TAILOR_CHECK(!kept.empty());
  std::vector<int> list(static_cast<std::size_t>(costs.units));
  for (int unit = 0; unit < costs.units; ++unit) {
    int best = kept.front();
    for (int other : kept)
      if (other == unit || (best != unit && costs.at(unit, other) < costs.at(unit, best))) best = other;
    list[static_cast<std::size_t>(unit)] = best;
  }
  return list;
}

}  // namespace tailor::saliency
