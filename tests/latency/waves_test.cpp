// The arithmetic of waves against published examples: NVIDIA's matrix multiplication guide, reports of its profiler,
// CUTLASS's stream-K; and against counting.
#include "tailor/latency/waves.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace tailor::latency {
namespace {

struct TileRow {
  std::int64_t m, n;
  Tile tile;
  int sms;
  std::int64_t tiles, waves;
  double wave_efficiency, tile_efficiency;  // 0: not stated
};

TEST(Waves, PublishedTilesAndWaves) {
  const std::vector<TileRow> rows = {{256, 256, {128, 128}, 1000, 4, 1, 0, 0},
                                     {257, 256, {128, 128}, 1000, 6, 1, 0, 0.6693},
                                     {2304, 1536, {256, 128}, 108, 108, 1, 1, 1},
                                     {2304, 1537, {256, 128}, 108, 117, 2, 0.5417, 0.9237},
                                     {2304, 1664, {256, 128}, 108, 117, 2, 0.5417, 1},
                                     {2304, 3072, {256, 128}, 108, 216, 2, 1, 1},
                                     {2304, 3073, {256, 128}, 108, 225, 3, 0.6944, 0.9603},
                                     {1792, 1792, {256, 128}, 108, 98, 1, 0.9074, 0},
                                     {1793, 1793, {256, 128}, 108, 120, 2, 0.5556, 0.8176},
                                     {6912, 2048, {256, 128}, 108, 432, 4, 1, 0},
                                     {8192, 14336, {128, 256}, 148, 3584, 25, 0.9686, 0},
                                     {8192, 14336, {128, 256}, 152, 3584, 24, 0.9825, 0},
                                     {384, 384, {128, 128}, 4, 9, 3, 0.75, 0},
                                     {384, 384, {128, 64}, 4, 18, 5, 0.90, 0},
                                     {1536, 1408, {128, 128}, 132, 132, 1, 1, 0},
                                     {1536, 1409, {128, 128}, 132, 144, 2, 0.5455, 0}};
  for (const TileRow& row : rows) {
    const Waves waves{tiles(row.m, row.n, row.tile), row.sms};
    EXPECT_EQ(waves.blocks, row.tiles) << row.m << "x" << row.n;
    EXPECT_EQ(waves.paid(), row.waves) << row.m << "x" << row.n;
    if (row.wave_efficiency > 0) {
      EXPECT_NEAR(waves.efficiency(), row.wave_efficiency, 5e-5) << row.m << "x" << row.n;
    }
    if (row.tile_efficiency > 0) {
      EXPECT_NEAR(tile_efficiency(row.m, row.n, row.tile), row.tile_efficiency, 5e-5)
          << row.m << "x" << row.n;
    }
  }
}

TEST(Waves, TwelveBlocksOnEightMultiprocessors) {
  const Waves waves{12, 8};
  EXPECT_EQ(waves.full(), 1);
  EXPECT_EQ(waves.tail_blocks(), 4);
  EXPECT_DOUBLE_EQ(waves.efficiency(), 0.75);
}

TEST(Waves, FourMoreMultiprocessors) {
  const std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>> golden = {
      {148, {1, 1}}, {152, {2, 1}}, {296, {2, 2}}, {304, {3, 2}}, {50000, {338, 329}}};
  for (const auto& [blocks, waves] : golden) {
    EXPECT_EQ((Waves{blocks, 148}.paid()), waves.first) << blocks;
    EXPECT_EQ((Waves{blocks, 152}.paid()), waves.second) << blocks;
  }
  EXPECT_EQ((Waves{109, 108}.tail_blocks()), 1);
}

// A convolution of 32 images of 28 x 28 on 108 multiprocessors, tiles of 128 pixels and 64 filters.
TEST(Waves, WidthsOfAConvolution) {
  const std::vector<std::int64_t> widths = {64, 128, 192, 256, 320, 384, 448, 512, 704, 1024},
                                  blocks = {196, 392, 588, 784, 980, 1176, 1372, 1568, 2156, 3136},
                                  waves = {2, 4, 6, 8, 10, 11, 13, 15, 20, 30};
  const std::vector<double> efficiency = {.9074, .9074, .9074, .9074, .9074,
                                          .9899, .9772, .9679, .9981, .9679};
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const Waves w{tiles(32 * 28 * 28, widths[i], {128, 64}), 108};
    EXPECT_EQ(w.blocks, blocks[i]);
    EXPECT_EQ(w.paid(), waves[i]);
    EXPECT_NEAR(w.efficiency(), efficiency[i], 5e-5);
  }
  const std::vector<TailFree> golden = {{2, 64},   {4, 128},  {6, 192},  {8, 256},  {10, 320}, {11, 384},
                                        {13, 448}, {15, 512}, {17, 576}, {19, 640}, {20, 704}, {22, 768},
                                        {24, 832}, {26, 896}, {28, 960}, {30, 1024}};
  EXPECT_EQ(tail_free_widths(32 * 28 * 28, 1024, {128, 64}, 1, 108), golden);
}

