#include "runners/onednn/timing.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <numeric>
#include <utility>

namespace tailor::onednn {
namespace {

double thread_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}
double wall_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

template <class T>
void read_number(const Json& request, const char* key, T& value, double least, double most) {
  if (!request.contains(key)) return;
  const double found = number(request, key, "request");
  if (!(found >= least) || found > most || (std::is_integral_v<T> && found != std::floor(found)))
    throw Error(Code::bad_value, fmt::format("\"{}\" must be in {}..{}, not {}", key, least, most, found),
                "request");
  value = static_cast<T>(found);
}

// More than the second cache of this core holds; nobody else's data are in it afterwards.
class Sweeper {
 public:
  Sweeper() : lines_(2 * cache_bytes() / sizeof(float), 1.0f) {}
  void sweep() {
    float sum = 0;
    for (std::size_t i = 0; i < lines_.size(); i += 8) sum += lines_[i], lines_[i] = 1.0f;
    sink_ = sum;
  }

 private:
  static std::size_t cache_bytes() {
    const long found = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
    return found > 0 ? static_cast<std::size_t>(found) : std::size_t{1} << 21;
  }
  std::vector<float> lines_;
  volatile float sink_ = 0;
};

double timed_us(const Network& network, int repeats) {
  const double begin = thread_us();
  for (int i = 0; i < repeats; ++i) network.run();
  return (thread_us() - begin) / repeats;
}

int repeats_for(const Network& network, double least_us) {
  network.run();
  const double once = std::max(0.05, timed_us(network, 1));
  return static_cast<int>(std::clamp(std::ceil(least_us / once), 1.0, 1e6));
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// The median of as many runs as last long enough, each after a sweep.
double evicted_us(const Network& network, int repeats, Sweeper& sweeper) {
  constexpr int kMost = 50;
  std::vector<double> us;
  for (int i = 0; i < std::clamp(repeats, 1, kMost); ++i) {
    sweeper.sweep();
    us.push_back(timed_us(network, 1));
  }
  return median(std::move(us));
}

// A run, with the clock read after each layer or not, and whether the thread was let alone meanwhile.
struct Run {
  double us = 0;
  double lost = 0;  // share of the wall time that the thread did not have
  std::vector<double> layer_us = {};
};

double clock_cost_us() {
  constexpr int kTimes = 2000;
  const double begin = wall_us();
  for (int i = 0; i < kTimes; ++i) wall_us();
  return (wall_us() - begin) / kTimes;
}

template <class Work>
Run timed_run(Work work) {
  Run run;
  const double cpu = thread_us(), begin = wall_us();
  work(run);
  const double wall = wall_us() - begin;
  if (run.layer_us.empty()) run.us = wall;
  run.lost = std::max(0.0, 1 - (thread_us() - cpu) / std::max(wall, 1e-3));
  return run;
}

Run whole_run(const Network& network) {
  return timed_run([&](Run&) { network.run(); });
}

Run run_by_layers(const Network& network, double clock_us) {
  return timed_run([&](Run& run) {
    double before = wall_us();
    for (std::size_t i = 0; i < network.layers(); ++i) {
      network.run_layer(i);
      const double now = wall_us();
      run.layer_us.push_back(std::max(0.0, now - before - clock_us));
      run.us += run.layer_us.back();
      before = now;
    }
  });
}

// Both kinds of runs of a network, the i-th of both beside each other; kRunsInTurn of each are one round.
struct Runs {
  std::vector<Run> by_layers, whole;

  // Of the pair that lost more.
  double lost(std::size_t i) const { return std::max(by_layers[i].lost, whole[i].lost); }
};

// The pairs in which least was lost: those below 3 %, but at least a quarter.
std::vector<std::size_t> undisturbed(const Runs& runs) {
  constexpr double kFewest = 0.25, kLost = 0.03;
  std::vector<std::size_t> order(runs.whole.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return runs.lost(a) < runs.lost(b); });
  const auto fewest = static_cast<std::size_t>(std::ceil(kFewest * static_cast<double>(order.size())));
  while (order.size() > fewest && runs.lost(order.back()) > kLost) order.pop_back();
  return order;
}

InPlace gathered(const Runs& runs, std::size_t layers) {
  InPlace result;
  result.layer_us.resize(layers);
  for (std::size_t run : undisturbed(runs)) {
    for (std::size_t i = 0; i < layers; ++i) result.layer_us[i].push_back(runs.by_layers[run].layer_us[i]);
    result.run_us.push_back(runs.by_layers[run].us);
    result.untimed_us.push_back(runs.whole[run].us);
  }
  for (std::size_t first = 0; first < runs.whole.size(); first += kRunsInTurn) {
    const auto begin = runs.whole.begin() + static_cast<std::ptrdiff_t>(first);
    auto less = [](const Run& a, const Run& b) { return a.lost < b.lost; };
    result.round_us.push_back(std::min_element(begin, begin + kRunsInTurn, less)->us);
  }
  return result;
}

// Calls `work` with every index, in a fresh order each round, until the rounds or the time are over.
template <class Work>
void in_rounds(std::size_t jobs, const Measurement& how, const Progress& progress, Work work) {
  Random random(how.seed);
  std::vector<std::size_t> order(jobs);
  std::iota(order.begin(), order.end(), 0);
  const double begin = wall_us();
  double told = begin;
  for (int round = 0; round < how.rounds; ++round) {
    if (round > 0 && how.time_limit_s > 0 && wall_us() - begin > 1e6 * how.time_limit_s) return;
    random.shuffle(order);
    for (std::size_t job : order) work(job);
    if (wall_us() - told < 5e5) continue;
    told = wall_us();
    progress(static_cast<double>(round + 1) / how.rounds);
  }
}

}  // namespace

