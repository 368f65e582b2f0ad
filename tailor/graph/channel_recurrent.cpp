// Channel rule of LSTM, GRU and RNN: hidden units. A unit owns one row per gate in W, R and B, one column of R, its
// peepholes, and its place in the states and outputs; both directions have the same number of units, so unit i of
// one goes with unit i of the other.
#include "tailor/graph/channel_context.h"

namespace tailor::graph::labels {
namespace {

// X W R B sequence_lens initial_h initial_c P; outputs Y Y_h Y_c.
enum Slot : std::size_t { kX, kW, kR, kB, kLengths, kInitialH, kInitialC, kPeepholes };

Ids repeated(const Ids& ids, std::int64_t times) {
  auto out = std::make_shared<std::vector<int>>();
  for (std::int64_t i = 0; i < times; ++i) out->insert(out->end(), ids->begin(), ids->end());
  return out;
}

// Axis 1 of an operand holds the units `times` times, gate by gate.
void bind_gates(const Context& c, Slot slot, const Ids& units, std::int64_t times, Role role) {
  c.bind(slot, 1, repeated(units, times), role);
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
    if (!c.node.input(slot).empty() && !c.constant(slot)) return c.freeze("weights are not constant");
  if (w.size() != 3 || r.size() != 3 || x.size() != 3) return c.freeze("has an operand of unknown rank");
  std::int64_t gates = c.node.op == "LSTM" ? 4 : c.node.op == "GRU" ? 3 : 1, size = r[2];
  if (!holds(c, kW, gates * size) || !holds(c, kR, gates * size) || !holds(c, kB, 2 * gates * size) ||
      !holds(c, kPeepholes, 3 * size))
    return c.freeze("has weights of unexpected size");
  Ids units = c.b.fresh(size);
  if (!units) return c.freeze("has very many hidden units");
  for (std::size_t axis = 0; axis < 2; ++axis)
    c.b.freeze(x[axis], c.node, "is the time or the batch of a recurrent layer");
  if (x[2]) c.bind(kW, 2, x[2], Role::consumes);
  bind_gates(c, kW, units, gates, Role::produces);
  bind_gates(c, kR, units, gates, Role::produces);
  c.bind(kR, 2, units, Role::consumes);
  bind_gates(c, kB, units, 2 * gates, Role::produces);
  bind_gates(c, kPeepholes, units, 3, Role::follows);
  start_from(c, kInitialH, units);
  start_from(c, kInitialC, units);
  for (const std::string& name : c.node.outputs) {
    AxisIds axes(c.b.shape(name).size());
    if (!axes.empty()) axes.back() = units;
    c.b.set(name, axes);
  }
}

}  // namespace tailor::graph::labels
