// Spaces against going through every combination.
#include "tailor/tune/space.h"

#include "tests/tune/spaces.h"

#include <algorithm>
#include <map>
#include <set>

namespace tailor::tune {
namespace {

using testing::by_enumeration;
using testing::code_of;
using testing::random_space;
using testing::RandomSpace;
using testing::whole;

// Calls `act` with random spaces that are not empty, and with all their configurations.
void for_random_spaces(
    std::uint64_t seed, int count,
    const std::function<void(const Space&, const std::vector<Configuration>&, Random&)>& act) {
  Random random(seed);
  for (int i = 0; i < count; ++i) {
    const RandomSpace made = random_space(random);
    const std::vector<Configuration> all = by_enumeration(made);
    if (all.empty()) {
      EXPECT_EQ(code_of([&] { Space(made.parameters, made.conditions); }), Code::bad_space);
      continue;
    }
    act(Space(made.parameters, made.conditions), all, random);
  }
}

TEST(Space, CountsIndexesAndFindsWhatEnumerationFinds) {
  for_random_spaces(1, 400, [](const Space& space, const std::vector<Configuration>& all, Random&) {
    ASSERT_EQ(space.count(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(space.at(i), all[i]);
      EXPECT_EQ(space.index_of(all[i]), i);
    }
  });
}

TEST(Space, TheSameFromAList) {
  for_random_spaces(2, 200, [](const Space& space, std::vector<Configuration> all, Random& random) {
    std::vector<Configuration> list = all;
    list.push_back(all[random.below(all.size())]);
    random.shuffle(list);
    const Space same = Space::of_list(space.parameters(), list);
    ASSERT_EQ(same.count(), all.size());
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(same.at(i), all[i]);
  });
}

TEST(Space, WhatIsNotInItHasNoIndex) {
  for_random_spaces(3, 200, [](const Space& space, const std::vector<Configuration>& all, Random& random) {
    Configuration other;
    for (const Parameter& parameter : space.parameters())
      other.push_back(static_cast<int>(random.below(parameter.values.size() + 2)) - 1);
    EXPECT_EQ(space.allows(other), std::find(all.begin(), all.end(), other) != all.end());
    EXPECT_FALSE(space.allows({}));
    other.push_back(0);
    EXPECT_FALSE(space.allows(other));
  });
}

TEST(Space, NeighboursAreAllThatDifferInOne) {
  for_random_spaces(4, 200, [](const Space& space, const std::vector<Configuration>& all, Random& random) {
    const Configuration& from = all[random.below(all.size())];
    std::set<Configuration> expected;
    for (const Configuration& other : all) {
      int different = 0;
      for (std::size_t p = 0; p < from.size(); ++p) different += from[p] != other[p];
      if (different == 1) expected.insert(other);
    }
    const std::vector<Configuration> found = space.neighbours(from);
    EXPECT_EQ(std::set<Configuration>(found.begin(), found.end()), expected);
    EXPECT_EQ(found.size(), expected.size());
  });
}

TEST(Space, ChildrenAreAllowedAndTakeAfterTheirParents) {
  for_random_spaces(5, 200, [](const Space& space, const std::vector<Configuration>& all, Random& random) {
    const Configuration &a = all[random.below(all.size())], &b = all[random.below(all.size())];
    for (double rate : {0.0, 0.3, 1.0}) EXPECT_TRUE(space.allows(space.cross(a, b, rate, random)));
    EXPECT_EQ(space.cross(a, a, 0, random), a);
  });
}

TEST(Space, SamplesAreEven) {
  // 3 x 3 under a condition that leaves 3 of one value and 1 of another: a walk that chose values evenly would not be.
  const Space space({{"a", whole({1, 2})}, {"b", whole({1, 2, 3})}}, {"a == 1 or b == 1"});
  ASSERT_EQ(space.count(), 4u);
  std::map<Configuration, int> drawn;
  Random random(6);
  for (int i = 0; i < 40000; ++i) ++drawn[space.sample(random)];
  for (const auto& [configuration, times] : drawn)
    EXPECT_NEAR(times, 10000, 500);  // five standard deviations
}

TEST(Space, LargeOnesAreNeverListed) {
  std::vector<Parameter> parameters;
  for (int p = 0; p < 20; ++p) {
    std::vector<std::int64_t> values;
    for (int v = 1; v <= 8; ++v) values.push_back(v);
    parameters.push_back({fmt::format("p{}", p), whole(values)});
  }
  std::vector<std::string> conditions;
  for (int p = 0; p + 1 < 20; ++p) conditions.push_back(fmt::format("p{} <= p{}", p, p + 1));
  const Space space(parameters, conditions);
  EXPECT_EQ(space.count(), 888030u);  // multisets: 27 over 7
  Random random(7);
  const Configuration drawn = space.sample(random);
  EXPECT_TRUE(std::is_sorted(drawn.begin(), drawn.end()));
  const Space free(parameters, std::vector<std::string>{"p0 == p1"});
  EXPECT_EQ(free.count(), std::uint64_t{1} << 57);
  EXPECT_EQ(free.index_of(free.at(free.count() - 1)), free.count() - 1);
}

TEST(Space, CoordinatesLieBetweenZeroAndOne) {
  const Space space(
      {{"a", whole({1, 2, 4, 8, 16})}, {"b", whole({0, 1, 2})}, {"c", {std::string("x"), std::string("y")}}},
      std::vector<std::string>{});
  const std::vector<double> x = space.encode({2, 1, 1});
  ASSERT_EQ(x.size(), 4u);
  EXPECT_DOUBLE_EQ(x[0], 0.5);
  EXPECT_DOUBLE_EQ(x[1], 0.5);
  EXPECT_EQ(x[2], 0);
  EXPECT_NEAR(x[3], 0.7071, 1e-4);
  EXPECT_EQ(space.text({2, 1, 1}), "a=4 b=1 c=y");
}

TEST(Space, PowersOfTwoHaveACoordinateWhereOrderDoesNotTellThem) {
  const Space space(
      {{"block", whole({16, 32, 48, 64})}, {"tile", whole({1, 2, 4})}, {"shift", whole({0, 1, 2, 3})}},
      std::vector<std::string>{});
  for (auto [value, twos] : std::vector<std::pair<int, double>>{{0, 0.0}, {1, 0.5}, {2, 0.0}, {3, 1.0}}) {
    const std::vector<double> x = space.encode({value, 0, 0});
    ASSERT_EQ(x.size(), 4u) << "one for each, and one for the block";
    EXPECT_DOUBLE_EQ(x[1], twos) << value;
  }
}

TEST(Space, WhatContradictsItselfIsRefused) {
  auto refused = [](std::vector<Parameter> parameters, std::vector<std::string> conditions = {}) {
    return code_of([&] { Space(parameters, conditions); }) == Code::bad_space;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({{"a", {}}}));
  EXPECT_TRUE(refused({{"", whole({1})}}));
  EXPECT_TRUE(refused({{"a", whole({2, 1})}}));
  EXPECT_TRUE(refused({{"a", whole({1, 1})}}));
  EXPECT_TRUE(refused({{"a", {Value(std::int64_t{1}), Value(std::string("x"))}}}));
  EXPECT_TRUE(refused({{"a", whole({1})}, {"a", whole({1})}}));
  EXPECT_TRUE(refused({{"a", whole({1, 2})}}, {"a > 2"}));
  EXPECT_TRUE(refused({{"a", whole({1, 2})}}, {"1 == 1"}));
}

TEST(Space, EntangledConditionsAreRefusedAndNotWaitedFor) {
  std::vector<Parameter> parameters;
  std::vector<std::string> conditions;
  for (int p = 0; p < 40; ++p) {
    parameters.push_back({fmt::format("p{}", p), whole({1, 2, 3, 4, 5, 6, 7, 8})});
    conditions.push_back(fmt::format("p{} + p{} != 3", p, 39 - p));
  }
  EXPECT_EQ(code_of([&] { Space(parameters, conditions); }), Code::bad_space);
}

}  // namespace
}  // namespace tailor::tune
