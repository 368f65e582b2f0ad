// Likeness against sums written out; clusters against a search over all pairs at every step, and by what they promise.
#include "tailor/saliency/likeness.h"

#include "tailor/base/random.h"
#include "tests/testing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace tailor::saliency {
namespace {

Responses random_rows(int units, std::size_t samples, std::uint64_t seed) {
  Random random(seed);
  Responses rows{units, samples, {}};
  for (std::size_t i = 0; i < static_cast<std::size_t>(units) * samples; ++i)
    rows.values.push_back(static_cast<float>(random.normal()));
  return rows;
}

float* row(Responses& rows, int unit) {
  return rows.values.data() + static_cast<std::size_t>(unit) * rows.samples;
}

// Patterns scaled to mean 0 and deviation 1: the mean squared distance is 2 (1 - likeness).
TEST(Likeness, IsTheDistanceOfNormalisedPatterns) {
  Responses rows = random_rows(4, 50, 1);
  std::vector<std::vector<double>> scaled;
  for (int u = 0; u < 4; ++u) {
    double mean = 0, square = 0;
    for (std::size_t i = 0; i < 50; ++i) mean += row(rows, u)[i] / 50.0;
    for (std::size_t i = 0; i < 50; ++i) row(rows, u)[i] -= static_cast<float>(mean);
    for (std::size_t i = 0; i < 50; ++i) square += double{row(rows, u)[i]} * row(rows, u)[i] / 50;
    scaled.emplace_back();
    for (std::size_t i = 0; i < 50; ++i) scaled.back().push_back(row(rows, u)[i] / std::sqrt(square));
  }
  const Likeness likeness = cosines(rows);
  for (int a = 0; a < 4; ++a)
    for (int b = 0; b < 4; ++b) {
      double distance = 0;
      for (std::size_t i = 0; i < 50; ++i)
        distance +=
            std::pow(scaled[static_cast<std::size_t>(a)][i] - scaled[static_cast<std::size_t>(b)][i], 2) / 50;
      EXPECT_NEAR(likeness.at(a, b), 1 - distance / 2, 1e-5);
    }
}

TEST(Likeness, CorrelationIgnoresScaleAndOffset) {
  Responses rows = random_rows(4, 80, 2);
  for (std::size_t i = 0; i < 80; ++i)
    row(rows, 1)[i] = 3 * row(rows, 0)[i] + 7, row(rows, 2)[i] = 1 - 2 * row(rows, 0)[i];
  const Likeness likeness = correlations(rows);
  EXPECT_NEAR(likeness.at(0, 1), 1, 1e-5);
  EXPECT_NEAR(likeness.at(0, 2), -1, 1e-5);
  EXPECT_LT(std::abs(likeness.at(0, 3)), 0.5);
  EXPECT_DOUBLE_EQ(likeness.at(3, 0), likeness.at(0, 3));
  EXPECT_DOUBLE_EQ(likeness.at(2, 2), 1);
}

TEST(Likeness, WhatNeverAnswersIsAlike) {
  Responses rows = random_rows(4, 30, 3);
  for (std::size_t i = 0; i < 30; ++i) row(rows, 1)[i] = 0.1f, row(rows, 3)[i] = 123.4f;
  const Likeness constant = correlations(rows);
  EXPECT_DOUBLE_EQ(constant.at(1, 3), 1);
  EXPECT_DOUBLE_EQ(constant.at(0, 1), 0);
  for (std::size_t i = 0; i < 30; ++i) row(rows, 1)[i] = row(rows, 3)[i] = 0;
  EXPECT_DOUBLE_EQ(cosines(rows).at(1, 3), 1);
  EXPECT_DOUBLE_EQ(cosines(rows).at(2, 3), 0);
}

TEST(Likeness, MeanAndLeastAreOfElements) {
  const Likeness a{2, {1, 0.5, 0.5, 1}}, b{2, {1, -0.25, -0.25, 1}};
  EXPECT_EQ(mean_of({a, b}).values, (std::vector<double>{1, 0.125, 0.125, 1}));
  EXPECT_EQ(least_of(a, b).values, b.values);
}

// All pairs of clusters, at every step, by their least alike members.
std::vector<int> by_all_pairs(const Likeness& likeness, double threshold) {
  std::vector<std::vector<int>> groups;
  for (int u = 0; u < likeness.units; ++u) groups.push_back({u});
  for (;;) {
    double best = -2;
    std::size_t first = 0, second = 0;
    for (std::size_t i = 0; i < groups.size(); ++i)
      for (std::size_t j = i + 1; j < groups.size(); ++j) {
        double least = 2;
        for (int a : groups[i])
          for (int b : groups[j]) least = std::min(least, likeness.at(a, b));
        if (least > best) best = least, first = i, second = j;
      }
    if (best < threshold) break;
    groups[first].insert(groups[first].end(), groups[second].begin(), groups[second].end());
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(second));
  }
  std::vector<int> cluster(static_cast<std::size_t>(likeness.units));
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (int u : groups[i]) cluster[static_cast<std::size_t>(u)] = static_cast<int>(i);
  return cluster;
}

TEST(Clusters, AreThoseOfTheSlowWay) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Likeness likeness = cosines(random_rows(1 + static_cast<int>(seed % 14), 3, seed));
    for (double threshold : {-0.9, 0.0, 0.5, 0.9})
      EXPECT_EQ(clusters(likeness, threshold), by_all_pairs(likeness, threshold)) << seed;
  }
}

TEST(Clusters, HoldOnlyWhatIsAlikeAndSplitNoRepeats) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Responses rows = random_rows(12, 4, seed);
    std::copy_n(row(rows, 2), 4, row(rows, 9));  // a repeat
    const Likeness likeness = cosines(rows);
    const std::vector<int> cluster = clusters(likeness, 0.6);
    EXPECT_EQ(cluster[2], cluster[9]);
    EXPECT_EQ(cluster.front(), 0) << "numbered from the first unit on";
    for (int a = 0; a < 12; ++a)
      for (int b = 0; b < 12; ++b)
        if (cluster[static_cast<std::size_t>(a)] == cluster[static_cast<std::size_t>(b)]) {
          EXPECT_GE(likeness.at(a, b), 0.6);
        }
  }
}

}  // namespace
}  // namespace tailor::saliency
