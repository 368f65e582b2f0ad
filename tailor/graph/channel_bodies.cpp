// Channel rules of the brackets around bodies (bodies.h). What both branches of an If give has one set of channels; so
// has what a loop carries, from its initial value through every round to its result.
//   join     labels of two values that stand for each other
//   enter_*  labels of what a body gets
//   leave_*  labels of what it gives
#include "tailor/graph/bodies.h"
#include "tailor/graph/channel_context.h"

#include <algorithm>
#include <set>

namespace tailor::graph::labels {
namespace {

constexpr const char* kOtherRank = "has another rank in the other branch, or in the next round";

// One of two values that stand for each other; `input` is its place among the closing bracket's inputs, -1 for what
// came through the opening one.
struct Side {
  AxisIds ids;
  Shape shape;
  int input = -1;
};

Side side(const Context& c, std::size_t input) {
  return {c.in(input), c.shape(input), static_cast<int>(input)};
}

// The side has no label on this axis: a constant gets that of the other side, anything else keeps its size.
void follow(const Context& c, const Side& fixed, std::size_t axis, Ids& ids) {
  const bool constant = fixed.input >= 0 && c.constant(static_cast<std::size_t>(fixed.input));
  if (constant && fixed.shape[axis] == static_cast<std::int64_t>(ids->size()))
    return c.bind(static_cast<std::size_t>(fixed.input), static_cast<int>(axis), ids, Role::follows);
  c.b.freeze(ids, c.node, "meets a fixed axis");
  ids = nullptr;
}

AxisIds join(const Context& c, const Side& a, const Side& b) {
  if (a.ids.size() != b.ids.size()) {
    c.b.freeze(a.ids, c.node, kOtherRank), c.b.freeze(b.ids, c.node, kOtherRank);
    return {};
  }
  AxisIds axes(a.ids.size());
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    const Ids &left = a.ids[axis], &right = b.ids[axis];
    axes[axis] = left ? left : right;
    if (left && right && left->size() == right->size()) {
      c.b.unite(left, right);
    } else if (left && right) {
      for (const Ids& ids : {left, right}) c.b.freeze(ids, c.node, "meets an axis of another size");
      axes[axis] = nullptr;
    } else if (axes[axis]) {
      follow(c, left ? b : a, axis, axes[axis]);
    }
  }
  return axes;
}

std::set<int> roots(const Context& c, const AxisIds& axes) {
  std::set<int> found;
  for (const Ids& ids : axes)
    for (std::size_t i = 0; ids && i < ids->size(); ++i) found.insert(c.b.root((*ids)[i]));
  return found;
}

void freeze_others(const Context& c, const AxisIds& axes, const std::set<int>& known) {
  for (const Ids& ids : axes)
    if (ids && std::any_of(ids->begin(), ids->end(), [&](int id) { return !known.contains(c.b.root(id)); }))
      c.b.freeze(ids, c.node, "has other channels in a branch that does not run at these sizes");
}

// At these sizes one branch is never run, but at others it may be. Its labels may be those of the other one in other
// places (a Squeeze here, an Identity there); what only one of them has cannot be followed.
AxisIds choose(const Context& c, const Side& taken, const Side& other) {
  if (taken.shape == other.shape) return join(c, taken, other);
  const std::set<int> ours = roots(c, taken.ids), theirs = roots(c, other.ids);
  freeze_others(c, taken.ids, theirs), freeze_others(c, other.ids, ours);
  return taken.ids;
}

std::optional<bool> condition(const Context& c) {
  const Node* enter = opening(c.b.model.graph, c.b.uses, c.node);
  const Tensor* known = enter ? c.b.shapes.constant(enter->input(0)) : nullptr;
  auto value = known ? as_integers(*known) : std::nullopt;
  return value && value->size() == 1 ? std::optional(value->front() != 0) : std::nullopt;
}

void leave_if(const Context& c) {
  const std::size_t count = c.node.outputs.size();
  const std::optional<bool> taken = condition(c);
  for (std::size_t i = 0; i < count; ++i) {
    Side yes = side(c, 1 + i), no = side(c, 1 + count + i);
    if (taken)
      c.b.set(c.node.outputs[i], *taken ? choose(c, yes, no) : choose(c, no, yes));
    else
      c.b.set(c.node.outputs[i], join(c, yes, no));
  }
}

// A constant that a loop starts from gets channels; those of a value go on.
void carry_in(const Context& c, std::size_t input, std::size_t output) {
  const std::string& carried = c.node.output(output);
  const Shape from = c.shape(input), to = c.b.shape(carried);
  const AxisIds given = c.in(input);
  const bool constant = c.constant(input);
  AxisIds axes(to.size());
  if (from.size() != to.size()) {
    c.b.freeze(given, c.node, kOtherRank);
    return c.b.set(carried, axes);
  }
  for (std::size_t axis = 0; axis < axes.size(); ++axis) {
    const bool same = from[axis] == to[axis] && to[axis] > 1;
    if (given[axis] && same)
      axes[axis] = given[axis];
    else if (given[axis])
      c.b.freeze(given[axis], c.node, "changes its size from round to round");
    else if (constant && same && (axes[axis] = c.b.fresh(to[axis])))
      c.bind(input, static_cast<int>(axis), axes[axis], Role::follows);
  }
  c.b.set(carried, axes);
}

// The value that entered as `carried` and what the body gives for the next round.
void carry_out(const Context& c, const std::string& carried, std::size_t input, std::size_t output) {
  const Side before{c.b.of(carried), c.b.shape(carried), -1};
  c.b.set(c.node.output(output), join(c, before, side(c, input)));
}

// A sequence of what the body gives, along a new axis.
void collect(const Context& c, std::size_t input, std::size_t output, std::int64_t axis) {
  AxisIds axes = c.in(input);
  axis = wrap(axis, axes.size() + 1);
  if (axis < 0 || axis > static_cast<std::int64_t>(axes.size()))
    return c.b.freeze(axes, c.node, "is collected along an axis that is not there");
  axes.insert(axes.begin() + static_cast<std::ptrdiff_t>(axis), nullptr);
  c.b.set(c.node.output(output), axes);
}

void enter_loop(const Context& c) {
  for (std::size_t i : {0u, 1u}) c.b.freeze(c.in(i), c.node, "says how often a loop runs");
  for (std::size_t i = 2; i < c.node.inputs.size(); ++i) carry_in(c, i, i + 1);
}

void leave_loop(const Context& c) {
  const Node* enter = opening(c.b.model.graph, c.b.uses, c.node);
  if (!enter || enter->inputs.size() < 2) return c.freeze("ends a loop that does not begin");
  c.b.freeze(c.in(1), c.node, "says how often a loop runs");
  const std::size_t carried = enter->inputs.size() - 2;
  for (std::size_t i = 0; i + 2 < c.node.inputs.size(); ++i)
    i < carried ? carry_out(c, enter->output(3 + i), 2 + i, i) : collect(c, 2 + i, i, 0);
}

std::int64_t axis_of(const Node& enter, const char* key, std::size_t i) {
  const std::vector<std::int64_t> axes = enter.integers(key);
  return i < axes.size() ? axes[i] : 0;
}

std::size_t states_of(const Node& enter) {
  const auto inputs = static_cast<std::int64_t>(enter.inputs.size());
  return static_cast<std::size_t>(inputs -
                                  std::clamp<std::int64_t>(enter.integer("num_scan_inputs", 0), 0, inputs));
}

void enter_scan(const Context& c) {
  const std::size_t states = states_of(c.node);
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
    if (i < states) {
      carry_in(c, i, i + 1);
      continue;
    }
    AxisIds axes = c.in(i);
    const std::int64_t axis = wrap(axis_of(c.node, "scan_input_axes", i - states), axes.size());
    if (axis < 0 || axis >= static_cast<std::int64_t>(axes.size())) {
      c.b.freeze(axes, c.node, "is walked along an axis that is not there");
      continue;
    }
    c.b.freeze(axes[static_cast<std::size_t>(axis)], c.node, "is the axis that a Scan walks along");
    axes.erase(axes.begin() + static_cast<std::ptrdiff_t>(axis));
    c.b.set(c.node.output(i + 1), axes);
  }
}

void leave_scan(const Context& c) {
  const Node* enter = opening(c.b.model.graph, c.b.uses, c.node);
  if (!enter) return c.freeze("ends a loop that does not begin");
  const std::size_t states = states_of(*enter);
  for (std::size_t i = 0; i + 1 < c.node.inputs.size(); ++i)
    i < states ? carry_out(c, enter->output(1 + i), 1 + i, i)
               : collect(c, 1 + i, i, axis_of(*enter, "scan_output_axes", i - states));
}

}  // namespace

void bracket(const Context& c) {
  const std::string& op = c.node.op;
  if (op == "EnterIf") return c.b.freeze(c.in(0), c.node, "decides which branch runs");
  if (op == "NextIf") return;
  if (op == "LeaveIf") return leave_if(c);
  if (op == "EnterLoop") return enter_loop(c);
  if (op == "LeaveLoop") return leave_loop(c);
  if (op == "EnterScan") return enter_scan(c);
  if (op == "LeaveScan") return leave_scan(c);
  c.freeze("is no bracket");
}

}  // namespace tailor::graph::labels
