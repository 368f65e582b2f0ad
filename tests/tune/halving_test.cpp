// Successive halving on made-up times.
#include "tailor/tune/halving.h"

#include "tests/tune/spaces.h"

#include <cmath>
#include <map>

namespace tailor::tune {
namespace {

std::vector<Configuration> numbered(int count) {
  std::vector<Configuration> all;
  for (int i = 0; i < count; ++i) all.push_back({i});
  return all;
}

TEST(Halving, FindsTheFastestUnderNoiseThatOnlyAdds) {
  int right = 0, asked = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    const int fastest = static_cast<int>(random.below(32));
    std::vector<Contender> order =
        halve(numbered(32),
              [&](const Configuration& c, int samples) {
                std::vector<double> us;
                for (int i = 0; i < samples; ++i, ++asked)
                  us.push_back((c[0] == fastest ? 100 : 103 + c[0]) * (1 + 0.2 * std::abs(random.normal())));
                return us;
              },
              {.seed = seed});
    ASSERT_EQ(order.size(), 32u);
    right += order.front().configuration[0] == fastest;
    EXPECT_GE(order.front().us.size(), 20u);
    EXPECT_EQ(order.back().us.size(), 3u);
  }
  EXPECT_GE(right, 40);
  EXPECT_LE(asked, 50 * 32 * 3 * 6);
}

TEST(Halving, WhoFailsLeaves) {
  std::map<int, int> samples_of;
  std::vector<Contender> order = halve(numbered(9), [&](const Configuration& c, int samples) {
    samples_of[c[0]] += samples;
    const bool fails = c[0] == 0 || (c[0] == 1 && samples_of[1] > 3);
    return fails ? std::vector<double>{}
                 : std::vector<double>(static_cast<std::size_t>(samples), 10.0 + c[0]);
  });
  EXPECT_EQ(order.front().configuration[0], 2);
  EXPECT_TRUE(std::isinf(order.back().time()));
  EXPECT_EQ(order.back().configuration[0], 0);
  EXPECT_EQ(samples_of[0], 3) << "it is not measured again";
}

TEST(Halving, AllFailOrNobodyComes) {
  EXPECT_TRUE(halve({}, [](const Configuration&, int) { return std::vector<double>{1}; }).empty());
  EXPECT_EQ(halve(numbered(5), [](const Configuration&, int) { return std::vector<double>{}; }).size(), 5u);
  const auto few = halve(numbered(2), [](const Configuration& c, int n) {
    return std::vector<double>(static_cast<std::size_t>(n), 5.0 - c[0]);
  });
  EXPECT_EQ(few.front().configuration[0], 1);
}

}  // namespace
}  // namespace tailor::tune
