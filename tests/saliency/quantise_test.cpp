#include "tailor/saliency/quantise.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace tailor::saliency {
namespace {

std::vector<float> random_weights(std::size_t count, Random& random) {
  std::vector<float> weights;
  for (std::size_t i = 0; i < count; ++i) weights.push_back(static_cast<float>(random.normal()));
  return weights;
}

device::WeightFormat format(const char* name, bool per_channel = true, bool power_of_two = false) {
  device::WeightFormat result = device::parse_weight_format(name);
  result.per_channel = per_channel, result.power_of_two = power_of_two;
  return result;
}

double error(const std::vector<float>& a, const std::vector<float>& b, std::size_t channels = 1) {
  std::vector<double> errors = channel_errors(a, b, channels);
  return std::accumulate(errors.begin(), errors.end(), 0.0);
}

std::set<float> magnitudes(const std::vector<float>& values) {
  std::set<float> set;
  for (float x : values) set.insert(std::abs(x));
  return set;
}

TEST(Quantise, FloatStays) {
  Random random(1);
  std::vector<float> weights = random_weights(12, random);
  EXPECT_EQ(quantised(weights, 3, format("f32")), weights);
}

// 8 bits of mantissa: an error of at most 2^-9 of the value, and what has them stays.
TEST(Quantise, Bf16CutsMantissas) {
  Random random(12);
  const std::vector<float> weights = random_weights(400, random);
  const std::vector<float> rounded = quantised(weights, 4, format("bf16"));
  for (std::size_t i = 0; i < weights.size(); ++i)
    EXPECT_LE(std::abs(rounded[i] - weights[i]), std::abs(weights[i]) / 256) << weights[i];
  EXPECT_EQ(quantised(rounded, 4, format("bf16")), rounded);
  EXPECT_EQ(quantised(std::vector<float>{1.00390625f, 1.01171875f}, 1, format("bf16")),
            (std::vector<float>{1.0f, 1.015625f}))
      << "to even in the middle";
}

// Every subset that may become nonzero, each with its best scale.
TEST(Quantise, TernaryIsTheBestThereIs) {
  Random random(2);
  for (int i = 0; i < 200; ++i) {
    std::vector<float> row = random_weights(1 + random.below(9), random);
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t set = 0; set < (std::size_t{1} << row.size()); ++set) {
      double sum = 0, squares = 0, count = 0;
      for (std::size_t k = 0; k < row.size(); ++k) {
        squares += double{row[k]} * row[k];
        if (set >> k & 1) sum += std::abs(row[k]), ++count;
      }
      least = std::min(least, squares - (count > 0 ? sum * sum / count : 0));
    }
    std::vector<float> rounded = quantised(row, 1, format("ternary"));
    EXPECT_NEAR(error(row, rounded), least, 1e-6);
    EXPECT_LE(magnitudes(rounded).size(), 2u);
  }
}

TEST(Quantise, LevelsAreMultiplesOfOneScale) {
  Random random(3);
  for (const char* name : {"int2", "int4", "int8"})
    for (bool power_of_two : {false, true}) {
      device::WeightFormat to = format(name, false, power_of_two);
      std::vector<float> weights = random_weights(400, random), rounded = quantised(weights, 20, to);
      double levels = std::exp2(to.bits - 1) - 1, step = std::numeric_limits<double>::infinity();
      std::set<float> found = magnitudes(rounded);
      for (auto a = found.begin(); std::next(a) != found.end(); ++a)
        step = std::min<double>(step, *std::next(a) - *a);
      for (float x : rounded) {
        EXPECT_NEAR(x / step, std::nearbyint(x / step), 1e-3);
        EXPECT_LE(std::abs(x / step), levels + 1e-3);
      }
      if (power_of_two) {
        EXPECT_NEAR(std::log2(step), std::nearbyint(std::log2(step)), 1e-5) << name;
      }
    }
}

TEST(Quantise, MoreBitsLoseLess) {
  Random random(4);
  std::vector<float> weights = random_weights(640, random);
  double before = std::numeric_limits<double>::infinity();
  for (const char* name : {"int2", "int3", "int4", "int6", "int8", "int12"}) {
    double now = error(weights, quantised(weights, 8, format(name)), 8);
    EXPECT_LT(now, before) << name;
    before = now;
  }
  EXPECT_LT(before, 1e-3);
}

TEST(Quantise, ScalesPerChannelDoNotMixChannels) {
  std::vector<float> weights = {1.0f, -0.5f, 1000.0f, -500.0f};
  std::vector<float> apart = quantised(weights, 2, format("int8")),
                     together = quantised(weights, 2, format("int8", false));
  EXPECT_NEAR(apart[0], 1, 0.02);
  EXPECT_EQ(together[1], 0);
}

