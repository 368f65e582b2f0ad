/// \file A trial as a record: one compiled kernel measured beside neighbours, or several against each other alone.
#pragma once

#include "tailor/tune/alone.h"

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace tailor::tune {

struct TrialCare {
  int samples = 5;
  double drift = 0.02;           // of the unchanging kernel around a trial, above which it is measured again
  double first_sentinel_us = 0;  // of the unchanging kernel when the runner started; 0: unknown
};

/// What the compiler made, and the shape that it wants if it is a ShapelessKernel's.
struct TrialKernel {
  std::filesystem::path library;
  std::vector<std::int64_t> shape = {};
};

/// Times a kernel between two runs of the one that never changes, at most three times: again where its two times differ,
/// and where the runner was killed from outside (signal 9), which says nothing about the kernel. Sets outcome, samples,
/// message and sentinel of `record`. @returns measurements thrown away @throws as KernelRunner::time
std::size_t measure_trial(KernelRunner& runner, const TrialKernel& kernel, const TuneTask& task,
                          const TrialCare& care, Record& record);

struct Contest {
  std::vector<Record>
      records;          // one for each that could be timed, with all its samples; key.op and so on are `key`
  std::string refused;  // why the library has no time; "" if it has, or was not asked
};
/// Times configurations against each other on one core with nobody beside, and oneDNN's kernel with them on one thread.
/// @param where the runner measures @param library as in time_alone @throws as time_alone
Contest time_contest(const TuneTask& task, const RecordKey& key, const Space& space,
                     const std::vector<Configuration>& configurations, KernelRunner& runner,
                     const Partition& where, const HalvingOptions& how, const Backend& backend,
                     const OneDnnFile& onednn, KernelRunner* library = nullptr);

}  // namespace tailor::tune
