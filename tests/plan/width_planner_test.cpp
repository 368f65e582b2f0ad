#include "tailor/plan/width_planner.h"

#include "tailor/base/error.h"
#include "tests/plan/instances.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailor::plan {
namespace {

using testing::Numbers;
using testing::small_problem;
using testing::Structure;

constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<Cost> costs(const Front& front) {
  std::vector<Cost> result;
  for (const Point& point : front.points) result.push_back(point.cost);
  return result;
}

void expect_same_front(const Front& planned, const Front& truth) {
  ASSERT_EQ(planned.points.size(), truth.points.size());
  for (std::size_t i = 0; i < truth.points.size(); ++i)
    ASSERT_EQ(planned.points[i].cost, truth.points[i].cost) << i;
}

Numbers some_numbers(Random& random) {
  const int largest[] = {1, 5, 20, 1000};
  const double forbidden[] = {0, 0, 0.05, 0.3}, zero[] = {0, 0, 0.2, 1};
  return {largest[random.below(4)], forbidden[random.below(4)], zero[random.below(4)]};
}

Problem some_problem(Random& random, int most_variables = 6) {
  auto structure = static_cast<Structure>(random.below(testing::structures));
  int variables = 1 + static_cast<int>(random.below(static_cast<std::size_t>(most_variables)));
  return small_problem(structure, variables, 4, some_numbers(random), random);
}

class EveryStructure : public ::testing::TestWithParam<int> {};

TEST_P(EveryStructure, EqualsEnumeration) {
  Random random(static_cast<std::uint64_t>(GetParam()) + 1);
  for (int i = 0; i < 1500; ++i) {
    SCOPED_TRACE(i);
    int variables = 1 + static_cast<int>(random.below(6));
    Problem problem =
        small_problem(static_cast<Structure>(GetParam()), variables, 4, some_numbers(random), random);
    Front planned = plan_widths(problem);
    expect_same_front(planned, plan_by_enumeration(problem));
    if (HasFatalFailure()) return;
    for (const Point& point : planned.points) {
      ASSERT_EQ(evaluate(problem, point.choice), point.cost);
      ASSERT_TRUE(point.certificate.optimal);
      ASSERT_EQ(point.certificate.quantum_us, 0);
      ASSERT_EQ(point.certificate.loss_bound, point.cost.loss);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Structures, EveryStructure, ::testing::Range(0, testing::structures));

TEST(WidthPlanner, RealNumbersEqualEnumeration) {
  Random random(10);
  for (int i = 0; i < 1500; ++i) {
    Problem problem = some_problem(random);
    for (Factor& factor : problem.factors)
      for (Cost& cost : factor.table)
        cost = {cost.latency_us * random.uniform(0.5, 2), cost.loss + random.uniform()};
    Front truth = plan_by_enumeration(problem), planned = plan_widths(problem);
    ASSERT_EQ(planned.points.size(), truth.points.size()) << i;
    for (std::size_t p = 0; p < truth.points.size(); ++p)
      ASSERT_EQ(planned.points[p].choice, truth.points[p].choice) << i;
    if (truth.points.empty()) continue;
    const Point& one = truth.points[random.below(truth.points.size())];
    ASSERT_EQ(plan_widths(problem, {.budget_us = one.cost.latency_us}).points.back().choice, one.choice) << i;
  }
}

TEST(WidthPlanner, BudgetQueriesEqualEnumeration) {
  Random random(11);
  for (int i = 0; i < 2000; ++i) {
    Problem problem = some_problem(random);
    Front truth = plan_by_enumeration(problem);
    double budget = static_cast<double>(random.below(120));
    Front planned = plan_widths(problem, {.budget_us = budget});
    const Point* best = truth.best_within(budget);
    ASSERT_EQ(planned.points.empty(), best == nullptr) << i;
    if (!best) continue;
    ASSERT_EQ(planned.points.back().cost, best->cost) << i;
    ASSERT_EQ(planned.best_within(budget)->cost, best->cost) << i;
    ASSERT_EQ(planned.points.size(), static_cast<std::size_t>(best - truth.points.data()) + 1) << i;
  }
}

TEST(WidthPlanner, BudgetBetweenPointsTakesTheLowerOne) {
  Problem problem{{{"w", 3}}, {{{0}, {{1, 9}, {2, 5}, {4, 0}}}}};
  Front front = plan_widths(problem);
  EXPECT_EQ(costs(front), (std::vector<Cost>{{1, 9}, {2, 5}, {4, 0}}));
  EXPECT_EQ(front.best_within(0.5), nullptr);
  EXPECT_EQ(front.best_within(1)->choice, std::vector<int>{0});
  EXPECT_EQ(front.best_within(3.9)->choice, std::vector<int>{1});
  EXPECT_EQ(front.best_within(100)->choice, std::vector<int>{2});
}

TEST(WidthPlanner, NothingToChoose) {
  EXPECT_EQ(costs(plan_widths({})), (std::vector<Cost>{{0, 0}}));
  Problem constant{{}, {{{}, {{3, 4}}}, {{}, {{1, 1}}}}};
  EXPECT_EQ(costs(plan_widths(constant)), (std::vector<Cost>{{4, 5}}));
  EXPECT_TRUE(plan_widths(constant, {.budget_us = 3.9}).points.empty());
  EXPECT_EQ(plan_widths(constant, {.budget_us = 4}).points.size(), 1u);
}

TEST(WidthPlanner, EverythingForbiddenIsAnEmptyFront) {
  Problem alone{{{"a", 2}}, {{{0}, {{infinity, 0}, {infinity, 0}}}}};
  EXPECT_TRUE(plan_widths(alone).points.empty());
  Problem contradiction{{{"a", 2}, {"b", 2}},
                        {{{0, 1}, {{1, 0}, {infinity, 0}, {infinity, 0}, {2, 0}}},
                         {{1, 0}, {{infinity, 0}, {1, 0}, {1, 0}, {infinity, 0}}}}};
  EXPECT_TRUE(plan_widths(contradiction).points.empty());
}

TEST(WidthPlanner, RefusesInconsistentProblems) {
  EXPECT_THROW(plan_widths({{{"a", 0}}, {}}), Error);
  EXPECT_THROW(plan_widths({{{"a", 2}}, {{{0}, {{1, 1}}}}}), Error);
  EXPECT_THROW(plan_widths({{{"a", 1}}, {{{1}, {{1, 1}}}}}), Error);
  EXPECT_THROW(plan_widths({{{"a", 1}}, {{{0, 0}, {{1, 1}}}}}), Error);
  EXPECT_THROW(plan_widths({{{"a", 1}}, {{{0}, {{-1, 1}}}}}), Error);
  EXPECT_THROW(plan_widths({{{"a", 1}}, {{{0}, {{std::nan(""), 1}}}}}), Error);
  EXPECT_THROW(plan_widths({{{"a", 1}}, {{{0}, {{1, infinity}}}}}), Error);
}

TEST(WidthPlannerProperty, FrontIsStrictlyMonotone) {
  Random random(3);
  for (int i = 0; i < 500; ++i) {
    Front front = plan_widths(some_problem(random, 9));
    for (std::size_t p = 1; p < front.points.size(); ++p) {
      ASSERT_LT(front.points[p - 1].cost.latency_us, front.points[p].cost.latency_us);
      ASSERT_GT(front.points[p - 1].cost.loss, front.points[p].cost.loss);
    }
  }
}

TEST(WidthPlannerProperty, ScalingCostsScalesTheFront) {
  Random random(4);
  for (int i = 0; i < 500; ++i) {
    Problem problem = some_problem(random, 8);
    std::vector<Cost> expected = costs(plan_widths(problem));
    for (Cost& cost : expected) cost = {cost.latency_us * 4, cost.loss * 0.5};
    for (Factor& factor : problem.factors)
      for (Cost& cost : factor.table) cost = {cost.latency_us * 4, cost.loss * 0.5};
    ASSERT_EQ(costs(plan_widths(problem)), expected) << i;
  }
}

// The factor with one more candidate for `variable`: a worse copy of candidate `of`.
Factor with_worse_copy(const Problem& problem, const Factor& factor, int variable, int of) {
  Problem larger = problem;
  const int count = larger.variables[variable].candidates++;
  Factor result{factor.scope, {}};
  std::vector<int> choice(problem.variables.size(), 0);
  for (;;) {
    std::vector<int> from = choice;
    const bool copy = choice[variable] == count;
    if (copy) from[variable] = of;
    Cost cost = factor.table[table_index(problem, factor, from)];
    result.table.push_back(copy ? Cost{cost.latency_us + 1, cost.loss} : cost);
    std::size_t i = factor.scope.size();
    while (i > 0 && ++choice[factor.scope[i - 1]] == larger.variables[factor.scope[i - 1]].candidates)
      choice[factor.scope[--i]] = 0;
    if (i == 0) return result;
  }
}

TEST(WidthPlannerProperty, ADominatedCandidateChangesNothing) {
  Random random(5);
  for (int i = 0; i < 500; ++i) {
    Problem problem = some_problem(random, 7);
    int variable = static_cast<int>(random.below(problem.variables.size()));
    int of = static_cast<int>(random.below(static_cast<std::size_t>(problem.variables[variable].candidates)));
    Problem larger = problem;
    ++larger.variables[variable].candidates;
    for (Factor& factor : larger.factors)
      if (std::find(factor.scope.begin(), factor.scope.end(), variable) != factor.scope.end())
        factor = with_worse_copy(problem, factor, variable, of);
    Front before = plan_widths(problem), after = plan_widths(larger);
    expect_same_front(after, before);
    if (HasFatalFailure()) return;
    for (std::size_t p = 0; p < before.points.size(); ++p)
      ASSERT_EQ(after.points[p].choice, before.points[p].choice);
  }
}

TEST(WidthPlannerProperty, RenamingVariablesOnlyReordersChoices) {
  Random random(6);
  for (int i = 0; i < 500; ++i) {
    Problem problem = some_problem(random, 8);
    std::vector<int> place(problem.variables.size());
    for (std::size_t v = 0; v < place.size(); ++v) place[v] = static_cast<int>(v);
    random.shuffle(place);
    Problem renamed = problem;
    for (std::size_t v = 0; v < place.size(); ++v) renamed.variables[place[v]] = problem.variables[v];
    for (Factor& factor : renamed.factors)
      for (int& v : factor.scope) v = place[v];
    Front a = plan_widths(problem), b = plan_widths(renamed);
    expect_same_front(b, a);
    if (HasFatalFailure()) return;
    for (const Point& point : b.points) {
      std::vector<int> choice(place.size());
      for (std::size_t v = 0; v < place.size(); ++v) choice[v] = point.choice[place[v]];
      ASSERT_EQ(evaluate(problem, choice), point.cost);
    }
  }
}

TEST(WidthPlannerProperty, IsDeterministic) {
  Problem problem = testing::resnet50_problem(5, 3);
  Front a = plan_widths(problem), b = plan_widths(problem);
  ASSERT_EQ(a.points.size(), b.points.size());
  for (std::size_t i = 0; i < a.points.size(); ++i) ASSERT_EQ(a.points[i].choice, b.points[i].choice);
}

}  // namespace
}  // namespace tailor::plan
