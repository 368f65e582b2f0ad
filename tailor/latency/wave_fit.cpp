// fit_waves: for each residency  rows -> reweighted least squares, alternating with the floor (fit_rows)  and the least
// mean error wins. fit_work: a search over one number.
#include "tailor/latency/wave_fit.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace tailor::latency {
namespace {

constexpr std::size_t kTerms = 4;  // overhead, rounds, rounds x k, bytes
using Row = std::array<double, kTerms>;

// Residencies tried: (blocks that run together, blocks that it takes to keep a multiprocessor busy).
constexpr std::array<std::pair<int, int>, 8> kResidencies = {
    {{1, 1}, {4, 2}, {5, 2}, {8, 2}, {4, 3}, {4, 4}, {5, 4}, {8, 4}}};

Row row_of(const WaveFit& fit, const KernelTiming& t, int multiprocessors) {
  const double rounds =
      fit.smooth ? static_cast<double>(t.blocks) / multiprocessors
                 : static_cast<double>(serial_rounds(t.blocks, multiprocessors, fit.resident, fit.lone));
  return {1, rounds, rounds * static_cast<double>((t.k + 7) / 8 * 8), static_cast<double>(t.bytes)};
}

double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (std::size_t i = 0; i < kTerms; ++i) sum += a[i] * b[i];
  return sum;
}

// Solves the normal equations by elimination with pivots; a term that cannot be told from the others gets 0.
Row solve(std::array<Row, kTerms> a, Row b) {
  Row scale;
  for (std::size_t i = 0; i < kTerms; ++i) scale[i] = a[i][i] > 0 ? 1 / std::sqrt(a[i][i]) : 0;
  for (std::size_t i = 0; i < kTerms; ++i) {
    b[i] *= scale[i];
    for (std::size_t j = 0; j < kTerms; ++j) a[i][j] *= scale[i] * scale[j];
  }
  std::array<bool, kTerms> used{};
  for (std::size_t i = 0; i < kTerms; ++i) {  // Gauss and Jordan on a positive semidefinite matrix
    if (a[i][i] < 1e-12) continue;
    used[i] = true;
    for (std::size_t r = 0; r < kTerms; ++r) {
      if (r == i) continue;
      const double factor = a[r][i] / a[i][i];
      for (std::size_t c = 0; c < kTerms; ++c) a[r][c] -= factor * a[i][c];
      b[r] -= factor * b[i];
    }
  }
  Row x{};
  for (std::size_t i = 0; i < kTerms; ++i) x[i] = used[i] ? b[i] / a[i][i] * scale[i] : 0;
  return x;
}

Row weighted(const std::vector<Row>& rows, const std::vector<double>& us,
             const std::vector<double>& weights) {
  std::array<Row, kTerms> a{};
  Row b{};
  for (std::size_t n = 0; n < rows.size(); ++n)
    for (std::size_t i = 0; i < kTerms; ++i) {
      b[i] += weights[n] * rows[n][i] * us[n];
      for (std::size_t j = 0; j < kTerms; ++j) a[i][j] += weights[n] * rows[n][i] * rows[n][j];
    }
  return solve(a, b);
}

// Least absolute relative errors by reweighting.
Row robust(const std::vector<Row>& rows, const std::vector<double>& us) {
  constexpr int kSteps = 8;
  constexpr double kExact = 0.01;  // errors below it count alike
  std::vector<double> weights(us.size());
  for (std::size_t i = 0; i < us.size(); ++i) weights[i] = 1 / (us[i] * us[i]);
  Row x = weighted(rows, us, weights);
  for (int step = 1; step < kSteps; ++step) {
    for (std::size_t i = 0; i < us.size(); ++i) {
      const double error = std::abs(dot(rows[i], x) - us[i]) / us[i];
      weights[i] = 1 / (us[i] * us[i] * std::max(error, kExact));
    }
    x = weighted(rows, us, weights);
  }
  return x;
}

