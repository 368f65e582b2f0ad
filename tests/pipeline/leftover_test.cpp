#include "tailor/pipeline/leftover.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace tailor::pipeline {
namespace {

// Variable 0 is shared by every factor, the others are in one each.
plan::Problem star(int arms, int candidates, Random& random) {
  plan::Problem problem;
  for (int v = 0; v <= arms; ++v) problem.variables.push_back({"v", candidates});
  for (int arm = 1; arm <= arms; ++arm) {
    plan::Factor factor{{0, arm}, {}};
    for (int i = 0; i < candidates * candidates; ++i)
      factor.table.push_back({random.uniform(1, 10), random.uniform(0, 1)});
    problem.factors.push_back(std::move(factor));
  }
  return problem;
}

std::vector<int> random_choice(const plan::Problem& problem, Random& random) {
  std::vector<int> choice;
  for (const plan::Variable& v : problem.variables)
    choice.push_back(static_cast<int>(random.below(static_cast<std::size_t>(v.candidates))));
  return choice;
}

TEST(Leftover, HubsAreWhatManyLayersShare) {
  Random random(1);
  EXPECT_EQ(Leftover(star(9, 2, random), 0).hubs(), std::vector<int>{0});
  EXPECT_TRUE(Leftover(star(8, 2, random), 0).hubs().empty());
}

TEST(Leftover, IsKnownForTheHubsThatWereMeasured) {
  Random random(1);
  plan::Problem problem = star(9, 3, random);
  Leftover leftover(problem, 7);
  std::vector<int> first(10, 1), second(10, 2), other_arms = first;
  other_arms[5] = 0;
  EXPECT_EQ(leftover.at(first), 7);
  leftover.learn(first, 3);
  EXPECT_EQ(leftover.at(first), 3);
  EXPECT_EQ(leftover.at(other_arms), 3);
  EXPECT_EQ(leftover.at(second), 3);  // the first lesson stands for all that was not measured
  leftover.learn(second, 11);
  EXPECT_EQ(leftover.at(second), 11);
  EXPECT_EQ(leftover.at(std::vector<int>(10, 0)), 3);
}

// Whatever was learned: where something with measured hubs fits, what is chosen fits and loses no more than that.
// With one lesson all hubs have the same leftover, and the choice is the best of all.
TEST(Leftover, ChoosesTheLeastLossThatFits) {
  Random random(2);
  int compared = 0;
  for (int trial = 0; trial < 60; ++trial) {
    plan::Problem problem = star(9, 2, random);
    Leftover leftover(problem, random.uniform(0, 20));
    std::set<int> measured;
    for (int i = 0; i < trial % 3; ++i) {
      std::vector<int> lesson = random_choice(problem, random);
      measured.insert(lesson[0]);
      leftover.learn(lesson, random.uniform(0, 20));
    }
    double budget = random.uniform(20, 90);
    auto total = [&](const std::vector<int>& choice) {
      return plan::evaluate(problem, choice).latency_us + leftover.at(choice);
    };
    plan::Point chosen = leftover.choose(problem, budget).point;
    std::vector<int> choice(10);
    for (int bits = 0; bits < 1024; ++bits) {
      for (std::size_t v = 0; v < 10; ++v) choice[v] = bits >> v & 1;
      if (total(choice) > budget || (measured.size() == 1 && trial % 3 == 2 && !measured.contains(choice[0])))
        continue;
      ++compared;
      EXPECT_LE(total(chosen.choice), budget + 1e-6);
      EXPECT_LE(chosen.cost.loss, plan::evaluate(problem, choice).loss + 1e-9);
    }
  }
  EXPECT_GT(compared, 1000);
}

}  // namespace
}  // namespace tailor::pipeline
