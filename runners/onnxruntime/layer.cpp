#include "runners/onnxruntime/layer.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

namespace tailor::ort {
namespace {

using graph::Shape;
using latency::Kind;
using latency::Workload;

struct Activation {
  const char* word;
  const char* op;
};
constexpr std::array<Activation, 6> kActivations = {{{"relu", "Relu"},
                                                     {"leakyrelu", "LeakyRelu"},
                                                     {"sigmoid", "Sigmoid"},
                                                     {"tanh", "Tanh"},
                                                     {"hardsigmoid", "HardSigmoid"},
                                                     {"hardswish", "HardSwish"}}};

// Grows a model node by node.
class Builder {
 public:
  Builder(const Workload& w, std::uint64_t seed) : w_(w), random_(seed) {
    model_.graph.name = "layer";
    model_.opsets = {{"", 17}};
    model_.graph.inputs = {{"x", w.type, input_shape()}};
  }

  graph::Model finish() {
    model_.graph.nodes.back().outputs = {"y"};
    model_.graph.outputs.insert(model_.graph.outputs.begin(), {"y", w_.type, output_shape()});
    return std::move(model_);
  }

  std::string node(const std::string& op, std::vector<std::string> inputs, const std::string& name) {
    std::string output = name + "_out";
    model_.graph.nodes.push_back({op, "", name, std::move(inputs), {output}});
    return output;
  }
  void set(const char* attribute, graph::AttributeValue value) {
    model_.graph.nodes.back().attributes[attribute] = {std::move(value)};
  }

  // A constant of normal numbers, or of positive ones around 1.
  std::string constant(const std::string& name, Shape shape, double scale, bool positive = false) {
    std::vector<float> values(static_cast<std::size_t>(graph::element_count(shape)));
    for (float& value : values)
      value = static_cast<float>(positive ? 1 + 0.1 * random_.uniform() : scale * random_.normal());
    model_.graph.initializers[name] = graph::make_f32(std::move(shape), std::move(values));
    return name;
  }
  // The other operand of a residual sum. It comes out of a convolution (left out of the time by its name), as
  // it does in a network: only then the runtime has it in its blocked layout and fuses the sum.
  std::string residual() {
    std::string name = fmt::format("residual{}", model_.graph.inputs.size());
    model_.graph.inputs.push_back({name, w_.type, output_shape()});
    if (gemm()) return name;
    std::string weight = constant(name + "_w", {w_.oc, 1, 1, 1}, 0, true);
    std::string value = node("Conv", {name, weight}, kSourcePrefix + name);
    set("group", w_.oc);
    model_.graph.outputs.push_back(
        {value, w_.type, output_shape()});  // so that the sum is not fused into this one
    std::rotate(model_.graph.nodes.begin(), model_.graph.nodes.end() - 1, model_.graph.nodes.end());
    return value;
  }

  bool gemm() const { return w_.kind == Kind::gemm; }
  Shape input_shape() const { return gemm() ? Shape{w_.mb, w_.ic} : Shape{w_.mb, w_.ic, w_.ih, w_.iw}; }
  Shape output_shape() const { return gemm() ? Shape{w_.mb, w_.oc} : Shape{w_.mb, w_.oc, w_.oh, w_.ow}; }
  Shape channel_shape() const { return gemm() ? Shape{w_.oc} : Shape{w_.oc, 1, 1}; }

  std::string layer(bool biased);
  std::string post(const std::string& word, const std::string& value, std::size_t index);

 private:
  void set_geometry();
  std::string batch_normalization(const std::string& value, const std::string& name);

  const Workload& w_;
  Random random_;
  graph::Model model_;
};

void Builder::set_geometry() {
  set("kernel_shape", std::vector<std::int64_t>{w_.kh, w_.kw});
  set("strides", std::vector<std::int64_t>{w_.sh, w_.sw});
  set("dilations", std::vector<std::int64_t>{w_.dh, w_.dw});
  set("pads", std::vector<std::int64_t>{w_.pt, w_.pl, w_.pb, w_.pr});
  set("group", w_.g);
  if (w_.kind == Kind::conv) return;
  std::int64_t h = (w_.ih - 1) * w_.sh + (w_.kh - 1) * w_.dh + 1 - w_.pt - w_.pb;
  std::int64_t v = (w_.iw - 1) * w_.sw + (w_.kw - 1) * w_.dw + 1 - w_.pl - w_.pr;
  set("output_padding", std::vector<std::int64_t>{w_.oh - h, w_.ow - v});
}

std::string Builder::layer(bool biased) {
  std::vector<std::string> inputs = {"x"};
  double scale = std::sqrt(2.0 / static_cast<double>(w_.ic / w_.g * w_.kh * w_.kw));
  if (gemm())
    inputs.push_back(constant("w", {w_.ic, w_.oc}, scale));
  else if (w_.kind == Kind::conv)
    inputs.push_back(constant("w", {w_.oc, w_.ic / w_.g, w_.kh, w_.kw}, scale));
  else
    inputs.push_back(constant("w", {w_.ic, w_.oc / w_.g, w_.kh, w_.kw}, scale));
  if (biased) inputs.push_back(constant("b", {w_.oc}, 0.1));
  if (gemm()) return node(biased ? "Gemm" : "MatMul", inputs, "layer");
  std::string value = node(w_.kind == Kind::conv ? "Conv" : "ConvTranspose", inputs, "layer");
  set_geometry();
  return value;
}

std::string Builder::batch_normalization(const std::string& value, const std::string& name) {
  return node("BatchNormalization",
              {value, constant(name + "_scale", {w_.oc}, 0, true), constant(name + "_shift", {w_.oc}, 0.1),
               constant(name + "_mean", {w_.oc}, 0.1), constant(name + "_variance", {w_.oc}, 0, true)},
              name);
}

std::string Builder::post(const std::string& word, const std::string& value, std::size_t index) {
  std::string name = fmt::format("{}{}", word, index);
  if (word == "bias") return node("Add", {value, constant(name + "_b", channel_shape(), 0.1)}, name);
  if (word == "bn") return batch_normalization(value, name);
  if (word == "add") return node("Add", {value, residual()}, name);
  if (word == "clip") {
    model_.graph.initializers["zero"] = graph::make_f32({}, {0});
    model_.graph.initializers["six"] = graph::make_f32({}, {6});
    return node("Clip", {value, "zero", "six"}, name);
  }
  for (const Activation& known : kActivations)
    if (word == known.word) return node(known.op, {value}, name);
  throw Error(Code::runtime_refused, fmt::format("no layer model can be made with '{}' behind it", word));
}

}  // namespace

graph::Model layer_model(const Workload& workload, std::uint64_t seed) {
  if (workload.type != graph::DataType::f32)
    throw Error(Code::runtime_refused, fmt::format("workloads of type {} are not supported by this runner",
                                                   graph::name(workload.type)));
  constexpr std::int64_t kLargest = std::int64_t{4} << 30;
  if (latency::bytes(workload) > kLargest)
    throw Error(Code::runtime_refused, "the workload is larger than 4 GiB");
  std::vector<std::string> words;
  std::istringstream stream(workload.post);
  for (std::string word; std::getline(stream, word, '+');) words.push_back(word);
  Builder builder(workload, seed);
  bool biased = !words.empty() && words.front() == "bias";
  std::string value = builder.layer(biased);
  for (std::size_t i = biased ? 1 : 0; i < words.size(); ++i) value = builder.post(words[i], value, i);
  return builder.finish();
}

}  // namespace tailor::ort
