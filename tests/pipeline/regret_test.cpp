// The regret of a choice, against all choices tried one by one.
#include "tailor/pipeline/regret.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace tailor::pipeline {
namespace {

plan::Problem random_problem(Random& random, int variables) {
  plan::Problem problem;
  auto cost = [&](std::size_t size, bool loss) {
    std::vector<plan::Cost> table(size);
    for (plan::Cost& c : table)
      c = {loss ? 0.0 : 1.0 + static_cast<double>(random.below(20)),
           loss ? static_cast<double>(random.below(9)) : 0.0};
    return table;
  };
  for (int v = 0; v < variables; ++v) {
    problem.variables.push_back({"v", 3});
    problem.factors.push_back({{v}, cost(3, true)});
    if (v > 0) problem.factors.push_back({{v - 1, v}, cost(9, false)});
  }
  return problem;
}

double best_by_trying(const plan::Problem& problem, double loss) {
  double best = 1e300;
  std::vector<int> choice(problem.variables.size(), 0);
  for (;;) {
    const plan::Cost cost = plan::evaluate(problem, choice);
    if (cost.loss <= loss) best = std::min(best, cost.latency_us);
    std::size_t v = 0;
    while (v < choice.size() && ++choice[v] == 3) choice[v++] = 0;
    if (v == choice.size()) return best;
  }
}

TEST(Regret, IsThatOfTheFastestChoiceThatLosesNoMore) {
  Random random(5);
  int regretted = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const plan::Problem problem = random_problem(random, 5);
    std::vector<int> choice(5);
    for (int& c : choice) c = static_cast<int>(random.below(3));
    const plan::Cost chosen = plan::evaluate(problem, choice);
    const Regret regret = regret_of(problem, choice);
    EXPECT_DOUBLE_EQ(regret.chosen_us, chosen.latency_us);
    EXPECT_NEAR(regret.best_us, best_by_trying(problem, chosen.loss), 1e-9);
    EXPECT_GE(regret.share(), 0);
    regretted += regret.share() > 0;
  }
  EXPECT_GT(regretted, 10);
}

TEST(Regret, NoneForTheBestChoice) {
  Random random(6);
  const plan::Problem problem = random_problem(random, 6);
  for (const plan::Point& point : plan::plan_widths(problem).points)
    EXPECT_NEAR(regret_of(problem, point.choice).share(), 0, 1e-12);
}

}  // namespace
}  // namespace tailor::pipeline
