/// \file Graphs for tests of surgery, written as lines "Op inputs -> outputs | attributes".
#pragma once

#include "tests/graph/one_node.h"
#include "tests/running.h"

namespace tailor::testing {

/// Operands that are shapes become random weights, "[...]" and "{...}" constants; others are names of values.
/// The first node's first input is the graph's, the last node's first output too.
inline graph::Model graph_of(const std::vector<std::string>& lines, graph::Shape input,
                             std::map<std::string, graph::Tensor, std::less<>> constants = {},
                             std::int64_t opset = 13) {
  Random random(11);
  graph::Model model;
  model.opsets = {{"", opset}};
  model.graph.name = "made";
  model.graph.initializers = std::move(constants);
  for (const std::string& line : lines) {
    std::size_t arrow = line.find("->"), bar = line.find('|');
    std::vector<std::string> left = words(line.substr(0, arrow)),
                             right = words(
                                 line.substr(arrow + 2, bar == std::string::npos ? bar : bar - arrow - 2));
    graph::Node node{left[0], "", "n" + std::to_string(model.graph.nodes.size()), {}, right};
    for (std::size_t i = 1; i < left.size(); ++i) {
      std::string name = left[i] == "-" ? "" : left[i];
      if (name.empty()) {
        node.inputs.push_back(name);
        continue;
      }
      bool literal = name[0] == '[' || name[0] == '{',
           weights = std::isdigit(static_cast<unsigned char>(name[0])) != 0;
      if (literal || weights) {
        name = "c" + std::to_string(model.graph.initializers.size());
        graph::Tensor noise = weights ? smooth(shape_of(left[i]), random) : graph::Tensor{};
        std::vector<float> positive = weights ? noise.values<float>() : std::vector<float>{};
        if (left[0] == "BatchNormalization" && i == 5)
          for (float& v : positive) v = std::abs(v) + 0.5f;
        model.graph.initializers[name] =
            literal ? constant_of(left[i]) : graph::make_f32(noise.dims, positive);
      }
      node.inputs.push_back(name);
    }
    if (bar != std::string::npos)
      for (const std::string& word : words(line.substr(bar + 1)))
        node.attributes[word.substr(0, word.find('='))].value = attribute_of(word.substr(word.find('=') + 1));
    model.graph.nodes.push_back(std::move(node));
  }
  model.graph.inputs = {{model.graph.nodes.front().inputs[0], graph::DataType::f32, std::move(input)}};
  model.graph.outputs = {{model.graph.nodes.back().outputs[0], graph::DataType::f32}};
  return model;
}

/// Graphs of images 1x4x5x5 whose operators name sizes: a cut has to re-make them.
inline const std::vector<std::vector<std::string>>& graphs_that_name_sizes() {
  static const std::vector<std::vector<std::string>> list = {
      {"Conv x 8x4x1x1 -> a", "Shape a -> s", "Gather s [0] -> n", "Cast [8] -> c | to=7",
       "Concat n c [-1] -> t | axis=0", "Reshape a t -> b", "MatMul b 25x3 -> d", "Reshape d [1,8,3,1] -> e",
       "Conv e 2x8x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Reshape a [1,2,4,5,5] -> b", "Transpose b -> c | perm=[0,2,1,3,4]",
       "Reshape c [1,-1,5,5] -> d", "Split d [4,4] -> e f | axis=1", "Concat f e -> g | axis=1",
       "Conv g 2x8x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Slice a [-6] [9223372036854775807] [1] -> b", "Conv b 2x6x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Split a -> e f | axis=1", "Mul e f -> g", "Conv g 2x4x1x1 -> y"},
      {"Conv x 4x4x1x1 -> a", "Pad a [0,1,0,0,0,3,0,0] {2}f -> p", "Conv p 2x8x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Gather a [7,1,-1,0] -> b | axis=1", "Conv b 2x4x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Conv a 16x1x3x3 -> b | group=8", "ConvTranspose b 16x4x2x2 -> c | group=2",
       "Conv c 2x8x1x1 -> y"},
      {"Conv x 16x4x1x1 -> a", "ConvTranspose a 16x1x2x2 -> b | group=8", "Conv b 2x8x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "ReduceMean a -> m | axes=[2,3] keepdims=1", "Expand m [1,8,5,5] -> e",
       "Add a e -> b", "Conv b 2x8x1x1 -> y"},
      {"Conv x 8x4x1x1 -> a", "Resize a - - [1,8,10,10] -> b", "Conv b 2x8x1x1 -> y"},
  };
  return list;
}

}  // namespace tailor::testing
