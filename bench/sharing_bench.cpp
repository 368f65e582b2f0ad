// sharing_bench [--cuda] [SECONDS [WORKLOAD ...]]: operators tuned one at a time and side by side on parts of the processor,
// or with --cuda in the smallest shares of a GPU, each for so long: trials per minute of both, what choosing from shared times
// costs (finalists timed alone), how alike the two kinds of time order the same kernels, and how far the clock drifted.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/tune/cuda_tuner.h"
#include "tailor/tune/prior.h"
#include "tailor/tune/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <optional>

namespace {

using namespace tailor;

struct Run {
  int jobs = 1;
  tune::TuneResult result;
  std::vector<tune::Record> records;
  double per_minute() const { return 60 * static_cast<double>(result.trials) / result.seconds; }
};

using Gpu = std::optional<tune::CudaPlace>;

Run tune_with(int jobs, double seconds, const std::vector<tune::TuneTask>& tasks, const Gpu& gpu,
              const TemporaryFolder& folder) {
  tune::RecordFile file(folder.path() / fmt::format("jobs{}.jsonl", jobs));
  tune::TuneOptions options{.jobs = jobs, .seconds = seconds};
  options.per_task.gain = 0;  // both go on to the end of the time
  options.cuda = gpu;
  Run run;
  run.jobs = jobs;
  run.result = gpu ? tune::tune_on_cuda(tasks, file, options) : tune::tune_kernels(tasks, file, options);
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

// Of the unchanging kernel, over all trials: its longest time over its first one.
double largest_drift(const Run& run) {
  double largest = 1;
  for (const tune::Record& record : run.records) largest = std::max(largest, record.sentinel);
  return largest - 1;
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
      if (!beside.contains(configuration)) continue;  // a library's
      a.push_back(us), b.push_back(beside.at(configuration));
      if (chosen.empty() || beside.at(configuration) < beside.at(chosen)) chosen = configuration;
    }
    if (chosen.empty()) continue;
    fmt::print("| {} | {:.1f} us | {:.2f} % | {:.2f} |\n", task.key.op, least(alone),
               100 * (alone.at(chosen) / least(alone) - 1), tune::kendall_tau(a, b));
  }
}

std::vector<std::string> usual_workloads(bool gpu) {
  if (gpu)
    return {"conv_mb8_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu",
            "conv_mb8_g1_ic256ih14iw14_oc1024oh14ow14_kh1kw1_sh1sw1_ph0pw0_f16+bn+add+relu",
            "gemm_m1576_k768_n3072_f16+bias"};
  return {"conv_mb1_g1_ic16ih32iw32_oc16oh32ow32_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
          "conv_mb1_g1_ic32ih16iw16_oc32oh16ow16_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
          "conv_mb1_g1_ic64ih8iw8_oc64oh8ow8_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
          "conv_mb1_g1_ic96ih14iw14_oc576oh14ow14_kh1kw1_sh1sw1_ph0pw0_f32+bias+clip"};
}

std::vector<tune::TuneTask> tasks_of(const std::vector<std::string>& workloads, const Gpu& gpu) {
  std::vector<tune::TuneTask> tasks;
  for (const std::string& text : workloads) {
    tune::TuneTask task;
    task.workload = latency::parse_workload(text), task.share = gpu ? tune::cuda_share(*gpu, 1e-9) : 1;
    if (gpu) task.workers = static_cast<int>(std::lround(task.share * gpu->device.sm.count));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

void print_runs(const Run& one, const Run& all) {
  fmt::print(
      "| jobs | trials | seconds | trials per minute | per hour | measured again | compiling s | measuring s "
      "| largest drift |\n"
      "|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  for (const Run* run : {&one, &all})
    fmt::print("| {} | {} | {:.0f} | {:.1f} | {:.0f} | {} | {:.0f} | {:.0f} | {:.1f} % |\n", run->jobs,
               run->result.trials, run->result.seconds, run->per_minute(), 60 * run->per_minute(),
               run->result.repeated, run->result.compile_seconds, run->result.measure_seconds,
               100 * largest_drift(*run));
  fmt::print("\n{:.2f} times the trials per minute\n\n", all.per_minute() / one.per_minute());
}

}  // namespace

int main(int count, char** arguments) try {
  std::vector<std::string> words(arguments + 1, arguments + count);
  Gpu gpu;
  if (!words.empty() && words.front() == "--cuda") gpu = tune::find_cuda(), words.erase(words.begin());
  const double seconds = words.empty() ? 60 : std::atof(words.front().c_str());
  if (!words.empty()) words.erase(words.begin());
  const std::vector<tune::TuneTask> tasks =
      tasks_of(words.empty() ? usual_workloads(gpu.has_value()) : words, gpu);
  const int most = gpu ? tune::cuda_shares_at_once(*gpu, tasks.front().workers)
                       : static_cast<int>(tune::usable_cores().size());
  TemporaryFolder folder;
  const Run one = tune_with(1, seconds, tasks, gpu, folder),
            all = tune_with(most, seconds, tasks, gpu, folder);
  print_runs(one, all);
  regrets(all);
  return 0;
} catch (const Error& error) {
  fmt::print(stderr, "{}: {}\n", error.place(), error.what());
  return 1;
}
