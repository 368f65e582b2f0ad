// plan_widths = reduce -> eliminate -> bounds -> run_program (coarser until it fits) -> rounded_front
// (decode, certify) -> add_supports -> settle_budget; or search, where the decomposition is too wide. All
// inner latencies are those of the reduced problem: the constant that reduce() took out is added back only in
// the points.
#include "tailor/plan/width_planner.h"

#include "tailor/plan/front_program.h"
#include "tailor/plan/reduce.h"
#include "tailor/plan/search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailor::plan {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double slack = 1e-12;
constexpr std::size_t bytes_per_point = 2 * sizeof(double) + sizeof(std::uint16_t);

// A problem prepared for all runs over it.
struct Prepared {
  const Problem& original;
  Reduced reduced;
  Elimination elimination;
  double budget = infinity;  // in reduced latency; infinite: none
  Bounds fastest, best;      // least latency (with outside), least loss

  const Problem& problem() const { return reduced.problem; }
};

void certify(Point& point, double loss_bound, double quantum_us, bool optimal) {
  Certificate& certificate = point.certificate;
  certificate.optimal = optimal;
  certificate.quantum_us = quantum_us;
  certificate.loss_bound = std::max(0.0, std::min(loss_bound, point.cost.loss));
  certificate.gap = point.cost.loss > 0 ? (point.cost.loss - certificate.loss_bound) / point.cost.loss : 0;
}

Point point_of(const Prepared& prepared, const std::vector<int>& choice) {
  Point point;
  point.choice = prepared.reduced.original(choice);
  point.cost = evaluate(prepared.original, point.choice);
  certify(point, point.cost.loss, 0, true);
  return point;
}

// Sorted, within the budget, without dominated points; of equal costs the better certificate.
Front front_of(std::vector<Point> points, double budget_us) {
  std::stable_sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
    if (a.cost.latency_us != b.cost.latency_us) return a.cost.latency_us < b.cost.latency_us;
    if (a.cost.loss != b.cost.loss) return a.cost.loss < b.cost.loss;
    return a.certificate.quantum_us < b.certificate.quantum_us;
  });
  Front front;
  for (Point& point : points) {
    if (budget_us >= 0 && point.cost.latency_us > budget_us) break;
    if (front.points.empty() || point.cost.loss < front.points.back().cost.loss)
      front.points.push_back(std::move(point));
  }
  return front;
}

struct Supports {
  std::vector<std::pair<double, double>> lines;  // (per_us, least price)
  std::vector<std::vector<int>> choices;         // one of the least price per line: on the hull, so optimal
  double loss_bound(double latency_us) const {
    double bound = 0;
    for (auto [per_us, price] : lines) bound = std::max(bound, price - per_us * latency_us);
    return bound;
  }
};

// Lagrangian lower bounds at slopes of the front's convex hull.
Supports supports_of(const Prepared& prepared, const Front& front, std::size_t count) {
  std::vector<const Cost*> hull;
  for (const Point& point : front.points) {
    auto above = [&](const Cost& a, const Cost& b, const Cost& c) {
      return (b.loss - a.loss) * (c.latency_us - a.latency_us) >=
             (c.loss - a.loss) * (b.latency_us - a.latency_us);
    };
    while (hull.size() > 1 && above(*hull[hull.size() - 2], *hull.back(), point.cost)) hull.pop_back();
    hull.push_back(&point.cost);
  }
  Supports supports;
  const std::size_t edges = hull.size() - 1;
  for (std::size_t i = 0; i < std::min(edges, count); ++i) {
    std::size_t e = edges <= count ? i : i * (edges - 1) / (count - 1);
    double per_us = (hull[e]->loss - hull[e + 1]->loss) / (hull[e + 1]->latency_us - hull[e]->latency_us);
    Bounds bounds = min_sum(prepared.problem(), prepared.elimination, {per_us, 1});
    supports.lines.emplace_back(per_us, bounds.least() * (1 - slack));
    supports.choices.push_back(cheapest(prepared.problem(), prepared.elimination, bounds));
  }
  return supports;
}

ProgramLimits limits_of(const Prepared& prepared, const PlannerOptions& options) {
  ProgramLimits limits;
  const double slowest =
      evaluate(prepared.problem(), cheapest(prepared.problem(), prepared.elimination, prepared.best))
          .latency_us;
  limits.budget_us = std::min(prepared.budget, slowest);
  limits.quantum_us = options.quantum_us > 0
                          ? options.quantum_us
                          : std::max(limits.budget_us / static_cast<double>(options.ticks), 1e-9);
  limits.max_points = options.max_points;
  limits.max_pairs = options.max_pairs;
  limits.max_total_points = options.max_memory / bytes_per_point;
  limits.max_work = options.max_work;
  limits.fastest = &prepared.fastest;
  return limits;
}

