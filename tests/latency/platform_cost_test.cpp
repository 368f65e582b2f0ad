// Cycles and energy of the built-in platforms against the values that the published code gives.
#include "tailor/latency/platform_cost.h"

#include "tests/device/networks.h"

#include <gtest/gtest.h>

namespace tailor::latency {
namespace {

using device::find_platform;
using device::Platform;
using testing::conv;
using testing::linear;

double whole(const Platform& platform, UnitChoice choice, const Workload& layer) {
  return cycles(platform, choice, layer, layer.oc);
}

constexpr UnitChoice kFirst{0, 0}, kSecond{1, 0};

TEST(Diana, CyclesArePublishedOnes) {
  const Platform diana = find_platform("diana");
  struct Golden {
    Workload layer;
    double digital, analog;
  };
  const Golden golden[] = {{conv(3, 16, 3, 32), 4160, 4875.2},
                           {conv(16, 16, 3, 32), 13312, 5811.2},
                           {conv(64, 64, 3, 8), 19456, 4899.2},
                           {conv(512, 512, 3, 8), 1187840, 41523.2},
                           {linear(64, 10), 73.25, 514.275}};
  for (const Golden& g : golden) {
    EXPECT_NEAR(whole(diana, kFirst, g.layer), g.digital, 1e-6) << to_string(g.layer);
    EXPECT_NEAR(whole(diana, kSecond, g.layer), g.analog, 1e-6) << to_string(g.layer);
  }
  EXPECT_NEAR(whole(diana, kFirst, conv(64, 64, 3, 24, 64)), 36864, 1e-6);
  EXPECT_EQ(whole(diana, kSecond, conv(64, 64, 3, 24, 64)), kCannot);
}

TEST(Darkside, CyclesArePublishedOnes) {
  const Platform darkside = find_platform("darkside");
  EXPECT_EQ(whole(darkside, kFirst, conv(128, 128, 3, 8)), 527232);
  EXPECT_EQ(whole(darkside, kSecond, conv(128, 128, 3, 8)), 2696);
  EXPECT_EQ(whole(darkside, kFirst, conv(512, 512, 3, 2)), 2075520);
  EXPECT_EQ(whole(darkside, kSecond, conv(512, 512, 3, 2)), 1376);
  EXPECT_EQ(cycles(darkside, kFirst, conv(128, 128, 3, 8), 64), 268224);
  EXPECT_EQ(cycles(darkside, kSecond, conv(128, 128, 3, 8), 64), 1348);
  EXPECT_EQ(whole(darkside, kSecond, conv(64, 128, 3, 8)), kCannot) << "no input channel of its own";
  EXPECT_EQ(whole(darkside, kSecond, conv(64, 64, 1, 8)), kCannot) << "3x3 only";
}

// The released regulariser is 136,566 cycles here; what takes longest is what counts.
TEST(Darkside, TheMakespanIsTheLargerTime) {
  const std::vector<double> split = {268224, 1348};
  EXPECT_EQ(makespan(split), 268224);
  const Platform darkside = find_platform("darkside");
  double busy = 168 * 268224.0 + 118 * 1348.0 + 1.32 * (268224 - 1348.0);
  EXPECT_NEAR(energy_uj(darkside, split), busy / 260 * 1e-3, 1e-6);
}

TEST(Gap8, CyclesFollowTheFormula) {
  const Platform gap8 = find_platform("gap8");
  // c(8,2) * c(8,8) * (2*9*128 + 32 * (15 + 14*288))
  EXPECT_EQ(whole(gap8, kFirst, conv(128, 128, 3, 8)), 4 * (2304.0 + 32 * 4047));
  EXPECT_EQ(whole(gap8, kFirst, conv(64, 64, 3, 24, 64)), 4.0 * 16 * 576 * 9);
  EXPECT_EQ(whole(gap8, kFirst, linear(65, 10)), 33.0 * 3);
  // A plane that is not square shows which side is which: 9 columns and 3 rows.
  Workload wide = conv(4, 4, 1, 3);
  wide.ow = 9;
  EXPECT_EQ(whole(gap8, kFirst, wide), 5 * 1 * (8.0 + 1 * (15 + 14)));
  EXPECT_EQ(whole(find_platform("darkside"), kFirst, wide), 2 * 2 * (8.0 + 1 * (15 + 14)));
}

TEST(Ne16, CyclesArePublishedOnes) {
  const Platform ne16 = find_platform("ne16");
  const UnitChoice int8{0, 0}, int4{0, 1};
  EXPECT_EQ(whole(ne16, int8, conv(64, 64, 3, 8)), 22644);
  EXPECT_EQ(whole(ne16, int4, conv(64, 64, 3, 8)), 13428);
  EXPECT_EQ(whole(ne16, int8, conv(64, 64, 1, 8)), 5652);
  EXPECT_EQ(whole(ne16, int4, conv(64, 64, 1, 8)), 5652);
  EXPECT_EQ(whole(ne16, int8, conv(64, 64, 3, 8, 64)), 8172);
  EXPECT_EQ(whole(ne16, int4, conv(64, 64, 3, 8, 64)), 5868);
  EXPECT_EQ(whole(ne16, int8, conv(64, 80, 3, 8)), 29214);
  EXPECT_EQ(whole(ne16, int4, conv(64, 80, 3, 8)), 17694);
  EXPECT_EQ(whole(ne16, int8, conv(64, 64, 5, 8)), kCannot);
}

TEST(Mpic, RatesAndEnergyArePublishedOnes) {
  Platform mpic = find_platform("mpic");
  const Workload layer = conv(10, 10, 1, 10);                                      // 10,000 products
  const double rates[3][3] = {{6.5, 4.0, 2.2}, {3.9, 3.5, 2.1}, {2.5, 2.3, 2.1}};  // a2, a4, a8; w2, w4, w8
  for (int a = 0; a < 3; ++a)
    for (int w = 0; w < 3; ++w) {
      mpic.units[0].parameters["activation_bits"] = 2 << a;
      EXPECT_NEAR(whole(mpic, {0, 2 - w}, layer), 10000 / rates[a][w], 1e-9);
    }
  EXPECT_NEAR(energy_uj(mpic, std::vector<double>{250e6}), 5.3825e3, 1e-9);  // a second
}

TEST(PlatformCost, NoChannelsCostNothing) {
  for (const auto& [name, toml] : device::presets()) {
    const Platform platform = find_platform(std::string(name));
    if (platform.measured()) continue;  // no model
    for (UnitChoice choice : unit_choices(platform))
      EXPECT_EQ(cycles(platform, choice, conv(8, 8, 3, 8), 0), 0);
  }
}

// What the planner relies on.
TEST(PlatformCost, MoreChannelsNeverTakeLess) {
  for (const auto& [name, toml] : device::presets()) {
    const Platform platform = find_platform(std::string(name));
    if (platform.measured()) continue;  // no model
    for (UnitChoice choice : unit_choices(platform))
      for (const Workload& layer : {conv(3, 70, 3, 32), conv(40, 140, 1, 9), conv(96, 96, 3, 16),
                                    conv(96, 96, 3, 16, 96), linear(64, 300)})
        for (std::int64_t n = 0; n < layer.oc; ++n)
          EXPECT_LE(cycles(platform, choice, layer, n), cycles(platform, choice, layer, n + 1))
              << name << " " << to_string(layer) << " " << n;
  }
}

TEST(PlatformCost, GroupsAreNotTornApart) {
  Workload grouped = conv(16, 16, 3, 8, 4);
  const Platform diana = find_platform("diana");
  EXPECT_EQ(cycles(diana, kFirst, grouped, 8), kCannot);
  EXPECT_LT(cycles(diana, kFirst, grouped, 16), kCannot);
}

TEST(PlatformCost, EnergyGoesByWhoWorksWhen) {
  const Platform diana = find_platform("diana");
  auto uj = [](double milliwatt_cycles) { return milliwatt_cycles / 260 * 1e-3; };
  EXPECT_NEAR(energy_uj(diana, std::vector<double>{1000, 0}), uj(24960), 1e-9);
  EXPECT_NEAR(energy_uj(diana, std::vector<double>{0, 1000}), uj(28740), 1e-9);
  EXPECT_NEAR(energy_uj(diana, std::vector<double>{1000, 400}), uj(400 * 42.39 + 600 * 24.96), 1e-9);
  EXPECT_NEAR(energy_uj(diana, std::vector<double>{400, 1000}), uj(400 * 42.39 + 600 * 28.74), 1e-9);
  EXPECT_EQ(energy_uj(diana, std::vector<double>{0, 0}), 0);
}

}  // namespace
}  // namespace tailor::latency
