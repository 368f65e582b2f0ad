/// \file Fair comparison of samples taken in interleaved rounds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::runtime {

/// Order statistics of samples in microseconds; n = 0 gives zeros.
struct Summary {
  std::size_t n = 0;
  double min = 0, p10 = 0, q1 = 0, median = 0, q3 = 0, max = 0;
  /// (q3 - q1) / median: how noisy.
  double spread() const { return median > 0 ? (q3 - q1) / median : 0; }
};
Summary summarize(std::vector<double> samples);

enum class Verdict { faster, same, slower, ambiguous };
const char* name(Verdict verdict);  // "FASTER" ...

/// B against A. `ratio` is the median of the per-round ratios b[i]/a[i] (paired: drift of the machine
/// cancels); lo..hi its 95 % interval by bootstrap over rounds (percentile method, 2000 resamples, seeded).
struct Comparison {
  double ratio = 1, lo = 1, hi = 1;
  Verdict verdict = Verdict::ambiguous;
};
/// FASTER: hi < 1 - margin; SLOWER: lo > 1 + margin; SAME: the interval lies within 1 +- margin; else
/// AMBIGUOUS.
Verdict judge(double lo, double hi, double margin);
/// Judged by `judge`. Fewer than five rounds are always AMBIGUOUS. @pre a.size() == b.size(), all samples > 0
Comparison compare(const std::vector<double>& a, const std::vector<double>& b, double margin = 0.01,
                   std::uint64_t seed = 0);

/// Exact two-sided McNemar test: probability that `b01` and `b10` discordant pairs differ by chance this
/// much.
double mcnemar_p(std::int64_t b01, std::int64_t b10);

}  // namespace tailor::runtime
