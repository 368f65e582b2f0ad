#include "tailor/latency/staircase.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace tailor::latency {
namespace {

struct Sweep {
  std::vector<std::int64_t> widths;
  std::vector<double> us;
  void add(std::int64_t width, double latency) { widths.push_back(width), us.push_back(latency); }
};

std::vector<std::int64_t> edges(const Sweep& sweep) {
  std::vector<std::int64_t> result;
  for (const Edge& edge : find_staircase(sweep.widths, sweep.us).edges) result.push_back(edge.last);
  return result;
}

// Recorded: median us at 16, 17, 32, 33, 48, 49, 64, 65 (Xeon with AVX-512, one thread). Between the ends of
// a tread the widths are filled in evenly, with a fixed disturbance of up to one per cent.
Sweep recorded(const std::vector<double>& pairs) {
  Sweep sweep;
  Random random(1);
  for (int w = 16; w <= 65; ++w) {
    int tread = (w - 1) / 16;  // 16 -> 0, 17..32 -> 1, ...
    double latency = pairs[0];
    if (tread > 0) {
      double first = pairs[2 * tread - 1], last = tread < 4 ? pairs[2 * tread] : first;
      latency = first + (last - first) * (w - 1 - 16 * tread) / 15.0;
    }
    bool given = w % 16 <= 1;
    sweep.add(w, given ? latency : latency * random.uniform(0.99, 1.01));
  }
  return sweep;
}

const std::vector<std::int64_t> sixteens{16, 32, 48, 64};

TEST(StaircaseRecorded, OutputChannelsJumpAfterEverySixteen) {
  EXPECT_EQ(edges(recorded({219, 431, 415, 639, 614, 861, 853, 1049})), sixteens);         // oneDNN 3x3 56x56
  EXPECT_EQ(edges(recorded({53.2, 106, 97.2, 148, 144, 205, 196, 249})), sixteens);        // oneDNN 3x3 14x14
  EXPECT_EQ(edges(recorded({13.0, 26.1, 23.7, 36.9, 35.7, 49.4, 47.6, 60.8})), sixteens);  // oneDNN 1x1
  EXPECT_EQ(edges(recorded({19.5, 38.7, 36.0, 56.2, 54.4, 73.3, 71.2, 91.3})), sixteens);  // oneDNN matmul
  EXPECT_EQ(edges(recorded({311, 457, 463, 664, 666, 889, 879, 1191})), sixteens);         // ONNX Runtime 3x3
  EXPECT_EQ(edges(recorded({20.6, 37.0, 36.6, 56.6, 56.5, 72.7, 72.4, 92.5})),
            sixteens);  // ONNX Runtime MatMul
}

TEST(StaircaseRecorded, InputChannelsOfOneDnnAreARampWithoutEdges) {
  // oneDNN 3x3 56x56, input channels 16..65: 214 at 16, 436 at 32, 650 at 48, 873 at 64.
  Sweep sweep;
  Random random(2);
  for (int w = 16; w <= 65; ++w) sweep.add(w, 13.6 * w * random.uniform(0.997, 1.003));
  EXPECT_TRUE(edges(sweep).empty());
}

TEST(StaircaseRecorded, StepHeightsAreThoseOfTheTable) {
  Sweep sweep = recorded({219, 431, 415, 639, 614, 861, 853, 1049});
  Staircase s = find_staircase(sweep.widths, sweep.us);
  ASSERT_EQ(s.edges.size(), 4u);
  EXPECT_NEAR(s.edges[0].height_us, 423 - 219, 15);
  EXPECT_NEAR(s.edges[1].height_us, 626 - 423, 15);
  EXPECT_NEAR(s.edges[0].ratio, 423.0 / 219, 0.03);
  EXPECT_EQ(s.edges[1].next, 33);
}

TEST(StaircaseRecorded, TheWidthBeforeAnEdgeIsSlowerSoTheEdgeIsTailFree) {
  Sweep sweep = recorded({219, 431, 415, 639, 614, 861, 853, 1049});
  sweep.us[31 - 16] = 415 / 0.91;  // 31 -> 32: 0.91
  Staircase s = find_staircase(sweep.widths, sweep.us);
  std::vector<std::int64_t> best;
  for (const Tread& tread : s.treads) best.push_back(tread.best);
  EXPECT_NE(std::find(best.begin(), best.end(), 32), best.end());
  EXPECT_EQ(std::find(best.begin(), best.end(), 31), best.end());
}

TEST(StaircaseRecorded, OnnxRuntimeInputChannelsAreWorthwhileInFours) {
  // 3x3 56x56: 233 at 16 to 891 at 64; other than multiples of four cost 35 % more.
  Sweep sweep;
  for (int w = 16; w <= 64; ++w) sweep.add(w, 13.9 * w * (w % 4 ? 1.35 : 1.0));
  for (std::int64_t w : worthwhile_widths(sweep.widths, sweep.us)) EXPECT_TRUE(w % 4 == 0 || w < 20) << w;
  FreeWidths free = free_widths(find_staircase(sweep.widths, sweep.us), 45);
  EXPECT_EQ(free.wider, 60);  // 60 channels at 834 us, 45 at 844 us
  EXPECT_EQ(free.narrower, (std::vector<std::int64_t>{44, 40}));
}

TEST(StaircaseRecorded, OnnxRuntimeDepthwiseIsWorthwhileInFoursOnly) {
  Sweep sweep;
  for (int w = 16; w <= 128; ++w) sweep.add(w, 0.9 * w * (w % 4 ? 3.4 : 1.0));
  for (std::int64_t w : worthwhile_widths(sweep.widths, sweep.us)) EXPECT_EQ(w % 4, 0);
}

Sweep staircase_with_noise(int block, double noise, Random& random) {
  Sweep sweep;
  for (int w = 8; w <= 160; ++w)
    sweep.add(w, 30 * (0.3 + std::ceil(static_cast<double>(w) / block)) * std::exp(noise * random.normal()));
  return sweep;
}

TEST(StaircaseProperty, FindsEveryEdgeAndNoOtherUnderNoise) {
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    const int block = std::vector<int>{8, 16, 24, 32}[random.below(4)];
    // The last step of blocks of 8 is 1/20; noise that reached its half would move an edge.
    Sweep sweep = staircase_with_noise(block, 0.004, random);
    std::vector<std::int64_t> expected;
    for (int w = 8; w < 160; ++w)
      if (w % block == 0) expected.push_back(w);
    ASSERT_EQ(edges(sweep), expected) << "block " << block << ", try " << i;
  }
}

