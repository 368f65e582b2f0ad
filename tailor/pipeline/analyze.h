/// \file Where a network's time goes, which of its widths do not fit the device, and what that costs.
#pragma once

#include "tailor/base/json.h"
#include "tailor/latency/oracle.h"
#include "tailor/latency/staircase.h"
#include "tailor/pipeline/base_comparison.h"
#include "tailor/pipeline/in_place.h"
#include "tailor/pipeline/width_problem.h"
#include "tailor/runtime/profile.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct AnalyzeOptions {
  int threads = 1;
  int rounds = 9;        // of the sweeps over widths
  double profile_s = 6;  // of the profile in place
  std::uint64_t seed = 0;
  runtime::Journal journal = runtime::Journal::go_on;
  std::string layer = {};              // name, or a part that only one layer has: its staircase is measured
  std::filesystem::path base = {};     // a network that this one was made of, base_comparison.h; empty: none
  std::filesystem::path profile = {};  // file of measured layers; empty: profile.jsonl in the cache folder
  runtime::RunnerOptions runner = {};
  std::function<void(const std::string& phase, double done)> progress = {};  // 0..1
};

/// What keeps a layer from being faster, in the order in which it is decided:
/// fallback: its input width leaves the runtime's fast path: the next multiple of 4 is faster, or the one
/// below saves three times the work that it gives up.
/// launch: below 5 us; starting it costs as much as its work.
/// pad: its output width lies inside a step or just past an edge; a wider one costs the same.
/// memory: it moves bytes about as fast as the device streams them, and computes little on them.
enum class LayerVerdict { fallback, launch, pad, memory, ok };
const char* name(LayerVerdict verdict);

/// A change of one group's width, all layers that share it priced.
struct WidthStep {
  int width = 0;
  double saved_us = 0;     // negative: it costs
  double saved_share = 0;  // of the group's layers
};

/// Latency of all layers on a group over its width, everything else as it is. Measured alone, each layer
/// scaled to its time in place.
struct GroupSweep {
  int group = 0;
  std::string name;
  int width = 0;
  std::vector<int> widths;         // increasing, the present one among them
  std::vector<double> us, lo, hi;  // lo, hi: quartiles, or empty
  std::vector<int> layers;         // of Analysis::layers
  std::optional<WidthStep> down;   // the widest narrower width that surely saves 2 %
  std::optional<WidthStep> up;     // the widest wider width that costs at most 1 %
  /// If the present width lies just past an edge: the narrower one that saves most beyond its share of
  /// channels, at least 4 % and twice that share.
  std::optional<WidthStep> edge;
  /// If wider is faster (by at least 2 %, surely) and zeros can be added: the fastest of the wider widths. The present one
  /// costs time for nothing.
  std::optional<WidthStep> wider;

  double us_at(int at) const;  // 0 if not measured
  /// What the group should have instead: `edge` or `wider`, whichever saves more; nullopt: it fits.
  const std::optional<WidthStep>& fitting() const;
};

struct AnalyzedLayer {
  std::string name, op;
  latency::Workload workload;
  std::string in_group, out_group;  // name of the (first) changeable group, or empty
  bool in_place = false;            // us was measured in place; else alone
  double us = 0;
  double alone_us = 0;            // caches evicted; 0: not measured
  double share = 0;               // of the network
  double gflops = 0, gbytes = 0;  // per second; a multiply-accumulate is two operations
  LayerVerdict verdict = LayerVerdict::ok;
  std::string why;
  std::optional<WidthStep> down, up;  // of the output's group
  double recoverable_us = 0;          // if all groups that do not fit get the width that does
};

