// What each operator does to the labels of its axes. The table at the end maps operators to rules, in this
// order:
//   layers          (channel_layers.cpp) conv, conv_transpose, gemm, matmul: bind weights, make new labels
//   element-wise    unary passes labels on; elementwise unites with broadcasting; per_channel binds
//   normalisations rearranging     concat, split, slice, pad, gather, transpose, reshape, expand, resize
//   reducing        pools keep channels; reductions and softmax freeze what they run over
// Whatever is not in the table freezes its inputs, and its outputs are fixed.
#include "tailor/base/error.h"
#include "tailor/graph/channel_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

namespace tailor::graph {
namespace {

using namespace labels;

// ---- element-wise
// -------------------------------------------------------------------------------------------------

void unary(const Context& c) {
  for (const std::string& name : c.node.outputs) c.b.set(name, c.in(0));
}

// One axis of an element-wise operation over all operands. Operands of size 1 are broadcast.
Ids unite_axis(const Context& c, std::size_t axis, std::size_t rank, std::int64_t size) {
  Ids joined;
  bool fixed = false;
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
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

void bind_constants(const Context& c, std::size_t axis, std::size_t rank, const Ids& ids) {
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
    Shape shape = c.shape(i);
    if (!c.constant(i) || shape.size() + axis < rank) continue;
    std::size_t own = axis - (rank - shape.size());
    if (shape[own] == static_cast<std::int64_t>(ids->size()) && shape[own] != 1)
      c.bind(i, static_cast<int>(own), ids, Role::follows);
  }
}

void elementwise(const Context& c) {
  Shape out = c.out_shape();
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i)
    if (!c.node.inputs[i].empty() && !c.b.shapes.shape(c.node.inputs[i]))
      return c.freeze("has an operand of unknown shape");
  AxisIds axes(out.size());
  for (std::size_t axis = 0; axis < out.size(); ++axis) {
    axes[axis] = unite_axis(c, axis, out.size(), out[axis]);
    if (axes[axis]) bind_constants(c, axis, out.size(), axes[axis]);
  }
  c.b.set(c.node.output(0), axes);
}

// BatchNormalization and InstanceNormalization: vectors along axis 1.
void per_channel(const Context& c) {
  AxisIds x = c.in(0);
  if (Ids ids = at(x, 1))
    for (std::size_t i = 1; i < c.node.inputs.size(); ++i) c.bind(i, 0, ids, Role::produces);
  for (const std::string& name : c.node.outputs) c.b.set(name, AxisIds(c.b.shape(name).size()));
  c.b.set(c.node.output(0), x);
}

void quantise(const Context& c) {
  AxisIds x = c.in(0);
  Shape scale = c.shape(1);
  std::int64_t axis = wrap(c.node.integer("axis", 1), x.size());
  if (scale.size() == 1 && scale[0] != 1 && at(x, axis))
    for (std::size_t i = 1; i < 3; ++i) c.bind(i, 0, x[axis], Role::follows);
  c.b.set(c.node.output(0), x);
}

// ---- rearranging
// --------------------------------------------------------------------------------------------------

// com.microsoft.QLinearConcat: ys yz (x xs xz)*; Concat: x*.
void concat_of(const Context& c, const std::vector<std::size_t>& inputs) {
  Shape out = c.out_shape();
  if (out.empty()) return c.freeze("has a result of unknown rank");
  auto axis = static_cast<std::size_t>(wrap(c.node.integer("axis", 1), out.size()));
  AxisIds axes(out.size());
  for (std::size_t a = 0; a < out.size(); ++a) {
    bool any = false, fixed = false;
    for (std::size_t i : inputs) (at(c.in(i), a) ? any : fixed) = true;
    if (!any) continue;
    if (a != axis) {
      for (std::size_t i : inputs) {
        Ids ids = at(c.in(i), a);
        if (fixed)
          c.b.freeze(ids, c.node, "meets a fixed axis");
        else if (!axes[a])
          axes[a] = ids;
        else if (axes[a]->size() == ids->size())
          c.b.unite(axes[a], ids);
      }
      continue;
    }
    auto joined = std::make_shared<std::vector<int>>();
    for (std::size_t i : inputs) {
      Shape shape = c.shape(i);
      Ids ids = at(c.in(i), a);
      if (!ids) {
        if (shape.size() != out.size() || shape[a] < 0) return c.freeze("joins a value of unknown size");
        ids = c.b.fresh(shape[a]);
        if (!ids) return c.freeze("joins a very large value");
        c.b.freeze(ids, c.node, "comes from a value with fixed channels");
      }
      joined->insert(joined->end(), ids->begin(), ids->end());
    }
    axes[a] = joined;
  }
  c.b.set(c.node.output(0), axes);
}

void concat(const Context& c) {
  std::vector<std::size_t> inputs(c.node.inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) inputs[i] = i;
  concat_of(c, inputs);
}

void qlinear_concat(const Context& c) {
  std::vector<std::size_t> inputs;
  for (std::size_t i = 2; i < c.node.inputs.size(); i += 3) inputs.push_back(i);
  concat_of(c, inputs);
}

void split(const Context& c) {
  AxisIds x = c.in(0);
  if (x.empty()) return c.freeze("splits a value of unknown rank");
  auto axis = static_cast<std::size_t>(wrap(c.node.integer("axis", 0), x.size()));
  std::int64_t first = 0;
  for (const std::string& name : c.node.outputs) {
    Shape shape = c.b.shape(name);
    bool fits = axis < x.size() && shape.size() == x.size() && shape[axis] >= 0;
    if (!fits || (x[axis] && first + shape[axis] > static_cast<std::int64_t>(x[axis]->size())))
      return c.freeze("splits into parts of unknown size");
    AxisIds axes = x;
    if (x[axis])
      axes[axis] = std::make_shared<std::vector<int>>(x[axis]->begin() + first,
                                                      x[axis]->begin() + first + shape[axis]);
    first += shape[axis];
    c.b.set(name, axes);
  }
}

// Slice with contiguous, constant bounds along labelled axes; other axes pass.
void slice_rule(const Context& c) {
  AxisIds x = c.in(0);
  Shape from = c.shape(0), to = c.out_shape();
  if (x.empty() || to.size() != x.size()) return c.freeze("cuts a value of unknown rank");
  auto starts =
      c.node.attributes.contains("starts") ? std::optional(c.node.integers("starts")) : c.integers(1);
  auto axes_list =
      c.node.attributes.contains("starts") ? std::optional(c.node.integers("axes")) : c.integers(3);
  auto steps = c.integers(4);
  if (!starts) return c.freeze("cuts at bounds that are computed at run time");
  AxisIds axes = x;
  for (std::size_t i = 0; i < starts->size(); ++i) {
    auto axis = static_cast<std::size_t>(
        wrap(axes_list && i < axes_list->size() ? (*axes_list)[i] : static_cast<std::int64_t>(i), x.size()));
    if (axis >= x.size() || !x[axis]) continue;
    std::int64_t step = steps && i < steps->size() ? (*steps)[i] : 1,
                 size = static_cast<std::int64_t>(x[axis]->size()), first = (*starts)[i];
    first = std::clamp<std::int64_t>(first < 0 ? first + size : first, 0, size);
    if (step != 1 || from[axis] < 0 || to[axis] < 0 || first + to[axis] > size) {
      c.b.freeze(x[axis], c.node, "is cut with a stride");
      axes[axis] = nullptr;
    } else {
      axes[axis] =
          std::make_shared<std::vector<int>>(x[axis]->begin() + first, x[axis]->begin() + first + to[axis]);
    }
  }
  c.b.set(c.node.output(0), axes);
}

// New channels of a pad are constants that nobody makes: atoms of their own.
void pad(const Context& c) {
  AxisIds x = c.in(0);
  Shape to = c.out_shape();
  auto pads = c.node.attributes.contains("pads") ? std::optional(c.node.integers("pads")) : c.integers(1);
  if (!c.node.input(3).empty()) return c.freeze("is padded along listed axes");
  bool plain = c.node.text("mode", "constant") == "constant";
  AxisIds axes = x;
  for (std::size_t axis = 0; axis < x.size(); ++axis) {
    if (!x[axis]) continue;
    if (!pads || !plain || pads->size() != 2 * x.size() || (*pads)[axis] < 0 ||
        (*pads)[axis + x.size()] < 0) {
      bool untouched =
          pads && pads->size() == 2 * x.size() && (*pads)[axis] == 0 && (*pads)[axis + x.size()] == 0;
      if (untouched) continue;
      c.b.freeze(x[axis], c.node, "is padded in a way that cannot be re-made");
      axes[axis] = nullptr;
      continue;
    }
    Ids before = c.b.fresh((*pads)[axis]), after = c.b.fresh((*pads)[axis + x.size()]);
    if (!before || !after) return c.freeze("is padded with very many channels");
    auto joined = std::make_shared<std::vector<int>>(*before);
    joined->insert(joined->end(), x[axis]->begin(), x[axis]->end());
    joined->insert(joined->end(), after->begin(), after->end());
    if ((*pads)[axis] != 0 || (*pads)[axis + x.size()] != 0) axes[axis] = joined;
  }
  c.b.set(c.node.output(0), axes);
}

void gather(const Context& c) {
  AxisIds x = c.in(0);
  Shape index_shape = c.shape(1), to = c.out_shape();
  auto axis = static_cast<std::size_t>(wrap(c.node.integer("axis", 0), x.size()));
  auto indices = c.integers(1);
  if (x.empty() || !c.b.shapes.shape(c.node.input(1)) || axis >= x.size())
    return c.freeze("gathers from a value of unknown rank");
  AxisIds axes(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(axis));
  Ids picked;
  if (x[axis] && indices && index_shape.size() == 1) {
    for (std::int64_t& i : *indices) i = wrap(i, x[axis]->size());
    auto size = static_cast<std::int64_t>(x[axis]->size());
    if (std::any_of(indices->begin(), indices->end(), [&](std::int64_t i) { return i < 0 || i >= size; }))
      return c.freeze("gathers what is not there");
    picked = pick(x[axis], *indices);
  } else {
    c.b.freeze(x[axis], c.node, "is gathered by single or computed indices");
  }
  for (std::size_t i = 0; i < index_shape.size(); ++i) axes.push_back(picked);
  axes.insert(axes.end(), x.begin() + static_cast<std::ptrdiff_t>(axis) + 1, x.end());
  c.b.set(c.node.output(0), axes);
}

void transpose(const Context& c) {
  AxisIds x = c.in(0), axes(x.size());
  std::vector<std::int64_t> order = c.node.integers("perm");
  auto wrong = [&](std::int64_t p) { return p < 0 || p >= static_cast<std::int64_t>(x.size()); };
  if (!order.empty() && (order.size() != x.size() || std::any_of(order.begin(), order.end(), wrong)))
    return c.freeze("is transposed in a way that does not fit its rank");
  for (std::size_t i = 0; i < x.size(); ++i)
    axes[i] = x[order.empty() ? x.size() - 1 - i : static_cast<std::size_t>(order[i])];
  c.b.set(c.node.output(0), axes);
}

void reshape(const Context& c) {
  c.b.set(c.node.output(0), reshape_labels(c.b, c.node, c.in(0), c.shape(0), c.out_shape()));
}

// Axes whose size stays pass; labelled axes whose size changes freeze.
void same_sizes(const Context& c) {
  AxisIds x = c.in(0);
  Shape from = c.shape(0), to = c.out_shape();
  if (to.size() < from.size()) return c.freeze("changes its rank");
  AxisIds axes(to.size());
  std::size_t lead = to.size() - from.size();
  for (std::size_t axis = 0; axis < x.size(); ++axis) {
    if (from[axis] == to[axis + lead] && from[axis] >= 0)
      axes[axis + lead] = x[axis];
    else
      c.b.freeze(x[axis], c.node, "changes its size");
  }
  c.b.set(c.node.output(0), axes);
}

// ---- reducing
// -----------------------------------------------------------------------------------------------------

void pool(const Context& c) {
  AxisIds x = c.in(0);
  for (std::size_t axis = 2; axis < x.size(); ++axis) c.b.freeze(x[axis], c.node, "is pooled over");
  for (const std::string& name : c.node.outputs) {
    AxisIds axes(c.b.shape(name).size());
    for (std::size_t axis = 0; axis < 2 && axis < axes.size(); ++axis) axes[axis] = at(x, axis);
    c.b.set(name, axes);
  }
}

void reduce(const Context& c) {
  AxisIds x = c.in(0);
  auto list = c.node.attributes.contains("axes") ? std::optional(c.node.integers("axes")) : c.integers(1);
  if (!c.node.input(1).empty() && !list)
    return c.freeze("is reduced over axes that are computed at run time");
  std::vector<bool> reduced(x.size(), !list || list->empty());
  if (list)
    for (std::int64_t axis : *list)
      if (auto a = static_cast<std::size_t>(wrap(axis, x.size())); a < x.size()) reduced[a] = true;
  bool keep = c.node.integer("keepdims", 1) != 0;
  AxisIds axes;
  for (std::size_t axis = 0; axis < x.size(); ++axis) {
    if (reduced[axis]) c.b.freeze(x[axis], c.node, "is reduced over");
    if (!reduced[axis])
      axes.push_back(x[axis]);
    else if (keep)
      axes.push_back(nullptr);
  }
  c.b.set(c.node.output(0), axes);
}

void along_axis(const Context& c) {  // Softmax, LogSoftmax, LpNormalization, CumSum-like
  AxisIds x = c.in(0);
  bool old = c.b.model.opsets.contains("") && c.b.model.opsets.find("")->second < 13;
  std::int64_t axis = wrap(c.node.integer("axis", old ? 1 : -1), x.size());
  for (std::size_t a = 0; a < x.size(); ++a)
    if (static_cast<std::int64_t>(a) == axis || (old && static_cast<std::int64_t>(a) > axis))
      c.b.freeze(x[a], c.node, "is normalised over"), x[a] = nullptr;
  c.b.set(c.node.output(0), x);
}

void last_axes(const Context& c) {  // LayerNormalization
  AxisIds x = c.in(0);
  auto first = static_cast<std::size_t>(wrap(c.node.integer("axis", -1), x.size()));
  for (std::size_t a = first; a < x.size(); ++a)
    c.b.freeze(x[a], c.node, "is normalised over"), x[a] = nullptr;
  for (const std::string& name : c.node.outputs) c.b.set(name, AxisIds(c.b.shape(name).size()));
  c.b.set(c.node.output(0), x);
}

void nothing(const Context&) {}

// QLinearAdd: a as az b bs bz ys yz.
void qlinear_add(const Context& c) {
  AxisIds a = c.in(0), b = c.in(3), axes(a.size());
  if (a.size() != b.size() || a.size() != c.out_shape().size())
    return c.freeze("adds values of different rank");
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] && b[i] && a[i]->size() == b[i]->size())
      c.b.unite(a[i], b[i]), axes[i] = a[i];
    else
      c.b.freeze(a[i], c.node, "meets a fixed axis"), c.b.freeze(b[i], c.node, "meets a fixed axis");
  }
  c.b.set(c.node.output(0), axes);
}

