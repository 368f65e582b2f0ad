// choose: the planner once for every known choice of the hubs (other candidates forbidden) and once for any.
#include "tailor/pipeline/leftover.h"

#include <limits>
#include <optional>

namespace tailor::pipeline {
namespace {

constexpr int kHub = 8;  // factors of a variable above which it is a hub

std::vector<int> find_hubs(const plan::Problem& problem) {
  std::vector<int> factors(problem.variables.size(), 0), found;
  for (const plan::Factor& factor : problem.factors)
    for (int v : factor.scope) ++factors[static_cast<std::size_t>(v)];
  for (std::size_t v = 0; v < factors.size(); ++v)
    if (factors[v] > kHub && problem.variables[v].candidates > 1) found.push_back(static_cast<int>(v));
  return found;
}

void allow_only(plan::Problem& problem, int variable, int candidate) {
  auto candidates =
      static_cast<std::size_t>(problem.variables[static_cast<std::size_t>(variable)].candidates);
  plan::Factor only{{variable}, {candidates, {std::numeric_limits<double>::infinity(), 0}}};
  only.table[static_cast<std::size_t>(candidate)] = {};
  problem.factors.push_back(std::move(only));
}

std::optional<Chosen> best_point(const plan::Problem& problem, double budget_us) {
  plan::PlannerOptions options;
  if (budget_us <= 0) return std::nullopt;
  options.budget_us = budget_us;
  plan::Front front = plan::plan_widths(problem, options);
  const plan::Point* point = front.best_within(budget_us);
  if (!point) return std::nullopt;
  Chosen chosen{*point, {}};
  for (const plan::Point& p : front.points) chosen.front.push_back(p.cost);
  return chosen;
}

}  // namespace

Leftover::Leftover(const plan::Problem& problem, double us) : hubs_(find_hubs(problem)), otherwise_(us) {}

std::vector<int> Leftover::key(const std::vector<int>& choice) const {
  std::vector<int> widths;
  for (int hub : hubs_) widths.push_back(choice[static_cast<std::size_t>(hub)]);
  return widths;
}

double Leftover::at(const std::vector<int>& choice) const {
  auto found = known_.find(key(choice));
  return found == known_.end() ? otherwise_ : found->second;
}

void Leftover::learn(const std::vector<int>& choice, double us) {
  if (known_.empty()) otherwise_ = us;
  known_[key(choice)] = us;
}

Chosen Leftover::choose(const plan::Problem& problem, double budget_us) const {
  std::optional<Chosen> best = best_point(problem, budget_us - otherwise_);
  if (best && known_.contains(key(best->point.choice))) best.reset();  // another leftover holds there
  for (const auto& [widths, us] : known_) {
    plan::Problem fixed = problem;
    for (std::size_t i = 0; i < hubs_.size(); ++i) allow_only(fixed, hubs_[i], widths[i]);
    auto chosen = best_point(fixed, budget_us - us);
    if (chosen && (!best || chosen->point.cost.loss < best->point.cost.loss)) best = std::move(chosen);
  }
  return best ? *best : Chosen{plan::plan_widths(problem).points.front(), {}};
}

}  // namespace tailor::pipeline
