// resize: weights of each output coordinate, rows first, then columns.
#include "tailor/data/resize.h"

#include <algorithm>
#include <cmath>

namespace tailor::data {
namespace {

// A stretch of one axis of the input, to become `size` positions.
struct Window {
  double begin = 0, length = 0;
};

struct Taps {
  int first = 0;
  std::vector<double> weights;  // sum 1
};

std::vector<Taps> taps(int input, Window window, int output) {
  double scale = window.length / output, support = std::max(scale, 1.0);
  std::vector<Taps> all;
  for (int o = 0; o < output; ++o) {
    double center = window.begin + (o + 0.5) * scale - 0.5;
    int first = std::max(0, static_cast<int>(std::ceil(center - support))),
        last = std::min(input - 1, static_cast<int>(std::floor(center + support)));
    Taps t{std::min(first, input - 1), {}};
    double sum = 0;
    for (int i = t.first; i <= std::max(last, t.first); ++i) {
      t.weights.push_back(std::max(0.0, 1 - std::abs(i - center) / support));
      sum += t.weights.back();
    }
    if (sum <= 0) t.weights.assign(1, sum = 1);
    for (double& w : t.weights) w /= sum;
    all.push_back(std::move(t));
  }
  return all;
}

// The windows of height and width that are shown.
std::pair<Window, Window> windows(const graph::Shape& from, const graph::Shape& to, Resize how) {
  auto h = static_cast<double>(from[1]), w = static_cast<double>(from[2]);
  if (how == Resize::stretch) return {{0, h}, {0, w}};
  double scale = std::min(h / static_cast<double>(to[1]), w / static_cast<double>(to[2]));
  double sh = scale * static_cast<double>(to[1]), sw = scale * static_cast<double>(to[2]);
  return {{(h - sh) / 2, sh}, {(w - sw) / 2, sw}};
}

}  // namespace

void resize(const std::vector<float>& image, const graph::Shape& from, const graph::Shape& to, Resize how,
            float* out) {
  auto [vertical, horizontal] = windows(from, to, how);
  auto ih = static_cast<int>(from[1]), iw = static_cast<int>(from[2]), oh = static_cast<int>(to[1]),
       ow = static_cast<int>(to[2]);
  std::vector<Taps> rows = taps(ih, vertical, oh), columns = taps(iw, horizontal, ow);
  std::vector<double> line(static_cast<std::size_t>(iw));
  for (std::int64_t c = 0; c < from[0]; ++c) {
    const float* plane = image.data() + c * from[1] * from[2];
    for (const Taps& row : rows) {
      std::fill(line.begin(), line.end(), 0.0);
      for (std::size_t k = 0; k < row.weights.size(); ++k)
        for (int x = 0; x < iw; ++x)
          line[static_cast<std::size_t>(x)] +=
              row.weights[k] *
              static_cast<double>(plane[(row.first + static_cast<std::ptrdiff_t>(k)) * iw + x]);
      for (const Taps& column : columns) {
        double sum = 0;
        for (std::size_t k = 0; k < column.weights.size(); ++k)
          sum += column.weights[k] * line[static_cast<std::size_t>(column.first) + k];
        *out++ = static_cast<float>(sum);
      }
    }
  }
}

}  // namespace tailor::data
