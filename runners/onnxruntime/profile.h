/// \file The nodes of a whole network timed in place by the runtime's own profiler.
#pragma once

#include "runners/onnxruntime/session.h"
#include "runners/onnxruntime/timing.h"
#include "tailor/base/json.h"

#include <filesystem>

namespace tailor::ort {

/// Two sessions of one model, one profiled and one not, take turns for `how.rounds` rounds.
/// @param overhead subtracted from every node's time, see profiler_overhead()
/// @return members of the answer, see docs/runner-protocol.md
Json profile_in_place(ModelCache& cache, double overhead, const std::filesystem::path& path,
                      const Json& shapes, const Measurement& how, const Progress& progress);

}  // namespace tailor::ort
