/// \file The figures of a device that is there.
#pragma once

#include "runners/cuda/driver.h"
#include "tailor/device/facts.h"

#include <string>

namespace tailor::cuda {

using device::Facts;

/// @throws Error runtime_missing, CallFailed
Facts read_facts(Libraries& libraries, DeviceNumber device);

/// The text by which cuDNN's heuristics know a device that is not there.
std::string dnn_device_text(const Facts& facts);

}  // namespace tailor::cuda
