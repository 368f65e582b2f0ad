// factorise: scales -> Cholesky factor, weights, variance, evidence. improve: coordinate steps. predict: two triangular
// products.
#include "tailor/tune/surrogate.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tailor::tune {
namespace {

constexpr double kFirstNoise = 1e-3, kLeastNoise = 1e-5, kMostNoise = 0.3;
constexpr double kShortest = 0.05, kLongest = 20;

double matern(double squared) {
  const double r = std::sqrt(5 * squared);
  return (1 + r + r * r / 3) * std::exp(-r);
}

// Squared distance in units of the scales; `inverse` holds 1 / scale^2.
double distance(const std::vector<double>& a, const std::vector<double>& b,
                const std::vector<double>& inverse) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double d = a[i] - b[i];
    sum += d * d * inverse[i];
  }
  return sum;
}

std::vector<double> inverse_squares(const std::vector<double>& scales, std::size_t count) {
  std::vector<double> inverse;
  for (std::size_t i = 0; i < count; ++i) inverse.push_back(1 / (scales[i] * scales[i]));
  return inverse;
}

// In place, row by row; false if the matrix is not positive definite.
bool cholesky(std::vector<double>& a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    double* row = a.data() + i * n;
    for (std::size_t j = 0; j <= i; ++j) {
      const double* other = a.data() + j * n;
      double sum = row[j];
      for (std::size_t k = 0; k < j; ++k) sum -= row[k] * other[k];
      if (i != j)
        row[j] = sum / other[j];
      else if (!(sum > 1e-12))
        return false;
      else
        row[i] = std::sqrt(sum);
    }
  }
  return true;
}

// L x = b
void solve_lower(const std::vector<double>& lower, std::vector<double>& b) {
  const std::size_t n = b.size();
  for (std::size_t i = 0; i < n; ++i) {
    const double* row = lower.data() + i * n;
    double sum = b[i];
    for (std::size_t k = 0; k < i; ++k) sum -= row[k] * b[k];
    b[i] = sum / row[i];
  }
}

// L^T x = b
void solve_upper(const std::vector<double>& lower, std::vector<double>& b) {
  const std::size_t n = b.size();
  for (std::size_t i = n; i-- > 0;) {
    b[i] /= lower[i * n + i];
    for (std::size_t k = 0; k < i; ++k) b[k] -= lower[i * n + k] * b[i];
  }
}

// Log-normal around 1 (a standard deviation of a factor e); the noise around its first value, twice as wide.
double log_prior(const std::vector<double>& scales) {
  double sum = 0;
  for (std::size_t i = 0; i + 1 < scales.size(); ++i) sum -= 0.5 * std::pow(std::log(scales[i]), 2);
  return sum - 0.125 * std::pow(std::log(scales.back() / kFirstNoise), 2);
}

}  // namespace

Surrogate::Surrogate(Points points, std::vector<double> values, const SurrogateOptions& options,
                     std::vector<double> start)
    : points_(std::move(points)), values_(std::move(values)), options_(options) {
  TAILOR_CHECK(!points_.empty() && points_.size() == values_.size());
  const std::size_t dimension = points_.front().size();
  for (const auto& point : points_) TAILOR_CHECK(point.size() == dimension);
  if (start.empty()) start.assign(dimension, 1.0), start.push_back(kFirstNoise);
  TAILOR_CHECK(start.size() == dimension + 1);
  std::optional<Fit> first = factorise(start);
  if (!first) start.back() = kMostNoise, first = factorise(start);
  TAILOR_CHECK(first.has_value());
  fit_ = std::move(*first);
  improve(options_.sweeps);
}

std::optional<Surrogate::Fit> Surrogate::factorise(std::vector<double> scales) const {
  const std::size_t n = points_.size();
  const std::vector<double> inverse = inverse_squares(scales, scales.size() - 1);
  Fit fit;
  fit.lower.resize(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j)
      fit.lower[i * n + j] = matern(distance(points_[i], points_[j], inverse));
    fit.lower[i * n + i] = 1 + scales.back();
  }
  if (!cholesky(fit.lower, n)) return std::nullopt;
  fit.alpha = values_;
  solve_lower(fit.lower, fit.alpha);
  double squares = 0, log_determinant = 0;
  for (std::size_t i = 0; i < n; ++i)
    squares += fit.alpha[i] * fit.alpha[i], log_determinant += std::log(fit.lower[i * n + i]);
  solve_upper(fit.lower, fit.alpha);
  const double degrees = static_cast<double>(n) + options_.weight;
  fit.variance = (squares + options_.weight * options_.usual_sd * options_.usual_sd) / degrees;
  fit.evidence = -0.5 * degrees * std::log(fit.variance) - log_determinant + log_prior(scales);
  fit.scales = std::move(scales);
  return fit;
}

void Surrogate::improve(int sweeps) {
  for (int sweep = 0; sweep < sweeps; ++sweep)
    for (std::size_t i = 0; i < fit_.scales.size(); ++i) {
      const bool noise = i + 1 == fit_.scales.size();
      for (double factor : {noise ? 4.0 : 1.8, noise ? 1 / 4.0 : 1 / 1.8}) {
        std::vector<double> scales = fit_.scales;
        scales[i] =
            std::clamp(scales[i] * factor, noise ? kLeastNoise : kShortest, noise ? kMostNoise : kLongest);
        std::optional<Fit> other = factorise(std::move(scales));
        if (!other || other->evidence <= fit_.evidence) continue;
        fit_ = std::move(*other);
        break;
      }
    }
}

Surrogate::Prediction Surrogate::predict(const std::vector<double>& point) const {
  const std::vector<double> inverse = inverse_squares(fit_.scales, fit_.scales.size() - 1);
  std::vector<double> k(points_.size());
  double mean = 0;
  for (std::size_t i = 0; i < k.size(); ++i) {
    k[i] = matern(distance(points_[i], point, inverse));
    mean += k[i] * fit_.alpha[i];
  }
  solve_lower(fit_.lower, k);
  double explained = 0;
  for (double part : k) explained += part * part;
  return {mean, std::sqrt(fit_.variance * std::max(1e-10, 1 - explained))};
}

}  // namespace tailor::tune
