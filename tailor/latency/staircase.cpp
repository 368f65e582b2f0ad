// find_staircase = noise_of -> deviations (cost of every segment, by running medians) -> partition (dynamic
// programming)
// -> treads -> edges. worthwhile_widths and free_widths look at the latencies only.
#include "tailor/latency/staircase.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <queue>

namespace tailor::latency {
namespace {

void check_sweep(std::span<const std::int64_t> widths, std::span<const double> latencies) {
  auto reject = [](const std::string& what) { throw Error(Code::bad_value, what, "sweep of widths"); };
  if (widths.size() != latencies.size() || widths.empty())
    reject(fmt::format("{} widths and {} latencies", widths.size(), latencies.size()));
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (i > 0 && widths[i] <= widths[i - 1])
      reject(fmt::format("width {} after {}", widths[i], widths[i - 1]));
    if (!(latencies[i] > 0) || !std::isfinite(latencies[i]))
      reject(fmt::format("latency {} us at width {}", latencies[i], widths[i]));
  }
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

// Deviation of one value, from the differences of neighbours: jumps are few, so the median does not see them.
double noise_of(const std::vector<double>& logs) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < logs.size(); ++i) steps.push_back(std::abs(logs[i] - logs[i - 1]));
  return 1.4826 * median(std::move(steps)) / std::numbers::sqrt2;
}

// Sum of absolute deviations from the median of a growing set: two heaps and their sums.
class Deviations {
 public:
  double add(double value) {
    if (low_.empty() || value <= low_.top())
      low_.push(value), low_sum_ += value;
    else
      high_.push(value), high_sum_ += value;
    if (low_.size() > high_.size() + 1) move(low_, low_sum_, high_, high_sum_);
    if (high_.size() > low_.size()) move(high_, high_sum_, low_, low_sum_);
    double centre = low_.top();
    return std::max(0.0, centre * static_cast<double>(low_.size()) - low_sum_ + high_sum_ -
                             centre * static_cast<double>(high_.size()));
  }

 private:
  template <class From, class To>
  static void move(From& from, double& from_sum, To& to, double& to_sum) {
    double value = from.top();
    from.pop(), from_sum -= value;
    to.push(value), to_sum += value;
  }
  std::priority_queue<double> low_;
  std::priority_queue<double, std::vector<double>, std::greater<>> high_;
  double low_sum_ = 0, high_sum_ = 0;
};

// First indices of the segments that minimise sum of deviations / sigma + penalty per segment.
std::vector<std::size_t> partition(const std::vector<double>& logs, double sigma, double penalty) {
  const std::size_t n = logs.size();
  std::vector<double> best(n + 1, std::numeric_limits<double>::infinity());  // of the first i values
  std::vector<std::size_t> from(n + 1, 0);
  best[0] = 0;
  for (std::size_t first = 0; first < n; ++first) {
    Deviations deviations;
    for (std::size_t last = first; last < n; ++last) {
      double cost = best[first] + deviations.add(logs[last]) / sigma + penalty;
      if (cost < best[last + 1]) best[last + 1] = cost, from[last + 1] = first;
    }
  }
  std::vector<std::size_t> starts;
  for (std::size_t end = n; end > 0; end = from[end]) starts.push_back(from[end]);
  std::reverse(starts.begin(), starts.end());
  return starts;
}

Tread tread_of(const Staircase& s, std::size_t first, std::size_t last) {
  std::vector<double> inside(s.latencies_us.begin() + static_cast<std::ptrdiff_t>(first),
                             s.latencies_us.begin() + static_cast<std::ptrdiff_t>(last) + 1);
  Tread tread{s.widths[first], s.widths[last], median(inside), 0};
  const double least = *std::min_element(inside.begin(), inside.end());
  for (std::size_t i = first; i <= last; ++i)
    if (s.latencies_us[i] <= least * std::exp(2 * s.sigma)) tread.best = s.widths[i];
  return tread;
}

