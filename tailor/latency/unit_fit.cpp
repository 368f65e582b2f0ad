// fit_unit = best over a grid of blocks of solve(); solve = least squares over every subset of the four numbers, of which the
// best without a negative one counts. held_out: the same on parts.
#include "tailor/latency/unit_fit.h"

#include "tailor/base/error.h"
#include "tailor/latency/platform_cost.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

namespace tailor::latency {
namespace {

constexpr std::size_t kNumbers = 4, kFewest = 10, kFolds = 5;
constexpr double kFree = 1e12;  // a rate at which something costs nothing
using Numbers =
    std::array<double, kNumbers>;  // microseconds: start, per product, per depthwise product, per element

Numbers work_of(const Workload& workload, double outputs, double inputs) {
  const BlockWork work = block_work(workload, outputs, inputs);
  return {1, work.macs, work.depthwise_macs, work.elements};
}

double dot(const Numbers& a, const Numbers& b) {
  double sum = 0;
  for (std::size_t i = 0; i < kNumbers; ++i) sum += a[i] * b[i];
  return sum;
}

// Gaussian elimination with pivoting on the numbers of `set`; nothing if they do not determine each other.
std::optional<Numbers> eliminate(std::array<Numbers, kNumbers> a, Numbers b, unsigned set) {
  std::vector<std::size_t> free;
  for (std::size_t i = 0; i < kNumbers; ++i)
    if (set >> i & 1) free.push_back(i);
  for (std::size_t k = 0; k < free.size(); ++k) {
    std::size_t pivot = k;
    for (std::size_t r = k + 1; r < free.size(); ++r)
      if (std::abs(a[free[r]][free[k]]) > std::abs(a[free[pivot]][free[k]])) pivot = r;
    if (std::abs(a[free[pivot]][free[k]]) < 1e-12) return std::nullopt;
    std::swap(a[free[pivot]], a[free[k]]), std::swap(b[free[pivot]], b[free[k]]);
    for (std::size_t r = k + 1; r < free.size(); ++r) {
      const double factor = a[free[r]][free[k]] / a[free[k]][free[k]];
      for (std::size_t c = k; c < free.size(); ++c) a[free[r]][free[c]] -= factor * a[free[k]][free[c]];
      b[free[r]] -= factor * b[free[k]];
    }
  }
  Numbers x = {};
  for (std::size_t k = free.size(); k-- > 0;) {
    double sum = b[free[k]];
    for (std::size_t c = k + 1; c < free.size(); ++c) sum -= a[free[k]][free[c]] * x[free[c]];
    x[free[k]] = sum / a[free[k]][free[k]];
  }
  return x;
}

struct Solution {
  Numbers numbers = {};
  double error = std::numeric_limits<double>::infinity();  // mean absolute relative one
};

// A row per layer: its work over its time, so that the sum should be 1; columns are scaled to a largest entry of 1.
class LeastSquares {
 public:
  LeastSquares(std::span<const LayerTiming> timings, double outputs, double inputs) {
    for (const LayerTiming& timing : timings) {
      Numbers row = work_of(timing.workload, outputs, inputs);
      for (std::size_t i = 0; i < kNumbers; ++i) row[i] /= timing.us, scale_[i] = std::max(scale_[i], row[i]);
      rows_.push_back(row);
    }
    for (Numbers& row : rows_)
      for (std::size_t i = 0; i < kNumbers; ++i)
        if (scale_[i] > 0) row[i] /= scale_[i];
    weights_.assign(rows_.size(), 1);
  }

  Solution solve() {
    Solution best = weighted();
    for (std::size_t l = 0; l < rows_.size(); ++l)
      weights_[l] = 1 / std::max(0.02, std::abs(dot(scaled(best), rows_[l]) - 1));
    const Solution again = weighted();
    return again.error < best.error ? again : best;
  }

 private:
  Numbers scaled(const Solution& solution) const {
    Numbers x = solution.numbers;
    for (std::size_t i = 0; i < kNumbers; ++i) x[i] *= scale_[i];
    return x;
  }

