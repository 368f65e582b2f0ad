#include "tailor/pipeline/regret.h"

#include <algorithm>

namespace tailor::pipeline {

Regret regret_of(const plan::Problem& of_device, const std::vector<int>& choice) {
  const plan::Cost chosen = plan::evaluate(of_device, choice);
  Regret regret{chosen.latency_us, chosen.latency_us};
  plan::PlannerOptions options;
  options.budget_us = chosen.latency_us;
  // Losses along a front fall as latencies rise: the first point that loses no more is the fastest one.
  for (const plan::Point& point : plan::plan_widths(of_device, options).points)
    if (point.cost.loss <= chosen.loss * (1 + 1e-9) + 1e-12) {
      regret.best_us = std::min(chosen.latency_us, point.cost.latency_us);
      break;
    }
  return regret;
}

}  // namespace tailor::pipeline