TEST(StaircaseProperty, SpikesDoNotMakeEdges) {
  Random random(4);
  for (int i = 0; i < 40; ++i) {
    Sweep sweep = staircase_with_noise(32, 0.01, random);
    for (int spike = 0; spike < 5; ++spike) sweep.us[5 + random.below(140)] *= random.uniform(1.02, 1.06);
    std::vector<std::int64_t> found = edges(sweep);
    for (std::int64_t edge : {32, 64, 96, 128})
      ASSERT_NE(std::find(found.begin(), found.end(), edge), found.end()) << i;
    ASSERT_LE(found.size(), 7u);
  }
}

TEST(StaircaseProperty, ScalingLatenciesChangesNoEdge) {
  Random random(5);
  for (int i = 0; i < 30; ++i) {
    Sweep sweep = staircase_with_noise(16, 0.02, random);
    std::vector<std::int64_t> before = edges(sweep);
    for (double& us : sweep.us) us *= 1024;
    ASSERT_EQ(edges(sweep), before);
  }
}

TEST(StaircaseProperty, TreadsCoverTheWidthsOnce) {
  Random random(6);
  for (int i = 0; i < 30; ++i) {
    Sweep sweep = staircase_with_noise(16, random.uniform(0, 0.2), random);
    Staircase s = find_staircase(sweep.widths, sweep.us);
    ASSERT_EQ(s.treads.front().first, 8);
    ASSERT_EQ(s.treads.back().last, 160);
    for (std::size_t t = 1; t < s.treads.size(); ++t) ASSERT_EQ(s.treads[t].first, s.treads[t - 1].last + 1);
    for (const Tread& tread : s.treads) ASSERT_TRUE(tread.first <= tread.best && tread.best <= tread.last);
  }
}