Measurement parse_measurement(const Json& request) {
  Measurement how;
  int threads = 1;
  read_number(request, "threads", threads, 1, 4096);
  if (threads != 1)
    throw Error(Code::usage, "this runner measures on one thread", "threads", "give --threads 1");
  read_number(request, "rounds", how.rounds, 1, 1e6);
  read_number(request, "min_sample_us", how.min_sample_us, 0, 1e8);
  read_number(request, "seed", how.seed, 0, 1e15);
  read_number(request, "time_limit_s", how.time_limit_s, 0, 1e6);
  if (request.contains("evict")) how.evict = boolean(request, "evict", "request");
  return how;
}

std::vector<std::vector<double>> measure(const std::vector<Network>& jobs, const Measurement& how,
                                         const Progress& progress) {
  std::vector<int> repeats;
  for (const Network& job : jobs) repeats.push_back(repeats_for(job, how.min_sample_us));
  Sweeper sweeper;
  std::vector<std::vector<double>> us(jobs.size());
  in_rounds(jobs.size(), how, progress, [&](std::size_t job) {
    us[job].push_back(how.evict ? evicted_us(jobs[job], repeats[job], sweeper)
                                : timed_us(jobs[job], repeats[job]));
  });
  return us;
}

std::vector<InPlace> measure_in_place(const std::vector<Network>& networks, const Measurement& how,
                                      const Progress& progress) {
  const double clock_us = clock_cost_us();
  std::vector<Runs> runs(networks.size());
  in_rounds(networks.size(), how, progress, [&](std::size_t n) {
    networks[n].run();
    for (int i = 0; i < kRunsInTurn; ++i) {
      runs[n].whole.push_back(whole_run(networks[n]));
      runs[n].by_layers.push_back(run_by_layers(networks[n], clock_us));
    }
  });
  std::vector<InPlace> result;
  for (std::size_t n = 0; n < networks.size(); ++n) result.push_back(gathered(runs[n], networks[n].layers()));
  return result;
}

}  // namespace tailor::onednn
