// The search on a made staircase: goals, and what goes on after the last round.
#include "tailor/pipeline/rounds.h"

#include "tests/pipeline/stairs.h"

namespace tailor::pipeline {
namespace {

using testing::Given;

Searched search(Given& g, double goal) {
  return search_rounds(*testing::runner(), g.subject, g.calibration, g.book, goal, g.options);
}

TEST(Rounds, AreAsManyAsTheGoalNeeds) {
  EXPECT_EQ(rounds_for(1, 0.99), 1);
  EXPECT_EQ(rounds_for(1, 0.8), 1);
  EXPECT_EQ(rounds_for(1, 0.68), 2);
  EXPECT_EQ(rounds_for(1, 0.5), 4);
  EXPECT_EQ(rounds_for(0.8, 0.68), 1);
  EXPECT_EQ(rounds_for(0.48, 0.397), 2) << "rounded up";
  EXPECT_EQ(rounds_for(1, 0.01), 5);
  EXPECT_EQ(rounds_for(0.5, 0.5), 1);
  EXPECT_EQ(rounds_for(0.5, 0), 1);
}

TEST(Rounds, GetToTheGoal) {
  TAILOR_NEEDS_RUNNER();
  Given g;
  g.options.rounds = 2;
  const Searched found = search(g, 0.6);
  EXPECT_LE(found.ratio, 0.6 * 1.003);
  EXPECT_DOUBLE_EQ(testing::cost(found.model) / testing::cost(g.subject.model), found.ratio);
  EXPECT_EQ(found.rounds.size(), 2u);
  EXPECT_TRUE(found.rounds.back().certificate.optimal);
}

// What is asked is the network as cut; it is repaired once, after the last answer.
TEST(Rounds, GoOnWhileTheyAreToldTo) {
  TAILOR_NEEDS_RUNNER();
  Given g;
  g.options.rounds = 1;
  std::vector<double> asked;
  g.options.further = [&](const graph::Model& cut) -> std::optional<double> {
    asked.push_back(testing::cost(cut) / testing::cost(g.subject.model));
    return asked.size() == 1 ? std::optional(0.8) : std::nullopt;
  };
  const Searched found = search(g, 0.8);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(found.rounds.size(), 2u);
  EXPECT_DOUBLE_EQ(found.rounds[1].goal, found.rounds[0].measured * 0.8);
  EXPECT_DOUBLE_EQ(asked[0], found.rounds[0].measured);
  EXPECT_DOUBLE_EQ(asked[1], found.ratio);
  EXPECT_LT(asked[1], asked[0]);
}

TEST(Rounds, GoOnOnlySoOften) {
  TAILOR_NEEDS_RUNNER();
  Given g;
  g.options.rounds = 1;
  int asked = 0;
  g.options.further = [&](const graph::Model&) { return ++asked, std::optional(0.97); };
  EXPECT_EQ(search(g, 0.8).rounds.size(), 1u + kFurtherRounds);
  EXPECT_EQ(asked, kFurtherRounds);
}

}  // namespace
}  // namespace tailor::pipeline
