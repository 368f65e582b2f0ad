// Dataset: which reader, does it fit, and batches. Readers are in the other files; each gives a Source.
#include "tailor/data/dataset.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/parallel.h"
#include "tailor/data/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace tailor::data {
namespace fs = std::filesystem;

void bad_dataset(const fs::path& path, const std::string& what) {
  throw Error(
      Code::bad_dataset, what, path.string(),
      "data are CIFAR binary files, IDX image files, .npy or .npz arrays, or a folder of JPEG or PNG images");
}

void widen(const std::byte* from, std::size_t count, float* to) {
  std::transform(from, from + count, to,
                 [](std::byte b) { return static_cast<float>(std::to_integer<int>(b)); });
}

namespace {

SourcePointer read_file(const fs::path& path, const Preparation& preparation) {
  Bytes bytes = map_file(path);
  if (preparation.resize != Resize::none)
    throw Error(Code::bad_value, "only images of a folder are resized, and this is a file", path.string(),
                "leave --resize out, or name a folder of JPEG or PNG images");
  std::string_view view = bytes.view();
  if (view.empty()) bad_dataset(path, "the file is empty");
  if (view.starts_with("\x93NUMPY")) return read_npy_dataset(path, bytes);
  if (view.starts_with("PK")) return read_npz_dataset(path, bytes);
  if (path.extension() == ".npz") bad_dataset(path, "npz: it does not begin like a zip archive");
  if (path.extension() == ".npy") bad_dataset(path, "npy: it does not begin with NumPy's magic bytes");
  for (std::string_view magic : {std::string_view("\x1f\x8b"),
                                 std::string_view("\xfd"
                                                  "7zXZ"),
                                 std::string_view("BZh")})
    if (view.starts_with(magic)) bad_dataset(path, "the file is compressed; unpack it first");
  if (looks_like_idx(bytes)) return read_idx(path, bytes);
  return read_cifar(path, bytes);
}

bool fits(const graph::Shape& sample, const graph::Shape& expected) {
  if (sample.size() != expected.size()) return false;
  for (std::size_t i = 0; i < sample.size(); ++i)
    if (expected[i] >= 0 && expected[i] != sample[i]) return false;
  return true;
}

void check_fits(const fs::path& path, const graph::Shape& sample, const graph::Shape& expected) {
  if (expected.empty() || fits(sample, expected)) return;
  std::string help =
      "prepare images in the size of the model's input, or give --resize for a folder of images";
  if (sample.size() == 3 && fits({sample[2], sample[0], sample[1]}, expected))
    help = "the channels come last in these data; store them as NxCxHxW";
  throw Error(
      Code::dataset_mismatch,
      fmt::format("a sample is {}, the model takes {}", graph::to_string(sample), graph::to_string(expected)),
      path.string(), help);
}

// One value per channel. The channels are the leading dimension of samples of rank 2 and more.
std::vector<double> per_channel(const std::vector<double>& given, double otherwise, const graph::Shape& shape,
                                const char* what) {
  auto channels = shape.size() >= 2 ? static_cast<std::size_t>(shape[0]) : std::size_t{1};
  if (given.empty()) return std::vector<double>(channels, otherwise);
  if (given.size() == 1) return std::vector<double>(channels, given[0]);
  if (given.size() != channels)
    throw Error(Code::bad_value, fmt::format("{} has {} values, the samples ({}) have {} channels", what,
                                             given.size(), graph::to_string(shape), channels));
  return given;
}

// Wraps decode so that it prepares what it decoded.
void prepare(Dataset::Source& source, const Preparation& preparation) {
  double scale = preparation.scale.value_or(source.scale);
  auto mean = per_channel(preparation.mean, 0, source.shape, "mean");
  auto deviation = per_channel(preparation.std, 1, source.shape, "std");
  if (!(scale != 0) || std::any_of(deviation.begin(), deviation.end(), [](double d) { return !(d != 0); }))
    throw Error(Code::bad_value, "scale and std must not be zero");
  auto plane = static_cast<std::size_t>(graph::element_count(source.shape)) / mean.size();
  bool bgr = preparation.bgr;
  if (bgr && mean.size() != 3)
    throw Error(Code::bad_value,
                fmt::format("the order of channels is for 3 of them, the samples have {}", mean.size()));
  source.decode = [raw = std::move(source.decode), scale, mean, deviation, plane, bgr](std::int64_t index,
                                                                                       float* out) {
    raw(index, out);
    if (bgr) std::swap_ranges(out, out + plane, out + 2 * plane);
    for (std::size_t c = 0; c < mean.size(); ++c)
      for (float *at = out + c * plane, *end = at + plane; at != end; ++at)
        *at = static_cast<float>((*at / scale - mean[c]) / deviation[c]);
  };
}

}  // namespace

Dataset::Dataset(std::shared_ptr<const Source> source)
    : source_(std::move(source)),
      indices_(static_cast<std::size_t>(source_->count)),
      labels_(source_->labels) {
  std::iota(indices_.begin(), indices_.end(), std::int64_t{0});
}

std::int64_t Dataset::size() const { return static_cast<std::int64_t>(indices_.size()); }
const graph::Shape& Dataset::sample_shape() const { return source_->shape; }
bool Dataset::labelled() const { return !source_->labels.empty(); }
const std::vector<std::int64_t>& Dataset::labels() const { return labels_; }
const fs::path& Dataset::path() const { return source_->path; }

graph::Tensor Dataset::batch(std::int64_t first, std::int64_t count) const {
  TAILOR_CHECK(first >= 0 && count >= 0 && first <= size() - count);
  auto each = static_cast<std::size_t>(graph::element_count(source_->shape)),
       n = static_cast<std::size_t>(count);
  std::vector<float> values(n * each);
  auto decode = [&](std::size_t i) {
    source_->decode(indices_[static_cast<std::size_t>(first) + i], values.data() + i * each);
  };
  if (source_->slow && n >= 8)
    in_parallel(static_cast<int>(n), [&](int i) { decode(static_cast<std::size_t>(i)); });
  else
    for (std::size_t i = 0; i < n; ++i) decode(i);
  graph::Shape dims = source_->shape;
  dims.insert(dims.begin(), count);
  return graph::make_f32(std::move(dims), std::move(values));
}

Dataset Dataset::subset(const std::vector<std::int64_t>& indices) const {
  Dataset part = *this;
  part.indices_.clear();
  part.labels_.clear();
  for (std::int64_t index : indices) {
    TAILOR_CHECK(index >= 0 && index < size());
    part.indices_.push_back(indices_[static_cast<std::size_t>(index)]);
    if (labelled()) part.labels_.push_back(labels_[static_cast<std::size_t>(index)]);
  }
  return part;
}

Dataset read_dataset(const fs::path& path, const Preparation& preparation, const graph::Shape& expected) {
  SourcePointer source = fs::is_directory(path) ? read_image_folder(path, preparation.resize, expected)
                                                : read_file(path, preparation);
  check_fits(path, source->shape, expected);
  prepare(*source, preparation);
  return Dataset(std::move(source));
}

}  // namespace tailor::data
