// Operators that treat each element alone, with ONNX's broadcasting, which is libtorch's. Functions of one value are
// lines of the table; the rest have a function each.
#include "tailor/learn/call.h"

#include <fmt/format.h>

#include <array>
#include <limits>

namespace tailor::learn {
namespace {

using at::Tensor;

void leaky_relu(Call& c) { c.set(at::leaky_relu(c.in(0), c.node.real("alpha", 0.01f))); }

void elu(Call& c) { c.set(at::elu(c.in(0), c.node.real("alpha", 1))); }

void selu(Call& c) {
  c.set(at::elu(c.in(0), c.node.real("alpha", 1.67326319217681884765625f),
                c.node.real("gamma", 1.05070102214813232421875f)));
}

void celu(Call& c) { c.set(at::celu(c.in(0), c.node.real("alpha", 1))); }

void thresholded_relu(Call& c) {
  const Tensor& x = c.in(0);
  c.set(x * x.gt(c.node.real("alpha", 1)));
}

void prelu(Call& c) {
  const Tensor& x = c.in(0);
  c.set(at::where(x.lt(0), x * c.in(1), x));
}

void hard_sigmoid(Call& c) {
  c.set(at::clamp(c.in(0) * c.node.real("alpha", 0.2f) + c.node.real("beta", 0.5f), 0, 1));
}

void gelu(Call& c) { c.set(at::gelu(c.in(0), c.node.text("approximate", "none"))); }

// Bounds are attributes before opset 11, inputs since; either may be missing.
void clip(Call& c) {
  constexpr double kNone = std::numeric_limits<double>::infinity();
  double low = c.has(1) ? c.reals(1).at(0) : -kNone, high = c.has(2) ? c.reals(2).at(0) : kNone;
  if (c.opset < 11) {
    low = c.node.real("min", -std::numeric_limits<float>::max());
    high = c.node.real("max", std::numeric_limits<float>::max());
  }
  c.set(at::clamp(c.in(0), low, high));
}

// A share of zero, or no training: the identity.
void dropout(Call& c) {
  double ratio = c.opset < 12 ? c.node.real("ratio", 0.5f) : c.has(1) ? c.reals(1).at(0) : 0.5;
  if (c.wants(1)) c.refuse("the mask of a Dropout is used");
  if (ratio < 0 || ratio >= 1) c.fail(fmt::format("a ratio of {}", ratio));
  c.set(c.setting.training ? at::dropout(c.in(0), ratio, true) : c.in(0));
}

void cast(Call& c) {
  auto type = static_cast<graph::DataType>(c.node.integer("to", 1));
  c.set(c.in(0).to(scalar_type(type, c.setting.real)));
}

// Of integers: towards zero, as in C.
void divide(Call& c) {
  const Tensor &a = c.in(0), &b = c.in(1);
  c.set(a.is_floating_point() || b.is_floating_point() ? a / b : at::div(a, b, "trunc"));
}

void power(Call& c) {
  const Tensor &x = c.in(0), &exponent = c.in(1);
  if (exponent.numel() == 1 && exponent.dim() <= x.dim() && !exponent.requires_grad())
    return c.set(at::pow(x, exponent.item()));
  c.set(at::pow(x, exponent));
}

void modulo(Call& c) {
  c.set(c.node.integer("fmod", 0) ? at::fmod(c.in(0), c.in(1)) : at::remainder(c.in(0), c.in(1)));
}

Tensor folded(Call& c, Tensor (*combine)(const Tensor&, const Tensor&)) {
  Tensor result = c.in(0);
  for (std::size_t i = 1; i < c.count(); ++i) result = combine(result, c.in(i));
  return result;
}

Tensor plus(const Tensor& a, const Tensor& b) { return a + b; }
Tensor larger(const Tensor& a, const Tensor& b) { return at::maximum(a, b); }
Tensor smaller(const Tensor& a, const Tensor& b) { return at::minimum(a, b); }

void mean(Call& c) { c.set(folded(c, plus) / static_cast<double>(c.count())); }

constexpr auto kTable = std::to_array<OperatorEntry>({
    {"Abs", [](Call& c) { c.set(at::abs(c.in(0))); }},
    {"Add", [](Call& c) { c.set(c.in(0) + c.in(1)); }},
    {"And", [](Call& c) { c.set(at::logical_and(c.in(0), c.in(1))); }},
    {"Cast", cast},
    {"Ceil", [](Call& c) { c.set(at::ceil(c.in(0))); }},
    {"Celu", celu},
    {"Clip", clip},
    {"Cos", [](Call& c) { c.set(at::cos(c.in(0))); }},
    {"Div", divide},
    {"Dropout", dropout},
    {"Elu", elu},
    {"Equal", [](Call& c) { c.set(at::eq(c.in(0), c.in(1))); }},
    {"Erf", [](Call& c) { c.set(at::erf(c.in(0))); }},
    {"Exp", [](Call& c) { c.set(at::exp(c.in(0))); }},
    {"Floor", [](Call& c) { c.set(at::floor(c.in(0))); }},
    {"Gelu", gelu},
    {"Greater", [](Call& c) { c.set(at::gt(c.in(0), c.in(1))); }},
    {"GreaterOrEqual", [](Call& c) { c.set(at::ge(c.in(0), c.in(1))); }},
    {"HardSigmoid", hard_sigmoid},
    {"HardSwish", [](Call& c) { c.set(at::hardswish(c.in(0))); }},
    {"Identity", [](Call& c) { c.set(c.in(0)); }},
    {"LeakyRelu", leaky_relu},
    {"Less", [](Call& c) { c.set(at::lt(c.in(0), c.in(1))); }},
    {"LessOrEqual", [](Call& c) { c.set(at::le(c.in(0), c.in(1))); }},
    {"Log", [](Call& c) { c.set(at::log(c.in(0))); }},
    {"Max", [](Call& c) { c.set(folded(c, larger)); }},
    {"Mean", mean},
    {"Min", [](Call& c) { c.set(folded(c, smaller)); }},
    {"Mish", [](Call& c) { c.set(at::mish(c.in(0))); }},
    {"Mod", modulo},
    {"Mul", [](Call& c) { c.set(c.in(0) * c.in(1)); }},
    {"Neg", [](Call& c) { c.set(at::neg(c.in(0))); }},
    {"Not", [](Call& c) { c.set(at::logical_not(c.in(0))); }},
    {"Or", [](Call& c) { c.set(at::logical_or(c.in(0), c.in(1))); }},
    {"PRelu", prelu},
    {"Pow", power},
    {"Reciprocal", [](Call& c) { c.set(at::reciprocal(c.in(0))); }},
    {"Relu", [](Call& c) { c.set(at::relu(c.in(0))); }},
    {"Round", [](Call& c) { c.set(at::round(c.in(0))); }},
    {"Selu", selu},
    {"Sigmoid", [](Call& c) { c.set(at::sigmoid(c.in(0))); }},
    {"Sign", [](Call& c) { c.set(at::sign(c.in(0))); }},
    {"Sin", [](Call& c) { c.set(at::sin(c.in(0))); }},
    {"Softplus", [](Call& c) { c.set(at::softplus(c.in(0))); }},
    {"Softsign", [](Call& c) { c.set(c.in(0) / (1 + at::abs(c.in(0)))); }},
    {"Sqrt", [](Call& c) { c.set(at::sqrt(c.in(0))); }},
    {"Sub", [](Call& c) { c.set(c.in(0) - c.in(1)); }},
    {"Sum", [](Call& c) { c.set(folded(c, plus)); }},
    {"Tanh", [](Call& c) { c.set(at::tanh(c.in(0))); }},
    {"ThresholdedRelu", thresholded_relu},
    {"Where", [](Call& c) { c.set(at::where(c.in(0).to(at::kBool), c.in(1), c.in(2))); }},
    {"Xor", [](Call& c) { c.set(at::logical_xor(c.in(0), c.in(1))); }},
});

}  // namespace

std::span<const OperatorEntry> elementwise_operators() { return kTable; }

}  // namespace tailor::learn
