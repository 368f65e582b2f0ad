// time_apart: processes until there are enough and the time is over. compare_apart: medians of processes -> Student.
#include "tailor/runtime/apart.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <numeric>

namespace tailor::runtime {
namespace {

constexpr std::size_t kFewestRounds = 5;

// Two-sided 95 % quantile of Student's t for 1 to 30 degrees of freedom; beyond, the normal's with the first
// correction term (Abramowitz and Stegun 26.7.5), off by less than 0.001.
double student(std::size_t freedom) {
  constexpr std::array<double, 30> kTable = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                             2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                             2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                             2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
  if (freedom <= kTable.size()) return kTable[freedom - 1];
  constexpr double z = 1.959964;
  return z + (z * z * z + z) / (4 * static_cast<double>(freedom));
}

double log_ratio(const std::vector<double>& a, const std::vector<double>& b) {
  TAILOR_CHECK(a.size() == b.size() && !a.empty());
  std::vector<double> ratios(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    TAILOR_CHECK(a[i] > 0 && b[i] > 0);
    ratios[i] = b[i] / a[i];
  }
  return std::log(summarize(std::move(ratios)).median);
}

std::size_t rounds_of(const std::vector<std::vector<double>>& parts) {
  std::size_t rounds = 0;
  for (const auto& part : parts) rounds += part.size();
  return rounds;
}

void append(TimedApart& timed, std::vector<Samples>&& samples, bool same_process) {
  timed.us.resize(samples.size());
  for (std::size_t j = 0; j < samples.size(); ++j) {
    auto& parts = timed.us[j];
    if (!same_process) parts.emplace_back();
    parts.back().insert(parts.back().end(), samples[j].us.begin(), samples[j].us.end());
    timed.clock = samples[j].clock;
  }
}

void time_one(TimedApart& timed, const RunnerOptions& how, std::span<const Job> jobs, TimingOptions timing,
              int fewest_rounds) {
  Runner runner(how);
  timed.hello = runner.hello();
  append(timed, runner.time(jobs, timing), false);
  const int missing = fewest_rounds - static_cast<int>(timed.us.front().back().size());
  if (missing <= 0) return;
  timing.rounds = missing, timing.time_limit_s = 0, timing.seed ^= std::uint64_t{1} << 52;
  append(timed, runner.time(jobs, timing), true);
}

}  // namespace

TimedApart time_apart(const RunnerOptions& runner, std::span<const Job> jobs, const ApartOptions& options) {
  TAILOR_CHECK(!jobs.empty() && options.processes >= 1);
  const auto start = std::chrono::steady_clock::now();
  auto spent = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  TimedApart timed;
  RunnerOptions how = runner;
  how.on_progress = [&](double done) {
    if (!runner.on_progress) return;
    const double counted = (timed.processes() + done) / options.processes;
    const double share = options.time_s > 0 ? std::min(counted, spent() / options.time_s) : counted;
    runner.on_progress(std::min(1.0, share));
  };
  TimingOptions timing = options.timing;
  while (timed.processes() < options.processes || spent() < options.time_s) {
    time_one(timed, how, jobs, timing, options.fewest_rounds);
    ++timing.seed;
  }
  return timed;
}

Comparison compare_apart(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b,
                         double margin) {
  TAILOR_CHECK(a.size() == b.size() && !a.empty());
  if (a.size() == 1) return compare(a.front(), b.front(), margin);
  std::vector<double> logs;
  for (std::size_t p = 0; p < a.size(); ++p) logs.push_back(log_ratio(a[p], b[p]));
  const auto n = static_cast<double>(logs.size());
  const double mean = std::accumulate(logs.begin(), logs.end(), 0.0) / n;
  double squares = 0;
  for (double x : logs) squares += (x - mean) * (x - mean);
  const double half = student(logs.size() - 1) * std::sqrt(squares / (n - 1) / n);
  Comparison c{std::exp(mean), std::exp(mean - half), std::exp(mean + half), Verdict::ambiguous};
  if (rounds_of(a) >= kFewestRounds) c.verdict = judge(c.lo, c.hi, margin);
  return c;
}

}  // namespace tailor::runtime
