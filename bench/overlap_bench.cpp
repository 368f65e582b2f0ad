// overlap_bench [TRIALS [WORKLOAD ...]]: the operators of a network tuned four times with so many trials each, every time from
// nothing and with the same seeds: one kernel after the other, compiled and then measured, as tuners without overlap do; the next
// one compiled meanwhile; kernels shared by configurations of one tile of registers; and all of it on every core. Prints the time
// of each, finals included, and what its winners take, all timed against each other alone.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/tune/measure_trial.h"
#include "tailor/tune/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace tailor;

// Dense operators of ResNet-20 for CIFAR-10 and of MobileNetV2, one of each kind.
const std::vector<std::string> kNetworks = {
    "conv_mb1_g1_ic3ih32iw32_oc16oh32ow32_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
    "conv_mb1_g1_ic16ih32iw32_oc16oh32ow32_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
    "conv_mb1_g1_ic16ih32iw32_oc16oh32ow32_kh3kw3_sh1sw1_ph1pw1_f32+bias+add+relu",
    "conv_mb1_g1_ic16ih32iw32_oc32oh16ow16_kh3kw3_sh2sw2_ph1pw1_f32+bias+relu",
    "conv_mb1_g1_ic32ih16iw16_oc32oh16ow16_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
    "conv_mb1_g1_ic32ih16iw16_oc64oh8ow8_kh3kw3_sh2sw2_ph1pw1_f32+bias+relu",
    "conv_mb1_g1_ic64ih8iw8_oc64oh8ow8_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
    "gemm_m1_k64_n10_f32+bias",
    "conv_mb1_g1_ic32ih112iw112_oc16oh112ow112_kh1kw1_sh1sw1_ph0pw0_f32+bias",
    "conv_mb1_g1_ic24ih56iw56_oc144oh56ow56_kh1kw1_sh1sw1_ph0pw0_f32+bias+clip",
    "conv_mb1_g1_ic144ih28iw28_oc32oh28ow28_kh1kw1_sh1sw1_ph0pw0_f32+bias",
    "conv_mb1_g1_ic64ih14iw14_oc384oh14ow14_kh1kw1_sh1sw1_ph0pw0_f32+bias+clip",
    "conv_mb1_g1_ic96ih14iw14_oc576oh14ow14_kh1kw1_sh1sw1_ph0pw0_f32+bias+clip",
    "conv_mb1_g1_ic576ih14iw14_oc96oh14ow14_kh1kw1_sh1sw1_ph0pw0_f32+bias+add",
    "conv_mb1_g1_ic960ih7iw7_oc320oh7ow7_kh1kw1_sh1sw1_ph0pw0_f32+bias",
    "conv_mb1_g1_ic320ih7iw7_oc1280oh7ow7_kh1kw1_sh1sw1_ph0pw0_f32+bias+clip"};

struct Way {
  const char* name;
  bool ahead, shapeless;
  int jobs;
};

struct Run {
  double seconds = 0;  // finals included
  tune::TuneResult result;
};

Run tune_so(const Way& way, std::uint64_t trials, const std::vector<tune::TuneTask>& tasks,
            TemporaryFolder& folder) {
  tune::RecordFile file(folder.fresh(".jsonl"));
  tune::TuneOptions options{.jobs = way.jobs, .seconds = 1e5};
  options.per_task = {.trials = trials, .seconds = 0, .gain = 0};
  options.ahead = way.ahead, options.shapeless = way.shapeless;
  const auto start = std::chrono::steady_clock::now();
  Run run;
  run.result = tune::tune_kernels(tasks, file, options);
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return run;
}

// Of one operator, each way's winner over the best of all: timed together.
std::vector<double> regrets(const std::vector<Run>& runs, std::size_t task, tune::KernelRunner& runner) {
  const tune::TuneTask& of = runs.front().result.tasks[task].task;
  const tune::Backend backend;
  const tune::Space space = backend.space(of.workload, of.workers);
  std::vector<tune::Configuration> winners;
  for (const Run& run : runs)
    winners.push_back(place_of(space, run.result.tasks[task].best.value().configuration).value());
  std::vector<tune::Configuration> distinct = winners;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  const tune::HalvingOptions how{.first = 40, .finalists = static_cast<int>(distinct.size()), .last = 40};
  const tune::TimedAlone timed = time_alone(of.workload, of.workers, space, distinct, runner, backend, how);
  double best = INFINITY;
  for (const tune::Contender& contender : timed.order) best = std::min(best, contender.time());
  std::vector<double> regrets;
  for (const tune::Configuration& winner : winners)
    regrets.push_back(std::find_if(
                          timed.order.begin(), timed.order.end(),
                          [&](const tune::Contender& c) {
                            return c.configuration == winner;
                          })->time() /
                          best -
                      1);
  return regrets;
}

void print(const std::vector<Way>& ways, const std::vector<Run>& runs) {
  tune::KernelRunner runner(tune::usable_cores().front());
  std::vector<double> sum(runs.size()), worst(runs.size());
  const std::size_t tasks = runs.front().result.tasks.size();
  for (std::size_t task = 0; task < tasks; ++task) {
    const std::vector<double> of = regrets(runs, task, runner);
    for (std::size_t i = 0; i < of.size(); ++i) sum[i] += of[i], worst[i] = std::max(worst[i], of[i]);
  }
  fmt::print(
      "| | jobs | trials | seconds | less | compiling s | measuring s | winners over the best, mean | most "
      "|\n"
      "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
  for (std::size_t i = 0; i < runs.size(); ++i)
    fmt::print("| {} | {} | {} | {:.1f} | {:.0f} % | {:.0f} | {:.0f} | {:.1f} % | {:.1f} % |\n", ways[i].name,
               ways[i].jobs, runs[i].result.trials, runs[i].seconds,
               100 * (1 - runs[i].seconds / runs[0].seconds), runs[i].result.compile_seconds,
               runs[i].result.measure_seconds, 100 * sum[i] / static_cast<double>(tasks), 100 * worst[i]);
}

}  // namespace

int main(int count, char** arguments) try {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  const auto trials =
      static_cast<std::uint64_t>(words.empty() ? 60 : std::max(1, std::atoi(words[0].c_str())));
  std::vector<tune::TuneTask> tasks;
  for (const std::string& text :
       words.size() > 1 ? std::vector<std::string>(words.begin() + 1, words.end()) : kNetworks)
    tasks.push_back({latency::parse_workload(text)});
  const int cores = static_cast<int>(tune::usable_cores().size());
  const std::vector<Way> ways = {{"compiled, then measured", false, false, 1},
                                 {"compiled ahead", true, false, 1},
                                 {"kernels shared, too", true, true, 1},
                                 {"and side by side", true, true, cores}};
  TemporaryFolder folder;
  std::vector<Run> runs;
  for (const Way& way : ways) {
    fmt::print(stderr, "{}\n", way.name);
    runs.push_back(tune_so(way, trials, tasks, folder));
  }
  print(ways, runs);
  return 0;
} catch (const Error& error) {
  fmt::print(stderr, "{}: {}\n", error.place(), error.what());
  return 1;
}
