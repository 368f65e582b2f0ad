// Divisions of a device against trying all of them, and the two that everybody thinks of first.
#include "tailor/tune/corun.h"

#include "tests/tune/spaces.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tailor::tune {
namespace {

std::vector<Tenant> random_tenants(Random& random) {
  std::vector<Tenant> tenants(1 + random.below(4));
  for (Tenant& tenant : tenants) {
    for (int eighth = 1; eighth <= 8; ++eighth)
      if (random.below(2) == 0) tenant.times.push_back({eighth / 8.0, random.uniform(1, 100)});
    if (tenant.times.empty()) tenant.times.push_back({0.5, 10});
    tenant.stretch = random.below(2) == 0 ? 1 : random.uniform(1, 2);
    tenant.weight = random.below(4) == 0 ? 0 : random.uniform(0.1, 3);
  }
  return tenants;
}

// Every combination of choices that fits; best first.
std::vector<double> by_enumeration(const std::vector<Tenant>& tenants, CorunGoal goal) {
  std::vector<double> values;
  std::vector<std::size_t> at(tenants.size(), 0);
  for (;;) {
    double used = 0, sum = 0, longest = 0;
    for (std::size_t t = 0; t < tenants.size(); ++t) {
      const ShareTime& time = tenants[t].times[at[t]];
      used += time.share, sum += tenants[t].weight * tenants[t].stretch * time.us;
      longest = std::max(longest, tenants[t].stretch * time.us);
    }
    if (used <= 1 + 1e-9) values.push_back(goal == CorunGoal::makespan ? longest : sum);
    std::size_t t = tenants.size();
    while (t > 0 && ++at[t - 1] == tenants[t - 1].times.size()) at[--t] = 0;
    if (t == 0) break;
  }
  std::sort(values.begin(), values.end());
  return values;
}

TEST(Corun, IsTheBestOfAllDivisions) {
  Random random(3);
  int without = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::vector<Tenant> tenants = random_tenants(random);
    const auto goal = random.below(2) == 0 ? CorunGoal::makespan : CorunGoal::latency;
    const std::size_t most = 1 + random.below(4);
    const CorunResult result = plan_corun(tenants, goal, most);
    const std::vector<double> all = by_enumeration(tenants, goal);
    ASSERT_EQ(result.plans.size(), std::min(most, all.size()));
    without += all.empty() ? 1 : 0;
    EXPECT_LE(result.divisions, std::max<std::size_t>(all.size(), 1));
    for (std::size_t p = 0; p < result.plans.size(); ++p) {
      const CorunPlan& plan = result.plans[p];
      EXPECT_NEAR(plan.value, all[p], 1e-9 * (1 + all[p]));
      double used = 0, sum = 0, longest = 0;
      for (std::size_t t = 0; t < tenants.size(); ++t) {
        const ShareTime& time = tenants[t].times.at(plan.chosen.at(t));
        used += time.share, sum += tenants[t].weight * tenants[t].stretch * time.us;
        longest = std::max(longest, tenants[t].stretch * time.us);
      }
      EXPECT_NEAR(plan.used, used, 1e-12);
      EXPECT_LE(used, 1 + 1e-9);
      EXPECT_NEAR(plan.value, goal == CorunGoal::makespan ? longest : sum, 1e-9 * (1 + plan.value));
    }
  }
  EXPECT_GT(without, 20) << "some devices are too small";
}

TEST(Corun, OfEqualsTheOneThatUsesLessComesFirst) {
  const std::vector<Tenant> tenants = {{"a", {{0.25, 40}, {0.5, 20}}}, {"b", {{0.25, 20}, {0.5, 10}}}};
  const CorunResult result = plan_corun(tenants, CorunGoal::makespan, 3);
  ASSERT_EQ(result.plans.size(), 3u);
  EXPECT_EQ(result.plans[0].value, 20);
  EXPECT_EQ(result.plans[0].used, 0.75) << "b needs no more than a quarter";
  EXPECT_EQ(result.plans[1].used, 1);
  EXPECT_EQ(result.equal, 20) << "both halves";
  EXPECT_FALSE(result.in_turn) << "nobody was measured on the whole device";
}

