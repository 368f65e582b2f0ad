// LossModel: one measurement per option. in_rounds: table, planner's problem, a choice by one of two rules, its loss,
// losses around it anew. The rules: within_latency learns what layers do not explain, as rounds.cpp does; within_macs
// counts, and at_equal_latency looks for the budget on the front of what is counted.
#include "tailor/pipeline/supernet_search.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/counted.h"
#include "tailor/pipeline/isotonic.h"
#include "tailor/pipeline/leftover.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace tailor::pipeline {
namespace {

constexpr double kNoise = 1.003;  // what measurements of the same network differ by
constexpr double kLess = 0.995;   // of the goal is aimed at after each miss, besides what is learned of it
constexpr int kAttempts = 8;
constexpr std::size_t kMostPoints = 256;      // of a front that is searched
constexpr double kMostCombinations = 4e6;     // of widths, over all layers
constexpr std::size_t kMostTimings = 100000;  // of layers

const rewrite::Branch& branch_of(const Subject& subject, int branch) {
  return subject.branches[static_cast<std::size_t>(branch)];
}

}  // namespace

LossModel::LossModel(const Subject& subject, const SearchSpace& space,
                     std::function<double(const Member&)> loss, int points)
    : subject_(subject),
      space_(space),
      loss_(std::move(loss)),
      points_(points),
      widths_(space.widths.size()),
      branches_(space.branches.size()),
      kernels_(space.kernels.size()) {
  TAILOR_CHECK(points >= 2);
  for (std::size_t i = 0; i < space.widths.size(); ++i)
    for (int width : space.widths[i].widths) widths_[i].emplace_back(width, 0);
  for (std::size_t i = 0; i < space.kernels.size(); ++i) kernels_[i].assign(space.kernels[i].taps.size(), 0);
}

bool LossModel::inside_gone(const Member& around, const std::vector<int>& branches) const {
  for (std::size_t i = 0; i < space_.branches.size(); ++i)
    if (around.gone[i] && std::find(branches.begin(), branches.end(), space_.branches[i]) != branches.end())
      return true;
  return false;
}

// Narrower widths lose more: what a measurement says otherwise is noise.
void LossModel::measure_width(const Member& around, std::size_t axis) {
  const std::vector<int>& all = space_.widths[axis].widths;
  std::vector<int> some = thinned({all.begin(), all.end() - 1}, points_ - 1);
  std::set<int, std::greater<>> points(some.begin(), some.end());
  points.insert(all.back()), points.insert(all.front()), points.insert(around.widths[axis]);
  std::vector<double> losses;
  for (int width : points) {
    Member member = around;
    member.widths[axis] = width;
    losses.push_back(loss_(member));
  }
  losses = isotonic(losses);
  widths_[axis].clear();
  std::size_t i = 0;
  for (int width : points) widths_[axis].emplace_back(width, losses[i++] - losses[0]);
  std::reverse(widths_[axis].begin(), widths_[axis].end());
}

void LossModel::measure(const Member& around) {
  for (std::size_t i = 0; i < space_.widths.size(); ++i)
    if (!inside_gone(around, branches_around(subject_, space_.widths[i].group))) measure_width(around, i);
  for (std::size_t i = 0; i < space_.branches.size(); ++i) {
    Member with = around, without = around;
    with.gone[i] = 0, without.gone[i] = 1;
    branches_[i] = std::max(0.0, loss_(without) - loss_(with));
  }
  for (std::size_t i = 0; i < space_.kernels.size(); ++i) {
    std::vector<int> holding;
    for (int b : space_.branches)
      if (const auto& nodes = branch_of(subject_, b).nodes;
          std::binary_search(nodes.begin(), nodes.end(), space_.kernels[i].node))
        holding.push_back(b);
    if (inside_gone(around, holding)) continue;
    Member member = around;
    member.kernels[i] = 0;
    const double whole = loss_(member);
    for (std::size_t option = 0; option < kernels_[i].size(); ++option) {
      member.kernels[i] = static_cast<int>(option) + 1;
      kernels_[i][option] = std::max(0.0, loss_(member) - whole);
    }
  }
}

double LossModel::width(std::size_t axis, int width) const {
  const auto& points = widths_[axis];
  const auto above = std::lower_bound(points.begin(), points.end(), std::pair(width, -1.0));
  if (above == points.end()) return points.back().second;
  if (above->first == width || above == points.begin()) return above->second;
  const auto below = above - 1;
  const double share = static_cast<double>(width - below->first) / (above->first - below->first);
  return below->second + share * (above->second - below->second);
}

