// Groups of small graphs made by hand: "Conv x 8x4x3x3 -> a" makes weights on the way.
#include "tailor/graph/channels.h"

#include "tailor/base/error.h"
#include "tests/graph/one_node.h"
#include "tests/graph/transformers.h"
#include "tests/testing.h"

#include <numeric>
#include <set>

namespace tailor::graph {
namespace {

using testing::words;

// Lines "Op inputs ... -> outputs ... | attributes". An operand that is a shape or a constant becomes an
// initializer; x is the input.
struct Made {
  Model model;
  Shapes shapes;
  Channels channels;

  const ChannelGroup& of(const std::string& value, int axis = 1, std::size_t position = 0) const {
    Label label = channels.find(value, axis);
    if (!label) throw std::runtime_error("no label on " + value);
    return channels.groups[channels.atoms[(*label)[position]].group];
  }
  std::string frozen(const std::string& value, int axis = 1) const {
    return channels.find(value, axis) ? of(value, axis).frozen : "fixed axis";
  }
  int width(const std::string& value, int axis = 1) const {
    return channels.find(value, axis) ? of(value, axis).width() : 0;
  }
  bool same(const std::string& a, const std::string& b, int axis_a = 1, int axis_b = 1) const {
    return channels.find(a, axis_a) && channels.find(b, axis_b) &&
           *channels.find(a, axis_a) == *channels.find(b, axis_b);
  }
};

std::string operand(Model& model, const std::string& word) {
  if (!std::isdigit(static_cast<unsigned char>(word[0])) && word[0] != '[' && word[0] != '{') return word;
  std::string name = "c" + std::to_string(model.graph.initializers.size());
  bool constant = word[0] == '[' || word[0] == '{';
  Shape dims = constant ? Shape{} : testing::shape_of(word);
  model.graph.initializers[name] =
      constant ? testing::constant_of(word)
               : make_f32(dims, std::vector<float>(static_cast<std::size_t>(element_count(dims)), 0.5f));
  return name;
}

// Atoms partition positions; labels are as long as their axes; units of a group occur equally often
// everywhere.
void expect_consistent(const Made& m) {
  std::set<int> seen;
  for (std::size_t g = 0; g < m.channels.groups.size(); ++g)
    for (std::size_t u = 0; u < m.channels.groups[g].atoms.size(); ++u) {
      int atom = m.channels.groups[g].atoms[u];
      EXPECT_TRUE(seen.insert(atom).second) << "in two groups";
      EXPECT_EQ(m.channels.atoms[atom].group, static_cast<int>(g));
      EXPECT_EQ(m.channels.atoms[atom].unit, static_cast<int>(u));
    }
  auto check = [&](const Label& label, const std::string& where) {
    std::map<int, int> count;
    for (int atom : *label) {
      EXPECT_TRUE(seen.contains(atom)) << where;
      ++count[atom];
    }
    for (auto [atom, times] : count)
      for (int other : m.channels.groups[m.channels.atoms[atom].group].atoms)
        EXPECT_EQ(count[other], times) << where;
  };
  for (const auto& [key, label] : m.channels.values) {
    check(label, key.first);
    const Shape* shape = m.shapes.shape(key.first);
    ASSERT_TRUE(shape) << key.first;
    EXPECT_EQ(static_cast<std::int64_t>(label->size()), shape->at(static_cast<std::size_t>(key.second)))
        << key.first;
  }
  for (const Binding& b : m.channels.bindings) {
    check(b.label, m.model.graph.nodes[b.node].label());
    const Shape* shape = m.shapes.shape(m.model.graph.nodes[b.node].inputs[b.input]);
    EXPECT_EQ(static_cast<std::int64_t>(b.label->size()), shape->at(static_cast<std::size_t>(b.axis)));
  }
}

Made make(const std::vector<std::string>& lines, Shape x = {1, 4, 8, 8}, int opset = 13) {
  Made m;
  m.model.opsets = {{"", opset}};
  m.model.graph.inputs = {{"x", DataType::f32, x}};
  for (const std::string& line : lines) {
    std::size_t arrow = line.find("->"), bar = line.find('|');
    std::vector<std::string> left = words(line.substr(0, arrow)),
                             right = words(
                                 line.substr(arrow + 2, bar == std::string::npos ? bar : bar - arrow - 2));
    Node node{left[0], "", "", {}, right};
    for (std::size_t i = 1; i < left.size(); ++i) node.inputs.push_back(operand(m.model, left[i]));
    if (bar != std::string::npos)
      for (const std::string& word : words(line.substr(bar + 1)))
        node.attributes[word.substr(0, word.find('='))].value =
            testing::attribute_of(word.substr(word.find('=') + 1));
    m.model.graph.nodes.push_back(std::move(node));
  }
  m.model.graph.outputs = {{m.model.graph.nodes.back().outputs[0], DataType::f32}};
  m.shapes = infer_shapes(m.model);
  m.channels = channel_groups(m.model, m.shapes);
  expect_consistent(m);
  return m;
}

const std::string kEnd = "Conv z 5x8x1x1 -> y";  // reads z with 8 channels; y is the output and frozen

TEST(Channels, AChain) {
  Made m = make({"Conv x 8x4x3x3 8 -> a", "BatchNormalization a 8 8 8 8 -> b", "Relu b -> z", kEnd});
  EXPECT_EQ(m.width("a"), 8);
  EXPECT_TRUE(m.of("a").changeable());
  EXPECT_TRUE(m.same("a", "z"));
  EXPECT_EQ(m.of("a").name, "Conv -> a");
  EXPECT_EQ(m.frozen("y"), "is a graph output");
  EXPECT_EQ(m.channels.find("x", 1), nullptr);
  EXPECT_EQ(m.channels.bindings.size(), 8u);  // weights, bias, four vectors; weights twice
}

TEST(Channels, ResidualAddsCouple) {
  Made m = make({"Conv x 8x4x1x1 -> a", "Conv a 8x8x1x1 -> b", "Conv b 8x8x1x1 -> c", "Add a c -> z", kEnd});
  EXPECT_TRUE(m.same("a", "c"));
  EXPECT_FALSE(m.same("a", "b"));
  EXPECT_TRUE(m.of("b").changeable());
}

TEST(Channels, ConcatAddsWidths) {
  Made m = make({"Conv x 3x4x1x1 -> a", "Conv x 5x4x1x1 -> b", "Concat a b -> z | axis=1", kEnd});
  EXPECT_EQ(m.channels.composition(m.channels.find("z", 1)).size(), 2u);
  EXPECT_EQ(m.width("a"), 3);
  EXPECT_EQ(m.width("b"), 5);
}

TEST(Channels, GroupedConvolutions) {
  Made depthwise = make({"Conv x 8x4x1x1 -> a", "Conv a 8x1x1x1 -> z | group=8", kEnd});
  EXPECT_TRUE(depthwise.same("a", "z"));
  Made twice = make({"Conv x 4x4x1x1 -> a", "Conv a 8x1x1x1 -> z | group=4", kEnd});
  EXPECT_EQ(twice.width("z"), 4);
  EXPECT_EQ(twice.channels.composition(twice.channels.find("z", 1))[0].second, 8);
  Made grouped = make({"Conv x 8x4x1x1 -> a", "Conv a 8x4x1x1 -> z | group=2", kEnd});
  EXPECT_EQ(grouped.width("a"), 4) << "the same positions of both groups go together";
  EXPECT_EQ(grouped.width("z"), 4);
  EXPECT_FALSE(grouped.same("a", "z"));
}

TEST(Channels, ConvTranspose) {
  Made m = make({"Conv x 6x4x1x1 -> a", "ConvTranspose a 6x8x2x2 -> z | strides=[2,2]", kEnd});
  EXPECT_EQ(m.width("a"), 6);
  EXPECT_EQ(m.width("z"), 8);
  Made depthwise = make({"Conv x 8x4x1x1 -> a", "ConvTranspose a 8x1x2x2 -> z | group=8", kEnd});
  EXPECT_TRUE(depthwise.same("a", "z"));
  // Two inputs for each of eight groups of one output: not depthwise.
  Made grouped = make({"Conv x 16x4x1x1 -> a", "ConvTranspose a 16x1x2x2 -> z | group=8", kEnd});
  EXPECT_EQ(grouped.width("a"), 2);
  EXPECT_EQ(grouped.width("z"), 1);
}

TEST(Channels, MatricesEitherWay) {
  Made m = make({"Gemm x 4x6 6 -> a", "Gemm a 8x6 -> b | transB=1", "MatMul b 8x5 -> c", "Add c 5 -> d",
                 "MatMul d 5x2 -> y"},
                {3, 4});
  EXPECT_EQ(m.width("a"), 6);
  EXPECT_EQ(m.width("b"), 8);
  EXPECT_EQ(m.width("c"), 5);
  EXPECT_EQ(m.channels.find("a", 0), nullptr);
  EXPECT_EQ(m.frozen("y"), "is a graph output");
}

TEST(Channels, SlopesAndSqueezeExcitation) {
  Made m =
      make({"Conv x 8x4x1x1 -> a", "PRelu a 8x1x1 -> b", "GlobalAveragePool b -> p", "Conv p 2x8x1x1 -> q",
            "Relu q -> r", "Conv r 8x2x1x1 -> s", "Sigmoid s -> t", "Mul b t -> z", kEnd});
  EXPECT_TRUE(m.same("a", "t"));
  EXPECT_EQ(m.width("q"), 2);
  EXPECT_TRUE(m.of("z").changeable());
}

TEST(Channels, FlattenRepeatsEachChannel) {
  Made m = make({"Conv x 8x4x1x1 -> a", "Flatten a -> f", "Gemm f 512x3 -> y"});
  Label f = m.channels.find("f", 1), a = m.channels.find("a", 1);
  ASSERT_EQ(f->size(), 512u);
  for (std::size_t i = 0; i < 512; ++i) EXPECT_EQ((*f)[i], (*a)[i / 64]);
}

TEST(Channels, ShuffleIsAPermutation) {
  Made m = make({"Conv x 8x4x1x1 -> a", "Reshape a [1,2,4,8,8] -> b", "Transpose b -> c | perm=[0,2,1,3,4]",
                 "Reshape c [1,8,8,8] -> z", kEnd});
  EXPECT_EQ(m.width("a"), 4);
  Label a = m.channels.find("a", 1), z = m.channels.find("z", 1);
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ((*z)[i], (*a)[i % 2 * 4 + i / 2]) << i;
}

TEST(Channels, PartsAndPads) {
  Made split = make({"Conv x 8x4x1x1 -> a", "Split a [3,5] -> b c | axis=1", "Conv b 5x3x1x1 -> d",
                     "Add d c -> e", "Conv e 2x5x1x1 -> y"});
  EXPECT_EQ(split.width("b"), 3);
  EXPECT_EQ(split.width("c"), 5);
  EXPECT_TRUE(split.same("c", "d"));
  Made slice = make({"Conv x 8x4x1x1 -> a", "Slice a [2] [7] [1] -> b", "Conv b 8x5x1x1 -> z", kEnd});
  EXPECT_EQ(slice.width("b"), 5);
  EXPECT_EQ(slice.channels.composition(slice.channels.find("a", 1)).size(), 2u);
  Made strided = make({"Conv x 8x4x1x1 -> a", "Slice a [0] [8] [1] [2] -> b", "Conv b 8x4x1x1 -> z", kEnd});
  EXPECT_EQ(strided.frozen("a"), "is cut with a stride");
  Made pad = make(
      {"Conv x 4x4x1x1 -> a", "Pad a [0,2,0,0,0,2,0,0] -> p", "Conv x 8x4x1x1 -> b", "Add p b -> z", kEnd});
  Label a = pad.channels.find("a", 1), z = pad.channels.find("z", 1);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ((*z)[i + 2], (*a)[i]);
  EXPECT_EQ(pad.width("a"), 4);
  EXPECT_EQ(pad.channels.composition(z).size(), 2u);
  Made reflected =
      make({"Conv x 8x4x1x1 -> a", "Pad a [0,1,0,0,0,1,0,0] -> p | mode=reflect", "Conv p 2x10x1x1 -> y"});
  EXPECT_EQ(reflected.frozen("a"), "is padded in a way that cannot be re-made");
}

TEST(Channels, PadsOfListedAxesAreNotGuessed) {
  Made m = make({"Conv x 8x4x1x1 -> a", "Pad a [1,1,0,0,1,1,0,0] {0}f [3,2,1,0] -> p", "Conv p 2x8x1x1 -> y"},
                {1, 4, 8, 8}, 18);
  EXPECT_EQ(m.frozen("a"), "is padded along listed axes");
}

TEST(Channels, GatherPicks) {
  Made m = make({"Conv x 8x4x1x1 -> a", "Gather a [7,1,-1] -> b | axis=1", "Conv b 2x3x1x1 -> y"});
  Label a = m.channels.find("a", 1), b = m.channels.find("b", 1);
  EXPECT_EQ(*b, (std::vector<int>{(*a)[7], (*a)[1], (*a)[7]}));
  Made one = make({"Conv x 8x4x1x1 -> a", "Gather a {1} -> y | axis=1"});
  EXPECT_EQ(one.frozen("a"), "is gathered by single or computed indices");
}

TEST(Channels, HostileIndicesFreeze) {
  for (const char* line : {"Gather a [7,8] -> y | axis=1", "Gather a [-9] -> y | axis=1"}) try {
      EXPECT_NE(make({"Conv x 8x4x1x1 -> a", line}).frozen("a"), "");
    } catch (const Error& e) {
      EXPECT_NE(e.code(), Code::bug) << e.what();
    }
}

TEST(Channels, WhatFreezes) {
  EXPECT_EQ(make({"Conv x 8x4x1x1 -> a", "Softmax a -> z | axis=1", kEnd}).frozen("a"), "is normalised over");
  EXPECT_EQ(make({"Conv x 8x4x1x1 -> a", "ReduceMean a -> y | axes=[1]"}).frozen("a"), "is reduced over");
  EXPECT_EQ(make({"Conv x 8x4x1x1 -> a", "ArgMax a -> y | axis=1"}).frozen("a"),
            "is used by ArgMax, which Tailor does not change");
  EXPECT_EQ(make({"Conv x 4x4x1x1 -> a", "Add a x -> b", "Conv b 2x4x1x1 -> y"}).frozen("a"),
            "meets a fixed axis");
  EXPECT_EQ(make({"Conv x 1x4x1x1 -> a", "Mul a x -> b", "Conv b 2x4x1x1 -> y"}).frozen("a"),
            "is broadcast over the channels of another value");
  EXPECT_EQ(make({"Conv x 8x4x1x1 -> a", "Relu a -> y"}).frozen("a"), "is a graph output");
  EXPECT_EQ(make({"Conv x 8x4x1x1 -> a", "ReduceMean a -> z | axes=[2,3]", kEnd}).frozen("a"), "");
  EXPECT_EQ(make({"Conv x 8x4x1x1 -> a", "Conv x 8x4x1x1 -> b", "Concat a b -> y | axis=0"}).frozen("a"),
            "is a graph output");
}

TEST(Channels, FrozenNamesTheNode) {
  Made m = make({"Conv x 8x4x1x1 -> a", "Softmax a -> z | axis=1", kEnd});
  EXPECT_EQ(m.of("a").frozen_at, "Softmax -> z");
  EXPECT_EQ(m.of("y").frozen_at, "y");
}

TEST(Channels, ConstantsAlongTheChannelsFollow) {
  Made m = make({"Conv x 8x4x1x1 -> a", "Mul a 8x1x1 -> b", "Add b 1x8x1x1 -> z", kEnd});
  int follows = 0;
  for (const Binding& b : m.channels.bindings) follows += b.role == Binding::Role::follows;
  EXPECT_EQ(follows, 2);
}

TEST(Channels, AttentionCouplesQueryAndKey) {
  Made m =
      make({"MatMul x 4x6 -> q", "MatMul x 4x6 -> k", "MatMul x 4x3 -> v", "Transpose k -> kt | perm=[0,2,1]",
            "MatMul q kt -> s", "Softmax s -> p | axis=-1", "MatMul p v -> o", "MatMul o 3x4 -> y"},
           {1, 5, 4});
  EXPECT_TRUE(m.same("q", "k", 2, 2));
  EXPECT_TRUE(m.of("q", 2).changeable());
  EXPECT_TRUE(m.same("v", "o", 2, 2));
  EXPECT_EQ(m.of("v", 2).width(), 3);
}

// Heads go as a whole, whatever the projections look like.
TEST(Channels, TransformersHaveHeads) {
  using Style = testing::TransformerStyle;
  for (auto qkv : {Style::Qkv::separate, Style::Qkv::split, Style::Qkv::gathered, Style::Qkv::stacked,
                   Style::Qkv::per_head})
    for (auto norm : {Style::Norm::batch, Style::Norm::layer, Style::Norm::spelled})
      for (bool embedding : {false, true}) {
        Style style{norm, qkv, Style::Sizes::partly, embedding};
        SCOPED_TRACE(static_cast<int>(qkv) * 10 + static_cast<int>(norm));
        Made m = make(testing::transformer(style), {1, 5, 7}, 17);
        EXPECT_EQ(m.width("o", 2), 4);
        EXPECT_EQ(m.frozen("o", 2), "");
        EXPECT_TRUE(m.same("q", "v"));
        EXPECT_EQ(m.channels.find("q", 3), nullptr) << "the size of a head stays";
        EXPECT_EQ(m.width("h1", 2), 20);
        EXPECT_EQ(m.frozen("h1", 2), "");
        EXPECT_EQ(m.width("e", 2), 10);
        std::string why = norm == Style::Norm::batch   ? ""
                          : norm == Style::Norm::layer ? "is normalised over"
                                                       : "is reduced over";
        EXPECT_EQ(m.frozen("e", 2), why);
      }
}

// Scores with an operand that has no heads: the heads meet a fixed axis, but their size does not.
TEST(Channels, HeadsThatCannotGoLeaveTheirSize) {
  Made m = make({"MatMul x 4x6 -> q0", "Reshape q0 [1,5,2,3] -> q1", "Transpose q1 -> q | perm=[0,2,1,3]",
                 "MatMul x 4x6 -> k0", "Reshape k0 [1,5,2,3] -> k1", "Transpose k1 -> k | perm=[0,2,3,1]",
                 "MatMul q k -> y"},
                {1, 5, 4});
  EXPECT_EQ(m.width("q", 3), 3);
  EXPECT_EQ(m.frozen("q", 3), "");
}

TEST(Channels, OneKeyForAllHeads) {
  Made m = make({"MatMul x 4x6 -> q0", "Reshape q0 [1,5,2,3] -> q1", "Transpose q1 -> q | perm=[0,2,1,3]",
                 "MatMul x 4x3 -> k0", "Unsqueeze k0 [1] -> k1", "Transpose k1 -> k | perm=[0,1,3,2]",
                 "MatMul q k -> s", "Softmax s -> p | axis=-1", "MatMul p x -> o",
                 "Transpose o -> o1 | perm=[0,2,1,3]", "Reshape o1 [1,5,8] -> o2", "MatMul o2 8x2 -> y"},
                {1, 5, 4});
  EXPECT_EQ(m.frozen("q0", 2), "");
  EXPECT_EQ(m.width("q0", 2), 2);
}

// A class token is filled to the batch, and still has the channels of what it is joined to.
TEST(Channels, TokensFilledToTheBatch) {
  Made m = make({"Shape x -> s", "Gather s [0] -> b", "Concat b [1] [6] -> t | axis=0",
                 "ConstantOfShape t -> z0", "Add z0 6 -> token", "MatMul x 4x6 -> e",
                 "Concat token e -> j | axis=1", "Concat 1x2x6 j -> k | axis=1", "MatMul k 6x2 -> y"},
                {1, 5, 4});
  EXPECT_EQ(m.frozen("e", 2), "");
  EXPECT_TRUE(m.same("e", "k", 2, 2));
}

TEST(Channels, HiddenUnitsOfRecurrentLayers) {
  Made m =
      make({"MatMul x 4x6 -> e", "LSTM e 2x32x6 2x32x8 2x64 -> Y h c | hidden_size=8 direction=bidirectional",
            "Transpose Y -> t | perm=[0,2,1,3]", "Reshape t [0,0,-1] -> z", "MatMul z 16x2 -> y"},
           {5, 1, 4});
  EXPECT_EQ(m.width("e", 2), 6);
  EXPECT_EQ(m.width("z", 2), 8);
  EXPECT_EQ(m.frozen("z", 2), "");
  EXPECT_TRUE(m.same("Y", "h", 3, 2));
  Made given = make({"Relu x -> s", "LSTM x 1x16x4 1x16x4 1x32 - s s -> Y h c | hidden_size=4",
                     "Squeeze h [0] -> z", "MatMul z 4x2 -> y"},
                    {1, 1, 4});
  EXPECT_EQ(given.frozen("h", 2), "starts from a state of fixed width");
}

// What the graph computes from its sizes could be different for another input.
TEST(Channels, ConstantsComputedFromSizesFreeze) {
  Made m = make({"Conv x 8x4x1x1 -> a", "Shape a -> s", "Gather s {1} -> n", "Range {0} n {1} -> r",
                 "Cast r -> f | to=1", "Reshape f [8,1,1] -> g", "Mul a g -> z", kEnd});
  EXPECT_EQ(m.frozen("a"), "meets a constant that the graph computes from sizes");
}

TEST(Channels, UnknownSizesStayHarmless) {
  Model model;
  model.graph.inputs = {{"x", DataType::f32, Shape{1, 4, kUnknown, kUnknown}},
                        {"s", DataType::i64, Shape{kUnknown}}};
  model.graph.nodes = {{"Conv", "", "", {"x", "w"}, {"a"}},
                       {"Reshape", "", "", {"a", "s"}, {"b"}},
                       {"Add", "", "", {"b", "a"}, {"c"}},
                       {"Concat", "", "", {"c", "x"}, {"d"}, {{"axis", {std::int64_t{1}}}}},
                       {"MatMul", "", "", {"d", "m"}, {"e"}}};
  model.graph.initializers = {{"w", make_f32({8, 4, 1, 1}, std::vector<float>(32))},
                              {"m", make_f32({3, 3}, std::vector<float>(9))}};
  model.graph.outputs = {{"e", DataType::f32}};
  Shapes shapes = infer_shapes(model);
  Channels channels = channel_groups(model, shapes);
  EXPECT_FALSE(channels.groups.at(0).changeable());
}

}  // namespace
}  // namespace tailor::graph
