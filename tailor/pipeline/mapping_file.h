/// \file A mapping as the document of `map` holds it: to train weights for it, and to carry it out once more.
#pragma once

#include "tailor/device/platform.h"
#include "tailor/saliency/quantise.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct MappingFile {
  std::filesystem::path path;
  std::string platform;
  int activation_bits = 0;                         // as device::Platform
  std::vector<saliency::Keeping> ways;             // to compute; of layers of one group (keepings_of_layer)
  std::map<std::string, std::vector<int>> layers;  // by name: option of each output channel
};

/// The chosen mapping of a document of schema "tailor/map/1".
/// @throws Error file_missing; bad_json, also where no mapping was chosen, or by a version that does not say how weights are kept
MappingFile read_mapping(const std::filesystem::path& path);

/// How each of latency::unit_choices(platform) keeps weights.
std::vector<saliency::Keeping> keepings(const device::Platform& platform);

/// The same for a layer of `g` groups: a depthwise one is what a unit that computes depthwise makes of others.
std::vector<saliency::Keeping> keepings_of_layer(std::vector<saliency::Keeping> ways, std::int64_t g);

}  // namespace tailor::pipeline
