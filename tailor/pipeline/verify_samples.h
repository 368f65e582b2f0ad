/// \file Two models on the same samples. Private to verify.
#pragma once

#include "tailor/pipeline/verify.h"

namespace tailor::pipeline {

/// A model file with its inputs as the runtime is to be fed.
struct Contender {
  std::filesystem::path path;
  std::vector<graph::ValueInfo> inputs;
  std::vector<graph::Shape> shapes;  // of the inputs, no free dimension
  std::vector<std::string> outputs;
};
/// @throws Error as timing_job
Contender read_contender(const std::filesystem::path& path, const graph::ShapeOverrides& overrides);
/// @throws Error bad_shape unless inputs and outputs of both are the same
void check_same_interface(const Contender& a, const Contender& b);

/// On a data set. @throws Error dataset_mismatch if the model has several inputs, file_missing, bad_dataset
Agreement on_dataset(runtime::Runner& runner, const Contender& a, const Contender& b,
                     const std::filesystem::path& path, const VerifyOptions& options);
/// On random inputs: normal for floats, 0 or 1 for integers.
Agreement on_random(runtime::Runner& runner, const Contender& a, const Contender& b,
                    const VerifyOptions& options);

}  // namespace tailor::pipeline
