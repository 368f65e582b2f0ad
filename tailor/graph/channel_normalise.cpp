// Channel rules of normalisations. What is averaged over cannot change: without a channel the mean is another one.
#include "tailor/graph/channel_context.h"

namespace tailor::graph::labels {
namespace {

// Freezes an axis of `axes` and takes its label away.
void average(const Context& c, AxisIds& axes, std::size_t axis) {
  if (axis >= axes.size()) return;
  c.b.freeze(axes[axis], c.node, "is normalised over");
  axes[axis] = nullptr;
}

}  // namespace

// Vectors along axis 1.
void batch_normalisation(const Context& c) {
  AxisIds x = c.in(0);
  if (Ids ids = at(x, 1))
    for (std::size_t i = 1; i < c.node.inputs.size(); ++i) c.bind(i, 0, ids, Role::produces);
  for (const std::string& name : c.node.outputs) c.b.set(name, AxisIds(c.b.shape(name).size()));
  c.b.set(c.node.output(0), x);
}

// Axis 1 stays apart, as batch axes of products do: split channels go by whole parts.
void instance_normalisation(const Context& c) {
  AxisIds x = c.in(0);
  Ids ids = at(x, 1);
  for (std::size_t axis = 2; axis < x.size(); ++axis) average(c, x, axis);
  if (ids && c.b.probe) c.b.probe->batches.push_back(ids);
  for (std::size_t i = 1; ids && i < c.node.inputs.size(); ++i) c.bind(i, 0, ids, Role::produces);
  c.b.set(c.node.output(0), x);
}

// Whole groups can go. Scale and bias are vectors over groups (opset 18) or over channels.
void group_normalisation(const Context& c) {
  AxisIds x = c.in(0);
  Ids ids = at(x, 1);
  std::int64_t groups = c.node.integer("num_groups", 1);
  for (std::size_t axis = 2; axis < x.size(); ++axis) average(c, x, axis);
  if (ids && (groups < 2 || static_cast<std::int64_t>(ids->size()) % groups != 0)) {
    average(c, x, 1);
  } else if (ids) {
    std::size_t each = ids->size() / static_cast<std::size_t>(groups);
    auto whole = std::make_shared<std::vector<int>>();
    for (std::size_t i = 0; i < ids->size(); ++i) {
      if (i % each == 0) whole->push_back((*ids)[i]);
      c.b.unite((*ids)[i], whole->back());
    }
    for (std::size_t i : {1u, 2u}) c.bind(i, 0, c.shape(i) == Shape{groups} ? whole : ids, Role::produces);
  }
  c.b.set(c.node.output(0), x);
}

void softmax(const Context& c) {
  AxisIds x = c.in(0);
  bool old = c.b.model.opsets.contains("") && c.b.model.opsets.find("")->second < 13;
  auto axis = static_cast<std::size_t>(wrap(c.node.integer("axis", old ? 1 : -1), x.size()));
  for (std::size_t a = axis; a < (old ? x.size() : std::min(axis + 1, x.size())); ++a) average(c, x, a);
  c.b.set(c.node.output(0), x);
}

void lp_normalisation(const Context& c) {
  AxisIds x = c.in(0);
  average(c, x, static_cast<std::size_t>(wrap(c.node.integer("axis", -1), x.size())));
  c.b.set(c.node.output(0), x);
}

void mean_variance(const Context& c) {
  AxisIds x = c.in(0);
  for (std::int64_t axis : c.node.integers("axes", {0, 2, 3}))
    average(c, x, static_cast<std::size_t>(wrap(axis, x.size())));
  c.b.set(c.node.output(0), x);
}

void layer_normalisation(const Context& c) {  // LayerNormalization
  AxisIds x = c.in(0);
  auto first = static_cast<std::size_t>(wrap(c.node.integer("axis", -1), x.size()));
  for (std::size_t a = first; a < x.size(); ++a)
    c.b.freeze(x[a], c.node, "is normalised over"), x[a] = nullptr;
  for (const std::string& name : c.node.outputs) c.b.set(name, AxisIds(c.b.shape(name).size()));
  c.b.set(c.node.output(0), x);
}

}  // namespace tailor::graph::labels
