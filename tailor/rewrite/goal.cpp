#include "tailor/rewrite/goal.h"

#include <algorithm>

namespace tailor::rewrite {
namespace {

constexpr float kNone = std::numeric_limits<float>::infinity();

float bound(const graph::Model& model, const graph::Uses& uses, const graph::Node& clip, std::size_t input,
            const char* attribute, float otherwise) {
  if (clip.attributes.contains(attribute)) return clip.real(attribute, otherwise);
  const graph::Tensor* tensor = graph::constant(model.graph, uses, clip.input(input));
  auto values = tensor ? graph::as_floats(*tensor) : std::nullopt;
  return values && values->size() == 1 ? values->front() : otherwise;
}

}  // namespace

Bounds bounds_of(const graph::Model& model, const graph::Uses& uses, const graph::Node& node) {
  if (node.op == "Relu") return {0, kNone};
  return {bound(model, uses, node, 1, "min", -kNone), bound(model, uses, node, 2, "max", kNone)};
}

Bounds bounds_of_readers(const graph::Model& model, const std::string& value) {
  graph::Uses uses(model.graph);
  const auto& readers = uses.consumers(value);
  if (readers.empty() || uses.is_output(value)) return {};
  Bounds shared{kNone, -kNone};
  for (int reader : readers) {
    const graph::Node& node = model.graph.nodes[reader];
    if (node.op != "Relu" && node.op != "Clip") return {};
    Bounds own = bounds_of(model, uses, node);
    shared.low = std::min(shared.low, own.low), shared.high = std::max(shared.high, own.high);
  }
  return shared;
}

}  // namespace tailor::rewrite
