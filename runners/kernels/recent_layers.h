/// \file Layers that a runner was asked for lately, with their operands and results.
#pragma once

#include "runners/kernels/layer.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tailor::kernels {

/// The last layers are kept, since operators of a network take turns and their loops take long: at most 64, and at most
/// 256 MiB beside the one asked for last.
class RecentLayers {
 public:
  /// @param most_macs as make_layer has it
  explicit RecentLayers(std::int64_t most_macs = 0) : most_macs_(most_macs) {}
  /// @param workload as text. The layer stays until others were asked for. @throws Error as parse_workload, make_layer
  const Layer& of(const std::string& workload);

 private:
  std::int64_t most_macs_;
  std::vector<std::unique_ptr<Layer>> layers_;  // the one asked for last comes first
};

}  // namespace tailor::kernels
