#include "tailor/data/resize.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>

namespace tailor::data {
namespace {

std::vector<float> resized(const std::vector<float>& image, const graph::Shape& from, const graph::Shape& to,
                           Resize how) {
  std::vector<float> out(static_cast<std::size_t>(graph::element_count(to)));
  resize(image, from, to, how, out.data());
  return out;
}

TEST(Resize, SameSizeIsTheSameImage) {
  std::vector<float> image = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  for (Resize how : {Resize::stretch, Resize::crop})
    EXPECT_EQ(resized(image, {2, 2, 3}, {2, 2, 3}, how), image);
}

// One value stays one value, a ramp stays within its ends and rises, whatever the sizes.
TEST(Resize, AnySizes) {
  Random random(1);
  for (int trial = 0; trial < 300; ++trial) {
    auto size = [&] { return static_cast<std::int64_t>(1 + random.below(40)); };
    graph::Shape from = {1, size(), size()}, to = {1, size(), size()};
    std::vector<float> flat(static_cast<std::size_t>(graph::element_count(from)), 7.0f), ramp = flat;
    for (std::size_t i = 0; i < ramp.size(); ++i)
      ramp[i] = static_cast<float>(i % static_cast<std::size_t>(from[2]));
    for (Resize how : {Resize::stretch, Resize::crop}) {
      for (float v : resized(flat, from, to, how)) ASSERT_NEAR(v, 7, 1e-4);
      std::vector<float> up = resized(ramp, from, to, how);
      for (std::size_t x = 0; x < static_cast<std::size_t>(to[2]); ++x) {
        ASSERT_GE(up[x], -1e-4);
        ASSERT_LE(up[x], static_cast<float>(from[2] - 1) + 1e-4);
        if (x) {
          ASSERT_GE(up[x], up[x - 1] - 1e-4);
        }
      }
    }
  }
}

// Halved, a row takes part with 1/8, 3/8, 3/8, 1/8: the triangle of width two about the middle of two pixels.
TEST(Resize, ShrinkingDoesNotAlias) {
  std::vector<float> image = {0, 0, 0, 8, 0, 0, 0, 0};
  std::vector<float> half = resized(image, {1, 1, 8}, {1, 1, 4}, Resize::stretch);
  EXPECT_NEAR(half[0], 0, 1e-5);
  EXPECT_NEAR(half[1], 3, 1e-5);
  EXPECT_NEAR(half[2], 1, 1e-5);
  EXPECT_NEAR(half[3], 0, 1e-5);
}

TEST(Resize, EnlargingInterpolates) {
  EXPECT_EQ(resized({0, 4}, {1, 1, 2}, {1, 1, 4}, Resize::stretch), (std::vector<float>{0, 1, 3, 4}));
}

TEST(Resize, CropTakesTheMiddle) {
  EXPECT_EQ(resized({1, 2, 3, 4, 5, 6}, {1, 1, 6}, {1, 1, 2}, Resize::crop), (std::vector<float>{3, 4}));
  EXPECT_EQ(resized({1, 2, 3, 4, 5, 6}, {1, 6, 1}, {1, 2, 1}, Resize::crop), (std::vector<float>{3, 4}));
}

}  // namespace
}  // namespace tailor::data
