// Splits of one layer against going through every assignment of every channel.
#include "tailor/plan/split.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace tailor::plan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Integers, so that sums are exact.
SplitProblem random_problem(Random& random, int channels, int options, int units) {
  SplitProblem problem{channels, units, {}, false, {}};
  for (int o = 0; o < options; ++o) {
    SplitOption option;
    option.unit = o < units ? o : static_cast<int>(random.below(static_cast<std::size_t>(units)));
    double cycles = 0;
    option.cycles = {0};
    bool stairs = random.below(2) == 1;
    for (int c = 1; c <= channels; ++c) {
      if (!stairs || c % 2 == 1) cycles += static_cast<double>(random.below(6));
      option.cycles.push_back(std::max(1.0, cycles));
      option.loss.push_back(static_cast<double>(random.below(20)));
    }
    problem.options.push_back(std::move(option));
  }
  if (random.below(4) == 0) problem.options[random.below(problem.options.size())].cycles.back() = kInfinity;
  if (random.below(2) == 0)
    problem.cost = [](std::span<const double> cycles) {
      return *std::max_element(cycles.begin(), cycles.end());
    };
  else
    problem.cost = [](std::span<const double> cycles) {
      return std::accumulate(cycles.begin(), cycles.end(), 0.0);
    };
  return problem;
}

// Least loss for every possible vector of counts.
std::map<std::vector<int>, double> by_enumeration(const SplitProblem& problem) {
  std::map<std::vector<int>, double> best;
  std::size_t all = 1, options = problem.options.size();
  for (int c = 0; c < problem.channels; ++c) all *= options;
  for (std::size_t code = 0; code < all; ++code) {
    std::vector<int> counts(options);
    double loss = 0;
    std::size_t rest = code;
    for (int c = 0; c < problem.channels; ++c, rest /= options)
      ++counts[rest % options], loss += problem.options[rest % options].loss[static_cast<std::size_t>(c)];
    auto [entry, added] = best.try_emplace(counts, loss);
    if (!added) entry->second = std::min(entry->second, loss);
  }
  return best;
}

double cost_of(const SplitProblem& problem, const std::vector<int>& counts) {
  std::vector<double> cycles(static_cast<std::size_t>(problem.units));
  for (std::size_t o = 0; o < counts.size(); ++o)
    cycles[static_cast<std::size_t>(problem.options[o].unit)] +=
        problem.options[o].cycles[static_cast<std::size_t>(counts[o])];
  return *std::max_element(cycles.begin(), cycles.end()) == kInfinity ? kInfinity : problem.cost(cycles);
}

TEST(Split, EveryCountHasItsLeastLoss) {
  Random random(1);
  for (int i = 0; i < 400; ++i) {
    int options = 1 + static_cast<int>(random.below(4)), units = 1 + static_cast<int>(random.below(3));
    units = std::min(units, options);
    SplitProblem problem = random_problem(random, 1 + static_cast<int>(random.below(6)), options, units);
    std::map<std::vector<int>, double> truth = by_enumeration(problem), found;
    for (const Split& split : find_splits(problem, {.pareto = false}).splits) {
      EXPECT_TRUE(found.emplace(split.counts, split.loss).second) << "twice";
      EXPECT_EQ(split.cost, cost_of(problem, split.counts));
    }
    std::erase_if(truth, [&](const auto& entry) { return cost_of(problem, entry.first) == kInfinity; });
    ASSERT_EQ(found, truth) << i;
  }
}

TEST(Split, TheFrontIsThatOfAllSplits) {
  Random random(2);
  for (int i = 0; i < 400; ++i) {
    int options = 2 + static_cast<int>(random.below(2));
    SplitProblem problem = random_problem(random, 1 + static_cast<int>(random.below(7)), options, options);
    std::vector<Split> all = find_splits(problem, {.pareto = false}).splits,
                       front = find_splits(problem).splits;
    for (std::size_t k = 1; k < front.size(); ++k) {
      EXPECT_LT(front[k - 1].cost, front[k].cost);
      EXPECT_GT(front[k - 1].loss, front[k].loss);
    }
    for (const Split& split : all)
      EXPECT_TRUE(std::any_of(front.begin(), front.end(), [&](const Split& other) {
        return other.cost <= split.cost && other.loss <= split.loss;
      }));
  }
}

