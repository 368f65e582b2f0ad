// NumPy arrays as data: the array of samples is found by name or by being the only candidate.
#include "tailor/base/error.h"
#include "tailor/data/source.h"
#include "tailor/data/zip.h"
#include "tailor/graph/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

namespace tailor::data {
namespace {

using graph::DataType;

// Stored as float for decoding: f32 stays where it is, other types but u8 are converted once.
graph::Tensor decodable(const graph::Tensor& tensor, const std::filesystem::path& path) {
  if (tensor.type == DataType::f32 || tensor.type == DataType::u8) return tensor;
  if (auto floats = graph::as_floats(tensor)) return graph::make_f32(tensor.dims, std::move(*floats));
  if (auto integers = graph::as_integers(tensor))
    return graph::make_f32(tensor.dims, std::vector<float>(integers->begin(), integers->end()));
  bad_dataset(path, fmt::format("array of type {}: not readable as samples", graph::name(tensor.type)));
}

void check_finite(const graph::Tensor& tensor, std::int64_t count, const std::filesystem::path& path) {
  if (tensor.type != DataType::f32 || count == 0) return;
  std::size_t total = tensor.data.size() / sizeof(float), each = total / static_cast<std::size_t>(count);
  for (std::size_t i = 0; i < total; ++i) {
    float value = 0;
    std::memcpy(&value, tensor.data.data() + i * sizeof(float), sizeof value);
    if (!std::isfinite(value))
      bad_dataset(path, fmt::format("sample {} holds {} at element {}", i / each, value, i % each));
  }
}

SourcePointer source_of(const std::filesystem::path& path, const graph::Tensor& stored) {
  if (stored.dims.size() < 2)
    bad_dataset(path,
                fmt::format("an array of shape {} holds no samples; it needs a leading dimension of samples",
                            graph::to_string(stored.dims)));
  if (graph::element_count(stored.dims) == 0)
    bad_dataset(path, fmt::format("the array is empty ({})", graph::to_string(stored.dims)));
  graph::Tensor tensor = decodable(stored, path);
  auto source = std::make_shared<Dataset::Source>();
  source->path = path;
  source->count = tensor.dims[0];
  source->shape.assign(tensor.dims.begin() + 1, tensor.dims.end());
  source->scale = tensor.type == DataType::u8 ? 255 : 1;
  check_finite(tensor, source->count, path);
  auto size = static_cast<std::size_t>(graph::element_count(source->shape));
  source->decode = [tensor, size](std::int64_t index, float* out) {
    auto first = static_cast<std::size_t>(index) * size;
    if (tensor.type == DataType::u8)
      widen(tensor.data.data() + first, size, out);
    else
      std::memcpy(out, tensor.data.data() + first * sizeof(float), size * sizeof(float));
  };
  return source;
}

using Arrays = std::map<std::string, ZipMember>;

Arrays arrays_of(const Bytes& archive, const std::filesystem::path& path) {
  Arrays arrays;
  for (ZipMember& member : zip_members(archive, path)) {
    if (!member.name.ends_with(".npy")) continue;
    std::string name = member.name.substr(0, member.name.size() - 4);
    arrays.emplace(std::move(name), std::move(member));
  }
  return arrays;
}

class Archive {
 public:
  Archive(Bytes bytes, const std::filesystem::path& path)
      : bytes_(std::move(bytes)), path_(path), arrays_(arrays_of(bytes_, path)) {}

  graph::Tensor read(const std::string& name) const {
    return graph::parse_npy(unpack(bytes_, arrays_.at(name), path_), path_.string() + ":" + name);
  }
  /// The first of `names` that is there, or "".
  std::string first_of(std::initializer_list<const char*> names) const {
    for (const char* name : names)
      if (arrays_.contains(name)) return name;
    return {};
  }
  /// The only array that can be samples.
  graph::Tensor only_candidate() const {
    std::vector<graph::Tensor> found;
    std::vector<std::string> all;
    for (const auto& [name, member] : arrays_) {
      graph::Tensor tensor = read(name);
      bool floating =
          tensor.type == DataType::f32 || tensor.type == DataType::f64 || tensor.type == DataType::f16;
      all.push_back(fmt::format("{} ({} {})", name, graph::name(tensor.type), graph::to_string(tensor.dims)));
      if (tensor.dims.size() >= 2 && (floating || tensor.type == DataType::u8))
        found.push_back(std::move(tensor));
    }
    if (found.size() == 1) return found.front();
    bad_dataset(
        path_,
        fmt::format("npz: no array is called x, images or data, and {} could be the samples; it holds: {}",
                    found.empty() ? "none" : "several", fmt::join(all, ", ")));
  }

 private:
  Bytes bytes_;
  const std::filesystem::path& path_;
  Arrays arrays_;
};

std::vector<std::int64_t> labels_of(const graph::Tensor& tensor, std::int64_t count,
                                    const std::filesystem::path& path) {
  auto labels = graph::as_integers(tensor);
  if (!labels || graph::element_count(tensor.dims) != count)
    bad_dataset(path, fmt::format("npz: labels are {} {}; expected {} integers", graph::name(tensor.type),
                                  graph::to_string(tensor.dims), count));
  auto negative = std::find_if(labels->begin(), labels->end(), [](std::int64_t label) { return label < 0; });
  if (negative != labels->end())
    bad_dataset(path,
                fmt::format("npz: label {} of sample {} is negative", *negative, negative - labels->begin()));
  return std::move(*labels);
}

}  // namespace

SourcePointer read_npy_dataset(const std::filesystem::path& path, const Bytes& bytes) {
  return source_of(path, graph::parse_npy(bytes, path.string()));
}

SourcePointer read_npz_dataset(const std::filesystem::path& path, const Bytes& bytes) {
  Archive archive(bytes, path);
  std::string samples = archive.first_of({"x", "images", "data"}), labels = archive.first_of({"y", "labels"});
  SourcePointer source = source_of(path, samples.empty() ? archive.only_candidate() : archive.read(samples));
  if (!labels.empty()) source->labels = labels_of(archive.read(labels), source->count, path);
  return source;
}

}  // namespace tailor::data
