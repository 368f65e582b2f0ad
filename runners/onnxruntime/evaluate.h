/// \file A model on stored tensors: chunks along the leading axis in, joined outputs out.
#pragma once

#include "runners/onnxruntime/session.h"
#include "runners/onnxruntime/timing.h"
#include "tailor/base/json.h"

namespace tailor::ort {

/// Request members model, inputs {name: file.npy}, outputs [names], folder, chunk, threads.
/// @return member outputs: [{name, file}], files written to `folder`
/// @throws Error usage, unknown_name, dataset_mismatch, runtime_refused ...
Json evaluate(ModelCache& cache, const Json& request, const Progress& progress);

}  // namespace tailor::ort
