#include "tailor/tune/alone.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/parallel.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <map>

namespace tailor::tune {
namespace {

constexpr int kMoreTries = 2;  // where the runner was killed from outside

// Why a record of that key says nothing about kernels made here and now.
std::string why_not_here(const RecordKey& theirs, const RecordKey& ours) {
  if (theirs.device != ours.device) return fmt::format("recorded on {}", theirs.device);
  if (theirs.versions != ours.versions) return fmt::format("recorded with {}", theirs.versions);
  if (theirs.source != ours.source) return "the text of the kernels has changed since";
  return {};
}

int workers_of(double share, int threads) {
  return std::max(1, static_cast<int>(std::lround(share * threads)));
}

// On all cores: nothing is measured meanwhile.
std::vector<Compiled> compile_all(const latency::Workload& workload, const Space& space,
                                  const std::vector<Configuration>& configurations, const Backend& backend,
                                  TemporaryFolder& folder) {
  std::vector<std::filesystem::path> files;
  for (std::size_t i = 0; i < configurations.size(); ++i) files.push_back(folder.fresh(backend.extension));
  std::vector<Compiled> compiled(configurations.size());
  in_parallel(static_cast<int>(configurations.size()), [&](int part) {
    const auto i = static_cast<std::size_t>(part);
    compiled[i] = backend.compile(backend.source(workload, space, configurations[i]), files[i]);
  });
  return compiled;
}

}  // namespace

RecordKey key_of(const TuneTask& task, const MachineClass& machine) {
  const bool conv = task.workload.kind == latency::Kind::conv,
             half = task.workload.type == graph::DataType::f16;
  return {latency::to_string(task.workload),
          half ? "f16" : "f32",
          !conv  ? "row-major"
          : half ? "nhwc"
                 : "nchw",
          machine.device,
          task.share,
          machine.versions,
          machine.source};
}

RecordKey key_of(const TuneTask& task, const CompilerOptions& compiler) {
  return key_of(task, class_of_this_machine(compiler));
}

std::string now_text() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

TimedAlone time_alone(const latency::Workload& workload, int workers, const Space& space,
                      const std::vector<Configuration>& configurations, KernelRunner& runner,
                      const Backend& backend, HalvingOptions options, const OneDnnFile& onednn,
                      KernelRunner* library) {
  TAILOR_CHECK(workers == 1 || !onednn);
  TemporaryFolder folder;
  std::map<Configuration, std::filesystem::path> libraries;
  std::vector<Configuration> made;
  const std::vector<Compiled> all = compile_all(workload, space, configurations, backend, folder);
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].outcome == Outcome::ok)
      made.push_back(configurations[i]), libraries[configurations[i]] = all[i].library;
  TimedAlone timed;
  auto measure = [&](const Configuration& configuration, int samples) {
    if (configuration != kLibraryKernel) {
      KernelTiming own = runner.time(libraries.at(configuration), workload, workers, samples);
      for (int i = 0; i < kMoreTries && was_killed(own); ++i)
        own = runner.time(libraries.at(configuration), workload, workers, samples);
      return own.us;
    }
    const KernelTiming timing = (library ? *library : runner).time_onednn(*onednn, workload, samples);
    if (timing.outcome == Outcome::ok) timed.library = timing.kernel, timed.refused.clear();
    if (timing.outcome != Outcome::ok)
      timed.refused = fmt::format("{}: {}", name(timing.outcome), timing.message);
    return timing.us;
  };
  // One more seat, so that the library costs no kernel its place.
  if (onednn) made.push_back(kLibraryKernel), ++options.finalists;
  timed.order = halve(made, measure, options);
  std::erase_if(timed.order,
                [](const Contender& c) { return c.us.empty() && c.configuration == kLibraryKernel; });
  return timed;
}

std::optional<double> own_over_library(const TimedAlone& timed) {
  double own = INFINITY, library = INFINITY;
  for (const Contender& contender : timed.order) {
    double& best = contender.configuration == kLibraryKernel ? library : own;
    best = std::min(best, contender.time());
  }
  return std::isfinite(own) && std::isfinite(library) ? std::optional(own / library) : std::nullopt;
}

Audit audit(const RecordGroup& group, int top, int threads, const RunnerOf& runner, const Backend& backend) {
  Audit result{group.key, "", {}, 0};
  const latency::Workload workload = latency::parse_workload(group.key.op);
  if (result.skipped = backend.no_kernel(workload); !result.skipped.empty()) return result;
  const int workers = workers_of(group.key.share, threads);
  result.skipped =
      why_not_here(group.key, key_of({workload, group.key.share, workers, 1}, backend.machine()));
  if (!result.skipped.empty()) return result;
  const Space space = backend.space(workload, workers);
  std::vector<Configuration> chosen;
  for (const Standing& standing : ranking(group))
    if (std::optional<Configuration> at = place_of(space, standing.configuration);
        at && chosen.size() < static_cast<std::size_t>(top)) {
      chosen.push_back(std::move(*at));
      result.entries.push_back({to_string(standing.configuration), standing.time_us(), INFINITY});
    }
  if (chosen.empty()) return result.skipped = "no kernel of our own among its records", result;
  const TimedAlone timed = time_alone(workload, workers, space, chosen, runner(workers), backend,
                                      {.first = 5, .finalists = top, .last = 20});
  for (const Contender& contender : timed.order)
    for (std::size_t i = 0; i < chosen.size(); ++i)
      if (chosen[i] == contender.configuration) result.entries[i].now_us = contender.time();
  double best = INFINITY;
  for (const Audit::Entry& entry : result.entries) best = std::min(best, entry.now_us);
  if (std::isfinite(best))
    result.regret = result.entries.front().now_us / best - 1;
  else
    result.skipped = "none of them runs any more";
  return result;
}

}  // namespace tailor::tune
