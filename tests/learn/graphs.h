/// \file Small networks and data for training.
#pragma once

#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/graph/model.h"

#include <string>
#include <vector>

namespace tailor::testing {

inline graph::Tensor drawn(graph::Shape dims, std::uint64_t seed, double scale = 0.3) {
  Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(graph::element_count(dims)));
  for (float& value : values) value = static_cast<float>(scale * random.normal());
  return graph::make_f32(std::move(dims), std::move(values));
}

inline graph::Tensor filled(std::int64_t count, float value) {
  return graph::make_f32({count}, std::vector<float>(static_cast<std::size_t>(count), value));
}

/// x Nx3x8x8 -> Conv 6 -> BatchNormalization -> Relu -> Conv 6 -> BatchNormalization -> sum with the first Relu -> Relu ->
/// GlobalAveragePool -> Flatten -> Dropout -> Gemm 4 -> Softmax -> y. Zeros and ones of the two normalisations are shared.
inline graph::Model small_classifier(std::uint64_t seed = 1) {
  using Integers = std::vector<std::int64_t>;
  std::map<std::string, graph::Attribute, std::less<>> same = {{"kernel_shape", {Integers{3, 3}}},
                                                               {"pads", {Integers{1, 1, 1, 1}}}};
  graph::Model model;
  model.opsets = {{"", 13}};
  graph::Graph& g = model.graph;
  g.name = "classifier";
  g.nodes = {{"Conv", "", "conv1", {"x", "w1"}, {"a"}, same},
             {"BatchNormalization", "", "bn1", {"a", "ones", "zeros", "zeros", "ones"}, {"b"}},
             {"Relu", "", "relu1", {"b"}, {"c"}},
             {"Conv", "", "conv2", {"c", "w2"}, {"d"}, same},
             {"BatchNormalization", "", "bn2", {"d", "ones", "zeros", "zeros", "ones"}, {"e"}},
             {"Add", "", "sum", {"c", "e"}, {"f"}},
             {"Relu", "", "relu2", {"f"}, {"g"}},
             {"GlobalAveragePool", "", "pool", {"g"}, {"h"}},
             {"Flatten", "", "flat", {"h"}, {"i"}},
             {"Dropout", "", "drop", {"i", "ratio"}, {"j"}},
             {"Gemm", "", "last", {"j", "w3", "b3"}, {"k"}},
             {"Softmax", "", "softmax", {"k"}, {"y"}}};
  g.nodes[10].attributes["transB"] = {std::int64_t{1}};
  g.initializers = {{"w1", drawn({6, 3, 3, 3}, seed)},
                    {"w2", drawn({6, 6, 3, 3}, seed + 1)},
                    {"w3", drawn({4, 6}, seed + 2)},
                    {"b3", drawn({4}, seed + 3)},
                    {"ones", filled(6, 1)},
                    {"zeros", filled(6, 0)},
                    {"ratio", graph::make_f32({}, {0.1f})}};
  g.inputs = {{"x", graph::DataType::f32, graph::Shape{1, 3, 8, 8}}};
  g.outputs = {{"y", graph::DataType::f32, graph::Shape{1, 4}}};
  return model;
}

inline std::string big_endian(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 255);
  return text;
}

/// Labelled images of 3 x 8 x 8 as IDX of rank 4: the label says which channel is bright; of 3, none. Returns the file of images.
inline std::filesystem::path write_colours(const std::filesystem::path& folder, std::uint32_t count,
                                           std::uint64_t seed) {
  Random random(seed);
  std::string images =
      std::string("\0\0\x08\x04", 4) + big_endian(count) + big_endian(3) + big_endian(8) + big_endian(8);
  std::string labels = std::string("\0\0\x08\x01", 4) + big_endian(count);
  for (std::uint32_t n = 0; n < count; ++n) {
    auto label = random.below(4);
    labels += static_cast<char>(label);
    for (std::size_t i = 0; i < 3 * 64; ++i) {
      double level = i / 64 == label ? 150 : 100;
      images += static_cast<char>(std::min(255.0, std::max(0.0, level + 40 * random.normal())));
    }
  }
  write_file(folder / "colours-images-idx4-ubyte", images);
  write_file(folder / "colours-labels-idx1-ubyte", labels);
  return folder / "colours-images-idx4-ubyte";
}

}  // namespace tailor::testing
