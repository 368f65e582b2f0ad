#include "tailor/learn/batches.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace tailor::learn {
namespace {

constexpr std::uint64_t kOrder = 1, kAugment = 2, kMixup = 3;

using Plane = std::span<float>;

void mirror(Plane plane, std::size_t width) {
  for (std::size_t row = 0; row < plane.size(); row += width)
    std::reverse(plane.begin() + static_cast<std::ptrdiff_t>(row),
                 plane.begin() + static_cast<std::ptrdiff_t>(row + width));
}

// plane[y][x] = before[y + dy][x + dx], zero outside.
void shift(Plane plane, std::int64_t width, std::int64_t dy, std::int64_t dx, std::vector<float>& before) {
  before.assign(plane.begin(), plane.end());
  std::int64_t height = static_cast<std::int64_t>(plane.size()) / width;
  for (std::int64_t y = 0; y < height; ++y)
    for (std::int64_t x = 0; x < width; ++x) {
      bool inside = y + dy >= 0 && y + dy < height && x + dx >= 0 && x + dx < width;
      plane[static_cast<std::size_t>(y * width + x)] =
          inside ? before[static_cast<std::size_t>((y + dy) * width + x + dx)] : 0.0f;
    }
}

double draw_gamma(double a, Random& random) {
  if (a < 1) return draw_gamma(a + 1, random) * std::pow(1 - random.uniform(), 1 / a);
  double d = a - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    double x = random.normal(), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - random.uniform()) < x * x / 2 + d - d * v + d * std::log(v)) return d * v;
  }
}

// Every image keeps `share` of itself and takes the rest from its partner.
void mix(std::vector<float>& images, std::size_t each, const std::vector<std::size_t>& partner,
         double share) {
  std::vector<float> before = images;
  auto a = static_cast<float>(share), b = static_cast<float>(1 - share);
  for (std::size_t i = 0; i < images.size(); ++i)
    images[i] = a * before[i] + b * before[partner[i / each] * each + i % each];
}

}  // namespace

Random generator(std::uint64_t seed, std::uint64_t purpose, std::uint64_t step) {
  Random root(seed ^ (purpose << 56));
  Random next(root.next() ^ step);
  return Random(next.next());
}

double draw_beta(double a, Random& random) {
  double x = draw_gamma(a, random), y = draw_gamma(a, random);
  return x + y > 0 ? x / (x + y) : 0.5;
}

void augment(std::vector<float>& images, const graph::Shape& dims, const Augmentation& how, Random& random) {
  auto channels = static_cast<std::size_t>(dims[1]), width = static_cast<std::size_t>(dims[3]);
  std::size_t plane = static_cast<std::size_t>(dims[2]) * width;
  std::vector<float> before;
  for (std::size_t n = 0; n < static_cast<std::size_t>(dims[0]); ++n) {
    bool turn = how.flip && random.below(2) == 1;
    auto places = static_cast<std::size_t>(2 * how.crop + 1);
    auto dy = static_cast<std::int64_t>(random.below(places)) - how.crop;
    auto dx = static_cast<std::int64_t>(random.below(places)) - how.crop;
    for (std::size_t c = 0; c < channels; ++c) {
      Plane here(images.data() + (n * channels + c) * plane, plane);
      if (turn) mirror(here, width);
      if (dy != 0 || dx != 0) shift(here, static_cast<std::int64_t>(width), dy, dx, before);
    }
  }
}

Batches::Batches(const data::Dataset& data, const Recipe& recipe) : data_(data), recipe_(recipe) {
  if (data.size() < 1) throw Error(Code::bad_dataset, "there are no samples", data.path().string());
  bool images = data.sample_shape().size() == 3;
  if (!images && (recipe.augmentation.flip || recipe.augmentation.crop > 0))
    throw Error(Code::bad_value,
                fmt::format("samples of {} are no images: they are neither mirrored nor shifted",
                            graph::to_string(data.sample_shape())),
                "--flip, --crop", "leave --flip and --crop out");
  batch_ = std::min(recipe.batch, data.size());
  per_epoch_ = data.size() / batch_;
}

Batch Batches::at(std::int64_t step) const {
  std::vector<std::int64_t> order(static_cast<std::size_t>(data_.size()));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  generator(recipe_.seed, kOrder, static_cast<std::uint64_t>(step / per_epoch_)).shuffle(order);
  auto first = order.begin() + step % per_epoch_ * batch_;
  data::Dataset part = data_.subset({first, first + batch_});
  Batch result{part.batch(0, batch_), part.labels()};
  const Augmentation& how = recipe_.augmentation;
  if (!how.flip && how.crop == 0 && how.mixup == 0) return result;
  std::vector<float> images = result.images.values<float>();
  Random random = generator(recipe_.seed, kAugment, static_cast<std::uint64_t>(step));
  if (how.flip || how.crop > 0) augment(images, result.images.dims, how, random);
  if (how.mixup > 0) {
    Random mixing = generator(recipe_.seed, kMixup, static_cast<std::uint64_t>(step));
    std::vector<std::size_t> partner(static_cast<std::size_t>(batch_));
    std::iota(partner.begin(), partner.end(), std::size_t{0});
    mixing.shuffle(partner);
    result.share = draw_beta(how.mixup, mixing);
    mix(images, images.size() / partner.size(), partner, result.share);
    for (std::size_t i = 0; i < result.labels.size(); ++i) result.mixed.push_back(result.labels[partner[i]]);
  }
  result.images = graph::make_f32(result.images.dims, std::move(images));
  return result;
}

}  // namespace tailor::learn
