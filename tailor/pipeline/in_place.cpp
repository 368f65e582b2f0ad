// Accounting of a profile. Every second run calibrates the cost of the profiler, the others are reported; of
// each the faster half counts.
#include "tailor/pipeline/in_place.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <numeric>

namespace tailor::pipeline {
namespace {

constexpr double kMostNodeCost = 1.5;  // us
using Runs = std::vector<std::size_t>;

// Every second run, beginning with `first`; of these the faster half: disturbances only ever add.
Runs faster_half(const std::vector<double>& durations, std::size_t first) {
  Runs runs;
  for (std::size_t i = first; i < durations.size(); i += 2) runs.push_back(i);
  std::sort(runs.begin(), runs.end(),
            [&](std::size_t a, std::size_t b) { return durations[a] < durations[b]; });
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

double corrected_sum(const std::vector<double>& nodes, double cost) {
  return std::accumulate(nodes.begin(), nodes.end(), 0.0,
                         [&](double sum, double us) { return sum + std::max(0.0, us - cost); });
}

// The cost per node by which the nodes add up to `whole`. The sum falls with it: bisection.
double node_cost(const std::vector<double>& nodes, double whole) {
  double low = 0, high = kMostNodeCost;
  if (corrected_sum(nodes, low) <= whole) return low;
  if (corrected_sum(nodes, high) >= whole) return high;
  for (int i = 0; i < 50; ++i) {
    const double middle = (low + high) / 2;
    (corrected_sum(nodes, middle) > whole ? low : high) = middle;
  }
  return (low + high) / 2;
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
  if (profile.run_us.size() < 4 || profile.unprofiled_us.size() < 4)
    throw Error(Code::runner_failed, "the profile holds too few runs");
  const Runs calibrating = faster_half(profile.run_us, 0), shown = faster_half(profile.run_us, 1);
  const Runs plain = faster_half(profile.unprofiled_us, 1);
  InPlace result;
  result.node_us = node_cost(node_means(profile, calibrating),
                             mean(profile.unprofiled_us, faster_half(profile.unprofiled_us, 0)));
  result.runner_node_us = profile.node_overhead_us;
  result.network_us = mean(profile.unprofiled_us, plain);
  result.profiled_us = mean(profile.run_us, shown);
  result.runs = static_cast<int>(shown.size()), result.unprofiled_runs = static_cast<int>(plain.size());
  const std::vector<double> means = node_means(profile, shown);
  for (std::size_t i = 0; i < means.size(); ++i) {
    const runtime::NodeTime& node = profile.nodes[i];
    const double us = std::max(0.0, means[i] - result.node_us);
    result.nodes.push_back({node.name, node.op, "other", means[i], us, -1, "", node.input_shapes});
    result.reported_us += means[i], result.sum_us += us;
  }
  return result;
}

}  // namespace tailor::pipeline