// One image of 14 x 14: whatever the width, one wave; the widest that costs nothing is 54 tiles.
TEST(Waves, SmallGridsHaveNoTail) {
  for (std::int64_t width = 128; width <= 1024; width += 128)
    EXPECT_EQ((Waves{tiles(196, width, {128, 128}), 108}.paid()), 1);
  EXPECT_EQ(tail_free_widths(196, 6912, {128, 128}, 1, 108), (std::vector<TailFree>{{1, 6912}}));
}

// Each right edge is the widest of its waves, by trying all widths.
TEST(Waves, TailFreeWidthsByTrying) {
  for (std::int64_t m : {1, 100, 500, 3000})
    for (int split : {1, 3})
      for (std::int64_t capacity : {1, 7, 108}) {
        const Tile tile{64, 32};
        std::map<std::int64_t, std::int64_t> widest;  // waves -> width
        for (std::int64_t n = tile.n; n <= 2000; n += tile.n)
          widest[Waves{tiles(m, n, tile) * split, capacity}.paid()] = n;
        std::vector<TailFree> expected;
        for (auto [waves, width] : widest) expected.push_back({waves, width});
        EXPECT_EQ(tail_free_widths(m, 2000, tile, split, capacity), expected)
            << m << " " << split << " " << capacity;
      }
}

// Multiprocessors, grid, blocks of one -> full waves, tail, estimate in percent (0: silent), from printed reports.
TEST(Waves, ProfilersTailRule) {
  struct Row {
    int sms, grid, blocks, full, tail;
    double estimate;
  };
  for (const Row& row : std::vector<Row>{{58, 512, 5, 1, 222, 50},
                                         {26, 1024, 12, 3, 88, 25},
                                         {82, 1024, 6, 2, 40, 33.3},
                                         {108, 512, 2, 2, 80, 33.3},
                                         {108, 217, 2, 1, 1, 50},
                                         {80, 1024, 2, 6, 64, 0},
                                         {80, 138, 5, 0, 138, 0},
                                         {84, 64, 1, 0, 64, 0},
                                         {80, 448, 6, 0, 448, 0},
                                         {80, 896, 6, 1, 416, 50},
                                         {132, 128, 2, 0, 128, 0}}) {
    const Waves waves{row.grid, std::int64_t{row.sms} * row.blocks};
    EXPECT_EQ(waves.full(), row.full) << row.grid;
    EXPECT_EQ(waves.tail_blocks(), row.tail) << row.grid;
    EXPECT_NEAR(100 * profiler_tail_estimate(waves).value_or(0), row.estimate, 0.05) << row.grid;
  }
  EXPECT_FALSE(profiler_tail_estimate({216, 108}));
}

