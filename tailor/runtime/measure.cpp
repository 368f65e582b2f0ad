// Order statistics, the paired bootstrap and McNemar's exact test.
#include "tailor/runtime/measure.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <algorithm>
#include <cmath>

namespace tailor::runtime {
namespace {

constexpr int kResamples = 2000;
constexpr std::size_t kFewestRounds = 5;

// Linear interpolation between order statistics (Hyndman and Fan's type 7). @pre sorted, not empty
double quantile(const std::vector<double>& sorted, double p) {
  double at = p * static_cast<double>(sorted.size() - 1);
  auto below = static_cast<std::size_t>(at);
  std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return quantile(values, 0.5);
}

}  // namespace

Verdict judge(double lo, double hi, double margin) {
  if (hi < 1 - margin) return Verdict::faster;
  if (lo > 1 + margin) return Verdict::slower;
  return lo >= 1 - margin && hi <= 1 + margin ? Verdict::same : Verdict::ambiguous;
}

Summary summarize(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  auto at = [&](double p) { return quantile(samples, p); };
  return {samples.size(), samples.front(), at(0.1), at(0.25), at(0.5), at(0.75), samples.back()};
}

const char* name(Verdict verdict) {
  switch (verdict) {
    case Verdict::faster:
      return "FASTER";
    case Verdict::same:
      return "SAME";
    case Verdict::slower:
      return "SLOWER";
    case Verdict::ambiguous:
      return "AMBIGUOUS";
  }
  return "?";
}

Comparison compare(const std::vector<double>& a, const std::vector<double>& b, double margin,
                   std::uint64_t seed) {
  TAILOR_CHECK(a.size() == b.size());
  if (a.empty()) return {};
  std::vector<double> ratios(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    TAILOR_CHECK(a[i] > 0 && b[i] > 0);
    ratios[i] = b[i] / a[i];
  }
  Random random(seed);
  std::vector<double> medians(kResamples), resample(ratios.size());
  for (double& result : medians) {
    for (double& ratio : resample) ratio = ratios[random.below(ratios.size())];
    result = median(resample);
  }
  std::sort(medians.begin(), medians.end());
  Comparison c{median(ratios), quantile(medians, 0.025), quantile(medians, 0.975), Verdict::ambiguous};
  if (ratios.size() >= kFewestRounds) c.verdict = judge(c.lo, c.hi, margin);
  return c;
}

double mcnemar_p(std::int64_t b01, std::int64_t b10) {
  TAILOR_CHECK(b01 >= 0 && b10 >= 0);
  const auto n = static_cast<double>(b01 + b10);
  double log_half_power = -n * std::log(2.0), p = 0;
  for (std::int64_t k = 0; k <= std::min(b01, b10); ++k) {
    auto x = static_cast<double>(k);
    p += std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) + log_half_power);
  }
  return std::min(1.0, 2 * p);
}

}  // namespace tailor::runtime
