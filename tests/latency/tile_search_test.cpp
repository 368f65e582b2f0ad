// LAUDNet's predictor gives its published program's numbers; and the wave model agrees with it on which of two widths
// takes longer.
#include "tests/latency/tile_search.h"

#include "tailor/latency/wave_model.h"

#include <gtest/gtest.h>

#include <vector>

namespace tailor::testing {
namespace {

const TileSearchGpu kV100, kNano{1, 128, 0.921e9, 25.6e9};

TEST(TileSearch, GivesThePublishedProgramsNumbers) {
  struct Row {
    std::int64_t ic, oc, size;
    double us;
  };
  for (const Row& row : std::vector<Row>{{64, 64, 56, 29.3152},
                                         {128, 128, 28, 30.7822},
                                         {256, 256, 14, 36.8610},
                                         {256, 264, 14, 37.1506},
                                         {256, 320, 14, 44.3242},
                                         {256, 321, 14, 45.7298},
                                         {512, 512, 7, 53.5424}})
    EXPECT_NEAR(tile_search(kV100, row.ic, row.oc, row.size, 3).us, row.us, 1e-3)
        << row.ic << " > " << row.oc;
  const TileSearchResult first = tile_search(kV100, 64, 64, 56, 3),
                         third = tile_search(kV100, 256, 256, 14, 3);
  EXPECT_NEAR(first.compute_us, 15.36, 1e-3);
  EXPECT_NEAR(first.memory_us, 5.9552, 1e-3);
  EXPECT_EQ(first.tiles, 80);
  EXPECT_NEAR(third.compute_us, 18.432, 1e-3);
  EXPECT_NEAR(third.memory_us, 10.429, 1e-3);
  EXPECT_EQ(third.tiles, 74);
}

TEST(TileSearch, GivesItsStairs) {
  struct Row {
    std::int64_t oc;
    double us;  // without the launch
  };
  for (const Row& row : std::vector<Row>{{96, 12.047},
                                         {112, 17.528},
                                         {192, 21.542},
                                         {208, 26.948},
                                         {272, 29.440},
                                         {288, 35.144},
                                         {400, 40.769},
                                         {416, 44.794},
                                         {480, 48.383},
                                         {496, 53.862}})
    EXPECT_NEAR(tile_search(kV100, 256, row.oc, 14, 3).us - 8, row.us, 1e-3) << row.oc;
  for (const Row& row :
       std::vector<Row>{{256, 1127.9756}, {264, 1172.0195}, {320, 1410.2813}, {321, 1410.7835}})
    EXPECT_NEAR(tile_search(kNano, 256, row.oc, 14, 3).us, row.us, 0.01) << row.oc;
}

// Of widths that it puts 20 % apart or more.
TEST(TileSearch, TheWaveModelAgreesOnWhatIsFaster) {
  const device::Device v100 = device::find_device("v100");
  int pairs = 0, alike = 0;
  for (std::int64_t size : {56, 28, 14})
    for (std::int64_t ic : {64, 256}) {
      std::vector<double> theirs, ours;
      for (std::int64_t oc = 64; oc <= 512; oc += 32) {
        latency::Workload w;
        w.ic = ic, w.oc = oc, w.ih = w.iw = w.oh = w.ow = size, w.kh = w.kw = 3,
        w.pt = w.pl = w.pb = w.pr = 1;
        theirs.push_back(tile_search(kV100, ic, oc, size, 3).us);
        ours.push_back(latency::model_layer(v100, w, "f32").us);
      }
      for (std::size_t a = 0; a < theirs.size(); ++a)
        for (std::size_t b = 0; b < theirs.size(); ++b)
          if (theirs[a] > 1.2 * theirs[b]) ++pairs, alike += ours[a] > ours[b];
    }
  EXPECT_GT(pairs, 200);
  EXPECT_GE(alike, pairs * 95 / 100) << alike << " of " << pairs;
}

}  // namespace
}  // namespace tailor::testing
