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
  bool augment = true;                   // images: shifted by up to an eighth and mirrored at random
  std::uint64_t seed = 0;
  std::size_t memory = std::size_t{3} << 30;  // bytes of activations kept at a time
};

/// Two disjoint parts of the set, drawn with the seed: two thirds at most for the fit. The original's own
/// outputs on the samples are what is aimed at, so augmented samples serve as well as real ones, and show
/// more of the function than samples that the network has memorised.
/// @throws Error as data::read_dataset; dataset_mismatch for a model with several inputs or fewer than 8
/// samples
Calibration load_calibration(const Subject& subject, const CalibrationOptions& options);

}  // namespace tailor::pipeline
