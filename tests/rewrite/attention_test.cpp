// Heads of transformers: each changeable group cut alone and all together, at another batch than the one that the
// channels were found with.
#include "tests/graph/transformers.h"
#include "tests/rewrite/cuts.h"

namespace tailor::rewrite {
namespace {

using testing::Cuts;
using testing::TransformerStyle;

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
          Cuts cuts(testing::transformer({norm, qkv, sizes, embedding}), {graph::kUnknown, 5, 7}, {}, 3, 17);
          EXPECT_EQ(cuts.check(), norm == Norm::batch ? 3 : 2) << "heads, hidden, and the embedding";
        } catch (const Error& e) {
          ADD_FAILURE() << e.what() << " at " << e.place();
        }
}

// What was cut can be cut again: target shapes that were pinned are pinned once more.
TEST(Attention, CutTwice) {
  TAILOR_NEEDS_RUNNER();
  for (auto sizes : {TransformerStyle::Sizes::partly, TransformerStyle::Sizes::computed}) {
    Cuts first(testing::transformer({TransformerStyle::Norm::batch, TransformerStyle::Qkv::gathered, sizes}),
               {graph::kUnknown, 5, 7}, {}, 3, 17);
    Cut all;
    for (int g = 0; g < static_cast<int>(first.channels.groups.size()); ++g)
      if (first.channels.groups[g].changeable()) all.kept.merge(first.some(g).kept);
    EXPECT_EQ(Cuts(cut(first.model, first.shapes, first.channels, all), 3).check(), 3);
  }
}

// Two keys and values for four queries, turned by their positions, with a bias per head.
TEST(Attention, GroupedQueries) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts({"MatMul x 7x24 -> q0",
             "Reshape q0 [0,-1,4,6] -> q1",
             "Transpose q1 -> q2 | perm=[0,2,1,3]",
             "Slice q2 [0] [3] [3] -> qa",
             "Slice q2 [3] [6] [3] -> qb",
             "Neg qb -> qc",
             "Concat qc qa -> qd | axis=3",
             "Mul q2 5x6 -> qe",
             "Mul qd 5x6 -> qf",
             "Add qe qf -> q",
             "MatMul x 7x12 -> k0",
             "Reshape k0 [0,-1,2,6] -> k1",
             "Transpose k1 -> k2 | perm=[0,2,3,1]",
             "Unsqueeze k2 [2] -> k3",
             "Expand k3 [1,2,2,6,5] -> k4",
             "Reshape k4 [-1,4,6,5] -> k",
             "MatMul x 7x12 -> v0",
             "Reshape v0 [0,-1,2,6] -> v1",
             "Transpose v1 -> v2 | perm=[0,2,1,3]",
             "Unsqueeze v2 [2] -> v3",
             "Expand v3 [1,1,2,1,1] -> v4",
             "Reshape v4 [-1,4,5,6] -> v",
             "MatMul q k -> s",
             "Add s 4x5x5 -> t",
             "Mul t {0.1}f -> t1",
             "Softmax t1 -> p | axis=-1",
             "MatMul p v -> o",
             "Transpose o -> o1 | perm=[0,2,1,3]",
             "Reshape o1 [0,0,-1] -> o2",
             "MatMul o2 24x3 -> y"},
            {graph::kUnknown, 5, 7}, {}, 3, 17);
  EXPECT_EQ(cuts.check(), 1);
  EXPECT_EQ(cuts.frozen("q0", 2), "");
  EXPECT_EQ(cuts.channels.groups[0].width(), 2) << "a key with its queries";
}

// Batch and heads are one axis (torch.nn.MultiheadAttention), whose size the graph computes.
TEST(Attention, HeadsBesideTheBatch) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts({"Transpose x -> xt | perm=[1,0,2]",
             "MatMul xt 7x24 -> q0",
             "MatMul xt 7x24 -> k0",
             "MatMul xt 7x24 -> v0",
             "Shape q0 -> s",
             "Gather s [0] -> l",
             "Gather s [1] -> b",
             "Mul b [4] -> bh",
             "Concat l bh [6] -> t | axis=0",
             "Reshape q0 t -> q1",
             "Reshape k0 t -> k1",
             "Reshape v0 t -> v1",
             "Transpose q1 -> q | perm=[1,0,2]",
             "Transpose k1 -> k | perm=[1,2,0]",
             "Transpose v1 -> v | perm=[1,0,2]",
             "MatMul q k -> p0",
             "Mul p0 {0.2}f -> p1",
             "Softmax p1 -> p | axis=-1",
             "MatMul p v -> o1",
             "Transpose o1 -> o2 | perm=[1,0,2]",
             "Mul l b -> lb",
             "Concat lb [24] -> u | axis=0",
             "Reshape o2 u -> o3",
             "Gemm o3 24x10 10 -> g",
             "Concat l b [10] -> w | axis=0",
             "Reshape g w -> h",
             "MatMul h 10x3 -> y"},
            {graph::kUnknown, 5, 7}, {}, 3, 17);
  EXPECT_EQ(cuts.check(), 2);
  EXPECT_EQ(cuts.channels.groups[0].width(), 4);
}

// Nodes whose target shape was shared, but is needed in two ways now.
TEST(Attention, SharedTargetShapes) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts(
      {"Shape x -> s", "Gather s [0] -> b", "Concat b [5] [4] [6] -> t | axis=0", "MatMul x 7x24 -> a",
       "MatMul x 7x24 -> d", "Reshape a t -> a1", "Reshape d t -> d1", "Transpose a1 -> a2 | perm=[0,2,1,3]",
       "Transpose d1 -> d2 | perm=[0,2,1,3]", "Reshape a2 [0,-1,6] -> a3", "Reshape d2 [0,-1,6] -> d3",
       "MatMul a3 6x2 -> a4", "MatMul d3 6x2 -> d4", "Add a4 d4 -> y"},
      {graph::kUnknown, 5, 7}, {}, 3, 17);
  EXPECT_EQ(cuts.check(), 2);
}

// A class token, filled to the batch in three ways.
TEST(Attention, TokensFilledToTheBatch) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts({"Shape x -> s", "Gather s [0] -> b", "Concat b [1] [6] -> t | axis=0", "ConstantOfShape t -> z0",
             "Add z0 6 -> token", "MatMul x 7x6 -> e", "Concat token e -> j | axis=1", "Expand 1x1x6 t -> u",
             "Concat b [1] [1] -> w | axis=0", "Tile 1x1x6 w -> g", "Concat u j g -> k | axis=1",
             "Transpose k -> n | perm=[0,2,1]", "BatchNormalization n 6 6 6 6 -> m",
             "GlobalAveragePool m -> p", "Flatten p -> f", "MatMul f 6x3 -> y"},
            {graph::kUnknown, 5, 7}, {}, 3, 17);
  EXPECT_EQ(cuts.check(), 1);
}

}  // namespace
}  // namespace tailor::rewrite