namespace {

CandidateTable table_of(const SearchSpace& allowed, const LossModel& losses) {
  CandidateTable table;
  for (std::size_t i = 0; i < allowed.widths.size(); ++i) {
    GroupCandidates group{allowed.widths[i].group, {}};
    for (int width : allowed.widths[i].widths) group.widths.push_back({width, {}, losses.width(i, width)});
    table.groups.push_back(std::move(group));
  }
  for (std::size_t i = 0; i < allowed.branches.size(); ++i)
    table.branches.push_back({allowed.branches[i], {{0, losses.branch(i)}}});
  for (std::size_t i = 0; i < allowed.kernels.size(); ++i) {
    const KernelAxis& axis = allowed.kernels[i];
    KernelCandidate kernel{axis.layer, axis.node, {}};
    for (std::size_t option = 0; option < axis.taps.size(); ++option)
      kernel.options.push_back({axis.taps[option], 0, losses.kernel(i, option)});
    table.kernels.push_back(std::move(kernel));
  }
  return table;
}

Member member_of(const Subject& subject, const SearchSpace& allowed, const std::vector<int>& choice) {
  Member member;
  std::size_t next = 0;
  for (const WidthAxis& axis : allowed.widths)
    member.widths.push_back(axis.widths[static_cast<std::size_t>(choice[next++])]);
  for (std::size_t i = 0; i < allowed.branches.size(); ++i) member.gone.push_back(choice[next++]);
  for (std::size_t i = 0; i < allowed.kernels.size(); ++i) member.kernels.push_back(choice[next++]);
  return without_idle_choices(subject, allowed, std::move(member));
}

// What all rounds of a search share.
struct Choosing {
  const SupernetTools& tools;
  const SearchSpace& allowed;
  std::vector<LayerWidths> layers;
  int measured = 0;

  Choosing(const SupernetTools& t, const SearchSpace& a)
      : tools(t), allowed(a), layers(written_layers(t.subject)) {
    check_size();
  }
  void say(const std::string& line) const {
    if (tools.say) tools.say(line);
  }
  double ratio(const Member& member) {
    ++measured;
    return tools.ratio(surgery_of(tools.subject, tools.space, tools.orders, member));
  }
  plan::Problem problem(const CandidateTable& table, LatencyBook& book) const {
    const std::vector<latency::Workload> needed = needed_workloads(tools.subject, layers, table);
    if (needed.size() > kMostTimings) too_many(static_cast<double>(needed.size()));
    book.learn(needed);
    return width_problem(tools.subject, layers, table, book.all());
  }

 private:
  // Widths in and out are combined at every layer, and nobody waits for all combinations of long lists.
  void check_size() const {
    double combinations = 0;
    for (const LayerWidths& layer : layers) {
      double here = 1;
      for (const WidthAxis& axis : allowed.widths)
        if (touches(layer, axis.group)) here *= static_cast<double>(axis.widths.size());
      combinations += here;
    }
    if (combinations > kMostCombinations) too_many(combinations);
  }
  [[noreturn]] static void too_many(double timings) {
    throw Error(Code::bad_space,
                fmt::format("layers of {:.0f} widths in and out would have to be timed", timings), "widths",
                "a larger step leaves fewer of them");
  }
};

FoundMember found(Choosing& choosing, const plan::Point& point) {
  FoundMember f;
  f.member = member_of(choosing.tools.subject, choosing.allowed, point.choice);
  f.ratio = choosing.ratio(f.member);
  f.predicted_loss = point.cost.loss, f.certificate = point.certificate;
  return f;
}

// The fastest of several that were measured was also the luckiest: what would be taken is measured once more.
void judge(Choosing& choosing, FoundMember& f, double goal) {
  f.fits = f.ratio <= goal * kNoise;
  if (!f.fits) return;
  f.ratio = std::sqrt(f.ratio * choosing.ratio(f.member));
  f.fits = f.ratio <= goal * kNoise;
}

FoundMember within_latency(Choosing& choosing, const CandidateTable& table, double goal) {
  LatencyBook& book = choosing.tools.book;
  const plan::Problem problem = choosing.problem(table, book);
  book.learn(needed_workloads(choosing.tools.subject, choosing.layers, {}));
  const double whole_us = layers_cost(choosing.tools.subject, choosing.layers, book, {});
  Leftover leftover(problem, 0);
  double aim = goal;
  std::optional<FoundMember> best;
  std::set<std::vector<int>> tried;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const plan::Point point = leftover.choose(problem, aim * whole_us).point;
    if (!tried.insert(point.choice).second) break;
    FoundMember f = found(choosing, point);
    judge(choosing, f, goal);
    choosing.say(fmt::format("predicted {:.3f}, measured {:.3f} of the latency, loss {:.4f} more",
                             (point.cost.latency_us + leftover.at(point.choice)) / whole_us, f.ratio,
                             f.predicted_loss));
    leftover.learn(point.choice, f.ratio * whole_us - point.cost.latency_us);
    if (!f.fits) aim *= kLess;
    const bool better = !best || (f.fits != best->fits ? f.fits
                                  : f.fits             ? f.predicted_loss < best->predicted_loss
                                                       : f.ratio < best->ratio);
    if (better) best = std::move(f);
  }
  return *best;
}

