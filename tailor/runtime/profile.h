/// \file Measured layers in a file, and the two oracles on it: one that measures what is missing, one that
/// never measures.
///
/// One line is one measurement (schema "tailor/profile/1"): context, workload, clock, kernel, all samples.
/// Lines are only ever appended, so a job killed at any moment has kept what it measured. Samples are kept as they were
/// taken; what the machine's own speed did between two calls of the runner stands beside them, as `pace`.
#pragma once

#include "tailor/latency/oracle.h"
#include "tailor/runtime/runner.h"

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace tailor::runtime {

struct Measured {
  latency::Context context;
  latency::Workload workload;
  Samples samples;
  double pace = 1;  // how many times slower the machine was than when this run's first layers were timed
};

/// Median with quartiles, divided by the pace. On the wall clock of a shared machine the disturbances are one-sided:
/// the first decile, with the minimum and the median as interval.
latency::Estimate estimate(const Measured& measured);

class Profile {
 public:
  /// Reads the file if it exists. Lines that are no JSON (a write that was cut off) are passed over and
  /// counted.
  /// @throws Error bad_json for a line that is JSON but no measurement
  explicit Profile(std::filesystem::path path);

  /// The latest measurement; nullptr if there is none.
  const Measured* find(const latency::Context& context, const latency::Workload& workload) const;
  /// Adds them and appends them to the file, synced. @throws Error write_failed
  void append(std::vector<Measured> list);

  const std::filesystem::path& path() const { return path_; }
  std::size_t size() const { return entries_.size(); }
  std::size_t damaged_lines() const { return damaged_; }
  /// The contexts that occur, each once.
  std::vector<latency::Context> contexts() const;

 private:
  void read(std::string_view content);
  std::filesystem::path path_;
  std::map<std::string, Measured> entries_;  // by context and workload
  std::size_t damaged_ = 0;
  bool torn_ = false;  // the file ends inside a line
};

/// What a journal's measurements are to this run.
enum class Journal {
  go_on,   // found ones count, the others are measured
  fresh,   // all are measured anew; the journal keeps the latest
  resume,  // as go_on, but the journal must know this runtime, device and number of threads
};

/// Looks workloads up and measures the missing ones, caches evicted, interleaved in calls of the runner of some hundred
/// layers at most. Layers of two calls are compared too, and a neighbour on the machine may come or go between them: so
/// six layers from all over the first list, the anchors, are timed in every call, and the call's times are divided by the
/// median of what the anchors took over what they took at first. The runner and the profile must outlive it.
class MeasuringOracle : public latency::LatencyOracle {
 public:
  /// @param options `evict` is set
  /// @throws Error nothing_to_resume
  MeasuringOracle(Runner& runner, Profile& profile, TimingOptions options = {},
                  Journal journal = Journal::go_on);
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override;
  latency::Context context() const override;
  /// Workloads measured so far, and those found in the profile.
  std::size_t measured() const { return measured_.size(); }
  std::size_t known() const { return asked_.size() - measured_.size(); }
  /// Slowest over fastest pace of the calls so far; 1 if there was but one.
  double unrest() const { return slowest_ / fastest_; }

 private:
  struct Anchor {
    latency::Workload workload;
    double us = 0;  // in the first call; 0 before it
  };
  void measure(const std::vector<latency::Workload>& workloads);
  std::vector<Measured> measure_call(std::vector<latency::Workload> workloads);
  void choose_anchors(const std::vector<latency::Workload>& workloads);
  double pace_of(std::span<const Measured> anchors);
  Runner& runner_;
  Profile& profile_;
  TimingOptions options_;
  Journal journal_;
  std::set<latency::Workload> asked_, measured_;
  std::vector<Anchor> anchors_;
  double fastest_ = 1, slowest_ = 1;
};

/// Only looks up; the profile must outlive it. @throws Error unknown_name from evaluate() for what was never
/// measured
class ReplayOracle : public latency::LatencyOracle {
 public:
  ReplayOracle(const Profile& profile, latency::Context context)
      : profile_(profile), context_(std::move(context)) {}
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override;
  latency::Context context() const override { return context_; }

 private:
  const Profile& profile_;
  latency::Context context_;
};

}  // namespace tailor::runtime