TEST(StaircaseProperty, WorthwhileWidthsAreThoseThatNoWiderOneBeats) {
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    Sweep sweep;
    for (int w = 1; w <= 40; ++w)
      if (random.uniform() < 0.7 || w == 40) sweep.add(w, 1.0 + static_cast<double>(random.below(30)));
    std::vector<std::int64_t> expected;
    for (std::size_t a = 0; a < sweep.us.size(); ++a) {
      bool beaten = false;
      for (std::size_t b = a + 1; b < sweep.us.size(); ++b) beaten = beaten || sweep.us[b] <= sweep.us[a];
      if (!beaten) expected.push_back(sweep.widths[a]);
    }
    ASSERT_EQ(worthwhile_widths(sweep.widths, sweep.us), expected);
  }
}

TEST(StaircaseProperty, FreeWidthsKeepTheirPromise) {
  Random random(8);
  for (int i = 0; i < 50; ++i) {
    Sweep sweep = staircase_with_noise(16, 0.03, random);
    Staircase s = find_staircase(sweep.widths, sweep.us);
    std::int64_t width = 8 + static_cast<std::int64_t>(random.below(153));
    auto us = [&](std::int64_t w) { return sweep.us[static_cast<std::size_t>(w - 8)]; };
    FreeWidths free = free_widths(s, width, 0.02, 3);
    ASSERT_EQ(free.present_us, us(width));
    if (free.wider) {
      ASSERT_GT(*free.wider, width);
      ASSERT_LE(us(*free.wider), us(width) * 1.02);
    }
    std::int64_t before = width;
    for (std::int64_t narrower : free.narrower) {
      ASSERT_LT(narrower, before);
      ASSERT_LT(us(narrower), us(before) * 0.98);
      before = narrower;
    }
  }
}

TEST(Staircase, FreeWidthsOnACleanStaircase) {
  Sweep sweep;
  for (int w = 1; w <= 64; ++w) sweep.add(w, 10 * std::ceil(w / 16.0));
  Staircase s = find_staircase(sweep.widths, sweep.us);
  FreeWidths middle = free_widths(s, 35);
  EXPECT_EQ(middle.wider, 48);
  EXPECT_EQ(middle.narrower, (std::vector<std::int64_t>{32, 16}));
  FreeWidths at_edge = free_widths(s, 48);
  EXPECT_FALSE(at_edge.wider);
  EXPECT_EQ(at_edge.narrower, (std::vector<std::int64_t>{32, 16}));
  EXPECT_TRUE(free_widths(s, 7).narrower.empty());
  EXPECT_EQ(worthwhile_widths(sweep.widths, sweep.us), (std::vector<std::int64_t>{16, 32, 48, 64}));
}

TEST(Staircase, OneWidthIsOneTread) {
  Sweep sweep;
  sweep.add(64, 12.5);
  Staircase s = find_staircase(sweep.widths, sweep.us);
  ASSERT_EQ(s.treads.size(), 1u);
  EXPECT_EQ(s.treads[0].best, 64);
  EXPECT_TRUE(s.edges.empty());
}

TEST(Staircase, RefusesWhatIsNoSweep) {
  const std::vector<std::int64_t> widths{1, 2}, falling{2, 1};
  const std::vector<double> us{1, 2}, one{1}, zero{0, 1}, undefined{std::nan(""), 1};
  EXPECT_THROW(find_staircase(widths, one), Error);
  EXPECT_THROW(find_staircase(falling, us), Error);
  EXPECT_THROW(find_staircase(widths, zero), Error);
  EXPECT_THROW(worthwhile_widths(widths, undefined), Error);
  EXPECT_THROW(find_staircase({}, {}), Error);
  EXPECT_THROW(free_widths(find_staircase(widths, us), 3), Error);
}

}  // namespace
}  // namespace tailor::latency
