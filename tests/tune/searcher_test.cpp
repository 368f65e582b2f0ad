// Every searcher by the contract, then what each is for; stop rules.
#include "tailor/tune/searcher.h"

#include "tailor/tune/stop.h"
#include "tests/tune/spaces.h"

#include <cmath>
#include <set>

namespace tailor::tune {
namespace {

using testing::code_of;
using testing::whole;

constexpr const char* kNames[] = {"exhaustive", "random", "evolution", "model"};

// 6 x 6 x 6 x 2 under two conditions.
const Space& space() {
  static const Space made({{"tile", whole({1, 2, 4, 8, 16, 32})},
                           {"block", whole({1, 2, 4, 8, 16, 32})},
                           {"depth", whole({1, 2, 3, 4, 5, 6})},
                           {"layout", {std::string("a"), std::string("b")}}},
                          {"tile * block <= 256", "block % 2 == 0 or depth < 4"});
  return made;
}

// One valley, with a failure now and then.
Trial outcome_of(const Configuration& c, std::uint64_t salt = 0) {
  const double x = c[0] - 3, y = c[1] - 2, z = c[2] - 4;
  Trial trial{c, Outcome::ok, 10 + 2 * x * x + 3 * y * y + z * z + (c[3] ? 4 : 0)};
  Random random(salt + static_cast<std::uint64_t>(c[0] + 7 * c[1] + 49 * c[2] + 343 * c[3]));
  if (random.below(10) == 0) trial.outcome = Outcome::compile, trial.us = 0;
  return trial;
}

TEST(Searcher, AsksEveryConfigurationOnce) {
  for (const char* name : {"exhaustive", "random", "evolution"}) {
    auto searcher = make_searcher(name, space(), 3);
    std::set<Configuration> asked;
    while (std::optional<Configuration> next = searcher->ask()) {
      EXPECT_TRUE(space().allows(*next)) << name;
      ASSERT_TRUE(asked.insert(*next).second) << name << " asked twice";
      searcher->tell(outcome_of(*next));
    }
    EXPECT_EQ(asked.size(), space().count()) << name;
  }
}

TEST(Searcher, TheModelToo) {
  const Space small({{"a", whole({1, 2, 3, 4})}, {"b", whole({1, 2, 3, 4, 5})}},
                    std::vector<std::string>{"a != b"});
  auto searcher = search_by_model(small, 1);
  std::set<Configuration> asked;
  while (std::optional<Configuration> next = searcher->ask()) {
    ASSERT_TRUE(asked.insert(*next).second);
    searcher->tell({*next, asked.size() % 3 ? Outcome::ok : Outcome::timeout, 5.0 + (*next)[0]});
  }
  EXPECT_EQ(asked.size(), small.count());
  EXPECT_EQ(searcher->expected_gain(), 0);
}

TEST(Searcher, SameSeedSameTrials) {
  for (const char* name : kNames) {
    auto one = make_searcher(name, space(), 11), two = make_searcher(name, space(), 11);
    for (int i = 0; i < 25; ++i) {
      const Configuration next = *one->ask();
      ASSERT_EQ(next, *two->ask()) << name << ", trial " << i;
      one->tell(outcome_of(next)), two->tell(outcome_of(next));
    }
  }
}

TEST(Searcher, OneThatIsToldTheTrialsOfAnotherGoesOnLikeIt) {
  for (const char* name : kNames) {
    auto one = make_searcher(name, space(), 5);
    std::vector<Trial> told;
    for (int i = 0; i < 18; ++i) told.push_back(outcome_of(*one->ask())), one->tell(told.back());
    auto two = make_searcher(name, space(), 5);
    for (const Trial& trial : told) two->tell(trial);
    std::set<Configuration> before;
    for (const Trial& trial : told) before.insert(trial.configuration);
    for (int i = 0; i < 6; ++i) {
      const Configuration next = *two->ask();
      EXPECT_FALSE(before.contains(next)) << name;
      EXPECT_EQ(next, *one->ask()) << name;
      one->tell(outcome_of(next)), two->tell(outcome_of(next));
    }
  }
}

TEST(Searcher, ManyMayBeUnderWay) {
  for (const char* name : kNames) {
    auto searcher = make_searcher(name, space(), 2);
    std::set<Configuration> asked;
    for (int round = 0; round < 4; ++round) {
      std::vector<Configuration> batch;
      for (int i = 0; i < 5; ++i) batch.push_back(*searcher->ask());
      for (const Configuration& next : batch) {
        EXPECT_TRUE(asked.insert(next).second) << name;
        searcher->tell(outcome_of(next));
      }
    }
  }
}

TEST(Searcher, StrangeTrialsDoNoHarm) {
  for (const char* name : kNames) {
    auto searcher = make_searcher(name, space(), 2);
    searcher->tell({{9, 9, 9, 9}, Outcome::ok, 0.001});
    searcher->tell({{}, Outcome::ok, 0.001});
    searcher->tell(outcome_of({3, 2, 4, 0}));
    searcher->tell(outcome_of({3, 2, 4, 0}));
    for (int i = 0; i < 15; ++i) {
      const Configuration next = *searcher->ask();
      EXPECT_TRUE(space().allows(next)) << name;
      searcher->tell({next, Outcome::invalid, 0});
    }
  }
}

// Best of so many trials.
double best_after(Searcher& searcher, int trials) {
  double best = 1e300;
  for (int i = 0; i < trials; ++i) {
    const Trial trial = outcome_of(*searcher.ask(), 1000);
    if (trial.outcome == Outcome::ok) best = std::min(best, trial.us);
    searcher.tell(trial);
  }
  return best;
}

TEST(Searcher, TheModelFindsTheValleyAndChanceSeldomDoes) {
  double least = 1e300;
  for (std::uint64_t i = 0; i < space().count(); ++i) {
    const Trial trial = outcome_of(space().at(i), 1000);
    if (trial.outcome == Outcome::ok) least = std::min(least, trial.us);
  }
  int model = 0, chance = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    model += best_after(*search_by_model(space(), seed), 50) <= 1.05 * least;
    chance += best_after(*search_at_random(space(), seed), 50) <= 1.05 * least;
  }
  EXPECT_GE(model, 4);
  EXPECT_LT(chance, model);
}

TEST(Searcher, ExpectedGainFallsAsTheValleyIsKnown) {
  auto searcher = search_by_model(space(), 4);
  EXPECT_FALSE(searcher->expected_gain()) << "no decision yet";
  std::vector<double> gains;
  for (int i = 0; i < 45; ++i) {
    searcher->tell(outcome_of(*searcher->ask()));
    if (auto gain = searcher->expected_gain()) gains.push_back(*gain);
  }
  ASSERT_GT(gains.size(), 20u);
  EXPECT_LT(gains.back(), gains.front());
  for (double gain : gains) EXPECT_TRUE(gain >= 0 && gain < 1);
}

TEST(Searcher, APriorOfTheSameOrderNeedsFewTrials) {
  std::vector<Trial> elsewhere;
  double least = 1e300;
  for (std::uint64_t i = 0; i < space().count(); ++i) {
    Trial trial = outcome_of(space().at(i), 1000);
    if (trial.outcome == Outcome::ok) least = std::min(least, trial.us);
    trial.us = 3 * std::pow(trial.us, 0.8);
    elsewhere.push_back(trial);
  }
  auto searcher = search_by_model(space(), 1, {}, Prior(space(), elsewhere, "elsewhere"));
  EXPECT_EQ(best_after(*searcher, 3), least);
  EXPECT_EQ(searcher->remark(), "");
}

TEST(Searcher, AMisleadingPriorIsDroppedAndItIsSaid) {
  std::vector<Trial> elsewhere;
  for (std::uint64_t i = 0; i < space().count(); ++i) {
    Trial trial = outcome_of(space().at(i), 1000);
    if (trial.outcome == Outcome::ok) trial.us = 1000 / trial.us;  // the reverse order
    elsewhere.push_back(trial);
  }
  auto searcher = search_by_model(space(), 1, {}, Prior(space(), elsewhere, "the other one"));
  best_after(*searcher, 60);
  EXPECT_NE(searcher->remark().find("the other one"), std::string::npos) << searcher->remark();
}

TEST(Prior, KnowsWhatItWasToldAndInterpolates) {
  std::vector<Trial> few;
  for (int i = 0; i < 6; ++i) few.push_back({{i, 0, 0, 0}, Outcome::ok, std::exp(i)});
  const Prior prior(space(), few, "few");
  EXPECT_NEAR(prior({5, 0, 0, 0}) - prior({0, 0, 0, 0}), 5, 1e-12);
  EXPECT_EQ(prior.ranked().front(), (Configuration{0, 0, 0, 0}));
  const double between = prior({2, 0, 1, 0});
  EXPECT_GT(between, prior({0, 0, 0, 0}));
  EXPECT_LT(between, prior({5, 0, 0, 0}));
  few.resize(4);
  EXPECT_EQ(code_of([&] { Prior(space(), few, "four"); }), Code::nothing_to_transfer);
}

TEST(Prior, KendallsTau) {
  EXPECT_DOUBLE_EQ(kendall_tau({1, 2, 3}, {4, 5, 6}), 1);
  EXPECT_DOUBLE_EQ(kendall_tau({1, 2, 3}, {6, 5, 4}), -1);
  EXPECT_DOUBLE_EQ(kendall_tau({1, 2, 3}, {1, 1, 1}), 0);
  EXPECT_NEAR(kendall_tau({1, 2, 3, 4}, {1, 3, 2, 4}), 4.0 / 6, 1e-12);
}

TEST(Searcher, NamesAndOutcomes) {
  EXPECT_EQ(code_of([] { make_searcher("gradient", space(), 1); }), Code::unknown_name);
  for (Outcome outcome : kOutcomes) EXPECT_EQ(find_outcome(name(outcome)), outcome);
  EXPECT_FALSE(find_outcome("fine"));
}

TEST(StopRules, TheFirstThatAppliesEnds) {
  const StopRules rules{.trials = 100, .seconds = 60, .gain = 0.01};
  EXPECT_EQ(reason_to_stop(rules, {.trials = 99, .seconds = 59}), "");
  EXPECT_EQ(reason_to_stop(rules, {.trials = 100}), "100 trials");
  EXPECT_EQ(reason_to_stop(rules, {.seconds = 60}), "60 s");
  EXPECT_EQ(reason_to_stop(rules, {.gains = {0, 0, 0, 0}}), "");
  EXPECT_EQ(reason_to_stop(rules, {.gains = {0.5, 0.005, 0.001, 0.02, 0, 0}}), "");
  EXPECT_EQ(reason_to_stop(rules, {.gains = {0.5, 0.005, 0.001, 0.002, 0, 0}}),
            "one more trial is expected to save 0.50 %");
  EXPECT_EQ(reason_to_stop({}, {.trials = 1000000, .seconds = 1e9, .gains = std::vector<double>(9)}), "");
}

}  // namespace
}  // namespace tailor::tune
