// Channel rules of layers with weights: convolutions, Gemm and MatMul bind weights and make new labels.
#include "tailor/base/error.h"
#include "tailor/graph/channel_context.h"

#include <algorithm>

namespace tailor::graph::labels {

int Context::dequantiser(std::size_t i) const {
  const std::string& name = node.input(i);
  int producer = name.empty() ? -1 : b.uses.producer(name);
  if (producer < 0) return -1;
  const Node& made = b.model.graph.nodes[producer];
  bool alone = b.uses.consumers(name).size() == 1 && !b.uses.is_output(name);
  bool known = made.op == "DequantizeLinear" && b.is_constant(made.input(0)) &&
               b.is_constant(made.input(1)) && (made.input(2).empty() || b.is_constant(made.input(2)));
  return alone && known && made.integer("block_size", 0) == 0 ? producer : -1;
}

void Context::bind(std::size_t input, int axis, const Ids& ids, Role role) const {
  if (node.input(input).empty()) return;
  int from = dequantiser(input);
  if (from < 0) return b.bind(index, static_cast<int>(input), axis, ids, role);
  const Node& made = b.model.graph.nodes[from];
  b.bind(from, 0, axis, ids, role);
  bool along = wrap(made.integer("axis", 1), b.shape(made.input(0)).size()) == axis;
  for (int i : {1, 2})
    if (Shape shape = b.shape(made.input(i));
        along && ids && shape == Shape{static_cast<std::int64_t>(ids->size())})
      b.bind(from, i, 0, ids, Role::follows);
}

namespace {

// Inputs of convolutions differ in number only: Conv x w b; QLinearConv x xs xz w ws wz ys yz b.
struct ConvSlots {
  std::size_t x, w;
  std::vector<std::size_t>
      per_output;  // bias, scales: bound along the output channels where they are vectors
};

// In a grouped convolution every group must lose the same positions: unite position i over the groups.
void unite_groups(ChannelBuilder& b, const Ids& ids, std::int64_t groups) {
  if (!ids) return;
  std::int64_t each = static_cast<std::int64_t>(ids->size()) / groups;
  for (std::int64_t g = 1; g < groups; ++g)
    for (std::int64_t i = 0; i < each; ++i) b.unite((*ids)[i], (*ids)[g * each + i]);
}

void bind_vectors(const Context& c, const std::vector<std::size_t>& inputs, const Ids& ids) {
  for (std::size_t input : inputs) {
    Shape shape = c.shape(input);
    if (shape.size() == 1 && ids && shape[0] == static_cast<std::int64_t>(ids->size()))
      c.bind(input, 0, ids, Role::produces);
  }
}

void conv_with(const Context& c, const ConvSlots& slots) {
  Shape w = c.shape(slots.w), out = c.out_shape();
  AxisIds x = c.in(slots.x);
  if (!c.constant(slots.w) || w.size() < 3 || out.size() != w.size())
    return c.freeze("weights are not constant");
  std::int64_t groups = c.node.integer("group", 1), oc = w[0], icg = w[1];
  Ids in = at(x, 1), made;
  for (std::size_t axis = 2; axis < x.size(); ++axis)
    c.b.freeze(x[axis], c.node, "is a spatial axis of a convolution");
  if (icg == 1 && groups > 1) {  // depthwise, with a multiplier
    if (in) {
      auto ids = std::make_shared<std::vector<int>>();
      for (std::int64_t o = 0; o < oc; ++o) ids->push_back((*in)[o / (oc / groups)]);
      made = ids;
    }
  } else {
    made = c.b.fresh(oc);
    if (groups > 1) unite_groups(c.b, made, groups), unite_groups(c.b, in, groups);
    if (in) {
      std::vector<std::int64_t> first(icg);
      for (std::int64_t i = 0; i < icg; ++i) first[i] = i;
      c.bind(slots.w, 1, groups > 1 ? pick(in, first) : in, Role::consumes);
    }
  }
  c.bind(slots.w, 0, made, Role::produces);
  bind_vectors(c, slots.per_output, made);
  c.b.layer(c.index, in, made);
  AxisIds axes(out.size());
  axes[0] = at(x, 0), axes[1] = made;
  c.b.set(c.node.output(0), axes);
}

// Labels of a batch axis of a product of two values; an operand of size 1 is broadcast.
Ids batch_axis(const Context& c, const Ids& l, const Ids& r, std::int64_t l_size, std::int64_t r_size) {
  if (c.b.probe)
    for (const Ids& ids : {l, r})
      if (ids && ids->size() > 1) c.b.probe->batches.push_back(ids);
  if (l && r && l->size() == r->size()) {
    c.b.unite(l, r);
    return l;
  }
  const Ids& wide = l_size == 1 ? r : l;
  const Ids& narrow = l_size == 1 ? l : r;
  bool broadcast = l_size == 1 || r_size == 1;
  c.b.freeze(narrow, c.node,
             broadcast ? "is broadcast over the channels of another value" : "meets a fixed axis");
  if (broadcast) return wide;
  c.b.freeze(wide, c.node, "meets a fixed axis");
  return nullptr;
}

// Two operands that both carry labels: batch axes are united, the contracted axis too.
void matmul_of_values(const Context& c, const AxisIds& a, const AxisIds& b, std::size_t rank,
                      std::size_t right) {
  AxisIds out(rank);
  auto take = [&](const AxisIds& axes, std::size_t axis) {
    std::size_t missing = rank - axes.size();
    return axis < missing ? nullptr : axes[axis - missing];
  };
  auto size = [&](std::size_t input, std::size_t axis) {
    Shape shape = c.shape(input);
    std::size_t missing = rank - shape.size();
    return axis < missing ? 1 : shape[axis - missing];
  };
  for (std::size_t axis = 0; axis + 2 < rank; ++axis)
    out[axis] = batch_axis(c, take(a, axis), take(b, axis), size(0, axis), size(right, axis));

  Ids k1 = at(a, a.size() - 1), k2 = at(b, b.size() - 2);
  if (k1 && k2 && k1->size() == k2->size())
    c.b.unite(k1, k2);
  else
    c.b.freeze(k1, c.node, "meets a fixed axis"), c.b.freeze(k2, c.node, "meets a fixed axis");
  out[rank - 2] = at(a, a.size() - 2), out[rank - 1] = at(b, b.size() - 1);
  c.b.set(c.node.output(0), out);
}

// Inputs of matrix products: a, b, the addend of a Gemm, vectors along the columns.
struct ProductSlots {
  std::size_t b, addend;
  std::vector<std::size_t> per_column;
};
constexpr std::size_t kNone = 99;

void gemm_with(const Context& c, const ProductSlots& slots) {
  Shape a_shape = c.shape(0), w = c.shape(slots.b), bias = c.shape(slots.addend);
  if (!c.constant(slots.b) || w.size() != 2 || a_shape.size() != 2)
    return c.freeze("weights are not constant");
  bool flip_a = c.node.integer("transA", 0) != 0, flip_b = c.node.integer("transB", 0) != 0;
  AxisIds a = c.in(0);
  Ids in = at(a, flip_a ? 0 : 1), made = c.b.fresh(w[flip_b ? 0 : 1]);
  if (!made) return c.freeze("has very many outputs");
  c.bind(slots.b, flip_b ? 1 : 0, in, Role::consumes);
  c.bind(slots.b, flip_b ? 0 : 1, made, Role::produces);
  bind_vectors(c, slots.per_column, made);
  if (!bias.empty() && bias.back() == static_cast<std::int64_t>(made->size()) && bias.back() > 1)
    c.bind(slots.addend, static_cast<int>(bias.size()) - 1, made, Role::produces);
  else if (!bias.empty() && bias.back() == 1 && made->size() > 1 && !c.constant(slots.addend))
    c.b.freeze(c.in(slots.addend), c.node, "is broadcast");
  c.b.layer(c.index, in, made);
  c.b.set(c.node.output(0), {at(a, flip_a ? 1 : 0), made});
}

void matmul_with(const Context& c, const ProductSlots& slots) {
  Shape a = c.shape(0), w = c.shape(slots.b), out = c.out_shape();
  if (a.size() < 2 || w.size() < 2 || out.size() < 2) return c.freeze("has an operand of rank below 2");
  if (c.constant(slots.b) && w.size() == 2) {
    AxisIds axes = c.in(0);
    if (axes.empty()) return c.freeze("has an operand of unknown rank");
    Ids in = axes.back(), made = c.b.fresh(w[1]);
    c.bind(slots.b, 0, in, Role::consumes);
    c.bind(slots.b, 1, made, Role::produces);
    bind_vectors(c, slots.per_column, made);
    c.b.layer(c.index, in, made);
    axes.back() = made;
    return c.b.set(c.node.output(0), axes);
  }
  if (c.constant(0) || c.constant(slots.b))
    return c.freeze("multiplies with a constant that is no matrix on the right");
  matmul_of_values(c, c.in(0), c.in(slots.b), out.size(), slots.b);
}

}  // namespace

void conv(const Context& c) { conv_with(c, {0, 1, {2}}); }

void conv_transpose(const Context& c) {
  Shape w = c.shape(1), out = c.out_shape();
  AxisIds x = c.in(0);
  if (!c.constant(1) || w.size() < 3 || out.size() != w.size()) return c.freeze("weights are not constant");
  std::int64_t groups = c.node.integer("group", 1);
  Ids in = at(x, 1), made;
  for (std::size_t axis = 2; axis < x.size(); ++axis)
    c.b.freeze(x[axis], c.node, "is a spatial axis of a convolution");
  if (groups > 1 && w[1] == 1 && w[0] == groups) {  // depthwise
    made = in;
    c.bind(1, 0, in, Role::produces);
  } else {
    made = c.b.fresh(w[1] * groups);
    Ids rows = made;
    if (groups > 1) {
      unite_groups(c.b, made, groups), unite_groups(c.b, in, groups);
      rows = std::make_shared<std::vector<int>>(made->begin(), made->begin() + w[1]);
    }
    c.bind(1, 0, in, Role::consumes);
    c.bind(1, 1, rows, Role::produces);
  }
  bind_vectors(c, {2}, made);
  c.b.layer(c.index, in, made);
  AxisIds axes(out.size());
  axes[0] = at(x, 0), axes[1] = made;
  c.b.set(c.node.output(0), axes);
}

void qlinear_conv(const Context& c) { conv_with(c, {0, 3, {4, 5, 8}}); }

void conv_integer(const Context& c) { conv_with(c, {0, 1, {3}}); }

void gemm(const Context& c) { gemm_with(c, {1, 2, {}}); }
// com.microsoft.QGemm: a as az b bs bz c ys yz.
void qgemm(const Context& c) { gemm_with(c, {3, 6, {4, 5}}); }

void matmul(const Context& c) { matmul_with(c, {1, kNone, {}}); }
void qlinear_matmul(const Context& c) { matmul_with(c, {3, kNone, {4, 5}}); }
void matmul_integer(const Context& c) { matmul_with(c, {1, kNone, {3}}); }

}  // namespace tailor::graph::labels