  Solution weighted() const {
    std::array<Numbers, kNumbers> a = {};
    Numbers b = {};
    for (std::size_t l = 0; l < rows_.size(); ++l)
      for (std::size_t i = 0; i < kNumbers; ++i) {
        b[i] += weights_[l] * rows_[l][i];
        for (std::size_t j = 0; j < kNumbers; ++j) a[i][j] += weights_[l] * rows_[l][i] * rows_[l][j];
      }
    Solution best;
    for (unsigned set = 1; set < 1u << kNumbers; ++set) {
      const std::optional<Numbers> x = eliminate(a, b, set);
      if (!x || std::any_of(x->begin(), x->end(), [](double v) { return !(v >= 0) || !std::isfinite(v); }))
        continue;
      double error = 0;
      for (const Numbers& row : rows_) error += std::abs(dot(*x, row) - 1);
      error /= static_cast<double>(rows_.size());
      if (error >= best.error) continue;
      best.error = error, best.numbers = *x;
      for (std::size_t i = 0; i < kNumbers; ++i) best.numbers[i] /= scale_[i] > 0 ? scale_[i] : 1;
    }
    return best;
  }

  std::vector<Numbers> rows_;
  std::vector<double> weights_;
  Numbers scale_ = {};
};

double rate(double us_each, double frequency_mhz) {
  return us_each > 0 ? std::clamp(1 / (us_each * frequency_mhz), 1e-3, kFree) : kFree;
}

std::map<std::string, double> best_parameters(std::span<const LayerTiming> timings, double frequency_mhz) {
  constexpr std::array<double, 7> kBlocks = {1, 2, 4, 8, 16, 32, 64};
  Solution best;
  double best_outputs = 1, best_inputs = 1;
  for (double outputs : kBlocks)
    for (double inputs : kBlocks) {
      const Solution found = LeastSquares(timings, outputs, inputs).solve();
      // A larger block has to earn its place: equal ones explain nothing.
      if (found.error < best.error * 0.999) best = found, best_outputs = outputs, best_inputs = inputs;
    }
  return {{"outputs", best_outputs},
          {"inputs", best_inputs},
          {"start", best.numbers[0] * frequency_mhz},
          {"macs_per_cycle", rate(best.numbers[1], frequency_mhz)},
          {"depthwise_macs_per_cycle", rate(best.numbers[2], frequency_mhz)},
          {"elements_per_cycle", rate(best.numbers[3], frequency_mhz)}};
}

RelativeError summary(std::vector<double> errors) {
  if (errors.empty()) return {};
  std::sort(errors.begin(), errors.end());
  const std::size_t n = errors.size();
  return {n, errors[n / 2], errors[std::min(n - 1, n * 9 / 10)], errors.back()};
}

std::vector<double> errors_of(const std::map<std::string, double>& parameters,
                              std::span<const LayerTiming> timings, double frequency_mhz) {
  std::vector<double> errors;
  for (const LayerTiming& timing : timings)
    errors.push_back(std::abs(predict_us(parameters, timing.workload, frequency_mhz) / timing.us - 1));
  return errors;
}

}  // namespace

double predict_us(const std::map<std::string, double>& parameters, const Workload& workload,
                  double frequency_mhz) {
  const Numbers work = work_of(workload, parameters.at("outputs"), parameters.at("inputs"));
  return (parameters.at("start") + work[1] / parameters.at("macs_per_cycle") +
          work[2] / parameters.at("depthwise_macs_per_cycle") +
          work[3] / parameters.at("elements_per_cycle")) /
         frequency_mhz;
}

RelativeError error_of(const std::map<std::string, double>& parameters, std::span<const LayerTiming> timings,
                       double frequency_mhz) {
  return summary(errors_of(parameters, timings, frequency_mhz));
}

UnitFit fit_unit(std::span<const LayerTiming> timings, double frequency_mhz) {
  if (timings.size() < kFewest)
    throw Error(Code::bad_value, "a unit is fitted to at least ten layers", "timings", "give more layers");
  for (const LayerTiming& timing : timings)
    if (!(timing.us > 0) || !std::isfinite(timing.us))
      throw Error(Code::bad_value, "a time that is not positive", to_string(timing.workload));
  UnitFit fit;
  fit.parameters = best_parameters(timings, frequency_mhz);
  fit.fitted = error_of(fit.parameters, timings, frequency_mhz);
  std::vector<double> errors;
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    std::vector<LayerTiming> rest, out;
    for (std::size_t i = 0; i < timings.size(); ++i) (i % kFolds == fold ? out : rest).push_back(timings[i]);
    const std::vector<double> found = errors_of(best_parameters(rest, frequency_mhz), out, frequency_mhz);
    errors.insert(errors.end(), found.begin(), found.end());
  }
  fit.held_out = summary(std::move(errors));
  return fit;
}

}  // namespace tailor::latency
