// Operators that keep or broadcast shapes: activations, arithmetic, comparisons, normalisation, quantisation.
#include "tailor/graph/rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::graph {
namespace {

void boolean_rule(Site& site) {
  if (const Shape* x = site.shape(0)) site.set(0, DataType::boolean, *x);
}

std::optional<Shape> joined(Site& site) {
  Shape out;
  for (std::size_t i = 0; i < site.node.inputs.size(); ++i) {
    const Shape* x = site.shape(i);
    if (!x) return std::nullopt;
    out = broadcast(site, out, *x);
  }
  return out;
}

void broadcast_rule(Site& site) {
  if (auto out = joined(site)) site.set(0, site.type(0), std::move(*out));
}

void compare_rule(Site& site) {
  if (auto out = joined(site)) site.set(0, DataType::boolean, std::move(*out));
}

void where_rule(Site& site) {
  if (auto out = joined(site)) site.set(0, site.type(1), std::move(*out));
}

void prelu_rule(Site& site) {
  const Shape *x = site.shape(0), *slope = site.shape(1);
  if (!x || !slope) return;
  Shape both = broadcast(site, *x, *slope);
  bool fits = both.size() == x->size();
  for (std::size_t i = 0; fits && i < x->size(); ++i) fits = agree(both[i], (*x)[i]).has_value();
  if (!fits) site.fail(fmt::format("a slope of {} for {}", to_string(*slope), to_string(*x)));
  site.set(0, site.type(0), *x);
}

void cast_rule(Site& site) {
  auto to = site.node.integer("to", 0);
  if (const Shape* x = site.shape(0))
    site.set(0, to > 0 && to < 24 ? static_cast<DataType>(to) : DataType::undefined, *x);
}

void cast_like_rule(Site& site) {
  if (const Shape* x = site.shape(0)) site.set(0, site.type(1), *x);
}

void dropout_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  site.set(0, site.type(0), *x);
  site.set(1, DataType::boolean, *x);
}

void channel_check(Site& site, const Shape& x, std::size_t parameter) {
  if (!site.has(parameter) || x.size() < 2) return;
  const Shape* p = site.shape(parameter);
  if (p && (p->size() != 1 || !agree(x[1], (*p)[0])))
    site.fail(
        fmt::format("input {} has {} channels, its parameter is {}", to_string(x), x[1], to_string(*p)));
}

void batch_norm_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  for (std::size_t i = 1; i <= 4; ++i) channel_check(site, *x, i);
  site.set(0, site.type(0), *x);
  if (const Shape* scale = site.shape(1))
    for (std::size_t i = 1; i < site.node.outputs.size(); ++i) site.set(i, site.type(1), *scale);
}

void instance_norm_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  channel_check(site, *x, 1);
  channel_check(site, *x, 2);
  site.set(0, site.type(0), *x);
}

void layer_norm_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  site.set(0, site.type(0), *x);
  Shape mean = *x;
  for (std::size_t i = site.axis(site.node.integer("axis", -1), x->size()); i < mean.size(); ++i) mean[i] = 1;
  site.set(1, DataType::f32, mean);
  site.set(2, DataType::f32, mean);
}

void quantize_rule(Site& site) {
  auto stated = site.node.integer("output_dtype", 0);
  DataType type = stated > 0 && stated < 24 ? static_cast<DataType>(stated) : DataType::u8;
  if (site.has(2)) type = site.type(2);
  if (const Shape* x = site.shape(0)) site.set(0, type, *x);
}

void dequantize_rule(Site& site) {
  if (const Shape* x = site.shape(0)) site.set(0, site.type(1), *x);
}

void dynamic_quantize_rule(Site& site) {
  site.set(1, DataType::f32, {});
  site.set(2, DataType::u8, {});
  if (const Shape* x = site.shape(0)) site.set(0, DataType::u8, *x);
}

// Quantised arithmetic of com.microsoft: (a, scale, zero point, b, scale, zero point, scale, zero point).
void qlinear_binary_rule(Site& site) {
  const Shape *a = site.shape(0), *b = site.shape(3);
  if (a && b) site.set(0, site.type(0), broadcast(site, *a, *b));
}

// (scale, zero point, then x, scale, zero point for each).
void qlinear_concat_rule(Site& site) {
  const Shape* first = site.shape(2);
  if (!first) return;
  Shape out = *first;
  std::size_t axis = site.axis(site.node.integer("axis", 0), out.size());
  for (std::size_t i = 5; i < site.node.inputs.size(); i += 3) {
    const Shape* x = site.shape(i);
    if (!x) return;
    if (x->size() != out.size()) site.fail(fmt::format("{} beside {}", to_string(*x), to_string(out)));
    out[axis] = plus(out[axis], (*x)[axis]);
  }
  site.set(0, site.type(2), std::move(out));
}

