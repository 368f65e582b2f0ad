// load_calibration: read, shuffle, part into samples to fit and to judge on, augment the latter.
#include "tailor/pipeline/calibration.h"

#include "tailor/base/error.h"
#include "tailor/base/parallel.h"
#include "tailor/base/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace tailor::pipeline {
namespace {

using graph::Shape;
using graph::Tensor;

Shape sample_shape(const Subject& subject) {
  if (subject.model.graph.inputs.size() != 1)
    throw Error(Code::dataset_mismatch,
                fmt::format("the model has {} inputs; data sets feed models with one",
                            subject.model.graph.inputs.size()),
                subject.path.string());
  const std::string& name = subject.model.graph.inputs[0].name;
  const Shape* shape = subject.shapes.shape(name);
  if (!shape || shape->size() < 2)
    throw Error(Code::shape_unknown, fmt::format("the shape of input '{}' is unknown", name),
                subject.path.string(), fmt::format("give it with --shape {}:1x3x224x224", name));
  return Shape(shape->begin() + 1, shape->end());
}

// Bytes of the largest value per sample: what limits how many samples can be worked on at once.
std::size_t largest_value(const Subject& subject) {
  std::int64_t largest = 1;
  for (const auto& [name, type] : subject.shapes.types)
    if (!subject.shapes.constant(name)) largest = std::max(largest, graph::element_count(type.shape));
  const Shape* input = subject.shapes.shape(subject.model.graph.inputs[0].name);
  return static_cast<std::size_t>(largest / std::max<std::int64_t>(1, input->front())) * sizeof(float);
}

// One plane shifted and mirrored; what comes from outside is zero.
void move_plane(const float* from, float* to, int height, int width, int dy, int dx, bool mirror) {
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      int sy = y + dy, sx = (mirror ? width - 1 - x : x) + dx;
      bool inside = sy >= 0 && sy < height && sx >= 0 && sx < width;
      to[y * width + x] = inside ? from[sy * width + sx] : 0.0f;
    }
}

// Every second sample is blended with another one, up to half and half (mixup, Zhang et al.,
// arXiv:1710.09412): the network is least sure there, and shows most of itself.
void mix(const std::vector<float>& from, std::vector<float>& to, std::size_t samples, Random& random) {
  std::size_t size = to.size() / samples;
  for (std::size_t s = 0; s < samples; s += 2) {
    const float* other = from.data() + random.below(samples) * size;
    auto share = static_cast<float>(random.uniform(0, 0.5));
    for (std::size_t i = 0; i < size; ++i)
      to[s * size + i] = (1 - share) * to[s * size + i] + share * other[i];
  }
}

Tensor augmented(const Tensor& images, std::uint64_t seed) {
  if (images.dims.size() != 4 || images.dims[2] < 16 || images.dims[3] < 16) return images;
  auto samples = static_cast<int>(images.dims[0]), channels = static_cast<int>(images.dims[1]);
  auto height = static_cast<int>(images.dims[2]), width = static_cast<int>(images.dims[3]);
  std::vector<float> from = images.values<float>(), to(from.size());
  Random random(seed);
  for (int s = 0; s < samples; ++s) {
    auto shift = [&](int size) {
      return static_cast<int>(random.below(static_cast<std::size_t>(size / 4 + 1))) - size / 8;
    };
    int dy = shift(height), dx = shift(width);
    bool mirror = random.below(2) == 1;
    for (int c = 0; c < channels; ++c) {
      std::size_t at =
          (static_cast<std::size_t>(s) * static_cast<std::size_t>(channels) + static_cast<std::size_t>(c)) *
          static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
      move_plane(from.data() + at, to.data() + at, height, width, dy, dx, mirror);
    }
  }
  mix(from, to, static_cast<std::size_t>(samples), random);
  return graph::make_f32(images.dims, std::move(to));
}

}  // namespace

Calibration load_calibration(const Subject& subject, const CalibrationOptions& options) {
  data::Dataset set = data::read_dataset(options.path, options.preparation, sample_shape(subject));
  if (set.size() < 8)
    throw Error(Code::dataset_mismatch, fmt::format("{} samples are too few to calibrate on", set.size()),
                options.path.string(), "give some hundred unlabelled samples");
  std::vector<std::int64_t> order(static_cast<std::size_t>(set.size()));
  std::iota(order.begin(), order.end(), 0);
  Random(options.seed).shuffle(order);
  auto bound = static_cast<std::int64_t>(
      std::max<std::size_t>(8, options.memory / 3 / std::max<std::size_t>(1, largest_value(subject))));
  std::int64_t fit = std::min({options.fit, bound, set.size() * 2 / 3}),
               judge = std::min({options.judge, bound, set.size() - fit}),
               finish = std::max(fit, std::min({options.finish, bound, set.size() - judge}));
  std::rotate(order.begin() + fit, order.begin() + fit + judge, order.end());  // those to judge on come last
  auto part = [&](std::int64_t first, std::int64_t count) {
    std::vector<std::int64_t> indices(order.begin() + first, order.begin() + first + count);
    return set.subset(indices).batch(0, count);
  };
  Tensor for_judge = part(set.size() - judge, judge);
  if (options.augment) for_judge = augmented(for_judge, options.seed + 2);
  const std::string& name = subject.model.graph.inputs[0].name;
  Calibration calibration;
  calibration.fit = {{name, part(0, fit)}};
  calibration.finish = {{name, part(0, finish)}};
  calibration.judge = {{name, std::move(for_judge)}};
  calibration.memory = options.memory;
  calibration.threads = cores();
  return calibration;
}

}  // namespace tailor::pipeline
