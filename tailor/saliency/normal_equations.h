/// \file The least-squares problem behind pruning without training: a layer's output from its inputs.
///
/// For a layer y = W x + b seen on calibration data, the normal equations (Gram matrix of the input patches,
/// their products with the wanted outputs) answer at once: the best weights for any subset of the input
/// channels, the error that remains, and which channel is best removed next. Sources: optimal brain surgeon
/// (Hassibi & Stork 1993) applied to blocks of columns; reconstruction pruning (ThiNet, arXiv:1707.06342;
/// channel pruning, arXiv:1707.06168).
#pragma once

#include "tailor/graph/model.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace tailor::saliency {

/// How patches are read from an input mb x ic x ih x iw for an output mb x oc x oh x ow. Gemm and MatMul: all
/// sizes 1.
struct Geometry {
  int kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1, pt = 0, pl = 0;
  int taps() const { return kh * kw; }
};

/// Sums over sampled output positions. Columns: input channel major, then kernel taps, then the intercept
/// (last).
struct NormalEquations {
  int inputs = 0, taps = 1, outputs = 0;
  std::vector<double> gram;   // columns() x columns(), symmetric
  std::vector<double> cross;  // columns() x outputs, row-major
  std::vector<double> power;  // sum of squared wanted outputs, per output
  std::vector<double> total;  // sum of wanted outputs, per output
  double ridge = 0;  // at least this much where samples were few (held_out_ridge); relative, as in fit
  double rows = 0;
  bool intercept =
      true;  // false: the layer has nothing to add to its weights' sums, and the fit's intercept is 0

  NormalEquations() = default;
  NormalEquations(int of_inputs, int of_taps, int of_outputs);
  int columns() const { return inputs * taps + 1; }
};

/// Input patches at sampled output positions, one row each, the intercept's 1 last.
struct Patches {
  int columns = 0;
  std::size_t rows = 0;
  std::vector<float> values;                   // rows x columns
  std::vector<std::pair<int, int>> positions;  // sample, and position in the output plane
};
/// At most `per_sample` output positions of each sample of `x` (mb x ic x ih x iw, or mb x ic; f32), drawn
/// with `seed`.
Patches sample_patches(const Geometry& geometry, const graph::Tensor& x, int oh, int ow, int per_sample,
                       std::uint64_t seed);
/// The channels of `y` (mb x oc x oh x ow, or mb x oc; f32) at the same positions: rows x oc.
std::vector<float> sample_outputs(const Patches& patches, const graph::Tensor& y);

/// Adds rows and wanted outputs (rows x outputs). O(rows * columns^2) through BLAS.
void accumulate(NormalEquations& equations, const Patches& patches, const std::vector<float>& wanted);
/// Wanted outputs replaced, the Gram matrix kept. @pre the equations come from these patches alone. O(rows *
/// columns * outputs)
void replace_outputs(NormalEquations& equations, const Patches& patches, const std::vector<float>& wanted);

/// Weights of the best fit on a subset of the inputs.
struct Fit {
  std::vector<float> weights;    // outputs x kept inputs x kept taps
  std::vector<float> intercept;  // outputs
  std::vector<double> error;     // mean squared residual per output
};

/// Minimises |X_kept W - Y|^2 + ridge * trace(G)/n * |W - prior|^2.
/// @param kept  increasing input indices
/// @param prior weights to stay near to (outputs x inputs x taps, all of them); empty: zero
/// @param taps  increasing tap indices to fit, the same for every input; empty: all
/// O((kept * taps)^3).
Fit fit(const NormalEquations& equations, const std::vector<int>& kept, double ridge,
        const std::vector<float>& prior = {}, const std::vector<int>& taps = {});

/// Whether so few samples were seen that a fit could learn them by heart: fewer rows than eight per column, or
/// fewer samples than one per two columns.
bool few(const Patches& patches);

/// The ridge, from `smallest` in powers of ten up to 100, with which a fit to the first three quarters of the
/// samples predicts the last quarter best (hold-out validation). @param prior as in fit.
/// O(rows * columns^2 + 8 * columns^3). @pre at least 4 samples
double held_out_ridge(const NormalEquations& equations, const Patches& patches,
                      const std::vector<float>& wanted, double smallest, const std::vector<float>& prior);

/// What a fit over all inputs computes: rows x outputs.
std::vector<float> predict(const Patches& patches, const Fit& fit);

/// Removal order of blocks of inputs by backward elimination: each step removes the block whose loss, after
/// refitting all that remains, grows least.
struct Elimination {
  std::vector<int> order;     // block indices, first removed first; the last entry is the last survivor
  std::vector<double> error;  // mean squared residual, summed over outputs and divided by the variance of the
                              // wanted outputs, after removing order[0..i]
};
/// @param blocks input indices of each block (a unit of a channel group may own several inputs)
/// Several layers that read the same blocks are eliminated together: their errors, each relative to its own
/// variance, add up.
Elimination eliminate(const std::vector<const NormalEquations*>& layers,
                      const std::vector<std::vector<std::vector<int>>>& blocks_per_layer, double ridge);

}  // namespace tailor::saliency
