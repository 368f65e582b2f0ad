// levels: ternary by ternary_scale; the rest by the best of a few scales (best_scale). Each works on one range that
// shares a scale: a channel's row or the whole layer. quantised: f32 unchanged, bf16 by cutting mantissas, else levels as numbers again.
// kept and kept_levels do that with the channels of one way after the other (Together).
#include "tailor/saliency/quantise.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace tailor::saliency {
namespace {

using Row = std::span<const float>;

// Level of x: the nearest multiple of the scale, at most `levels` of them on either side.
double level_of(double x, double scale, double levels) {
  return scale > 0 ? std::clamp(std::nearbyint(x / scale), -levels, levels) : 0;
}

double error_of(Row row, double scale, double levels) {
  double sum = 0;
  for (float x : row) {
    double d = x - level_of(x, scale, levels) * scale;
    sum += d * d;
  }
  return sum;
}

double largest(Row row) {
  double most = 0;
  for (float x : row) most = std::max<double>(most, std::abs(x));
  return most;
}

// Scales worth trying: from the one that clips nothing downwards, since a few large weights may well be
// clipped.
std::vector<double> scales(double unclipped, bool power_of_two) {
  std::vector<double> list;
  if (power_of_two) {
    for (int down = 0; down <= 3; ++down) list.push_back(std::exp2(std::ceil(std::log2(unclipped)) - down));
  } else {
    for (int percent = 100; percent >= 30; percent -= 5) list.push_back(unclipped * percent / 100);
  }
  return list;
}

double best_scale(Row row, double levels, bool power_of_two) {
  double most = largest(row), best = 0, least = std::numeric_limits<double>::infinity();
  if (most == 0) return 0;
  for (double scale : scales(most / levels, power_of_two)) {
    double error = error_of(row, scale, levels);
    if (error < least) least = error, best = scale;
  }
  return best;
}

// With the k largest magnitudes kept, their mean is the best scale and (their sum)^2 / k the energy it
// explains. The best k also is the one that rounding to the nearest level gives: each magnitude kept exceeds
// half of the scale.
double ternary_scale(Row row, bool power_of_two) {
  std::vector<double> magnitudes;
  for (float x : row) magnitudes.push_back(std::abs(x));
  std::sort(magnitudes.begin(), magnitudes.end(), std::greater<>());
  double sum = 0, best = 0, most = 0;
  for (std::size_t k = 0; k < magnitudes.size(); ++k) {
    sum += magnitudes[k];
    double count = static_cast<double>(k) + 1;
    if (sum * sum / count > most) most = sum * sum / count, best = sum / count;
  }
  if (!power_of_two || best == 0) return best;
  double below = std::exp2(std::floor(std::log2(best)));
  return error_of(row, below, 1) <= error_of(row, 2 * below, 1) ? below : 2 * below;
}

// The nearest number with 8 bits of mantissa, to even in the middle.
float to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::bit_cast<float>((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

double levels_of(const device::WeightFormat& format) {
  return format.name == "ternary" ? 1 : std::exp2(format.bits - 1) - 1;
}

// The channels that are kept in one way, with their rows one after another.
struct Together {
  const device::WeightFormat& format;
  std::vector<std::size_t> channels;
  std::vector<float> rows;
};

std::vector<Together> by_way(Row weights, std::span<const Keeping> ways, std::span<const int> way) {
  TAILOR_CHECK(!way.empty() && weights.size() % way.size() == 0);
  const std::size_t row = weights.size() / way.size();
  std::vector<Together> all;
  for (std::size_t w = 0; w < ways.size(); ++w) {
    Together some{ways[w].format, {}, {}};
    for (std::size_t c = 0; c < way.size(); ++c)
      if (way[c] == static_cast<int>(w)) some.channels.push_back(c);
    if (some.channels.empty()) continue;
    const std::vector<float> own =
        ways[w].own_input ? own_input_only(weights, way.size()) : std::vector<float>{};
    const Row from = ways[w].own_input ? Row(own) : weights;
    for (std::size_t c : some.channels)
      some.rows.insert(some.rows.end(), from.begin() + static_cast<std::ptrdiff_t>(c * row),
                       from.begin() + static_cast<std::ptrdiff_t>((c + 1) * row));
    all.push_back(std::move(some));
  }
  return all;
}

// Rows one after another, back to where their channels are.
template <typename T>
void put_back(const std::vector<T>& rows, const std::vector<std::size_t>& channels, std::vector<T>& whole) {
  const std::size_t row = rows.size() / channels.size();
  for (std::size_t i = 0; i < channels.size(); ++i)
    std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(i * row), row,
                whole.begin() + static_cast<std::ptrdiff_t>(channels[i] * row));
}

}  // namespace

Levels levels(std::span<const float> weights, std::size_t channels, const device::WeightFormat& format) {
  TAILOR_CHECK(channels > 0 && weights.size() % channels == 0 && format.name != "f32" &&
               format.name != "bf16");
  const std::size_t parts = format.per_channel ? channels : 1, size = weights.size() / parts;
  const double most = levels_of(format);
  Levels result;
  result.level.reserve(weights.size());
  for (std::size_t p = 0; p < parts; ++p) {
    Row row = weights.subspan(p * size, size);
    double scale = format.name == "ternary" ? ternary_scale(row, format.power_of_two)
                                            : best_scale(row, most, format.power_of_two);
    result.scale.insert(result.scale.end(), channels / parts, scale);
    for (float x : row) result.level.push_back(static_cast<std::int32_t>(level_of(x, scale, most)));
  }
  return result;
}

std::vector<float> quantised(std::span<const float> weights, std::size_t channels,
                             const device::WeightFormat& format) {
  std::vector<float> result(weights.begin(), weights.end());
  if (format.name == "f32") return result;
  if (format.name == "bf16") {
    std::transform(result.begin(), result.end(), result.begin(), to_bf16);
    return result;
  }
  const Levels rounded = levels(weights, channels, format);
  const std::size_t row = weights.size() / channels;
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = static_cast<float>(rounded.level[i] * rounded.scale[i / row]);
  return result;
}

std::vector<float> own_input_only(std::span<const float> weights, std::size_t channels) {
  TAILOR_CHECK(channels > 0 && weights.size() % (channels * channels) == 0);
  const std::size_t taps = weights.size() / (channels * channels);
  std::vector<float> result(weights.size());
  for (std::size_t c = 0; c < channels; ++c)
    std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>((c * channels + c) * taps), taps,
                result.begin() + static_cast<std::ptrdiff_t>((c * channels + c) * taps));
  return result;
}

