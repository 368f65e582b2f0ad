// What each operator does to the labels of its axes. The table at the end maps operators to rules, in this
// order:
//   layers          (channel_layers.cpp, channel_recurrent.cpp) bind weights, make new labels
//   element-wise    (channel_elementwise.cpp) unary passes labels on; elementwise unites with broadcasting
//   normalisations  (channel_normalise.cpp)
//   rearranging     concat, split, slice, pad, gather, transpose, reshape, depth_to_space, expand, resize
//   reducing        pools keep channels; reductions freeze what they run over
//   bodies          (channel_bodies.cpp) what crosses the border of If, Loop and Scan
// Whatever is not in the table freezes its inputs, and its outputs are fixed.
#include "tailor/base/error.h"
#include "tailor/graph/bodies.h"
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
    for (std::size_t i : inputs)
      if (a == axis || !c.constant(i)) (at(c.in(i), a) ? any : fixed) = true;
    if (!any) continue;
    if (a != axis) {
      for (std::size_t i : inputs) {
        Ids ids = at(c.in(i), a);
        if (!ids) continue;
        if (fixed)
          c.b.freeze(ids, c.node, "meets a fixed axis");
        else if (!axes[a])
          axes[a] = ids;
        else if (axes[a]->size() == ids->size())
          c.b.unite(axes[a], ids);
      }
      for (std::size_t i : inputs)
        if (axes[a] && c.constant(i)) c.bind(i, static_cast<int>(a), axes[a], Role::follows);
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

// A constant table read by computed indices: what lies behind the gathered axis are new channels.
void embedding(const Context& c) {
  Shape table = c.shape(0), index = c.shape(1), to = c.out_shape();
  auto axis = static_cast<std::size_t>(wrap(c.node.integer("axis", 0), table.size()));
  AxisIds axes(to.size());
  for (std::size_t a = axis + 1; a < table.size() && to.size() + 1 == table.size() + index.size(); ++a) {
    Ids made = c.b.fresh(table[a]);
    c.bind(0, static_cast<int>(a), made, Role::produces);
    axes[a + index.size() - 1] = made;
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
  if (c.constant(0)) return embedding(c);
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

// Channel c of the result is made of r*r channels: c + k*C (DCR) or c*r*r + k (CRD).
void depth_to_space(const Context& c) {
  AxisIds x = c.in(0);
  std::int64_t block = c.node.integer("blocksize", 1);
  if (x.size() != 4 || block < 1) return c.freeze("is rearranged with an unknown block");
  for (std::size_t axis : {2u, 3u}) c.b.freeze(x[axis], c.node, "is a spatial axis of a rearrangement");
  Ids made;
  if (x[1]) {
    std::int64_t parts = block * block, width = static_cast<std::int64_t>(x[1]->size()) / parts;
    bool depth_first = c.node.text("mode", "DCR") == "DCR";
    std::vector<std::int64_t> first;
    for (std::int64_t i = 0; i < width; ++i) {
      first.push_back(depth_first ? i : i * parts);
      for (std::int64_t k = 1; k < parts; ++k)
        c.b.unite((*x[1])[first.back()], (*x[1])[depth_first ? i + k * width : i * parts + k]);
    }
    made = pick(x[1], first);
  }
  c.b.set(c.node.output(0), {x[0], made, nullptr, nullptr});
}

void space_to_depth(const Context& c) {
  AxisIds x = c.in(0);
  std::int64_t block = c.node.integer("blocksize", 1);
  if (x.size() != 4 || block < 1 || block > 64) return c.freeze("is rearranged with an unknown block");
  for (std::size_t axis : {2u, 3u}) c.b.freeze(x[axis], c.node, "is a spatial axis of a rearrangement");
  Ids made;
  if (x[1]) {
    auto joined = std::make_shared<std::vector<int>>();
    for (std::int64_t k = 0; k < block * block; ++k)
      joined->insert(joined->end(), x[1]->begin(), x[1]->end());
    made = joined;
  }
  c.b.set(c.node.output(0), {x[0], made, nullptr, nullptr});
}

void reshape(const Context& c) {
  c.b.set(c.node.output(0), reshape_labels(c.b, c.index, c.in(0), c.shape(0), c.out_shape()));
}

// Filled to a computed size: its channels are nobody's, and whoever meets them decides.
void filled(const Context& c) {
  AxisIds axes;
  for (std::int64_t size : c.out_shape()) axes.push_back(size > 1 ? c.b.fresh(size) : nullptr);
  c.b.set(c.node.output(0), axes);
}

// Axes whose size stays pass; labelled axes whose size changes freeze.
void same_sizes(const Context& c) {
  AxisIds x = c.in(0);
  Shape from = c.shape(0), to = c.out_shape();
  if ((c.node.op == "Expand" || c.node.op == "Tile") && c.constant(0))
    for (std::size_t axis = 0; axis < x.size() && axis < from.size(); ++axis)
      if (from[axis] > 1 && axis + to.size() >= from.size() &&
          to[axis + to.size() - from.size()] == from[axis])
        c.bind(0, static_cast<int>(axis), x[axis] = c.b.fresh(from[axis]), Role::follows);
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

void nothing(const Context&) {}

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
                                               {"LSTM", recurrent},
                                               {"GRU", recurrent},
                                               {"RNN", recurrent},
                                               {"BatchNormalization", batch_normalisation},
                                               {"InstanceNormalization", instance_normalisation},
                                               {"GroupNormalization", group_normalisation},
                                               {"LpNormalization", lp_normalisation},
                                               {"MeanVarianceNormalization", mean_variance},
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
                                               {"Softmax", softmax},
                                               {"LogSoftmax", softmax},
                                               {"Hardmax", softmax},
                                               {"LayerNormalization", layer_normalisation},
                                               {"QLinearAdd", qlinear_binary},
                                               {"QLinearMul", qlinear_binary},
                                               {"QLinearMatMul", qlinear_matmul},
                                               {"MatMulInteger", matmul_integer},
                                               {"QGemm", qgemm},
                                               {"ConvInteger", conv_integer},
                                               {"DynamicQuantizeLinear", dynamic_quantise},
                                               {"DepthToSpace", depth_to_space},
                                               {"SpaceToDepth", space_to_depth},
                                               {"Constant", nothing},
                                               {"Shape", nothing},
                                               {"Size", nothing},
                                               {"ConstantOfShape", filled},
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

namespace {

// What follows from constants alone has no channels, unless its size is computed by the graph: then it cannot be
// put into the model as the constant that it is for the batch at hand.
bool has_no_channels(const ChannelBuilder& builder, const Node& node) {
  for (const std::string& name : node.outputs)
    if (!name.empty() && !builder.is_constant(name)) return false;
  for (const std::string& name : node.inputs)
    if (builder.labelled(name)) return false;
  if (node.op != "ConstantOfShape" && node.op != "Expand" && node.op != "Tile") return true;
  const Tensor* value = builder.shapes.constant(node.output(0));
  return !value || !as_floats(*value) || builder.literal(node.output(0));
}

}  // namespace

void apply_channel_rule(ChannelBuilder& builder, int node) {
  Context context{builder, node, builder.model.graph.nodes[node]};
  auto it = rules().find(context.node.op);
  if (!is_bracket(context.node) && !context.node.outputs.empty() && has_no_channels(builder, context.node))
    return;
  if (is_bracket(context.node))
    bracket(context);
  else if (const char* why = contradiction(context))
    context.freeze(why);
  else if (it != rules().end())
    it->second(context);
  else
    context.freeze(
        has_body(context.node)
            ? fmt::format("is read by the body of {}, which Tailor cannot lay open", context.node.op)
            : fmt::format("is used by {}, which Tailor does not change", context.node.op));
}

}  // namespace tailor::graph
