// The Gaussian process against what it must do at and far from its points, and against the formula on two points.
#include "tailor/tune/surrogate.h"

#include "tests/tune/spaces.h"

#include <cmath>

namespace tailor::tune {
namespace {

double hill(double x, double y) { return 0.5 * std::sin(3 * x) + (y - 0.3) * (y - 0.3); }

TEST(Surrogate, PassesThroughItsPointsAndKnowsItDoes) {
  Random random(1);
  Points points;
  std::vector<double> values;
  for (int i = 0; i < 25; ++i) {
    points.push_back({random.uniform(), random.uniform()});
    values.push_back(hill(points.back()[0], points.back()[1]));
  }
  const Surrogate model(points, values);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_NEAR(model.predict(points[i]).mean, values[i], 0.02);
    EXPECT_LT(model.predict(points[i]).sd, 0.1);
  }
  const Surrogate::Prediction far = model.predict({40, 40});
  EXPECT_NEAR(far.mean, 0, 1e-3);
  EXPECT_GT(far.sd, 0.1);
}

TEST(Surrogate, PredictsASmoothFunctionBetweenItsPoints) {
  Random random(2);
  Points points;
  std::vector<double> values;
  for (int i = 0; i < 60; ++i) {
    points.push_back({random.uniform(), random.uniform(), random.uniform()});
    values.push_back(hill(points.back()[0], points.back()[1]));
  }
  const Surrogate model(points, values, {.sweeps = 4});
  double worst = 0;
  int outside = 0;
  for (int i = 0; i < 200; ++i) {
    const std::vector<double> x = {random.uniform(0.05, 0.95), random.uniform(0.05, 0.95),
                                   random.uniform(0.05, 0.95)};
    const Surrogate::Prediction p = model.predict(x);
    const double error = std::abs(p.mean - hill(x[0], x[1]));
    worst = std::max(worst, error), outside += error > 3 * p.sd + 1e-3;
  }
  EXPECT_LT(worst, 0.1);
  EXPECT_LE(outside, 10);
  EXPECT_GT(model.scales()[2], model.scales()[0]) << "the third coordinate does not matter";
}

// Two points: the mean and the variance written out.
TEST(Surrogate, TwoPointsByHand) {
  const double noise = 0.01, at = 0.4;
  auto k = [](double r) { return (1 + std::sqrt(5.0) * r + 5 * r * r / 3) * std::exp(-std::sqrt(5.0) * r); };
  const Surrogate model({{0.0}, {1.0}}, {1.0, -0.5}, {.usual_sd = 0.3, .weight = 3, .sweeps = 0},
                        {1.0, noise});
  const double d = 1 + noise, c = k(1), determinant = d * d - c * c;
  const double a0 = (d * 1.0 - c * -0.5) / determinant, a1 = (d * -0.5 - c * 1.0) / determinant;
  const double k0 = k(at), k1 = k(1 - at);
  const double variance = (1.0 * a0 + -0.5 * a1 + 3 * 0.09) / (2 + 3);
  const double explained = (d * k0 * k0 - 2 * c * k0 * k1 + d * k1 * k1) / determinant;
  const Surrogate::Prediction p = model.predict({at});
  EXPECT_NEAR(p.mean, k0 * a0 + k1 * a1, 1e-12);
  EXPECT_NEAR(p.sd, std::sqrt(variance * (1 - explained)), 1e-12);
}

TEST(Surrogate, EvidenceOnlyGrowsBySweeps) {
  Random random(3);
  Points points;
  std::vector<double> values;
  for (int i = 0; i < 20; ++i)
    points.push_back({random.uniform(), random.uniform()}), values.push_back(random.normal());
  double before = -1e300;
  for (int sweeps : {0, 1, 2, 4}) {
    const double evidence = Surrogate(points, values, {.sweeps = sweeps}).evidence();
    EXPECT_GE(evidence, before);
    before = evidence;
  }
}

TEST(Surrogate, PointsTwiceAndConstantValuesAreNoTrouble) {
  const Surrogate model({{0.5}, {0.5}, {0.5}}, {1, 1, 1}, {.sweeps = 3});
  EXPECT_NEAR(model.predict({0.5}).mean, 1, 0.01);
  EXPECT_TRUE(std::isfinite(model.predict({0.7}).sd));
  EXPECT_EQ(testing::code_of([] { Surrogate({{1}, {1, 2}}, {1, 1}); }), Code::bug);
  EXPECT_EQ(testing::code_of([] { Surrogate({}, {}); }), Code::bug);
}

}  // namespace
}  // namespace tailor::tune
