/// \file The two rules by which weights follow gradients, and the moving average of weights. Private to the module.
///
/// libtorch has such rules too; here their whole state is a list of tensors, so that a checkpoint holds it bit by bit.
#pragma once

#include "tailor/learn/aten.h"
#include "tailor/learn/parameter.h"
#include "tailor/learn/recipe.h"

#include <vector>

namespace tailor::learn {

/// SGD with momentum (Sutskever et al. 2013, as libtorch writes it) or AdamW (arXiv:1711.05101, betas 0.9 and 0.999).
/// Weights and tables decay, biases and scales do not.
class Optimiser {
 public:
  /// @param weights those of `parameters` that are no statistics, in their order; changed in place
  Optimiser(const Recipe& recipe, const std::vector<Parameter>& parameters, std::vector<at::Tensor> weights);

  /// One step by the gradients that the weights hold; a weight without one stays. Gradients are clipped first.
  void step(double rate);
  /// Steps taken, and momentum (or both moments) of each weight: what a checkpoint needs.
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  std::vector<at::Tensor>& moments() { return moments_; }

 private:
  void clip();
  void follow(std::size_t i, double rate);

  const Recipe recipe_;
  std::vector<at::Tensor> weights_, moments_;  // SGD: one per weight; AdamW: first moments, then second ones
  std::vector<bool> decays_;
  std::int64_t steps_ = 0;
};

/// The moving average of all parameters, statistics included: average += (1 - d) (now - average), where d grows from 0.1
/// to `decay` over the first steps, as the average has nothing yet to remember.
class Average {
 public:
  Average(double decay, std::vector<at::Tensor> tensors);
  /// @param step steps taken, the one just done included
  void follow(std::int64_t step);
  /// The averages in the place of the parameters, and the parameters in theirs. Twice: as before.
  void exchange();
  std::vector<at::Tensor>& tensors() { return averages_; }

 private:
  double decay_;
  std::vector<at::Tensor> tensors_, averages_;
};

}  // namespace tailor::learn