double quantile(std::vector<double> values, double share) {
  auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

void set_terms(WaveFit& fit, const Row& x) {
  fit.overhead_us = x[0], fit.round_us = x[1], fit.per_k_us = x[2], fit.per_byte_us = x[3];
}

// Launches that the line puts below the floor say where the floor is; the others where the line is.
void fit_rows(WaveFit& fit, const std::vector<Row>& rows, const std::vector<double>& us) {
  constexpr int kAlternations = 4;
  fit.floor_us = quantile(us, 0.01);
  Row x = robust(rows, us);
  for (int step = 0; step < kAlternations; ++step) {
    std::vector<Row> above_rows;
    std::vector<double> above, below;
    for (std::size_t i = 0; i < us.size(); ++i) {
      if (dot(rows[i], x) > fit.floor_us)
        above_rows.push_back(rows[i]), above.push_back(us[i]);
      else
        below.push_back(us[i]);
    }
    if (below.size() > 10) fit.floor_us = quantile(below, 0.5);
    if (above.size() > 2 * kTerms) x = robust(above_rows, above);
  }
  set_terms(fit, x);
}

WaveFit fit_residency(std::span<const KernelTiming> timings, int multiprocessors, WaveFit fit) {
  std::vector<Row> rows;
  std::vector<double> us;
  for (const KernelTiming& t : timings) rows.push_back(row_of(fit, t, multiprocessors)), us.push_back(t.us);
  fit_rows(fit, rows, us);
  return fit;
}

template <class Predict>
FitError errors(std::span<const KernelTiming> timings, Predict predicted) {
  std::vector<double> all;
  double sum = 0;
  for (const KernelTiming& t : timings) {
    all.push_back(std::abs(predicted(t) - t.us) / t.us);
    sum += all.back();
  }
  if (all.empty()) return {};
  return {sum / static_cast<double>(all.size()), quantile(all, 0.5)};
}

void check(std::span<const KernelTiming> timings) {
  if (timings.size() < 20)
    throw Error(Code::bad_value, fmt::format("{} launches are too few for a fit", timings.size()), "timings");
  for (const KernelTiming& t : timings)
    if (!(t.us > 0) || !std::isfinite(t.us) || t.blocks < 1 || t.k < 1)
      throw Error(Code::bad_value, fmt::format("{} us for {} blocks", t.us, t.blocks), "timings");
}

// The same for launches of one shape.
std::size_t part_of(const KernelTiming& t, int folds) {
  std::uint64_t hash = 1469598103934665603ull;
  for (std::int64_t value : {t.blocks, t.k, t.bytes})
    hash = (hash ^ static_cast<std::uint64_t>(value)) * 1099511628211ull, hash ^= hash >> 29;
  return static_cast<std::size_t>(hash % static_cast<std::uint64_t>(folds));
}

}  // namespace

double predict(const WaveFit& fit, const KernelTiming& t, int multiprocessors) {
  return std::max(fit.floor_us, dot(row_of(fit, t, multiprocessors),
                                    {fit.overhead_us, fit.round_us, fit.per_k_us, fit.per_byte_us}));
}

WaveFit fit_waves(std::span<const KernelTiming> timings, int multiprocessors, bool smooth) {
  check(timings);
  WaveFit best;
  double least = std::numeric_limits<double>::infinity();
  for (auto [resident, lone] : kResidencies) {
    WaveFit fit;
    fit.resident = resident, fit.lone = lone, fit.smooth = smooth;
    fit = fit_residency(timings, multiprocessors, fit);
    const double mean = errors(timings, [&](const auto& t) { return predict(fit, t, multiprocessors); }).mean;
    if (mean < least) least = mean, best = fit;
    if (smooth) break;  // it has no residency
  }
  return best;
}

FitError cross_validate(std::span<const KernelTiming> timings, int multiprocessors, bool smooth, int folds) {
  std::vector<KernelTiming> tested;
  std::vector<double> predictions;
  for (int fold = 0; fold < folds; ++fold) {
    std::vector<KernelTiming> learned, held_out;
    for (const KernelTiming& t : timings)
      (part_of(t, folds) == static_cast<std::size_t>(fold) ? held_out : learned).push_back(t);
    const WaveFit fit = fit_waves(learned, multiprocessors, smooth);
    for (const KernelTiming& t : held_out)
      tested.push_back(t), predictions.push_back(predict(fit, t, multiprocessors));
  }
  std::size_t next = 0;
  return errors(tested, [&](const KernelTiming&) { return predictions[next++]; });
}

double predict(const device::Device& device, const WorkFit& fit, const KernelTiming& t) {
  const double us =
      fit.overhead_us + vector_launch_us(device, t.tile, t.blocks, t.k, t.bytes, fit.work, fit.form);
  return std::max(fit.floor_us, us);
}

FitError error_of(const device::Device& device, const WorkFit& fit, std::span<const KernelTiming> timings) {
  return errors(timings, [&](const KernelTiming& t) { return predict(device, fit, t); });
}

WorkFit fit_work(const device::Device& device, std::span<const KernelTiming> timings, const WaveForm& form) {
  check(timings);
  constexpr double kLeast = 0.7, kMost = 6, kStep = 1.02;
  constexpr double kHopeless = 1;  // of a launch that another kernel took part in
  std::vector<double> us;
  for (const KernelTiming& t : timings) us.push_back(t.us);
  WorkFit best;
  best.form = form;
  best.floor_us = quantile(us, 0.03), best.overhead_us = 0.8 * best.floor_us;
  double least = std::numeric_limits<double>::infinity();
  WorkFit fit = best;
  for (fit.work = kLeast; fit.work <= kMost; fit.work *= kStep) {
    double sum = 0;
    for (const KernelTiming& t : timings)
      sum += std::min(kHopeless, std::abs(predict(device, fit, t) - t.us) / t.us);
    if (sum < least) least = sum, best.work = fit.work;
  }
  best.error = error_of(device, best, timings);
  return best;
}

}  // namespace tailor::latency
