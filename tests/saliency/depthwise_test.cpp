// A channel without patches against one with them.
#include "tailor/saliency/depthwise.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <vector>

namespace tailor::saliency {
namespace {

struct Case {
  Extent from, to;
  Geometry geometry;
  int samples = 1;

  std::size_t inputs() const { return static_cast<std::size_t>(from.plane() * samples); }
  std::size_t outputs() const { return static_cast<std::size_t>(to.plane() * samples); }
  std::size_t taps() const { return static_cast<std::size_t>(geometry.taps()); }
};

int below(Random& random, int n) { return static_cast<int>(random.below(static_cast<std::size_t>(n))); }

// Now and then a plane of more than one block.
Case random_case(Random& random) {
  Case c;
  Geometry& g = c.geometry;
  g.kh = 1 + below(random, 4), g.kw = 1 + below(random, 4), g.sh = 1 + below(random, 3),
  g.sw = 1 + below(random, 3);
  g.dh = 1 + below(random, 3), g.dw = 1 + below(random, 3), g.pt = below(random, 5), g.pl = below(random, 5);
  c.samples = 1 + below(random, 3);
  const int most = below(random, 50) == 0 ? 60 : 7;
  c.from = {1, 1 + below(random, most), 1 + below(random, most)};
  c.to = {1, 1 + below(random, most), 1 + below(random, most)};
  return c;
}

std::vector<float> noise(std::size_t count, Random& random) {
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.normal());
  return values;
}

std::vector<float> patches_of(const Case& c, const std::vector<float>& x) {
  std::vector<float> patches(c.taps() * c.outputs());
  unfold(x.data(), c.from, c.to, c.geometry, 1, c.samples, patches.data());
  return patches;
}

void expect_near(const std::vector<float>& found, const std::vector<double>& expected, int round) {
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_NEAR(found[i], expected[i], 1e-4 * (1 + std::abs(expected[i]))) << "round " << round << ", " << i;
}

TEST(Depthwise, IsWhatPatchesGive) {
  Random random(1);
  for (int round = 0; round < 3000; ++round) {
    const Case c = random_case(random);
    const std::vector<float> x = noise(c.inputs(), random), weights = noise(c.taps() + 1, random);
    const std::vector<float> slopes = noise(c.outputs(), random), patches = patches_of(c, x);
    std::vector<double> y(c.outputs(), weights.back()), gradient(c.taps() + 1);
    std::vector<float> back(patches.size());
    for (std::size_t t = 0; t < c.taps(); ++t)
      for (std::size_t i = 0; i < c.outputs(); ++i) {
        y[i] += double{weights[t]} * patches[t * c.outputs() + i];
        gradient[t] += double{slopes[i]} * patches[t * c.outputs() + i];
        back[t * c.outputs() + i] = weights[t] * slopes[i];
      }
    for (float s : slopes) gradient.back() += s;
    std::vector<float> there = noise(c.inputs(), random), expected_there = there;
    fold(back.data(), c.from, c.to, c.geometry, 1, c.samples, expected_there.data());

    Depthwise channel(c.from, c.to, c.geometry, c.samples);
    channel.set_input(noise(c.inputs(), random).data());  // as of another channel before
    channel.set_slopes(noise(c.outputs(), random).data());
    channel.set_input(x.data());
    channel.set_slopes(slopes.data());
    std::vector<float> found(c.outputs()), found_gradient(c.taps() + 1);
    channel.forward(weights.data(), found.data());
    channel.add_slopes(found_gradient.data());
    channel.pull_back(weights.data(), there.data());
    expect_near(found, y, round);
    expect_near(found_gradient, gradient, round);
    expect_near(there, {expected_there.begin(), expected_there.end()}, round);
  }
}

}  // namespace
}  // namespace tailor::saliency
