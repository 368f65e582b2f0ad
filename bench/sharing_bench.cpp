// sharing_bench [SECONDS [WORKLOAD ...]]: operators tuned one at a time and side by side on parts of the processor, each
// for so long: trials per minute of both, what choosing from shared times costs (finalists timed alone), and how alike
// the two kinds of time order the same kernels.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/tune/prior.h"
#include "tailor/tune/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

namespace {

using namespace tailor;

struct Run {
  int jobs = 1;
  tune::TuneResult result;
  std::vector<tune::Record> records;
  double per_minute() const { return 60 * static_cast<double>(result.trials) / result.seconds; }
};

Run tune_with(int jobs, double seconds, const std::vector<tune::TuneTask>& tasks,
              const TemporaryFolder& folder) {
  tune::RecordFile file(folder.path() / fmt::format("jobs{}.jsonl", jobs));
  tune::TuneOptions options{.jobs = jobs, .seconds = seconds};
  options.per_task.gain = 0;  // both go on to the end of the time
  Run run{jobs, tune::tune_kernels(tasks, file, options), {}};
  run.records = file.records();
  return run;
}

// Least time of one tier by configuration.
std::map<std::string, double> times(const std::vector<tune::Record>& records, const tune::RecordKey& key,
                                    tune::Tier tier) {
  std::map<std::string, double> found;
  for (const tune::Record& record : records) {
    if (record.key != key || record.tier != tier || record.outcome != tune::Outcome::ok) continue;
    auto [it, fresh] = found.try_emplace(tune::to_string(record.configuration), record.time_us());
    if (!fresh) it->second = std::min(it->second, record.time_us());
  }
  return found;
}

double least(const std::map<std::string, double>& times) {
  double best = 1e300;
  for (const auto& [configuration, us] : times) best = std::min(best, us);
  return best;
}

// Of the configuration that is best by shared times: its time alone over that of the best finalist.
void regrets(const Run& shared) {
  fmt::print(
      "| operator | best alone | regret of the shared choice | order alike (tau) |\n|---|--:|--:|--:|\n");
  for (const tune::TaskResult& task : shared.result.tasks) {
    const auto beside = times(shared.records, task.key, tune::Tier::parallel);
    const auto alone = times(shared.records, task.key, tune::Tier::exclusive);
    std::vector<double> a, b;
    std::string chosen;
    for (const auto& [configuration, us] : alone) {
      a.push_back(us), b.push_back(beside.at(configuration));
      if (chosen.empty() || beside.at(configuration) < beside.at(chosen)) chosen = configuration;
    }
    if (chosen.empty()) continue;
    fmt::print("| {} | {:.1f} us | {:.2f} % | {:.2f} |\n", task.key.op, least(alone),
               100 * (alone.at(chosen) / least(alone) - 1), tune::kendall_tau(a, b));
  }
}

}  // namespace

int main(int count, char** arguments) try {
  const double seconds = count > 1 ? std::atof(arguments[1]) : 60;
  std::vector<std::string> workloads(arguments + std::min(count, 2), arguments + count);
  if (workloads.empty())
    workloads = {"conv_mb1_g1_ic16ih32iw32_oc16oh32ow32_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
                 "conv_mb1_g1_ic32ih16iw16_oc32oh16ow16_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
                 "conv_mb1_g1_ic64ih8iw8_oc64oh8ow8_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
                 "conv_mb1_g1_ic96ih14iw14_oc576oh14ow14_kh1kw1_sh1sw1_ph0pw0_f32+bias+clip"};
  std::vector<tune::TuneTask> tasks;
  for (const std::string& text : workloads) tasks.push_back({latency::parse_workload(text), 1, 1, 1});
  const int cores = static_cast<int>(tune::usable_cores().size());
  TemporaryFolder folder;
  const Run one = tune_with(1, seconds, tasks, folder), all = tune_with(cores, seconds, tasks, folder);
  fmt::print(
      "| jobs | trials | seconds | trials per minute | measured again | compiling s | measuring s |\n"
      "|--:|--:|--:|--:|--:|--:|--:|\n");
  for (const Run* run : {&one, &all})
    fmt::print("| {} | {} | {:.0f} | {:.1f} | {} | {:.0f} | {:.0f} |\n", run->jobs, run->result.trials,
               run->result.seconds, run->per_minute(), run->result.repeated, run->result.compile_seconds,
               run->result.measure_seconds);
  fmt::print("\n{:.2f} times the trials per minute\n\n", all.per_minute() / one.per_minute());
  regrets(all);
  return 0;
} catch (const Error& error) {
  fmt::print(stderr, "{}: {}\n", error.place(), error.what());
  return 1;
}
