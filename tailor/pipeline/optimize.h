/// \file The straight line: a model and a goal -> a faster model, its plan, and the proof.
#pragma once

#include "tailor/pipeline/calibration.h"
#include "tailor/pipeline/described.h"
#include "tailor/pipeline/free_channels.h"
#include "tailor/pipeline/gpu_target.h"
#include "tailor/pipeline/rounds.h"
#include "tailor/pipeline/rules.h"
#include "tailor/pipeline/tail_free.h"
#include "tailor/pipeline/verify.h"
#include "tailor/pipeline/width_plan.h"
#include "tailor/runtime/profile.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace tailor::pipeline {

/// Exactly one of latency, ratio, fastest, macs; none where there is a plan, or widths to start from.
struct Goal {
  std::optional<double> latency_us;  // at most this long
  std::optional<double> ratio;       // at most this share of the original's latency
  bool fastest = false;              // as fast as max_drop allows
  std::optional<double> macs;  // at most this share of the original's multiply-accumulates, whatever the time
  std::optional<double>
      max_drop;  // points of top-1 (labelled) or of agreement with the original (unlabelled)
};

struct OptimizeOptions {
  std::filesystem::path model, out;
  std::filesystem::path plan_out;             // empty: OUT with .plan.json for its extension
  std::optional<std::filesystem::path> plan;  // a plan to carry out instead of searching
  std::optional<std::filesystem::path> from;  // a plan whose decisions stand: the search goes on from there
  std::optional<std::filesystem::path>
      widths_from;  // widths to make tail-free, tail_free.h; a goal of its own
  Goal goal;
  Rule rule;  // how widths are chosen; without a plan, and not for Goal::fastest
  CalibrationOptions calibration;
  std::filesystem::path eval;  // labelled samples; empty: agreement on calibration samples
  std::int64_t label_offset = 0;
  graph::ShapeOverrides overrides;
  /// Empty: this processor, measured. Else latency is modelled on these, and what is written is compared with the
  /// original by its outputs only.
  std::vector<DescribedDevice> devices = {};
  /// If set (and no `devices`), layers and networks are timed on this GPU, the proof too. Kernels keep their taps: cuDNN is
  /// not known to take unlike paddings of a side. Samples are run by the runner of `bench`.
  std::optional<GpuTarget> gpu = {};
  RoundOptions rounds;
  BenchOptions bench;             // threads, runner, time of the final comparison
  std::filesystem::path profile;  // journal of measured layers; empty: in the cache folder
  runtime::Journal journal = runtime::Journal::go_on;
  bool best_effort = false;  // write the nearest model if the goal is not met
  bool dry_run = false;      // nothing is written
  bool free = false;         // channels that would cost nothing in the result are wanted; not for Goal::macs
  std::function<void(const std::string&)> say = {};
};

/// What widths that were given reach by themselves.
struct GivenShare {
  double ratio = 1;                  // latency over the original's
  double loss = 0;                   // divergence, repaired
  int moved_down = 0, moved_up = 0;  // groups whose width was moved
};

struct OptimizeResult {
  WidthPlan plan;
  Verification proof;  // the written file against the original
  std::vector<RoundReport> rounds;
  std::filesystem::path journal;
  std::size_t known = 0, measured = 0;  // layer timings found in the journal, and measured now
  std::string timed_on = {};            // what latency was measured on, or modelled of, as it calls itself
  Recover recover = Recover::lsq;
  std::vector<FittedTogether> together = {};  // layers, in the repair of what was written
  std::optional<double> left_out = {};        // as Searched
  std::optional<GivenShare> given;            // of widths that were given
  std::vector<DeviceLatency> devices;         // modelled; empty where latency was measured
  std::optional<FreeChannels> free;           // of the result
  int normalisations = 0;                     // nodes whose statistics `bn` estimated again
  bool goal_met = false;
  std::string why_not;            // in words, if not
  std::filesystem::path written;  // empty: nothing was written
  std::filesystem::path plan_written;
};

/// Reads, measures, searches, repairs, writes, reads back, verifies. The output file appears only when all
/// that is done, and never if it measures slower than the input.
/// @throws Error as read_subject, load_calibration, Runner, GpuClock; nothing_to_change; would_be_slower
OptimizeResult optimize(const OptimizeOptions& options);

/// By which factor a model must become faster still if the proof, which measured `ratio` and `us`, misses the latency
/// narrowly (by less than 5 %). nullopt: the goal is met, has no latency, or is far off. O(1)
std::optional<double> further(const Goal& goal, double ratio, double us);

/// Schema "tailor/optimize/1".
Json to_json(const OptimizeResult& result);
/// @throws Error bad_json
OptimizeResult optimize_result_from_json(const Json& json, const std::string& place);

}  // namespace tailor::pipeline
