// What follows a proof; the straight line itself is tested through the program (tests/app).
#include "tailor/pipeline/optimize.h"

#include <gtest/gtest.h>

namespace tailor::pipeline {
namespace {

Goal ratio(double r) {
  Goal goal;
  goal.ratio = r;
  return goal;
}

TEST(Further, NothingOnceTheGoalIsMet) {
  EXPECT_FALSE(further(ratio(0.5), 0.5, 900));
  EXPECT_FALSE(further(ratio(0.5), 0.42, 900));
}

TEST(Further, TakesOffWhatIsMissing) {
  ASSERT_TRUE(further(ratio(0.5), 0.505, 900));
  EXPECT_DOUBLE_EQ(*further(ratio(0.5), 0.505, 900), 0.5 / 0.505);
  Goal goal;
  goal.latency_us = 1000;
  EXPECT_DOUBLE_EQ(*further(goal, 0.9, 1010), 1000 / 1010.0);
  EXPECT_FALSE(further(goal, 0.9, 1000));
}

TEST(Further, NotWhereTheSearchCouldNotGetThere) { EXPECT_FALSE(further(ratio(0.5), 0.6, 900)); }

TEST(Further, NotWithoutALatency) {
  Goal goal;
  goal.fastest = true, goal.max_drop = 0;
  EXPECT_FALSE(further(goal, 1.01, 900));
}

}  // namespace
}  // namespace tailor::pipeline
