/// \file Are cuts of this model right? Random cuts of every changeable group, run beside their masks.
#pragma once

#include "tailor/pipeline/surgery.h"
#include "tailor/runtime/runner.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct CutOptions {
  int cuts = 1;  // of each group
  std::uint64_t seed = 0;
  int threads = 1;
  runtime::RunnerOptions runner = {};
  std::function<void(double done, const std::string& group)> progress = {};  // done: 0..1
};

/// One cut of one group. `apart` is the largest difference between the outputs of the cut model and of the
/// masked one, relative to each output's largest value.
struct CutTrial {
  int kept = 0;      // channels of the group that stay
  double apart = 0;  // infinite if an integer output differs, or a shape, or if there is an `error`
  double allowed =
      0;  // the tolerance; more where the masked model itself moves more when its inputs change in
          // their last bits (a sigmoid of 50 x, say), but never more than ten times as much
  bool tells = false;  // the mask changes the original's outputs by more than the tolerance
  std::string error;   // why there is no result; empty if there is one
  bool passed() const { return apart <= allowed; }
};

struct GroupCheck {
  int group = 0;
  std::vector<CutTrial> trials;
};

struct CutCheck {
  double tolerance = 1e-4;  // 0 for networks of integers: there every bit must agree
  std::vector<GroupCheck> groups;

  int trials() const;
  int failed() const;  // further apart than allowed, or without a result
  int telling() const;
  double worst() const;  // of those that passed
};

/// Cuts between one channel and all but one, by the seed; inputs are waves with some noise, integer inputs are
/// small. Groups of one channel cannot be cut and are left out. A cut that fails is a result, no error; a runner
/// that dies of one is started again.
/// @throws Error shape_unknown if an input's size is not known; as Runner if the original itself does not run
CutCheck check_cuts(const Subject& subject, const CutOptions& options);

/// Largest difference of two models' outputs, each output relative to its own largest value, or to 0.01 if that
/// is more. Infinity if they do not fit together, or an output of integers differs.
double apart(const runtime::NamedTensors& a, const runtime::NamedTensors& b);

/// One value per input: waves along the last axis for floats, small numbers for integers (they may be indices).
/// @throws Error shape_unknown
runtime::NamedTensors random_inputs(const graph::Model& model, const graph::Shapes& shapes,
                                    std::uint64_t seed);

}  // namespace tailor::pipeline
