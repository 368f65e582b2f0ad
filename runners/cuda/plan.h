/// \file Which kernel a library would choose, without running it, and for cuDNN without a device: its heuristics take a
/// description in the place of one.
#pragma once

#include "runners/cuda/driver.h"
#include "runners/cuda/facts.h"
#include "runners/cuda/layer.h"

namespace tailor::cuda {

/// {"layer", "library", "choices": [{"engine", "knobs": {...}, "tensor_cores", "mode"}]} for a convolution on the device
/// that `facts` describe, best first, at most `most`; no driver is needed.
/// @throws Error runtime_missing (libcudnn), runtime_refused (no convolution, or no engine), CallFailed
Json plan_described(Libraries& libraries, const Facts& facts, const Layer& layer, std::size_t most);

}  // namespace tailor::cuda