void qlinear_global_pool_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  Shape out = *x;
  bool last = site.node.integer("channels_last", 0) != 0;
  std::size_t end = last && !out.empty() ? out.size() - 1 : out.size();
  for (std::size_t i = last ? 1 : 2; i < end; ++i) out[i] = 1;
  site.set(0, site.type(0), std::move(out));
}

void packed_matmul_rule(Site& site) {  // MatMulNBits: the weights' sizes are attributes
  const Shape* x = site.shape(0);
  if (!x || x->empty()) return;
  Shape out = *x;
  if (!agree(out.back(), site.node.integer("K", kUnknown)))
    site.fail(fmt::format("input {} for weights of {} rows", to_string(*x), site.node.integer("K", 0)));
  out.back() = site.node.integer("N", kUnknown);
  site.set(0, site.type(0), std::move(out));
}

// Operators whose output has the type and shape of their first input.
constexpr std::string_view kSame[] = {"Relu",
                                      "Sigmoid",
                                      "Tanh",
                                      "LeakyRelu",
                                      "Elu",
                                      "Selu",
                                      "Celu",
                                      "ThresholdedRelu",
                                      "HardSigmoid",
                                      "HardSwish",
                                      "Softplus",
                                      "Softsign",
                                      "Mish",
                                      "Gelu",
                                      "Swish",
                                      "Erf",
                                      "Exp",
                                      "Log",
                                      "Sqrt",
                                      "Reciprocal",
                                      "Neg",
                                      "Abs",
                                      "Floor",
                                      "Ceil",
                                      "Round",
                                      "Sign",
                                      "Sin",
                                      "Cos",
                                      "Tan",
                                      "Asin",
                                      "Acos",
                                      "Atan",
                                      "Sinh",
                                      "Cosh",
                                      "Asinh",
                                      "Acosh",
                                      "Atanh",
                                      "Clip",
                                      "Identity",
                                      "Softmax",
                                      "LogSoftmax",
                                      "Hardmax",
                                      "LRN",
                                      "Shrink",
                                      "CumSum",
                                      "Trilu",
                                      "BitwiseNot",
                                      "LpNormalization",
                                      "MeanVarianceNormalization",
                                      "GroupNormalization",
                                      "RMSNormalization",
                                      "ScatterND",
                                      "ScatterElements",
                                      "Scatter",
                                      "ReverseSequence",
                                      "RotaryEmbedding"};

}  // namespace

void same_rule(Site& site) {
  if (const Shape* x = site.shape(0)) site.set(0, site.type(0), *x);
}

std::span<const RuleEntry> elementwise_rules() {
  static const std::vector<RuleEntry> rules = [] {
    std::vector<RuleEntry> list;
    for (std::string_view op : kSame) list.push_back({op, same_rule});
    for (std::string_view op : {"Not", "IsNaN", "IsInf"}) list.push_back({op, boolean_rule});
    for (std::string_view op : {"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Sum", "Mean",
                                "BitShift", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor"})
      list.push_back({op, broadcast_rule});
    for (std::string_view op : {"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"})
      list.push_back({op, compare_rule});
    list.insert(list.end(), {{"Where", where_rule},
                             {"PRelu", prelu_rule},
                             {"Cast", cast_rule},
                             {"CastLike", cast_like_rule},
                             {"Dropout", dropout_rule},
                             {"BatchNormalization", batch_norm_rule},
                             {"InstanceNormalization", instance_norm_rule},
                             {"LayerNormalization", layer_norm_rule},
                             {"QuantizeLinear", quantize_rule},
                             {"DequantizeLinear", dequantize_rule},
                             {"DynamicQuantizeLinear", dynamic_quantize_rule}});
    return list;
  }();
  return rules;
}

std::span<const RuleEntry> microsoft_rules() {
  static const std::vector<RuleEntry> rules = [] {
    std::vector<RuleEntry> list;
    for (std::string_view op :
         {"Gelu", "FastGelu", "QuickGelu", "BiasGelu", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax",
          "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "SimplifiedLayerNormalization",
          "Trilu", "RotaryEmbedding"})
      list.push_back({op, same_rule});
    list.insert(list.end(), {{"QLinearAdd", qlinear_binary_rule},
                             {"QLinearMul", qlinear_binary_rule},
                             {"QLinearConcat", qlinear_concat_rule},
                             {"QLinearGlobalAveragePool", qlinear_global_pool_rule},
                             {"QuantizeLinear", quantize_rule},
                             {"DequantizeLinear", dequantize_rule},
                             {"MatMulNBits", packed_matmul_rule},
                             {"FusedConv", conv_rule},
                             {"FusedGemm", gemm_rule},
                             {"QGemm", qgemm_rule},
                             {"QLinearAveragePool", pool_rule},
                             {"FusedMatMul", matmul_rule}});
    return list;
  }();
  return rules;
}

}  // namespace tailor::graph
