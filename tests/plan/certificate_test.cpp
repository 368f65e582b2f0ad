// What the planner states when it is not exact: on the grid, and when the search takes over.
#include "tailor/plan/search.h"
#include "tailor/plan/width_planner.h"
#include "tests/plan/instances.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tailor::plan {
namespace {

using testing::small_problem;
using testing::Structure;

constexpr double infinity = std::numeric_limits<double>::infinity();

double least_loss(const Front& truth, double latency_us) {
  const Point* best = truth.best_within(latency_us);
  return best ? best->cost.loss : infinity;
}

// Every statement of a certificate against the whole truth.
void expect_true(const Problem& problem, const Front& front, const Front& truth) {
  for (const Point& point : front.points) {
    const Certificate& certificate = point.certificate;
    ASSERT_EQ(evaluate(problem, point.choice), point.cost);
    const double tolerance = 1e-9 * (1 + point.cost.loss);
    ASSERT_LE(certificate.loss_bound, least_loss(truth, point.cost.latency_us) + tolerance);
    ASSERT_LE(certificate.loss_bound, point.cost.loss);
    if (certificate.optimal) {
      // Strictly below, so that an optimum at exactly that latency may differ by rounding.
      double before = (point.cost.latency_us - certificate.quantum_us) * (1 - 1e-9) - 1e-9;
      ASSERT_LE(point.cost.loss, least_loss(truth, before) + tolerance);
    }
    double gap = point.cost.loss > 0 ? (point.cost.loss - certificate.loss_bound) / point.cost.loss : 0;
    ASSERT_NEAR(certificate.gap, gap, 1e-12);
  }
}

Problem some_problem(Random& random, double forbidden) {
  auto structure = static_cast<Structure>(random.below(testing::structures));
  int variables = 2 + static_cast<int>(random.below(5));
  return small_problem(structure, variables, 5, {1000, forbidden, 0.1}, random);
}

struct GridCase {
  std::size_t ticks, max_points, max_pairs;
};

TEST(Certificate, GridStatementsAreTrue) {
  Random random(21);
  const GridCase cases[] = {{16, 1, 0}, {64, 3, 1000}, {300, 4, 20}, {5000, 2, 100}};
  int rounded = 0;
  for (int i = 0; i < 3000; ++i) {
    SCOPED_TRACE(i);
    Problem problem = some_problem(random, i % 2 ? 0.1 : 0);
    const GridCase& grid = cases[random.below(4)];
    PlannerOptions options{.ticks = grid.ticks, .max_points = grid.max_points, .max_pairs = grid.max_pairs};
    Front front = plan_widths(problem, options), truth = plan_by_enumeration(problem);
    ASSERT_EQ(front.points.empty(), truth.points.empty());
    expect_true(problem, front, truth);
    if (HasFatalFailure()) return;
    for (const Point& point : front.points) {
      ASSERT_TRUE(point.certificate.optimal);
      rounded += point.certificate.quantum_us > 0;
    }
  }
  EXPECT_GT(rounded, 3000);
}

TEST(Certificate, AGivenQuantumIsKeptUnderWhateverTheRoundings) {
  Random random(22);
  for (int i = 0; i < 500; ++i) {
    Problem problem = some_problem(random, 0);
    Front front = plan_widths(problem, {.quantum_us = 5, .max_points = 1000000, .max_pairs = 0});
    for (const Point& point : front.points)
      ASSERT_LE(point.certificate.quantum_us, 5.0 * static_cast<double>(problem.factors.size()) + 1e-9);
    expect_true(problem, front, plan_by_enumeration(problem));
    if (HasFatalFailure()) return;
  }
}

TEST(Certificate, TheBudgetIsSettledExactlyAfterAGridRun) {
  Random random(23);
  for (int i = 0; i < 2000; ++i) {
    SCOPED_TRACE(i);
    Problem problem = some_problem(random, i % 2 ? 0.1 : 0);
    Front truth = plan_by_enumeration(problem);
    if (truth.points.empty()) continue;
    const Point& middle = truth.points[random.below(truth.points.size())];
    double budget = middle.cost.latency_us + (i % 3 == 0 ? 0.5 : 0);
    Front front = plan_widths(problem, {.budget_us = budget, .ticks = 16, .max_points = 2, .max_pairs = 20});
    expect_true(problem, front, truth);
    if (HasFatalFailure()) return;
    ASSERT_FALSE(front.points.empty());
    ASSERT_EQ(front.points.back().cost, middle.cost);
    ASSERT_EQ(front.points.back().certificate.quantum_us, 0);
  }
}

TEST(Certificate, ScarceMemoryMakesTheQuantumCoarserNotTheStatementFalse) {
  Problem problem = testing::resnet50_problem(8, 5);
  Front fine = plan_widths(problem, {.max_points = 500, .max_pairs = 10000});
  Front coarse = plan_widths(problem, {.max_points = 500, .max_pairs = 10000, .max_memory = 600000});
  ASSERT_FALSE(coarse.points.empty());
  EXPECT_GT(coarse.points.back().certificate.quantum_us, fine.points.back().certificate.quantum_us);
  for (const Point& point : coarse.points) {
    const Point* finer = fine.best_within(point.cost.latency_us);
    if (!finer) continue;
    EXPECT_LE(point.certificate.loss_bound, finer->cost.loss * (1 + 1e-9));
  }
}

TEST(Search, BoundsAreValidAndChoicesReal) {
  Random random(31);
  std::size_t found = 0, best = 0;
  for (int i = 0; i < 1500; ++i) {
    SCOPED_TRACE(i);
    Problem problem = some_problem(random, 0);
    PlannerOptions options{.max_entries = 1 + random.below(30)};
    if (i % 2) options.budget_us = static_cast<double>(random.below(6000));
    Front front = plan_widths(problem, options), truth = plan_by_enumeration(problem);
    expect_true(problem, front, truth);
    if (HasFatalFailure()) return;
    for (const Point& point : front.points) {
      ASSERT_TRUE(options.budget_us < 0 || point.cost.latency_us <= options.budget_us);
      ++found;
      best += point.cost.loss == least_loss(truth, point.cost.latency_us);
    }
  }
  EXPECT_GT(static_cast<double>(best), 0.9 * static_cast<double>(found));
}

TEST(Search, RelaxationNeverExceedsTheOptimum) {
  Random random(32);
  for (int i = 0; i < 1000; ++i) {
    Problem problem = some_problem(random, 0.1);
    Prices prices{random.uniform(0, 3), 1};
    double least = infinity;
    for (const Point& point : plan_by_enumeration(problem).points)
      least = std::min(least, point.cost.latency_us * prices.per_us + point.cost.loss);
    for (std::size_t entries : {1, 8, 64, 100000})
      ASSERT_LE(relax(problem, prices, entries).bound, least * (1 + 1e-12)) << i;
    double exact = relax(problem, prices, 1000000).bound;
    ASSERT_TRUE(std::isinf(least) || std::abs(exact - least) <= 1e-9 * (1 + least)) << i;
  }
}

TEST(Search, FindsAWayThroughForbiddenCombinations) {
  // A chain in which neighbours must be equal: two of 2^12 choices are allowed.
  Problem problem;
  for (int v = 0; v < 12; ++v) problem.variables.push_back({"v", 2});
  for (int v = 1; v < 12; ++v)
    problem.factors.push_back({{v - 1, v}, {{1, 2}, {infinity, 0}, {infinity, 0}, {3, 0}}});
  Front front = plan_widths(problem, {.max_entries = 1});
  ASSERT_FALSE(front.points.empty());
  for (const Point& point : front.points) EXPECT_TRUE(std::isfinite(point.cost.latency_us));
}

}  // namespace
}  // namespace tailor::plan
