/// \file Samples of several prepared models in interleaved, shuffled rounds.
#pragma once

#include "runners/onnxruntime/session.h"

#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tailor::ort {

/// One thread: the CPU time of the calling thread, in which the runtime computes. Several: the wall clock.
class StopWatch {
 public:
  static StopWatch of_threads(int threads) {
    return StopWatch(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC);
  }
  explicit StopWatch(clockid_t id) : id_(id) {}
  double now_us() const;
  const char* name() const { return id_ == CLOCK_THREAD_CPUTIME_ID ? "thread cpu" : "wall"; }
  /// What an empty measurement reads.
  double overhead_us() const;

 private:
  clockid_t id_;
};

/// Fills the second-level caches of `threads` cores with something else.
class Evictor {
 public:
  Evictor(int threads, std::size_t l2_bytes);
  void evict();

 private:
  std::vector<std::vector<char>> buffers_;
};

struct Measurement {
  int threads = 1, rounds = 15;
  double min_sample_us = 1500;
  bool evict = false;
  std::uint64_t seed = 0;
  double time_limit_s = 0;  // 0: none
};
/// The members of a request; absent ones keep their defaults. @throws Error bad_json, bad_value
Measurement parse_measurement(const Json& request);

/// Told now and then how much is done (0..1); may throw to stop.
using Progress = std::function<void(double)>;

class TracedModel;

/// A model to be timed as a whole or, if `trace` is set, by its computing nodes alone (reorderings of the
/// layout at its borders, which a layer inside a network does not have, are left out).
struct TimedJob {
  Prepared model;
  std::shared_ptr<TracedModel> trace = {};
};
struct JobSamples {
  std::vector<double> us;  // per run, one per round
  const char* clock = "";
  std::string kernel;  // what computed, if traced: "Conv nchwc"
};
std::vector<JobSamples> measure(std::vector<TimedJob>& jobs, const Measurement& how,
                                const Progress& progress);

/// Runs until successive samples agree, and returns how many runs make a sample of `min_sample_us`.
std::size_t warm_up(Prepared& model, const StopWatch& watch, double min_sample_us);

}  // namespace tailor::ort
