// search_rule, from above to below:
//   removal_orders   once, on the original
//   distinct_shares  the ladder of surgeries that the rule can make
//   widest_within    coarse steps down the ladder, then bisection; each surgery is cut and timed, not
//   repaired carry_out        of rounds.h: the chosen one is repaired and measured as any plan is
#include "tailor/pipeline/rules.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace tailor::pipeline {
namespace {

constexpr int kCoarseSteps = 16;
constexpr double kAllowance = 1.003;  // above the goal: what the rounds of the exact planner allow themselves
constexpr double kConfirmed = 1.01;   // of the goal with the allowance; above it a choice is taken back
constexpr int kAttempts = 4;

// Kept widths for each of the different widths.
std::vector<int> kept_widths(const std::set<int>& widths, double share, int multiple) {
  std::vector<int> kept;
  for (int width : widths) kept.push_back(kept_width(width, share, multiple));
  return kept;
}

// Index of the largest share of at most `share`; the last one if all are larger.
std::size_t at_most(const std::vector<double>& shares, double share) {
  auto it = std::find_if(shares.begin(), shares.end(), [&](double s) { return s <= share + 1e-9; });
  return it == shares.end() ? shares.size() - 1 : static_cast<std::size_t>(it - shares.begin());
}

// Ratios by index into the shares, each measured once.
class Measured {
 public:
  Measured(const std::vector<double>& shares, const std::function<double(double)>& measure, double goal)
      : shares_(shares), measure_(measure), goal_(goal) {}
  bool fits(std::size_t i) {
    auto [it, fresh] = ratios_.try_emplace(i, 1);
    if (fresh) it->second = measure_(shares_[i]);
    return it->second <= goal_;
  }
  std::size_t fastest() const {
    auto faster = [](const auto& a, const auto& b) { return a.second < b.second; };
    return std::min_element(ratios_.begin(), ratios_.end(), faster)->first;
  }
  /// @pre i was measured
  ChosenShare result(std::size_t i) const {
    double ratio = ratios_.at(i);
    return {shares_[i], ratio, static_cast<int>(ratios_.size()), ratio <= goal_};
  }

 private:
  const std::vector<double>& shares_;
  const std::function<double(double)>& measure_;
  double goal_;
  std::map<std::size_t, double> ratios_;
};

// Normal equations of the original: what the criterion "reconstruction" looks at.
rewrite::Equations equations_of(runtime::Runner& runner, const Subject& original,
                                const Calibration& calibration, const rewrite::RepairOptions& options) {
  rewrite::Activations wanted(runner, original.shapes, calibration.fit, calibration.threads,
                              calibration.memory);
  rewrite::Activations now(runner, original.shapes, calibration.fit, calibration.threads, calibration.memory);
  return rewrite::repair(original.model, wanted, original.model, now, kept_values(original, {}),
                         original.shapes, options)
      .equations;
}

RemovalOrders orders_of(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                        const RoundOptions& options) {
  rewrite::Equations equations;
  if (options.table.criterion == Criterion::reconstruction)
    equations = equations_of(runner, original, calibration, options.repair);
  rewrite::Activations now(runner, original.shapes, calibration.fit, calibration.threads, calibration.memory);
  RemovalOrders orders = removal_orders(original, options.table.criterion,
                                        {&equations, &now, options.table.ridge, options.table.worth.get(),
                                         nullptr, options.table.patterns.get()});
  if (options.keep_streams)
    for (int group : stream_groups(original)) orders.erase(group);
  return orders;
}

double measure_surgery(runtime::Runner& runner, const Subject& original, const Surgery& surgery,
                       const RoundOptions& options) {
  if (surgery.empty() && original.shortcuts.empty()) return 1;  // the original itself
  return latency_ratio(runner, original, apply(original, surgery), options);
}

}  // namespace

std::string name(Rule rule) {
  return rule.exact() ? "exact" : rule.multiple == 1 ? "uniform" : fmt::format("round:{}", rule.multiple);
}

Rule parse_rule(const std::string& text) {
  constexpr std::string_view kRound = "round:";
  if (text == "exact") return {0};
  if (text == "uniform") return {1};
  if (!text.starts_with(kRound))
    throw Error(Code::unknown_name, fmt::format("there is no rule '{}'", text), "--rule",
                "exact, uniform, or round:8 for instance");
  int multiple = 0;
  const char* last = text.data() + text.size();
  auto [end, failed] = std::from_chars(text.data() + kRound.size(), last, multiple);
  if (failed != std::errc{} || end != last || multiple < 1)
    throw Error(Code::bad_value, fmt::format("'{}' names no multiple", text), "--rule",
                "write for instance round:8");
  return {multiple};
}