TEST(Corun, WeightsDecideWhoGetsMore) {
  std::vector<Tenant> tenants = {{"a", {{0.25, 30}, {0.75, 12}}, 1}, {"b", {{0.25, 30}, {0.75, 12}}, 5}};
  EXPECT_EQ(plan_corun(tenants, CorunGoal::latency, 1).plans[0].chosen, (std::vector<std::size_t>{0, 1}));
  std::swap(tenants[0].weight, tenants[1].weight);
  EXPECT_EQ(plan_corun(tenants, CorunGoal::latency, 1).plans[0].chosen, (std::vector<std::size_t>{1, 0}));
}

TEST(Corun, InTurnIsTheBestOrder) {
  Random random(9);
  for (int i = 0; i < 300; ++i) {
    std::vector<Tenant> tenants(1 + random.below(5));
    for (Tenant& tenant : tenants)
      tenant = {"",
                {{0.1, 50}, {1, random.uniform(1, 40)}},
                random.below(3) == 0 ? 0 : random.uniform(0.1, 4),
                1.5};
    std::vector<std::size_t> order(tenants.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    double best = 1e300, whole = 0;
    do {
      double now = 0, sum = 0;
      for (std::size_t t : order) now += tenants[t].times[1].us, sum += tenants[t].weight * now;
      best = std::min(best, sum), whole = now;
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_NEAR(*plan_corun(tenants, CorunGoal::latency, 1).in_turn, best, 1e-9 * (1 + best));
    EXPECT_NEAR(*plan_corun(tenants, CorunGoal::makespan, 1).in_turn, whole, 1e-9 * whole)
        << "nobody runs beside, so nothing stretches";
  }
}

TEST(Corun, AStretchIsTheMeanOfPairsByTime) {
  const std::vector<OperatorTime> a = {{"conv", 30}, {"gemm", 10}}, b = {{"gemm", 5}, {"fc", 15}};
  const PairSlowdowns slowdowns = {{{"conv", "gemm"}, 1.2},
                                   {{"conv", "fc"}, 1.4},
                                   {{"gemm", "gemm"}, 2.0},
                                   {{"gemm", "fc"}, 1.0},
                                   {{"fc", "conv"}, 0.5}};
  const Stretch all = stretch_beside(a, b, slowdowns);
  EXPECT_DOUBLE_EQ(all.factor, (150 * 1.2 + 450 * 1.4 + 50 * 2.0 + 150 * 1.0) / 800);
  EXPECT_DOUBLE_EQ(all.covered, 1);
  const Stretch other = stretch_beside(b, a, slowdowns);
  EXPECT_DOUBLE_EQ(other.covered, (50 + 450) / 800.0) << "gemm beside gemm, fc beside conv";
  EXPECT_EQ(other.factor, 1) << "nothing runs faster because of a neighbour";
  EXPECT_EQ(stretch_beside({{"lstm", 1}}, b, slowdowns).covered, 0);
}

TEST(Corun, EqualSharesAreTheLargestThatAllHave) {
  const std::vector<Tenant> tenants = {{"a", {{0.125, 80}, {0.25, 50}, {0.5, 20}}},
                                       {"b", {{0.25, 60}, {0.5, 10}}},
                                       {"c", {{0.125, 9}, {0.25, 8}}}};
  const CorunResult result = plan_corun(tenants, CorunGoal::makespan, 1);
  EXPECT_EQ(result.equal, 60) << "a quarter each; halves do not fit";
  EXPECT_EQ(result.plans[0].value, 50) << "b gets the half: a quarter, a half, a quarter";
  EXPECT_FALSE(plan_corun({{"a", {{0.75, 1}}}, {"b", {{0.75, 1}}}}, CorunGoal::makespan, 1).equal);
}

}  // namespace
}  // namespace tailor::tune
