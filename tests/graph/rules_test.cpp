// Every shape rule, a line a case; see one_node.h for the language.
#include "tests/graph/one_node.h"

#include <gtest/gtest.h>

namespace tailor::graph {
namespace {

using testing::inferred;
using testing::OneNode;

void expect_all(const std::vector<OneNode>& cases) {
  for (const OneNode& c : cases)
    EXPECT_EQ(inferred(c), c.outputs) << c.op << " of " << c.inputs << " with " << c.attributes;
}

TEST(Rules, Elementwise) {
  for (const char* op : {"Relu", "Gelu", "HardSwish", "Softplus", "Mish", "Erf", "Sigmoid", "Clip", "Softmax",
                         "LogSoftmax", "LRN", "Identity", "Not", "Elu", "Sqrt"})
    expect_all({{op, "2x3x4", "", "2x3x4"}, {op, "?x3", "", "?x3"}, {op, "scalar", "", "scalar"}});
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Pow", "Max", "Sum", "Equal", "Less", "And"})
    expect_all({{op, "2x3x4 3x1", "", "2x3x4"},
                {op, "1x3 2x1", "", "2x3"},
                {op, "?x3 1x1", "", "?x3"},
                {op, "?x3 5x3", "", "5x3"},
                {op, "?x3 ?x3", "", "?x3"},
                {op, "2x3 4x3", "", "error"},
                {op, "2x3 scalar", "", "2x3"}});
  expect_all({{"Sum", "2x1 1x3 1x1", "", "2x3"},
              {"Where", "2x1 1x3 scalar", "", "2x3"},
              {"PRelu", "1x8x4x4 8x1x1", "", "1x8x4x4"},
              {"PRelu", "1x8x4x4 2x8x4x4", "", "error"},
              {"PRelu", "8 2x8", "", "error"},
              {"Cast", "2x3", "to=7", "2x3"},
              {"Dropout", "2x3", "", "2x3 2x3"},
              {"CumSum", "2x3 {0}", "", "2x3"},
              {"Trilu", "3x3", "", "3x3"}});
}

TEST(Rules, Normalisation) {
  expect_all({{"BatchNormalization", "1x8x4 8 8 8 8", "", "1x8x4"},
              {"BatchNormalization", "1x8x4 9 9 9 9", "", "error"},
              {"InstanceNormalization", "1x8x4 8 8", "", "1x8x4"},
              {"InstanceNormalization", "1x8x4 8 7", "", "error"},
              {"LayerNormalization", "2x5x8 8 8", "", "2x5x8 2x5x1 2x5x1"},
              {"LayerNormalization", "2x5x8 5x8 5x8", "axis=1", "2x5x8 2x1x1"},
              {"GroupNormalization", "1x8x4 8 8", "num_groups=2", "1x8x4"}});
}

TEST(Rules, Convolution) {
  expect_all(
      {{"Conv", "1x3x32x32 16x3x3x3 16", "", "1x16x30x30"},
       {"Conv", "1x3x32x32 16x3x3x3", "pads=[1,1,1,1] strides=[2,2]", "1x16x16x16"},
       {"Conv", "1x3x33x33 16x3x3x3", "auto_pad=SAME_UPPER strides=[2,2]", "1x16x17x17"},
       {"Conv", "1x3x33x33 16x3x3x3", "auto_pad=VALID strides=[2,2]", "1x16x16x16"},
       {"Conv", "1x3x32x32 16x3x3x3", "dilations=[2,2]", "1x16x28x28"},
       {"Conv", "1x8x32x32 8x1x3x3", "group=8 pads=[1,1,1,1]", "1x8x32x32"},
       {"Conv", "1x3x100 16x3x5", "strides=[2]", "1x16x48"},
       {"Conv", "1x3x8x8x8 4x3x3x3x3", "", "1x4x6x6x6"},
       {"Conv", "?x3x?x32 16x3x3x3", "", "?x16x?x30"},
       {"Conv", "1x4x32x32 16x3x3x3", "", "error"},
       {"Conv", "1x8x32x32 9x1x3x3", "group=8", "error"},
       {"Conv", "1x3x32x32 16x3x3x3 15", "", "error"},
       {"Conv", "1x3x2x2 16x3x3x3", "", "error"},
       {"Conv", "1x3x32x32 16x3x3x3", "strides=[0,1]", "error"},
       {"Conv", "1x3x32x32 16x3x3x3", "pads=[1,1]", "error"},
       {"ConvTranspose", "1x8x16x16 8x4x2x2", "strides=[2,2]", "1x4x32x32"},
       {"ConvTranspose", "1x8x16x16 8x4x3x3", "strides=[2,2] pads=[1,1,1,1] output_padding=[1,1]",
        "1x4x32x32"},
       {"ConvTranspose", "1x8x16x16 8x1x3x3", "group=8 output_shape=[33,33] strides=[2,2]", "1x8x33x33"},
       {"ConvTranspose", "1x8x16x16 8x4x3x3", "auto_pad=SAME_UPPER strides=[2,2]", "1x4x32x32"},
       {"ConvTranspose", "1x8x16x16 4x4x3x3", "", "error"},
       {"ConvInteger", "1x3x8x8 4x3x3x3", "", "1x4x6x6"},
       {"QLinearConv", "1x3x8x8 scalar scalar 4x3x3x3 scalar scalar scalar scalar 4", "", "1x4x6x6"},
       {"FusedConv", "1x3x8x8 4x3x3x3", "activation=Relu", "1x4x6x6", 18, "com.microsoft"}});
}

TEST(Rules, Pooling) {
  expect_all(
      {{"MaxPool", "1x8x32x32", "kernel_shape=[2,2] strides=[2,2]", "1x8x16x16 1x8x16x16"},
       {"MaxPool", "1x8x33x33", "kernel_shape=[2,2] strides=[2,2] ceil_mode=1", "1x8x17x17"},
       {"MaxPool", "1x8x5x5", "kernel_shape=[1,1] strides=[3,3] ceil_mode=1", "1x8x2x2"},
       {"MaxPool", "1x8x4x4", "kernel_shape=[2,2] strides=[3,3] pads=[1,1,1,1] ceil_mode=1", "1x8x2x2"},
       {"AveragePool", "1x8x32x32", "kernel_shape=[3,3] pads=[1,1,1,1] dilations=[2,2]", "1x8x30x30"},
       {"AveragePool", "1x8x7x7", "kernel_shape=[3,3] strides=[2,2] auto_pad=SAME_LOWER", "1x8x4x4"},
       {"LpPool", "1x8x7", "kernel_shape=[3]", "1x8x5"},
       {"MaxPool", "1x8x7x7", "kernel_shape=[3]", "error"},
       {"GlobalAveragePool", "1x8x7x7", "", "1x8x1x1"},
       {"GlobalMaxPool", "1x8x7", "", "1x8x1"},
       {"QLinearGlobalAveragePool", "1x8x7x7 scalar scalar", "", "1x8x1x1", 18, "com.microsoft"},
       {"QLinearGlobalAveragePool", "1x7x7x8 scalar scalar", "channels_last=1", "1x1x1x8", 18,
        "com.microsoft"},
       {"QLinearAveragePool", "1x8x8x8 scalar scalar", "kernel_shape=[2,2] strides=[2,2]", "1x8x4x4", 18,
        "com.microsoft"}});
}

TEST(Rules, Products) {
  expect_all(
      {{"Gemm", "4x8 8x3 3", "", "4x3"},
       {"Gemm", "4x8 3x8", "transB=1", "4x3"},
       {"Gemm", "8x4 8x3", "transA=1", "4x3"},
       {"Gemm", "4x8 7x3", "", "error"},
       {"Gemm", "4x8 8x3 5", "", "error"},
       {"MatMul", "2x1x4x8 5x8x3", "", "2x5x4x3"},
       {"MatMul", "8 8x3", "", "3"},
       {"MatMul", "4x8 8", "", "4"},
       {"MatMul", "8 8", "", "scalar"},
       {"MatMul", "4x8 7x3", "", "error"},
       {"MatMul", "?x4x8 8x3", "", "?x4x3"},
       {"MatMulInteger", "4x8 8x3", "", "4x3"},
       {"QLinearMatMul", "4x8 scalar scalar 8x3 scalar scalar scalar scalar", "", "4x3"},
       {"FusedMatMul", "4x8 3x8", "transB=1", "4x3", 18, "com.microsoft"},
       {"QLinearAdd", "4x8 scalar scalar 8 scalar scalar scalar scalar", "", "4x8", 18, "com.microsoft"},
       {"QLinearConcat", "scalar scalar 1x2 scalar scalar 1x3 scalar scalar", "axis=1", "1x5", 18,
        "com.microsoft"},
       {"Gelu", "4x8", "", "4x8", 18, "com.microsoft"},
       {"Einsum", "2x3x4 2x4x5", "equation=bij,bjk->bik", "2x3x5"},
       {"Einsum", "3x4 4x5", "equation=ij,jk", "3x5"},
       {"Einsum", "3x4 5x5", "equation=ij,jk->ik", "error"},
       {"LSTM", "7x2x16 1x32x16 1x32x8", "hidden_size=8", "7x1x2x8 1x2x8 1x2x8"},
       {"GRU", "7x2x16 2x24x16 2x24x8", "hidden_size=8 direction=bidirectional", "7x2x2x8 2x2x8"},
       {"RNN", "2x7x16 1x8x16 1x8x8", "hidden_size=8 layout=1", "2x7x1x8 2x1x8"},
       {"LSTM", "7x2x15 1x32x16 1x32x8", "hidden_size=8", "error"}});
}

TEST(Rules, JoinAndCut) {
  expect_all({{"Concat", "1x2x4 1x3x4", "axis=1", "1x5x4"},
              {"Concat", "1x2x4 1x3x4", "axis=-2", "1x5x4"},
              {"Concat", "1x2x4 1x3x5", "axis=1", "error"},
              {"Concat", "1x?x4 1x3x4", "axis=1", "1x?x4"},
              {"Split", "1x8x4", "axis=1 split=[3,5]", "1x3x4 1x5x4", 11},
              {"Split", "1x8x4 [3,5]", "axis=1", "1x3x4 1x5x4"},
              {"Split", "1x8x4", "axis=1", "1x4x4 1x4x4"},
              {"Split", "1x7x4", "axis=1 num_outputs=3", "1x3x4 1x3x4 1x1x4"},
              {"Split", "1x8x4 [3,4]", "axis=1", "error"},
              {"Slice", "1x8x4", "starts=[1] ends=[3] axes=[1]", "1x2x4", 9},
              {"Slice", "1x8x4", "starts=[0,2] ends=[1,-1]", "1x5x4", 9},
              {"Slice", "1x8x4 [1] [3] [1]", "", "1x2x4"},
              {"Slice", "1x8x4 [0] [99] [1] [3]", "", "1x3x4"},
              {"Slice", "1x8x4 [-1] [-99] [1] [-1]", "", "1x8x4"},
              {"Slice", "1x8x4 [-1] [-99] [1] [-3]", "", "1x3x4"},
              {"Slice", "1x8x4 [5] [2] [1]", "", "1x0x4"},
              {"Slice", "1x8x4 1 1 [1]", "", "1x?x4"},
              {"Slice", "1x8x4 1 1", "", "?x?x?"},
              {"Slice", "1x8x4 [0] [1] [1] [0]", "", "error"},
              {"Pad", "1x8x4", "pads=[0,1,2,0,1,3]", "1x10x9", 9},
              {"Pad", "1x8x4 [0,1,2,0,1,3]", "", "1x10x9"},
              {"Pad", "1x8x4 [1,2] - [-1]", "", "1x8x7"},
              {"Pad", "1x8x4 [0,0,-1,0,0,-1]", "", "1x8x2"},
              {"Pad", "1x8x4 [0,1]", "", "error"},
              {"Tile", "1x8 [2,3]", "", "2x24"},
              {"Expand", "8x1 [2,1,4]", "", "2x8x4"},
              {"Expand", "8x3 [2,1,4]", "", "error"}});
}

TEST(Rules, Reshaping) {
  expect_all({{"Reshape", "2x3x4 [0,-1]", "", "2x12"},
              {"Reshape", "2x3x4 [4,6]", "", "4x6"},
              {"Reshape", "0x3 [0,5]", "allowzero=1", "0x5"},
              {"Reshape", "2x3x4 [5,-1]", "", "error"},
              {"Reshape", "2x3x4 [5,5]", "", "error"},
              {"Reshape", "2x3 [-1,-1]", "", "error"},
              {"Reshape", "?x3x4 [-1,12]", "", "?x12"},
              {"Reshape", "?x3x4 [0,12]", "", "?x12"},
              {"Reshape", "2x3 3", "", "?x?x?"},
              {"Reshape", "2x3 ?", "", "none"},
              {"Flatten", "2x3x4", "", "2x12"},
              {"Flatten", "2x3x4", "axis=0", "1x24"},
              {"Flatten", "2x3x4", "axis=-1", "6x4"},
              {"Flatten", "?x3x4", "", "?x12"},
              {"Squeeze", "1x3x1", "", "3", 11},
              {"Squeeze", "1x3x1", "axes=[0]", "3x1", 11},
              {"Squeeze", "1x3x1 [-1]", "", "1x3"},
              {"Squeeze", "2x3 [0]", "", "error"},
              {"Squeeze", "?x3", "", "none"},
              {"Unsqueeze", "3x4", "axes=[0,3]", "1x3x4x1", 11},
              {"Unsqueeze", "3x4 [-1]", "", "3x4x1"},
              {"Unsqueeze", "3 [0,0]", "", "error"},
              {"Transpose", "2x3x4", "", "4x3x2"},
              {"Transpose", "2x3x4", "perm=[0,2,1]", "2x4x3"},
              {"Transpose", "2x3x4", "perm=[0,2]", "error"},
              {"DepthToSpace", "1x9x4x5", "blocksize=3", "1x1x12x15"},
              {"DepthToSpace", "1x8x4x4", "blocksize=3", "error"},
              {"SpaceToDepth", "1x1x12x15", "blocksize=3", "1x9x4x5"}});
}

TEST(Rules, Resizing) {
  expect_all(
      {{"Resize", "1x8x5x5 [1,1,2,1.5]f", "", "1x8x10x7", 10},
       {"Resize", "1x8x5x5 - [1,1,2,2]f", "", "1x8x10x10"},
       {"Resize", "1x8x5x5 - - [1,8,11,12]", "", "1x8x11x12"},
       {"Resize", "1x8x5x5 - - [11,12]", "axes=[2,3]", "1x8x11x12"},
       {"Resize", "1x8x5x10 - - [20,20]", "axes=[2,3] keep_aspect_ratio_policy=not_larger", "1x8x10x20"},
       {"Resize", "1x8x5x10 - - [20,20]", "axes=[2,3] keep_aspect_ratio_policy=not_smaller", "1x8x20x40"},
       {"Resize", "1x8x5x5 - - 4", "", "?x?x?x?"},
       {"Resize", "1x8x5x5 - [2,2]f", "", "error"},
       {"Upsample", "1x8x5x5", "scales=[1.0,1.0,2.0,3.0]f", "1x8x10x15", 7},
       {"Upsample", "1x8x5x5 [1,1,2,3]f", "", "1x8x10x15", 9}});
}

TEST(Rules, Selection) {
  expect_all({{"Gather", "5x6x7 2x3", "axis=1", "5x2x3x7"},
              {"Gather", "5x6 {1}", "", "6"},
              {"Gather", "5x6 {1}", "axis=2", "error"},
              {"GatherElements", "5x6 2x6", "", "2x6"},
              {"GatherND", "5x6x7 3x2", "", "3x7"},
              {"GatherND", "2x6x7 2x3x1", "batch_dims=1", "2x3x7"},
              {"ReduceMean", "2x3x4", "axes=[1]", "2x1x4", 13},
              {"ReduceMean", "2x3x4 [1]", "keepdims=0", "2x4"},
              {"ReduceMean", "2x3x4", "", "1x1x1"},
              {"ReduceMean", "2x3x4", "keepdims=0", "scalar"},
              {"ReduceSum", "2x3x4", "noop_with_empty_axes=1", "2x3x4"},
              {"ReduceMax", "2x3x4 1", "", "?x?x?"},
              {"ReduceMax", "2x3x4 [3]", "", "error"},
              {"ArgMax", "2x3x4", "axis=1", "2x1x4"},
              {"ArgMin", "2x3x4", "axis=-1 keepdims=0", "2x3"},
              {"TopK", "2x10 [3]", "", "2x3 2x3"},
              {"TopK", "2x10", "k=3 axis=1", "2x3", 9},
              {"TopK", "2x10 [11]", "", "error"},
              {"OneHot", "2x3 {10} 2", "", "2x3x10"},
              {"OneHot", "2x3 {10} 2", "axis=0", "10x2x3"},
              {"Shape", "2x3x4", "", "3"},
              {"Shape", "2x3x4", "start=1", "2"},
              {"Shape", "2x3x4", "start=-2 end=-1", "1"},
              {"Size", "2x3", "", "scalar"},
              {"Range", "{2} {10} {3}", "", "3"},
              {"Range", "{10} {2} {3}", "", "0"},
              {"ConstantOfShape", "[2,3]", "", "2x3"},
              {"ConstantOfShape", "2", "", "?x?"},
              {"NonZero", "2x3", "", "2x?"},
              {"NonZero", "[0,5,0,7]", "", "1x2"}});
}

TEST(Rules, Quantisation) {
  expect_all({{"QuantizeLinear", "2x3 scalar scalar", "", "2x3"},
              {"DequantizeLinear", "2x3 scalar scalar", "", "2x3"},
              {"DynamicQuantizeLinear", "2x3", "", "2x3 scalar scalar"}});
}

TEST(Rules, UnknownOperatorsAreNotedNeverGuessed) {
  OneNode strange{"Frobnicate", "2x3", "", "none"};
  EXPECT_EQ(inferred(strange), "none");
  Shapes shapes = infer_shapes(testing::model_of(strange));
  ASSERT_EQ(shapes.notes.size(), 1u);
  EXPECT_NE(shapes.notes[0].find("Frobnicate"), std::string::npos);
}

TEST(Rules, ContradictionsNameTheNodeAndBothShapes) {
  try {
    infer_shapes(testing::model_of({"Conv", "1x4x32x32 16x3x3x3", "", "x"}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_shape);
    EXPECT_NE(error.place().find("it"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("1x4x32x32"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("16x3x3x3"), std::string::npos);
  }
}

}  // namespace
}  // namespace tailor::graph
