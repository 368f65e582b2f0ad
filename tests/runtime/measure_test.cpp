#include "tailor/runtime/measure.h"

#include "tailor/base/random.h"
#include "tailor/runtime/accuracy.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tailor::runtime {
namespace {

TEST(Summary, OrderStatistics) {
  Summary s = summarize({5, 1, 4, 2, 3});
  EXPECT_EQ(s.n, 5u);
  EXPECT_EQ(s.min, 1);
  EXPECT_EQ(s.q1, 2);
  EXPECT_EQ(s.median, 3);
  EXPECT_EQ(s.q3, 4);
  EXPECT_EQ(s.max, 5);
  EXPECT_NEAR(s.p10, 1.4, 1e-12);
  EXPECT_NEAR(s.spread(), 2.0 / 3, 1e-12);
  EXPECT_EQ(summarize({}).n, 0u);
  EXPECT_EQ(summarize({7}).q3, 7);
}

// Both sides share the machine's drift, which is far larger than the difference.
std::pair<std::vector<double>, std::vector<double>> drifting(double ratio, double noise, std::size_t n,
                                                             Random& random) {
  std::vector<double> a, b;
  for (std::size_t i = 0; i < n; ++i) {
    double drift = 100 * (1 + 0.5 * std::sin(static_cast<double>(i)));
    a.push_back(drift * std::exp(noise * random.normal()));
    b.push_back(drift * ratio * std::exp(noise * random.normal()));
  }
  return {a, b};
}

TEST(Compare, PairsCancelDrift) {
  Random random(1);
  auto verdict = [&](double ratio, double noise, std::size_t n) {
    auto [a, b] = drifting(ratio, noise, n, random);
    return compare(a, b).verdict;
  };
  EXPECT_EQ(verdict(0.95, 0.005, 25), Verdict::faster);
  EXPECT_EQ(verdict(1.05, 0.005, 25), Verdict::slower);
  EXPECT_EQ(verdict(1.0, 0.003, 25), Verdict::same);
  EXPECT_EQ(verdict(1.0, 0.2, 25), Verdict::ambiguous);
  EXPECT_EQ(verdict(0.5, 0.001, 4), Verdict::ambiguous);
}

TEST(Compare, IsRepeatableAndSymmetric) {
  Random random(2);
  auto [a, b] = drifting(0.9, 0.02, 31, random);
  EXPECT_EQ(compare(a, b).lo, compare(a, b).lo);
  EXPECT_NEAR(compare(a, b).ratio * compare(b, a).ratio, 1, 1e-9);
  EXPECT_EQ(compare({}, {}).verdict, Verdict::ambiguous);
}

TEST(Compare, TheIntervalCoversTheTruth) {
  Random random(3);
  int covered = 0;
  for (int trial = 0; trial < 200; ++trial) {
    auto [a, b] = drifting(0.97, 0.05, 25, random);
    Comparison c = compare(a, b, 0.01, static_cast<std::uint64_t>(trial));
    covered += c.lo <= 0.97 && 0.97 <= c.hi;
  }
  EXPECT_GE(covered, 180);
}

TEST(McNemar, ExactValues) {
  EXPECT_DOUBLE_EQ(mcnemar_p(0, 0), 1);
  EXPECT_NEAR(mcnemar_p(0, 5), 2.0 / 32, 1e-12);
  EXPECT_NEAR(mcnemar_p(1, 9), 2 * (1.0 + 10) / 1024, 1e-12);
  EXPECT_EQ(mcnemar_p(7, 7), 1);
  EXPECT_NEAR(mcnemar_p(3, 9), mcnemar_p(9, 3), 1e-15);
  EXPECT_GT(mcnemar_p(5000, 5100), 0.3);
}

TEST(Accuracy, CountsPairs) {
  auto a = graph::make_f32({4, 3}, {9, 1, 1, 1, 9, 1, 1, 1, 9, 9, 1, 1});  // 0 1 2 0
  auto b = graph::make_f32({4, 3}, {9, 1, 1, 9, 1, 1, 1, 1, 9, 1, 9, 1});  // 0 0 2 1
  Score score;
  add(score, a, b, std::vector<std::int64_t>{0, 1, 1, 1});
  EXPECT_EQ(score.n, 4);
  EXPECT_EQ(score.agreement(), 0.5);
  EXPECT_EQ(score.top1_a(), 0.5);
  EXPECT_EQ(score.top1_b(), 0.5);
  EXPECT_EQ(score.only_a_correct, 1);
  EXPECT_EQ(score.only_b_correct, 1);
  EXPECT_NEAR(score.mean_squared_error(), 2 * (128.0 / 3) / 4, 1e-9);
  add(score, a, a);
  EXPECT_EQ(score.n, 8);
  EXPECT_EQ(score.labelled, 4);
}

TEST(Accuracy, DivergenceByHand) {
  auto a = graph::make_f32({1, 2}, {0, static_cast<float>(std::log(3.0))});  // 1/4 3/4
  auto b = graph::make_f32({1, 2}, {0, 0});                                  // 1/2 1/2
  Score score;
  add(score, a, b);
  EXPECT_NEAR(score.mean_divergence(), 0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-6);
  auto huge = graph::make_f32({1, 2}, {1e30f, -1e30f});
  Score self;
  add(self, huge, huge);
  EXPECT_EQ(self.mean_divergence(), 0);
}

}  // namespace
}  // namespace tailor::runtime
