/// \file The nodes of a whole network timed in place by the runtime's own profiler.
#pragma once

#include "runners/onnxruntime/session.h"
#include "runners/onnxruntime/timing.h"
#include "tailor/base/json.h"

#include <filesystem>

namespace tailor::ort {

/// Two sessions of one model, one profiled and one not, take turns for `how.rounds` rounds.
/// @param inside_share of what profiling adds, see ProfilerCost; passed on in the answer
/// @return members of the answer, see docs/runner-protocol.md
Json profile_in_place(ModelCache& cache, double inside_share, const std::filesystem::path& path,
                      const Json& shapes, const Measurement& how, const Progress& progress);

}  // namespace tailor::ort
