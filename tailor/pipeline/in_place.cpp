// Accounting of a profile. Every second pair of runs calibrates what is left of the profiler's cost, the others are
// reported; of each the calmer half counts.
#include "tailor/pipeline/in_place.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <numeric>

namespace tailor::pipeline {
namespace {

constexpr double kMostNodeCost = 1.5;  // us
using Runs = std::vector<std::size_t>;

// Every second pair, beginning with `first`; of these the calmer half: disturbances only ever add.
Runs calmer_half(const runtime::InPlaceProfile& profile, std::size_t first) {
  Runs runs;
  for (std::size_t i = first; i < profile.run_us.size(); i += 2) runs.push_back(i);
  auto both = [&](std::size_t run) { return profile.run_us[run] + profile.unprofiled_us[run]; };
  std::sort(runs.begin(), runs.end(), [&](std::size_t a, std::size_t b) { return both(a) < both(b); });
  runs.resize((runs.size() + 1) / 2);
  return runs;
}

double mean(const std::vector<double>& values, const Runs& runs) {
  double sum = 0;
  for (std::size_t run : runs) sum += values[run];
  return runs.empty() ? 0 : sum / static_cast<double>(runs.size());
}

std::vector<double> node_means(const runtime::InPlaceProfile& profile, const Runs& runs) {
  std::vector<double> means;
  for (const runtime::NodeTime& node : profile.nodes) means.push_back(mean(node.us, runs));
  return means;
}

// What the profiler adds to a node in these runs.
double profiler_cost(const runtime::InPlaceProfile& profile, const Runs& runs) {
  if (profile.nodes.empty()) return 0;
  const double added = mean(profile.run_us, runs) - mean(profile.unprofiled_us, runs);
  return std::max(0.0, profile.inside_share * added / static_cast<double>(profile.nodes.size()));
}

double corrected_sum(const std::vector<double>& nodes, double cost) {
  return std::accumulate(nodes.begin(), nodes.end(), 0.0,
                         [&](double sum, double us) { return sum + std::max(0.0, us - cost); });
}

// The cost per node, from `known` on, by which the nodes add up to `whole`. The sum falls with it: bisection.
double node_cost(const std::vector<double>& nodes, double whole, double known) {
  double low = known, high = known + kMostNodeCost;
  if (corrected_sum(nodes, low) <= whole) return low;
  if (corrected_sum(nodes, high) >= whole) return high;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (corrected_sum(nodes, middle) > whole ? low : high) = middle;
  }
  return (low + high) / 2;
}

// What every second pair says is left.
double left_over(const runtime::InPlaceProfile& profile) {
  const Runs runs = calmer_half(profile, 0);
  const double known = profiler_cost(profile, runs);
  return node_cost(node_means(profile, runs), mean(profile.unprofiled_us, runs), known) - known;
}

}  // namespace

int InPlace::matched(const std::string& by) const {
  return static_cast<int>(
      std::count_if(nodes.begin(), nodes.end(), [&](const ExecutedNode& n) { return n.matched_by == by; }));
}

double InPlace::us_of(const std::string& kind) const {
  double sum = 0;
  for (const ExecutedNode& node : nodes) sum += node.kind == kind ? node.us : 0;
  return sum;
}

InPlace account(const runtime::InPlaceProfile& profile) {
  if (profile.run_us.size() < 4 || profile.unprofiled_us.size() != profile.run_us.size())
    throw Error(Code::runner_failed, "the profile holds too few pairs of runs");
  const Runs shown = calmer_half(profile, 1);
  InPlace result;
  result.profiler_node_us = profiler_cost(profile, shown);
  result.node_us = left_over(profile);
  result.network_us = mean(profile.unprofiled_us, shown);
  result.profiled_us = mean(profile.run_us, shown);
  result.runs = result.unprofiled_runs = static_cast<int>(shown.size());
  const std::vector<double> means = node_means(profile, shown);
  for (std::size_t i = 0; i < means.size(); ++i) {
    const runtime::NodeTime& node = profile.nodes[i];
    const double us = std::max(0.0, means[i] - result.profiler_node_us - result.node_us);
    result.nodes.push_back({node.name, node.op, "other", means[i], us, -1, "", node.input_shapes});
    result.reported_us += means[i], result.sum_us += us;
  }
  return result;
}

}  // namespace tailor::pipeline
