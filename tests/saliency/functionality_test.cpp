// Moments against sums written out; the order in which repeats go against one that looks at all pairs at every step.
#include "tailor/saliency/functionality.h"

#include "tailor/base/random.h"
#include "tests/testing.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace tailor::saliency {
namespace {

Responses random_responses(int units, std::size_t samples, std::uint64_t seed) {
  Random random(seed);
  Responses r{units, samples, {}};
  for (std::size_t i = 0; i < static_cast<std::size_t>(units) * samples; ++i)
    r.values.push_back(static_cast<float>(random.uniform() * 4 - 1));
  return r;
}

float& at(Responses& r, int unit, std::size_t sample) {
  return r.values[static_cast<std::size_t>(unit) * r.samples + sample];
}

TEST(Moments, LineIsTheLeastSquaresLine) {
  Responses r = random_responses(3, 200, 1);
  for (std::size_t s = 0; s < r.samples; ++s) at(r, 2, s) += 0.5f * at(r, 0, s);
  const Line line = Moments(r).line(2, 0);
  auto squares = [&](double gain, double offset) {
    double sum = 0;
    for (std::size_t s = 0; s < r.samples; ++s) sum += std::pow(at(r, 2, s) - gain * at(r, 0, s) - offset, 2);
    return sum;
  };
  const double best = squares(line.gain, line.offset);
  for (double step : {-1e-2, 1e-2}) {
    EXPECT_GT(squares(line.gain + step, line.offset), best);
    EXPECT_GT(squares(line.gain, line.offset + step), best);
  }
  double mean = 0, all = 0;
  for (std::size_t s = 0; s < r.samples; ++s) mean += at(r, 2, s) / 200.0;
  for (std::size_t s = 0; s < r.samples; ++s) all += std::pow(at(r, 2, s) - mean, 2);
  EXPECT_NEAR(line.unexplained, best / all, 1e-4);
}

TEST(Moments, ConstantsAreExplainedByTheirMeanAlone) {
  Responses r = random_responses(2, 50, 2);
  for (std::size_t s = 0; s < r.samples; ++s) at(r, 1, s) = 3;
  const Moments m(r);
  EXPECT_DOUBLE_EQ(m.line(1, 0).unexplained, 0);
  EXPECT_NEAR(m.line(1, 0).offset, 3, 1e-5);
  EXPECT_DOUBLE_EQ(m.line(0, 1).unexplained, 1) << "a constant explains nothing";
  EXPECT_DOUBLE_EQ(m.line(0, 1).gain, 0);
}

TEST(Functionality, WhatRepeatsAnotherGoesFirst) {
  Responses r = random_responses(5, 100, 3);
  for (std::size_t s = 0; s < r.samples; ++s) at(r, 3, s) = 1 - 2 * at(r, 1, s);
  TakeOver costs;
  add_reader(costs, Moments(r), {1, 1, 1, 1, 1});
  const Redundancy repeats = remove_repeats(costs);
  EXPECT_EQ((std::set{repeats.order[0], repeats.heir[0]}), (std::set{1, 3}));
  EXPECT_NEAR(repeats.cost[0], 0, 1e-5);
  EXPECT_GT(repeats.cost[1], 1e-2);
}

TEST(Functionality, WhatNobodyReadsGoesBeforeWhatIsUnlikeTheRest) {
  TakeOver costs;
  add_reader(costs, Moments(random_responses(4, 100, 4)), {1, 1, 0, 1});
  EXPECT_EQ(remove_repeats(costs).order.front(), 2);
  TakeOver of_none;
  add_reader(of_none, Moments(random_responses(2, 10, 4)), {0, 0});
  EXPECT_EQ(of_none.at(0, 1), 0);
}

TakeOver random_costs(int units, std::uint64_t seed) {
  Random random(seed);
  TakeOver costs{units,
                 std::vector<double>(static_cast<std::size_t>(units) * static_cast<std::size_t>(units))};
  for (double& c : costs.cost) c = random.uniform();
  return costs;
}

// All pairs, at every step; what an heir has taken over is added up anew.
Redundancy by_all_pairs(const TakeOver& costs) {
  std::vector<std::set<int>> carries;
  std::set<int> left;
  for (int u = 0; u < costs.units; ++u) carries.push_back({u}), left.insert(u);
  Redundancy result;
  while (left.size() > 1) {
    double best = INFINITY;
    int unit = -1, heir = -1;
    for (int a : left)
      for (int b : left) {
        double cost = 0;
        for (int c : carries[static_cast<std::size_t>(a)]) cost += costs.at(c, b);
        if (a != b && cost < best) best = cost, unit = a, heir = b;
      }
    result.order.push_back(unit), result.heir.push_back(heir), result.cost.push_back(best);
    left.erase(unit);
    carries[static_cast<std::size_t>(heir)].merge(carries[static_cast<std::size_t>(unit)]);
  }
  return result;
}

TEST(Functionality, IsTheGreedyOrderOverAllPairs) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const TakeOver costs = random_costs(1 + static_cast<int>(seed % 12), seed);
    const Redundancy fast = remove_repeats(costs), slow = by_all_pairs(costs);
    ASSERT_EQ(fast.order.size(), static_cast<std::size_t>(costs.units));
    for (std::size_t i = 0; i < slow.order.size(); ++i) {
      EXPECT_EQ(fast.order[i], slow.order[i]) << seed;
      EXPECT_EQ(fast.heir[i], slow.heir[i]) << seed;
      EXPECT_NEAR(fast.cost[i], slow.cost[i], 1e-9) << seed;
    }
    std::vector<int> sorted = fast.order;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int> all(sorted.size());
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(sorted, all);
  }
}

