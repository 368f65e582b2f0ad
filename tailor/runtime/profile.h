/// \file Measured layers in a file, and the two oracles on it: one that measures what is missing, one that
/// never measures.
///
/// One line is one measurement (schema "tailor/profile/1"): context, workload, clock, kernel, all samples.
/// Lines are only ever appended, so a job killed at any moment has kept what it measured.
#pragma once

#include "tailor/latency/oracle.h"
#include "tailor/runtime/runner.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tailor::runtime {

struct Measured {
  latency::Context context;
  latency::Workload workload;
  Samples samples;
};

/// Median with quartiles. On the wall clock of a shared machine the disturbances are one-sided: the first
/// decile, with the minimum and the median as interval.
latency::Estimate estimate(const Samples& samples);

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

/// Looks workloads up and measures the missing ones, caches evicted, interleaved in one call of the runner.
/// The runner and the profile must outlive it.
class MeasuringOracle : public latency::LatencyOracle {
 public:
  /// @param options `evict` is set
  MeasuringOracle(Runner& runner, Profile& profile, TimingOptions options = {});
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override;
  latency::Context context() const override;
  /// Workloads measured so far, not found in the profile.
  std::size_t measured() const { return measured_; }

 private:
  void measure(const std::vector<latency::Workload>& workloads);
  Runner& runner_;
  Profile& profile_;
  TimingOptions options_;
  std::size_t measured_ = 0;
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
