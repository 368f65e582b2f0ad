// surface_bench [SECONDS [WORKLOAD ...]]: operators of one family tuned together for so long; then each is left out and
// asked of the others. Prints the expected time with its interval, the time of the chosen configuration now, and what it
// costs against the configuration that was tuned for the operator, both timed alone in one contest.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/tune/schedule_surface.h"
#include "tailor/tune/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace {

using namespace tailor;

std::vector<tune::Record> without(const std::vector<tune::Record>& records, const std::string& op) {
  std::vector<tune::Record> others;
  std::copy_if(records.begin(), records.end(), std::back_inserter(others),
               [&](const tune::Record& record) { return record.key.op != op; });
  return others;
}

double time_of(const tune::TimedAlone& timed, const tune::Configuration& configuration) {
  for (const tune::Contender& contender : timed.order)
    if (contender.configuration == configuration) return contender.time();
  return INFINITY;
}

void row(const tune::TaskResult& task, const tune::RecordFile& file, tune::KernelRunner& runner) {
  const tune::ScheduleSurface surface(without(file.records(), task.key.op), task.key, tune::vector_unit(), 1,
                                      {.most_error = 10});
  const tune::SurfaceAnswer answer = surface.ask(task.task.workload);
  const tune::Space space = tune::kernel_space(task.task.workload, tune::vector_unit());
  const auto chosen = tune::place_of(space, answer.configuration);
  const auto tuned = task.best ? tune::place_of(space, task.best->configuration) : std::nullopt;
  if (!chosen || !tuned) return fmt::print("| {} | {} | - | - | - |\n", task.key.op, name(answer.ground));
  std::vector<tune::Configuration> both = {*chosen};
  if (*tuned != *chosen) both.push_back(*tuned);
  const tune::TimedAlone timed = tune::time_alone(task.task.workload, 1, space, both, runner, {},
                                                  {.first = 10, .finalists = 2, .last = 30});
  const double now = time_of(timed, *chosen), best = std::min(now, time_of(timed, *tuned));
  fmt::print(
      "| {} | {} | {} | {:.1f} us | {:.1f} % |\n", task.key.op, name(answer.ground),
      answer.us ? fmt::format("{:.1f} us ({:.1f} to {:.1f})", *answer.us, *answer.lo_us, *answer.hi_us) : "-",
      now, 100 * (now / best - 1));
}

}  // namespace

int main(int count, char** arguments) try {
  const double seconds = count > 1 ? std::atof(arguments[1]) : 120;
  std::vector<std::string> workloads(arguments + std::min(count, 2), arguments + count);
  if (workloads.empty())
    for (int width : {16, 24, 32, 48, 64, 96})
      workloads.push_back(
          fmt::format("conv_mb1_g1_ic{0}ih14iw14_oc{0}oh14ow14_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu", width));
  std::vector<tune::TuneTask> tasks;
  for (const std::string& text : workloads) tasks.push_back({latency::parse_workload(text), 1, 1, 1});
  TemporaryFolder folder;
  tune::RecordFile file(folder.path() / "trials.jsonl");
  tune::TuneOptions options{.jobs = static_cast<int>(tune::usable_cores().size()), .seconds = seconds};
  options.per_task.gain = 0;
  const tune::TuneResult result = tune::tune_kernels(tasks, file, options);
  fmt::print(
      "{} trials in {:.0f} s\n\n| left out | ground | expected | is | over the tuned one "
      "|\n|---|---|--:|--:|--:|\n",
      result.trials, result.seconds);
  tune::KernelRunner runner(tune::usable_cores().front());
  for (const tune::TaskResult& task : result.tasks) row(task, file, runner);
  return 0;
} catch (const Error& error) {
  fmt::print(stderr, "{}: {}\n", error.place(), error.what());
  return 1;
}
