#include "tailor/rewrite/opset.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <set>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;

std::string add_constant(Model& model, const std::string& name, graph::Tensor tensor) {
  std::string fresh = name;
  for (int i = 1; model.graph.initializers.contains(fresh); ++i) fresh = fmt::format("{}_{}", name, i);
  model.graph.initializers[fresh] = std::move(tensor);
  return fresh;
}

// starts, ends, axes: attributes before, inputs now.
void renew_slice(Model& model, Node& node) {
  const std::string stem = node.output(0);
  for (const char* key : {"starts", "ends", "axes"}) {
    std::vector<std::int64_t> values = node.integers(key);
    if (values.empty()) continue;
    const auto count = static_cast<std::int64_t>(values.size());
    node.inputs.push_back(add_constant(model, stem + "_" + key, graph::make_i64({count}, std::move(values))));
    node.attributes.erase(key);
  }
}

void renew_upsample(Model& model, Node& node) {
  node.op = "Resize";
  const auto* scales = node.find<std::vector<float>>("scales");
  if (!scales) return;
  const auto count = static_cast<std::int64_t>(scales->size());
  node.inputs.push_back(add_constant(model, node.output(0) + "_scales", graph::make_f32({count}, *scales)));
  node.attributes.erase("scales");
}

}  // namespace

Model at_least_opset_10(const Model& model) {
  const auto opset = model.opsets.find("");
  if (opset == model.opsets.end() || opset->second >= 10) return model;
  static const std::set<std::string> refused = {"TopK", "Scan", "Loop", "If"};
  Model result = model;
  result.opsets[""] = 10;
  for (Node& node : result.graph.nodes) {
    if (!node.domain.empty()) continue;
    if (refused.contains(node.op) || node.integer("spatial", 1) != 1)
      throw Error(Code::unsupported_opset,
                  fmt::format("{} of opset {} is read differently by opset 10, which integers need", node.op,
                              opset->second),
                  node.label(), "convert the model to opset 10 or newer first");
    if (node.op == "Slice") renew_slice(result, node);
    if (node.op == "Upsample") renew_upsample(result, node);
    node.attributes.erase("spatial");  // of BatchNormalization before 9: per channel, as it always is now
  }
  return result;
}

}  // namespace tailor::rewrite
