/// \file The simple rules that the exact planner is compared with: every group loses the same share of its
/// channels, as much as a latency goal asks for. What follows (repair, proof) is the same as for the planner.
#pragma once

#include "tailor/pipeline/rounds.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// How widths are chosen.
struct Rule {
  int multiple = 0;  // 0: no rule, the exact planner; 1: uniform; else what is left is a multiple of it

  bool exact() const { return multiple == 0; }
  friend bool operator==(const Rule&, const Rule&) = default;
};
/// "exact", "uniform", "round:8". A round to 1 is "uniform".
std::string name(Rule rule);
/// @throws Error unknown_name, bad_value for a multiple that is no number from 1 on
Rule parse_rule(const std::string& text);

/// Channels that a group of `width` keeps: the share, rounded down, then down to a multiple, at least one
/// multiple. A group narrower than one multiple keeps all. Does not decrease as the share grows; so also at
/// share 1 a width that is no multiple is rounded. @pre width, multiple >= 1; share 0..1
int kept_width(int width, double share, int multiple);

/// Changeable group -> its units, those that go first in front.
using RemovalOrders = std::map<int, std::vector<int>>;
/// removal_order of every changeable group. @param evidence of the original
RemovalOrders removal_orders(const Subject& original, Criterion criterion, const Evidence& evidence);

/// Every group cut to its kept_width; groups that lose nothing are not named.
Surgery surgery_at(const RemovalOrders& orders, double share, int multiple);

/// One share for each surgery that the rule can make, decreasing, so the widest surgery first.
/// O(w log w + w d) for w the sum and d the number of the different widths.
std::vector<double> distinct_shares(const RemovalOrders& orders, int multiple);

struct ChosenShare {
  double share = 1;
  double ratio = 1;  // as measured
  int measured = 0;  // how many shares were
  bool met = false;  // whether the ratio is at most the goal; if not, this is the fastest that was measured
};

/// The largest share with a measured ratio of at most `goal`. Latency is no monotone function of the share:
/// in steps of a sixteenth of all channels, from the widest, to the first share that fits; then bisection
/// between it and the one before. No share is measured twice, so noise cannot keep it from ending: at most 17
/// + log2(shares) measurements.
/// @param shares decreasing, not empty @param measure latency over the original's
ChosenShare widest_within(const std::vector<double>& shares, const std::function<double(double)>& measure,
                          double goal);

/// widest_within, then `confirm`, which carries the chosen share out and measures it again. On a busy machine
/// a single measurement can be far off: a share that is confirmed to be more than 1 % above the goal counts
/// with that ratio, and the choice is made again, four times at most. `measured` counts `measure` only, still
/// once a share.
ChosenShare confirmed_within(const std::vector<double>& shares, const std::function<double(double)>& measure,
                             const std::function<double(double)>& confirm, double goal);

struct RuleSearched {
  Searched found;  // without rounds
  ChosenShare chosen;
};

/// The widest surgery of the rule with at most `goal` (0..1) of the original's latency, carried out. Of the
/// options: the table's criterion and ridge, repair, threads, timing_rounds, say. @pre !rule.exact()
/// @throws Error as carry_out
RuleSearched search_rule(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                         Rule rule, double goal, const RoundOptions& options);

}  // namespace tailor::pipeline
