// opencl_bench [SECONDS [WORKLOAD ...]]: the best kernel in OpenCL C, the best in C++ and oneDNN's, each tuned for so long on
// one compute unit or core, then timed in turns; and that OpenCL kernel in every compute unit at once against one alone.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/subprocess.h"
#include "tailor/latency/workload.h"
#include "tailor/tune/scheduler.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace {

using namespace tailor;

constexpr int kRounds = 15;

struct Best {
  std::filesystem::path file;
  std::string configuration;
  std::size_t trials = 0, failed = 0;
};

double median(std::vector<double> values) {
  if (values.empty()) return NAN;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Tunes, and leaves the winner's kernel in `folder`, ready to be loaded.
Best tuned(const tune::TuneTask& task, double seconds, const std::optional<tune::OpenClPlace>& opencl,
           TemporaryFolder& folder) {
  tune::RecordFile file(folder.fresh(".jsonl"));
  tune::TuneOptions options{.jobs = 1, .seconds = seconds};
  options.per_task.gain = 0, options.opencl = opencl;
  const tune::TuneResult result = tune::tune_kernels({task}, file, options);
  const tune::Backend backend = opencl ? tune::opencl_backend(*opencl) : tune::Backend();
  const tune::Space space = backend.space(task.workload);
  const auto& best = result.tasks.front().best;
  const auto at = best ? tune::place_of(space, best->configuration) : std::nullopt;
  if (!at) throw Error(Code::runner_failed, "no kernel succeeded", latency::to_string(task.workload));
  const tune::Compiled made =
      backend.compile(backend.source(task.workload, space, *at), folder.fresh(backend.extension));
  const auto failed = std::count_if(file.records().begin(), file.records().end(),
                                    [](const tune::Record& r) { return r.outcome != tune::Outcome::ok; });
  return {made.library, space.text(*at), result.trials, static_cast<std::size_t>(failed)};
}

void row(const char* who, const std::vector<double>& us, double macs, const std::string& what) {
  const double least = us.empty() ? NAN : *std::min_element(us.begin(), us.end());
  fmt::print("| {} | {:.1f} us | {:.1f} us | {:.1f} | {} |\n", who, least, median(us), 2e-3 * macs / least,
             what);
}

void contest(const tune::TuneTask& task, const Best& ours, const Best& cpp, const tune::OpenClPlace& place,
             const TemporaryFolder& folder) {
  tune::KernelRunner opencl(-1, tune::command_for(place, 0, place.device.units, folder.path()));
  tune::KernelRunner cores(tune::usable_cores().front());
  std::vector<double> us[3];
  std::string library;
  auto add = [&](int who, const tune::KernelTiming& timing) {
    us[who].insert(us[who].end(), timing.us.begin(), timing.us.end());
    if (who == 2) library = timing.outcome == tune::Outcome::ok ? timing.kernel : timing.message;
  };
  for (int round = 0; round < kRounds; ++round) {
    add(0, opencl.time(ours.file, task.workload, task.workers, 3));
    add(1, cores.time(cpp.file, task.workload, 1, 3));
    add(2, cores.time_onednn("", task.workload, 3));
  }
  const auto macs = static_cast<double>(latency::macs(task.workload));
  row("OpenCL C", us[0], macs,
      fmt::format("{} ({} trials, {} failed)", ours.configuration, ours.trials, ours.failed));
  row("C++", us[1], macs,
      fmt::format("{} ({} trials, {} failed)", cpp.configuration, cpp.trials, cpp.failed));
  row("oneDNN", us[2], macs, library);
}

void beside(const tune::TuneTask& task, const Best& ours, const tune::OpenClPlace& place,
            const TemporaryFolder& folder) {
  Subprocess child(tune::command_for(place, 0, place.device.units, folder.path()));
  const Json request = {{"op", "partitions"},      {"workload", latency::to_string(task.workload)},
                        {"workers", task.workers}, {"library", ours.file.string()},
                        {"rounds", 2 * kRounds},   {"seconds", 0.2}};
  child.write_line(to_line(request), 10);
  const Json answer = parse_json(child.read_line(300, std::size_t{1} << 20).text, "partitions");
  if (!answer.value("right", false)) throw Error(Code::runner_failed, to_line(answer), "partitions");
  auto quartile = [&](double share) {
    auto all = answer["throughput"].get<std::vector<double>>();
    std::sort(all.begin(), all.end());
    return all[static_cast<std::size_t>(share * static_cast<double>(all.size() - 1))];
  };
  fmt::print(
      "\n{} parts at once: {:.2f} times the runs per second of one alone (quartiles {:.2f} to {:.2f})\n",
      answer["units"].size(), quartile(0.5), quartile(0.25), quartile(0.75));
  for (const char* clock : {"", "cpu_"})
    for (std::size_t i = 0; i < answer[fmt::format("alone_{}us", clock)].size(); ++i)
      fmt::print("part {}, {}: alone {:.1f} us, beside {:.1f} us\n", i,
                 *clock ? "its thread's time" : "on the wall",
                 median(answer[fmt::format("alone_{}us", clock)][i].get<std::vector<double>>()),
                 median(answer[fmt::format("beside_{}us", clock)][i].get<std::vector<double>>()));
}

}  // namespace

int main(int count, char** arguments) try {
  const double seconds = count > 1 ? std::atof(arguments[1]) : 120;
  std::vector<std::string> workloads(arguments + std::min(count, 2), arguments + count);
  if (workloads.empty())
    workloads = {"gemm_m256_k256_n256_f32",
                 "conv_mb1_g1_ic35ih16iw16_oc35oh16ow16_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu"};
  const tune::OpenClPlace place = tune::find_opencl();
  const int units = place.device.by_counts ? 1 : place.device.units;
  for (const std::string& text : workloads) {
    TemporaryFolder folder;
    const tune::TuneTask task{latency::parse_workload(text), static_cast<double>(units) / place.device.units,
                              units, 1};
    const Best ours = tuned(task, seconds, place, folder),
               cpp = tuned({task.workload, 1, 1, 1}, seconds, {}, folder);
    fmt::print("{}\n| | least | median | GFLOP/s | |\n|---|--:|--:|--:|---|\n", text);
    contest(task, ours, cpp, place, folder);
    beside(task, ours, place, folder);
    fmt::print("\n");
    std::fflush(stdout);
  }
  return 0;
} catch (const Error& error) {
  fmt::print(stderr, "{}: {}\n", error.place(), error.what());
  return 1;
}
