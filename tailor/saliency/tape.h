/// \file A few layers of a network as a function of their weights: values forwards, the gradient backwards.
///
/// The fit of one layer is linear least squares (normal_equations.h). That of several, with bounds between them, is
/// not; it needs the gradient of the distance, which a tape gives: steps in order, each a value from earlier ones.
/// Reverse mode as in any text on automatic differentiation (Griewank & Walther 2008, chapter 3).
#pragma once

#include "tailor/graph/model.h"
#include "tailor/saliency/normal_equations.h"
#include "tailor/saliency/unfold.h"

#include <cstddef>
#include <limits>
#include <string>
#include <vector>

namespace tailor::saliency {

/// One step: value `out` from value `a` (and `b`).
struct Step {
  enum class Kind {
    linear,  // weights of `layer` over patches of a, plus an intercept
    affine,  // scale * a + offset, per channel: a normalisation
    clip,    // a between low and high: Relu, Clip
    add,     // a + b
    mean,    // of each plane
    same,    // a as other sizes name it: Flatten of 1 x 1 planes
  };
  Kind kind = Kind::same;
  int a = 0, b = -1, out = 0;
  int layer = -1;
  Geometry geometry = {};
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  std::vector<float> scale = {}, offset = {};
};

/// A layer whose weights are looked for: outputs x (inputs / groups x taps), and an intercept per output.
struct TapeLayer {
  int inputs = 0, outputs = 0, groups = 1, taps = 1;
  int columns() const { return inputs / groups * taps + 1; }  // of a row of weights, the intercept last
  std::size_t size() const { return static_cast<std::size_t>(outputs) * static_cast<std::size_t>(columns()); }
};

struct Tape {
  std::vector<Extent> values;  // of one sample
  std::vector<int> inputs;     // values that are given
  std::vector<Step> steps;
  std::vector<TapeLayer> layers;
  int goal = 0;

  /// Multiply-accumulates of one sample, forwards.
  double macs() const;
};

/// Weights of a tape's layers: of each, outputs x columns, the intercept last.
using TapeWeights = std::vector<std::vector<float>>;

/// What the goal is compared with. Where wanted and present value both lie beyond the same bound, they count as
/// equal: what reads them looks no further.
struct Wanted {
  std::vector<graph::Tensor> inputs;  // mb x the inputs' sizes, f32, in the order of Tape::inputs
  graph::Tensor goal;                 // mb x the goal's size, f32
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
};

/// Sum of squared distances at the goal over samples first <= i < last, and its gradient where one is wanted (of the
/// tape's weights' sizes, overwritten). Shares of the samples on all cores; the result depends on the sizes alone.
/// O(samples x macs, three times with a gradient).
double squared_distance(const Tape& tape, const TapeWeights& weights, const Wanted& wanted, int first,
                        int last, TapeWeights* gradient = nullptr);

/// What the gradient's directions are worth, for a change of variables that makes the problem round.
struct Curvature {
  /// Per layer and group: columns x columns, the mean of x x' over the patches (the intercept's 1 last); row-major.
  std::vector<std::vector<std::vector<double>>> inputs;
  /// Per layer and output: how the sum of squares at the goal answers to it, per position of the goal.
  std::vector<std::vector<double>> outputs;
};

/// Both by one pass over samples first <= i < last; the outputs' by random signs at the goal (Hutchinson 1990), as the
/// diagonal of a Kronecker-factored curvature (Martens & Grosse, arXiv:1503.05671).
Curvature curvature(const Tape& tape, const TapeWeights& weights, const Wanted& wanted, int first, int last,
                    std::uint64_t seed);

}  // namespace tailor::saliency
