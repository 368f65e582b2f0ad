#include "tailor/learn/pattern_picture.h"

#include "tailor/base/error.h"
#include "tailor/data/resize.h"

#include <algorithm>
#include <cmath>

namespace tailor::learn {
namespace {

using data::Picture;

constexpr int kSmall = 32;  // pixels to which small pictures are enlarged
constexpr int kGap = 2;     // pixels between pictures; the upper one of them holds the bar

// CxHxW with 1 or 3 channels: what can be drawn.
std::vector<float> drawable(const std::vector<float>& pattern, const graph::Shape& shape) {
  const auto channels = static_cast<std::size_t>(shape[0]);
  if (channels == 1 || channels == 3) return pattern;
  const std::size_t plane = pattern.size() / channels;
  std::vector<float> mean(plane, 0.0f);
  for (std::size_t i = 0; i < pattern.size(); ++i)
    mean[i % plane] += pattern[i] / static_cast<float>(channels);
  return mean;
}

float deviation(const std::vector<float>& values) {
  double squares = 0;
  for (float value : values) squares += double{value} * value;
  return static_cast<float>(std::sqrt(squares / static_cast<double>(values.size())));
}

std::uint8_t level(float value, float deviation) {
  if (!(deviation > 0)) return 128;
  return static_cast<std::uint8_t>(std::clamp(std::lround(128 + 127 * value / (3 * deviation)), 0L, 255L));
}

Picture enlarged(const Picture& picture, int factor) {
  Picture large{picture.width * factor, picture.height * factor, picture.channels, {}};
  for (int y = 0; y < large.height; ++y)
    for (int x = 0; x < large.width; ++x)
      for (int c = 0; c < picture.channels; ++c)
        large.samples.push_back(
            picture.samples[picture.at(x / factor, y / factor) + static_cast<std::size_t>(c)]);
  return large;
}

void put(Picture& sheet, const Picture& picture, int left, int top) {
  for (int y = 0; y < picture.height; ++y)
    std::copy_n(picture.samples.begin() + static_cast<std::ptrdiff_t>(picture.at(0, y)),
                picture.at(picture.width, 0),
                sheet.samples.begin() + static_cast<std::ptrdiff_t>(sheet.at(left, top + y)));
}

}  // namespace

std::vector<float> shrunk(const std::vector<float>& image, graph::Shape& shape, int most) {
  const std::int64_t longest = std::max(shape[1], shape[2]);
  if (longest <= most) return image;
  graph::Shape to = shape;
  for (std::size_t axis : {1u, 2u}) to[axis] = std::max<std::int64_t>(1, shape[axis] * most / longest);
  std::vector<float> small(static_cast<std::size_t>(graph::element_count(to)));
  data::resize(image, shape, to, data::Resize::stretch, small.data());
  shape = to;
  return small;
}

Picture pattern_picture(const std::vector<float>& pattern, const graph::Shape& shape, int most, bool bgr) {
  TAILOR_CHECK(shape.size() == 3 && most >= 1 &&
               static_cast<std::int64_t>(pattern.size()) == graph::element_count(shape));
  graph::Shape size = shape;
  if (size[0] != 3) size[0] = 1;
  const std::vector<float> image = shrunk(drawable(pattern, shape), size, most);
  const float unit = deviation(image);
  Picture picture{static_cast<int>(size[2]), static_cast<int>(size[1]), static_cast<int>(size[0]), {}};
  picture.samples.resize(image.size());
  const std::size_t plane = image.size() / static_cast<std::size_t>(picture.channels);
  for (std::size_t i = 0; i < image.size(); ++i) {
    const std::size_t channel = i / plane, colour = bgr && picture.channels == 3 ? 2 - channel : channel;
    picture.samples[i % plane * static_cast<std::size_t>(picture.channels) + colour] = level(image[i], unit);
  }
  return picture;
}

Sheet sheet_of(const std::vector<Picture>& pictures) {
  TAILOR_CHECK(!pictures.empty());
  const Picture& first = pictures.front();
  const int factor = std::max(1, kSmall / std::max(first.width, first.height)),
            width = first.width * factor + kGap, height = first.height * factor + kGap,
            count = static_cast<int>(pictures.size()),
            columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(count)))),
            rows = (count + columns - 1) / columns;
  Sheet sheet{{columns * width, rows * height, first.channels, {}}, columns};
  sheet.picture.samples.assign(sheet.picture.at(0, sheet.picture.height), 0);
  for (int i = 0; i < count; ++i) {
    const Picture& picture = pictures[static_cast<std::size_t>(i)];
    TAILOR_CHECK(picture.width == first.width && picture.height == first.height &&
                 picture.channels == first.channels);
    const int left = i % columns * width, top = i / columns * height;
    put(sheet.picture, enlarged(picture, factor), left, top + kGap);
    if (i % 10 != 0) continue;
    const std::size_t bar = sheet.picture.at(left, top);
    std::fill_n(sheet.picture.samples.begin() + static_cast<std::ptrdiff_t>(bar),
                sheet.picture.at(width - kGap, 0), std::uint8_t{255});
  }
  return sheet;
}

}  // namespace tailor::learn
