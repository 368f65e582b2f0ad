// Inputs and their free dimensions, folding, multiply-accumulates, and a property over random networks.
#include "tailor/graph/shapes.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/graph/rules.h"
#include "tailor/graph/tokens.h"
#include "tests/graph/one_node.h"

#include <gtest/gtest.h>

namespace tailor::graph {
namespace {

Model chain(std::vector<ValueInfo> inputs, std::vector<Node> nodes) {
  Model model;
  model.graph.inputs = std::move(inputs);
  model.graph.nodes = std::move(nodes);
  return model;
}

ValueInfo input(std::string name, Shape shape, std::vector<std::string> symbols = {}) {
  return {std::move(name), DataType::f32, std::move(shape), std::move(symbols), {}};
}

Code code_of(const Model& model, const ShapeOverrides& overrides) {
  try {
    infer_shapes(model, overrides);
  } catch (const Error& error) {
    return error.code();
  }
  return Code{0};
}

TEST(Inputs, ALeadingFreeDimensionIsTheBatch) {
  Model model = chain({input("x", {-1, 3, -1})}, {{"Relu", "", "", {"x"}, {"y"}}});
  EXPECT_EQ(*infer_shapes(model).shape("y"), (Shape{1, 3, -1}));
  EXPECT_EQ(*infer_shapes(model, {}, 8).shape("y"), (Shape{8, 3, -1}));
  EXPECT_EQ(*infer_shapes(model, {{"x", {2, 3, 5}}}).shape("y"), (Shape{2, 3, 5}));
}

TEST(Inputs, OneSymbolHasOneSize) {
  Model model =
      chain({input("a", {-1, -1}, {"batch", "n_steps"}), input("b", {2, -1, -1}, {"", "n_steps", "batch"})},
            {{"Identity", "", "", {"b"}, {"y"}}});
  EXPECT_EQ(*infer_shapes(model, {}, 4).shape("y"), (Shape{2, -1, 4}));
  EXPECT_EQ(*infer_shapes(model, {{"a", {3, 7}}}).shape("y"), (Shape{2, 7, 3}));
  EXPECT_EQ(code_of(model, {{"a", {3, 7}}, {"b", {2, 8, 3}}}), Code::bad_shape);
}

TEST(Inputs, OverridesThatDoNotFit) {
  Model model = chain({input("x", {1, 3, -1})}, {{"Relu", "", "", {"x"}, {"y"}}});
  EXPECT_EQ(code_of(model, {{"x", {1, 3, 5}}}), Code{0});
  EXPECT_EQ(code_of(model, {{"x", {1, 4, 5}}}), Code::bad_shape);
  EXPECT_EQ(code_of(model, {{"x", {1, 3}}}), Code::bad_shape);
  EXPECT_EQ(code_of(model, {{"z", {1, 3, 5}}}), Code::unknown_name);
  try {
    infer_shapes(model, {{"z", {1}}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.help().find("x"), std::string::npos) << "the inputs are listed";
  }
}

TEST(Inputs, OverridesAreParsed) {
  using Pair = std::pair<std::string, Shape>;
  EXPECT_EQ(parse_shape_override("x:1x3x32x32"), (Pair{"x", {1, 3, 32, 32}}));
  EXPECT_EQ(parse_shape_override("x:[1,3,32]"), (Pair{"x", {1, 3, 32}}));
  EXPECT_EQ(parse_shape_override("x:[1, 3]"), (Pair{"x", {1, 3}}));
  EXPECT_EQ(parse_shape_override("a:b:0:7"), (Pair{"a:b:0", {7}}));
  for (const char* bad :
       {"x", ":1x3", "x:", "x:1x", "x:x1", "x:1x-3", "x:0x3", "x:1x3]", "x:1;3", "x:1x99999999999999999999"})
    EXPECT_THROW(parse_shape_override(bad), Error) << bad;
}

// The way exporters write x.view(x.shape[0], -1) and friends.
TEST(Folding, ShapeArithmeticFollows) {
  Model model = chain({input("x", {-1, 8, 4, 4})}, {{"Shape", "", "", {"x"}, {"s"}},
                                                    {"Gather", "", "", {"s", "zero"}, {"n"}},
                                                    {"Unsqueeze", "", "", {"n", "axis"}, {"n1"}},
                                                    {"Concat", "", "", {"n1", "rest"}, {"target"}},
                                                    {"Reshape", "", "", {"x", "target"}, {"y"}}});
  model.graph.initializers = {
      {"zero", make_i64({}, {0})}, {"axis", make_i64({1}, {0})}, {"rest", make_i64({1}, {-1})}};
  model.graph.nodes[3].attributes["axis"].value = std::int64_t{0};
  Shapes shapes = infer_shapes(model, {}, 3);
  EXPECT_EQ(*shapes.shape("y"), (Shape{3, 128}));
  ASSERT_NE(shapes.constant("target"), nullptr);
  EXPECT_EQ(shapes.constant("target")->values<std::int64_t>(), (std::vector<std::int64_t>{3, -1}));
  Shapes open = infer_shapes(model, {}, kUnknown);  // the batch stays free, the rest still follows
  EXPECT_EQ(*open.shape("y"), (Shape{-1, -1}));
  EXPECT_EQ(open.constant("target"), nullptr);
}

std::vector<std::int64_t> folded(const std::string& op, const std::string& inputs,
                                 const std::string& attributes = {}, std::size_t output = 0,
                                 std::size_t outputs = 1) {
  std::string names;
  for (std::size_t i = 0; i < outputs; ++i) names += "x ";
  Shapes shapes = infer_shapes(testing::model_of({op, inputs, attributes, names}));
  const Tensor* tensor = shapes.constant("out" + std::to_string(output));
  if (!tensor) return {-999};
  if (auto reals = as_floats(*tensor)) return {reals->begin(), reals->end()};
  return as_integers(*tensor).value();
}

TEST(Folding, Operators) {
  using V = std::vector<std::int64_t>;
  EXPECT_EQ(folded("Add", "[1,2] [10]"), (V{11, 12}));
  EXPECT_EQ(folded("Sub", "[1,2] {10}"), (V{-9, -8}));
  EXPECT_EQ(folded("Mul", "[3,4] [5,6]"), (V{15, 24}));
  EXPECT_EQ(folded("Div", "[7,-7] [2]"), (V{3, -3}));
  EXPECT_EQ(folded("Div", "[7] [0]"), V{-999});
  EXPECT_EQ(folded("Mod", "[7,-7] [3]"), (V{1, 2}));
  EXPECT_EQ(folded("Min", "[7,1] [3]"), (V{3, 1}));
  EXPECT_EQ(folded("Max", "[7,1] [3]"), (V{7, 3}));
  EXPECT_EQ(folded("Neg", "[7]"), V{-7});
  EXPECT_EQ(folded("Floor", "[2.7]f"), V{2});
  EXPECT_EQ(folded("Cast", "[2.7]f", "to=7"), V{2});
  EXPECT_EQ(folded("Mul", "[2.5]f [2]f"), V{5});
  EXPECT_EQ(folded("Equal", "[1,2] [1]"), (V{1, 0}));
  EXPECT_EQ(folded("Where", "[1,0] [5,6] [7,8]"), (V{5, 8}));
  EXPECT_EQ(folded("Shape", "2x3x4", "start=1"), (V{3, 4}));
  EXPECT_EQ(folded("Size", "2x3x4"), V{24});
  EXPECT_EQ(folded("Range", "{2} {11} {3}"), (V{2, 5, 8}));
  EXPECT_EQ(folded("ConstantOfShape", "[3]"), (V{0, 0, 0}));
  EXPECT_EQ(folded("Expand", "[1,2] [2,2]"), (V{1, 2, 1, 2}));
  EXPECT_EQ(folded("Tile", "[1,2] [2]"), (V{1, 2, 1, 2}));
  EXPECT_EQ(folded("Slice", "[1,2,3,4] [-1] [-99] [0] [-2]"), (V{4, 2}));
  EXPECT_EQ(folded("Slice", "[1,2,3,4] [1] [3]"), (V{2, 3}));
  EXPECT_EQ(folded("Split", "[1,2,3,4] [1,3]", "", 1, 2), (V{2, 3, 4}));
  EXPECT_EQ(folded("Gather", "[5,6,7] [2,-3]"), (V{7, 5}));
  EXPECT_EQ(folded("Gather", "[5,6,7] [3]"), V{-999});
  EXPECT_EQ(folded("Concat", "[5,6] [7]", "axis=0"), (V{5, 6, 7}));
  EXPECT_EQ(folded("ReduceProd", "[5,6,2]", "keepdims=0"), V{60});
  EXPECT_EQ(folded("NonZero", "[0,5,0,7]"), (V{1, 3}));
  EXPECT_EQ(folded("Reshape", "[1,2,3,4] [2,2]"), (V{1, 2, 3, 4}));
}

TEST(Macs, OfEachOperator) {
  auto macs = [](testing::OneNode text) {
    Model model = testing::model_of(text);
    return multiply_accumulates(model.graph.nodes[0], infer_shapes(model, {}, kUnknown));
  };
  EXPECT_EQ(macs({"Conv", "1x3x32x32 16x3x3x3", "pads=[1,1,1,1]", "x"}), 32 * 32 * 16 * 27);
  EXPECT_EQ(macs({"Conv", "1x8x32x32 8x1x3x3", "group=8 pads=[1,1,1,1]", "x"}), 32 * 32 * 8 * 9);
  EXPECT_EQ(macs({"ConvTranspose", "1x8x16x16 8x4x2x2", "strides=[2,2]", "x"}), 16 * 16 * 8 * 4 * 4);
  EXPECT_EQ(macs({"Gemm", "4x8 8x3", "", "x"}), 4 * 8 * 3);
  EXPECT_EQ(macs({"Gemm", "8x4 3x8", "transA=1 transB=1", "x"}), 4 * 8 * 3);
  EXPECT_EQ(macs({"MatMul", "5x4x8 8x3", "", "x"}), 5 * 4 * 8 * 3);
  EXPECT_EQ(macs({"LSTM", "7x2x16 1x32x16 1x32x8", "hidden_size=8", "x"}), 7 * 2 * 32 * (16 + 8));
  EXPECT_EQ(macs({"GRU", "7x2x16 2x24x16 2x24x8", "hidden_size=8", "x"}), 2 * 7 * 2 * 24 * (16 + 8));
  EXPECT_EQ(macs({"Relu", "7x2", "", "x"}), 0);
  EXPECT_EQ(macs({"Conv", "1x3x?x32 16x3x3x3", "", "x"}), -1);
}

struct Layer {
  std::int64_t out, kernel, stride, pad, dilation;
};

std::int64_t formula(std::int64_t in, const Layer& l) {
  std::int64_t count = 0;  // by sliding the window
  for (std::int64_t at = -l.pad; at + (l.kernel - 1) * l.dilation < in + l.pad; at += l.stride) ++count;
  return count;
}

TEST(Property, RandomConvolutionNetworks) {
  Random random(11);
  for (int round = 0; round < 300; ++round) {
    std::int64_t channels = 1 + static_cast<std::int64_t>(random.below(5)),
                 size = 30 + static_cast<std::int64_t>(random.below(30));
    Model model = chain({input("v0", {2, channels, size, size})}, {});
    Shape expected = *model.graph.inputs[0].shape;
    for (int i = 0; i < 4; ++i) {
      auto pick = [&](std::size_t n) { return static_cast<std::int64_t>(1 + random.below(n)); };
      Layer l{pick(6), pick(4), pick(2), pick(3) - 1, pick(2)};
      std::int64_t next = formula(expected[2], l);
      if (next < 1) break;
      std::string from = "v" + std::to_string(i), to = "v" + std::to_string(i + 1),
                  weight = "w" + std::to_string(i);
      Shape dims{l.out, expected[1], l.kernel, l.kernel};
      model.graph.initializers[weight] =
          make_f32(dims, std::vector<float>(static_cast<std::size_t>(element_count(dims))));
      Node node{"Conv", "", "", {from, weight}, {to}};
      node.attributes["strides"].value = std::vector<std::int64_t>(2, l.stride);
      node.attributes["dilations"].value = std::vector<std::int64_t>(2, l.dilation);
      node.attributes["pads"].value = std::vector<std::int64_t>(4, l.pad);
      model.graph.nodes.push_back(node);
      expected = {2, l.out, next, next};
      EXPECT_EQ(*infer_shapes(model).shape(to), expected);
    }
  }
}

// Any operator with any inputs and attributes, however absurd: shapes, or bad_shape.
class Absurd {
 public:
  explicit Absurd(std::uint64_t seed) : random_(seed) {}

  Model model(std::string_view op, bool microsoft) {
    Model model;
    model.opsets = {{"", static_cast<std::int64_t>(7 + random_.below(15))}, {"com.microsoft", 1}};
    Node node{std::string(op), microsoft ? "com.microsoft" : "", "it", {}, {}};
    for (std::size_t i = 0, n = random_.below(6); i < n; ++i) add_input(model, node, i);
    for (std::size_t i = 0, n = 1 + random_.below(3); i < n; ++i)
      node.outputs.push_back("out" + std::to_string(i));
    for (std::size_t i = 0, n = random_.below(4); i < n; ++i) add_attribute(node);
    model.graph.nodes.push_back(std::move(node));
    return model;
  }

 private:
  std::int64_t number() {
    static constexpr std::int64_t odd[] = {
        INT64_MIN, INT64_MIN + 1, INT64_MAX, -1, 0, 1, 2, 3, std::int64_t{1} << 40, std::int64_t{1} << 32, -3,
        17};
    return random_.below(3) == 0 ? odd[random_.below(std::size(odd))]
                                 : static_cast<std::int64_t>(random_.below(6)) - 1;
  }
  std::vector<std::int64_t> list(std::size_t longest) {
    std::vector<std::int64_t> items(random_.below(longest + 1));
    for (std::int64_t& item : items) item = number();
    return items;
  }
  Shape shape() {
    Shape dims(random_.below(6));
    for (std::int64_t& dim : dims)
      dim = random_.below(9) == 0 ? std::int64_t{1} << random_.below(41)
                                  : static_cast<std::int64_t>(random_.below(6)) - 1;
    return dims;
  }
  void add_input(Model& model, Node& node, std::size_t i) {
    std::string name = "in" + std::to_string(i);
    node.inputs.push_back(random_.below(8) == 0 ? "" : name);
    if (node.inputs.back().empty()) return;
    auto items = list(6);
    auto count = static_cast<std::int64_t>(items.size());
    switch (random_.below(5)) {
      case 0:
        model.graph.initializers[name] = make_i64({count}, items);
        break;
      case 1:
        model.graph.initializers[name] = make_f32({count}, {items.begin(), items.end()});
        break;
      case 2:
        model.graph.initializers[name] = make_i64({}, {number()});
        break;
      default:
        model.graph.inputs.push_back({name, random_.below(2) ? DataType::f32 : DataType::i64, shape()});
    }
  }
  void add_attribute(Node& node) {
    static constexpr const char* names[] = {"axis",
                                            "axes",
                                            "starts",
                                            "ends",
                                            "steps",
                                            "pads",
                                            "strides",
                                            "dilations",
                                            "kernel_shape",
                                            "group",
                                            "auto_pad",
                                            "ceil_mode",
                                            "blocksize",
                                            "perm",
                                            "split",
                                            "scales",
                                            "k",
                                            "hidden_size",
                                            "layout",
                                            "to",
                                            "output_shape",
                                            "num_outputs",
                                            "keepdims",
                                            "shape",
                                            "equation",
                                            "batch_dims",
                                            "allowzero",
                                            "start",
                                            "end",
                                            "N",
                                            "K",
                                            "value",
                                            "transA",
                                            "keep_aspect_ratio_policy"};
    AttributeValue value = number();
    switch (random_.below(6)) {
      case 0:
      case 1:
        value = list(6);
        break;
      case 2:
        value = std::string(random_.below(2) ? "SAME_UPPER" : "ij,jk->ik");
        break;
      case 3:
        value = std::vector<float>{1.0f, 0.5f, 1e30f, -1.0f};
        break;
      default:
        break;
    }
    node.attributes[names[random_.below(std::size(names))]].value = std::move(value);
  }

  Random random_;
};

// Whatever the node does with them, each output either holds tokens that fit its shape, or there is an obstacle.
void flow_from_every_axis(const Model& model, const Shapes& shapes) {
  for (const ValueInfo& input : model.graph.inputs)
    if (const Shape* shape = shapes.shape(input.name))
      for (std::size_t axis = 0; axis < shape->size(); ++axis) {
        if ((*shape)[axis] < 2) continue;
        const TokenFlow flow = token_flow(model, shapes, input.name, static_cast<int>(axis));
        for (const auto& [value, axes] : flow.values)
          for (const TokenAxis& t : axes)
            if (flow.possible()) {
              ASSERT_EQ(shapes.shape(value)->at(static_cast<std::size_t>(t.axis)), t.size()) << value;
            }
      }
}

TEST(Property, NothingUpsetsARule) {
  Absurd absurd(3);
  int sound = 0;
  for (int round = 0; round < 400; ++round)
    for (auto family : {elementwise_rules(), window_rules(), product_rules(), layout_rules(),
                        selection_rules(), microsoft_rules()})
      for (const RuleEntry& entry : family) {
        Model model = absurd.model(entry.op, family.data() == microsoft_rules().data());
        try {
          Shapes shapes = infer_shapes(model);
          EXPECT_GE(multiply_accumulates(model.graph.nodes[0], shapes), -1);
          flow_from_every_axis(model, shapes);
          for (const auto& [name, tensor] : shapes.constants)
            ASSERT_EQ(tensor.data.size(), static_cast<std::size_t>(tensor.size()) * element_size(tensor.type))
                << entry.op;
          ++sound;
        } catch (const Error& error) {
          ASSERT_EQ(error.code(), Code::bad_shape) << entry.op << ": " << error.what();
        }
      }
  EXPECT_GT(sound, 10000);
}

}  // namespace
}  // namespace tailor::graph