std::vector<int> random_clusters(int units, std::uint64_t seed) {
  Random random(seed);
  std::vector<int> cluster;
  for (int u = 0; u < units; ++u) cluster.push_back(static_cast<int>(random.below(4)));
  return cluster;
}

// As long as some cluster has two units left, units go to their own; the last one of each goes after all others.
TEST(Functionality, EveryClusterKeepsOneAsLongAsThereIsAnotherWay) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const int units = 1 + static_cast<int>(seed % 15);
    const std::vector<int> cluster = random_clusters(units, seed + 100);
    const Redundancy found = remove_repeats(random_costs(units, seed), cluster);
    std::map<int, int> left;
    for (int c : cluster) ++left[c];
    std::size_t spare = cluster.size() - left.size();
    for (std::size_t i = 0; i < found.order.size(); ++i) {
      const int own = cluster[static_cast<std::size_t>(found.order[i])],
                of_heir = cluster[static_cast<std::size_t>(found.heir[i])];
      if (i < spare) {
        EXPECT_GT(left[own], 1) << seed;
        EXPECT_EQ(own, of_heir) << seed;
      }
      --left[own];
    }
    EXPECT_EQ(std::set<int>(found.order.begin(), found.order.end()).size(), cluster.size());
  }
}

// Within a cluster, and while it lasts, the order is that of the cluster alone.
TEST(Functionality, ClustersGoAsTheyWouldAlone) {
  const int units = 12;
  const TakeOver costs = random_costs(units, 5);
  const std::vector<int> cluster = random_clusters(units, 8);
  const Redundancy found = remove_repeats(costs, cluster);
  for (int c = 0; c < 4; ++c) {
    std::vector<int> members, order;
    for (int u = 0; u < units; ++u)
      if (cluster[static_cast<std::size_t>(u)] == c) members.push_back(u);
    if (members.empty()) continue;
    for (int u : found.order)
      if (cluster[static_cast<std::size_t>(u)] == c) order.push_back(u);
    TakeOver alone{static_cast<int>(members.size()), {}};
    for (int a : members)
      for (int b : members) alone.cost.push_back(costs.at(a, b));
    const Redundancy expected = by_all_pairs(alone);
    for (std::size_t i = 0; i < expected.order.size(); ++i)
      EXPECT_EQ(order[i], members[static_cast<std::size_t>(expected.order[i])]) << c;
  }
}

TEST(Functionality, OneClusterIsNone) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const TakeOver costs = random_costs(9, seed);
    EXPECT_EQ(remove_repeats(costs, std::vector<int>(9, 3)).order, remove_repeats(costs).order);
  }
}

TEST(Functionality, TheWorthiestOfEachClusterGoLast) {
  EXPECT_EQ(least_of_clusters({5, 1, 4, 3, 2, 0.5}, {0, 0, 1, 1, 0, 2}),
            (std::vector<int>{1, 4, 3, 5, 2, 0}));
  EXPECT_EQ(least_of_clusters({3, 1, 2}, {0, 0, 0}), (std::vector<int>{1, 2, 0})) << "one cluster: by worth";
  EXPECT_EQ(least_of_clusters({3, 1, 2}, {0, 1, 2}), (std::vector<int>{1, 2, 0})) << "all alone: by worth";
}

TEST(Functionality, HeirsAreTheCheapestOfThoseThatStay) {
  const TakeOver costs = random_costs(9, 7);
  const std::vector<int> kept = {0, 3, 4, 8}, heir = heirs(costs, kept);
  for (int unit = 0; unit < 9; ++unit) {
    const int chosen = heir[static_cast<std::size_t>(unit)];
    if (std::find(kept.begin(), kept.end(), unit) != kept.end()) {
      EXPECT_EQ(chosen, unit);
      continue;
    }
    EXPECT_NE(std::find(kept.begin(), kept.end(), chosen), kept.end());
    for (int other : kept) EXPECT_LE(costs.at(unit, chosen), costs.at(unit, other));
  }
}

}  // namespace
}  // namespace tailor::saliency