struct Analysis {
  std::string runtime, version, isa, processor;
  int threads = 1;
  std::filesystem::path model;
  std::string sha256;
  InPlace in_place;
  std::vector<AnalyzedLayer> layers;  // in the model's order
  std::vector<GroupSweep> groups;
  double streaming_gbytes = 0;  // per second, read and written; 0: unknown
  int measured = 0, known = 0;  // workloads measured now, and found in the cache
  int shortcuts = 0;            // padded ones, which could be convolutions (rewrite/shortcut.h)
  double shortcuts_ratio = 1;   // latency with all of them as convolutions over the network's
  double free_us = 0;           // of what is recoverable: by wider widths alone, so that no channel is lost
  std::string picture_layer;    // of `picture`
  std::optional<latency::Staircase> picture;
  std::optional<BaseComparison> base;

  /// What the widths that do not fit cost together; a group's width is shared by all its layers, and all groups change at
  /// once.
  double recoverable_us() const;
  int misfits() const;  // groups whose width does not fit
};

/// Measures and judges.
/// @throws Error as read_subject, runtime::Runner; unknown_name for AnalyzeOptions::layer; shape_unknown
Analysis analyze(const Subject& subject, const AnalyzeOptions& options);

/// The parts, for tests. Widths worth asking for around `width`: multiples of 4, 8 and 16 beside it, a coarse
/// grid from half to one and a half of it.
std::vector<int> widths_around(int width);
/// Steps of a sweep whose widths and us are set. Savings that the quartiles do not separate are none.
void find_steps(GroupSweep& sweep);
/// Everything that sweeps and layers alone will ask for: asked in one call it is measured interleaved.
std::vector<latency::Workload> sweep_workloads(const Subject& subject);
/// One sweep per changeable group with layers. @param scale in place over alone, one per layer
std::vector<GroupSweep> sweep_groups(const Subject& subject, latency::LatencyOracle& oracle,
                                     const std::vector<double>& scale);
/// The same for each layer by itself, over the group of its output; without widths where there is none.
std::vector<GroupSweep> own_sweeps(const Subject& subject, latency::LatencyOracle& oracle,
                                   const std::vector<double>& scale, const std::vector<GroupSweep>& sweeps);
/// Widths of the groups that do not fit: those of `fitting`, or only the wider ones.
std::map<int, int> fitting_widths(const std::vector<GroupSweep>& sweeps, bool only_wider = false);
/// What each layer saves if the groups get these widths at once.
std::vector<double> joint_savings(const Subject& subject, latency::LatencyOracle& oracle,
                                  const std::vector<double>& scale, const std::map<int, int>& widths);
/// The workload with another number of output channels (of a depthwise layer: of all its channels).
latency::Workload with_outputs(const latency::Workload& workload, std::int64_t channels);
/// Can it be timed alone? Float and, if grouped, depthwise or divisible.
bool timeable(const latency::Workload& workload);

/// The workload with its input (and, if `outputs`, its output) at the multiple of 4 above or below; of a
/// depthwise layer all channels.
latency::Workload at_multiple_of_4(const latency::Workload& workload, bool above, bool outputs);

/// What a verdict is made of. Times in us; 0: unknown.
struct LayerEvidence {
  latency::Workload workload;
  double us = 0;  // in place
  double alone_us = 0;
  // Alone; 0 if the input is a multiple of 4: with the input rounded up to one, and with input and output
  // rounded down to one.
  double aligned_us = 0, below_us = 0;
  const GroupSweep* sweep = nullptr;  // of this layer, over its output's group
  double streaming_gbytes = 0;
  double best_gflops = 0;  // of any layer of the network
};
struct Judgement {
  LayerVerdict verdict = LayerVerdict::ok;
  std::string why;
};
Judgement judge_layer(const LayerEvidence& evidence);

/// The layer of that name, or the only one whose name contains it. @throws Error unknown_name with near names
int find_layer(const std::vector<std::string>& names, const std::string& wanted);

/// {"width", "saved_us", "saved_share"}, or null.
Json to_json(const std::optional<WidthStep>& step);
Json to_json(const GroupSweep& sweep);
/// Schema "tailor/analysis/1". from: all but the base; @throws Error bad_json
Json to_json(const Analysis& analysis);
Analysis analysis_from_json(const Json& json, const std::string& place);

}  // namespace tailor::pipeline
