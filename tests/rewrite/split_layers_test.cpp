// Layers as several nodes: the same function, the same bits where sums are sums of integers.
#include "tailor/rewrite/split_layers.h"

#include "tests/rewrite/known.h"
#include "tests/rewrite/quantised.h"

#include <algorithm>

namespace tailor::rewrite {
namespace {

using testing::Known;
using testing::known;

std::int64_t outputs_of(const Known& k, int node) {
  const graph::Node& layer = k.model.graph.nodes[static_cast<std::size_t>(node)];
  const graph::Shape& y = *k.shapes.shape(layer.output(0));
  return layer.op == "Conv" ? y[1] : y.back();
}

// Channels dealt to three units, or two ranges.
SplitLayer dealt(const Known& k, int node, bool ranges, Random& random) {
  SplitLayer split{node, {{"first", {}, {}}, {"second", {}, {}}, {"third", {}, {}}}};
  const int all = static_cast<int>(outputs_of(k, node)),
            border = static_cast<int>(random.below(static_cast<std::size_t>(all + 1)));
  for (int c = 0; c < all; ++c) split.parts[ranges ? c >= border : random.below(3)].channels.push_back(c);
  return split;
}

std::vector<int> layers_of(const Known& k) {
  std::vector<int> nodes;
  for (const graph::LayerChannels& layer : k.channels.layers)
    if (k.model.graph.nodes[static_cast<std::size_t>(layer.node)].op != "ConvTranspose")
      nodes.push_back(layer.node);
  return nodes;
}

SplitNetwork random_split(const Known& k, bool ranges, std::uint64_t seed) {
  Random random(seed);
  std::vector<SplitLayer> layers;
  for (int node : layers_of(k)) layers.push_back(dealt(k, node, ranges, random));
  return split_layers(k.model, k.shapes, layers);
}

double apart(const Known& k, const graph::Model& other) {
  return testing::difference(testing::run_model(k.model, k.inputs), testing::run_model(other, k.inputs));
}

const std::vector<std::vector<std::string>>& graphs() {
  static const std::vector<std::vector<std::string>> list = {
      {"Conv x 8x4x3x3 8 -> a | pads=[1,1,1,1]", "BatchNormalization a 8 8 8 8 -> b", "Relu b -> r",
       "Conv r 8x8x1x1 -> c", "Add c r -> s", "Conv s 8x1x3x3 8 -> d | group=8", "Relu d -> e",
       "GlobalAveragePool e -> p", "Flatten p -> f", "Gemm f 8x5 5 -> y"},
      {"Conv x 6x2x3x3 -> a | group=2", "Sigmoid a -> g", "Mul a g -> m", "Reshape m [1,6,9] -> f",
       "MatMul f 9x7 -> y"},
      {"Conv x 8x4x1x1 -> a", "LeakyRelu a -> b", "Conv b 3x8x1x1 3 -> y"}};
  return list;
}

TEST(SplitLayers, ComputeTheSame) {
  TAILOR_NEEDS_RUNNER();
  for (const auto& lines : graphs())
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      const Known k = known(testing::graph_of(lines, {1, 4, 5, 5}), 8);
      const SplitNetwork split = random_split(k, seed % 2 == 0, seed);
      EXPECT_LE(apart(k, split.model), 1e-5) << lines[0] << ", seed " << seed;
      EXPECT_GE(split.nodes, 2 * split.layers);
      EXPECT_TRUE(split.gathers == 0 || seed % 2 == 1) << "ranges need no order restored";
    }
}

TEST(SplitLayers, QuantisedOnesGiveTheSameBits) {
  TAILOR_NEEDS_RUNNER();
  int layers = 0;
  for (const auto& lines : graphs())
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      const Known floats = known(testing::graph_of(lines, {1, 4, 5, 5}), 8);
      Known k = known(testing::quantised(floats).model, 8);
      k.inputs = floats.inputs;
      const SplitNetwork split = random_split(k, seed % 2 == 0, seed);
      EXPECT_EQ(apart(k, split.model), 0) << lines[0] << ", seed " << seed;
      layers += split.layers;
    }
  EXPECT_GE(layers, 30);
}

TEST(SplitLayers, PartsCarryTheNamesOfUnitsAndTheirOperands) {
  const Known k = known(testing::graph_of({"Conv x 6x4x3x3 6 -> a", "Relu a -> y"}, {1, 4, 5, 5}), 8);
  const SplitNetwork split = split_layers(
      k.model, k.shapes, {{0, {{"digital", {0, 1, 2, 3}, {}}, {"idle", {}, {}}, {"analog", {4, 5}, {}}}}});
  ASSERT_EQ(split.model.graph.nodes.size(), 5u);
  EXPECT_EQ(split.model.graph.nodes[0].name, "n0/digital");
  EXPECT_EQ(split.model.graph.nodes[1].op, "Relu");
  EXPECT_EQ(split.model.graph.nodes[2].name, "n0/analog");
  EXPECT_EQ(split.model.graph.nodes[4].op, "Concat");
  EXPECT_EQ(split.model.graph.nodes[4].outputs[0], "y");
  EXPECT_EQ(split.model.graph.initializers.at(split.model.graph.nodes[2].inputs[1]).dims,
            (graph::Shape{2, 4, 3, 3}));
  EXPECT_EQ(split.layers, 1);
  EXPECT_EQ(split.nodes, 2);
}

// Weights beside a channel's own input are zero: the rest is a depthwise convolution.
TEST(SplitLayers, OwnInputsAlone) {
  TAILOR_NEEDS_RUNNER();
  Known k = known(testing::graph_of({"Conv x 6x6x3x3 6 -> y"}, {1, 6, 5, 5}), 8);
  const std::vector<int> own = {3, 0, 5};
  graph::Tensor& tensor = k.model.graph.initializers.at(k.model.graph.nodes[0].inputs[1]);
  std::vector<float> weights = tensor.values<float>();
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t i = 0; i < 6; ++i)
      for (std::size_t t = 0; t < 9; ++t)
        if (static_cast<int>(i) != own[c]) weights[(c * 6 + i) * 9 + t] = 0;
  tensor = graph::make_f32(tensor.dims, weights);
  const SplitNetwork split =
      split_layers(k.model, k.shapes, {{0, {{"depthwise", {0, 1, 2}, own}, {"dense", {3, 4, 5}, {}}}}});
  EXPECT_LE(apart(k, split.model), 1e-5);
  const SplitNetwork alone = split_layers(k.model, k.shapes, {{0, {{"dense", {0, 1, 2, 3, 4, 5}, {}}}}});
  EXPECT_EQ(alone.layers, 0) << "one part is the layer";
}

TEST(SplitLayers, GroupsThatCrossPartsStay) {
  const Known k = known(testing::graph_of({"Conv x 6x2x1x1 -> y | group=2"}, {1, 4, 5, 5}), 8);
  const SplitNetwork split =
      split_layers(k.model, k.shapes, {{0, {{"a", {0, 1, 2, 3}, {}}, {"b", {4, 5}, {}}}}});
  EXPECT_EQ(split.layers, 0);
  EXPECT_EQ(split.whole, (std::vector<std::string>{"n0"}));
  EXPECT_EQ(split_layers(k.model, k.shapes, {{0, {{"a", {0, 1, 2}, {}}, {"b", {3, 4, 5}, {}}}}}).layers, 1);
}

}  // namespace
}  // namespace tailor::rewrite
