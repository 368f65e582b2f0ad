// Widths around a layer's own by bisection, against a walk over all of them.
#include "tailor/pipeline/accelerator_prediction.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <limits>

namespace tailor::pipeline {
namespace {

TEST(WidthTread, IsWhatAWalkFinds) {
  Random random(5);
  for (int i = 0; i < 200; ++i) {
    const auto unit = static_cast<std::int64_t>(1 + random.below(4));
    std::vector<double> stairs = {0};
    for (int k = 1; k <= 80; ++k)
      stairs.push_back(stairs.back() +
                       (random.below(7) == 0 || k == 1 ? 1 + static_cast<double>(random.below(3)) : 0));
    const auto at = [&](std::int64_t width) { return stairs[static_cast<std::size_t>(width / unit)]; };
    const auto present = unit * static_cast<std::int64_t>(1 + random.below(40));
    const WidthTread tread = width_tread(present, unit, at);
    std::int64_t low = present, high = present;
    while (low > unit && at(low - unit) == at(present)) low -= unit;
    while (high < 2 * present && at(high + unit) == at(present)) high += unit;
    EXPECT_EQ(tread.narrowest, low);
    EXPECT_EQ(tread.widest, high);
    EXPECT_EQ(tread.next.has_value(), low > unit);
    EXPECT_EQ(tread.next_cycles, tread.next ? at(low - unit) : 0);
  }
}

TEST(WidthTread, WidthsThatDoNotFitEndIt) {
  const WidthTread tread = width_tread(
      10, 1, [](std::int64_t width) { return width <= 12 ? 7.0 : std::numeric_limits<double>::infinity(); });
  EXPECT_EQ(tread.narrowest, 1);
  EXPECT_EQ(tread.widest, 12);
  EXPECT_FALSE(tread.next);
}

}  // namespace
}  // namespace tailor::pipeline
