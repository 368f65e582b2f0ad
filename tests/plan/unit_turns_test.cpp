// Units that take turns: the planner against all choices, conversions against a walk through the network.
#include "tailor/plan/unit_turns.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace tailor::plan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Two to three formats, steps that read earlier values (one of them perhaps as a residual), values with several readers.
TurnProblem random_problem(std::uint64_t seed) {
  Random random(seed);
  TurnProblem problem;
  problem.formats = 2 + static_cast<int>(random.below(2));
  const auto formats = static_cast<std::size_t>(problem.formats);
  auto new_value = [&] {
    TurnValue value;
    value.conversion.assign(formats, std::vector<double>(formats, 0));
    for (std::size_t a = 0; a < formats; ++a)
      for (std::size_t b = 0; b < formats; ++b)
        if (a != b) value.conversion[a][b] = static_cast<double>(random.below(7));
    problem.values.push_back(value);
    return static_cast<int>(problem.values.size()) - 1;
  };
  problem.values.reserve(20);
  const int input = new_value();
  problem.values[static_cast<std::size_t>(input)].given = 0;
  problem.values[static_cast<std::size_t>(new_value())].free = true;
  const std::size_t steps = 2 + random.below(5);
  for (std::size_t s = 0; s < steps; ++s) {
    TurnStep step{"s" + std::to_string(s), {}, {}, 0};
    const std::size_t ways = 1 + random.below(3);
    for (std::size_t w = 0; w < ways; ++w)
      step.ways.push_back({"w", static_cast<int>(random.below(formats)),
                           static_cast<int>(random.below(formats)), static_cast<double>(random.below(20)),
                           static_cast<double>(random.below(5))});
    step.reads.push_back({static_cast<int>(random.below(problem.values.size())), false});
    if (random.below(2)) step.reads.push_back({static_cast<int>(random.below(problem.values.size())), true});
    step.writes = new_value();
    problem.steps.push_back(std::move(step));
  }
  problem.values.back().asked = 0;
  return problem;
}

// What running the network costs: every value carries the formats that it exists in by now.
double walked(const TurnProblem& problem, const std::vector<int>& choice) {
  std::map<int, std::map<int, bool>> exists;
  std::map<int, int> made;
  for (std::size_t v = 0; v < problem.values.size(); ++v)
    if (problem.values[v].given >= 0) made[static_cast<int>(v)] = problem.values[v].given;
  double cost = 0;
  auto read = [&](int v, int format) {
    const TurnValue& value = problem.values[static_cast<std::size_t>(v)];
    if (value.free || made[v] == format || exists[v][format]) return;
    cost += value.conversion[static_cast<std::size_t>(made[v])][static_cast<std::size_t>(format)];
    exists[v][format] = true;
  };
  for (std::size_t s = 0; s < problem.steps.size(); ++s) {
    const TurnStep& step = problem.steps[s];
    const Way& way = step.ways[static_cast<std::size_t>(choice[s])];
    for (const Reading& r : step.reads) read(r.value, r.residual ? way.writes : way.reads);
    cost += way.cost;
    made[step.writes] = way.writes;
  }
  for (std::size_t v = 0; v < problem.values.size(); ++v)
    if (problem.values[v].asked >= 0) read(static_cast<int>(v), problem.values[v].asked);
  return cost;
}

template <class Use>
void for_all_choices(const TurnProblem& problem, Use use) {
  std::vector<int> choice(problem.steps.size(), 0);
  for (;;) {
    use(choice);
    std::size_t s = 0;
    while (s < choice.size() && ++choice[s] == static_cast<int>(problem.steps[s].ways.size()))
      choice[s++] = 0;
    if (s == choice.size()) return;
  }
}

TEST(UnitTurns, CostIsThatOfRunningTheNetwork) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const TurnProblem problem = random_problem(seed);
    for_all_choices(problem, [&](const std::vector<int>& choice) {
      ASSERT_DOUBLE_EQ(evaluate(problem, choice).latency_us, walked(problem, choice)) << seed;
    });
  }
}

TEST(UnitTurns, TheFrontIsThatOfAllChoices) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const TurnProblem problem = random_problem(seed);
    std::map<double, double> least;  // loss -> least latency
    for_all_choices(problem, [&](const std::vector<int>& choice) {
      double cost = walked(problem, choice), loss = 0;
      for (std::size_t s = 0; s < choice.size(); ++s)
        loss += problem.steps[s].ways[static_cast<std::size_t>(choice[s])].loss;
      auto [entry, added] = least.try_emplace(loss, cost);
      if (!added) entry->second = std::min(entry->second, cost);
    });
    std::map<double, double> front;  // only those that cost less than everything of smaller loss
    double best = kInfinity;
    for (auto [loss, cost] : least)
      if (cost < best) front[loss] = best = cost;
    const Front planned = plan_turns(problem);
    ASSERT_EQ(planned.points.size(), front.size()) << seed;
    for (const Point& point : planned.points) {
      ASSERT_TRUE(front.contains(point.cost.loss)) << seed;
      EXPECT_DOUBLE_EQ(point.cost.latency_us, front[point.cost.loss]) << seed;
      EXPECT_TRUE(point.certificate.optimal);
    }
  }
}

TEST(UnitTurns, AValueIsConvertedOncePerFormat) {
  TurnProblem problem;
  problem.formats = 2;
  const std::vector<std::vector<double>> conversion = {{0, 5}, {3, 0}};
  problem.values = {{conversion, 0, -1, false}, {conversion, -1, -1, false}, {conversion, -1, 0, false}};
  problem.steps = {{"a", {{"f", 0, 0, 10, 0}, {"i", 1, 1, 1, 1}}, {{0, false}}, 1},
                   {"b", {{"f", 0, 0, 10, 0}, {"i", 1, 1, 1, 1}}, {{1, false}, {0, true}}, 2}};
  EXPECT_DOUBLE_EQ(evaluate(problem, {0, 0}).latency_us, 20);
  EXPECT_EQ(conversions(problem, {1, 1}), (std::vector<Conversion>{{0, 0, 1}, {2, 1, 0}}));
  EXPECT_DOUBLE_EQ(evaluate(problem, {1, 1}).latency_us, 10) << "the input becomes levels once for both";
  EXPECT_DOUBLE_EQ(evaluate(problem, {1, 0}).latency_us, 5 + 1 + 3 + 10);
}

TEST(UnitTurns, AConversionThatDoesNotExistForbids) {
  TurnProblem problem;
  problem.formats = 2;
  problem.values = {{{{0, kInfinity}, {1, 0}}, 0, -1, false}, {{{0, 1}, {1, 0}}, -1, 0, false}};
  problem.steps = {{"a", {{"f", 0, 0, 10, 0}, {"i", 1, 1, 1, 1}}, {{0, false}}, 1}};
  const Front front = plan_turns(problem);
  ASSERT_EQ(front.points.size(), 1u);
  EXPECT_EQ(front.points[0].choice, std::vector<int>{0});
}

}  // namespace
}  // namespace tailor::plan
