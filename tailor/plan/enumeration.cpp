// The stupid reference: every combination, sorted, dominated ones dropped. Shares no code with the planner
// but evaluate().
#include "tailor/base/error.h"
#include "tailor/plan/width_planner.h"

#include <algorithm>
#include <cmath>

namespace tailor::plan {
namespace {

bool advance(const Problem& problem, std::vector<int>& choice) {
  for (std::size_t v = choice.size(); v-- > 0;) {
    if (++choice[v] < problem.variables[v].candidates) return true;
    choice[v] = 0;
  }
  return false;
}

bool cheaper(const Cost& a, const Cost& b) {
  return a.latency_us < b.latency_us || (a.latency_us == b.latency_us && a.loss < b.loss);
}

}  // namespace

Front plan_by_enumeration(const Problem& problem) {
  check(problem);
  double combinations = 1;
  for (const Variable& variable : problem.variables) combinations *= variable.candidates;
  TAILOR_CHECK(combinations <= 1e7);
  std::vector<Point> all;
  std::vector<int> choice(problem.variables.size(), 0);
  do {
    Cost cost = evaluate(problem, choice);
    if (std::isfinite(cost.latency_us)) all.push_back({cost, choice, {true, 0, cost.loss, 0}});
  } while (advance(problem, choice));
  std::stable_sort(all.begin(), all.end(),
                   [](const Point& a, const Point& b) { return cheaper(a.cost, b.cost); });
  Front front;
  for (Point& point : all)
    if (front.points.empty() || point.cost.loss < front.points.back().cost.loss)
      front.points.push_back(std::move(point));
  return front;
}

}  // namespace tailor::plan