plan::Problem counted_problem(const Choosing& choosing, const CandidateTable& table) {
  Counted counted;
  LatencyBook book(counted);
  return choosing.problem(table, book);
}

// The longest of the front that measures within the goal, by bisection.
FoundMember at_equal_latency(Choosing& choosing, const CandidateTable& table, double goal) {
  const plan::Front front = plan::plan_widths(counted_problem(choosing, table));
  std::vector<const plan::Point*> points;
  const std::size_t all = front.points.size(), count = std::min(all, kMostPoints);
  for (std::size_t i = 0; i < count; ++i)
    points.push_back(&front.points[count == 1 ? 0 : i * (all - 1) / (count - 1)]);
  std::optional<FoundMember> best;
  std::size_t low = 0, high = points.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    FoundMember f = found(choosing, *points[middle]);
    judge(choosing, f, goal);
    choosing.say(fmt::format("{:.1f} M multiply-accumulates: measured {:.3f} of the latency",
                             points[middle]->cost.latency_us, f.ratio));
    if (!best || f.fits || (!best->fits && f.ratio < best->ratio)) best = f;
    (f.fits ? low : high) = f.fits ? middle + 1 : middle;
  }
  return *best;
}

FoundMember within_macs(Choosing& choosing, const CandidateTable& table, double share) {
  plan::PlannerOptions options;
  options.budget_us =
      share * count_macs(choosing.tools.subject.model, choosing.tools.subject.overrides) / 1e6;
  const plan::Problem problem = counted_problem(choosing, table);
  const plan::Front front = plan::plan_widths(problem, options);
  const plan::Point* point = front.best_within(options.budget_us);
  FoundMember f = found(choosing, point ? *point : plan::plan_widths(problem).points.front());
  f.fits = point != nullptr;
  choosing.say(fmt::format("{:.3f} of the multiply-accumulates allowed: measured {:.3f} of the latency",
                           share, f.ratio));
  return f;
}

using Choose = std::function<FoundMember(Choosing&, const CandidateTable&)>;

FoundMember in_rounds(const SupernetTools& tools, const SearchSpace& allowed, const Choose& choose) {
  Choosing choosing(tools, allowed);
  LossModel losses(tools.subject, tools.space, tools.loss, tools.points);
  std::optional<FoundMember> best;
  std::set<Member> seen;
  Member around = largest(tools.space);
  for (int round = 0; round < tools.rounds; ++round) {
    losses.measure(around);
    FoundMember f = choose(choosing, table_of(allowed, losses));
    f.loss = tools.loss(f.member);
    choosing.say(fmt::format("round {} of {}: {:.3f} of the latency, loss {:.4f} with the supernet's weights",
                             round + 1, tools.rounds, f.ratio, f.loss));
    around = f.member;
    const bool known = !seen.insert(f.member).second;
    if (!best || (f.fits != best->fits ? f.fits : f.loss < best->loss)) best = std::move(f);
    if (known) break;
  }
  best->measured = choosing.measured;
  return *best;
}

}  // namespace

FoundMember search_by_latency(const SupernetTools& tools, const SearchSpace& allowed, double goal) {
  return in_rounds(tools, allowed, [&](Choosing& choosing, const CandidateTable& table) {
    return within_latency(choosing, table, goal);
  });
}

FoundMember search_by_macs(const SupernetTools& tools, const SearchSpace& allowed, double goal) {
  return in_rounds(tools, allowed, [&](Choosing& choosing, const CandidateTable& table) {
    return at_equal_latency(choosing, table, goal);
  });
}

FoundMember search_within_macs(const SupernetTools& tools, const SearchSpace& allowed, double share) {
  return in_rounds(tools, allowed, [&](Choosing& choosing, const CandidateTable& table) {
    return within_macs(choosing, table, share);
  });
}

double macs_ratio(const SupernetTools& tools, const Member& member) {
  const Subject& subject = tools.subject;
  const graph::Model model = apply(subject, surgery_of(subject, tools.space, tools.orders, member));
  return count_macs(model, subject.overrides) / count_macs(subject.model, subject.overrides);
}

}  // namespace tailor::pipeline
