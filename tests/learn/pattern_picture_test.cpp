// Pictures of patterns: contrast, colours, sizes; where each lies on the sheet.
#include "tailor/learn/pattern_picture.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tailor::learn {
namespace {

TEST(PatternPicture, StretchesTheContrastAroundGrey) {
  const data::Picture p = pattern_picture({-1, 1, 0, 0}, {1, 2, 2}, 32);
  const double deviation = std::sqrt(0.5);
  EXPECT_EQ(p.channels, 1);
  EXPECT_EQ(p.samples[0], std::lround(128 - 127 / (3 * deviation)));
  EXPECT_EQ(p.samples[1], std::lround(128 + 127 / (3 * deviation)));
  EXPECT_EQ(p.samples[2], 128);
  EXPECT_EQ(pattern_picture({-100, 100, 0, 0}, {1, 2, 2}, 32), p) << "scale says nothing";
  EXPECT_EQ(pattern_picture({0, 0, 0, 0}, {1, 2, 2}, 32).samples,
            (std::vector<std::uint8_t>{128, 128, 128, 128}));
}

TEST(PatternPicture, ChannelsAreColoursOrTheirMean) {
  const std::vector<float> planes = {1, 0, 0, 0, 0, -1};  // red 1 0, green 0 0, blue 0 -1
  const data::Picture rgb = pattern_picture(planes, {3, 1, 2}, 32),
                      bgr = pattern_picture(planes, {3, 1, 2}, 32, true);
  EXPECT_EQ(rgb.channels, 3);
  EXPECT_GT(rgb.samples[0], 128);
  EXPECT_LT(rgb.samples[5], 128);
  EXPECT_EQ(rgb.samples[0], bgr.samples[2]);
  EXPECT_EQ(rgb.samples[5], bgr.samples[3]);
  const data::Picture two = pattern_picture({2, 0, 0, -2}, {2, 1, 2}, 32);
  EXPECT_EQ(two.channels, 1);
  EXPECT_EQ(two, pattern_picture({1, -1}, {1, 1, 2}, 32));
}

TEST(PatternPicture, LargeOnesAreShrunkInProportion) {
  const data::Picture p = pattern_picture(std::vector<float>(3 * 100 * 50, 1.0f), {3, 100, 50}, 32);
  EXPECT_EQ(p.height, 32);
  EXPECT_EQ(p.width, 16);
  EXPECT_EQ(p.samples.size(), 3u * 32 * 16);
}

TEST(Sheet, HoldsEveryPictureAtItsPlace) {
  std::vector<data::Picture> pictures;
  for (int i = 0; i < 12; ++i)
    pictures.push_back({8, 8, 1, std::vector<std::uint8_t>(64, static_cast<std::uint8_t>(10 + i))});
  const Sheet sheet = sheet_of(pictures);
  EXPECT_EQ(sheet.columns, 4);
  EXPECT_EQ(sheet.picture.width, 4 * 34);
  EXPECT_EQ(sheet.picture.height, 3 * 34);
  for (int i = 0; i < 12; ++i)
    for (int y : {0, 31})
      for (int x : {0, 31})
        EXPECT_EQ(sheet.picture.samples[sheet.picture.at(i % 4 * 34 + x, i / 4 * 34 + 2 + y)], 10 + i);
  for (int i = 0; i < 12; ++i)
    EXPECT_EQ(sheet.picture.samples[sheet.picture.at(i % 4 * 34 + 5, i / 4 * 34)], i % 10 == 0 ? 255 : 0)
        << "a bar above the first and the eleventh";
}

}  // namespace
}  // namespace tailor::learn
