#include "runners/onednn/check.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace tailor::onednn {
namespace {

constexpr double kFloatError = 1e-5, kBf16Error = 1.0 / 256, kLevelError = 0.51;

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// A result, and what its error is measured by.
struct Sum {
  double value = 0, absolute = 0;
};

double weight(const Layer& layer, const Parameters& p, std::size_t index) {
  const float w = p.weights[index];
  return layer.reads == Type::bf16 ? std::bit_cast<float>(static_cast<std::uint32_t>(to_bf16(w)) << 16) : w;
}

// Where an element of the result lies: [mb][oh][ow][oc].
struct Place {
  std::int64_t mb = 0, oh = 0, ow = 0, c = 0;
};
Place place_of(const latency::Workload& w, std::int64_t index) {
  return {index / (w.oh * w.ow * w.oc), index / (w.ow * w.oc) % w.oh, index / w.oc % w.ow, index % w.oc};
}

// Calls with (tap y, tap x, pixel) for the taps of a window that lie in the image.
template <class Use>
void for_window(const latency::Workload& w, const Place& at, Use use) {
  for (std::int64_t kh = 0; kh < w.kh; ++kh)
    for (std::int64_t kw = 0; kw < w.kw; ++kw) {
      const std::int64_t y = at.oh * w.sh + kh * w.dh - w.pt, x = at.ow * w.sw + kw * w.dw - w.pl;
      if (y >= 0 && y < w.ih && x >= 0 && x < w.iw) use(kh, kw, (at.mb * w.ih + y) * w.iw + x);
    }
}

Sum convolved(const Layer& layer, const Parameters& p, const void* x, std::int64_t index) {
  const latency::Workload& w = layer.sizes;
  const Place at = place_of(w, index);
  const std::int64_t inputs = w.ic / w.g, first = at.c / (w.oc / w.g) * inputs;
  Sum sum;
  auto add = [&](double term) { sum.value += term, sum.absolute += std::abs(term); };
  for_window(w, at, [&](std::int64_t kh, std::int64_t kw, std::int64_t pixel) {
    for (std::int64_t c = 0; c < inputs; ++c)
      add(value_at(layer.reads, x, pixel * w.ic + first + c) *
          weight(layer, p, static_cast<std::size_t>(((at.c * inputs + c) * w.kh + kh) * w.kw + kw)));
  });
  const auto channel = static_cast<std::size_t>(at.c);
  if (!p.bias.empty()) add(p.bias[channel]);
  const double scale = p.scale.empty() ? 1 : p.scale[channel];
  return {sum.value * scale, sum.absolute * scale};
}

Sum pooled(const Layer& layer, const void* x, std::int64_t index) {
  const latency::Workload& w = layer.sizes;
  const Place at = place_of(w, index);
  double sum = 0, most = -std::numeric_limits<double>::infinity();
  int taps = 0;
  for_window(w, at, [&](std::int64_t, std::int64_t, std::int64_t pixel) {
    const double value = value_at(layer.reads, x, pixel * w.ic + at.c);
    sum += value, most = std::max(most, value), ++taps;
  });
  const double result = layer.kind == LayerKind::pool_max ? most : sum / std::max(taps, 1);
  return {result, std::abs(result) + 1};
}

Sum reordered(const Layer& layer, const void* x, std::int64_t index) {
  const latency::Workload& w = layer.sizes;
  const Place at = place_of(w, index);
  const std::int64_t from = layer.from_nchw ? ((at.mb * w.ic + at.c) * w.ih + at.oh) * w.iw + at.ow : index;
  double value = value_at(layer.reads, x, from);
  const bool in = is_level(layer.reads), out = is_level(layer.writes);
  if (in != out) value = out ? value * double{kLevelsPerUnit} : value / double{kLevelsPerUnit};
  return {value, std::abs(value)};
}

double activated(double x, const std::string& word, const Parameters& p) {
  if (word == "relu") return std::max(x, 0.0);
  if (word == "clip") return std::clamp(x, 0.0, double{p.limit});
  if (word == "leakyrelu") return x < 0 ? 0.01f * x : x;
  if (word == "sigmoid") return 1 / (1 + std::exp(-x));
  if (word == "tanh") return std::tanh(x);
  if (word == "hardswish") return x * std::clamp(x + 3, 0.0, 6.0) / 6;
  if (word == "gelu") return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
  return x;
}

Sum expected(const Layer& layer, const Parameters& p, const Places& at, std::int64_t index) {
  Sum sum;
  if (layer.kind == LayerKind::convolution) sum = convolved(layer, p, at.x, index);
  if (layer.kind == LayerKind::elementwise)
    sum.value = value_at(layer.reads, at.x, index), sum.absolute = std::abs(sum.value) + 1;
  if (layer.kind == LayerKind::reorder) sum = reordered(layer, at.x, index);
  if (layer.kind == LayerKind::pool_max || layer.kind == LayerKind::pool_average)
    sum = pooled(layer, at.x, index);
  for (const std::string& word : layer.post) {
    const double other = word == "add" || word == "mul" ? value_at(layer.residual, at.residual, index) : 0;
    if (word == "add") sum.value += double{p.residual_scale} * other, sum.absolute += std::abs(other);
    if (word == "mul") sum.value *= other, sum.absolute *= std::max(1.0, std::abs(other));
    if (layer.kind == LayerKind::elementwise && (word == "bias" || word == "bn")) sum.value += 0.125;
    sum.value = activated(sum.value, word, p);
  }
  return sum;
}

double error_of(Type type, const Sum& sum, double found) {
  if (!std::isfinite(found)) return std::numeric_limits<double>::infinity();
  const double floats = kFloatError * (sum.absolute + 1e-30);
  if (type == Type::f32) return std::abs(found - sum.value) / floats;
  if (type == Type::bf16) return std::abs(found - sum.value) / (floats + kBf16Error * std::abs(sum.value));
  const double lo = type == Type::s8 ? -128 : 0, hi = type == Type::s8 ? 127 : 255;
  return std::abs(found - std::clamp(sum.value, lo, hi)) / (kLevelError + floats);
}

struct Operands {
  Operands(const Layer& layer)
      : x(static_cast<std::size_t>(elements_read(layer)) * size_of(layer.reads)),
        residual(static_cast<std::size_t>(elements_written(layer)) * size_of(layer.writes)),
        y(residual.bytes) {
    fill(layer.reads, elements_read(layer), 1, x.data.get());
    fill(layer.residual, elements_written(layer), 2, residual.data.get());
  }
  Places places() const { return {x.data.get(), residual.data.get(), y.data.get()}; }
  Block x, residual, y;
};

}  // namespace

