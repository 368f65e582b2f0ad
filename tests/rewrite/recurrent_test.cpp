// Hidden units of LSTM, GRU and RNN: each changeable group cut alone, against its mask.
#include "tests/rewrite/cuts.h"

namespace tailor::rewrite {
namespace {

using testing::Cuts;

TEST(Recurrent, HiddenUnits) {
  TAILOR_NEEDS_RUNNER();
  const std::vector<std::string> readers = {"Squeeze Y [1] -> r", "MatMul r 8x3 -> y"};
  const std::vector<std::string> layers = {
      "LSTM e 1x32x6 1x32x8 1x64 -> Y h c | hidden_size=8",
      "LSTM e 1x32x6 1x32x8 -> Y | direction=reverse hidden_size=8 clip=3.0f",
      "LSTM e 1x32x6 1x32x8 1x64 - 1x2x8 1x2x8 1x24 -> Y | hidden_size=8",
      "GRU e 1x24x6 1x24x8 1x48 -> Y | hidden_size=8",
      "GRU e 1x24x6 1x24x8 1x48 - 1x2x8 -> Y | hidden_size=8 linear_before_reset=1",
      "RNN e 1x8x6 1x8x8 1x16 - 1x2x8 -> Y h | hidden_size=8",
      "RNN e 1x8x6 1x8x8 -> Y | hidden_size=8",
  };
  for (const std::string& layer : layers) {
    SCOPED_TRACE(layer);
    std::vector<std::string> lines = {"MatMul x 5x6 -> d", "Mul d {0.1}f -> e", layer};
    lines.insert(lines.end(), readers.begin(), readers.end());
    EXPECT_EQ(Cuts(lines, {4, 2, 5}).check(), 2) << "units and inputs";
  }
}

// Unit i of one direction goes with unit i of the other, in every layer behind; states at the end are read too.
TEST(Recurrent, BothDirectionsStacked) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts({"LSTM x 2x24x5 2x24x6 2x48 -> Y h c | hidden_size=6 direction=bidirectional",
             "Transpose Y -> t | perm=[0,2,1,3]", "Reshape t [0,0,-1] -> f",
             "GRU f 2x12x12 2x12x4 2x24 - h2 -> G g | hidden_size=4 direction=bidirectional",
             "Transpose G -> u | perm=[0,2,1,3]", "Reshape u [0,0,8] -> v", "MatMul v 8x3 -> y"},
            {4, 2, 5}, {{"h2", graph::make_f32({2, 2, 4}, std::vector<float>(16, 0.3f))}});
  EXPECT_EQ(cuts.check(), 2);
}

// The state at the end of one layer is where another one starts; zeros are filled to the batch.
TEST(Recurrent, StatesHandedOn) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts({"Shape x -> s", "Gather s [1] -> b", "Concat [1] b [6] -> t | axis=0",
             "ConstantOfShape t -> zero", "LSTM x 1x24x5 1x24x6 1x48 - zero zero -> Y h c | hidden_size=6",
             "LSTM x 1x24x5 1x24x6 1x48 - h c -> Z | hidden_size=6", "Add Y Z -> w", "Squeeze w [1] -> v",
             "MatMul v 6x3 -> y"},
            {4, 2, 5});
  EXPECT_EQ(cuts.check(), 1);
}

}  // namespace
}  // namespace tailor::rewrite
