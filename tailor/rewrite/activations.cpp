// get: what is missing is computed by the runner from the part of the model behind the values that are known.
#include "tailor/rewrite/activations.h"

#include "tailor/graph/model.h"
#include "tailor/onnx/onnx.h"

#include <algorithm>

namespace tailor::rewrite {
namespace {

// Declared as the model declares its own batch: free, or fixed (then the runner goes through the samples in
// such chunks).
graph::ValueInfo info(const std::string& name, const graph::Tensor& like, std::int64_t batch) {
  graph::Shape shape = like.dims;
  if (!shape.empty()) shape[0] = batch;
  std::vector<std::string> symbols(shape.size());
  if (!symbols.empty() && batch < 0) symbols[0] = "samples";
  return {name, like.type, shape, symbols, {}};
}

std::int64_t declared_batch(const graph::Model& model) {
  const auto& inputs = model.graph.inputs;
  bool known = !inputs.empty() && inputs[0].shape && !inputs[0].shape->empty();
  return known ? inputs[0].shape->front() : graph::kUnknown;
}

// Samples at a time: so many that the largest value of a chunk stays about in the second-level cache.
int chunk(const graph::Shapes& shapes) {
  std::int64_t largest = 1;
  for (const auto& [name, type] : shapes.types)
    if (!shapes.constant(name) && !type.shape.empty() && type.shape[0] > 0)
      largest = std::max(largest, graph::element_count(type.shape) / type.shape[0]);
  constexpr std::int64_t kFloats = std::int64_t{1} << 19;
  return static_cast<int>(std::clamp<std::int64_t>(kFloats / largest, 1, 64));
}

graph::ValueInfo asked(const std::string& name, const graph::Shapes& shapes) {
  const graph::TensorType* type = shapes.find(name);
  return {name, type ? type->type : graph::DataType::f32, std::nullopt, {}, {}};
}

}  // namespace

Activations::Activations(runtime::Runner& runner, const graph::Shapes& shapes, runtime::NamedTensors inputs,
                         int threads, std::size_t limit)
    : runner_(runner),
      shapes_(shapes),
      folder_(true),
      threads_(threads),
      chunk_(chunk(shapes)),
      limit_(limit) {
  for (auto& [name, tensor] : inputs) known_.emplace(name, std::move(tensor));
}

std::vector<std::string> Activations::missing(const std::vector<std::string>& names) const {
  std::vector<std::string> list;
  for (const std::string& name : names)
    if (!known_.contains(name) && std::find(list.begin(), list.end(), name) == list.end())
      list.push_back(name);
  return list;
}

void Activations::trim() {
  std::size_t total = 0;
  for (const std::string& name : order_) total += known_.at(name).data.size();
  while (total > limit_ && order_.size() > 1) {
    total -= known_.at(order_.front()).data.size();
    known_.erase(order_.front());
    order_.erase(order_.begin());
  }
}

void Activations::forget(const graph::Model& model, const std::set<int>& nodes) {
  std::set<std::string> changed;
  for (int i = 0; i < static_cast<int>(model.graph.nodes.size()); ++i) {
    const graph::Node& node = model.graph.nodes[static_cast<std::size_t>(i)];
    std::vector<std::string> read = graph::reads(node);
    if (nodes.contains(i) ||
        std::any_of(read.begin(), read.end(), [&](const auto& name) { return changed.contains(name); }))
      changed.insert(node.outputs.begin(), node.outputs.end());
  }
  std::erase_if(order_, [&](const std::string& name) { return changed.contains(name); });
  std::erase_if(known_, [&](const auto& entry) { return changed.contains(entry.first); });
}

std::vector<graph::Tensor> Activations::get(const graph::Model& model,
                                            const std::vector<std::string>& names) {
  if (std::vector<std::string> wanted = missing(names); !wanted.empty()) {
    std::vector<graph::ValueInfo> inputs, outputs;
    std::int64_t batch = declared_batch(model);
    for (const auto& [name, tensor] : known_) inputs.push_back(info(name, tensor, batch));
    for (const std::string& name : wanted) outputs.push_back(asked(name, shapes_));
    graph::Model part = graph::slice(model, inputs, outputs);
    graph::Uses uses(part.graph);
    std::erase_if(part.graph.inputs,
                  [&](const graph::ValueInfo& input) { return uses.consumers(input.name).empty(); });
    runtime::NamedTensors fed;
    for (const graph::ValueInfo& input : part.graph.inputs)
      fed.emplace_back(input.name, known_.at(input.name));
    std::filesystem::path path = folder_.fresh(".onnx");
    onnx::write(part, path);
    for (auto& [name, tensor] : runner_.run(path, fed, wanted, chunk_, threads_, true)) {
      order_.push_back(name);
      known_[name] = std::move(tensor);
    }
    onnx::remove_written(path);
  }
  std::vector<graph::Tensor> values;
  for (const std::string& name : names) values.push_back(known_.at(name));
  trim();
  return values;
}

}  // namespace tailor::rewrite
