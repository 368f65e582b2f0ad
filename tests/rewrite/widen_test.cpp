// Wider models compute the same.
#include "tailor/rewrite/widen.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/cut.h"
#include "tests/rewrite/graphs.h"

namespace tailor::rewrite {
namespace {

struct Whole {
  graph::Model model;
  graph::Shapes shapes;
  graph::Channels channels;
  runtime::NamedTensors inputs, outputs;
};

Whole whole(graph::Model model) {
  Whole w;
  w.shapes = graph::infer_shapes(model);
  w.channels = graph::channel_groups(model, w.shapes);
  w.inputs = testing::random_inputs(model, w.shapes, 2);
  w.outputs = testing::run_model(model, w.inputs);
  w.model = std::move(model);
  return w;
}

double apart(const Whole& w, const std::map<int, int>& extra) {
  graph::Model wide = widen(w.model, w.shapes, w.channels, extra);
  return testing::difference(w.outputs, testing::run_model(wide, w.inputs));
}

std::map<int, int> allowed(const Whole& w, int extra) {
  std::map<int, int> all;
  for (int g = 0; g < static_cast<int>(w.channels.groups.size()); ++g)
    if (obstacle_to_widening(w.model, w.channels, g).empty()) all[g] = extra + g % 3;
  return all;
}

TEST(Widen, EveryGroupOfRealModels) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  std::vector<std::filesystem::path> paths = {std::filesystem::path(TAILOR_SOURCE_DIR) / "demo" /
                                              "shapes.onnx"};
  for (const char* name :
       {"resnet20_cifar10", "mobilenet_v1_0.25_128_float_imagenet", "mlperftiny_resnet8_cifar10",
        "cifar10_resnet_2b", "vit_cifar10_pgd_2_3_16", "trt_residual_block"})
    paths.push_back(testing::real_model(name));
  for (const auto& path : paths) {
    SCOPED_TRACE(path);
    Whole w = whole(onnx::read(path));
    std::map<int, int> all = allowed(w, 3);
    EXPECT_FALSE(all.empty());
    for (auto [group, extra] : all)
      EXPECT_LE(apart(w, {{group, extra}}), 1e-5) << w.channels.groups[group].name;
    EXPECT_LE(apart(w, all), 1e-5);
  }
}

// Whatever the obstacles allow must be done, and change nothing.
TEST(Widen, WhatIsAllowedWorks) {
  TAILOR_NEEDS_RUNNER();
  const std::vector<std::vector<std::string>> graphs = {
      {"Conv x 8x4x1x1 -> a", "Conv a 8x4x1x1 -> b | group=2", "Conv b 2x8x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Conv a 16x1x1x1 -> b | group=8", "Conv b 2x16x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "ConvTranspose a 8x6x2x2 -> b", "Conv b 2x6x1x1 -> y"},
      {"Conv x 8x4x1x1 8 -> a", "BatchNormalization a 8 8 8 8 -> b", "Sigmoid b -> c", "Flatten c -> f",
       "Gemm f 200x5 5 -> y"},
      {"Conv x 3x4x1x1 -> a", "Conv x 5x4x1x1 -> b", "Concat a b a -> c | axis=1", "PRelu c 11x1x1 -> d",
       "Conv d 2x11x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Clip a {1}f {3}f -> b", "Conv b 2x8x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Transpose a -> t | perm=[0,2,3,1]", "MatMul t 8x3 -> y"},
  };
  for (std::size_t i = 0; i < graphs.size(); ++i) {
    SCOPED_TRACE(i);
    Whole w = whole(testing::graph_of(graphs[i], {1, 4, 5, 5}));
    std::map<int, int> all = allowed(w, 2);
    for (auto [group, extra] : all)
      EXPECT_LE(apart(w, {{group, extra}}), 1e-5) << w.channels.groups[group].name;
    if (!all.empty()) {
      EXPECT_LE(apart(w, all), 1e-5);
    }
  }
}

// Scales say nothing of channels, sizes do.
TEST(Widen, AResizeByScalesIsNoObstacle) {
  TAILOR_NEEDS_RUNNER();
  Whole w = whole(testing::graph_of(
      {"Conv x 6x4x1x1 6 -> a", "Resize a - [1,1,2,2]f -> b | mode=nearest", "Conv b 2x6x1x1 -> y"},
      {1, 4, 5, 5}));
  EXPECT_EQ(allowed(w, 2).size(), 1u);
  EXPECT_LE(apart(w, allowed(w, 2)), 1e-5);
  Whole by_sizes = whole(testing::graph_of(
      {"Conv x 6x4x1x1 6 -> a", "Resize a - - [1,6,10,10] -> b | mode=nearest", "Conv b 2x6x1x1 -> y"},
      {1, 4, 5, 5}));
  EXPECT_TRUE(allowed(by_sizes, 2).empty());
}

// Half of a sigmoid times half of another is no zero.
TEST(Widen, SumsOfProductsOfActivationsAreAnObstacle) {
  TAILOR_NEEDS_RUNNER();
  Whole w =
      whole(testing::graph_of({"MatMul x 4x6 -> q", "Sigmoid q -> q1", "MatMul x 4x6 -> k", "Sigmoid k -> k1",
                               "Transpose k1 -> t | perm=[0,2,1]", "MatMul q1 t -> p", "MatMul p x -> y"},
                              {1, 5, 4}));
  for (auto [group, extra] : allowed(w, 2)) EXPECT_LE(apart(w, {{group, extra}}), 1e-5);
}

TEST(Widen, OneConstantForScaleAndVariance) {
  TAILOR_NEEDS_RUNNER();
  Whole w = whole(testing::graph_of(
      {"Conv x 8x4x1x1 -> a", "BatchNormalization a one zero zero one -> b", "Conv b 2x8x1x1 -> y"},
      {1, 4, 5, 5},
      {{"one", graph::make_f32({8}, std::vector<float>(8, 1.0f))},
       {"zero", graph::make_f32({8}, std::vector<float>(8, 0.0f))}}));
  std::map<int, int> all = allowed(w, 2);
  ASSERT_FALSE(all.empty());
  graph::Model wide = widen(w.model, w.shapes, w.channels, all);
  const graph::Node& normalisation = wide.graph.nodes[1];
  EXPECT_EQ(wide.graph.initializers.at(normalisation.inputs[1]).values<float>().back(), 0);
  EXPECT_EQ(wide.graph.initializers.at(normalisation.inputs[4]).values<float>().back(), 1);
  EXPECT_LE(apart(w, all), 1e-5);
}

TEST(Widen, ObstaclesAreErrors) {
  Whole w;
  w.model = testing::graph_of({"Conv x 8x4x1x1 -> a", "Softmax a -> b | axis=1", "Conv b 2x8x1x1 -> y"},
                              {1, 4, 5, 5});
  w.shapes = graph::infer_shapes(w.model);
  w.channels = graph::channel_groups(w.model, w.shapes);
  try {
    widen(w.model, w.shapes, w.channels, {{0, 1}});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Code::bad_cut);
  }
}

// What the new rows hold, and that nothing reads them.
TEST(Widen, DrawnChannelsAreNotRead) {
  TAILOR_NEEDS_RUNNER();
  Whole w = whole(testing::graph_of({"Conv x 8x4x3x3 8 -> a", "BatchNormalization a 8 8 8 8 -> n",
                                     "Relu n -> r", "Conv r 8x1x3x3 -> d | group=8 pads=[1,1,1,1]",
                                     "Conv d 5x8x1x1 -> b", "Flatten b -> f", "Gemm f 45x3 3 -> y"},
                                    {1, 4, 5, 5}));
  const std::map<int, int> all = allowed(w, 2);
  ASSERT_EQ(all.size(), 2u);
  graph::Model wide = widen(w.model, w.shapes, w.channels, all, 7);
  EXPECT_LE(testing::difference(w.outputs, testing::run_model(wide, w.inputs)), 1e-5);
  auto operand = [&](int node, std::size_t input) {
    return wide.graph.initializers.at(wide.graph.nodes[static_cast<std::size_t>(node)].inputs[input]);
  };
  const graph::Tensor first = operand(0, 1), scale = operand(1, 1), depthwise = operand(3, 1),
                      second = operand(4, 1);
  const std::int64_t wider = first.dims[0];
  ASSERT_GT(wider, 8);
  auto squares = [](const graph::Tensor& t, std::size_t from, std::size_t to) {
    double sum = 0;
    const std::vector<float> values = t.values<float>();
    for (std::size_t i = from; i < to; ++i) sum += double{values[i]} * values[i];
    return sum / static_cast<double>(to - from);
  };
  EXPECT_NEAR(squares(first, 8 * 36, static_cast<std::size_t>(wider) * 36), 2.0 / 36, 0.04)
      << "variance 2 / fan in";
  EXPECT_GT(squares(depthwise, 8 * 9, static_cast<std::size_t>(wider) * 9), 0.05);
  EXPECT_EQ(scale.values<float>().back(), 1);
  const std::vector<float> reading = second.values<float>();  // rows x wider
  for (std::size_t row = 0; row < static_cast<std::size_t>(second.dims[0]); ++row)
    for (auto column = std::size_t{8}; column < static_cast<std::size_t>(wider); ++column)
      EXPECT_EQ(reading[row * static_cast<std::size_t>(wider) + column], 0) << row << ", " << column;
  EXPECT_NE(reading[5 * static_cast<std::size_t>(wider)], 0) << "a new row reads the old columns";
  const graph::Model again = widen(w.model, w.shapes, w.channels, all, 7),
                     other = widen(w.model, w.shapes, w.channels, all, 8);
  const std::string& name = wide.graph.nodes[0].inputs[1];
  EXPECT_EQ(again.graph.initializers.at(name).data, first.data);
  EXPECT_NE(other.graph.initializers.at(name).data, first.data);
}

TEST(Widen, DrawnChannelsOfProductsOfActivationsAreAnObstacle) {
  Whole w;
  // q is 5 x 6, k is 6 x 5: the product sums over what both layers make.
  w.model = testing::graph_of(
      {"MatMul x 5x6 -> q", "Conv x 6x5x1 -> k", "MatMul q k -> p", "MatMul p x -> y"}, {1, 5, 5});
  w.shapes = graph::infer_shapes(w.model), w.channels = graph::channel_groups(w.model, w.shapes);
  int widened = 0;
  for (int g = 0; g < static_cast<int>(w.channels.groups.size()); ++g) {
    if (!obstacle_to_widening(w.model, w.channels, g).empty()) continue;
    ++widened;
    EXPECT_NE(obstacle_to_growing(w.model, w.channels, g).find("multiplies two activations"),
              std::string::npos);
    EXPECT_THROW(widen(w.model, w.shapes, w.channels, {{g, 1}}, 1), Error);
  }
  EXPECT_GT(widened, 0) << "zeros are harmless there";
}

TEST(Widen, EveryGroupOfRealModelsCanBeDrawn) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  for (const char* name :
       {"resnet20_cifar10", "mobilenet_v1_0.25_128_float_imagenet", "vit_cifar10_pgd_2_3_16"}) {
    SCOPED_TRACE(name);
    Whole w = whole(onnx::read(testing::real_model(name)));
    std::map<int, int> all;
    for (int g = 0; g < static_cast<int>(w.channels.groups.size()); ++g)
      if (obstacle_to_growing(w.model, w.channels, g).empty()) all[g] = 2 + g % 3;
    EXPECT_FALSE(all.empty());
    EXPECT_LE(testing::difference(w.outputs,
                                  testing::run_model(widen(w.model, w.shapes, w.channels, all, 3), w.inputs)),
              1e-4);
  }
}

}  // namespace
}  // namespace tailor::rewrite
