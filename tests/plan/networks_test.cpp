// The sizes of real networks: exact at the budget, and a front whose resolution is stated.
#include "tailor/plan/elimination.h"
#include "tailor/plan/reduce.h"
#include "tailor/plan/width_planner.h"
#include "tests/plan/instances.h"

#include <gtest/gtest.h>

namespace tailor::plan {
namespace {

double latency_at_full_width(const Problem& problem) {
  std::vector<int> widest;
  for (const Variable& variable : problem.variables) widest.push_back(variable.candidates - 1);
  return evaluate(problem, widest).latency_us;
}

void expect_settled(const Problem& problem, double share) {
  const double budget = share * latency_at_full_width(problem);
  Front front = plan_widths(problem, {.budget_us = budget});
  const Point* best = front.best_within(budget);
  ASSERT_NE(best, nullptr);
  EXPECT_EQ(evaluate(problem, best->choice), best->cost);
  EXPECT_TRUE(best->certificate.optimal);
  EXPECT_EQ(best->certificate.quantum_us, 0);
  EXPECT_GT(front.points.size(), 100u);
  for (const Point& point : front.points) EXPECT_TRUE(point.certificate.optimal);
}

TEST(Networks, ResNet50HasTheStructureOfThePaper) {
  Problem problem = testing::resnet50_problem(30, 1);
  EXPECT_EQ(problem.variables.size(), 1u + 4 + 32);
  EXPECT_EQ(problem.factors.size(), 37u + 53 + 1);  // losses, convolutions, classifier
  Elimination elimination = eliminate(reduce(problem).problem);
  EXPECT_LE(elimination.largest, 27000u);  // three groups at a time
}

TEST(Networks, ResNet50IsExactAtTheBudget) {
  for (double share : {0.5, 0.7, 0.9}) expect_settled(testing::resnet50_problem(30, 1), share);
}

TEST(Networks, ResNet50FrontIsFinerThanAFourThousandthOfTheLatency) {
  Problem problem = testing::resnet50_problem(30, 2);
  const double latency = latency_at_full_width(problem);
  for (const Point& point : plan_widths(problem).points)
    ASSERT_LE(point.certificate.quantum_us, latency / 4096);
}

TEST(Networks, AChainOfTwoHundredLayersIsExactAtTheBudget) {
  expect_settled(testing::chain_problem(200, 30, 1), 0.7);
}

TEST(Networks, InnerGroupsOfResNet56AreExactAtTheBudget) {
  expect_settled(testing::independent_problem(54, 6, 1), 0.9);
}

}  // namespace
}  // namespace tailor::plan