struct Segment {
  std::size_t first, last;
  double level;  // median of log latency
};

// Mean of the one or two values of the segment next to its left or right end.
double near_end(const std::vector<double>& logs, const Segment& segment, bool right) {
  std::size_t a = right ? segment.last : segment.first;
  std::size_t b = segment.first == segment.last ? a : right ? a - 1 : a + 1;
  return (logs[a] + logs[b]) / 2;
}

bool is_edge(const std::vector<double>& logs, const Segment& left, const Segment& right, double least_jump) {
  const double jump = right.level - left.level;
  const double local = near_end(logs, right, false) - near_end(logs, left, true);
  return jump > least_jump && local > least_jump && local > jump / 2;
}

std::size_t index_of(const Staircase& s, std::int64_t width) {
  auto at = std::lower_bound(s.widths.begin(), s.widths.end(), width);
  if (at == s.widths.end() || *at != width)
    throw Error(Code::bad_value, fmt::format("width {} was not measured", width), "sweep of widths");
  return static_cast<std::size_t>(at - s.widths.begin());
}

}  // namespace

Staircase find_staircase(std::span<const std::int64_t> widths, std::span<const double> latencies_us,
                         const StaircaseOptions& options) {
  check_sweep(widths, latencies_us);
  Staircase s{{widths.begin(), widths.end()}, {latencies_us.begin(), latencies_us.end()}, 0, {}, {}};
  std::vector<double> logs;
  for (double latency : latencies_us) logs.push_back(std::log(latency));
  s.sigma = std::max(options.least_sigma, noise_of(logs));
  const double penalty =
      options.penalty * std::log(static_cast<double>(std::max<std::size_t>(logs.size(), 2)));
  const std::vector<std::size_t> starts = partition(logs, s.sigma, penalty);
  std::vector<Segment> segments;
  for (std::size_t k = 0; k < starts.size(); ++k) {
    std::size_t first = starts[k], last = (k + 1 < starts.size() ? starts[k + 1] : logs.size()) - 1;
    s.treads.push_back(tread_of(s, first, last));
    segments.push_back({first, last, std::log(s.treads.back().level_us)});
  }
  for (std::size_t k = 0; k + 1 < segments.size(); ++k) {
    if (!is_edge(logs, segments[k], segments[k + 1], options.least_jump)) continue;
    const Tread &low = s.treads[k], &high = s.treads[k + 1];
    s.edges.push_back({low.last, high.first, high.level_us - low.level_us, high.level_us / low.level_us});
  }
  return s;
}

std::vector<std::int64_t> worthwhile_widths(std::span<const std::int64_t> widths,
                                            std::span<const double> latencies_us, double tolerance) {
  check_sweep(widths, latencies_us);
  std::vector<std::int64_t> result;
  double fastest = std::numeric_limits<double>::infinity();
  for (std::size_t i = widths.size(); i-- > 0;) {
    if (!(latencies_us[i] < fastest * (1 - tolerance))) continue;
    fastest = latencies_us[i];
    result.push_back(widths[i]);
  }
  std::reverse(result.begin(), result.end());
  return result;
}

FreeWidths free_widths(const Staircase& s, std::int64_t width, double tolerance, std::size_t count) {
  const std::size_t at = index_of(s, width);
  FreeWidths result;
  result.present_us = s.latencies_us[at];
  for (std::size_t i = at + 1; i < s.widths.size(); ++i)
    if (s.latencies_us[i] <= result.present_us * (1 + tolerance)) result.wider = s.widths[i];
  double fastest = result.present_us;
  for (std::size_t i = at; i-- > 0 && result.narrower.size() < count;) {
    if (!(s.latencies_us[i] < fastest * (1 - tolerance))) continue;
    fastest = s.latencies_us[i];
    result.narrower.push_back(s.widths[i]);
  }
  return result;
}

}  // namespace tailor::latency
