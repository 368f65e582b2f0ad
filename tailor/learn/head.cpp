#include "tailor/learn/head.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <set>

namespace tailor::learn {
namespace {

std::string before_softmax(const graph::Graph& graph, const graph::Uses& uses, std::string value) {
  static const std::set<std::string_view> kBehind = {"Identity", "Softmax", "LogSoftmax", "ArgMax"};
  for (int producer = uses.producer(value); producer >= 0; producer = uses.producer(value)) {
    const graph::Node& node = graph.nodes[static_cast<std::size_t>(producer)];
    if (!kBehind.contains(node.op)) break;
    value = node.input(0);
  }
  return value;
}

bool is_floating(graph::DataType type) {
  return type == graph::DataType::f32 || type == graph::DataType::f64 || type == graph::DataType::f16 ||
         type == graph::DataType::bf16;
}

bool scores_of_classes(const graph::Shape& shape) {
  if (shape.size() < 2 || shape[1] < 2) return false;
  for (std::size_t i = 2; i < shape.size(); ++i)
    if (shape[i] != 1) return false;
  return true;
}

}  // namespace

std::vector<Head> heads(const graph::Model& model, const graph::Shapes& shapes) {
  graph::Uses uses(model.graph);
  std::vector<Head> found;
  std::set<std::string> seen;
  for (const graph::ValueInfo& output : model.graph.outputs) {
    std::string value = before_softmax(model.graph, uses, output.name);
    const graph::TensorType* type = shapes.find(value);
    if (!type || !is_floating(type->type) || shapes.constant(value) || !seen.insert(value).second) continue;
    bool classes = scores_of_classes(type->shape);
    found.push_back({value, classes, classes ? type->shape[1] : 0});
  }
  if (found.empty())
    throw Error(Code::not_trainable, "no output of the model holds floating values of a known shape",
                "outputs", "give free dimensions with --shape NAME:1x3x224x224");
  return found;
}

graph::Model with_free_batch(graph::Model model) {
  for (graph::ValueInfo& input : model.graph.inputs)
    if (input.shape && !input.shape->empty()) (*input.shape)[0] = graph::kUnknown;
  return model;
}

const graph::ValueInfo& only_input(const graph::Model& model) {
  if (model.graph.inputs.size() != 1)
    throw Error(Code::not_trainable,
                fmt::format("the model has {} inputs, and data give one", model.graph.inputs.size()),
                "inputs", "training knows models with one input");
  return model.graph.inputs[0];
}

}  // namespace tailor::learn
