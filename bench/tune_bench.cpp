// tune_bench DATA [SEEDS [TRIALS [NAME]]]: searchers replayed on the measured spaces in DATA/gpu/benchmark_hub, as Markdown
// tables: how far from the optimum after so many trials, and how many trials until 5 %; then the same with the records
// of another device as a prior. NAME: only spaces whose name holds it.
#include "bench/benchmark_hub.h"
#include "tailor/base/error.h"
#include "tailor/base/parallel.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <memory>

namespace {

using namespace tailor;
using tune::MeasuredSpace;
using Curve = std::vector<double>;
using Make = std::function<std::unique_ptr<tune::Searcher>(const MeasuredSpace&, std::uint64_t)>;

constexpr double kWithin = 1.05;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// One curve per seed, in units of the optimum.
std::vector<Curve> curves(const MeasuredSpace& measured, const Make& make, int seeds, int trials) {
  std::vector<Curve> all(static_cast<std::size_t>(seeds));
  const double best = measured.best_us();
  in_parallel(seeds, [&](int seed) {
    std::unique_ptr<tune::Searcher> searcher = make(measured, static_cast<std::uint64_t>(seed) + 1);
    Curve curve = tune::replay(*searcher, measured, trials);
    for (double& us : curve) us /= best;
    all[static_cast<std::size_t>(seed)] = std::move(curve);
  });
  return all;
}

// Median over the seeds after so many trials, in per cent above the optimum.
std::string above(const std::vector<Curve>& all, int trials) {
  std::vector<double> at;
  for (const Curve& curve : all)
    at.push_back(curve[std::min(curve.size(), static_cast<std::size_t>(trials)) - 1]);
  return fmt::format("{:.1f}", 100 * (median(at) - 1));
}

// Median number of trials until within 5 %, and the share of seeds that came there.
std::string until(const std::vector<Curve>& all, int trials) {
  std::vector<double> needed;
  int arrived = 0;
  for (const Curve& curve : all) {
    const int at = tune::first_within(curve, kWithin);
    arrived += at > 0;
    needed.push_back(at > 0 ? at : 2.0 * trials);
  }
  const double middle = median(needed);
  return fmt::format("{} | {:.0f} %",
                     middle > trials ? fmt::format("> {}", trials) : fmt::format("{:.0f}", middle),
                     100.0 * arrived / static_cast<double>(all.size()));
}

// Those whose name holds `part`.
std::vector<benchmark_hub::Table> tables_with(const std::string& part) {
  std::vector<benchmark_hub::Table> list = benchmark_hub::tables();
  std::erase_if(list, [&](const benchmark_hub::Table& table) {
    return std::string(table.name).find(part) == std::string::npos;
  });
  return list;
}

void plain(const std::filesystem::path& data, int seeds, int trials, const std::string& part) {
  fmt::print(
      "| space | configurations | within 5 % | searcher | 20 trials | 50 | {} | until 5 % | seeds there | s "
      "per run |\n"
      "|---|--:|--:|---|--:|--:|--:|--:|--:|--:|\n",
      trials);
  for (const auto& table : tables_with(part)) {
    const MeasuredSpace measured = benchmark_hub::read(data, table.name);
    const auto near =
        std::count_if(measured.trials.begin(), measured.trials.end(),
                      [&](const tune::Trial& t) { return t.us <= kWithin * measured.best_us(); });
    for (const char* name : {"model", "evolution", "random"}) {
      const auto start = std::chrono::steady_clock::now();
      const std::vector<Curve> all = curves(
          measured,
          [&](const MeasuredSpace& m, std::uint64_t seed) {
            return tune::make_searcher(name, m.space, seed);
          },
          seeds, trials);
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      fmt::print("| {} | {} | {} | {} | {} | {} | {} | {} | {:.2f} |\n", table.name, measured.space.count(),
                 near, name, above(all, 20), above(all, 50), above(all, trials), until(all, trials),
                 spent.count() / seeds);
      std::fflush(stdout);
    }
  }
}

void transferred(const std::filesystem::path& data, int seeds, const std::string& part) {
  constexpr int kTrials = 40;
  fmt::print(
      "\n| space | records of | their best here | order alike (tau) | 5 trials | 10 | 20 | 40 | until 5 % | "
      "seeds there "
      "|\n|---|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  for (const auto& table : tables_with(part)) {
    const MeasuredSpace measured = benchmark_hub::read(data, table.name);
    const MeasuredSpace other = benchmark_hub::read(data, table.neighbour);
    const std::vector<tune::Trial> trials = tune::translate(other, measured.space);
    const tune::Prior prior(measured.space, trials, table.neighbour);
    std::vector<double> theirs, ours;
    for (std::size_t i = 0; i < trials.size(); i += 7)
      theirs.push_back(trials[i].us), ours.push_back(measured.trial(trials[i].configuration).us);
    const std::vector<Curve> all = curves(
        measured,
        [&](const MeasuredSpace& m, std::uint64_t seed) {
          return tune::search_by_model(m.space, seed, {}, prior);
        },
        seeds, kTrials);
    fmt::print("| {} | {} | {} | {:.2f} | {} | {} | {} | {} | {} |\n", table.name, table.neighbour,
               above(all, 1), tune::kendall_tau(theirs, ours), above(all, 5), above(all, 10), above(all, 20),
               above(all, kTrials), until(all, kTrials));
    std::fflush(stdout);
  }
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 2) return fmt::print(stderr, "usage: tune_bench DATA [SEEDS [TRIALS [NAME]]]\n"), 2;
  const int seeds = count > 2 ? std::atoi(arguments[2]) : 20,
            trials = count > 3 ? std::atoi(arguments[3]) : 100;
  if (seeds < 1 || trials < 50) return fmt::print(stderr, "SEEDS from 1, TRIALS from 50\n"), 2;
  const std::string part = count > 4 ? arguments[4] : "";
  plain(arguments[1], seeds, trials, part);
  transferred(arguments[1], seeds, part);
  return 0;
} catch (const Error& error) {
  fmt::print(stderr, "{}: {}\n", error.place(), error.what());
  return 1;
}
