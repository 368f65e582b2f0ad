/// \file Labelled or unlabelled samples from the formats that users have.
///
/// PATH is: a CIFAR-10/100 binary file (records of label u8 + 3x32x32 u8), an IDX image file (its label file
/// is found beside it: train-images-idx3-ubyte -> train-labels-idx1-ubyte), an .npz (arrays
/// `x`/`images`/`data` or the only floating or u8 array of rank >= 2; labels `y`/`labels`), an .npy, or a
/// folder of JPEG/PNG images, optionally with labels.tsv (file, class ...). Samples stay as they are stored;
/// batch() prepares them.
#pragma once

#include "tailor/graph/model.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace tailor::data {

/// What happens to images of another size than the model takes: refused, stretched, or scaled and cropped.
enum class Resize { none, stretch, crop };

/// x = (pixel / scale - mean[c]) / std[c]. One entry serves all channels; empty mean/std mean 0 and 1.
/// Floating arrays (npy, npz) are taken as they are unless `scale` is set.
struct Preparation {
  std::optional<double> scale = {};  // unset: 255 for 8-bit data, 1 for floating arrays
  std::vector<double> mean = {}, std = {};
  Resize resize = Resize::none;  // folders of images only
  bool bgr = false;              // three channels in reverse order
};

class Dataset {
 public:
  struct Source;  // stored samples; private to the readers
  explicit Dataset(std::shared_ptr<const Source> source);

  std::int64_t size() const;
  const graph::Shape& sample_shape() const;  // CxHxW for images; without the batch
  bool labelled() const;
  const std::vector<std::int64_t>& labels() const;  // empty if unlabelled
  /// Samples [first, first + count) as one f32 tensor count x sample_shape. @pre the range is inside
  /// @throws Error bad_dataset if an image turns out to be damaged (images are decoded here)
  graph::Tensor batch(std::int64_t first, std::int64_t count) const;
  /// The samples at `indices`, in that order, as a Dataset that shares the storage.
  Dataset subset(const std::vector<std::int64_t>& indices) const;
  const std::filesystem::path& path() const;

 private:
  std::shared_ptr<const Source> source_;
  std::vector<std::int64_t> indices_;
  std::vector<std::int64_t> labels_;
};

/// @param expected shape of one sample as the model takes it (CxHxW, unknown dimensions free); images of
/// another channel count are refused, images of another size too unless preparation.resize says what to do.
/// Empty: anything.
/// @throws Error file_missing, bad_dataset (names the format tried and the defect), dataset_mismatch (names
/// both shapes)
Dataset read_dataset(const std::filesystem::path& path, const Preparation& preparation = {},
                     const graph::Shape& expected = {});

}  // namespace tailor::data