std::vector<std::string> words(const char* text) {
  std::istringstream in(text);
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

const std::unordered_map<std::string, Rule>& rules() {
  static const std::unordered_map<std::string, Rule> table = [] {
    std::unordered_map<std::string, Rule> t = {{"Conv", conv},
                                               {"FusedConv", conv},
                                               {"ConvTranspose", conv_transpose},
                                               {"QLinearConv", qlinear_conv},
                                               {"Gemm", gemm},
                                               {"MatMul", matmul},
                                               {"BatchNormalization", per_channel},
                                               {"InstanceNormalization", per_channel},
                                               {"QuantizeLinear", quantise},
                                               {"DequantizeLinear", quantise},
                                               {"Concat", concat},
                                               {"QLinearConcat", qlinear_concat},
                                               {"Split", split},
                                               {"Slice", slice_rule},
                                               {"Pad", pad},
                                               {"Gather", gather},
                                               {"Transpose", transpose},
                                               {"Reshape", reshape},
                                               {"Flatten", reshape},
                                               {"Squeeze", reshape},
                                               {"Unsqueeze", reshape},
                                               {"Expand", same_sizes},
                                               {"Tile", same_sizes},
                                               {"Resize", same_sizes},
                                               {"Upsample", same_sizes},
                                               {"MaxPool", pool},
                                               {"AveragePool", pool},
                                               {"LpPool", pool},
                                               {"GlobalAveragePool", pool},
                                               {"GlobalMaxPool", pool},
                                               {"QLinearGlobalAveragePool", pool},
                                               {"QLinearAveragePool", pool},
                                               {"Softmax", along_axis},
                                               {"LogSoftmax", along_axis},
                                               {"Hardmax", along_axis},
                                               {"LayerNormalization", last_axes},
                                               {"QLinearAdd", qlinear_add},
                                               {"Constant", nothing},
                                               {"Shape", nothing},
                                               {"Size", nothing},
                                               {"ConstantOfShape", nothing},
                                               {"Range", nothing}};
    for (const std::string& op :
         words("Relu LeakyRelu Sigmoid Tanh Elu Selu Celu ThresholdedRelu HardSigmoid HardSwish "
               "Softplus Softsign Mish Gelu Erf Exp Log Sqrt Neg Abs Reciprocal Floor Ceil Round "
               "Sign Not Cast Identity Dropout Clip Sin Cos QLinearLeakyRelu QLinearSigmoid"))
      t[op] = unary;
    for (const std::string& op : words("Add Sub Mul Div Pow Sum Max Min Mean PRelu Where Equal Greater Less "
                                       "GreaterOrEqual LessOrEqual And Or Xor Mod"))
      t[op] = elementwise;
    for (const std::string& op :
         words("ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 "
               "ReduceSumSquare ReduceLogSumExp"))
      t[op] = reduce;
    return t;
  }();
  return table;
}

}  // namespace

void apply_channel_rule(ChannelBuilder& builder, int node) {
  Context context{builder, node, builder.model.graph.nodes[node]};
  auto it = rules().find(context.node.op);
  bool all_constant =
      std::all_of(context.node.outputs.begin(), context.node.outputs.end(),
                  [&](const std::string& name) { return name.empty() || builder.is_constant(name); });
  if (all_constant && !context.node.outputs.empty()) return;
  if (const char* why = contradiction(context))
    context.freeze(why);
  else if (it != rules().end())
    it->second(context);
  else
    context.freeze(fmt::format("is used by {}, which Tailor does not change", context.node.op));
}

}  // namespace tailor::graph
