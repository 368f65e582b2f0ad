#include "demo/shapes.h"

#include "tailor/base/file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <span>

namespace tailor::demo {
namespace {

std::string digest(const std::vector<std::uint8_t>& records) {
  return sha256(std::as_bytes(std::span(records)));
}

TEST(Shapes, AreTheSameBytesEverywhere) {
  // demo/shapes.onnx was trained on these images: a change here makes its README wrong.
  EXPECT_EQ(digest(draw_shapes(100, 1)), "872d4477911592be3ce63c43a132650da024302808b124e641425d0a18d4bcc4");
  EXPECT_EQ(digest(draw_shapes(100, 1)), digest(draw_shapes(100, 1)));
  EXPECT_NE(digest(draw_shapes(100, 1)), digest(draw_shapes(100, 2)));
}

TEST(Shapes, ASetIsTheBeginningOfALargerOne) {
  std::vector<std::uint8_t> few = draw_shapes(25, 3), many = draw_shapes(60, 3);
  EXPECT_EQ(few.size(), 25 * record_size);
  EXPECT_TRUE(std::equal(few.begin(), few.end(), many.begin()));
  EXPECT_TRUE(draw_shapes(0, 3).empty());
}

TEST(Shapes, EveryTenHoldEveryClassOnce) {
  std::vector<std::uint8_t> records = draw_shapes(200, 4);
  std::set<std::vector<int>> orders;
  for (std::size_t block = 0; block < 20; ++block) {
    std::vector<int> labels;
    for (std::size_t i = 0; i < 10; ++i) labels.push_back(records[(10 * block + i) * record_size]);
    orders.insert(labels);
    std::sort(labels.begin(), labels.end());
    EXPECT_EQ(labels, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
  EXPECT_GT(orders.size(), 15u);
}

TEST(Shapes, ImagesHaveContentAndDiffer) {
  std::vector<std::uint8_t> records = draw_shapes(100, 5);
  std::set<std::string> seen;
  for (std::size_t i = 0; i < 100; ++i) {
    std::span<const std::uint8_t> pixels(records.data() + i * record_size + 1, record_size - 1);
    EXPECT_GT(std::set<std::uint8_t>(pixels.begin(), pixels.end()).size(), 16u);
    seen.insert(sha256(std::as_bytes(pixels)));
  }
  EXPECT_EQ(seen.size(), 100u);
}

}  // namespace
}  // namespace tailor::demo
