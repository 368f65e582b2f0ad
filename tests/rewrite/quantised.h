/// \file Networks in 8 bits for tests: levels of 8 bits per channel, ranges of the inputs of the test.
#pragma once

#include "tailor/rewrite/quantise_network.h"
#include "tests/rewrite/known.h"

#include <algorithm>

namespace tailor::testing {

inline rewrite::QuantisedNetwork quantised(const Known& k) {
  rewrite::Quantisation how;
  const std::vector<int> layers = rewrite::quantisable_layers(k.model, k.shapes);
  for (int node : layers) {
    const graph::Node& layer = k.model.graph.nodes[static_cast<std::size_t>(node)];
    const graph::Shape& y = *k.shapes.shape(layer.output(0));
    const std::int64_t outputs = layer.op == "Conv" ? y[1] : y.back();
    how.layers[node] = saliency::levels(rewrite::weight_rows(k.model, node),
                                        static_cast<std::size_t>(outputs), {"int8", 8, true, false});
  }
  const std::vector<std::string> values = rewrite::quantised_values(k.model, layers);
  TemporaryFolder folder(true);
  const std::filesystem::path path = folder.fresh(".onnx");
  graph::Model watched = k.model;
  for (const std::string& name : values)
    if (std::none_of(watched.graph.inputs.begin(), watched.graph.inputs.end(),
                     [&](const auto& v) { return v.name == name; }) &&
        std::none_of(watched.graph.outputs.begin(), watched.graph.outputs.end(),
                     [&](const auto& v) { return v.name == name; }))
      watched.graph.outputs.push_back({name, graph::DataType::f32});
  runtime::NamedTensors seen = run_model(watched, k.inputs);
  seen.insert(seen.end(), k.inputs.begin(), k.inputs.end());
  for (const auto& [name, tensor] : seen) {
    if (tensor.type != graph::DataType::f32) continue;
    const std::vector<float> v = tensor.values<float>();
    how.ranges[name] = {*std::min_element(v.begin(), v.end()), *std::max_element(v.begin(), v.end())};
  }
  return rewrite::quantise_network(k.model, how);
}

}  // namespace tailor::testing
