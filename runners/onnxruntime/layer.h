/// \file A workload as a model of one layer.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/latency/workload.h"

#include <string>

namespace tailor::ort {

/// Nodes whose names begin so only prepare an operand: they are no part of the layer's time.
inline const std::string kSourcePrefix = "source_";

/// The layer with random weights, and behind it what `post` names: bias, bn, add (of a second input), relu,
/// clip, leakyrelu, sigmoid, tanh, hardsigmoid, hardswish. @throws Error runtime_refused: another word, or a
/// type but f32
graph::Model layer_model(const latency::Workload& workload, std::uint64_t seed);

}  // namespace tailor::ort
