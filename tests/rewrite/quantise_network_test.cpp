// Networks in 8 bits: near the original's outputs, exact on paper where that can be done on paper, every layer an integer one.
#include "tailor/rewrite/quantise_network.h"

#include "tests/rewrite/known.h"
#include "tests/rewrite/quantised.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace tailor::rewrite {
namespace {

using testing::Known;
using testing::known;
using testing::quantised;

int count(const graph::Model& model, const std::string& op) {
  return static_cast<int>(std::count_if(model.graph.nodes.begin(), model.graph.nodes.end(),
                                        [&](const graph::Node& node) { return node.op == op; }));
}

double relative_error(const Known& k, const graph::Model& model) {
  const graph::Tensor a = testing::run_model(k.model, k.inputs).front().second,
                      b = testing::run_model(model, k.inputs).front().second;
  const std::vector<float> x = a.values<float>(), y = b.values<float>();
  double error = 0, energy = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    error += std::pow(double{x[i]} - y[i], 2), energy += double{x[i]} * x[i];
  return std::sqrt(error / energy);
}

const std::vector<std::vector<std::string>>& graphs() {
  static const std::vector<std::vector<std::string>> list = {
      {"Conv x 8x4x3x3 8 -> a | pads=[1,1,1,1]", "BatchNormalization a 8 8 8 8 -> b", "Relu b -> r",
       "Conv r 8x8x1x1 -> c", "Add c r -> s", "Conv s 8x1x3x3 8 -> d | group=8", "GlobalAveragePool d -> p",
       "Flatten p -> f", "Gemm f 8x5 5 -> y"},
      {"Conv x 6x2x3x3 -> a | group=2", "Sigmoid a -> g", "Mul a g -> m", "Flatten m -> f",
       "MatMul f 54x7 -> y"},
      {"Conv x 8x4x1x1 -> a", "Clip a -> b", "MaxPool b -> c | kernel_shape=[2,2]", "Conv c 3x8x1x1 3 -> y"}};
  return list;
}

TEST(QuantiseNetwork, IsNearTheOriginal) {
  TAILOR_NEEDS_RUNNER();
  for (std::int64_t opset : {9, 11, 13})
    for (const auto& lines : graphs()) {
      if (opset < 11 && lines[1].starts_with("Clip")) continue;
      const Known k = known(testing::graph_of(lines, {1, 4, 5, 5}, {}, opset), 8);
      const QuantisedNetwork q = quantised(k);
      EXPECT_LT(relative_error(k, q.model), 0.05) << lines[0] << ", opset " << opset;
      EXPECT_EQ(count(q.model, "BatchNormalization"), 0);
      for (auto [before, now] : q.nodes) {
        const graph::Node& node = q.model.graph.nodes[static_cast<std::size_t>(now)];
        EXPECT_EQ(node.op, k.model.graph.nodes[static_cast<std::size_t>(before)].op);
        const graph::Uses uses(q.model.graph);
        for (std::size_t input : {0, 1})
          EXPECT_EQ(q.model.graph.nodes[static_cast<std::size_t>(uses.producer(node.input(input)))].op,
                    "DequantizeLinear")
              << node.label();
      }
    }
}

// 2 * x - 1 with x = 0, 1 .. 255: levels, scales and the bias are all exact.
TEST(QuantiseNetwork, OnPaper) {
  TAILOR_NEEDS_RUNNER();
  const Known k =
      known(testing::graph_of({"Conv x w b -> y"}, {1, 1, 16, 16},
                              {{"w", graph::make_f32({1, 1, 1, 1}, {2})}, {"b", graph::make_f32({1}, {-1})}}),
            8);
  Quantisation how;
  how.layers[0] = {{127}, {2.0 / 127}};
  how.ranges = {{"x", {0, 255}}, {"y", {-255, 255}}};
  std::vector<float> pixels(256);
  for (std::size_t i = 0; i < 256; ++i) pixels[i] = static_cast<float>(i);
  const graph::Tensor y = testing::run_model(quantise_network(k.model, how).model,
                                             {{"x", graph::make_f32({1, 1, 16, 16}, pixels)}})
                              .front()
                              .second;
  for (std::size_t i = 0; i < 256; ++i)
    EXPECT_NEAR(y.values<float>()[i], std::min(255.0, 2.0 * static_cast<double>(i) - 1), 1.01) << i;
}

TEST(QuantiseNetwork, KeepsTheNamesOfInputsAndOutputs) {
  const Known k = known(testing::graph_of(graphs()[0], {1, 4, 5, 5}), 8);
  const QuantisedNetwork q = quantised(k);
  EXPECT_EQ(q.model.graph.inputs[0].name, "x");
  EXPECT_EQ(q.model.graph.outputs[0].name, "y");
  EXPECT_EQ(q.nodes.size(), 4u);
}

// Whatever comes in, what a layer reads is one of 2^bits levels, and what the graph gives one of 256.
TEST(QuantiseNetwork, ActivationsOfFewerBits) {
  TAILOR_NEEDS_RUNNER();
  for (std::int64_t opset : {9, 11, 13}) {
    const Known k = known(
        testing::graph_of({"Conv x 4x2x1x1 -> a", "Conv a 3x4x1x1 -> y"}, {1, 2, 20, 20}, {}, opset), 8);
    Quantisation how;
    for (int layer : {0, 1})
      how.layers[layer] =
          saliency::levels(weight_rows(k.model, layer), layer ? 3 : 4, {"int8", 8, true, false});
    how.ranges = {{"x", {-0.5, 1}}, {"a", {-1, 1}}, {"y", {-1, 1}}};
    how.activation_bits = 5;
    graph::Model model = quantise_network(k.model, how).model;
    for (const char* name : {"x_dq", "a"}) model.graph.outputs.push_back({name, graph::DataType::f32});
    std::map<std::string, std::set<float>> seen;
    for (const auto& [name, tensor] : testing::run_model(model, k.inputs))
      for (float value : tensor.values<float>()) seen[name].insert(value);
    for (const char* name : {"x_dq", "a"}) {
      EXPECT_LE(seen[name].size(), 32U) << name;
      EXPECT_GT(seen[name].size(), 20U) << name;
    }
    EXPECT_GT(seen["y"].size(), 32U);
    EXPECT_NEAR(*seen["x_dq"].rbegin(), 1, 0.05) << "clipped, opset " << opset;
    EXPECT_NEAR(*seen["x_dq"].begin(), -0.5, 0.05);
  }
}

// Half of the weights' sixteenths lie in the middle between two levels: sums of floats would fall to either side of it.
TEST(QuantiseNetwork, SumsAreIntegersWhateverStandsBehind) {
  TAILOR_NEEDS_RUNNER();
  for (const char* activation : {"Relu a -> r", "Clip a lo hi -> r"}) {
    const bool clip = activation[0] == 'C';
    const Known k =
        known(testing::graph_of({"Conv x 8x16x1x1 -> a", activation, "Conv r 1x8x1x1 -> y"}, {1, 16, 24, 24},
                                {{"lo", graph::make_f32({}, {0})}, {"hi", graph::make_f32({}, {6})}},
                                clip ? 13 : 12),
              8);
    Quantisation how;
    how.activation_bits = 7;
    how.ranges = {{"x", {0, 6}}, {"r", {0, 6}}, {"y", {-1, 1}}};
    Random random(3);
    for (int i = 0; i < 8 * 16; ++i) how.layers[0].level.push_back(static_cast<int>(random.below(31)) - 12);
    how.layers[0].scale.assign(8, 0.0625);
    how.layers[2] = {std::vector<std::int32_t>(8, 1), {1.0}};
    graph::Model model = quantise_network(k.model, how).model;
    EXPECT_EQ(count(model, clip ? "Clip" : "Relu"), clip ? 2 : 0) << "only those of integers";
    model.graph.outputs = {{"x_dq", graph::DataType::f32}, {"r", graph::DataType::f32}};
    std::vector<float> pixels = k.inputs.front().second.values<float>();
    for (float& p : pixels) p = std::abs(p) * 4;
    const auto seen = testing::run_model(model, {{"x", graph::make_f32({1, 16, 24, 24}, pixels)}});
    const float step = saliency::value_levels(0, 6, 7).scale;
    const std::vector<float> x = seen[0].second.values<float>(), r = seen[1].second.values<float>();
    for (std::size_t o = 0; o < 8; ++o)
      for (std::size_t p = 0; p < 24 * 24; ++p) {
        double sum = 0;
        for (std::size_t c = 0; c < 16; ++c)
          sum += std::nearbyint(x[c * 576 + p] / step) * how.layers[0].level[o * 16 + c];
        EXPECT_EQ(std::nearbyint(r[o * 576 + p] / step), std::clamp(std::nearbyint(sum / 16), 0.0, 127.0));
      }
  }
}

// What cuts off more than the levels' ends do has to stay.
TEST(QuantiseNetwork, ActivationsThatMatterStay) {
  TAILOR_NEEDS_RUNNER();
  const Known k = known(
      testing::graph_of({"Conv x 4x2x1x1 -> a", "Relu a -> r", "Conv r 4x4x1x1 -> b", "Clip b lo hi -> s",
                         "Conv s 3x4x1x1 -> y"},
                        {1, 2, 5, 5}, {{"lo", graph::make_f32({}, {-1})}, {"hi", graph::make_f32({}, {1})}}),
      8);
  Quantisation how;
  for (int layer : {0, 2, 4})
    how.layers[layer] =
        saliency::levels(weight_rows(k.model, layer), layer == 4 ? 3 : 4, {"int8", 8, true, false});
  how.ranges = {{"x", {-1, 1}}, {"r", {-0.5, 1}}, {"s", {-0.5, 1}}, {"y", {-1, 1}}};
  EXPECT_EQ(count(quantise_network(k.model, how).model, "Relu"), 1) << "levels reach below 0";
  EXPECT_EQ(count(quantise_network(k.model, how).model, "Clip"), 0);
  how.ranges["s"] = {-0.5, 2};
  EXPECT_EQ(count(quantise_network(k.model, how).model, "Clip"), 1) << "levels reach above 1";
  how.ranges["r"] = {0, 1};
  EXPECT_EQ(count(quantise_network(k.model, how).model, "Relu"), 0);
}

// The simulation: only these values change, each to its nearest level.
TEST(QuantiseNetwork, ValuesAreRoundedAndLayersStay) {
  TAILOR_NEEDS_RUNNER();
  const Known k = known(
      testing::graph_of({"Conv x 8x4x1x1 -> a", "Relu a -> r", "Conv r 4x8x1x1 -> y"}, {1, 4, 5, 5}), 8);
  EXPECT_EQ(rounded_values(k.model, {0, 2}), (std::vector<std::string>{"x", "r"})) << "y is an answer";
  graph::Model watched = k.model;
  watched.graph.outputs = {{"r", graph::DataType::f32}};
  graph::Model rounded = with_rounded_values(watched, {{"r", {0, 1}}}, 7);
  const std::vector<float> before = testing::run_model(watched, k.inputs).front().second.values<float>(),
                           after = testing::run_model(rounded, k.inputs).front().second.values<float>();
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_NEAR(after[i], std::nearbyint(std::min(before[i], 1.f) * 255) / 255, 1e-5) << "an output: 8 bits";
  rounded = with_rounded_values(k.model, {{"r", {0, 1}}}, 7);
  EXPECT_EQ(count(rounded, "QuantizeLinear"), 1);
  rounded.graph.outputs = {{"r", graph::DataType::f32}};
  const std::vector<float> levels = testing::run_model(rounded, k.inputs).front().second.values<float>();
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_NEAR(levels[i], std::nearbyint(std::min(before[i], 1.f) * 127) / 127, 1e-5);
}

// ONNX Runtime takes a layer between two DequantizeLinear for a quantised one and rounds its weights: a simulation has none.
TEST(QuantiseNetwork, WeightsBetweenRoundedValuesStay) {
  TAILOR_NEEDS_RUNNER();
  const Known k = known(
      testing::graph_of({"Conv x 8x4x1x1 -> a", "Relu a -> r", "Conv r 3x8x1x1 -> y"}, {1, 4, 5, 5}), 8);
  graph::Model rounded = with_rounded_values(k.model, {{"x", {-4, 4}}, {"r", {0, 1}}}, 5), watched = k.model;
  EXPECT_EQ(count(rounded, "DequantizeLinear"), 0);
  rounded.graph.outputs = watched.graph.outputs = {{"r", graph::DataType::f32}};
  auto nearest = k.inputs;
  const saliency::ValueLevels to = saliency::value_levels(-4, 4, 5);
  std::vector<float> values = nearest.front().second.values<float>();
  for (float& value : values)
    value = to.scale * std::clamp(std::nearbyint(value / to.scale), static_cast<float>(-to.zero),
                                  static_cast<float>(to.most - to.zero));
  nearest.front().second = graph::make_f32(nearest.front().second.dims, values);
  const std::vector<float> plain = testing::run_model(watched, nearest).front().second.values<float>(),
                           seen = testing::run_model(rounded, k.inputs).front().second.values<float>();
  for (std::size_t i = 0; i < plain.size(); ++i)
    EXPECT_NEAR(seen[i], std::nearbyint(std::min(plain[i], 1.f) * 31) / 31, 1e-5);
}

TEST(QuantiseNetwork, WhichLayers) {
  const Known k = known(testing::graph_of({"Conv x 8x4x1x1 -> a", "ConvTranspose a 8x8x1x1 -> b",
                                           "Mul b b -> c", "MatMul c c -> d", "Flatten d -> f",
                                           "Gemm f 200x4 4 -> g | alpha=0.5", "Gemm g 4x3 [3] -> y"},
                                          {1, 4, 5, 5}),
                        8);
  EXPECT_EQ(quantisable_layers(k.model, k.shapes), (std::vector<int>{0}))
      << "no transposed one, no two values, no alpha, no bias of integers";
}

}  // namespace
}  // namespace tailor::rewrite
