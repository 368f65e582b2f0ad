#include "tailor/learn/batches.h"

#include "tailor/base/error.h"
#include "tests/learn/graphs.h"
#include "tests/testing.h"

#include <cmath>
#include <numeric>
#include <set>

namespace tailor::learn {
namespace {

std::vector<float> counted(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

TEST(Augment, MirrorsAndShiftsWithZeros) {
  Augmentation how{.flip = true, .crop = 1};
  std::set<std::vector<float>> seen;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    std::vector<float> image = counted(6);  // 1 x 1 x 2 x 3
    Random random(seed);
    augment(image, {1, 1, 2, 3}, how, random);
    seen.insert(image);
  }
  EXPECT_EQ(seen.size(), 18u);  // 9 shifts, turned or not
  EXPECT_TRUE(seen.contains({3, 2, 1, 6, 5, 4}));
  EXPECT_TRUE(seen.contains({0, 1, 2, 0, 4, 5}));
  EXPECT_TRUE(seen.contains({5, 6, 0, 0, 0, 0}));
  EXPECT_TRUE(seen.contains({0, 0, 0, 3, 2, 1}));
}

TEST(Augment, TreatsChannelsOfAnImageAlike) {
  std::vector<float> images = counted(2 * 2 * 9);
  Random random(5);
  augment(images, {2, 2, 3, 3}, {.flip = true, .crop = 2}, random);
  for (std::size_t n = 0; n < 2; ++n)
    for (std::size_t i = 0; i < 9; ++i) {
      float a = images[n * 18 + i], b = images[n * 18 + 9 + i];
      EXPECT_TRUE((a == 0 && b == 0) || b - a == 9) << a << " " << b;
    }
}

// Mean 1/2, variance 1 / (4 (2a + 1)).
TEST(Beta, HasItsMoments) {
  for (double a : {0.2, 1.0, 3.0}) {
    Random random(11);
    double sum = 0, squares = 0;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) {
      double x = draw_beta(a, random);
      ASSERT_TRUE(x >= 0 && x <= 1);
      sum += x, squares += x * x;
    }
    double mean = sum / kDraws, variance = 1 / (4 * (2 * a + 1));
    EXPECT_NEAR(mean, 0.5, 6 * std::sqrt(variance / kDraws)) << a;
    EXPECT_NEAR(squares / kDraws - mean * mean, variance, 0.05 * variance) << a;
  }
}

class BatchesTest : public ::testing::Test {
 protected:
  BatchesTest() : data(data::read_dataset(testing::write_colours(folder.path(), 50, 3))) {}
  TemporaryFolder folder;
  data::Dataset data;
};

TEST_F(BatchesTest, ShowEverySampleOnceAnEpochInANewOrder) {
  Recipe recipe{.epochs = 2, .batch = 10, .seed = 4};
  Batches batches(data, recipe);
  ASSERT_EQ(batches.per_epoch(), 5);
  std::vector<std::vector<float>> images;
  for (std::int64_t step = 0; step < 10; ++step) {
    Batch batch = batches.at(step);
    std::vector<float> all = batch.images.values<float>();
    for (std::size_t n = 0; n < 10; ++n)
      images.emplace_back(all.begin() + 192 * n, all.begin() + 192 * (n + 1));
  }
  std::vector<std::vector<float>> first(images.begin(), images.begin() + 50),
      second(images.begin() + 50, images.end());
  EXPECT_NE(first, second);
  EXPECT_EQ(std::set(first.begin(), first.end()).size(), 50u);
  EXPECT_EQ(std::set(first.begin(), first.end()), std::set(second.begin(), second.end()));
}

TEST_F(BatchesTest, AreFunctionsOfSeedAndStep) {
  Recipe recipe{.augmentation = {.flip = true, .crop = 2, .mixup = 0.5}, .batch = 16, .seed = 9};
  Batches a(data, recipe), b(data, recipe);
  for (std::int64_t step : {7, 0, 3}) {
    EXPECT_EQ(a.at(step).images.data, b.at(step).images.data);
    EXPECT_EQ(a.at(step).mixed, b.at(step).mixed);
  }
  EXPECT_FALSE(a.at(1).images.data == a.at(2).images.data);
  recipe.seed = 10;
  EXPECT_FALSE(a.at(1).images.data == Batches(data, recipe).at(1).images.data);
}

// Each pixel lies between its own and its partner's, by the share.
TEST_F(BatchesTest, MixupBlendsImagesAndKeepsBothLabels) {
  Recipe plain{.batch = 50, .seed = 2}, mixed = plain;
  mixed.augmentation.mixup = 1;
  Batch before = Batches(data, plain).at(0), after = Batches(data, mixed).at(0);
  ASSERT_EQ(after.mixed.size(), 50u);
  EXPECT_EQ(before.labels, after.labels);
  double sum_before = 0, sum_after = 0;
  for (float v : before.images.values<float>()) sum_before += double{v};
  for (float v : after.images.values<float>()) sum_after += double{v};
  EXPECT_NEAR(sum_before, sum_after, 1e-3 * sum_before);
  EXPECT_EQ(std::multiset(after.mixed.begin(), after.mixed.end()),
            std::multiset(after.labels.begin(), after.labels.end()));
}

TEST_F(BatchesTest, FewSamplesAreOneBatch) {
  Batches batches(data, {.batch = 128});
  EXPECT_EQ(batches.batch(), 50);
  EXPECT_EQ(batches.per_epoch(), 1);
}

TEST(Schedules, AreTheirFormulas) {
  Schedule cosine{.rate = 2, .warmup = 1, .last = 0.1};
  EXPECT_DOUBLE_EQ(rate_at(cosine, 0.25, 5), 0.5);
  EXPECT_DOUBLE_EQ(rate_at(cosine, 1, 5), 2);
  EXPECT_NEAR(rate_at(cosine, 3, 5), 2 * 0.55, 1e-12);
  EXPECT_NEAR(rate_at(cosine, 5, 5), 0.2, 1e-12);
  Schedule step{.curve = Curve::step, .rate = 1};
  EXPECT_DOUBLE_EQ(rate_at(step, 4.9, 10), 1);
  EXPECT_DOUBLE_EQ(rate_at(step, 5, 10), 0.1);
  EXPECT_NEAR(rate_at(step, 9.5, 10), 0.01, 1e-12);
  EXPECT_DOUBLE_EQ(rate_at({.curve = Curve::constant, .rate = 0.3}, 7, 10), 0.3);
}

TEST(Recipes, AreChecked) {
  auto code = [](const Recipe& recipe) {
    try {
      check(recipe);
    } catch (const Error& error) {
      return error.code();
    }
    return Code::bug;
  };
  EXPECT_EQ(code({}), Code::bug);  // nothing wrong
  EXPECT_EQ(code({.epochs = 0}), Code::bad_value);
  EXPECT_EQ(code({.batch = -1}), Code::bad_value);
  EXPECT_EQ(code({.momentum = std::nan("")}), Code::bad_value);
  EXPECT_EQ(code({.schedule = {.rate = std::nan("")}}), Code::bad_value);
  EXPECT_EQ(code({.objective = {.labels = 0}}), Code::bad_value);
  EXPECT_NE(describe({.seed = 1}), describe({.seed = 2}));
  EXPECT_NE(describe({.schedule = {.drops = {0.5}}}), describe({}));
}

}  // namespace
}  // namespace tailor::learn
