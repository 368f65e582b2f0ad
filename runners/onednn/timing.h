/// \file Fair timing on one thread: jobs interleaved in shuffled rounds, by the thread's own clock; and networks layer by
/// layer where they are, in turns with each other and with runs that nobody stops the time in.
#pragma once

#include "runners/onednn/network.h"

#include <functional>
#include <vector>

namespace tailor::onednn {

struct Measurement {
  int rounds = 15;
  double min_sample_us = 1500;
  bool evict = false;  // caches are swept before each run, and every run is timed alone
  std::uint64_t seed = 0;
  double time_limit_s = 0;  // 0: none
};
/// @throws Error bad_json, bad_value; usage for more than one thread
Measurement parse_measurement(const Json& request);

/// Told now and then how much is done (0..1); may throw to stop.
using Progress = std::function<void(double)>;

/// Microseconds of one run: [job][round].
std::vector<std::vector<double>> measure(const std::vector<Network>& jobs, const Measurement& how,
                                         const Progress& progress);

/// Times of a network's layers in whole runs.
struct InPlace {
  std::vector<std::vector<double>> layer_us;  // [layer][run]
  std::vector<double> run_us;                 // of those runs, the sum of their layers
  std::vector<double> untimed_us;             // runs beside them, with no clock read in between
  std::vector<double> round_us;               // of each round that one of them that was disturbed least
};
/// In each round every network runs `kRunsInTurn` times each way, in turns, after one run that nobody counts; the order of the
/// networks is a fresh one each round. Wall time. Pairs in which the thread did not have the processor to itself (wall time
/// above its own) are left out, but a quarter is kept. What reading the clock takes is taken off.
std::vector<InPlace> measure_in_place(const std::vector<Network>& networks, const Measurement& how,
                                      const Progress& progress);
inline constexpr int kRunsInTurn = 3;

}  // namespace tailor::onednn
