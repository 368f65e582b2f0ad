#include "runners/kernels/layer.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

namespace tailor::kernels {
namespace {

using latency::Kind;
using latency::Workload;

bool has(const Workload& w, const std::string& word) {
  const std::string post = "+" + w.post + "+";
  return post.find("+" + word + "+") != std::string::npos;
}

std::vector<float> random_values(std::int64_t count, Random& random) {
  if (count < 0 || count > std::int64_t{1} << 28) throw Error(Code::bad_value, "operands are too large");
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(random.uniform(-1, 1));
  return values;
}

// One output element: the dot product and the sum of its absolute products.
struct Dot {
  double sum = 0, absolute = 0;
  void add(float a, float b) {
    const double product = static_cast<double>(a) * b;
    sum += product, absolute += std::abs(product);
  }
};

Dot pixel(const Layer& layer, std::int64_t sample, std::int64_t oc, std::int64_t oh, std::int64_t ow) {
  const Workload& w = layer.workload;
  Dot dot;
  for (std::int64_t ic = 0; ic < w.ic; ++ic)
    for (std::int64_t kh = 0; kh < w.kh; ++kh)
      for (std::int64_t kw = 0; kw < w.kw; ++kw) {
        const std::int64_t y = oh * w.sh + kh * w.dh - w.pt, x = ow * w.sw + kw * w.dw - w.pl;
        if (y < 0 || y >= w.ih || x < 0 || x >= w.iw) continue;
        dot.add(layer.weights[static_cast<std::size_t>(((oc * w.ic + ic) * w.kh + kh) * w.kw + kw)],
                layer.input[static_cast<std::size_t>(((sample * w.ic + ic) * w.ih + y) * w.iw + x)]);
      }
  return dot;
}

Dot element(const Layer& layer, std::int64_t row, std::int64_t column) {
  const Workload& w = layer.workload;
  Dot dot;
  for (std::int64_t k = 0; k < w.ic; ++k)
    dot.add(layer.input[static_cast<std::size_t>(row * w.ic + k)],
            layer.weights[static_cast<std::size_t>(k * w.oc + column)]);
  return dot;
}

// @param at number of the output
void append(Layer& layer, Dot dot, std::size_t at, std::int64_t channel) {
  const Workload& w = layer.workload;
  auto add = [&](float term) { dot.sum += term, dot.absolute += std::abs(static_cast<double>(term)); };
  if (!layer.bias.empty()) add(layer.bias[static_cast<std::size_t>(channel)]);
  if (!layer.residual.empty()) add(layer.residual[at]);
  if (has(w, "relu") || has(w, "clip")) dot.sum = std::max(dot.sum, 0.0);
  if (has(w, "clip")) dot.sum = std::min(dot.sum, 6.0);
  layer.expected.push_back(dot.sum);
  layer.scale.push_back(dot.absolute);
}

void compute(Layer& layer) {
  const Workload& w = layer.workload;
  for (std::int64_t at = 0; at < layer.outputs; at += layer.stride) {
    const auto place = static_cast<std::size_t>(at);
    if (w.kind == Kind::gemm) {
      append(layer, element(layer, at / w.oc, at % w.oc), place, at % w.oc);
      continue;
    }
    const std::int64_t ow = at % w.ow, oh = at / w.ow % w.oh, oc = at / (w.ow * w.oh) % w.oc;
    append(layer, pixel(layer, at / (w.ow * w.oh * w.oc), oc, oh, ow), place, oc);
  }
}

// Every stride-th output, in no step with rows, images or channels: the least stride that is enough and has no divisor in
// common with their number.
std::int64_t stride_for(std::int64_t outputs, std::int64_t macs_of_one, std::int64_t most_macs) {
  if (most_macs <= 0 || outputs <= most_macs / std::max<std::int64_t>(1, macs_of_one)) return 1;
  std::int64_t stride = outputs / std::max<std::int64_t>(1, most_macs / macs_of_one) + 1;
  while (std::gcd(stride, outputs) != 1) ++stride;
  return stride;
}

// Rounded to eleven significant bits; what is too small for an f16 with all of them is zero.
float rounded_to_half(float value) {
  constexpr float kLeast = 0x1p-14f;
  int exponent = 0;
  std::frexp(value, &exponent);
  const float unit = std::ldexp(1.0f, exponent - 11);
  return std::abs(value) < kLeast ? 0.0f : std::nearbyint(value / unit) * unit;
}

void round_operands(Layer& layer) {
  for (std::vector<float>* operand : {&layer.input, &layer.weights, &layer.residual})
    for (float& value : *operand) value = rounded_to_half(value);
}

// The window of the last output pixel must lie in the padded image: a kernel would read beyond it.
bool fits(const Workload& w) {
  auto inside = [](std::int64_t in, std::int64_t before, std::int64_t after, std::int64_t out,
                   std::int64_t stride, std::int64_t taps, std::int64_t dilation) {
    return in > 0 && out > 0 && stride > 0 && taps > 0 && dilation > 0 &&
           (out - 1) * stride + (taps - 1) * dilation + 1 <= in + before + after;
  };
  return inside(w.ih, w.pt, w.pb, w.oh, w.sh, w.kh, w.dh) && inside(w.iw, w.pl, w.pr, w.ow, w.sw, w.kw, w.dw);
}

}  // namespace

Layer make_layer(const Workload& w, std::int64_t most_macs) {
  const bool conv = w.kind == Kind::conv;
  if (w.kind == Kind::conv_transpose || (conv && w.g != 1) || (conv && !fits(w)))
    throw Error(Code::bad_value, "only dense convolutions whose windows fit, and products", to_string(w));
  Random random(1);
  Layer layer;
  layer.workload = w;
  layer.outputs = conv ? w.mb * w.oc * w.oh * w.ow : w.mb * w.oc;
  layer.input = random_values(conv ? w.mb * w.ic * w.ih * w.iw : w.mb * w.ic, random);
  layer.weights = random_values(w.oc * w.ic * (conv ? w.kh * w.kw : 1), random);
  if (has(w, "bias") || has(w, "bn")) layer.bias = random_values(w.oc, random);
  if (has(w, "add")) layer.residual = random_values(layer.outputs, random);
  if (w.type == graph::DataType::f16) round_operands(layer);
  layer.stride = stride_for(layer.outputs, w.ic * (conv ? w.kh * w.kw : 1), most_macs);
  compute(layer);
  return layer;
}

std::uint16_t half_bits(float value) {
  if (value == 0) return 0;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t exponent = (bits >> 23 & 255) - 127 + 15;
  return static_cast<std::uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 1023));
}

float half_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? std::numeric_limits<float>::quiet_NaN() : sign * INFINITY;
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                               : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25));
}

double largest_error(const Layer& layer, const std::vector<float>& out) {
  TAILOR_CHECK(out.size() == layer.expected.size());
  double largest = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const double error = std::abs(out[i] - layer.expected[i]) / std::max(layer.scale[i], 1e-30);
    if (!std::isfinite(error)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, error);
  }
  return largest;
}

}  // namespace tailor::kernels
