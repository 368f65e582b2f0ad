/// \file space.toml: what `search` searches, for which goal, and how everything is trained. docs/search.md describes it.
#pragma once

#include "tailor/learn/recipe.h"
#include "tailor/pipeline/search_space.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tailor::trainer {

/// The three searches that are compared. tail_free: only widths at right edges of steps, by measured latency. all_widths:
/// every width of the space, by measured latency. macs: every width, by multiply-accumulates.
enum class Strategy { tail_free, all_widths, macs };
/// "tail-free", "all-widths", "macs"
const char* name(Strategy strategy);

/// Exactly one: a latency, as such or as a share of the whole network's; or a share of its multiply-accumulates, of which
/// the searches by latency then take what that network measures.
struct SearchGoal {
  std::optional<double> latency_us, ratio, macs;
  std::string text;  // as written
};

struct SearchFile {
  std::filesystem::path model;
  bool anew = false;  // weights drawn, instead of the file's
  std::uint64_t seed = 0;
  pipeline::SpaceRules space;
  SearchGoal goal;
  int threads = 1;  // of the runtime that latency is measured in
  std::vector<Strategy> strategies;
  std::int64_t held_out = 1000, statistics = 512;  // samples
  int points = 4, rounds = 2;
  learn::Recipe supernet, finalists;
  int random = 2;          // members drawn at each step, beside the largest and the smallest
  double temperature = 1;  // of what smaller members learn from
  bool inherit = true;     // finalists begin with the supernet's weights
};

/// Relative paths in it begin at its folder. @throws Error file_missing; bad_toml with the line
SearchFile read_search_file(const std::filesystem::path& path);
SearchFile parse_search_file(const std::string& toml, const std::filesystem::path& path);

}  // namespace tailor::trainer
