// Program holds the state of a run: caps of a step from the bounds, then exact_step or (after rounding its
// inputs) grid_step. decode walks the steps backwards; which two points make a sum is found again by adding,
// which repeats the same floating point operation and so compares equal. Links are remembered, because
// thousands of solutions share their parts.
#include "tailor/plan/front_program.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailor::plan {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double additions_per_pair = 16;  // time of merging a point, in additions on the grid
constexpr double slack = 1e-12;            // sums in another order differ by rounding

class Program {
 public:
  Program(const Problem& problem, const Elimination& elimination, const ProgramLimits& limits)
      : problem_(problem), steps_(elimination.steps), limits_(limits) {}

  std::optional<Tables> tables() {
    tables_.coarse.resize(steps_.size());
    for (std::size_t s = 0; s < steps_.size(); ++s) {
      std::optional<Fronts> fronts = steps_[s].factor >= 0 ? leaf(s) : inner(s);
      if (!fronts) return std::nullopt;
      points_ += fronts->size();
      if (points_ > limits_.max_total_points) return std::nullopt;
      tables_.fronts.push_back(std::move(*fronts));
    }
    return std::move(tables_);
  }

 private:
  std::vector<Cap> caps(std::size_t s) const {
    const std::vector<double>& rest = limits_.fastest->outside[s];
    std::vector<Cap> result(rest.size());
    const double budget = limits_.budget_us * (1 + slack);
    for (std::size_t entry = 0; entry < rest.size(); ++entry) {
      result[entry] = {budget - rest[entry], infinity, 0};
      if (!limits_.priced) continue;
      result[entry].per_us = limits_.priced->prices.per_us;
      result[entry].price = limits_.price_limit - limits_.priced->outside[s][entry];
    }
    return result;
  }

  std::optional<Fronts> leaf(std::size_t s) const {
    return leaf_fronts(sorted_table(problem_, problem_.factors[steps_[s].factor]), caps(s));
  }

  std::optional<Fronts> inner(std::size_t s) {
    const Step& step = steps_[s];
    const Fronts& a = tables_.fronts[step.a];
    const Fronts* b = step.b < 0 ? nullptr : &tables_.fronts[step.b];
    const std::size_t sums =
        a.roundings == 0 && (!b || b->roundings == 0) ? pairs(step, a, b) : limits_.max_pairs + 1;
    if (sums <= limits_.max_pairs) {
      work_ += static_cast<double>(sums) * additions_per_pair;
      if (work_ > limits_.max_work) return std::nullopt;
      std::optional<Fronts> exact = exact_step(step, a, b, caps(s), limits_.max_points);
      if (exact) return exact;
    }
    if (limits_.quantum_us <= 0) return std::nullopt;
    return on_grid(s);
  }

  std::optional<Fronts> on_grid(std::size_t s) {
    const Step& step = steps_[s];
    const Fronts& a = in_ticks(step.a);
    const Fronts* b = step.b < 0 ? nullptr : &in_ticks(step.b);
    work_ += grid_work(step, a, b);
    if (work_ > limits_.max_work) return std::nullopt;
    std::vector<Cap> ticks = caps(s);
    // A latency in ticks is too high by at most one tick per rounding.
    const int roundings = a.roundings + (b ? b->roundings : 0);
    for (Cap& cap : ticks) cap.latency = std::floor(cap.latency / limits_.quantum_us) + roundings;
    return grid_step(step, a, b, ticks);
  }

  const Fronts& in_ticks(int s) {
    if (tables_.fronts[s].roundings > 0) return tables_.fronts[s];
    tables_.coarse[s] = rounded(tables_.fronts[s], limits_.quantum_us);
    points_ += tables_.coarse[s].size();
    return tables_.coarse[s];
  }

  const Problem& problem_;
  const std::vector<Step>& steps_;
  const ProgramLimits& limits_;
  Tables tables_;
  std::size_t points_ = 0;
  double work_ = 0;
};

struct Link {
  std::uint32_t a, b;
};
constexpr std::uint32_t unknown = std::numeric_limits<std::uint32_t>::max();

// The position in `front` whose point plus (latency, loss) is (sum_latency, sum_loss), or its size.
std::size_t completing(const Run& front, double latency, double loss, double sum_latency, double sum_loss) {
  const double* end = front.latency + front.size;
  const double* at = std::lower_bound(front.latency, end, sum_latency,
                                      [&](double mine, double sum) { return mine + latency < sum; });
  for (; at != end && *at + latency == sum_latency; ++at)
    if (front.loss[at - front.latency] + loss == sum_loss) break;
  bool found = at != end && *at + latency == sum_latency;
  return found ? static_cast<std::size_t>(at - front.latency) : front.size;
}

