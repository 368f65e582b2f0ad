// Heads of transformers: each changeable group cut alone and all together, at another batch than the one that the
// channels were found with.
#include "tailor/rewrite/cut.h"
#include "tests/graph/transformers.h"
#include "tests/rewrite/graphs.h"

namespace tailor::rewrite {
namespace {

using testing::TransformerStyle;

struct Cuts {
  graph::Model model;
  graph::Shapes shapes;
  graph::Channels channels;
  runtime::NamedTensors inputs;

  Cuts(const std::vector<std::string>& lines, graph::Shape input)
      : model(testing::graph_of(lines, std::move(input), {}, 17)),
        shapes(graph::infer_shapes(model)),
        channels(graph::channel_groups(model, shapes)),
        inputs(testing::random_inputs(model, shapes, 3, 3)) {}

  double apart(const Cut& what) const {
    return testing::difference(testing::run_model(mask(model, shapes, channels, what), inputs),
                               testing::run_model(cut(model, shapes, channels, what), inputs));
  }

  // All but each third unit.
  Cut some(int g) const {
    std::vector<int> units;
    for (int u = 0; u < channels.groups[g].width(); ++u)
      if (u % 3 != 1) units.push_back(u);
    return {{{g, units}}};
  }

  int check() const {
    int groups = 0;
    Cut all;
    runtime::NamedTensors whole = testing::run_model(model, inputs);
    for (int g = 0; g < static_cast<int>(channels.groups.size()); ++g) {
      const graph::ChannelGroup& group = channels.groups[g];
      if (!group.changeable() || group.width() < 2) continue;
      EXPECT_LE(apart(some(g)), 1e-4) << group.name;
      EXPECT_GT(
          testing::difference(whole, testing::run_model(mask(model, shapes, channels, some(g)), inputs)),
          1e-4)
          << "tells nothing: " << group.name;
      all.kept.merge(some(g).kept), ++groups;
    }
    EXPECT_LE(apart(all), 1e-4);
    return groups;
  }
};

TEST(Attention, CutsLikeItsMask) {
  TAILOR_NEEDS_RUNNER();
  using Qkv = TransformerStyle::Qkv;
  using Norm = TransformerStyle::Norm;
  using Sizes = TransformerStyle::Sizes;
  for (Qkv qkv : {Qkv::separate, Qkv::split, Qkv::gathered, Qkv::stacked, Qkv::per_head})
    for (Sizes sizes : {Sizes::literal, Sizes::partly, Sizes::computed})
      for (Norm norm : {Norm::batch, Norm::layer, Norm::spelled}) try {
          SCOPED_TRACE(static_cast<int>(qkv) * 100 + static_cast<int>(sizes) * 10 + static_cast<int>(norm));
          bool embedding = norm == Norm::spelled;
          Cuts cuts(testing::transformer({norm, qkv, sizes, embedding}), {graph::kUnknown, 5, 7});
          EXPECT_EQ(cuts.check(), norm == Norm::batch ? 3 : 2) << "heads, hidden, and the embedding";
        } catch (const Error& e) {
          ADD_FAILURE() << e.what() << " at " << e.place();
        }
}

// Nodes whose target shape was shared, but is needed in two ways now.
TEST(Attention, SharedTargetShapes) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts(
      {"Shape x -> s", "Gather s [0] -> b", "Concat b [5] [4] [6] -> t | axis=0", "MatMul x 7x24 -> a",
       "MatMul x 7x24 -> d", "Reshape a t -> a1", "Reshape d t -> d1", "Transpose a1 -> a2 | perm=[0,2,1,3]",
       "Transpose d1 -> d2 | perm=[0,2,1,3]", "Reshape a2 [0,-1,6] -> a3", "Reshape d2 [0,-1,6] -> d3",
       "MatMul a3 6x2 -> a4", "MatMul d3 6x2 -> d4", "Add a4 d4 -> y"},
      {graph::kUnknown, 5, 7});
  EXPECT_EQ(cuts.check(), 2);
}

// A class token, filled to the batch in two ways.
TEST(Attention, TokensFilledToTheBatch) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts(
      {"Shape x -> s", "Gather s [0] -> b", "Concat b [1] [6] -> t | axis=0", "ConstantOfShape t -> z0",
       "Add z0 6 -> token", "MatMul x 7x6 -> e", "Concat token e -> j | axis=1", "Expand 1x1x6 t -> u",
       "Concat u j -> k | axis=1", "Transpose k -> n | perm=[0,2,1]", "BatchNormalization n 6 6 6 6 -> m",
       "GlobalAveragePool m -> p", "Flatten p -> f", "MatMul f 6x3 -> y"},
      {graph::kUnknown, 5, 7});
  EXPECT_EQ(cuts.check(), 1);
}

}  // namespace
}  // namespace tailor::rewrite
