// Patches against loops over every element; the way back as the adjoint of the way there.
#include "tailor/saliency/unfold.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace tailor::saliency {
namespace {

struct Case {
  Extent from, to;
  Geometry geometry;
  int samples = 1;

  std::size_t inputs() const { return static_cast<std::size_t>(from.size() * samples); }
  std::size_t patches() const {
    return static_cast<std::size_t>(from.channels * geometry.taps() * samples * to.plane());
  }
};

int below(Random& random, int n) { return static_cast<int>(random.below(static_cast<std::size_t>(n))); }

// Every second case keeps the size of its plane: those are read by shifts.
Case random_case(std::uint64_t seed) {
  Random random(seed);
  Case c;
  Geometry& g = c.geometry;
  g.kh = 1 + below(random, 4), g.kw = 1 + below(random, 4), g.dh = 1 + below(random, 3),
  g.dw = 1 + below(random, 3);
  g.pt = below(random, 5), g.pl = below(random, 5), c.samples = 1 + below(random, 3);
  c.from = {1 + below(random, 3), 1 + below(random, 7), 1 + below(random, 7)};
  c.to = c.from;
  if (seed % 2 == 0) return c;
  g.sh = 1 + below(random, 3), g.sw = 1 + below(random, 3);
  c.to.height = 1 + below(random, 7), c.to.width = 1 + below(random, 7);
  return c;
}

// f(index in the patches, index in x or -1) for every element.
template <class F>
void each(const Case& c, F f) {
  const Geometry& g = c.geometry;
  std::ptrdiff_t at = 0;
  for (int channel = 0; channel < c.from.channels; ++channel)
    for (int i = 0; i < g.kh; ++i)
      for (int j = 0; j < g.kw; ++j)
        for (int s = 0; s < c.samples; ++s)
          for (int oh = 0; oh < c.to.height; ++oh)
            for (int ow = 0; ow < c.to.width; ++ow, ++at) {
              const int h = oh * g.sh - g.pt + i * g.dh, w = ow * g.sw - g.pl + j * g.dw;
              const bool inside = h >= 0 && h < c.from.height && w >= 0 && w < c.from.width;
              f(at, inside ? ((channel * c.samples + s) * c.from.height + h) * c.from.width + w : -1);
            }
}

std::vector<float> noise(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.normal());
  return values;
}

TEST(Unfold, IsWhatEveryTapReads) {
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const Case c = random_case(seed);
    const std::vector<float> x = noise(c.inputs(), seed);
    std::vector<float> patches(c.patches(), 77.0f), expected(c.patches());
    unfold(x.data(), c.from, c.to, c.geometry, c.from.channels, c.samples, patches.data());
    each(c, [&](auto to, auto from) {
      expected[static_cast<std::size_t>(to)] = from < 0 ? 0 : x[static_cast<std::size_t>(from)];
    });
    ASSERT_EQ(patches, expected) << "seed " << seed;
  }
}

TEST(Unfold, FoldIsTheWayBack) {
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const Case c = random_case(seed);
    std::vector<float> patches = noise(c.patches(), seed), x = noise(c.inputs(), seed + 1);
    std::vector<double> expected(x.begin(), x.end());
    each(c, [&](auto at, auto to) {
      if (to >= 0) expected[static_cast<std::size_t>(to)] += patches[static_cast<std::size_t>(at)];
    });
    fold(patches.data(), c.from, c.to, c.geometry, c.from.channels, c.samples, x.data());
    for (std::size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], expected[i], 1e-4) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tailor::saliency