Link find_link(const Run& a, const Run& b, double latency, double loss) {
  const bool swapped = b.size < a.size;
  const Run& shorter = swapped ? b : a;
  const Run& longer = swapped ? a : b;
  for (std::size_t i = 0; i < shorter.size; ++i) {
    std::size_t j = completing(longer, shorter.latency[i], shorter.loss[i], latency, loss);
    if (j == longer.size) continue;
    return swapped ? Link{static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(i)}
                   : Link{static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(j)};
  }
  bug("a point of a front has no origin", __FILE__, __LINE__);
}

class Decoder {
 public:
  Decoder(const Problem& problem, const Elimination& elimination, const Tables& tables,
          const std::vector<std::uint32_t>& points)
      : steps_(elimination.steps), tables_(tables), at_(steps_.size()) {
    choices_.assign(points.size(), std::vector<int>(problem.variables.size(), 0));
    at_.back() = points;
  }

  std::vector<std::vector<int>> choices() {
    for (std::size_t s = steps_.size(); s-- > 0;)
      if (steps_[s].factor < 0) trace(s);
    return std::move(choices_);
  }

 private:
  void trace(std::size_t s) {
    const Step& step = steps_[s];
    const Fronts& fronts = tables_.fronts[s];
    std::vector<Link> links(fronts.size(), Link{unknown, unknown});
    for (std::size_t k = 0; k < choices_.size(); ++k) {
      std::uint32_t point = at_[s][k];
      if (step.variable >= 0) choices_[k][step.variable] = fronts.pick[point];
      if (links[point].a == unknown) links[point] = link(s, point, choices_[k]);
      at_[step.a].push_back(links[point].a);
      if (step.b >= 0) at_[step.b].push_back(links[point].b);
    }
    std::vector<std::uint32_t>().swap(at_[s]);
  }

  // The table that the step read: rounded, if the step is on the grid and its input was not.
  const Fronts& input(int s, bool grid) const {
    return grid && tables_.fronts[s].roundings == 0 ? tables_.coarse[s] : tables_.fronts[s];
  }

  static std::uint32_t exact_index(const Fronts& fronts, std::size_t entry, std::uint32_t i) {
    std::size_t at = fronts.begin[entry] + i;
    return fronts.origin.empty() ? static_cast<std::uint32_t>(at) : fronts.origin[at];
  }

  Link link(std::size_t s, std::uint32_t point, const std::vector<int>& choice) const {
    const Step& step = steps_[s];
    const Fronts& fronts = tables_.fronts[s];
    const bool grid = fronts.roundings > 0;
    auto pick = step.variable < 0 ? std::size_t{0} : static_cast<std::size_t>(choice[step.variable]);
    std::size_t ea = pick * step.hop_a, eb = pick * step.hop_b;
    for (std::size_t i = 0; i < step.scope.size(); ++i) {
      auto digit = static_cast<std::size_t>(choice[step.scope[i]]);
      ea += digit * step.stride_a[i], eb += digit * step.stride_b[i];
    }
    const Fronts& a = input(step.a, grid);
    const double zero = 0;
    const Run nothing_added{&zero, &zero, 1};
    Run other = step.b < 0 ? nothing_added : run(input(step.b, grid), eb);
    Link found = find_link(run(a, ea), other, fronts.latency[point], fronts.loss[point]);
    return {exact_index(a, ea, found.a), step.b < 0 ? 0 : exact_index(input(step.b, grid), eb, found.b)};
  }

  const std::vector<Step>& steps_;
  const Tables& tables_;
  std::vector<std::vector<std::uint32_t>> at_;  // per step and solution, the point it uses
  std::vector<std::vector<int>> choices_;
};

}  // namespace

std::optional<Tables> run_program(const Problem& problem, const Elimination& elimination,
                                  const ProgramLimits& limits) {
  return Program(problem, elimination, limits).tables();
}

std::vector<std::vector<int>> decode(const Problem& problem, const Elimination& elimination,
                                     const Tables& tables, const std::vector<std::uint32_t>& points) {
  return Decoder(problem, elimination, tables, points).choices();
}

}  // namespace tailor::plan
