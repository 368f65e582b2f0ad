// measure_trial: sentinel, kernel, sentinel. time_contest: halving, then one record for each who took part.
#include "tailor/tune/measure_trial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::tune {
namespace {

constexpr int kPatience = 3;  // measurements of one trial until drift is accepted and recorded

// A library's record is told by its one parameter, and says what came of the contest.
void name_library(Record& record, const TimedAlone& timed) {
  const std::size_t end = std::min(timed.library.find(": "), timed.library.size());
  record.configuration = {{"library", timed.library.substr(0, end)}};
  record.message = timed.library.substr(std::min(end + 2, timed.library.size()));
  const std::optional<double> ratio = own_over_library(timed);
  if (ratio)
    record.message += fmt::format("; {}own/library {:.3f}", *ratio > 1 ? "use the library: " : "", *ratio);
}

}  // namespace

std::size_t measure_trial(KernelRunner& runner, const TrialKernel& kernel, const TuneTask& task,
                          const TrialCare& care, Record& record) {
  std::size_t repeated = 0;
  const double before_runner = record.compile_s;
  for (int attempt = 0; attempt < kPatience; ++attempt) {
    const double before = runner.sentinel_us();
    KernelTiming timing =
        runner.time(kernel.library, task.workload, task.workers, care.samples, 1000, kernel.shape);
    const bool last = attempt + 1 == kPatience, killed = was_killed(timing);
    record.outcome = timing.outcome, record.us = std::move(timing.us),
    record.message = std::move(timing.message), record.compile_s = before_runner + timing.compile_s;
    if (record.outcome != Outcome::ok && !killed) break;
    if (!killed) {
      const double after = runner.sentinel_us();
      record.sentinel = care.first_sentinel_us > 0 ? std::max(before, after) / care.first_sentinel_us : 1;
      if (before > 0 && after > 0 && std::abs(after / before - 1) <= care.drift) break;
    }
    if (!last) ++repeated;
  }
  return repeated;
}

Contest time_contest(const TuneTask& task, const RecordKey& key, const Space& space,
                     const std::vector<Configuration>& configurations, KernelRunner& runner,
                     const Partition& where, const HalvingOptions& how, const Backend& backend,
                     const OneDnnFile& onednn, KernelRunner* library) {
  const double sentinel = runner.sentinel_us();
  const TimedAlone timed = time_alone(task.workload, task.workers, space, configurations, runner, backend,
                                      how, task.workers == 1 ? onednn : std::nullopt, library);
  const double later = runner.sentinel_us();
  Contest contest{{}, timed.refused};
  for (const Contender& contender : timed.order) {
    if (contender.us.empty()) continue;
    Record record;
    record.key = key;
    const bool is_library = contender.configuration == kLibraryKernel;
    if (is_library)
      name_library(record, timed);
    else
      record.configuration = named(space, contender.configuration);
    record.us = contender.us, record.clock = is_library ? "thread cpu" : backend.clock;
    record.partition = to_string(where, is_library && library ? "cpu" : backend.unit);
    record.neighbours = "idle", record.tier = Tier::exclusive, record.when = now_text();
    record.sentinel = sentinel > 0 && later > 0 ? later / sentinel : 1;
    contest.records.push_back(std::move(record));
  }
  return contest;
}

}  // namespace tailor::tune
