// Padded shortcuts as convolutions: the same bits, and nothing else is touched.
#include "tailor/rewrite/shortcut.h"

#include "tests/rewrite/graphs.h"

namespace tailor::rewrite {
namespace {

using Lines = std::vector<std::string>;

Shortcuts of(const graph::Model& model) {
  return shortcuts_as_convolutions(model, graph::infer_shapes(model));
}

long count(const graph::Model& model, const std::string& op) {
  return std::count_if(model.graph.nodes.begin(), model.graph.nodes.end(),
                       [&](const graph::Node& n) { return n.op == op; });
}

void expect_same(const graph::Model& a, const graph::Model& b) {
  auto inputs = testing::random_inputs(a, graph::infer_shapes(a), 5);
  EXPECT_EQ(testing::difference(testing::run_model(a, inputs), testing::run_model(b, inputs)), 0);
}

TEST(Shortcut, OfRealNetworksTheSameBits) {
  TAILOR_NEEDS(testing::real_model("resnet56_cifar10"));
  TAILOR_NEEDS_RUNNER();
  for (const char* name : {"resnet20_cifar10", "resnet56_cifar10"}) {
    graph::Model model = onnx::read(testing::real_model(name));
    Shortcuts shortcuts = of(model);
    EXPECT_EQ(shortcuts.values.size(), 2u);
    EXPECT_EQ(count(shortcuts.model, "Pad") + count(shortcuts.model, "Slice"), 0);
    auto inputs = testing::random_inputs(model, graph::infer_shapes(model), 5);
    EXPECT_LE(
        testing::difference(testing::run_model(model, inputs), testing::run_model(shortcuts.model, inputs)),
        1e-5);
  }
}

const std::string kTail = "Conv t 3x6x1x1 -> y";
const std::string kPad = "[0,2,0,0,0,1,0,0]", kSlice = "[0,0] [99,9999] [2,3] [2,2]";

TEST(Shortcut, EitherOrder) {
  TAILOR_NEEDS_RUNNER();
  for (const Lines& lines :
       {Lines{"Relu x -> r", "Slice r " + kSlice + " -> s", "Pad s " + kPad + " -> t", kTail},
        Lines{"Relu x -> r", "Pad r " + kPad + " -> s", "Slice s " + kSlice + " -> t", kTail},
        Lines{"Relu x -> r", "Pad r " + kPad + " -> t", kTail}})
    for (std::int64_t side : {7, 8}) {
      graph::Model model = testing::graph_of(lines, {1, 3, side, side});
      Shortcuts shortcuts = of(model);
      ASSERT_EQ(shortcuts.values, std::vector<std::string>{"t"}) << lines[1];
      expect_same(model, shortcuts.model);
    }
}

TEST(Shortcut, WhatIsSomethingElseStays) {
  for (const Lines& lines : {
           Lines{"Pad x [0,0,1,1,0,0,1,1] -> t", "Conv t 3x3x1x1 -> y"},  // pixels
           Lines{"Pad x " + kPad + " {0.5}f -> t", kTail},                // no zeros
           Lines{"Pad x " + kPad + " -> t | mode=reflect", kTail},        //
           Lines{"Slice x " + kSlice + " -> t", "Conv t 3x3x1x1 -> y"},   // no Pad
       }) {
    graph::Model model = testing::graph_of(lines, {1, 3, 8, 8});
    EXPECT_TRUE(of(model).values.empty()) << lines[0];
  }
}

// A Slice that is none of ours leaves the Pad to be replaced alone.
TEST(Shortcut, AnotherSliceStays) {
  TAILOR_NEEDS_RUNNER();
  for (const char* slice : {"[1] [8] [2] [2]", "[0] [5] [3] [1]", "[0] [2] [1] [1]"}) {
    graph::Model model = testing::graph_of({"Relu x -> r", std::string("Slice r ") + slice + " -> s",
                                            "Pad s " + kPad + " -> t", "GlobalAveragePool t -> y"},
                                           {1, 3, 8, 8});
    Shortcuts shortcuts = of(model);
    EXPECT_EQ(count(shortcuts.model, "Slice"), 1) << slice;
    expect_same(model, shortcuts.model);
  }
}

}  // namespace
}  // namespace tailor::rewrite
