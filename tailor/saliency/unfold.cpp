// Rows of the patches one after the other, each one tap of one channel:
//   shifted   stride 1, planes of one size: the channel's row itself, moved by whole rows and columns; what came from
//             beyond the border of its plane is cleared
//   by rows   everything else: output row by output row, between the columns that lie inside
#include "tailor/saliency/unfold.h"

#include <algorithm>
#include <cstddef>

namespace tailor::saliency {
namespace {

// One tap: where output (0, 0) reads.
struct Tap {
  int row = 0, column = 0;
};

// f(index of the channel, row of the patches, tap) for each of them.
template <class F>
void over_taps(const Geometry& g, int channels, F f) {
  for (int c = 0; c < channels; ++c)
    for (int i = 0; i < g.kh; ++i)
      for (int j = 0; j < g.kw; ++j) f(c, (c * g.kh + i) * g.kw + j, Tap{i * g.dh - g.pt, j * g.dw - g.pl});
}

bool only_shifts(const Extent& from, const Extent& to, const Geometry& g) {
  return g.sh == 1 && g.sw == 1 && from.height == to.height && from.width == to.width;
}

// What a shift brings from outside of each plane: rows above or below, columns left or right.
void clear_outside(float* out, const Extent& e, int samples, Tap tap) {
  const int top = std::clamp(-tap.row, 0, e.height), bottom = std::clamp(tap.row, 0, e.height);
  const int left = std::clamp(-tap.column, 0, e.width), right = std::clamp(tap.column, 0, e.width);
  for (int s = 0; s < samples; ++s, out += e.plane()) {
    std::fill_n(out, top * e.width, 0.0f);
    std::fill_n(out + (e.height - bottom) * e.width, bottom * e.width, 0.0f);
    if (left + right == 0) continue;
    for (float* row = out; row < out + e.plane(); row += e.width) {
      std::fill_n(row, left, 0.0f);
      std::fill_n(row + e.width - right, right, 0.0f);
    }
  }
}

// Elements [first, last) of a row of n that a shift leaves within it.
struct Overlap {
  std::ptrdiff_t first = 0, last = 0, shift = 0;
};

Overlap overlap(const Extent& e, int samples, Tap tap) {
  const std::ptrdiff_t n = std::ptrdiff_t{samples} * e.plane();
  const std::ptrdiff_t shift = std::ptrdiff_t{tap.row} * e.width + tap.column;
  const std::ptrdiff_t first = std::clamp<std::ptrdiff_t>(-shift, 0, n);
  return {first, std::max(first, std::min(n, n - shift)), shift};
}

void unfold_shifted(const float* x, const Extent& e, const Geometry& g, int channels, int samples,
                    float* patches) {
  const std::ptrdiff_t n = std::ptrdiff_t{samples} * e.plane();
  over_taps(g, channels, [&](int c, int row, Tap tap) {
    const Overlap o = overlap(e, samples, tap);
    float* out = patches + row * n;
    std::copy(x + c * n + o.first + o.shift, x + c * n + o.last + o.shift, out + o.first);
    clear_outside(out, e, samples, tap);
  });
}

void fold_shifted(float* patches, const Extent& e, const Geometry& g, int channels, int samples, float* x) {
  const std::ptrdiff_t n = std::ptrdiff_t{samples} * e.plane();
  over_taps(g, channels, [&](int c, int row, Tap tap) {
    const Overlap o = overlap(e, samples, tap);
    float* in = patches + row * n;
    clear_outside(in, e, samples, tap);
    float* out = x + c * n + o.shift;
    for (std::ptrdiff_t i = o.first; i < o.last; ++i) out[i] += in[i];
  });
}

// Columns of an output row that a tap reads within the input: [first, last).
struct Span {
  int first = 0, last = 0;
};

Span span(int outputs, int inputs, int stride, int offset) {
  const int first = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  const int last = inputs - offset <= 0 ? 0 : (inputs - offset + stride - 1) / stride;
  return {std::min(first, outputs), std::clamp(last, std::min(first, outputs), outputs)};
}

// f(start of an output row within the row of patches, start of the input row that it reads, or -1, the span) for each.
template <class F>
void over_rows(const Extent& from, const Extent& to, const Geometry& g, int samples, Tap tap, F f) {
  const Span columns = span(to.width, from.width, g.sw, tap.column);
  for (int s = 0; s < samples; ++s)
    for (int oh = 0; oh < to.height; ++oh) {
      const int ih = oh * g.sh + tap.row;
      const bool inside = ih >= 0 && ih < from.height;
      f((std::ptrdiff_t{s} * to.height + oh) * to.width,
        inside ? (std::ptrdiff_t{s} * from.height + ih) * from.width : -1, columns);
    }
}

void unfold_rows(const float* x, const Extent& from, const Extent& to, const Geometry& g, int channels,
                 int samples, float* patches) {
  over_taps(g, channels, [&](int c, int row, Tap tap) {
    float* to_row = patches + std::ptrdiff_t{row} * samples * to.plane();
    const float* from_row = x + std::ptrdiff_t{c} * samples * from.plane() + tap.column;
    over_rows(from, to, g, samples, tap, [&](std::ptrdiff_t at, std::ptrdiff_t source, Span columns) {
      float* out = to_row + at;
      if (source < 0) return void(std::fill_n(out, to.width, 0.0f));
      std::fill(out, out + columns.first, 0.0f);
      for (int ow = columns.first; ow < columns.last; ++ow) out[ow] = from_row[source + ow * g.sw];
      std::fill(out + columns.last, out + to.width, 0.0f);
    });
  });
}

void fold_rows(const float* patches, const Extent& from, const Extent& to, const Geometry& g, int channels,
               int samples, float* x) {
  over_taps(g, channels, [&](int c, int row, Tap tap) {
    const float* from_row = patches + std::ptrdiff_t{row} * samples * to.plane();
    float* to_row = x + std::ptrdiff_t{c} * samples * from.plane() + tap.column;
    over_rows(from, to, g, samples, tap, [&](std::ptrdiff_t at, std::ptrdiff_t target, Span columns) {
      if (target < 0) return;
      for (int ow = columns.first; ow < columns.last; ++ow) to_row[target + ow * g.sw] += from_row[at + ow];
    });
  });
}

}  // namespace

void unfold(const float* x, const Extent& from, const Extent& to, const Geometry& geometry, int channels,
            int samples, float* patches) {
  if (only_shifts(from, to, geometry)) return unfold_shifted(x, from, geometry, channels, samples, patches);
  unfold_rows(x, from, to, geometry, channels, samples, patches);
}

void fold(float* patches, const Extent& from, const Extent& to, const Geometry& geometry, int channels,
          int samples, float* x) {
  if (only_shifts(from, to, geometry)) return fold_shifted(patches, from, geometry, channels, samples, x);
  fold_rows(patches, from, to, geometry, channels, samples, x);
}

}  // namespace tailor::saliency