TEST(Split, AssignmentsHaveTheCountsAndTheLossStated) {
  Random random(3);
  for (int i = 0; i < 200; ++i) {
    SplitProblem problem = random_problem(random, 12, 3, 2);
    for (const Split& split : find_splits(problem).splits) {
      std::vector<int> counts(3);
      double loss = 0;
      std::vector<int> options = assign_channels(problem, split.counts);
      for (std::size_t c = 0; c < options.size(); ++c) {
        auto option = static_cast<std::size_t>(options[c]);
        ++counts[option], loss += problem.options[option].loss[c];
      }
      EXPECT_EQ(counts, split.counts);
      EXPECT_EQ(loss, split.loss);
      Split again = split_with(problem, split.counts);
      EXPECT_EQ(again.cost, split.cost);
      EXPECT_EQ(again.loss, split.loss);
    }
  }
}

TEST(Split, WholeLayersGoToOneOption) {
  Random random(4);
  SplitProblem problem = random_problem(random, 6, 3, 3);
  problem.whole = true;
  for (const Split& split : find_splits(problem, {.pareto = false}).splits)
    EXPECT_EQ(std::count(split.counts.begin(), split.counts.end(), 6), 1);
}

TEST(Split, WhatCannotIsLeftOut) {
  SplitProblem problem{2, 2, {{0, {0, 1, 2}, {0, 0}}, {1, {0, kInfinity, kInfinity}, {0, 0}}}, false, {}};
  problem.cost = [](std::span<const double> cycles) { return cycles[0] + cycles[1]; };
  std::vector<Split> splits = find_splits(problem).splits;
  ASSERT_EQ(splits.size(), 1u);
  EXPECT_EQ(splits[0].counts, (std::vector<int>{2, 0}));
  problem.options[0].cycles = {0, kInfinity, kInfinity};
  EXPECT_TRUE(find_splits(problem).splits.empty());
}

TEST(Split, ManySplitsAreThinnedAndItIsSaid) {
  Random random(5);
  SplitProblem problem = random_problem(random, 60, 3, 3);
  Splits coarse = find_splits(problem, {.pareto = false, .most = 200}), fine = find_splits(problem);
  EXPECT_EQ(fine.step, 1);
  EXPECT_GT(coarse.step, 1);
  EXPECT_LE(coarse.splits.size(), 250u);
  for (const Split& split : coarse.splits) {
    EXPECT_EQ(std::accumulate(split.counts.begin(), split.counts.end(), 0), 60);
    EXPECT_TRUE(split.counts[0] % coarse.step == 0 || split.counts[0] == 60);
  }
}

// A digital unit that takes 16 channels at a time beside an analog one that takes any number in 100 cycles.
TEST(Split, FreeChannelsAreBoundByTwoSteps) {
  SplitProblem problem{64, 2, {{0, {0}, {}}, {1, {0}, {}}}, false, {}};
  for (int n = 1; n <= 64; ++n) {
    problem.options[0].cycles.push_back(40.0 * ((n + 15) / 16));
    problem.options[1].cycles.push_back(100);
    problem.options[0].loss.push_back(0);
    problem.options[1].loss.push_back(1);
  }
  problem.cost = [](std::span<const double> cycles) { return std::max(cycles[0], cycles[1]); };
  FreeChannels free = free_channels(problem, find_splits(problem, {.pareto = false}), 0);
  EXPECT_EQ(free.least, 0);
  EXPECT_EQ(free.most, 32);
  EXPECT_EQ(free.at_most, 80);
  EXPECT_EQ(free.next, 120);
  EXPECT_EQ(free.limit, 100);
  EXPECT_EQ(free.cost, 100);
}

TEST(Split, SizesAreChecked) {
  SplitProblem problem{2, 1, {{0, {0, 1}, {0, 0}}}, false, {}};
  problem.cost = [](std::span<const double> cycles) { return cycles[0]; };
  EXPECT_THROW(find_splits(problem), Error);
}

}  // namespace
}  // namespace tailor::plan