void fill(Type type, std::int64_t elements, std::uint64_t seed, void* at) {
  Random random(seed);
  for (std::int64_t i = 0; i < elements; ++i) switch (type) {
      case Type::f32:
        static_cast<float*>(at)[i] = static_cast<float>(random.uniform(-2, 2));
        break;
      case Type::bf16:
        static_cast<std::uint16_t*>(at)[i] = to_bf16(static_cast<float>(random.uniform(-2, 2)));
        break;
      case Type::s8:
        static_cast<std::int8_t*>(at)[i] =
            static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
        break;
      case Type::u8:
        static_cast<std::uint8_t*>(at)[i] = static_cast<std::uint8_t>(random.below(256));
        break;
    }
}

double value_at(Type type, const void* at, std::int64_t index) {
  switch (type) {
    case Type::f32:
      return static_cast<const float*>(at)[index];
    case Type::bf16:
      return std::bit_cast<float>(static_cast<std::uint32_t>(static_cast<const std::uint16_t*>(at)[index])
                                  << 16);
    case Type::s8:
      return static_cast<const std::int8_t*>(at)[index];
    case Type::u8:
      return static_cast<const std::uint8_t*>(at)[index];
  }
  return 0;
}

double largest_error(const Layer& layer, const Parameters& parameters, const Places& places,
                     std::int64_t most) {
  const std::int64_t elements = elements_written(layer);
  // An odd step meets all channels and all places.
  const std::int64_t step = elements <= most ? 1 : elements / most | 1;
  double largest = 0;
  for (std::int64_t i = 0; i < elements; i += step)
    largest = std::max(largest, error_of(layer.writes, expected(layer, parameters, places, i),
                                         value_at(layer.writes, places.y, i)));
  return largest;
}

double checked_error(const Library& library, const Layer& layer, int weight_bits) {
  const Operands operands(layer);
  const Parameters parameters = draw_parameters(layer, weight_bits, 1);
  const Operation operation = make_operation(library, layer, parameters, operands.places(), weight_bits);
  operation.run();
  library.stream_wait(library.stream);
  return largest_error(layer, parameters, operands.places());
}

int weight_bits_of(const Library& library) {
  const Layer layer = parse_layer("conv_mb1_g1_ic16ih4iw4_oc16oh4ow4_kh1kw1_sh1sw1_ph0pw0_i8", {"u8", "f32"});
  const Operands operands(layer);
  std::memset(operands.x.data.get(), 255, operands.x.bytes);
  Parameters parameters = draw_parameters(layer, 8, 1);
  std::fill(parameters.weights.begin(), parameters.weights.end(), 127.f);
  try {
    const Operation operation = make_operation(library, layer, parameters, operands.places(), 8);
    operation.run();
  } catch (const Error&) {
    return 0;
  }
  library.stream_wait(library.stream);
  return largest_error(layer, parameters, operands.places()) <= 1 ? 8 : 7;
}

}  // namespace tailor::onednn
