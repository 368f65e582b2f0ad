/// \file Between the tensors of a run and those of a checkpoint. Private to the module.
#pragma once

#include "tailor/learn/aten.h"
#include "tailor/learn/checkpoint.h"

#include <filesystem>

namespace tailor::learn {

/// Tensors of a run by name; copies share their memory with the run.
using Saved = std::vector<std::pair<std::string, at::Tensor>>;

std::vector<std::pair<std::string, graph::Tensor>> stored_tensors(const Saved& saved);
/// The checkpoint's content in the place of the run's. @throws Error bad_checkpoint if names, types or sizes differ
void restore_tensors(const Checkpoint& checkpoint, const Saved& saved, const std::filesystem::path& path);

}  // namespace tailor::learn
