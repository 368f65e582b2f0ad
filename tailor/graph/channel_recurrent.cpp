// Channel rule of LSTM, GRU and RNN: hidden units. A unit owns one row per gate in W, R and B, one column of R, its
// peepholes, and its place in the states and outputs; both directions have the same number of units, so unit i of
// one goes with unit i of the other. Exporters put weights together from parts (Slice and Concat to reorder gates):
// bind_parts follows an axis back to the constants that are stored.
#include "tailor/graph/channel_context.h"
#include "tailor/graph/rules.h"

namespace tailor::graph::labels {
namespace {

// X W R B sequence_lens initial_h initial_c P; outputs Y Y_h Y_c.
enum Slot : std::size_t { kX, kW, kR, kB, kLengths, kInitialH, kInitialC, kPeepholes };

Ids repeated(const Ids& ids, std::int64_t times) {
  auto out = std::make_shared<std::vector<int>>();
  for (std::int64_t i = 0; i < times; ++i) out->insert(out->end(), ids->begin(), ids->end());
  return out;
}

// An axis of an operand, and what is there.
struct Part {
  int node, input;
  std::int64_t axis;
  Ids ids;
};

// The axis of the operand of a Squeeze or Unsqueeze that becomes `axis`: sizes before it have the same product.
std::int64_t axis_before(const Shape& from, const Shape& to, std::int64_t axis) {
  std::int64_t wanted = 1, passed = 1;
  for (std::int64_t i = 0; i < axis; ++i) wanted = times(wanted, to[static_cast<std::size_t>(i)]);
  for (std::size_t i = 0; i < from.size(); passed = times(passed, from[i++]))
    if (passed == wanted && from[i] == to[static_cast<std::size_t>(axis)])
      return static_cast<std::int64_t>(i);
  return -1;
}

// The axis of the first operand that `axis` of the result is; -1 if that does not follow.
std::int64_t operand_axis(const Context& c, const Node& maker, std::int64_t axis) {
  const Shape from = c.b.shape(maker.input(0)), to = c.b.shape(maker.output(0));
  if (axis < 0 || axis >= static_cast<std::int64_t>(to.size())) return -1;
  if (maker.op == "Identity" || maker.op == "Cast") return axis;
  if (maker.op == "Squeeze" || maker.op == "Unsqueeze") return axis_before(from, to, axis);
  if (maker.op == "Transpose") {
    const std::vector<std::int64_t> order = maker.integers("perm");
    if (order.empty()) return static_cast<std::int64_t>(to.size()) - 1 - axis;
    return axis < static_cast<std::int64_t>(order.size()) ? order[static_cast<std::size_t>(axis)] : -1;
  }
  const Tensor* axes = maker.op == "Slice" ? c.b.shapes.constant(maker.input(3)) : nullptr;
  const auto cut = axes ? as_integers(*axes) : std::nullopt;
  if (!cut || from.size() != to.size()) return -1;
  for (std::int64_t other : *cut)
    if (wrap(other, from.size()) == axis) return -1;
  return axis;
}

void bind_parts(const Context& c, const Part& part, Role role, int depth = 8);

void bind_joined(const Context& c, int concat, const Part& part, Role role, int depth) {
  const Node& maker = c.b.model.graph.nodes[static_cast<std::size_t>(concat)];
  const std::int64_t joined = wrap(maker.integer("axis", 1), c.b.shape(maker.output(0)).size());
  std::size_t first = 0;
  for (std::size_t i = 0; i < maker.inputs.size(); ++i) {
    Part next{concat, static_cast<int>(i), part.axis, part.ids};
    if (part.axis == joined) {
      const Shape shape = c.b.shape(maker.inputs[i]);
      const std::int64_t size =
          joined < static_cast<std::int64_t>(shape.size()) ? shape[static_cast<std::size_t>(joined)] : -1;
      if (size < 0 || first + static_cast<std::size_t>(size) > part.ids->size())
        return c.b.freeze(part.ids, c.node, "meets weights that are put together in an unknown way");
      const auto from = part.ids->begin() + static_cast<std::ptrdiff_t>(first);
      next.ids = std::make_shared<std::vector<int>>(from, from + size);
      first += static_cast<std::size_t>(size);
    }
    bind_parts(c, next, role, depth);
  }
}

void bind_parts(const Context& c, const Part& part, Role role, int depth) {
  const std::string& name =
      c.b.model.graph.nodes[static_cast<std::size_t>(part.node)].input(static_cast<std::size_t>(part.input));
  if (c.b.is_constant(name))
    return c.b.bind(part.node, part.input, static_cast<int>(part.axis), part.ids, role);
  const int producer = c.b.uses.producer(name);
  if (producer >= 0 && depth > 0) {
    const Node& maker = c.b.model.graph.nodes[static_cast<std::size_t>(producer)];
    if (maker.op == "Concat") return bind_joined(c, producer, part, role, depth - 1);
    const std::int64_t axis = operand_axis(c, maker, part.axis);
    if (axis >= 0) return bind_parts(c, {producer, 0, axis, part.ids}, role, depth - 1);
  }
  c.b.freeze(part.ids, c.node, "meets weights that are put together in an unknown way");
}

void bind(const Context& c, Slot slot, int axis, const Ids& ids, Role role) {
  if (!ids || c.node.input(slot).empty()) return;
  if (c.constant(slot)) return c.bind(slot, axis, ids, role);
  bind_parts(c, {c.index, static_cast<int>(slot), axis, ids}, role);
}

// Axis 1 of an operand holds the units `times` times, gate by gate.
void bind_gates(const Context& c, Slot slot, const Ids& units, std::int64_t times, Role role) {
  bind(c, slot, 1, repeated(units, times), role);
}

bool holds(const Context& c, Slot slot, std::int64_t rows) {
  Shape shape = c.shape(slot);
  return c.node.input(slot).empty() || (shape.size() >= 2 && shape[1] == rows);
}

// A state that the unit starts from: constants are cut, values must have channels.
void start_from(const Context& c, Slot slot, const Ids& units) {
  if (c.node.input(slot).empty()) return;
  if (c.constant(slot)) {
    if (c.shape(slot).size() == 3) c.bind(slot, 2, units, Role::follows);
    return;
  }
  AxisIds state = c.in(slot);
  Ids given = at(state, 2);
  for (std::size_t axis = 0; axis < 2; ++axis)
    c.b.freeze(at(state, axis), c.node, "is the direction or the batch of a recurrent layer");
  if (given && given->size() == units->size())
    c.b.unite(given, units);
  else
    c.b.freeze(units, c.node, "starts from a state of fixed width");
}

}  // namespace

void recurrent(const Context& c) {
  Shape w = c.shape(kW), r = c.shape(kR);
  AxisIds x = c.in(kX);
  for (Slot slot : {kW, kR, kB, kPeepholes})
    if (!c.node.input(slot).empty() && !c.constant(slot) && !c.b.literal(c.node.input(slot)))
      return c.freeze("weights are not constant");
  if (w.size() != 3 || r.size() != 3 || x.size() != 3) return c.freeze("has an operand of unknown rank");
  std::int64_t gates = c.node.op == "LSTM" ? 4 : c.node.op == "GRU" ? 3 : 1, size = r[2];
  if (!holds(c, kW, gates * size) || !holds(c, kR, gates * size) || !holds(c, kB, 2 * gates * size) ||
      !holds(c, kPeepholes, 3 * size))
    return c.freeze("has weights of unexpected size");
  Ids units = c.b.fresh(size);
  if (!units) return c.freeze("has very many hidden units");
  start_from(c, kInitialH, units);
  start_from(c, kInitialC, units);
  for (std::size_t axis = 0; axis < 2; ++axis)
    c.b.freeze(x[axis], c.node, "is the time or the batch of a recurrent layer");
  bind(c, kW, 2, x[2], Role::consumes);
  bind_gates(c, kW, units, gates, Role::produces);
  bind_gates(c, kR, units, gates, Role::produces);
  bind(c, kR, 2, units, Role::consumes);
  bind_gates(c, kB, units, 2 * gates, Role::produces);
  bind_gates(c, kPeepholes, units, 3, Role::follows);
  for (const std::string& name : c.node.outputs) {
    AxisIds axes(c.b.shape(name).size());
    if (!axes.empty()) axes.back() = units;
    c.b.set(name, axes);
  }
}

}  // namespace tailor::graph::labels
