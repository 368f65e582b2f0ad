// Times of calls brought to one scale: what is left out, what is divided, what is told.
#include "tailor/runtime/anchors.h"

#include "tailor/base/random.h"
#include "tests/testing.h"

#include <algorithm>
#include <cmath>

namespace tailor::runtime {
namespace {

Samples samples(std::vector<double> us) { return {std::move(us), "thread cpu", ""}; }

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

TEST(Anchors, RoundsInWhichAllIsSlowAreLeftOut) {
  const Steady steady = steadied({samples({10, 16, 10, 17, 10}), samples({20, 32, 20, 34, 20})}, 1);
  EXPECT_EQ(steady.samples.size(), 1u);
  EXPECT_EQ(steady.samples[0].us, (std::vector<double>{10, 10, 10}));
  EXPECT_EQ(steady.reference, (std::vector<double>{20}));
  EXPECT_EQ(steady.calm, 3);
  EXPECT_EQ(steady.rounds, 5);
  EXPECT_TRUE(steady.trustworthy());
}

TEST(Anchors, ACallThatIsSlowThroughoutIsToldAndDivided) {
  const Steady steady = steadied({samples({15, 15, 15}), samples({30, 30, 30})}, 1, {20});
  EXPECT_DOUBLE_EQ(steady.slowness, 1.5);
  EXPECT_FALSE(steady.trustworthy());
  for (const double us : steady.samples[0].us) EXPECT_DOUBLE_EQ(us, 10);
}

TEST(Anchors, TwoCalmRoundsOfNineAreTooFew) {
  const Samples anchor = samples({20, 30, 20, 33, 36, 30, 34, 39, 31});
  const Steady steady = steadied({anchor}, 1, {20});
  EXPECT_EQ(steady.calm, 2);
  EXPECT_FALSE(steady.trustworthy());
}

TEST(Anchors, JobsWithOtherNumbersOfSamplesAreDividedByTheCallsSlowness) {
  const Steady steady = steadied({samples({24}), samples({}), samples({24, 24, 24})}, 1, {20});
  EXPECT_DOUBLE_EQ(steady.samples[0].us.front(), 20);
  EXPECT_TRUE(steady.samples[1].us.empty());
}

TEST(Anchors, TimesOfNothingAreNoDivisionByIt) {
  const Steady steady = steadied({samples({1, 1}), samples({0, 0})}, 1);
  for (const double us : steady.samples[0].us) EXPECT_TRUE(std::isfinite(us));
}

// What the anchors are for: calls of which each meets a machine of another speed, for some of its rounds or all of them.
TEST(Anchors, RatiosOfLayersDoNotDependOnTheCallThatTheyWereTimedIn) {
  Random random(3);
  std::vector<double> reference;
  const std::vector<double> truth = {12, 31, 45, 20, 90, 33};
  for (int call = 0; call < 50; ++call) {
    std::vector<Samples> jobs(truth.size());
    const double pace = 1 + random.uniform(), busy = random.uniform();
    for (int round = 0; round < 15; ++round) {
      const double slow = pace * (random.uniform() < busy ? 1 + random.uniform() : 1);
      for (std::size_t job = 0; job < truth.size(); ++job)
        jobs[job].us.push_back(truth[job] * slow * (1 + 0.02 * random.uniform()));
    }
    const Steady steady = steadied(std::move(jobs), 3, reference);
    if (reference.empty()) reference = steady.reference;
    const double scale = reference[0] / truth[3];
    for (std::size_t job = 0; job < 3; ++job)
      EXPECT_NEAR(middle(steady.samples[job].us) / (truth[job] * scale), 1, 0.03) << "call " << call;
  }
}

TEST(Anchors, AreSpreadEvenly) {
  EXPECT_EQ(spread(6, 6), (std::vector<std::size_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(spread(3, 6), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(spread(100, 4), (std::vector<std::size_t>{12, 37, 62, 87}));
  EXPECT_TRUE(spread(0, 4).empty());
}

}  // namespace
}  // namespace tailor::runtime