int kept_width(int width, double share, int multiple) {
  if (width < multiple) return width;
  auto left = static_cast<int>(std::floor(share * width + 1e-9));
  return std::max(left / multiple * multiple, multiple);
}

RemovalOrders removal_orders(const Subject& original, Criterion criterion, const Evidence& evidence) {
  RemovalOrders orders;
  for (int g = 0; g < static_cast<int>(original.channels.groups.size()); ++g)
    if (original.channels.groups[static_cast<std::size_t>(g)].changeable())
      orders[g] = removal_order(original, g, criterion, evidence);
  return orders;
}

Surgery surgery_at(const RemovalOrders& orders, double share, int multiple) {
  Surgery surgery;
  for (const auto& [group, order] : orders) {
    auto width = static_cast<int>(order.size());
    int kept = kept_width(width, share, multiple);
    if (kept == width) continue;
    std::vector<int> units(order.end() - kept, order.end());
    std::sort(units.begin(), units.end());
    surgery.kept[group] = std::move(units);
  }
  return surgery;
}

std::vector<double> distinct_shares(const RemovalOrders& orders, int multiple) {
  std::set<int> widths;
  std::set<double, std::greater<>> steps = {1};  // shares at which the rounded-down width of a group changes
  for (const auto& [group, order] : orders) widths.insert(static_cast<int>(order.size()));
  for (int width : widths)
    for (int k = 1; k < width; ++k) steps.insert(static_cast<double>(k) / width);
  std::vector<double> shares;
  std::vector<int> before;
  for (double share : steps) {
    std::vector<int> kept = kept_widths(widths, share, multiple);
    if (shares.empty() || kept != before) shares.push_back(share);
    before = std::move(kept);
  }
  return shares;
}

ChosenShare widest_within(const std::vector<double>& shares, const std::function<double(double)>& measure,
                          double goal) {
  TAILOR_CHECK(!shares.empty());
  Measured measured(shares, measure, goal);
  std::size_t over = 0, fit = 0;
  for (int step = kCoarseSteps; step >= 0; --step) {
    fit = at_most(shares, static_cast<double>(step) / kCoarseSteps);
    if (measured.fits(fit)) break;
    over = fit;
  }
  if (!measured.fits(fit)) return measured.result(measured.fastest());
  while (fit > over + 1) {
    std::size_t middle = over + (fit - over) / 2;
    (measured.fits(middle) ? fit : over) = middle;
  }
  return measured.result(fit);
}

ChosenShare confirmed_within(const std::vector<double>& shares, const std::function<double(double)>& measure,
                             const std::function<double(double)>& confirm, double goal) {
  std::map<double, double> known;
  auto remembered = [&](double share) {
    auto it = known.find(share);
    return it != known.end() ? it->second : known[share] = measure(share);
  };
  ChosenShare chosen;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    chosen = widest_within(shares, remembered, goal);
    double ratio = confirm(chosen.share);
    chosen.measured = static_cast<int>(known.size());
    if (!chosen.met || ratio <= goal * kConfirmed) break;
    known[chosen.share] = ratio;
  }
  return chosen;
}

RuleSearched search_rule(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                         Rule rule, double goal, const RoundOptions& options) {
  RemovalOrders orders = orders_of(runner, original, calibration, options);
  auto say = [&](double share, const char* how, double ratio) {
    if (options.say)
      options.say(fmt::format("{}: {:.1f} % of the channels kept, {} {:.3f} of the original's {}", name(rule),
                              100 * share, how, ratio, options.yardstick.quantity));
  };
  auto measure = [&](double share) {
    double ratio = measure_surgery(runner, original, surgery_at(orders, share, rule.multiple), options);
    say(share, options.yardstick.how, ratio);
    return ratio;
  };
  RuleSearched result;
  auto confirm = [&](double share) {
    result.found =
        carry_out(runner, original, calibration, surgery_at(orders, share, rule.multiple), options);
    say(share, "after repair", result.found.ratio);
    return result.found.ratio;
  };
  result.chosen =
      confirmed_within(distinct_shares(orders, rule.multiple), measure, confirm, goal * kAllowance);
  if (!result.chosen.met)
    say(result.chosen.share, "the goal is out of reach; the fastest has", result.chosen.ratio);
  return result;
}

}  // namespace tailor::pipeline