std::vector<float> kept(std::span<const float> weights, std::span<const Keeping> ways,
                        std::span<const int> way) {
  std::vector<float> result(weights.size());
  for (const Together& some : by_way(weights, ways, way))
    put_back(quantised(some.rows, some.channels.size(), some.format), some.channels, result);
  return result;
}

Levels kept_levels(std::span<const float> weights, std::span<const Keeping> ways, std::span<const int> way) {
  Levels result{std::vector<std::int32_t>(weights.size()), std::vector<double>(way.size())};
  for (const Together& some : by_way(weights, ways, way)) {
    const Levels there = levels(some.rows, some.channels.size(), some.format);
    put_back(there.level, some.channels, result.level);
    put_back(there.scale, some.channels, result.scale);
  }
  return result;
}

ValueLevels value_levels(float lo, float hi, int bits) {
  lo = std::min(lo, 0.f), hi = std::max(hi, 0.f);
  TAILOR_CHECK(std::isfinite(lo) && std::isfinite(hi) && bits >= 1 && bits <= 8);
  const int most = (1 << bits) - 1;
  const auto steps = static_cast<float>(most);
  if (hi - lo < std::numeric_limits<float>::min() * steps) return {1, 0, most};
  const float scale = (hi - lo) / steps;
  return {scale, static_cast<int>(std::clamp(std::nearbyint(-lo / scale), 0.f, steps)), most};
}

std::vector<double> channel_errors(std::span<const float> a, std::span<const float> b, std::size_t channels) {
  TAILOR_CHECK(a.size() == b.size() && channels > 0 && a.size() % channels == 0);
  const std::size_t row = a.size() / channels;
  std::vector<double> errors(channels);
  for (std::size_t i = 0; i < a.size(); ++i) {
    double d = double{a[i]} - b[i];
    errors[i / row] += d * d;
  }
  return errors;
}

}  // namespace tailor::saliency
