// step      one function per bracket; slots as bodies.h lists them
// carry_in  at the start of a loop's body: the initial value's shape, weakened by what earlier rounds found
// carry_out at its end: what the body gives against what was assumed
#include "tailor/graph/body_shapes.h"

#include "tailor/graph/bodies.h"

#include <algorithm>

namespace tailor::graph {
namespace {

constexpr int kMostRounds = 6;

// What is common to both; nullopt if not even the rank is.
std::optional<Shape> joined(const Shape& a, const Shape& b) {
  if (a.size() != b.size()) return std::nullopt;
  Shape shape = a;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != b[i]) shape[i] = kUnknown;
  return shape;
}

void put(Knowledge& known, const std::string& name, DataType type, std::optional<Shape> shape) {
  if (!name.empty() && shape) known.shapes.types[name] = {type, std::move(*shape)};
}

std::size_t sequences_of(const Node& enter) {
  return static_cast<std::size_t>(std::clamp<std::int64_t>(enter.integer("num_scan_inputs", 0), 0,
                                                           static_cast<std::int64_t>(enter.inputs.size())));
}

// The axis of sequence `i` that a Scan walks along; nullopt if the rank has no such axis.
std::optional<std::size_t> scan_axis(const Node& enter, const char* key, std::size_t i, std::size_t rank) {
  std::vector<std::int64_t> axes = enter.integers(key);
  std::int64_t axis = i < axes.size() ? axes[i] : 0;
  if (axis < 0) axis += static_cast<std::int64_t>(rank);
  if (axis < 0 || axis >= static_cast<std::int64_t>(rank)) return std::nullopt;
  return static_cast<std::size_t>(axis);
}

std::int64_t sequence_length(const Node& enter, const Knowledge& known) {
  const std::size_t states = enter.inputs.size() - sequences_of(enter);
  const Shape* shape = known.shapes.shape(enter.input(states));
  auto axis = shape ? scan_axis(enter, "scan_input_axes", 0, shape->size()) : std::nullopt;
  return axis ? (*shape)[*axis] : kUnknown;
}

}  // namespace

bool BodyShapes::settled() {
  open_.clear();
  const bool done = !changed_;
  changed_ = false, ++rounds_;
  return done;
}

void BodyShapes::step(const Node& bracket, Knowledge& known) {
  if (bracket.op.starts_with("Enter")) {
    open_.push_back(&bracket);
    if (bracket.op == "EnterLoop") enter_loop(bracket, known);
    if (bracket.op == "EnterScan") enter_scan(bracket, known);
  } else if (bracket.op.starts_with("Leave") && inside()) {
    if (bracket.op == "LeaveIf") leave_if(bracket, known);
    if (bracket.op == "LeaveLoop") leave_loop(bracket, known);
    if (bracket.op == "LeaveScan") leave_scan(bracket, known);
    open_.pop_back();
  }
}

void BodyShapes::carry_in(const std::string& initial, const std::string& carried, Knowledge& known) {
  const TensorType* type = known.shapes.find(initial);
  if (!type || carried.empty() || rounds_ >= kMostRounds) return;
  auto weaker = weakened_.find(carried);
  put(known, carried, type->type, weaker == weakened_.end() ? std::optional(type->shape) : weaker->second);
}

void BodyShapes::carry_out(const std::string& carried, const std::string& given, const std::string& result,
                           Knowledge& known) {
  const TensorType *assumed = known.shapes.find(carried), *found = known.shapes.find(given);
  if (!assumed) return;
  std::optional<Shape> both = found ? joined(assumed->shape, found->shape) : std::nullopt;
  if (both != assumed->shape) changed_ = true, weakened_[carried] = both;
  put(known, result, assumed->type, both);
}

void BodyShapes::enter_loop(const Node& node, Knowledge& known) {
  put(known, node.output(1), DataType::i64, Shape{});
  put(known, node.output(2), DataType::boolean, Shape{});
  for (std::size_t i = 2; i < node.inputs.size(); ++i) carry_in(node.inputs[i], node.output(i + 1), known);
}

void BodyShapes::enter_scan(const Node& node, Knowledge& known) {
  const std::size_t states = node.inputs.size() - sequences_of(node);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (i < states) {
      carry_in(node.inputs[i], node.output(i + 1), known);
      continue;
    }
    const TensorType* type = known.shapes.find(node.inputs[i]);
    auto axis = type ? scan_axis(node, "scan_input_axes", i - states, type->shape.size()) : std::nullopt;
    if (!axis) continue;
    Shape shape = type->shape;
    shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(*axis));
    put(known, node.output(i + 1), type->type, std::move(shape));
  }
}

// Of a condition that is known at these sizes only one branch counts.
void BodyShapes::leave_if(const Node& node, Knowledge& known) const {
  const Node& enter = *open_.back();
  const Tensor* condition = known.shapes.constant(enter.input(0));
  auto taken = condition ? as_integers(*condition) : std::nullopt;
  const std::size_t count = node.outputs.size();
  for (std::size_t i = 0; i < count; ++i) {
    const TensorType *yes = known.shapes.find(node.input(1 + i)),
                     *no = known.shapes.find(node.input(1 + count + i));
    if (taken && taken->size() == 1) {
      const TensorType* one = taken->front() != 0 ? yes : no;
      if (one) put(known, node.outputs[i], one->type, one->shape);
    } else if (yes && no) {
      put(known, node.outputs[i], yes->type, joined(yes->shape, no->shape));
    }
  }
}

void BodyShapes::leave_loop(const Node& node, Knowledge& known) {
  const Node& enter = *open_.back();
  const std::size_t carried = enter.inputs.size() < 2 ? 0 : enter.inputs.size() - 2;
  for (std::size_t i = 0; i + 2 < node.inputs.size(); ++i) {
    if (i < carried) {
      carry_out(enter.output(3 + i), node.input(2 + i), node.output(i), known);
      continue;
    }
    const TensorType* each = known.shapes.find(node.input(2 + i));
    if (!each) continue;
    Shape shape = each->shape;
    shape.insert(shape.begin(), kUnknown);
    put(known, node.output(i), each->type, std::move(shape));
  }
}

void BodyShapes::leave_scan(const Node& node, Knowledge& known) {
  const Node& enter = *open_.back();
  const std::size_t states = enter.inputs.size() - sequences_of(enter);
  const std::int64_t length = sequence_length(enter, known);
  for (std::size_t i = 0; i + 1 < node.inputs.size(); ++i) {
    if (i < states) {
      carry_out(enter.output(1 + i), node.input(1 + i), node.output(i), known);
      continue;
    }
    const TensorType* each = known.shapes.find(node.input(1 + i));
    auto axis =
        each ? scan_axis(enter, "scan_output_axes", i - states, each->shape.size() + 1) : std::nullopt;
    if (!axis) continue;
    Shape shape = each->shape;
    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(*axis), length);
    put(known, node.output(i), each->type, std::move(shape));
  }
}

}  // namespace tailor::graph
