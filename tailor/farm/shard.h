/// \file A part of the work that follows from its number alone, so that jobs which cannot talk to each other share it.
#pragma once

#include "tailor/tune/alone.h"

#include <optional>
#include <string>
#include <vector>

namespace tailor::farm {

/// The `index`-th of `count` shards, from 1.
struct Shard {
  int index = 1, count = 1;
};
/// "3/16" @throws Error bad_value
Shard parse_shard(const std::string& text);

/// A task and which of its configurations: those of one part of several.
struct Portion {
  tune::TuneTask task;
  int part = 0, parts = 1;  // 0 <= part < parts
};

/// Whole tasks dealt out in turn while there are as many of them as shards. With more shards than tasks several shards
/// have the same task, each a part of its configurations. The portions of all shards are disjoint and are everything.
std::vector<Portion> portions_of(const std::vector<tune::TuneTask>& tasks, const Shard& shard);

/// The configurations of a part: those whose text's hash (FNV-1a, mixed) leaves `part` when divided by `parts`. So it
/// does not matter which machine asks. Nothing if the part has none. O(configurations)
/// @pre 0 <= part < parts; at most 2^24 configurations unless parts == 1
std::optional<tune::Space> part_of(tune::Space space, int part, int parts);

}  // namespace tailor::farm
