/// \file Growing: as many channels as the time holds, in a model that computes the same and can then be trained.
///
/// Where a layer does not reach the right edge of its step, the device idles; widths up to the edges spend that on
/// capacity (the growing of arXiv:2011.03897 and of the paper that follows it, IEEE TCAD 2025). Which edges fit together
/// within the budget is a question for the exact planner.
#pragma once

#include "tailor/pipeline/bench.h"
#include "tailor/pipeline/surgery.h"
#include "tailor/runtime/profile.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct GrowOptions {
  std::filesystem::path model, out;
  double ratio = 1;  // latency of the result over the model's, at most
  double most = 2;   // no group grows to more than so many times its width
  int widths = 6;    // candidates per group, the present width among them
  std::uint64_t seed = 0;
  graph::ShapeOverrides overrides;
  BenchOptions bench;             // threads, runner, time of the final comparison
  std::filesystem::path profile;  // journal of measured layers; empty: in the cache folder
  runtime::Journal journal = runtime::Journal::go_on;
  std::function<void(const std::string&)> say = {};
};

struct GrownGroup {
  std::string name;  // of the channel group
  int from = 0, to = 0;
};

struct GrowResult {
  std::vector<GrownGroup> groups;  // those that grew
  double macs_before = 0, macs_after = 0;
  std::int64_t weights_before = 0,
               weights_after = 0;      // of changeable axes and all others: every float constant
  double predicted = 1, measured = 1;  // latency over the model's, when it was chosen
  bool optimal = false;                // no choice of candidates within the budget has more
  double max_difference = 0;           // of outputs, on random inputs
  BenchResult speed;                   // the model, then what was written
  bool goal_met = false;
  std::filesystem::path written;  // empty if the goal was not met
};

/// Chooses, widens with drawn weights that nobody reads yet (rewrite::widen), compares outputs, times both.
/// What is maximised: sum over groups of (layers that touch it) x ln(new width / old width).
/// @throws Error nothing_to_change if no group can be widened or no wider width is worth its time; those of reading,
/// measuring and writing
GrowResult grow(const GrowOptions& options);

/// Schema "tailor/grow/1".
Json to_json(const GrowResult& result, const GrowOptions& options);

}  // namespace tailor::pipeline
