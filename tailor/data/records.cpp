// Formats of fixed-size records: CIFAR's binary files and IDX (MNIST).
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/data/source.h"

#include <fmt/format.h>

#include <array>

namespace tailor::data {
namespace {

constexpr std::size_t kPixels = 3 * 32 * 32;

struct CifarKind {
  const char* name;
  std::size_t label_bytes;
  std::array<int, 2> label_limits;  // per label byte
  std::size_t record() const { return label_bytes + kPixels; }
};
constexpr CifarKind kCifar10 = {"CIFAR-10", 1, {10, 0}}, kCifar100 = {"CIFAR-100", 2, {20, 100}};

int byte_at(const Bytes& bytes, std::size_t at) { return std::to_integer<int>(bytes.data()[at]); }

// Index of the first record with an impossible label; the number of records if there is none.
std::size_t first_bad_label(const CifarKind& kind, const Bytes& bytes) {
  std::size_t count = bytes.size() / kind.record();
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t b = 0; b < kind.label_bytes; ++b)
      if (byte_at(bytes, i * kind.record() + b) >= kind.label_limits[b]) return i;
  return count;
}

const CifarKind& cifar_kind(const std::filesystem::path& path, const Bytes& bytes) {
  bool ten = bytes.size() % kCifar10.record() == 0, hundred = bytes.size() % kCifar100.record() == 0;
  if (!ten && !hundred)
    bad_dataset(
        path,
        fmt::format("CIFAR binary: {} bytes are no multiple of {} (CIFAR-10) or {} (CIFAR-100); the file is "
                    "truncated or of another format",
                    bytes.size(), kCifar10.record(), kCifar100.record()));
  if (ten && hundred) hundred = first_bad_label(kCifar10, bytes) < bytes.size() / kCifar10.record();
  const CifarKind& kind = hundred ? kCifar100 : kCifar10;
  if (std::size_t bad = first_bad_label(kind, bytes); bad < bytes.size() / kind.record())
    bad_dataset(path, fmt::format("CIFAR binary: record {} begins with {}, which is no label of {}", bad,
                                  byte_at(bytes, bad * kind.record()), kind.name));
  return kind;
}

// IDX: two zero bytes, type, rank, big-endian dimensions, data.
struct IdxHeader {
  int type = 0;
  graph::Shape dims;
  std::size_t data_at = 0;
};

IdxHeader parse_idx(const std::filesystem::path& path, const Bytes& bytes) {
  if (!looks_like_idx(bytes)) bad_dataset(path, "IDX: no IDX header");
  IdxHeader header;
  header.type = byte_at(bytes, 2);
  auto rank = static_cast<std::size_t>(byte_at(bytes, 3));
  header.data_at = 4 + 4 * rank;
  if (header.type != 8)
    bad_dataset(path, fmt::format("IDX: element type 0x{:02x}; only unsigned bytes are read", header.type));
  if (bytes.size() < header.data_at) bad_dataset(path, "IDX: the file ends inside its header");
  std::int64_t total = 1;
  for (std::size_t d = 0; d < rank; ++d) {
    std::int64_t dim = 0;
    for (std::size_t b = 0; b < 4; ++b) dim = dim << 8 | byte_at(bytes, 4 + 4 * d + b);
    header.dims.push_back(dim);
    if (__builtin_mul_overflow(total, dim, &total)) total = -1;
    if (total < 0) bad_dataset(path, "IDX: impossible dimensions");
  }
  if (static_cast<std::size_t>(total) != bytes.size() - header.data_at)
    bad_dataset(path, fmt::format("IDX: {} needs {} bytes of data, the file holds {}",
                                  graph::to_string(header.dims), total, bytes.size() - header.data_at));
  return header;
}

std::string replaced(std::string name, const std::string& from, const std::string& to) {
  if (std::size_t at = name.rfind(from); at != std::string::npos) name.replace(at, from.size(), to);
  return name;
}

// The label file beside an image file; empty if there is none.
std::filesystem::path label_file(const std::filesystem::path& images) {
  std::string name = images.filename().string(), found = replaced(name, "images", "labels");
  for (char dash : {'-', '.'})
    for (char rank : {'3', '4'})
      found = replaced(found, fmt::format("{}idx{}", dash, rank), fmt::format("{}idx1", dash));
  auto path = images.parent_path() / found;
  return found != name && std::filesystem::exists(path) ? path : std::filesystem::path();
}

std::vector<std::int64_t> read_idx_labels(const std::filesystem::path& path, std::int64_t count) {
  Bytes bytes = map_file(path);
  IdxHeader header = parse_idx(path, bytes);
  if (header.dims.size() != 1)
    bad_dataset(path, fmt::format("IDX: labels of shape {}", graph::to_string(header.dims)));
  if (header.dims[0] != count)
    bad_dataset(path, fmt::format("IDX: {} labels for {} images", header.dims[0], count));
  std::vector<std::int64_t> labels;
  for (std::size_t at = header.data_at; at < bytes.size(); ++at) labels.push_back(byte_at(bytes, at));
  return labels;
}

}  // namespace

SourcePointer read_cifar(const std::filesystem::path& path, const Bytes& bytes) {
  const CifarKind& kind = cifar_kind(path, bytes);
  auto source = std::make_shared<Dataset::Source>();
  source->path = path;
  source->count = static_cast<std::int64_t>(bytes.size() / kind.record());
  source->shape = {3, 32, 32};
  source->scale = 255;
  for (std::int64_t i = 0; i < source->count; ++i)  // the last label byte is the fine one
    source->labels.push_back(
        byte_at(bytes, static_cast<std::size_t>(i) * kind.record() + kind.label_bytes - 1));
  source->decode = [bytes, &kind](std::int64_t index, float* out) {
    widen(bytes.data() + static_cast<std::size_t>(index) * kind.record() + kind.label_bytes, kPixels, out);
  };
  return source;
}

bool looks_like_idx(const Bytes& bytes) {
  if (bytes.size() < 8 || byte_at(bytes, 0) != 0 || byte_at(bytes, 1) != 0) return false;
  int type = byte_at(bytes, 2), rank = byte_at(bytes, 3);
  return type >= 8 && type <= 14 && type != 10 && rank >= 1 && rank <= 8;
}

SourcePointer read_idx(const std::filesystem::path& path, const Bytes& bytes) {
  IdxHeader header = parse_idx(path, bytes);
  if (header.dims.size() < 2)
    bad_dataset(path, "IDX: one dimension only: this is a file of labels; name the file of images");
  auto source = std::make_shared<Dataset::Source>();
  source->path = path;
  source->count = header.dims[0];
  source->shape.assign(header.dims.begin() + 1, header.dims.end());
  if (source->shape.size() == 2) source->shape.insert(source->shape.begin(), 1);
  source->scale = 255;
  if (auto labels = label_file(path); !labels.empty())
    source->labels = read_idx_labels(labels, source->count);
  auto size = static_cast<std::size_t>(graph::element_count(source->shape));
  source->decode = [bytes, size, at = header.data_at](std::int64_t index, float* out) {
    widen(bytes.data() + at + static_cast<std::size_t>(index) * size, size, out);
  };
  return source;
}

}  // namespace tailor::data
