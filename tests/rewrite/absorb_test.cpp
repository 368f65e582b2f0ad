// x + conv(x) as one convolution: the same function, and only where it can be.
#include "tailor/rewrite/absorb.h"

#include "tests/rewrite/graphs.h"

namespace tailor::rewrite {
namespace {

using Lines = std::vector<std::string>;

// Sums of the network before and after; the function must not change.
std::pair<int, int> sums(const Lines& lines) {
  graph::Model model = testing::graph_of(lines, {2, 4, 7, 6});
  graph::Shapes shapes = graph::infer_shapes(model);
  graph::Model absorbed = absorb_identities(model, shapes);
  auto count = [](const graph::Model& m) {
    int all = 0;
    for (const graph::Node& node : m.graph.nodes) all += node.op == "Add" || node.op == "Sum";
    return all;
  };
  EXPECT_EQ(count(model) - count(absorbed), static_cast<int>(absorbing_convolutions(model, shapes).size()));
  auto inputs = testing::random_inputs(model, shapes, 3);
  EXPECT_LE(testing::difference(testing::run_model(model, inputs), testing::run_model(absorbed, inputs)),
            1e-5);
  return {count(model), count(absorbed)};
}

TEST(Absorb, TheSameFunctionWithoutTheSum) {
  TAILOR_NEEDS_RUNNER();
  for (const char* conv : {"8x8x1x1 8 -> b", "8x8x1x1 -> b", "8x8x3x3 8 -> b | pads=[1,1,1,1]",
                           "8x8x3x1 8 -> b | pads=[1,0,1,0]", "8x8x2x3 8 -> b | pads=[0,1,1,1]",
                           "8x8x3x3 8 -> b | pads=[2,2,2,2] dilations=[2,2]"})
    for (const char* sum : {"Add a b -> s", "Add b a -> s", "Sum b a -> s"}) {
      SCOPED_TRACE(std::string(conv) + sum);
      EXPECT_EQ(sums({"Conv x 8x4x1x1 -> a", std::string("Conv a ") + conv, sum, "Relu s -> r",
                      "Conv r 2x8x1x1 -> y"}),
                (std::pair<int, int>{1, 0}));
    }
  EXPECT_EQ(sums({"Conv x 4x4x1x1 4 -> b", "Add x b -> s", "Conv s 4x4x3x3 4 -> c | pads=[1,1,1,1]",
                  "Add c s -> y"}),
            (std::pair<int, int>{2, 0}))
      << "one behind the other, from the input to the output";
}

TEST(Absorb, LeavesWhatIsNotItsOwnInput) {
  TAILOR_NEEDS_RUNNER();
  const std::pair<int, int> kept{1, 1};
  EXPECT_EQ(sums({"Conv x 8x4x1x1 -> a", "Relu a -> p", "Conv p 8x8x1x1 -> b", "Add a b -> s",
                  "Conv s 2x8x1x1 -> y"}),
            kept);
  EXPECT_EQ(
      sums({"Conv x 8x4x1x1 -> a", "Conv a 8x4x1x1 -> b | group=2", "Add a b -> s", "Conv s 2x8x1x1 -> y"}),
      kept)
      << "grouped";
  EXPECT_EQ(sums({"Conv x 8x4x1x1 -> a", "Conv a 8x8x1x1 -> b", "Add a b -> s", "Conv s 8x8x1x1 -> c",
                  "Mul c b -> y"}),
            kept)
      << "read elsewhere too";
  EXPECT_EQ(sums({"Conv x 8x4x1x1 -> a", "Conv a 8x8x3x3 -> b | pads=[0,0,2,2]", "Add a b -> s",
                  "Conv s 2x8x1x1 -> y"}),
            (std::pair<int, int>{1, 0}))
      << "offset zero is the first tap";
  EXPECT_EQ(sums({"Conv x 8x4x1x1 -> a", "Conv a 8x8x1x1 -> b", "Add b b -> s", "Conv s 2x8x1x1 -> y"}),
            kept);
}

TEST(Absorb, SharedWeightsAreCopied) {
  TAILOR_NEEDS_RUNNER();
  std::map<std::string, graph::Tensor, std::less<>> constants;
  Random random(3);
  constants["w"] = testing::smooth({4, 4, 1, 1}, random);
  graph::Model model = testing::graph_of({"Conv x w -> b", "Add x b -> s", "Relu s -> r", "Conv r w -> y"},
                                         {1, 4, 5, 5}, constants);
  graph::Shapes shapes = graph::infer_shapes(model);
  auto inputs = testing::random_inputs(model, shapes, 3);
  graph::Model absorbed = absorb_identities(model, shapes);
  EXPECT_EQ(absorbed.graph.nodes.size(), 3u);
  EXPECT_LE(testing::difference(testing::run_model(model, inputs), testing::run_model(absorbed, inputs)),
            1e-5);
}

}  // namespace
}  // namespace tailor::rewrite
