/// \file What scripts/gpu-check measured on a GPU, read again.
#pragma once

#include "tailor/device/facts.h"
#include "tailor/latency/gpu_fit.h"

#include <filesystem>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct GpuResults {
  device::Facts facts;                              // device.json
  std::string version;                              // of the runner's libraries: run.json
  std::vector<latency::TimedStaircase> staircases;  // staircases.jsonl, one per line
};

/// Of a folder of bench/results. @throws Error file_missing; bad_json with the file's line: a member missing or of another
/// type, lists of different lengths, a layer that is none, widths that do not ascend, times that are not positive
GpuResults read_gpu_results(const std::filesystem::path& folder);

}  // namespace tailor::pipeline