TEST(Waves, FillOfPublishedReports) {
  struct Row {
    int sms, grid, blocks;
    double waves;
  };
  for (const Row& row : std::vector<Row>{{58, 512, 5, 1.77},
                                         {26, 1024, 12, 3.28},
                                         {82, 1024, 6, 2.08},
                                         {108, 512, 2, 2.37},
                                         {80, 1024, 2, 6.40},
                                         {80, 138, 5, 0.345},
                                         {84, 64, 1, 0.762},
                                         {84, 64, 2, 0.38},
                                         {80, 448, 6, 0.93},
                                         {80, 896, 6, 1.87},
                                         {132, 128, 2, 0.48}})
    EXPECT_NEAR((Waves{row.grid, std::int64_t{row.sms} * row.blocks}.count()), row.waves, 0.006) << row.grid;
}

// CUTLASS 2: tiles, iterations, multiprocessors, occupancy -> whole tiles, shared tiles, blocks that share.
TEST(StreamK, DecidesAsCutlass) {
  struct Row {
    std::int64_t tiles, iterations;
    int sms, occupancy;
    StreamK golden;
  };
  for (const Row& row : std::vector<Row>{{108, 128, 108, 1, {108, 0, 0}},
                                         {109, 128, 108, 1, {0, 109, 108}},
                                         {117, 128, 108, 1, {0, 117, 108}},
                                         {117, 16, 108, 1, {0, 117, 108}},
                                         {162, 128, 108, 1, {0, 162, 108}},
                                         {200, 128, 108, 1, {0, 200, 108}},
                                         {54, 128, 108, 1, {0, 54, 108}},
                                         {9, 64, 4, 1, {4, 5, 4}},
                                         {120, 56, 108, 1, {0, 120, 108}},
                                         {98, 56, 108, 1, {98, 0, 0}},
                                         {256, 64, 132, 1, {256, 0, 0}},
                                         {324, 64, 108, 1, {324, 0, 0}},
                                         {325, 64, 108, 1, {216, 109, 108}},
                                         {220, 64, 108, 2, {108, 112, 108}},
                                         {300, 64, 108, 2, {108, 192, 108}}})
    EXPECT_EQ(stream_k(row.tiles, row.iterations, row.sms, row.occupancy), row.golden)
        << row.tiles << " tiles, occupancy " << row.occupancy;
}

// CUTLASS 3 with clusters of two: 132 blocks a wave, reductions of 64 iterations.
TEST(StreamK, DecidesAsThePersistentScheduler) {
  const std::map<std::int64_t, std::int64_t> golden = {{132, 0},   {134, 134}, {192, 192}, {200, 0},
                                                       {264, 0},   {266, 134}, {330, 0},   {332, 0},
                                                       {400, 136}, {60, 60},   {66, 0}};
  for (auto [tiles, shared] : golden) EXPECT_EQ(stream_k_persistent(tiles, 64, 132), shared) << tiles;
  EXPECT_EQ(stream_k_persistent(134, 8, 132), 0);
  EXPECT_EQ(stream_k_persistent(134, 9, 132), 134);
}

// Blocks handed out one by one to the multiprocessor with the least, each of which takes `resident` at a time.
TEST(Waves, SerialRoundsByDealing) {
  for (int sms : {1, 3, 10})
    for (int resident : {1, 2, 4})
      for (int lone = 1; lone <= resident; ++lone)
        for (std::int64_t blocks = 1; blocks < 100; ++blocks) {
          std::vector<int> dealt(static_cast<std::size_t>(sms), 0);
          for (std::int64_t b = 0; b < blocks; ++b) ++*std::min_element(dealt.begin(), dealt.end());
          std::int64_t longest = 0;
          for (int left : dealt) {
            std::int64_t time = 0;
            for (; left > 0; left -= resident) time += std::max(std::min(left, resident), lone);
            longest = std::max(longest, time);
          }
          ASSERT_EQ(serial_rounds(blocks, sms, resident, lone), longest) << blocks << " on " << sms;
        }
}

}  // namespace
}  // namespace tailor::latency