// At most `count` of the last table's points, evenly; both ends are among them.
std::vector<std::uint32_t> thinned(const Tables& tables, std::size_t count) {
  const std::size_t size = tables.last().size();
  count = std::min(size, std::max<std::size_t>(count, 2));
  std::vector<std::uint32_t> result;
  for (std::size_t i = 0; i < count; ++i)
    result.push_back(static_cast<std::uint32_t>(count == 1 ? 0 : i * (size - 1) / (count - 1)));
  return result;
}

Front exact_front(const Prepared& prepared, const Tables& tables, double budget_us) {
  std::vector<Point> points;
  for (const auto& choice :
       decode(prepared.problem(), prepared.elimination, tables, thinned(tables, tables.last().size())))
    points.push_back(point_of(prepared, choice));
  return front_of(std::move(points), budget_us);
}

// Whatever costs less loss than the point at tick g takes at least g + 1 ticks, so more than (g - roundings)
// ticks of time; and what takes at most T takes at most T / quantum + roundings ticks.
Front rounded_front(const Prepared& prepared, const Tables& tables, double quantum_us,
                    const PlannerOptions& options) {
  const Fronts& last = tables.last();
  const std::vector<std::uint32_t> chosen = thinned(tables, options.max_points);
  const auto choices = decode(prepared.problem(), prepared.elimination, tables, chosen);
  const Cost constant = prepared.reduced.constant;
  std::vector<Point> points;
  auto add = [&](const std::vector<int>& choice, double tick) {
    points.push_back(point_of(prepared, choice));
    double latency = points.back().cost.latency_us - constant.latency_us;
    double reach = std::floor(latency / quantum_us * (1 + slack)) + last.roundings;
    auto at = std::upper_bound(last.latency.begin(), last.latency.end(), reach) - last.latency.begin();
    double bound = at > 0 ? last.loss[static_cast<std::size_t>(at - 1)] + constant.loss : 0;
    certify(points.back(), bound * (1 - slack), std::max(0.0, latency - (tick - last.roundings) * quantum_us),
            true);
  };
  for (std::size_t i = 0; i < choices.size(); ++i) add(choices[i], last.latency[chosen[i]]);
  // The fastest choice: nothing at all is a tick faster.
  std::vector<int> fastest = cheapest(prepared.problem(), prepared.elimination, prepared.fastest);
  add(fastest, std::floor(prepared.fastest.least() / quantum_us) + last.roundings - 1);
  return front_of(std::move(points), options.budget_us);
}

// Adds choices on the hull, which are exact, and raises the other points' bounds to the hull.
void add_supports(const Prepared& prepared, const PlannerOptions& options, Front& front) {
  if (front.points.empty()) return;
  const Cost constant = prepared.reduced.constant;
  const Supports supports = supports_of(prepared, front, 12);
  std::vector<Point> points = std::move(front.points);
  for (Point& point : points) {
    double bound = supports.loss_bound(point.cost.latency_us - constant.latency_us) + constant.loss;
    certify(point, std::max(bound, point.certificate.loss_bound), point.certificate.quantum_us, true);
  }
  for (const auto& choice : supports.choices) points.push_back(point_of(prepared, choice));
  front = front_of(std::move(points), options.budget_us);
}

// The multiplier whose Lagrangian bound at the budget is best: secants between a choice within and one above
// the budget. The choices tried are on the hull of the front, so optimal for their latency.
double best_multiplier(const Prepared& prepared, std::vector<std::vector<int>>& tried) {
  const Problem& problem = prepared.problem();
  Cost within = evaluate(problem, cheapest(problem, prepared.elimination, prepared.fastest));
  Cost above = evaluate(problem, cheapest(problem, prepared.elimination, prepared.best));
  double per_us = 0;
  for (int round = 0; round < 30 && above.latency_us > within.latency_us; ++round) {
    per_us = std::max(0.0, (within.loss - above.loss) / (above.latency_us - within.latency_us));
    Bounds bounds = min_sum(problem, prepared.elimination, {per_us, 1});
    tried.push_back(cheapest(problem, prepared.elimination, bounds));
    Cost cost = evaluate(problem, tried.back());
    if (bounds.least() >= (within.loss + per_us * within.latency_us) * (1 - 1e-9)) break;
    (cost.latency_us <= prepared.budget ? within : above) = cost;
  }
  return per_us;
}

