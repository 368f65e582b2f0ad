/// \file Samples for repair and for measuring loss.
#pragma once

#include "tailor/data/dataset.h"
#include "tailor/pipeline/candidates.h"
#include "tailor/pipeline/surgery.h"

#include <cstdint>
#include <filesystem>

namespace tailor::pipeline {

struct CalibrationOptions {
  std::filesystem::path path;  // unlabelled is enough; labels are not looked at
  data::Preparation preparation = {};
  std::int64_t fit = 1024, judge = 512;  // samples wanted; fewer if the set or the memory is smaller
  std::int64_t finish = 4096;            // for the last repair
  bool augment = true;  // images to judge on: shifted by up to an eighth, mirrored and blended at random
  std::uint64_t seed = 0;
  std::size_t memory = std::size_t{3} << 30;  // bytes of activations kept at a time
};

/// Disjoint parts of the set to fit and to judge on, drawn with the seed: two thirds at most for the fit. The
/// original's own outputs are what is aimed at, so loss can be judged on augmented samples: they show more of
/// the function than samples that the network has memorised. Repair is fitted to samples as they are, which
/// measured better.
/// @throws Error as data::read_dataset; dataset_mismatch for a model with several inputs or fewer than 8
/// samples
Calibration load_calibration(const Subject& subject, const CalibrationOptions& options);

}  // namespace tailor::pipeline
