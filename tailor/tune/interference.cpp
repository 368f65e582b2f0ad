// Visit: the medians of one visit's windows. Visits of a cell are lists that runtime::compare judges as pairs.
#include "tailor/tune/interference.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/base/random.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace tailor::tune {
namespace {

using Clock = std::chrono::steady_clock;

double median(std::vector<double> values) { return runtime::summarize(std::move(values)).median; }

// Medians of the three windows, by part.
struct Visit {
  std::array<double, 2> alone = {}, beside = {};
  bool whole() const { return alone[0] > 0 && alone[1] > 0 && beside[0] > 0 && beside[1] > 0; }
};

bool steady(const std::array<double, 2>& before, const std::array<double, 2>& after, double drift) {
  for (std::size_t part = 0; part < 2; ++part)
    if (!(before[part] > 0 && after[part] > 0) || std::abs(after[part] / before[part] - 1) > drift)
      return false;
  return true;
}

// Nothing if the cores' speed changed meanwhile, or no sample of one kernel fell into the other's time.
std::optional<Visit> visit(std::size_t first, std::size_t second, const InterferenceBench& bench,
                           double drift, Random& random) {
  Visit found;
  std::vector<int> windows = {0, 1, 2};
  random.shuffle(windows);
  const std::array<double, 2> before = bench.sentinels();
  for (int window : windows) {
    throw_if_interrupted();
    if (window == 0) found.alone[0] = median(bench.run(first, std::nullopt)[0]);
    if (window == 1) found.alone[1] = median(bench.run(std::nullopt, second)[1]);
    if (window != 2) continue;
    const WindowTimes both = bench.run(first, second);
    found.beside = {median(both[0]), median(both[1])};
  }
  if (!steady(before, bench.sentinels(), drift) || !found.whole()) return std::nullopt;
  return found;
}

struct Lists {
  std::array<std::vector<double>, 2> alone, beside;
};

Slowdown judged(const std::vector<double>& alone, const std::vector<double>& beside, double margin,
                std::uint64_t seed) {
  if (alone.empty()) return {};
  return {runtime::compare(alone, beside, margin, seed), median(alone), median(beside)};
}

}  // namespace

InterferenceMatrix measure_interference(std::size_t kernels, const InterferenceBench& bench,
                                        const InterferenceOptions& options) {
  TAILOR_CHECK(kernels >= 1 && options.rounds >= 1 && options.patience >= 1);
  const auto start = Clock::now();
  auto seconds = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  InterferenceMatrix matrix{kernels, std::vector<InterferenceCell>(kernels * kernels)};
  std::vector<Lists> lists(matrix.cells.size());
  std::vector<std::size_t> order(matrix.cells.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(options.seed);
  auto in_time = [&] { return matrix.rounds == 0 || options.seconds <= 0 || seconds() < options.seconds; };
  while (matrix.rounds < options.rounds && in_time()) {
    random.shuffle(order);
    for (std::size_t done = 0; done < order.size(); ++done) {
      const std::size_t cell = order[done];
      std::optional<Visit> found;
      for (int attempt = 0; attempt < options.patience && !found; ++attempt) {
        found = visit(cell / kernels, cell % kernels, bench, options.drift, random);
        if (!found) ++matrix.cells[cell].thrown;
      }
      for (std::size_t part = 0; found && part < 2; ++part)
        lists[cell].alone[part].push_back(found->alone[part]),
            lists[cell].beside[part].push_back(found->beside[part]);
      if (options.on_progress)
        options.on_progress(
            (matrix.rounds + static_cast<double>(done + 1) / static_cast<double>(order.size())) /
            options.rounds);
    }
    ++matrix.rounds;
  }
  for (std::size_t cell = 0; cell < lists.size(); ++cell) {
    InterferenceCell& c = matrix.cells[cell];
    c.kept = static_cast<int>(lists[cell].alone[0].size());
    c.first = judged(lists[cell].alone[0], lists[cell].beside[0], options.margin, options.seed);
    c.second = judged(lists[cell].alone[1], lists[cell].beside[1], options.margin, options.seed);
  }
  matrix.seconds = seconds();
  return matrix;
}

std::optional<double> InterferenceMatrix::percentile(double percent) const {
  TAILOR_CHECK(percent > 0 && percent <= 100);
  constexpr int kEnough = 5;
  std::vector<double> ratios;
  for (const InterferenceCell& cell : cells)
    if (cell.kept >= kEnough)
      ratios.insert(ratios.end(), {cell.first.over_alone.ratio, cell.second.over_alone.ratio});
  if (ratios.empty()) return std::nullopt;
  std::sort(ratios.begin(), ratios.end());
  const double rank = std::ceil(percent / 100 * static_cast<double>(ratios.size()));
  return ratios[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

WindowTimes samples_of_both(const std::vector<TimedSample>& first, const std::vector<TimedSample>& second) {
  WindowTimes times;
  if (first.empty() || second.empty()) return times;
  auto inside = [](const std::vector<TimedSample>& list, const std::vector<TimedSample>& other) {
    std::vector<double> us;
    for (const TimedSample& sample : list)
      if (sample.begin_us >= other.front().begin_us && sample.end_us <= other.back().end_us)
        us.push_back(sample.us);
    return us;
  };
  return {inside(first, second), inside(second, first)};
}

}  // namespace tailor::tune
