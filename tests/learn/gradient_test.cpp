// Gradients of every operator that has one, by inputs and parameters, against central differences in f64; and values of
// the rest, by number.
#include "tailor/base/random.h"
#include "tailor/learn/network.h"
#include "tests/graph/one_node.h"
#include "tests/testing.h"

#include <cmath>

namespace tailor::learn {
namespace {

using graph::Tensor;
using testing::OneNode;

Tensor noise(const graph::Shape& dims, Random& random, double low = -1, double high = 1) {
  std::vector<double> values(static_cast<std::size_t>(graph::element_count(dims)));
  for (double& value : values) value = random.uniform(low, high);
  return {graph::DataType::f64, dims, Bytes::own(std::move(values))};
}

Tensor moved(const Tensor& tensor, std::size_t i, double by) {
  std::vector<double> values = tensor.values<double>();
  values[i] += by;
  return {tensor.type, tensor.dims, Bytes::own(std::move(values))};
}

// A graph, made differentiable: inputs are drawn, outputs are weighted at random and summed.
struct Probe {
  graph::Model model;
  NamedTensors inputs;
  std::vector<Tensor> weights;
  Mode mode = Mode::evaluate;

  Probe(graph::Model of, std::uint64_t seed, double low, double high, Mode how)
      : model(std::move(of)), mode(how) {
    Random random(seed);
    for (const auto& input : model.graph.inputs)
      inputs.emplace_back(input.name, noise(*input.shape, random, low, high));
    Network network(model, Precision::f64);
    for (const Tensor& output : network.run(inputs, {}, mode))
      if (output.type == graph::DataType::f64) weights.push_back(noise(output.dims, random));
  }

