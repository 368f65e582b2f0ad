/// \file The search for a surgery that meets a latency goal: rounds of repair, table, plan, measurement.
///
/// Losses of many cuts do not add up, and a least-squares repair changes what the next cut costs. So the goal
/// is approached in rounds: each repairs the network as it is, measures the candidates anew, lets the exact
/// planner choose within an intermediate budget, and measures what the choice really takes before it is
/// accepted.
#pragma once

#include "tailor/base/units.h"
#include "tailor/pipeline/present.h"
#include "tailor/pipeline/regret.h"
#include "tailor/pipeline/worthwhile.h"
#include "tailor/plan/width_planner.h"
#include "tailor/rewrite/repair_jointly.h"
#include "tailor/runtime/runner.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::pipeline {

/// What a search makes smaller, as a share of the original's.
struct Yardstick {
  /// Absent: latency on this processor, measured in interleaved rounds.
  std::function<double(const graph::Model&)> ratio = {};
  const char* how = "measured";  // as it is told
  const char* quantity = "latency";
  bool exact = false;  // counted or modelled: asked twice, it says the same
};

struct RoundOptions {
  int rounds = 0;            // 0: rounds_for what is asked
  int widths = 6;            // candidates per group
  double tolerance = 0.005;  // how far below the goal a choice may end
  TableOptions table;
  bool tokens = false;  // fewer of them are candidates too: at most one value per round behind which some go
  bool keep_streams = false;  // groups that residual sums carry stay as they are
  bool merge = false;         // units that go are merged into those that stay, functional.h
  rewrite::RepairOptions repair;
  rewrite::JointRepairOptions joint;  // in the last repair; fewer than two layers: none
  int threads = 1;                    // of the deployed runtime
  int timing_rounds = 101;
  Yardstick yardstick;
  /// Asked after the last round with the network as it is cut, before the long last repair: by which factor it must become
  /// faster still; nothing if it is fast enough. Weights have no say in how long a network takes.
  std::function<std::optional<double>(const graph::Model&)> further = {};
  /// Of several devices that latency is the mean of, each one's own: the last round says its regret. They must outlive the
  /// search.
  std::vector<latency::LatencyOracle*> each = {};
  std::function<void(const std::string&)> say = {};  // one line per step
};

/// Rounds from a measured ratio to a goal: one for each 15 %, rounded up below a half; at least one, at most five. Losses
/// of cuts that are made together add up less and less well the more is cut, and a round in between sees what the repair
/// left; but what it decides stands, so more rounds than that lose (ResNet-56 at 0.80x: divergence 0.0062 with one,
/// 0.0082 with three; from 0.68x to 0.50x: 0.095 with one, 0.077 with two).
int rounds_for(double ratio, double goal);
/// Rounds at most that a narrow miss is worth.
inline constexpr int kFurtherRounds = 2;

/// What a round decided.
struct RoundReport {
  double goal = 0;        // ratio aimed at
  double measured = 0;    // ratio measured
  double predicted = 0;   // ratio that the table promised
  double base_loss = 0;   // before the round's cut, repaired
  double table_loss = 0;  // what the planner expected to lose
  plan::Certificate certificate;
  int variables = 0, candidates = 0;
  /// The planner's front at the choice: ratio that the table promises, loss. At most 60 points up to the goal.
  std::vector<std::pair<double, double>> front = {};
  std::vector<Regret> regrets =
      {};  // of RoundOptions::each, among this round's candidates; the last round only
};

struct Searched {
  Surgery surgery;
  graph::Model model;   // repaired, unless left_out
  double ratio = 1;     // measured latency over the original's
  double loss = 0;      // divergence on the judge samples
  double cut_loss = 0;  // the same before repair
  /// Divergence of the repaired model, where that was larger than cut_loss: then the model is as it was cut.
  std::optional<double> left_out;
  std::vector<RoundReport> rounds;
  std::vector<Merged> merged;            // by RoundOptions::merge
  std::vector<FittedTogether> together;  // by RoundOptions::joint, in the last repair
};

/// Where a search begins: decisions that stand (only more can be added to them, but for kernels, which are chosen
/// anew) and their measured ratio.
struct Start {
  Surgery surgery = {};
  double ratio = 1;
};

/// Finds a surgery with at most `goal` (0..1) of the original's latency. If no candidate gets there, the
/// result's ratio says so.
Searched search_rounds(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                       LatencyBook& book, double goal, const RoundOptions& options, const Start& start = {});

/// A surgery that is given, carried out: cut, repaired, widened, measured.
Searched carry_out(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                   const Surgery& surgery, const RoundOptions& options);

/// A model's latency over the original's, as the yardstick of the options says, or measured.
double latency_ratio(runtime::Runner& runner, const Subject& original, const graph::Model& model,
                     const RoundOptions& options);

/// The same of several models. Where they are measured, all meet the same disturbances, and fewer rounds are spent on each.
std::vector<double> latency_ratios(runtime::Runner& runner, const Subject& original,
                                   const std::vector<graph::Model>& models, const RoundOptions& options);

/// The ratio of `model` to the original, measured in interleaved rounds that are divided among seven processes.
double measure_ratio(runtime::Runner& runner, const Subject& original, const graph::Model& model, int threads,
                     int rounds);
/// The same of several models, all in the same rounds.
std::vector<double> measure_ratios(runtime::Runner& runner, const Subject& original,
                                   const std::vector<graph::Model>& models, int threads, int rounds);

}  // namespace tailor::pipeline
