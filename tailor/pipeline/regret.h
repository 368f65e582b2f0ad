/// \file What a choice that was made for several devices costs on one of them, against the choice for that one alone.
#pragma once

#include "tailor/plan/width_planner.h"

#include <vector>

namespace tailor::pipeline {

struct Regret {
  double chosen_us = 0;  // of the layers that the problem prices
  double best_us = 0;    // of the fastest choice that was found at no more loss; at most chosen_us
  /// How much longer the choice takes: 0.03 is 3 %. Where the planner rounded latencies a faster choice may exist, so the
  /// regret is at least this.
  double share() const { return best_us > 0 ? chosen_us / best_us - 1 : 0; }
};

/// @param of_device the choice's problem with one device's latencies. One plan_widths up to the choice's latency.
Regret regret_of(const plan::Problem& of_device, const std::vector<int>& choice);

}  // namespace tailor::pipeline
