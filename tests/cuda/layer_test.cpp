// Layers and networks as text, and where tensors lie.
#include "runners/cuda/dnn.h"
#include "runners/cuda/network.h"
#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>

namespace tailor::cuda {
namespace {

TEST(CudaLayer, SizesOfOperands) {
  const OperandSizes conv = operand_sizes(
      parse_layer("conv_mb2_g1_ic8ih10iw12_oc16oh10ow12_kh3kw3_sh1sw1_ph1pw1_f16+bn+add", false));
  EXPECT_EQ(conv.x, 2u * 8 * 10 * 12 * 2);
  EXPECT_EQ(conv.weights, 16u * 8 * 9 * 2);
  EXPECT_EQ(conv.bias, 16u * 4);
  EXPECT_EQ(conv.residual, conv.y);
  EXPECT_EQ(conv.y, 2u * 16 * 10 * 12 * 2);
  const OperandSizes depthwise =
      operand_sizes(parse_layer("conv_mb1_g32_ic32ih8iw8_oc32oh8ow8_kh3kw3_sh1sw1_ph1pw1_f32", false));
  EXPECT_EQ(depthwise.weights, 32u * 9 * 4);
  EXPECT_EQ(depthwise.bias, 0u);
  const OperandSizes batched = operand_sizes(parse_layer("bgemm_b3_m5_k7_n11_i8", false));
  EXPECT_EQ(batched.x, 3u * 5 * 7);
  EXPECT_EQ(batched.weights, 3u * 7 * 11);
  EXPECT_EQ(batched.y, 3u * 5 * 11);
  const OperandSizes pool =
      operand_sizes(parse_layer("pool_avg_mb2_c5ih8iw6_oh4ow3_kh2kw2_sh2sw2_ph0pw0_bf16", false));
  EXPECT_EQ(pool.x, 2u * 5 * 8 * 6 * 2);
  EXPECT_EQ(pool.y, 2u * 5 * 4 * 3 * 2);
  EXPECT_EQ(operand_sizes(parse_layer("eltwise_n77_f32+relu", false)).x, 77u * 4);
}

TEST(CudaLayer, ConvolutionBatchNormalisationAndBiasAreOneSum) {
  auto words = [](const std::string& post) {
    return fusable_words(
        parse_layer("conv_mb1_g1_ic8ih8iw8_oc8oh8ow8_kh1kw1_sh1sw1_ph0pw0_f16" + post, false));
  };
  EXPECT_EQ(words("+bias+bn+relu").fused, (Words{"bias", "relu"}));
  EXPECT_EQ(words("+bn+add+relu").fused, (Words{"add", "bn", "relu"}));
  EXPECT_EQ(words("+bn+hardswish+add").fused, (Words{"bn"}));
  EXPECT_EQ(words("+bn+hardswish+add").rest, (Words{"hardswish", "add"}));
  EXPECT_TRUE(words("").fused.empty());
}

// Random chains with residuals: no tensor may lie where another one lies that is still to be read.
TEST(CudaNetwork, TensorsThatLiveTogetherLieApart) {
  Random random(7);
  for (int trial = 0; trial < 50; ++trial) {
    Json layers = Json::array();
    const int count = 3 + static_cast<int>(random.below(30));
    for (int i = 0; i < count; ++i) {
      const std::size_t n = 1 + random.below(5000);
      const bool two = i > 0 && random.below(2) == 0;
      Json in = {i};
      if (two) in.push_back(static_cast<int>(random.below(static_cast<std::size_t>(i) + 1)));
      layers.push_back({{"layer", "eltwise_n" + std::to_string(n) + "_f16+" + (two ? "add" : "relu")},
                        {"in", in},
                        {"out", i + 1}});
    }
    const NetworkText network = parse_network({{"layers", layers}}, false);
    const TensorPlaces places = place_tensors(network);
    // Owner of each buffer's contents, by simulation.
    std::map<int, int> holds;
    holds[places.buffer_of[0]] = 0;
    for (const NetworkLayer& layer : network.layers) {
      for (int tensor : layer.inputs) {
        auto at = holds.find(places.buffer_of[static_cast<std::size_t>(tensor)]);
        ASSERT_TRUE(at != holds.end() && at->second == tensor) << "tensor " << tensor << " was overwritten";
      }
      const OperandSizes sizes = operand_sizes(layer.layer);
      const int buffer = places.buffer_of[static_cast<std::size_t>(layer.output)];
      EXPECT_GE(places.bytes[static_cast<std::size_t>(buffer)], sizes.y);
      for (int tensor : layer.inputs) EXPECT_NE(places.buffer_of[static_cast<std::size_t>(tensor)], buffer);
      holds[buffer] = layer.output;
    }
  }
}

TEST(CudaNetwork, AChainNeedsTwoBuffers) {
  Json layers = Json::array();
  for (int i = 0; i < 20; ++i)
    layers.push_back({{"layer", "eltwise_n64_f16+relu"}, {"in", {i}}, {"out", i + 1}});
  EXPECT_EQ(place_tensors(parse_network({{"layers", layers}}, false)).bytes.size(), 2u);
}

}  // namespace
}  // namespace tailor::cuda
