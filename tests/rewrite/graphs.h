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

}  // namespace tailor::testing
