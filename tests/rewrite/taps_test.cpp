// Smaller kernels: which there are, that taps of weight zero are not missed, and what is refused.
#include "tailor/rewrite/taps.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/repair.h"
#include "tests/rewrite/graphs.h"

#include <functional>

namespace tailor::rewrite {
namespace {

LinearLayer layer_of(const graph::Model& model, const std::string& value) {
  for (LinearLayer& layer : linear_layers(model, graph::infer_shapes(model)))
    if (layer.y == value) return std::move(layer);
  ADD_FAILURE() << "no linear layer gives " << value;
  return {};
}

// "2x3@1,0 ...": shape and place of each; "2x3@" where weights decide the place.
std::string kernels(const std::string& conv, bool places = true) {
  graph::Model model = testing::graph_of({conv, "Relu a -> y"}, {1, 4, 9, 9});
  std::string text;
  for (const Taps& t : smaller_kernels(model, layer_of(model, "a")))
    text += to_string(t) + "@" + (places ? std::to_string(t.top) + "," + std::to_string(t.left) : "") + " ";
  return text;
}

// The weights of a conv with one tap row and one tap column set to zero.
graph::Model without_energy_at(graph::Model model, int row, int column) {
  const graph::Node& node = model.graph.nodes[0];
  graph::Tensor& w = model.graph.initializers.at(node.inputs[1]);
  std::vector<float> values = w.values<float>();
  auto kh = w.dims[2], kw = w.dims[3];
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto tap = static_cast<std::int64_t>(i) % (kh * kw);
    if (tap / kw == row || tap % kw == column) values[i] = 0;
  }
  w = graph::make_f32(w.dims, std::move(values));
  return model;
}

TEST(Taps, ShapesOfAKernel) {
  EXPECT_EQ(kernels("Conv x 8x4x1x1 -> a"), "");
  EXPECT_EQ(kernels("Conv x 8x4x3x3 -> a"), "") << "no padding that could shrink";
  EXPECT_EQ(kernels("Conv x 8x4x3x1 -> a | pads=[1,0,1,0]", false), "2x1@ 1x1@ ");
  EXPECT_EQ(kernels("Conv x 8x4x3x3 -> a | pads=[1,1,1,1]", false), "3x2@ 2x3@ 2x2@ 3x1@ 1x3@ 1x1@ ");
  EXPECT_EQ(kernels("Conv x 8x4x5x5 -> a | pads=[2,2,2,2]", false), "5x4@ 4x5@ 4x4@ 5x1@ 1x5@ 1x1@ ");
}

TEST(Taps, OnlySidesWhosePaddingShrinks) {
  EXPECT_EQ(kernels("Conv x 8x4x2x2 -> a | pads=[1,1,0,0]"), "2x1@0,1 1x2@1,0 1x1@1,1 ");
  EXPECT_EQ(kernels("Conv x 8x4x3x3 -> a | pads=[1,0,1,0] strides=[2,1]", false), "2x3@ 1x3@ ");
}

TEST(Taps, OfTwoPlacesTheOneWithTheLargerWeights) {
  for (int side : {0, 2}) {
    graph::Model model = without_energy_at(
        testing::graph_of({"Conv x 8x4x3x3 -> a | pads=[1,1,1,1]", "Relu a -> y"}, {1, 4, 9, 9}), side, side);
    for (const Taps& t : smaller_kernels(model, layer_of(model, "a"))) {
      EXPECT_EQ(t.top, t.kh == 2 ? (side == 0 ? 1 : 0) : t.kh == 1 ? 1 : 0) << to_string(t);
      EXPECT_EQ(t.left, t.kw == 2 ? (side == 0 ? 1 : 0) : t.kw == 1 ? 1 : 0) << to_string(t);
    }
  }
}

TEST(Taps, WithinAPart) {
  EXPECT_EQ(within({1, 0, 2, 3}, {1, 1, 1, 1}), (Taps{2, 1, 1, 1}));
  EXPECT_EQ(tap_indices({3, 3, 1, 1, 1, 1, 1, 1}, {1, 0, 2, 2}), (std::vector<int>{3, 4, 6, 7}));
}

TEST(Taps, OfWeightZeroAreNotMissed) {
  TAILOR_NEEDS_RUNNER();
  for (const char* attributes :
       {"pads=[1,1,1,1]", "pads=[1,1,1,1] strides=[2,2]", "pads=[2,2,2,2] dilations=[2,2]",
        "pads=[1,2,1,2] strides=[1,2]", "pads=[1,1,1,1] group=2"}) {
    bool grouped = std::string(attributes).find("group") != std::string::npos;
    graph::Model whole = testing::graph_of(
        {std::string("Conv x ") + (grouped ? "8x2x3x3" : "8x4x3x3") + " 8 -> a | " + attributes,
         "Relu a -> y"},
        {2, 4, 10, 9});
    for (int row : {0, 2}) {
      graph::Model model = without_energy_at(whole, row, 2 - row);
      graph::Model cropped = crop_kernel(model, "a", {row == 0 ? 1 : 0, row == 0 ? 0 : 1, 2, 2});
      auto inputs = testing::random_inputs(model, graph::infer_shapes(model), 3);
      EXPECT_LE(testing::difference(testing::run_model(model, inputs), testing::run_model(cropped, inputs)),
                1e-5)
          << attributes;
    }
  }
}

TEST(Taps, EveryKernelOfARealModelRuns) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  int cropped = 0;
  for (const char* name : {"resnet20_cifar10", "tinyyolo_52", "mlperftiny_resnet8_cifar10"}) {
    graph::Model model = onnx::read(testing::real_model(name));
    graph::Shapes shapes = graph::infer_shapes(model);
    auto inputs = testing::random_inputs(model, shapes, 5);
    auto reference = testing::run_model(model, inputs);
    graph::Model smallest = model;
    for (const LinearLayer& layer : linear_layers(model, shapes))
      for (const Taps& taps : smaller_kernels(model, layer)) {
        graph::Model changed = crop_kernel(model, layer.y, taps);
        EXPECT_EQ(*graph::infer_shapes(changed).shape(layer.y), *shapes.shape(layer.y)) << layer.y;
        if (taps.count() == 1) smallest = crop_kernel(smallest, layer.y, taps), ++cropped;
      }
    auto outputs = testing::run_model(smallest, inputs);
    ASSERT_EQ(outputs.size(), reference.size());
    EXPECT_EQ(outputs[0].second.dims, reference[0].second.dims);
  }
  EXPECT_GT(cropped, 30);
}

Code refused(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

TEST(Taps, WhatCannotBeIsRefused) {
  graph::Model model =
      testing::graph_of({"Conv x 8x4x3x3 -> a | pads=[1,1,1,1]", "Relu a -> y"}, {1, 4, 9, 9});
  for (const Taps& taps : {Taps{0, 0, 4, 1}, Taps{2, 0, 2, 1}, Taps{-1, 0, 1, 1}, Taps{0, 0, 0, 1},
                           Taps{0, 0, 1, 1}, Taps{2147483647, 0, 1, 1}})
    EXPECT_EQ(refused([&] { crop_kernel(model, "a", taps); }), Code::bad_cut) << to_string(taps);
  EXPECT_EQ(refused([&] { crop_kernel(model, "y", {1, 1, 1, 1}); }), Code::bad_cut) << "a Relu";
  EXPECT_EQ(refused([&] { crop_kernel(model, "nowhere", {1, 1, 1, 1}); }), Code::bad_cut);
}

}  // namespace
}  // namespace tailor::rewrite
