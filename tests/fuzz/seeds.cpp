// Graphs of a few small layers each: together they hold every operator that has a rule of its own for channels.
#include "tests/fuzz/mutator.h"
#include "tests/rewrite/bodies.h"

namespace tailor::fuzz {
namespace {

using Lines = std::vector<std::string>;

// Images of 1x4x5x5.
std::vector<Lines> images() {
  std::vector<Lines> list = testing::graphs_that_name_sizes();
  const std::vector<Lines> more = {
      {"Conv x 8x4x3x3 8 -> a | pads=[1,1,1,1]", "BatchNormalization a 8 8 8 8 -> b", "Relu b -> c",
       "Conv c 8x8x1x1 -> d", "Add d c -> e", "Relu e -> f", "GlobalAveragePool f -> g", "Flatten g -> h",
       "Gemm h 8x3 3 -> y"},
      {"Conv x 8x4x1x1 -> a", "Conv a 8x1x3x3 -> b | group=8 pads=[1,1,1,1]", "Clip b {0}f {6}f -> c",
       "Conv c 6x8x1x1 -> d", "Sigmoid d -> e", "Mul d e -> f", "Conv f 2x6x1x1 -> y"},
      {"Conv x 8x4x1x1 8 -> a", "MaxPool a -> p | kernel_shape=[2,2] strides=[2,2]", "Flatten p -> f",
       "Gemm f 32x6 6 -> g", "Relu g -> h", "Gemm h 3x6 -> y | transB=1"},
      {"Conv x 8x4x1x1 -> a", "DepthToSpace a -> b | blocksize=2", "SpaceToDepth b -> c | blocksize=2",
       "PRelu c 8x1x1 -> d", "InstanceNormalization d 8 8 -> e", "Conv e 2x8x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Squeeze a -> b", "Unsqueeze b [0] -> c", "Tile c [1,2,1,1] -> d",
       "Conv d 2x16x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "ReduceMean a -> m | axes=[2,3] keepdims=1", "Conv m 4x8x1x1 -> s",
       "Relu s -> r", "Conv r 8x4x1x1 -> e", "Sigmoid e -> g", "Mul a g -> b", "Softmax b -> c | axis=1",
       "ArgMax c -> y | axis=1"}};
  list.insert(list.end(), more.begin(), more.end());
  return list;
}

// Sequences of 1x5x4.
const std::vector<Lines>& sequences() {
  static const std::vector<Lines> list = {
      {"MatMul x 4x6 -> q", "MatMul x 4x6 -> k0", "Add k0 6 -> k", "Transpose k -> t | perm=[0,2,1]",
       "MatMul q t -> p", "Shape q -> s", "Gather s {2} -> d | axis=0", "Cast d -> f | to=1", "Sqrt f -> r",
       "Div p r -> u", "Softmax u -> v | axis=-1", "MatMul v x -> y"},
      {"MatMul x 4x8 -> a", "Reshape a [1,5,2,4] -> h", "Transpose h -> i | perm=[0,2,1,3]",
       "Mul i {2}f -> j", "Transpose j -> k | perm=[0,2,1,3]", "Reshape k [1,5,8] -> l",
       "LayerNormalization l 8 8 -> m", "MatMul m 8x3 -> y"},
      {"Transpose x -> t | perm=[1,0,2]", "LSTM t 1x16x4 1x16x4 1x32 -> a b c | hidden_size=4",
       "Squeeze a [1] -> d", "MatMul d 4x3 -> y"},
      {"Transpose x -> t | perm=[1,0,2]",
       "GRU t 2x12x4 2x12x4 2x24 -> a b | hidden_size=4 direction=bidirectional",
       "Transpose a -> c | perm=[0,2,1,3]", "Reshape c [0,0,-1] -> d", "MatMul d 8x3 -> y"}};
  return list;
}

}  // namespace

std::vector<std::string> made_seeds() {
  std::vector<std::string> seeds;
  for (const Lines& lines : images())
    seeds.push_back(onnx::serialize_to_string(testing::graph_of(lines, {1, 4, 5, 5})));
  for (const Lines& lines : sequences())
    seeds.push_back(onnx::serialize_to_string(testing::graph_of(lines, {1, 5, 4})));
  for (const graph::Model& model :
       {testing::choosing(0), testing::spelled_out(true), testing::spelled_out(false), testing::walking()})
    seeds.push_back(onnx::serialize_to_string(model));
  return seeds;
}

}  // namespace tailor::fuzz
