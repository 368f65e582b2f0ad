// Divergence of outputs: known values, and what must never look cheap.
#include "tailor/pipeline/loss.h"

#include "tests/testing.h"

#include <cmath>
#include <limits>

namespace tailor::pipeline {
namespace {

runtime::NamedTensors out(graph::Shape dims, std::vector<float> values) {
  return {{"y", graph::make_f32(std::move(dims), std::move(values))}};
}

TEST(Loss, EqualOutputsCostNothing) {
  for (const auto& y :
       {out({2, 3}, {1, 2, 3, -4, 5, 6}), out({1, 2, 1, 2}, {1, 2, 3, 4}), out({2, 3}, {0, 0, 0, 0, 0, 0})}) {
    EXPECT_EQ(divergence(y, y), 0);
    EXPECT_EQ(agreement(y, y), 1);
  }
}

TEST(Loss, LogitsByKullbackAndLeibler) {
  // At temperature 4: (4 log 3, 0) is (3/4, 1/4), (0, 0) is (1/2, 1/2).
  float three = static_cast<float>(4 * std::log(3.0));
  double expected = 0.75 * std::log(1.5) + 0.25 * std::log(0.5);
  EXPECT_NEAR(divergence(out({1, 2}, {three, 0}), out({1, 2}, {0, 0})), expected, 1e-6);
  EXPECT_NEAR(divergence(out({2, 2}, {three, 0, 1, 1}), out({2, 2}, {0, 0, 7, 7})), expected / 2, 1e-6);
  EXPECT_NEAR(divergence(out({1, 3}, {1, 2, 3}), out({1, 3}, {101, 102, 103})), 0, 1e-9)
      << "a shift is nothing";
}

TEST(Loss, OtherOutputsByRelativeError) {
  EXPECT_NEAR(divergence(out({1, 1, 4}, {0, 2, 0, 2}), out({1, 1, 4}, {1, 2, 0, 2})), 0.25, 1e-9);
  runtime::NamedTensors a = {{"c", graph::make_i64({4}, {1, 2, 3, 4})}},
                        b = {{"c", graph::make_i64({4}, {1, 2, 3, 5})}};
  EXPECT_EQ(divergence(a, b), 0.25);
}

TEST(Loss, AgreementCountsTheLargest) {
  EXPECT_EQ(agreement(out({2, 3}, {1, 2, 3, 6, 5, 4}), out({2, 3}, {0, 0, 1, 1, 2, 0})), 0.5);
}

TEST(Loss, NaNIsNeverCheap) {
  float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  for (float bad : {nan, inf, -inf}) {
    EXPECT_EQ(divergence(out({1, 2}, {1, 2}), out({1, 2}, {1, bad})), kHopeless) << bad;
    EXPECT_EQ(divergence(out({1, 2, 1}, {1, 2}), out({1, 2, 1}, {1, bad})), kHopeless) << bad;
  }
  EXPECT_EQ(agreement(out({1, 2}, {2, 1}), out({1, 2}, {nan, nan})), 0);
  EXPECT_EQ(agreement(out({1, 2, 1}, {2, 1}), out({1, 2, 1}, {nan, nan})), 0);
  EXPECT_EQ(divergence(out({1, 2}, {1, 2}), out({1, 3}, {1, 2, 3})), kHopeless) << "another shape";
}

}  // namespace
}  // namespace tailor::pipeline
