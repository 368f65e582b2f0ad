// CUDA's occupancy calculator (cuda_occupancy.h of CUDA 13.0) was run for these launches; its answers are the table.
#include "tailor/device/occupancy.h"

#include "tailor/base/error.h"

#include <gtest/gtest.h>

#include <array>

namespace tailor::device {
namespace {

constexpr std::array kDevices = {"v100", "t4", "a100", "rtx3090", "orin", "l4", "h200", "b200"};

struct Golden {
  int threads, registers;
  std::int64_t shared;
  std::array<int, 8> blocks;  // in the order of kDevices
};

constexpr std::array<Golden, 18> kGolden = {{
    {128, 32, 0, {16, 8, 16, 12, 12, 12, 16, 16}},
    {256, 32, 0, {8, 4, 8, 6, 6, 6, 8, 8}},
    {256, 64, 0, {4, 4, 4, 4, 4, 4, 4, 4}},
    {256, 106, 49152, {2, 1, 2, 2, 2, 2, 2, 2}},
    {256, 128, 0, {2, 2, 2, 2, 2, 2, 2, 2}},
    {128, 255, 0, {2, 2, 2, 2, 2, 2, 2, 2}},
    {256, 255, 0, {1, 1, 1, 1, 1, 1, 1, 1}},
    {384, 168, 0, {1, 1, 1, 1, 1, 1, 1, 1}},
    {512, 64, 0, {2, 2, 2, 2, 2, 2, 2, 2}},
    {1024, 32, 0, {2, 1, 2, 1, 1, 1, 2, 2}},
    {1024, 65, 0, {0, 0, 0, 0, 0, 0, 0, 0}},
    {96, 40, 0, {16, 10, 16, 16, 16, 16, 16, 16}},
    {128, 128, 73728, {1, 0, 2, 1, 2, 1, 3, 3}},
    {256, 200, 147456, {0, 0, 1, 0, 1, 0, 1, 1}},
    {64, 24, 0, {32, 16, 32, 16, 16, 24, 32, 32}},
    {32, 16, 0, {32, 16, 32, 16, 16, 24, 32, 32}},
    {256, 168, 98304, {1, 0, 1, 1, 1, 1, 1, 1}},
    {256, 168, 96 * 1024 + 1024 * 200, {0, 0, 0, 0, 0, 0, 0, 0}},
}};

TEST(Occupancy, EqualsCudasCalculator) {
  for (std::size_t d = 0; d < kDevices.size(); ++d) {
    const Device device = find_device(kDevices[d]);
    for (const Golden& g : kGolden)
      EXPECT_EQ(occupancy(device, {g.threads, g.registers, g.shared}).blocks, g.blocks[d])
          << kDevices[d] << ": " << g.threads << " threads, " << g.registers << " registers, " << g.shared;
  }
}

TEST(Occupancy, SaysWhatLimits) {
  const Device a100 = find_device("a100");
  EXPECT_EQ(occupancy(a100, {256, 106, 49152}).limits, std::vector{Limit::registers});
  EXPECT_EQ(occupancy(a100, {128, 128, 73728}).limits, std::vector{Limit::shared});
  EXPECT_EQ(occupancy(a100, {32, 16, 0}).limits, std::vector{Limit::blocks});
  EXPECT_EQ(occupancy(a100, {256, 32, 0}).limits, (std::vector{Limit::warps, Limit::registers}));
  EXPECT_DOUBLE_EQ(occupancy(a100, {256, 128, 0}).share, 0.25);
}

TEST(Occupancy, WaveIsOfAllMultiprocessors) {
  EXPECT_EQ(wave_capacity(find_device("a100"), {256, 106, 49152}), 216);
  EXPECT_EQ(wave_capacity(find_device("v100"), {256, 48, 0}),
            400);  // a report of NVIDIA's profiler: 5 blocks each
  EXPECT_EQ(wave_capacity(find_device("h200"), {1024, 65, 0}), 0);
}

// More of anything never fits more often.
TEST(Occupancy, FallsWithEveryNeed) {
  for (const Device& device : known_devices())
    for (int threads = 32; threads <= 1024; threads += 96)
      for (int registers = 16; registers <= 255; registers += 13) {
        const int here = occupancy(device, {threads, registers, 4096}).blocks;
        EXPECT_LE(occupancy(device, {threads + 32, registers, 4096}).blocks, here);
        EXPECT_LE(occupancy(device, {threads, registers + 8, 4096}).blocks, here);
        EXPECT_LE(occupancy(device, {threads, registers, 8192}).blocks, here);
      }
}

TEST(Occupancy, RefusesNonsense) {
  const Device device = find_device("t4");
  for (const Launch& launch : {Launch{0, 32, 0}, Launch{32, -1, 0}, Launch{32, 32, -1}})
    EXPECT_THROW(occupancy(device, launch), Error);
}

}  // namespace
}  // namespace tailor::device
