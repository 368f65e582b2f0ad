/// \file Large models made on the spot: many nodes, or many bytes. Their weights share one block of noise, so that
/// making them costs neither time nor memory.
#pragma once

#include "tailor/base/random.h"
#include "tailor/graph/model.h"

#include <fmt/format.h>

#include <cmath>

namespace tailor::testing {

/// Weights of any shape out of one block: each at another place, so that no two are the same memory.
class Noise {
 public:
  explicit Noise(std::size_t largest, std::size_t tensors) {
    Random random(5);
    std::vector<float> block(largest / sizeof(float) + tensors * kStep);
    for (float& value : block) value = static_cast<float>(random.uniform(-0.05, 0.05));
    block_ = Bytes::own(std::move(block));
  }
  graph::Tensor tensor(graph::Shape dims) {
    auto bytes = static_cast<std::size_t>(graph::element_count(dims)) * sizeof(float);
    return {graph::DataType::f32, std::move(dims), block_.part(kStep * sizeof(float) * next_++, bytes)};
  }

 private:
  static constexpr std::size_t kStep = 16;
  Bytes block_;
  std::size_t next_ = 0;
};

inline graph::Node node(const char* op, int serial, std::vector<std::string> inputs, std::string output) {
  return {op, "", fmt::format("{}_{}", op, serial), std::move(inputs), {std::move(output)}};
}

/// x -> Conv 1x1, Relu, Conv 1x1, Relu ... -> y; `layers` convolutions of `width` channels: 4 * width^2 bytes each.
inline graph::Model chain(int layers, std::int64_t width) {
  graph::Model model;
  model.opsets = {{"", 13}};
  model.graph.name = "chain";
  Noise noise(static_cast<std::size_t>(width * width) * sizeof(float), static_cast<std::size_t>(layers));
  std::string value = "x";
  for (int i = 0; i < layers; ++i) {
    std::string weights = fmt::format("w{}", i), next = fmt::format("a{}", i);
    model.graph.initializers[weights] = noise.tensor({width, width, 1, 1});
    model.graph.nodes.push_back(node("Conv", i, {value, weights}, next));
    value = i + 1 == layers ? "y" : fmt::format("b{}", i);
    model.graph.nodes.push_back(node("Relu", i, {next}, value));
  }
  model.graph.inputs = {{"x", graph::DataType::f32, graph::Shape{1, width, 1, 1}}};
  model.graph.outputs = {{"y", graph::DataType::f32, graph::Shape{1, width, 1, 1}}};
  return model;
}

/// Stages of residual blocks (Conv 3x3, BatchNormalization, Relu, Conv 3x3, BatchNormalization, Add, Relu), a strided
/// convolution between stages, about `nodes` nodes.
inline graph::Model residual_net(int nodes, std::int64_t width, int blocks_per_stage = 50) {
  graph::Model model;
  model.opsets = {{"", 13}};
  model.graph.name = "residual";
  graph::Graph& g = model.graph;
  Noise noise(static_cast<std::size_t>(width * width * 9) * sizeof(float),
              static_cast<std::size_t>(nodes) * 2);
  int serial = 0;
  using Integers = std::vector<std::int64_t>;
  auto conv = [&](const std::string& from) {
    std::string weights = fmt::format("w{}", serial), to = fmt::format("c{}", serial);
    g.initializers[weights] = noise.tensor({width, width, 3, 3});
    graph::Node made = node("Conv", serial++, {from, weights}, to);
    made.attributes = {{"kernel_shape", {Integers{3, 3}}}, {"pads", {Integers{1, 1, 1, 1}}}};
    g.nodes.push_back(std::move(made));
    return to;
  };
  auto normalised = [&](const std::string& from) {
    std::vector<std::string> inputs = {from};
    for (const char* part : {"scale", "bias", "mean", "var"}) {
      inputs.push_back(fmt::format("{}{}", part, serial));
      g.initializers[inputs.back()] =
          std::string_view(part) == "var"
              ? graph::make_f32({width}, std::vector<float>(static_cast<std::size_t>(width), 1))
              : noise.tensor({width});
    }
    std::string to = fmt::format("n{}", serial);
    g.nodes.push_back(node("BatchNormalization", serial++, std::move(inputs), to));
    return to;
  };
  auto relu = [&](const std::string& from) {
    std::string to = fmt::format("r{}", serial);
    g.nodes.push_back(node("Relu", serial++, {from}, to));
    return to;
  };
  std::string stream = conv("x");
  for (int block = 0; static_cast<int>(g.nodes.size()) < nodes; ++block) {
    if (block > 0 && block % blocks_per_stage == 0) stream = conv(stream);
    std::string side = normalised(conv(relu(normalised(conv(stream)))));
    std::string sum = fmt::format("s{}", serial);
    g.nodes.push_back(node("Add", serial++, {stream, side}, sum));
    stream = relu(sum);
  }
  g.nodes.push_back(node("GlobalAveragePool", serial, {stream}, "y"));
  g.inputs = {{"x", graph::DataType::f32, graph::Shape{1, width, 8, 8}}};
  g.outputs = {{"y", graph::DataType::f32, graph::Shape{1, width, 1, 1}}};
  return model;
}

}  // namespace tailor::testing
