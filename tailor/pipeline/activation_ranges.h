/// \file Least and largest values of a model's activations on samples: what eight bits have to hold.
#pragma once

#include "tailor/pipeline/map_model.h"
#include "tailor/rewrite/quantise_network.h"

#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Over the first options.calib_limit samples that load_calibration draws; 0 lies in every range.
/// @throws Error as load_calibration; dataset_mismatch: a value is not finite on them
std::map<std::string, rewrite::Range> activation_ranges(const Subject& subject,
                                                        const std::vector<std::string>& values,
                                                        const MapOptions& options);

}  // namespace tailor::pipeline
