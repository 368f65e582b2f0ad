// steadied: slowness of each round, which rounds are calm, their samples on the scale of the reference.
#include "tailor/runtime/anchors.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cmath>

namespace tailor::runtime {
namespace {

constexpr double kCalm = 1.08, kLeast = 1e-6;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<double> only(const std::vector<double>& values, const std::vector<std::size_t>& places) {
  std::vector<double> kept;
  for (const std::size_t place : places) kept.push_back(values[place]);
  return kept;
}

// Rounds that all anchors have.
std::size_t rounds_of(std::span<const Samples> anchors) {
  std::size_t rounds = anchors.front().us.size();
  for (const Samples& anchor : anchors) rounds = std::min(rounds, anchor.us.size());
  return rounds;
}

std::vector<double> slowness_of(std::span<const Samples> anchors, const std::vector<double>& reference) {
  std::vector<double> slowness(rounds_of(anchors));
  for (std::size_t round = 0; round < slowness.size(); ++round) {
    double sum = 0;
    for (std::size_t a = 0; a < anchors.size(); ++a)
      sum += std::log(std::max(anchors[a].us[round], kLeast) / std::max(reference[a], kLeast));
    slowness[round] = std::exp(sum / static_cast<double>(anchors.size()));
  }
  return slowness;
}

std::vector<std::size_t> calm_rounds(const std::vector<double>& slowness) {
  std::vector<double> order = slowness;
  std::sort(order.begin(), order.end());
  const double limit = kCalm * order[std::min<std::size_t>(1, order.size() - 1)];
  std::vector<std::size_t> calm;
  for (std::size_t round = 0; round < slowness.size(); ++round)
    if (slowness[round] <= limit) calm.push_back(round);
  return calm;
}

std::vector<double> medians(std::span<const Samples> anchors, const std::vector<std::size_t>& rounds) {
  std::vector<double> list;
  for (const Samples& anchor : anchors) list.push_back(median(only(anchor.us, rounds)));
  return list;
}

std::vector<std::size_t> all_of(std::size_t rounds) {
  std::vector<std::size_t> all(rounds);
  for (std::size_t round = 0; round < rounds; ++round) all[round] = round;
  return all;
}

}  // namespace

Steady steadied(std::vector<Samples> jobs, std::size_t anchors, std::vector<double> reference) {
  TAILOR_CHECK(anchors >= 1 && anchors <= jobs.size());
  const std::span<const Samples> of_anchors(jobs.end() - static_cast<std::ptrdiff_t>(anchors), jobs.end());
  const std::size_t rounds = rounds_of(of_anchors);
  TAILOR_CHECK(rounds >= 1);
  std::vector<std::size_t> calm;
  if (reference.empty()) {
    calm = calm_rounds(slowness_of(of_anchors, medians(of_anchors, all_of(rounds))));
    reference = medians(of_anchors, calm);
  }
  const std::vector<double> slowness = slowness_of(of_anchors, reference);
  if (calm.empty()) calm = calm_rounds(slowness);
  Steady steady;
  steady.slowness = median(only(slowness, calm));
  steady.calm = static_cast<int>(calm.size()), steady.rounds = static_cast<int>(rounds);
  jobs.resize(jobs.size() - anchors);
  for (Samples& job : jobs) {
    if (job.us.size() == rounds) {
      std::vector<double> kept;
      for (const std::size_t round : calm) kept.push_back(job.us[round] / slowness[round]);
      job.us = std::move(kept);
    } else {
      for (double& us : job.us) us /= steady.slowness;
    }
  }
  steady.samples = std::move(jobs), steady.reference = std::move(reference);
  return steady;
}

std::vector<std::size_t> spread(std::size_t size, std::size_t count) {
  std::vector<std::size_t> places;
  count = std::min(size, count);
  for (std::size_t i = 0; i < count; ++i) places.push_back((2 * i + 1) * size / (2 * count));
  return places;
}

}  // namespace tailor::runtime
