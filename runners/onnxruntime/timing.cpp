// Fair timing. All models are warmed up first; then every round times each of them once, in a fresh random
// order, so that drift of the machine hits all alike. A sample is a block of runs, or, with eviction, single
// runs each behind a sweep through a buffer of twice the L2.
#include "runners/onnxruntime/timing.h"

#include "runners/onnxruntime/host.h"
#include "runners/onnxruntime/layer.h"
#include "runners/onnxruntime/trace.h"
#include "tailor/base/random.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

namespace tailor::ort {
namespace {

constexpr std::size_t kMostRepeats = 100000, kMostEvictedRuns = 16, kFewestEvictedRuns = 3;
constexpr int kMostWarmUpSamples = 8;

double median(std::vector<double> values) {
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double timed(Prepared& model, const StopWatch& watch, std::size_t repeats) {
  double start = watch.now_us();
  for (std::size_t i = 0; i < repeats; ++i) model.run();
  return watch.now_us() - start;
}

bool agree(const std::vector<double>& samples) {
  if (samples.size() < 3) return false;
  auto [lo, hi] = std::minmax_element(samples.end() - 3, samples.end());
  return *hi <= *lo * 1.02;
}

double evicted_sample(Prepared& model, const StopWatch& watch, Evictor& evictor, double min_sample_us) {
  std::vector<double> runs;
  double total = 0;
  while (runs.size() < kFewestEvictedRuns || (total < min_sample_us && runs.size() < kMostEvictedRuns)) {
    evictor.evict();
    runs.push_back(timed(model, watch, 1));
    total += runs.back();
  }
  return median(std::move(runs));
}

void touch(std::vector<char>& buffer) {
  volatile char* at = buffer.data();
  for (std::size_t i = 0; i < buffer.size(); i += 64) at[i] = static_cast<char>(at[i] + 1);
}

template <class T>
void read_positive(const Json& request, const char* key, T& value, double most) {
  if (!request.contains(key)) return;
  double found = number(request, key, "request");
  if (!(found >= 0) || found > most || (std::is_integral_v<T> && found != std::floor(found)))
    throw Error(Code::bad_value, fmt::format("\"{}\" must be in 0..{}, not {}", key, most, found));
  value = static_cast<T>(found);
}

}  // namespace

double StopWatch::now_us() const {
  timespec time{};
  ::clock_gettime(id_, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

double StopWatch::overhead_us() const {
  std::vector<double> empty(101);
  for (double& sample : empty) {
    double start = now_us();
    sample = now_us() - start;
  }
  return median(std::move(empty));
}

Evictor::Evictor(int threads, std::size_t l2_bytes)
    : buffers_(static_cast<std::size_t>(threads), std::vector<char>(2 * l2_bytes)) {}

void Evictor::evict() {
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < buffers_.size(); ++i) others.emplace_back([this, i] { touch(buffers_[i]); });
  touch(buffers_.front());
}

Measurement parse_measurement(const Json& request) {
  Measurement how;
  read_positive(request, "threads", how.threads, 1024);
  read_positive(request, "rounds", how.rounds, 1000000);
  read_positive(request, "min_sample_us", how.min_sample_us, 1e9);
  read_positive(request, "seed", how.seed, 9007199254740992.0);
  read_positive(request, "time_limit_s", how.time_limit_s, 1e7);
  if (request.contains("evict")) how.evict = boolean(request, "evict", "request");
  how.threads = std::max(1, how.threads);
  how.rounds = std::max(1, how.rounds);
  return how;
}

std::size_t warm_up(Prepared& model, const StopWatch& watch, double min_sample_us) {
  model.run();
  std::size_t repeats = 1;
  double last = timed(model, watch, repeats), spent = last;
  while (last < min_sample_us && repeats < kMostRepeats) {
    double wanted = last > 0 ? 1.1 * min_sample_us / last : 2.0;
    repeats =
        static_cast<std::size_t>(std::ceil(static_cast<double>(repeats) * std::clamp(wanted, 1.1, 8.0)));
    last = timed(model, watch, repeats);
    spent += last;
  }
  std::vector<double> samples = {last};
  const double patience = 20 * min_sample_us + 3 * last;
  while (!agree(samples) && samples.size() < kMostWarmUpSamples && spent < patience) {
    samples.push_back(timed(model, watch, repeats));
    spent += samples.back();
  }
  return repeats;
}

namespace {

// A job with what it needs between rounds.
class Sampler {
 public:
  Sampler(TimedJob& job, const Measurement& how, const StopWatch& watch, double overhead)
      : job_(job), how_(how), watch_(watch), overhead_(overhead) {
    if (!job.trace) {
      repeats_ = warm_up(job.model, watch, how.min_sample_us);
      return;
    }
    for (std::size_t i = 0; i < kTraceWarmUps; ++i) job.model.run();
    double us = std::max(1.0, timed_run(job.model).wall);
    repeats_ =
        std::clamp(static_cast<std::size_t>(how.min_sample_us / us), kFewestTracedRuns, kMostTracedRuns);
  }

  void sample(Evictor& evictor) {
    if (job_.trace)
      sample_traced(evictor);
    else if (how_.evict)
      keep(evicted_sample(job_.model, watch_, evictor, how_.min_sample_us) - overhead_);
    else
      keep((timed(job_.model, watch_, repeats_) - overhead_) / static_cast<double>(repeats_));
  }

  JobSamples finish() {
    if (!job_.trace) return {std::move(us_), watch_.name(), {}};
    JobSamples result{{}, "wall", {}};
    std::vector<TracedRun> runs = job_.trace->read_trace();
    std::size_t at = kTraceWarmUps + 1;
    for (; at + repeats_ <= runs.size(); at += repeats_) result.us.push_back(round_mean(runs, at));
    if (!runs.empty()) result.kernel = kernel_of(runs.back());
    return result;
  }

 private:
  static constexpr std::size_t kTraceWarmUps = 3, kFewestTracedRuns = 4, kMostTracedRuns = 16;

  void keep(double us) { us_.push_back(std::max(us, 1e-3)); }

  void sample_traced(Evictor& evictor) {
    for (std::size_t i = 0; i < repeats_; ++i) {
      if (how_.evict) evictor.evict();
      turns_.push_back(timed_run(job_.model));
    }
  }

  static bool computes(const NodeEvent& node) {
    return node.op != "ReorderInput" && node.op != "ReorderOutput" && !node.name.starts_with(kSourcePrefix);
  }

  // Mean over the undisturbed runs of one round; over all if there is none. The profiler counts whole
  // microseconds, which a mean smooths and a median would not.
  double round_mean(const std::vector<TracedRun>& runs, std::size_t first) const {
    double sums[2] = {0, 0};
    int counts[2] = {0, 0};
    for (std::size_t i = 0; i < repeats_; ++i) {
      bool clean = turns_[first - kTraceWarmUps - 1 + i].clean(how_.threads);
      for (const NodeEvent& node : runs[first + i].nodes)
        if (computes(node)) sums[clean] += node.us;
      ++counts[clean];
    }
    bool clean = counts[1] > 0;
    return std::max(sums[clean] / counts[clean], 1e-3);
  }

  static std::string kernel_of(const TracedRun& run) {
    std::string kernel;
    for (const NodeEvent& node : run.nodes) {
      if (!computes(node)) continue;
      if (!kernel.empty()) kernel += "+";
      kernel += node.op + (node.name.ends_with("_nchwc") ? " nchwc" : "");
    }
    return kernel;
  }

  TimedJob& job_;
  const Measurement& how_;
  const StopWatch& watch_;
  double overhead_;
  std::size_t repeats_ = 1;
  std::vector<double> us_;
  std::vector<Turn> turns_;
};

}  // namespace

std::vector<JobSamples> measure(std::vector<TimedJob>& jobs, const Measurement& how,
                                const Progress& progress) {
  const StopWatch watch = StopWatch::of_threads(how.threads), wall(CLOCK_MONOTONIC);
  const double overhead = watch.overhead_us();
  Evictor evictor(how.evict ? how.threads : 1, how.evict ? this_host().l2_bytes : 64);
  std::vector<Sampler> samplers;
  for (TimedJob& job : jobs) {
    samplers.emplace_back(job, how, watch, overhead);
    progress(0);
  }
  std::vector<std::size_t> order(jobs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(how.seed);
  const double start = wall.now_us();
  for (int round = 0; round < how.rounds; ++round) {
    random.shuffle(order);
    for (std::size_t position = 0; position < order.size(); ++position) {
      samplers[order[position]].sample(evictor);
      progress((round + static_cast<double>(position) / static_cast<double>(order.size())) / how.rounds);
    }
    if (how.time_limit_s > 0 && wall.now_us() - start > how.time_limit_s * 1e6) break;
  }
  std::vector<JobSamples> results;
  for (Sampler& sampler : samplers) results.push_back(sampler.finish());
  return results;
}

}  // namespace tailor::ort