// Replaces the rounded answer at the budget by the exact one: an exact run that keeps only partial choices
// which, by the Lagrangian bound of the rest, can still beat the best choice known.
void settle_budget(const Prepared& prepared, const PlannerOptions& options, Front& front) {
  std::vector<Point> points = std::move(front.points);
  std::vector<std::vector<int>> tried;
  const double per_us = best_multiplier(prepared, tried);
  for (const auto& choice : tried) points.push_back(point_of(prepared, choice));
  front = front_of(std::move(points), options.budget_us);
  if (front.points.empty()) return;
  ProgramLimits limits = limits_of(prepared, options);
  limits.budget_us = prepared.budget;
  limits.quantum_us = 0;
  limits.max_points = 300000;
  limits.max_pairs = 40000000;
  limits.max_work = options.max_work / 10;
  Bounds priced = min_sum(prepared.problem(), prepared.elimination, {per_us, 1});
  add_outside(prepared.elimination, priced);
  limits.priced = &priced;
  const double known = front.points.back().cost.loss - prepared.reduced.constant.loss;
  limits.price_limit = (known + per_us * prepared.budget) * (1 + 1e-10);
  std::optional<Tables> tables = run_program(prepared.problem(), prepared.elimination, limits);
  if (!tables || tables->last().size() == 0) return;
  Front exact = exact_front(prepared, *tables, options.budget_us);
  if (exact.points.empty() || exact.points.back().cost.loss > front.points.back().cost.loss) return;
  points = std::move(front.points);
  points.push_back(std::move(exact.points.back()));
  front = front_of(std::move(points), options.budget_us);
}

Front searched_front(const Prepared& prepared, const PlannerOptions& options) {
  SearchLimits limits;
  limits.budget_us = prepared.budget;
  limits.max_entries = std::min(limits.max_entries, options.max_entries);
  SearchResult found = search(prepared.problem(), limits);
  std::vector<Point> points;
  for (const Found& each : found.front) {
    Point point = point_of(prepared, each.choice);
    double bound = found.loss_bound(each.cost.latency_us) + prepared.reduced.constant.loss;
    certify(point, bound * (1 - slack), 0, bound >= point.cost.loss);
    points.push_back(std::move(point));
  }
  return front_of(std::move(points), options.budget_us);
}

Front dynamic_front(Prepared& prepared, const PlannerOptions& options) {
  ProgramLimits limits = limits_of(prepared, options);
  for (int attempt = 0; attempt < 5; ++attempt, limits.quantum_us *= 4) {
    std::optional<Tables> tables = run_program(prepared.problem(), prepared.elimination, limits);
    if (!tables) continue;
    if (tables->last().roundings == 0) return exact_front(prepared, *tables, options.budget_us);
    Front front = rounded_front(prepared, *tables, limits.quantum_us, options);
    tables.reset();
    add_supports(prepared, options, front);
    if (prepared.budget < infinity && options.quantum_us <= 0) settle_budget(prepared, options, front);
    return front;
  }
  return searched_front(prepared, options);
}

}  // namespace

const Point* Front::best_within(double budget_us) const {
  auto above =
      std::upper_bound(points.begin(), points.end(), budget_us,
                       [](double budget, const Point& point) { return budget < point.cost.latency_us; });
  return above == points.begin() ? nullptr : &*std::prev(above);
}

Front plan_widths(const Problem& problem, const PlannerOptions& options) {
  check(problem);
  Prepared prepared{problem, reduce(problem), {}, infinity, {}, {}};
  const Cost constant = prepared.reduced.constant;
  if (std::isinf(constant.latency_us)) return {};
  if (options.budget_us >= 0)
    prepared.budget = (options.budget_us - constant.latency_us) + options.budget_us * slack;
  if (prepared.problem().variables.empty()) return front_of({point_of(prepared, {})}, options.budget_us);
  prepared.elimination = eliminate(prepared.problem());
  if (prepared.elimination.largest > options.max_entries) return searched_front(prepared, options);
  prepared.fastest = min_sum(prepared.problem(), prepared.elimination, {1, 0});
  if (!(prepared.fastest.least() <= prepared.budget)) return {};
  if (std::isinf(prepared.fastest.least())) return {};
  add_outside(prepared.elimination, prepared.fastest);
  prepared.best = min_sum(prepared.problem(), prepared.elimination, {0, 1});
  return dynamic_front(prepared, options);
}

}  // namespace tailor::plan