  // A fresh network each time: statistics that follow the batch start where they started.
  double value(const NamedTensors& at, const std::string& parameter = {}, const Tensor& changed = {}) const {
    Network network(model, Precision::f64);
    if (!parameter.empty()) network.assign(parameter, changed);
    double sum = 0;
    std::size_t next = 0;
    for (const Tensor& output : network.run(at, {}, mode)) {
      if (output.type != graph::DataType::f64) continue;
      auto y = output.values<double>(), w = weights[next++].values<double>();
      for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * w[i];
    }
    return sum;
  }
};

// At most so many elements of each tensor are moved.
constexpr std::size_t kMoved = 12;
constexpr double kStep = 1e-5;

void expect_near_difference(double found, double above, double below, const std::string& where) {
  double wanted = (above - below) / (2 * kStep);
  EXPECT_NEAR(found, wanted, 1e-5 * std::max(1.0, std::abs(wanted))) << where;
}

void check_inputs(const Probe& probe, const Gradients& found, const std::string& name) {
  for (std::size_t k = 0; k < probe.inputs.size(); ++k) {
    const auto& [input, tensor] = probe.inputs[k];
    auto gradient = found.inputs.find(input);
    std::size_t count = static_cast<std::size_t>(tensor.size()),
                stride = std::max<std::size_t>(1, count / kMoved);
    for (std::size_t i = 0; i < count; i += stride) {
      NamedTensors above = probe.inputs, below = probe.inputs;
      above[k].second = moved(tensor, i, kStep), below[k].second = moved(tensor, i, -kStep);
      double g = gradient == found.inputs.end() ? 0 : gradient->second.values<double>()[i];
      expect_near_difference(g, probe.value(above), probe.value(below), name + " input " + input);
    }
  }
}

void check_parameters(const Probe& probe, const Gradients& found, const std::string& name) {
  Network network(probe.model, Precision::f64);
  for (const Parameter& p : network.parameters()) {
    if (p.statistic()) continue;
    Tensor tensor = network.value(p.name);
    std::vector<double> gradient = found.parameters.at(p.name).values<double>();
    for (std::size_t i = 0; i < gradient.size(); i += std::max<std::size_t>(1, gradient.size() / kMoved))
      expect_near_difference(gradient[i], probe.value(probe.inputs, p.name, moved(tensor, i, kStep)),
                             probe.value(probe.inputs, p.name, moved(tensor, i, -kStep)),
                             name + " parameter " + p.name);
  }
}

void check(const graph::Model& model, const std::string& name, double low = -1, double high = 1,
           Mode mode = Mode::evaluate) {
  Probe probe(model, 7, low, high, mode);
  Network network(model, Precision::f64);
  Gradients found = network.gradients(probe.inputs, probe.weights, mode);
  EXPECT_NEAR(found.value, probe.value(probe.inputs), 1e-9) << name;
  check_inputs(probe, found, name);
  check_parameters(probe, found, name);
}

// Inputs become constants of the given shapes, drawn: weights, biases, scales.
graph::Model with_parameters(const OneNode& text, std::size_t first) {
  graph::Model model = testing::model_of(text);
  model.graph.outputs.clear();
  for (const std::string& name : model.graph.nodes[0].outputs)
    model.graph.outputs.push_back({name, graph::DataType::f32});
  Random random(3);
  for (std::size_t i = model.graph.inputs.size(); i-- > first;) {
    const graph::ValueInfo& input = model.graph.inputs[i];
    std::vector<float> values(static_cast<std::size_t>(graph::element_count(*input.shape)));
    for (float& value : values) value = static_cast<float>(random.uniform(0.1, 1));
    model.graph.initializers[input.name] = graph::make_f32(*input.shape, values);
    model.graph.inputs.pop_back();
  }
  return model;
}

std::string title(const OneNode& text) { return text.op + " " + text.inputs + " " + text.attributes; }

TEST(Gradients, OfLayers) {
  for (const OneNode& text : std::vector<OneNode>{
           {"Conv", "2x3x7x6 4x3x3x3 4", "pads=[1,1,1,1] strides=[2,1]", "-"},
           {"Conv", "1x4x7x7 6x2x3x2", "group=2 dilations=[2,1] pads=[2,0,1,1]", "-"},
           {"Conv", "1x4x7x7 4x1x3x3 4", "group=4 auto_pad=SAME_LOWER strides=[2,2]", "-"},
           {"Conv", "2x3x9 4x3x3 4", "pads=[1,1]", "-"},
           {"ConvTranspose", "1x4x4x3 4x3x3x3 3", "strides=[2,2] pads=[1,1,1,1] output_padding=[1,1]", "-"},
           {"ConvTranspose", "1x4x4x3 4x2x2x3 4", "strides=[2,2] group=2 pads=[0,1,1,0]", "-"},
           {"ConvTranspose", "1x2x4x4 2x3x3x3", "strides=[2,2] auto_pad=SAME_UPPER", "-"},
           {"Gemm", "3x4 5x4 5", "transB=1", "-"},
           {"Gemm", "4x3 4x5 3x5", "transA=1 alpha=0.5f beta=2.0f", "-"},
           {"Gemm", "3x4 4x5", "", "-"},
           {"MatMul", "2x3x4 4x5", "", "-"},
           {"BatchNormalization", "3x4x3x2 4 4 4 4", "epsilon=0.001f", "-"},
           {"LayerNormalization", "2x3x8 8 8", "axis=-1", "-"},
           {"InstanceNormalization", "2x3x4x4 3 3", "", "-"},
           {"GroupNormalization", "2x6x3x2 6 6", "num_groups=3", "-", 21},
           {"GroupNormalization", "2x6x3x2 3 3", "num_groups=3", "-", 18},
           {"PRelu", "2x3x4x4 3x1x1", "", "-"}}) {
    check(with_parameters(text, 1), title(text));
    if (text.op != "MatMul") continue;
    check(with_parameters(text, 9), title(text) + " of two values");
  }
}

TEST(Gradients, OfBatchStatistics) {
  check(with_parameters({"BatchNormalization", "3x4x3x2 4 4 4 4", "", "-"}, 1), "BatchNormalization", -1, 1,
        Mode::train);
}

TEST(Gradients, OfFunctions) {
  for (const char* op :
       {"Relu",      "Sigmoid",   "Tanh", "Erf",      "Exp",       "Softplus",    "Softsign",
        "HardSwish", "Mish",      "Gelu", "Identity", "Neg",       "Abs",         "Sin",
        "Cos",       "Elu",       "Celu", "Selu",     "LeakyRelu", "HardSigmoid", "ThresholdedRelu",
        "Softmax",   "LogSoftmax"})
    check(with_parameters({op, "2x3x5", "", "-", 20}, 1), op, -2.3, 2.1);
  for (const char* op : {"Sqrt", "Log", "Reciprocal"})
    check(with_parameters({op, "2x3x5", "", "-"}, 1), op, 0.5, 2);
  check(with_parameters({"Softmax", "2x3x5", "axis=1", "-", 11}, 1), "Softmax of opset 11");
  check(with_parameters({"Gelu", "2x3x5", "approximate=tanh", "-", 20}, 1), "Gelu tanh");
  check(with_parameters({"Clip", "2x3x5 {-0.5}f {0.7}f", "", "-"}, 1), "Clip");
  check(with_parameters({"Clip", "2x3x5", "min=-0.5f max=0.25f", "-", 10}, 1), "Clip of opset 10");
}

TEST(Gradients, OfPairs) {
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Sum", "Max", "Min", "Mean"})
    for (const char* shapes : {"2x3x4 2x3x4", "2x3x4 3x1", "1x4 2x3x1"})
      check(with_parameters({op, shapes, "", "-"}, 9), std::string(op) + shapes, 0.5, 2);
  check(with_parameters({"Pow", "2x3 {2}f", "", "-"}, 9), "Pow 2", 0.5, 2);
  check(with_parameters({"Pow", "2x3 2x3", "", "-"}, 9), "Pow", 0.5, 2);
  check(with_parameters({"Concat", "2x3x2 2x1x2", "axis=1", "-"}, 9), "Concat");
  check(with_parameters({"MatMul", "2x3x4 2x4x5", "", "-"}, 9), "MatMul");
}

TEST(Gradients, OfWindows) {
  for (const OneNode& text : std::vector<OneNode>{
           {"MaxPool", "2x2x7x6", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", "-"},
           {"MaxPool", "2x2x7x6", "kernel_shape=[2,2] strides=[2,2] ceil_mode=1", "-"},
           {"MaxPool", "1x2x6x6", "kernel_shape=[2,2] pads=[0,0,1,1]", "-"},
           {"MaxPool", "2x2x9", "kernel_shape=[3] strides=[2]", "-"},
           {"MaxPool", "1x1x8x8", "kernel_shape=[3,3] dilations=[2,2]", "-"},
           {"AveragePool", "2x2x7x6", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", "-"},
           {"AveragePool", "2x2x7x6", "kernel_shape=[3,3] pads=[1,1,1,1] count_include_pad=1", "-"},
           {"AveragePool", "1x2x6x6", "kernel_shape=[2,2] auto_pad=SAME_UPPER", "-"},
           {"AveragePool", "1x2x6x6", "kernel_shape=[2,2] pads=[0,0,1,1] count_include_pad=1", "-"},
           {"AveragePool", "2x2x9", "kernel_shape=[3] strides=[2]", "-"},
           {"GlobalAveragePool", "2x3x4x5", "", "-"},
           {"GlobalMaxPool", "2x3x4x5", "", "-"}})
    check(with_parameters(text, 1), title(text));
}

TEST(Gradients, OfLayout) {
  for (const OneNode& text :
       std::vector<OneNode>{{"Reshape", "2x3x4 [0,-1]", "", "-"},
                            {"Flatten", "2x3x4", "axis=2", "-"},
                            {"Squeeze", "2x1x4 [1]", "", "-"},
                            {"Squeeze", "2x1x4", "axes=[-2]", "-", 11},
                            {"Unsqueeze", "2x3 [0,3]", "", "-"},
                            {"Transpose", "2x3x4", "perm=[2,0,1]", "-"},
                            {"Transpose", "2x3x4", "", "-"},
                            {"Split", "2x6 [2,4]", "axis=1", "- -"},
                            {"Split", "2x7", "axis=1 num_outputs=2", "- -"},
                            {"Slice", "5x6 [1,-1] [5,-7] [0,1] [2,-2]", "", "-"},
                            {"Slice", "5x6", "starts=[1] ends=[4] axes=[1]", "-", 9},
                            {"Pad", "2x3x4 [0,1,2,1,0,-1] {0.5}f", "", "-"},
                            {"Pad", "1x1x4x4 [0,0,1,2,0,0,2,1]", "mode=reflect", "-"},
                            {"Pad", "1x1x4x4 [0,0,1,2,0,0,2,1]", "mode=edge", "-"},
                            {"Pad", "2x4 [1,2] - [1]", "", "-"},
                            {"Expand", "3x1 [2,1,4]", "", "-"},
                            {"Tile", "2x3 [2,1]", "", "-"},
                            {"DepthToSpace", "1x8x2x3", "blocksize=2", "-"},
                            {"DepthToSpace", "1x8x2x3", "blocksize=2 mode=CRD", "-"},
                            {"SpaceToDepth", "1x2x4x6", "blocksize=2", "-"},
                            {"Gather", "4x5 [1,-1,3]", "axis=1", "-"},
                            {"Gather", "4x5 {2}", "axis=0", "-"},
                            {"ReduceMean", "2x3x4 [1,-1]", "keepdims=0", "-"},
                            {"ReduceMean", "2x3x4", "axes=[2]", "-", 13},
                            {"ReduceSum", "2x3x4 [0]", "", "-"},
                            {"ReduceMax", "2x3x4 [1]", "", "-"},
                            {"ReduceMin", "2x3x4 [1]", "", "-"},
                            {"ReduceL1", "2x3x4", "", "-"},
                            {"ReduceL2", "2x3x4 [2]", "", "-"},
                            {"ReduceLogSumExp", "2x3x4 [2]", "", "-"},
                            {"ReduceSumSquare", "2x3x4 [2]", "", "-"},
                            {"Resize", "1x2x3x4 - [1,1,2,2]f", "", "-"},
                            {"Resize", "1x2x4x4 - - [1,2,7,3]",
                             "mode=linear coordinate_transformation_mode=align_corners", "-"},
                            {"Resize", "1x2x4x4 - [1,1,2,1.5]f", "mode=linear", "-"},
                            {"Upsample", "1x2x3x4 [1,1,2,3]f", "", "-", 9}})
    check(with_parameters(text, 9), title(text));
}

std::vector<double> value_of(const OneNode& text, std::vector<float> x) {
  graph::Model model = with_parameters(text, 9);
  Network network(model);
  Tensor y = network.run(
      {{model.graph.inputs[0].name, graph::make_f32(*model.graph.inputs[0].shape, std::move(x))}})[0];
  if (y.type == graph::DataType::f32) {
    auto values = y.values<float>();
    return {values.begin(), values.end()};
  }
  auto values = *graph::as_integers(y);
  return {values.begin(), values.end()};
}

using Values = std::vector<double>;

// By the definitions of ONNX's operator pages.
TEST(Values, OfOperatorsWithoutGradients) {
  EXPECT_EQ(value_of({"ArgMax", "2x3", "axis=1 keepdims=0", "-"}, {1, 5, 5, 4, 3, 2}), (Values{1, 0}));
  EXPECT_EQ(value_of({"Round", "4", "", "-"}, {0.5f, 1.5f, -2.5f, 2.4f}), (Values{0, 2, -2, 2}));
  EXPECT_EQ(value_of({"Floor", "2", "", "-"}, {-0.5f, 1.5f}), (Values{-1, 1}));
  EXPECT_EQ(value_of({"Cast", "3", "to=7", "-"}, {-1.5f, 0, 2.9f}), (Values{-1, 0, 2}));
  EXPECT_EQ(value_of({"Greater", "3 {1}f", "", "-"}, {0, 1, 2}), (Values{0, 0, 1}));
  EXPECT_EQ(value_of({"Mod", "3 {3}f", "fmod=1", "-"}, {-4, 4, 3}), (Values{-1, 1, 0}));
}

TEST(Values, OfResizeFollowItsCoordinates) {
  EXPECT_EQ(value_of({"Resize", "4 - - [2]", "", "-"}, {1, 2, 3, 4}), (Values{1, 3}));
  EXPECT_EQ(value_of({"Resize", "2 - [2]f", "mode=linear", "-"}, {0, 4}), (Values{0, 1, 3, 4}));
  EXPECT_EQ(
      value_of({"Resize", "2 - [2]f", "mode=linear coordinate_transformation_mode=asymmetric", "-"}, {0, 4}),
      (Values{0, 2, 4, 4}));
  EXPECT_EQ(value_of({"Resize", "2 - - [3]", "mode=linear coordinate_transformation_mode=align_corners", "-"},
                     {0, 4}),
            (Values{0, 2, 4}));
}

TEST(Values, DropoutDropsInTrainingOnly) {
  graph::Model model = with_parameters({"Dropout", "1000", "ratio=0.25f", "-", 11}, 9);
  Network network(model);
  NamedTensors ones = {{"in0", graph::make_f32({1000}, std::vector<float>(1000, 1))}};
  EXPECT_EQ(network.run(ones)[0].values<float>(), std::vector<float>(1000, 1));
  auto dropped = network.run(ones, {}, Mode::train)[0].values<float>();
  auto zeros = std::count(dropped.begin(), dropped.end(), 0.0f);
  EXPECT_GT(zeros, 150);
  EXPECT_LT(zeros, 350);
}

Code code_of(const OneNode& text) {
  try {
    value_of(text, std::vector<float>(8, 1));
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

TEST(Network, SaysWhatItCannotRun) {
  EXPECT_EQ(code_of({"LSTM", "8", "", "-"}), Code::not_trainable);
  EXPECT_EQ(code_of({"Resize", "2x4 - [1,2]f", "mode=cubic", "-"}), Code::not_trainable);
  EXPECT_EQ(code_of({"Pad", "2x4 [1,1,1,1]", "mode=wrap", "-"}), Code::not_trainable);
  EXPECT_EQ(code_of({"Gelu", "8", "", "-", 20, "com.example"}), Code::not_trainable);
}

// What shape inference lets through, and what it finds itself: always an error of the model, never a crash.
TEST(Network, ContradictionsAreErrors) {
  for (const OneNode& text :
       std::vector<OneNode>{{"Clip", "8 []f", "", "-"},
                            {"Gather", "8 [9]", "", "-"},
                            {"Squeeze", "1x8 [0,0]", "", "-"},
                            {"Reshape", "8 [3]", "", "-"},
                            {"Softmax", "8", "axis=3", "-"},
                            {"Resize", "8 - [1000000000]f", "", "-"},
                            {"Resize", "8 - [-1]f", "", "-"},
                            {"Expand", "8 [3]", "", "-"},
                            {"Expand", "1x8 [4000000000,8]", "", "-"},
                            {"MaxPool", "8", "kernel_shape=[2]", "-"},
                            {"MaxPool", "1x1x8", "kernel_shape=[0]", "-"},
                            {"DepthToSpace", "1x8x1x1", "blocksize=0", "-"},
                            {"GroupNormalization", "1x8x1 [1,2,3]f [1,2,3]f", "num_groups=2", "-"},
                            {"Split", "8 [9,-1]", "", "- -"}}) {
    Code code = code_of(text);
    EXPECT_TRUE(code == Code::bad_model || code == Code::bad_shape) << title(text) << " " << spelling(code);
  }
}

TEST(Network, NamesEveryMissingOperator) {
  graph::Model model;
  model.graph.inputs = {{"x", graph::DataType::f32, graph::Shape{2, 3}}};
  model.graph.outputs = {{"b", graph::DataType::f32}};
  model.graph.nodes = {{"Hardmax", "", "first", {"x"}, {"a"}},
                       {"Hardmax", "", "second", {"a"}, {"c"}},
                       {"Multinomial", "", "third", {"c"}, {"b"}}};
  Network network(model);
  try {
    network.run({{"x", graph::make_f32({2, 3}, std::vector<float>(6))}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_trainable);
    EXPECT_NE(std::string(error.what()).find("Hardmax (node first and 1 more), Multinomial (node third)"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace tailor::learn
