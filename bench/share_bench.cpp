// share_bench [CONFIGURATIONS [WORKLOAD ...]]: kernels tuned at one share of the processor and run at another. Compiles so
// many configurations of each workload, times each on 1 to 8 virtual threads, and prints the matrix tuned-at x run-at, the
// regret of the one configuration that is best in its worst share, and the regret of choosing for a share from times on
// one thread and the model of loads, before and after five measurements.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/tune/kernel_bench.h"
#include "tailor/tune/partition.h"
#include "tailor/tune/surface.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>

namespace {

using namespace tailor;
using tune::Configuration;

constexpr int kWorkers[] = {1, 2, 3, 4, 6, 8};

struct Timed {
  Configuration configuration;
  std::map<int, double> us;  // by workers
};

double least(const std::vector<double>& us) { return *std::min_element(us.begin(), us.end()); }

std::vector<Timed> time_all(const latency::Workload& workload, const tune::Space& space, int count,
                            tune::KernelRunner& runner) {
  TemporaryFolder folder;
  Random random(1);
  std::vector<Timed> timed;
  for (int i = 0; i < count; ++i) {
    const Configuration configuration = space.sample(random);
    const tune::Compiled compiled = tune::compile_kernel(
        tune::kernel_source(workload, tune::vector_unit(), space, configuration), folder.fresh(".so"));
    if (compiled.outcome != tune::Outcome::ok) continue;
    Timed one{configuration, {}};
    for (int workers : kWorkers) {
      const tune::KernelTiming timing = runner.time(compiled.library, workload, workers, 10, 500);
      if (timing.outcome == tune::Outcome::ok) one.us[workers] = least(timing.us);
    }
    if (one.us.size() == std::size(kWorkers)) timed.push_back(std::move(one));
    std::filesystem::remove(compiled.library);
  }
  return timed;
}

const Timed& best_at(const std::vector<Timed>& timed, int workers) {
  return *std::min_element(timed.begin(), timed.end(), [&](const Timed& a, const Timed& b) {
    return a.us.at(workers) < b.us.at(workers);
  });
}

void matrix(const std::vector<Timed>& timed) {
  fmt::print("| tuned for |");
  for (int workers : kWorkers) fmt::print(" {} threads |", workers);
  fmt::print("\n|--:|");
  for (std::size_t i = 0; i < std::size(kWorkers); ++i) fmt::print("--:|");
  fmt::print("\n");
  for (int tuned : kWorkers) {
    fmt::print("| {} |", tuned);
    for (int run : kWorkers)
      fmt::print(" {:.2f} |", best_at(timed, tuned).us.at(run) / best_at(timed, run).us.at(run));
    fmt::print("\n");
  }
  double least_worst = 1e9;
  for (const Timed& one : timed) {
    double worst = 0;
    for (int run : kWorkers) worst = std::max(worst, one.us.at(run) / best_at(timed, run).us.at(run));
    least_worst = std::min(least_worst, worst);
  }
  fmt::print("\nThe one configuration that is best in its worst share: {:.2f} there.\n\n", least_worst);
}

void surface(const latency::Workload& workload, const tune::Space& space, const std::vector<Timed>& timed) {
  fmt::print("| threads | best | model's choice | best of its first five |\n|--:|--:|--:|--:|\n");
  std::map<Configuration, const Timed*> by_configuration;
  std::vector<tune::OneThread> one_thread;
  for (const Timed& one : timed) {
    by_configuration[one.configuration] = &one;
    one_thread.push_back({one.configuration, one.us.at(1)});
  }
  for (int workers : kWorkers) {
    const auto order = tune::rank_at(workload, tune::vector_unit(), space, one_thread, workers);
    const double best = best_at(timed, workers).us.at(workers);
    double of_five = 1e300;
    for (std::size_t i = 0; i < std::min<std::size_t>(5, order.size()); ++i)
      of_five = std::min(of_five, by_configuration.at(order[i].configuration)->us.at(workers));
    fmt::print("| {} | {:.1f} us | {:.3f}x | {:.3f}x |\n", workers, best,
               by_configuration.at(order.front().configuration)->us.at(workers) / best, of_five / best);
  }
}

}  // namespace

int main(int count, char** arguments) try {
  const int configurations = count > 1 ? std::atoi(arguments[1]) : 60;
  std::vector<std::string> workloads(arguments + std::min(count, 2), arguments + count);
  if (workloads.empty())
    workloads = {"conv_mb1_g1_ic128ih28iw28_oc256oh28ow28_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
                 "conv_mb1_g1_ic64ih32iw32_oc64oh32ow32_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
                 "gemm_m197_k384_n384_f32+bias"};
  tune::KernelRunner runner(tune::usable_cores().front());
  for (const std::string& text : workloads) {
    const latency::Workload workload = latency::parse_workload(text);
    const tune::Space space = tune::kernel_space(workload, tune::vector_unit());
    const std::vector<Timed> timed = time_all(workload, space, configurations, runner);
    if (timed.empty()) return fmt::print(stderr, "{}: no configuration ran\n", text), 1;
    fmt::print("## {}\n{} of {} configurations drawn\n\n", text, timed.size(), space.count());
    matrix(timed);
    surface(workload, space, timed);
    std::fflush(stdout);
  }
  return 0;
} catch (const Error& error) {
  fmt::print(stderr, "{}: {}\n", error.place(), error.what());
  return 1;
}
