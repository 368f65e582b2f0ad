/// \file The state of a search for units (unit_search.h) while it trains. Private to the module.
#pragma once

#include "tailor/learn/aten.h"
#include "tailor/learn/kept_weights.h"
#include "tailor/learn/optimiser.h"
#include "tailor/learn/unit_search.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tailor::learn {

class UnitShares {
 public:
  /// Equal shares of every way that can compute a layer.
  /// @throws Error not_trainable if no way can
  explicit UnitShares(UnitSearch search);

  /// Weights as a run sees them: of a layer that is searched the weighted sum, with the gradient of the shares, and for the
  /// weights as if nothing had been rounded.
  at::Tensor seen(const std::string& parameter, const at::Tensor& weights) const;
  /// Strength times cost over that of everything on the first way that can. Its gradient reaches shares only; staircases pass it as
  /// their mean slope.
  at::Tensor cost() const;
  /// By the gradients that the shares hold, which are forgotten.
  void step();
  void set_epoch(std::int64_t epoch);
  /// What the largest share of each channel says.
  Keepings decided() const;

  /// What a checkpoint holds besides the number of steps.
  std::vector<std::pair<std::string, at::Tensor>> tensors();
  void set_steps(std::int64_t steps) { rule_.set_steps(steps); }

 private:
  at::Tensor shares(std::size_t layer) const;  // ways x channels
  at::Tensor cycles(std::size_t layer) const;  // of each unit
  double cost_on_first_way() const;

  const UnitSearch search_;
  std::vector<at::Tensor> numbers_,
      cannot_;  // per layer: ways x channels; ways x 1, minus infinity where a way cannot
  std::map<std::string, std::size_t> layer_of_;
  Optimiser rule_;
  double temperature_ = 1, whole_ = 1;
};

}  // namespace tailor::learn
