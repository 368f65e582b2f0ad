/// \file Several layers fitted together to what their last value should be.
///
/// A cascade of single fits makes each layer as near as it can be to what the original's layer was; but a narrow layer
/// serves the next one better by being something else. So a few layers in a row, with the bounds between them, are
/// fitted to their common goal: nonlinear least squares, by L-BFGS (Liu & Nocedal 1989; libLBFGS) in variables in which
/// the problem is nearly round (tape.h, Curvature). No labels: blocks as the unit of reconstruction are known from
/// quantisation (Li et al., BRECQ, arXiv:2102.05426), where they are trained.
#pragma once

#include "tailor/saliency/tape.h"

#include <functional>

namespace tailor::saliency {

struct JointOptions {
  int steps = 30;   // of L-BFGS at most
  int samples = 0;  // the first ones; 0: all
  double held_out =
      0.2;  // last share of the samples, that only judges: the weights taken are those with which it is nearest
  double ridge = 1e-4;  // of the change of variables, relative to the mean of the Gram matrix's diagonal
  std::uint64_t seed = 0;
  std::function<bool()> stop = {};  // asked before every step; true: what is best so far is the result
};

struct JointFit {
  TapeWeights weights;
  double before = 0,
         after = 0;     // squared distance of the samples that were held out, per element of the goal
  int evaluations = 0;  // gradients that were made
};

/// From `start`, never farther from the goal than it (on what was held out).
/// O(evaluations x samples x macs) and one Cholesky factor per layer and group. @pre at least 2 samples
JointFit fit_jointly(const Tape& tape, const Wanted& wanted, const TapeWeights& start,
                     const JointOptions& options);

}  // namespace tailor::saliency
