/// \file A task on this machine: its key, its kernels timed alone, and whether what was recorded still holds.
#pragma once

#include "tailor/latency/workload.h"
#include "tailor/tune/backend.h"
#include "tailor/tune/halving.h"
#include "tailor/tune/records.h"

#include <functional>
#include <string>
#include <vector>

namespace tailor::tune {

/// An operator at a share of the device.
struct TuneTask {
  latency::Workload workload;
  double share = 1;
  int workers = 1;  // threads that the share is; each works through every workers-th block
  int layers = 1;   // of the network that are this operator
};

/// The key of a task's records on such a machine.
RecordKey key_of(const TuneTask& task, const MachineClass& machine);
/// The key of a task's records on this machine. @throws Error runtime_missing (no compiler)
RecordKey key_of(const TuneTask& task, const CompilerOptions& compiler);
/// This moment, as records have it: "2026-11-21T20:00:00Z".
std::string now_text();

/// Stands for the library's kernel among configurations: no space has a configuration without values.
inline const Configuration kLibraryKernel = {};
/// The library's file; empty: as the system finds it. Nothing: no library takes part.
using OneDnnFile = std::optional<std::string>;

struct TimedAlone {
  std::vector<Contender> order;  // those that came farthest first; one of them may be kLibraryKernel
  std::string library;           // "onednn 2.6.3: brgconv:avx512_core"; "" without
  std::string refused;           // why the library has no time; "" if it has, or was not asked
};
/// Kernels of these configurations, compiled and then timed against each other, and against the library's kernel, with
/// nobody beside, in the same rounds. Those that do not compile are left out.
/// @param onednn on one thread only @param library's runner; nullptr: `runner` times the library too
/// @throws as KernelRunner::time, Backend::compile
TimedAlone time_alone(const latency::Workload& workload, int workers, const Space& space,
                      const std::vector<Configuration>& configurations, KernelRunner& runner,
                      const Backend& backend, HalvingOptions options, const OneDnnFile& onednn = std::nullopt,
                      KernelRunner* library = nullptr);

/// The own kernel's time over the library's, of those that took part in one contest; nothing if one of them is missing.
std::optional<double> own_over_library(const TimedAlone& timed);

/// What became of the best configurations of one key.
struct Audit {
  RecordKey key;
  std::string
      skipped;  // why it cannot be timed here: another device, other versions, another kernel text; else ""
  struct Entry {
    std::string configuration;
    double recorded_us = 0, now_us = 0;  // now: infinite if it failed
  };
  std::vector<Entry> entries;  // in the recorded order, the chosen one first
  double regret = 0;           // of the chosen one, now: its time over the best of them, less 1
};
/// The runner that has so many units of the device to itself, for as long as no other is asked for.
using RunnerOf = std::function<KernelRunner&(int workers)>;
/// Times the best `top` of a group's own configurations again. Workers are told by the records' share and `threads`,
/// the threads (or units) that the whole device is. Of a group that is skipped no runner is asked for. @throws as time_alone
Audit audit(const RecordGroup& group, int top, int threads, const RunnerOf& runner, const Backend& backend);

}  // namespace tailor::tune
