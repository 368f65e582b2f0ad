#include "tailor/pipeline/gpu_clock.h"

#include "tailor/runtime/apart.h"
#include "tailor/runtime/measure.h"

#include <fmt/format.h>

#include <array>

namespace tailor::pipeline {
namespace {

constexpr int kProcesses = 3;

runtime::Runner checked_runner(const GpuTarget& target) {
  runtime::Runner runner(gpu_runner(target));
  check_gpu_runner(runner.hello(), target.precision);
  return runner;
}

}  // namespace

GpuClock::GpuClock(const GpuTarget& target, const Subject& original, runtime::Profile& profile,
                   const GpuClockOptions& options)
    : target_(target),
      options_(options),
      overrides_(original.overrides),
      original_(whole_network_job(original, target.precision)),
      runner_(checked_runner(target)),
      oracle_(runner_, profile, {.rounds = options.rounds, .seed = options.seed}, options.journal),
      typed_(oracle_, type_of_precision(target.precision)) {
  original_us_ =
      runtime::summarize(runner_.time(std::span(&original_, 1), {.seed = options.seed}).front().us).median;
}

std::vector<latency::Estimate> GpuClock::evaluate(std::span<const latency::Workload> workloads) {
  return typed_.evaluate(workloads);
}

double GpuClock::ratio(const graph::Model& model) const {
  const std::array jobs = {original_, whole_network_job(make_subject(model, overrides_), target_.precision)};
  runtime::ApartOptions how;
  how.processes = kProcesses;
  how.timing.seed = options_.seed, how.timing.rounds = (options_.ratio_rounds + kProcesses - 1) / kProcesses;
  const runtime::TimedApart timed = runtime::time_apart(gpu_runner(target_), jobs, how);
  return runtime::compare_apart(timed.us[0], timed.us[1]).ratio;
}

std::string GpuClock::text() const {
  const runtime::Hello& hello = runner_.hello();
  return fmt::format("{} ({}), {}; {}", hello.processor, hello.isa, target_.precision, hello.version);
}

}  // namespace tailor::pipeline
