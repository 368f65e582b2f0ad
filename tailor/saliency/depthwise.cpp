// Every loop over taps is a BLAS call on a block that stays in the first cache. Positions between outputs hold slopes of
// zero, and sums that nobody reads.
#include "tailor/saliency/depthwise.h"

#define EIGEN_USE_BLAS
#include <Eigen/Dense>

#include <algorithm>

namespace tailor::saliency {
namespace {

constexpr std::ptrdiff_t kBlock = 2048;  // floats: three of them fit into 32 KiB

// to += by * from.
void add_scaled(float by, const float* from, float* to, std::ptrdiff_t count) {
  int n = static_cast<int>(count), one = 1;
  saxpy_(&n, &by, const_cast<float*>(from), &one, to, &one);
}

double dot(const float* a, const float* b, std::ptrdiff_t count) {
  int n = static_cast<int>(count), one = 1;
  return sdot_(&n, const_cast<float*>(a), &one, const_cast<float*>(b), &one);
}

template <class F>
void in_blocks(std::ptrdiff_t count, F f) {
  for (std::ptrdiff_t at = 0; at < count; at += kBlock) f(at, std::min(kBlock, count - at));
}

}  // namespace

Depthwise::Depthwise(const Extent& from, const Extent& to, const Geometry& geometry, int samples)
    : from_(from), to_(to), geometry_(geometry), samples_(samples) {
  const Geometry& g = geometry;
  height_ = (to.height - 1) * g.sh + 1 + (g.kh - 1) * g.dh;
  width_ = (to.width - 1) * g.sw + 1 + (g.kw - 1) * g.dw;
  for (int i = 0; i < g.kh; ++i)
    for (int j = 0; j < g.kw; ++j) reach_.push_back(i * g.dh * width_ + j * g.dw);
  const std::size_t all = static_cast<std::size_t>(samples) * static_cast<std::size_t>(height_ * width_);
  input_.resize(all), sums_.resize(all);
  slopes_.resize(all + static_cast<std::size_t>(reach_.back()));
}

// f(begin of a row of x, begin of its part within the borders, count) for every row that lies within.
template <class F>
void Depthwise::over_inputs(F f) const {
  const int left = std::max(0, geometry_.pl), skipped = std::max(0, -geometry_.pl);
  const int count = std::min(from_.width - skipped, width_ - left);
  if (count <= 0) return;
  for (int s = 0; s < samples_; ++s)
    for (int row = 0; row < height_; ++row) {
      const int ih = row - geometry_.pt;
      if (ih < 0 || ih >= from_.height) continue;
      f((std::ptrdiff_t{s} * from_.height + ih) * from_.width + skipped,
        (std::ptrdiff_t{s} * height_ + row) * width_ + left, count);
    }
}

// f(begin of a row of y, position of its first output); the next ones follow at the stride.
template <class F>
void Depthwise::over_outputs(F f) const {
  for (int s = 0; s < samples_; ++s)
    for (int oh = 0; oh < to_.height; ++oh)
      f((std::ptrdiff_t{s} * to_.height + oh) * to_.width,
        (std::ptrdiff_t{s} * height_ + oh * geometry_.sh) * width_);
}

void Depthwise::set_input(const float* x) {
  over_inputs([&](std::ptrdiff_t from, std::ptrdiff_t to, int count) {
    std::copy_n(x + from, count, input_.data() + to);
  });
}

void Depthwise::set_slopes(const float* slopes) {
  float* const first = slopes_.data() + reach_.back();
  over_outputs([&](std::ptrdiff_t from, std::ptrdiff_t to) {
    for (int ow = 0; ow < to_.width; ++ow) first[to + ow * geometry_.sw] = slopes[from + ow];
  });
}

void Depthwise::forward(const float* weights, float* y) {
  in_blocks(static_cast<std::ptrdiff_t>(sums_.size()) - reach_.back(),
            [&](std::ptrdiff_t at, std::ptrdiff_t count) {
              std::fill_n(sums_.data() + at, count, weights[reach_.size()]);
              for (std::size_t t = 0; t < reach_.size(); ++t)
                add_scaled(weights[t], input_.data() + at + reach_[t], sums_.data() + at, count);
            });
  over_outputs([&](std::ptrdiff_t to, std::ptrdiff_t from) {
    for (int ow = 0; ow < to_.width; ++ow)
      y[to + ow] = sums_[static_cast<std::size_t>(from + ow * geometry_.sw)];
  });
}

void Depthwise::add_slopes(float* weights) {
  const float* const slopes = slopes_.data() + reach_.back();
  std::vector<double> sums(reach_.size() + 1);
  in_blocks(static_cast<std::ptrdiff_t>(sums_.size()) - reach_.back(),
            [&](std::ptrdiff_t at, std::ptrdiff_t count) {
              for (std::size_t t = 0; t < reach_.size(); ++t)
                sums[t] += dot(slopes + at, input_.data() + at + reach_[t], count);
              sums.back() += double{Eigen::Map<const Eigen::VectorXf>(slopes + at, count).sum()};
            });
  for (std::size_t t = 0; t < sums.size(); ++t) weights[t] += static_cast<float>(sums[t]);
}

void Depthwise::pull_back(const float* weights, float* x) {
  const float* const slopes = slopes_.data() + reach_.back();
  in_blocks(static_cast<std::ptrdiff_t>(sums_.size()), [&](std::ptrdiff_t at, std::ptrdiff_t count) {
    std::fill_n(sums_.data() + at, count, 0.0f);
    for (std::size_t t = 0; t < reach_.size(); ++t)
      add_scaled(weights[t], slopes + at - reach_[t], sums_.data() + at, count);
  });
  over_inputs([&](std::ptrdiff_t to, std::ptrdiff_t from, int count) {
    for (int i = 0; i < count; ++i) x[to + i] += sums_[static_cast<std::size_t>(from + i)];
  });
}

}  // namespace tailor::saliency
