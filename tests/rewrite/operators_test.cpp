// Rearrangements, normalisations and quantised layers: each changeable group against its mask.
#include "tests/rewrite/cuts.h"

namespace tailor::rewrite {
namespace {

using testing::Cuts;
using Lines = std::vector<std::string>;

TEST(Operators, RearrangedChannels) {
  TAILOR_NEEDS_RUNNER();
  for (const char* mode : {"DCR", "CRD"}) {
    Cuts cuts({"Conv x 16x4x1x1 -> a", std::string("DepthToSpace a -> b | blocksize=2 mode=") + mode,
               "Conv b 3x4x1x1 -> y"},
              {1, 4, 6, 6});
    EXPECT_EQ(cuts.check(), 1) << mode;
    EXPECT_EQ(cuts.channels.groups[0].width(), 4) << "blocks of four";
  }
  EXPECT_EQ(
      Cuts({"Conv x 5x4x1x1 -> a", "SpaceToDepth a -> b | blocksize=3", "Conv b 3x45x1x1 -> y"}, {1, 4, 6, 6})
          .check(),
      1);
  EXPECT_EQ(Cuts({"Conv x 6x4x1x1 -> a", "Gather a [5,0,3,0,1,2,4] -> b | axis=1", "Conv b 3x7x1x1 -> y"},
                 {1, 4, 6, 6})
                .check(),
            1);
}

TEST(Operators, ConvolutionsOfOtherShapes) {
  TAILOR_NEEDS_RUNNER();
  EXPECT_EQ(Cuts({"Conv x 8x4x3 8 -> a", "Relu a -> b", "Conv b 3x8x2 -> y"}, {1, 4, 9}).check(), 1);
  Cuts grouped({"Conv x 12x4x1x1 -> a", "Conv a 16x3x1x1 16 -> b | group=4", "PRelu b 16x1x1 -> c",
                "Conv c 3x16x1x1 -> y"},
               {1, 4, 5, 5});
  EXPECT_EQ(grouped.check(), 2);
  EXPECT_EQ(grouped.channels.groups[0].width(), 3) << "all groups keep the same positions";
}

TEST(Operators, NormalisationsPerChannelAndPerGroup) {
  TAILOR_NEEDS_RUNNER();
  EXPECT_EQ(
      Cuts({"Conv x 8x4x1x1 -> a", "InstanceNormalization a 8 8 -> b", "Conv b 3x8x1x1 -> y"}, {1, 4, 5, 5})
          .check(),
      1);
  Cuts spelled(
      {"Conv x 8x4x1x1 -> a", "Reshape a [0,4,-1] -> b", "InstanceNormalization b 4 4 -> c", "Shape a -> s",
       "Reshape c s -> d", "Mul d 8x1x1 -> e", "Add e 8x1x1 -> f", "Conv f 3x8x1x1 -> y"},
      {1, 4, 5, 5});
  EXPECT_EQ(spelled.check(), 1);
  EXPECT_EQ(spelled.channels.groups[0].width(), 4) << "whole groups";
  Cuts stated({"Conv x 8x4x1x1 -> a", "GroupNormalization a 8 8 -> b | num_groups=4", "Conv b 3x8x1x1 -> y"},
              {1, 4, 5, 5}, {}, 1, 21);
  EXPECT_EQ(stated.check(), 1);
  for (const char* over :
       {"LpNormalization a -> b | axis=1", "MeanVarianceNormalization a -> b | axes=[1,2,3]",
        "GroupNormalization a 8 8 -> b | num_groups=1"}) {
    Cuts cuts({"Conv x 8x4x1x1 -> a", over, "Conv b 3x8x1x1 -> y"}, {1, 4, 5, 5}, {}, 1, 21);
    EXPECT_EQ(cuts.frozen("a", 1), "is normalised over") << over;
  }
}

using Constants = std::map<std::string, graph::Tensor, std::less<>>;

graph::Tensor bytes(graph::DataType type, graph::Shape dims) {
  Random random(7);
  std::vector<std::int8_t> values(static_cast<std::size_t>(graph::element_count(dims)));
  for (std::int8_t& v : values)
    v = static_cast<std::int8_t>(type == graph::DataType::u8 ? random.below(100) : random.below(60)) -
        (type == graph::DataType::i8 ? 30 : 0);
  return {type, std::move(dims), Bytes::own(std::move(values))};
}

graph::Tensor scales(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(0.01f + 0.002f * static_cast<float>(i));
  return graph::make_f32({count}, values);
}

graph::Tensor zeros(graph::DataType type, std::int64_t count) {
  std::vector<std::byte> none(static_cast<std::size_t>(count) * graph::element_size(type));
  return {type, {count}, Bytes::own(std::move(none))};
}

graph::Tensor scalar(graph::DataType type, std::int8_t value) {
  return {type, {}, Bytes::own(std::vector<std::int8_t>{value})};
}

// Graphs of these lines with operators of com.microsoft where ONNX has none; masks and cuts give the same bytes.
Cuts quantised(const Lines& lines, graph::Shape input, Constants constants) {
  constants.insert({{"s", graph::make_f32({}, {0.05f})},
                    {"t", graph::make_f32({}, {0.7f})},
                    {"z", scalar(graph::DataType::u8, 90)},
                    {"zw", scalar(graph::DataType::i8, 3)}});
  graph::Model model = testing::graph_of(lines, std::move(input), std::move(constants));
  model.opsets["com.microsoft"] = 1;
  for (graph::Node& node : model.graph.nodes)
    if (node.op == "QGemm" || node.op == "QLinearAdd" || node.op == "QLinearMul")
      node.domain = "com.microsoft";
  Cuts cuts(std::move(model));
  cuts.tolerance = 0;
  return cuts;
}

TEST(Operators, QuantisedProducts) {
  TAILOR_NEEDS_RUNNER();
  Constants w = {{"w", bytes(graph::DataType::i8, {6, 9})}, {"v", bytes(graph::DataType::i8, {9, 4})},
                 {"r", bytes(graph::DataType::i8, {9, 6})}, {"sw", scales(9)},
                 {"zv", zeros(graph::DataType::i8, 9)},     {"b", bytes(graph::DataType::u8, {9})},
                 {"c", zeros(graph::DataType::i32, 9)}};
  const std::string in = "QuantizeLinear x s z -> q", out = "DequantizeLinear p t z -> y";
  const std::string last = "QLinearMatMul h t z v s zw t z -> p";
  EXPECT_EQ(quantised({in, "QLinearMatMul q s z w s zw t z -> h", last, out}, {5, 6}, w).check(), 1);
  EXPECT_EQ(quantised({in, "QLinearMatMul q s z w sw zv t z -> h", last, out}, {5, 6}, w).check(), 1)
      << "per column";
  EXPECT_EQ(
      quantised({in, "QLinearMatMul q s z w s zw t z -> g", "QLinearAdd g t z b t z t z -> h", last, out},
                {5, 6}, w)
          .check(),
      1);
  EXPECT_EQ(quantised({in, "QGemm q s z r sw zv c t z -> h | transB=1", last, out}, {5, 6}, w).check(), 1);
  EXPECT_EQ(quantised({in, "MatMulInteger q w z zw -> h0", "Cast h0 -> h1 | to=1", "Mul h1 sw -> h2",
                       "QuantizeLinear h2 s z -> h", last, out},
                      {5, 6}, w)
                .check(),
            1);
}

TEST(Operators, QuantisedConvolutions) {
  TAILOR_NEEDS_RUNNER();
  Constants w = {{"w", bytes(graph::DataType::i8, {9, 6, 1, 1})},
                 {"v", bytes(graph::DataType::i8, {4, 9, 1, 1})},
                 {"sw", scales(9)},
                 {"zv", zeros(graph::DataType::i8, 9)},
                 {"c", zeros(graph::DataType::i32, 9)},
                 {"zc", zeros(graph::DataType::i32, 9)}};
  const std::string in = "QuantizeLinear x s z -> q";
  EXPECT_EQ(quantised({in, "ConvInteger q w z zw -> h0", "Cast h0 -> h1 | to=1", "QuantizeLinear h1 t z -> h",
                       "ConvInteger h v z zw -> p", "Cast p -> y | to=1"},
                      {1, 6, 4, 4}, w)
                .check(),
            1);
  Cuts qdq = quantised({in, "DequantizeLinear q s z -> d", "DequantizeLinear w sw zv -> wd | axis=0",
                        "DequantizeLinear c sw zc -> cd | axis=0", "Conv d wd cd -> a", "Relu a -> b",
                        "QuantizeLinear b t z -> bq", "DequantizeLinear bq t z -> e",
                        "DequantizeLinear v s zw -> vd", "Conv e vd -> y"},
                       {1, 6, 4, 4}, w);
  qdq.tolerance = 1e-5;
  EXPECT_EQ(qdq.check(), 1);
  Cuts shared = quantised({in, "DequantizeLinear q s z -> d", "DequantizeLinear w s zw -> wd",
                           "Conv d wd -> a", "Conv d wd -> b", "Concat a b -> y | axis=1"},
                          {1, 6, 4, 4}, w);
  EXPECT_EQ(shared.check(), 0) << "who else reads dequantised weights could need them whole";
  Cuts dynamic = quantised({"Conv x 8x6x1x1 -> a", "DynamicQuantizeLinear a -> h hs hz",
                            "DequantizeLinear h hs hz -> d", "Conv d 3x8x1x1 -> y"},
                           {1, 6, 4, 4}, {});
  EXPECT_EQ(dynamic.frozen("a", 1), "is quantised by its own range");
}

}  // namespace
}  // namespace tailor::rewrite
