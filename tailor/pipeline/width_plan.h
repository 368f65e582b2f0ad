/// \file The plan as a file that a person can read and diff: what was decided, why, and what it measured.
#pragma once

#include "tailor/base/json.h"
#include "tailor/base/units.h"
#include "tailor/pipeline/functional.h"
#include "tailor/pipeline/recover.h"
#include "tailor/pipeline/surgery.h"
#include "tailor/plan/width_planner.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// A unit whose function another one took over.
struct Heir {
  int unit = 0, heir = 0;
  double unexplained = 0;  // share of the unit's variance that is lost, at the reader where it is largest
};

/// One channel group.
struct GroupPlan {
  int group = 0;              // of the original
  std::string layer;          // its name
  int before = 0, after = 0;  // widths
  std::vector<int> kept;      // units, increasing; empty if all are kept
  int added = 0;              // channels of zeros
  std::string why;            // one line: what the change buys
  std::vector<Heir> heirs;    // of units that were merged
};

/// One convolution with fewer taps.
struct KernelPlan {
  std::string layer;                 // what it gives
  int kh_before = 0, kw_before = 0;  // kernel of the original, or of what stands for a branch
  rewrite::Taps taps;                // that stay of it
};

/// Fewer tokens behind a value.
struct TokenPlan {
  std::string value;
  int axis = 0, before = 0;  // of the value; tokens there
  std::vector<int> kept;     // places of the original, increasing
};

struct WidthPlan {
  std::string model, sha256;                       // the original
  std::string runtime;                             // "onnxruntime 1.30.0, 1 thread, AMD EPYC"
  std::string goal;                                // as asked for
  std::string rule = "exact";                      // how widths were chosen, see rules.h
  std::vector<GroupPlan> groups;                   // those that change
  std::vector<std::string> dropped;                // residual branches, by the output of their sum
  std::vector<std::string> shortcuts;              // padded ones that become convolutions, by what they give
  std::map<std::string, int> folded;               // branch -> kernel of the convolution in its place
  std::vector<KernelPlan> kernels;                 // that get smaller
  std::vector<TokenPlan> tokens;                   // in the order of the values' names
  double predicted_ratio = 1, measured_ratio = 1;  // latency over the original's
  How how = How::measured;                         // how the latter came to be
  double loss = 0;                                 // divergence on calibration samples
  double cut_loss = 0;                             // the same before repair
  plan::Certificate certificate;                   // of the last round's choice from its table; of the rule
                                                   // "exact" only
  int rounds = 0, candidates = 0;                  // candidates of other rules: surgeries that were measured
};

/// Who took over what, from what every reader saw, entered into the groups.
void enter_heirs(WidthPlan& plan, const std::vector<Merged>& merged);

/// Plan of a surgery: groups that change, branches that go. Figures are filled in by whoever measured them.
WidthPlan describe(const Subject& original, const Surgery& surgery, Recover recover = Recover::lsq);

/// The subject in whose terms the plan speaks: that of the file, or with its shortcuts as convolutions.
/// @throws Error plan_mismatch if the plan was made for another model
Subject subject_of(const Subject& read, const WidthPlan& plan);

/// @param original subject_of() @throws Error plan_mismatch as subject_of; bad_cut if the plan names groups
/// or widths that the model has not
Surgery surgery_of(const Subject& original, const WidthPlan& plan);

/// Schema "tailor/plan/1"; a plan that names no rule is one of the exact planner. @throws Error bad_json
Json to_json(const WidthPlan& plan);
WidthPlan width_plan_from_json(const Json& json, const std::string& place);
/// The file that optimize wrote. @throws Error file_missing, bad_json
WidthPlan read_plan(const std::filesystem::path& path);

}  // namespace tailor::pipeline
