/// \file What the readers hand to Dataset. Private to the module.
#pragma once

#include "tailor/base/bytes.h"
#include "tailor/data/dataset.h"

#include <functional>
#include <string>

namespace tailor::data {

/// Stored samples and how to get at one of them.
struct Dataset::Source {
  std::filesystem::path path;
  std::int64_t count = 0;
  graph::Shape shape;                // of a sample
  std::vector<std::int64_t> labels;  // `count` of them, or none
  double scale = 1;                  // that Preparation leaves open: 255 for 8-bit data
  bool slow = false;                 // decoding is worth a second thread
  /// Writes the stored values of sample `index` as floats, element_count(shape) of them. Thread-safe.
  /// @throws Error bad_dataset for data that are decoded late
  std::function<void(std::int64_t index, float* out)> decode;
};
using SourcePointer = std::shared_ptr<Dataset::Source>;

/// @throws Error bad_dataset: "FORMAT: defect"
[[noreturn]] void bad_dataset(const std::filesystem::path& path, const std::string& what);

/// 8-bit values to floats.
void widen(const std::byte* from, std::size_t count, float* to);

// One per format. Each throws bad_dataset; the first two are tried by content, the rest are chosen by name or
// magic.
bool looks_like_idx(const Bytes& bytes);
SourcePointer read_idx(const std::filesystem::path& path, const Bytes& bytes);
SourcePointer read_cifar(const std::filesystem::path& path, const Bytes& bytes);
SourcePointer read_npy_dataset(const std::filesystem::path& path, const Bytes& bytes);
SourcePointer read_npz_dataset(const std::filesystem::path& path, const Bytes& bytes);
/// @param to the shape that images are resized to as `how` says
SourcePointer read_image_folder(const std::filesystem::path& path, Resize how, const graph::Shape& to);

}  // namespace tailor::data
