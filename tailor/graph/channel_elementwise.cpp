// Channel rules of element-wise operators, plain and quantised: labels of all operands are united position by
// position, constants along them follow.
#include "tailor/graph/channel_context.h"

namespace tailor::graph::labels {
namespace {

/// Inputs that are operands; the others are scales and zero points.
using Operands = std::vector<std::size_t>;

// One axis of an element-wise operation over all operands. Operands of size 1 are broadcast.
Ids unite_axis(const Context& c, const Operands& operands, std::size_t axis, std::size_t rank,
               std::int64_t size) {
  Ids joined;
  bool fixed = false;
  for (std::size_t i : operands) {
    Shape shape = c.shape(i);
    if (shape.size() + axis < rank) continue;
    std::size_t own = axis - (rank - shape.size());
    Ids ids = at(c.in(i), own);
    if (shape[own] == 1 && size != 1)
      c.b.freeze(ids, c.node, "is broadcast over the channels of another value");
    else if (c.constant(i))
      continue;
    else if (!ids)
      fixed = true;
    else if (!joined)
      joined = ids;
    else if (joined->size() == ids->size())
      c.b.unite(joined, ids);
    else
      c.b.freeze(ids, c.node, "meets an axis of another size"), fixed = true;
  }
  if (fixed) c.b.freeze(joined, c.node, "meets a fixed axis");
  return fixed ? nullptr : joined;
}

void bind_constants(const Context& c, const Operands& operands, std::size_t axis, std::size_t rank,
                    const Ids& ids) {
  for (std::size_t i : operands) {
    Shape shape = c.shape(i);
    if (!c.constant(i) || shape.size() + axis < rank) continue;
    std::size_t own = axis - (rank - shape.size());
    if (shape[own] == static_cast<std::int64_t>(ids->size()) && shape[own] != 1)
      c.bind(i, static_cast<int>(own), ids, Role::follows);
  }
}

void elementwise_over(const Context& c, const Operands& operands) {
  Shape out = c.out_shape();
  for (std::size_t i : operands)
    if (!c.node.input(i).empty() && !c.b.shapes.shape(c.node.input(i)))
      return c.freeze("has an operand of unknown shape");
  AxisIds axes(out.size());
  for (std::size_t axis = 0; axis < out.size(); ++axis) {
    axes[axis] = unite_axis(c, operands, axis, out.size(), out[axis]);
    if (axes[axis]) bind_constants(c, operands, axis, out.size(), axes[axis]);
  }
  c.b.set(c.node.output(0), axes);
}

}  // namespace

void elementwise(const Context& c) {
  Operands all(c.node.inputs.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  elementwise_over(c, all);
}

// com.microsoft.QLinearAdd, QLinearMul: a as az b bs bz ys yz.
void qlinear_binary(const Context& c) { elementwise_over(c, {0, 3}); }

void quantise(const Context& c) {
  AxisIds x = c.in(0);
  if (c.node.integer("block_size", 0) != 0) return c.freeze("is quantised in blocks");
  Shape scale = c.shape(1);
  std::int64_t axis = wrap(c.node.integer("axis", 1), x.size());
  if (scale.size() == 1 && scale[0] != 1 && at(x, axis))
    for (std::size_t i = 1; i < 3; ++i) c.bind(i, 0, x[axis], Role::follows);
  c.b.set(c.node.output(0), x);
}

// The scale is that of the largest element: without a channel it may be another one.
void dynamic_quantise(const Context& c) {
  c.b.freeze_inputs(c.node, "is quantised by its own range");
  c.b.set(c.node.output(0), c.in(0));
}

}  // namespace tailor::graph::labels
