/// \file Small models and data for the program's tests.
#pragma once

#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/graph/npy.h"
#include "tailor/onnx/onnx.h"

#include <cmath>
#include <limits>

namespace tailor::testing {

inline graph::Tensor random_weights(graph::Shape dims, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(graph::element_count(dims)));
  for (float& value : values) value = static_cast<float>(0.2 * random.normal());
  return graph::make_f32(std::move(dims), std::move(values));
}

/// x 1x3x32x32 -> Conv(width) -> Relu -> Conv(8) -> GlobalAveragePool -> Flatten -> Gemm(10) -> y
inline graph::Model small_model(int width, std::uint64_t seed = 1) {
  using graph::Attribute;
  using Integers = std::vector<std::int64_t>;
  std::map<std::string, Attribute, std::less<>> same = {{"kernel_shape", {Integers{3, 3}}},
                                                        {"pads", {Integers{1, 1, 1, 1}}}};
  graph::Model model;
  model.opsets = {{"", 13}};
  graph::Graph& g = model.graph;
  g.name = "small";
  g.nodes = {{"Conv", "", "first", {"x", "w1"}, {"a"}, same},
             {"Relu", "", "relu", {"a"}, {"b"}},
             {"Conv", "", "second", {"b", "w2"}, {"c"}, same},
             {"GlobalAveragePool", "", "pool", {"c"}, {"d"}},
             {"Flatten", "", "flat", {"d"}, {"e"}},
             {"Gemm", "", "last", {"e", "w3"}, {"y"}}};
  g.initializers = {{"w1", random_weights({width, 3, 3, 3}, seed)},
                    {"w2", random_weights({8, width, 3, 3}, seed + 1)},
                    {"w3", random_weights({8, 10}, seed + 2)}};
  g.inputs = {{"x", graph::DataType::f32, graph::Shape{1, 3, 32, 32}}};
  g.outputs = {{"y", graph::DataType::f32, graph::Shape{1, 10}}};
  return model;
}

/// The same for any number of samples.
inline graph::Model with_free_batch(graph::Model model) {
  for (auto* values : {&model.graph.inputs, &model.graph.outputs})
    for (graph::ValueInfo& value : *values) value.shape->front() = graph::kUnknown;
  return model;
}

inline std::filesystem::path write_small(const std::filesystem::path& folder, const std::string& name,
                                         int width, std::uint64_t seed = 1) {
  onnx::write(small_model(width, seed), folder / name);
  return folder / name;
}

/// CIFAR-10 binary records: a label and 3x32x32 pixels each.
inline std::filesystem::path write_cifar(const std::filesystem::path& folder, int samples) {
  Random random(7);
  std::string bytes;
  for (int s = 0; s < samples; ++s) {
    bytes += static_cast<char>(random.below(10));
    for (int i = 0; i < 3 * 32 * 32; ++i) bytes += static_cast<char>(random.below(256));
  }
  write_file(folder / "data_batch.bin", bytes);
  return folder / "data_batch.bin";
}

inline std::filesystem::path write_array(const std::filesystem::path& folder, const std::string& name,
                                         graph::Shape dims) {
  graph::write_npy(random_weights(std::move(dims), 3), folder / name);
  return folder / name;
}

}  // namespace tailor::testing