TEST(Quantise, ZerosStayZero) {
  std::vector<float> zeros(6);
  for (const char* name : {"ternary", "int4", "int8"})
    for (bool power_of_two : {false, true})
      EXPECT_EQ(quantised(zeros, 2, format(name, true, power_of_two)), zeros);
}

// Channels of one way share a scale with nobody else, whatever stands between them.
TEST(Kept, EachWayOnItsOwn) {
  Random random(6);
  for (int round = 0; round < 40; ++round) {
    const std::vector<Keeping> ways = {
        {format("int8", false)}, {format("ternary", false)}, {format("f32")}, {format("int4", true, true)}};
    const std::size_t channels = 1 + random.below(9), row = 1 + random.below(12);
    std::vector<float> weights = random_weights(channels * row, random);
    std::vector<int> way;
    for (std::size_t c = 0; c < channels; ++c) way.push_back(static_cast<int>(random.below(ways.size())));
    const std::vector<float> found = kept(weights, ways, way);
    for (std::size_t w = 0; w < ways.size(); ++w) {
      std::vector<float> before, after;
      for (std::size_t i = 0; i < weights.size(); ++i)
        if (way[i / row] == static_cast<int>(w)) before.push_back(weights[i]), after.push_back(found[i]);
      if (!before.empty()) {
        EXPECT_EQ(after, quantised(before, before.size() / row, ways[w].format));
      }
    }
  }
}

TEST(Kept, OnceMoreChangesNothing) {
  Random random(7);
  for (bool per_channel : {false, true})
    for (bool power_of_two : {false, true})
      for (int round = 0; round < 20; ++round) {
        const std::vector<Keeping> ways = {{format("int8", per_channel, power_of_two)},
                                           {format("ternary", per_channel, power_of_two)},
                                           {format("int3", per_channel, power_of_two)}};
        std::vector<int> way(24);
        for (int& w : way) w = static_cast<int>(random.below(3));
        const std::vector<float> once = kept(random_weights(24 * 18, random), ways, way),
                                 twice = kept(once, ways, way);
        for (std::size_t i = 0; i < once.size(); ++i)
          EXPECT_NEAR(twice[i], once[i], 2e-7 * std::abs(once[i])) << i;
      }
}

TEST(Kept, LevelsAreTheSameNumbers) {
  Random random(8);
  const std::vector<Keeping> ways = {
      {format("int8", false)}, {format("ternary", true)}, {format("int5", false), true}};
  const std::vector<int> way = {2, 0, 1, 1, 0, 2};
  const std::vector<float> weights = random_weights(6 * 6 * 3, random), numbers = kept(weights, ways, way);
  const Levels integers = kept_levels(weights, ways, way);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    EXPECT_EQ(numbers[i], static_cast<float>(integers.level[i] * integers.scale[i / 18])) << i;
  for (std::size_t i = 0; i < 18; ++i)
    EXPECT_EQ(numbers[i] != 0, i < 3) << "the first channel reads its own input";
}

// Nothing in the range is further from its level than half a step (a whole one at an end, where 0 had to be a level).
TEST(ValueLevels, HoldTheRangeAndZero) {
  Random random(3);
  for (int i = 0; i < 2000; ++i) {
    const int bits = static_cast<int>(random.below(7)) + 2;
    const auto lo = static_cast<float>(random.normal() * 3),
               hi = lo + static_cast<float>(random.uniform() * 9);
    const ValueLevels levels = value_levels(lo, hi, bits);
    EXPECT_EQ(levels.most, (1 << bits) - 1);
    ASSERT_TRUE(levels.zero >= 0 && levels.zero <= levels.most);
    for (float x : {lo, hi, (lo + hi) / 2, 0.f}) {
      const double level = std::clamp<double>(std::nearbyint(x / levels.scale) + levels.zero, 0, levels.most);
      EXPECT_LE(std::abs(levels.scale * (level - levels.zero) - x), 1.001 * levels.scale) << lo << " " << hi;
    }
  }
  EXPECT_EQ(value_levels(0, 127, 7), (ValueLevels{1, 0, 127}));
  EXPECT_EQ(value_levels(-127, 128, 8), (ValueLevels{1, 127, 255}));
  EXPECT_EQ(value_levels(2, 6, 2), (ValueLevels{2, 0, 3})) << "0 is in every range";
  EXPECT_EQ(value_levels(0, 0, 7), (ValueLevels{1, 0, 127}));
}

TEST(Quantise, TheDepthwiseConvolutionInside) {
  std::vector<float> weights = {1, 2, 3, 4, 5, 6, 7, 8};  // 2 channels, 2 inputs, 2 taps
  EXPECT_EQ(own_input_only(weights, 2), (std::vector<float>{1, 2, 0, 0, 0, 0, 7, 8}));
  EXPECT_EQ(channel_errors(weights, own_input_only(weights, 2), 2), (std::vector<double>{9 + 16, 25 + 36}));
}

}  // namespace
}  // namespace tailor::saliency
