/// \file A run in the middle, on disk: what it takes to end with the same weights, bit by bit.
///
/// The file: the line "tailor checkpoint 1", the length of a JSON header as 8 bytes (little-endian), the header (run,
/// position, name, type and dimensions of every tensor, SHA-256 of what follows), and the tensors' bytes one after another.
/// Random numbers need no place in it: all are functions of the seed and the position.
#pragma once

#include "tailor/graph/model.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace tailor::learn {

struct Checkpoint {
  std::string run;        // fingerprint of everything that the result depends on
  std::int64_t step = 0;  // steps done
  std::string notes;      // JSON of the trainer: sums of the epoch, the curve so far
  std::vector<std::pair<std::string, graph::Tensor>> tensors;
};

/// Whole or not at all. @throws Error write_failed
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

/// @throws Error nothing_to_resume if there is none, bad_checkpoint for any other bytes than write_checkpoint wrote
Checkpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace tailor::learn
