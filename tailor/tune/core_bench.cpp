// State: both runners and what they have loaded. A window is begun in both before either is waited for; samples that do
// not lie in the other's time are dropped.
#include "tailor/tune/core_bench.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/tune/alone.h"
#include "tailor/tune/surface.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::tune {
namespace {

constexpr double kLongestWindow = 10;  // seconds

std::size_t cores_of(double share, std::size_t all) {
  const double cores = share * static_cast<double>(all);
  if (!(share > 0 && share <= 1) || std::abs(cores - std::round(cores)) > 1e-6 || cores < 0.5)
    throw Error(Code::bad_value,
                fmt::format("{:g} % of {} cores is no whole number of them", 100 * share, all), "--share",
                "both parts need cores of their own: on two cores --share 50,50");
  return static_cast<std::size_t>(std::lround(cores));
}

struct Chosen {
  Configuration configuration;
  bool tuned = false;
};

Chosen choose(const TuneTask& task, const Space& space, const std::vector<Record>& records,
              const CompilerOptions& compiler) {
  RecordGroup own{key_of(task, compiler), {}};
  for (const Record& record : records)
    if (record.key == own.key) own.records.push_back(record);
  for (const Standing& standing : ranking(own))
    if (std::optional<Configuration> at = place_of(space, standing.configuration)) return {*at, true};
  return {usual_configuration(task.workload, vector_unit(), space, task.workers), false};
}

std::vector<TimedSample> samples_of(const KernelWindow& window) {
  std::vector<TimedSample> samples;
  for (std::size_t i = 0; i < window.us.size(); ++i)
    samples.push_back({window.us[i], window.begin_us[i], window.end_us[i]});
  return samples;
}

}  // namespace

std::array<Partition, 2> two_parts(const std::vector<int>& cores, const std::array<double, 2>& shares) {
  const std::size_t first = cores_of(shares[0], cores.size()), second = cores_of(shares[1], cores.size());
  if (first + second > cores.size())
    throw Error(Code::bad_value, fmt::format("{} and {} of {} cores overlap", first, second, cores.size()),
                "--share", "two shares of together at most 100");
  const auto begin = cores.begin(), middle = begin + static_cast<std::ptrdiff_t>(first);
  return {Partition{{begin, middle}}, Partition{{middle, middle + static_cast<std::ptrdiff_t>(second)}}};
}

struct CoreBench::State {
  std::array<Partition, 2> parts;
  std::array<double, 2> shares;
  CompilerOptions compiler;
  std::array<KernelRunner, 2> runners;
  TemporaryFolder folder{};
  std::vector<Rival> rivals = {};

  void note(Rival& rival, std::size_t part, const KernelTiming& timing) {
    if (timing.outcome != Outcome::ok)
      throw Error(Code::runner_failed, fmt::format("{}: {}", name(timing.outcome), timing.message),
                  rival.name);
    rival.in[part].us = timing.us.front();
  }
  WindowTimes run(std::optional<std::size_t> first, std::optional<std::size_t> second, double seconds) {
    const std::array<std::optional<std::size_t>, 2> who = {first, second};
    std::array<std::vector<TimedSample>, 2> samples;
    for (std::size_t part = 0; part < 2; ++part)
      if (who[part]) runners[part].begin_window(rivals[*who[part]].name, parts[part].cores, seconds);
    for (std::size_t part = 0; part < 2; ++part)
      if (who[part]) samples[part] = samples_of(runners[part].take_window());
    if (first && second) return samples_of_both(samples[0], samples[1]);
    WindowTimes times;
    for (std::size_t part = 0; part < 2; ++part)
      for (const TimedSample& sample : samples[part]) times[part].push_back(sample.us);
    return times;
  }
};

CoreBench::CoreBench(const std::array<Partition, 2>& parts, const std::array<double, 2>& shares,
                     const std::string& runner, const CompilerOptions& compiler)
    : state_(new State{
          parts,
          shares,
          compiler,
          {KernelRunner(parts[0].cores.front(), runner), KernelRunner(parts[1].cores.front(), runner)}}) {
  TAILOR_CHECK(are_disjoint({parts[0], parts[1]}));
}
CoreBench::~CoreBench() = default;
CoreBench::CoreBench(CoreBench&&) noexcept = default;
CoreBench& CoreBench::operator=(CoreBench&&) noexcept = default;

void CoreBench::add(const latency::Workload& workload, int layers, const std::vector<Record>& records) {
  Rival rival{latency::to_string(workload), layers, {}};
  const Space space = kernel_space(workload, vector_unit());
  for (std::size_t part = 0; part < 2; ++part) {
    const int workers = static_cast<int>(state_->parts[part].cores.size());
    const Chosen chosen =
        choose({workload, state_->shares[part], workers, layers}, space, records, state_->compiler);
    const Compiled compiled =
        compile_kernel(kernel_source(workload, vector_unit(), space, chosen.configuration),
                       state_->folder.fresh(".so"), state_->compiler);
    if (compiled.outcome != Outcome::ok)
      throw Error(Code::runner_failed, fmt::format("{}: {}", name(compiled.outcome), compiled.message),
                  rival.name);
    rival.in[part] = {space.text(chosen.configuration), chosen.tuned, 0};
    state_->note(rival, part, state_->runners[part].load(rival.name, compiled.library, workload, workers));
  }
  state_->rivals.push_back(std::move(rival));
}

void CoreBench::add_stressor(const std::string& name) {
  Rival rival{name, 0, {}};
  for (std::size_t part = 0; part < 2; ++part)
    state_->note(
        rival, part,
        state_->runners[part].load_stressor(name, static_cast<int>(state_->parts[part].cores.size())));
  state_->rivals.push_back(std::move(rival));
}

const std::vector<Rival>& CoreBench::rivals() const { return state_->rivals; }

InterferenceBench CoreBench::bench(double seconds) {
  constexpr double kRuns = 8;
  for (const Rival& rival : state_->rivals)
    for (const Rival::Choice& choice : rival.in) seconds = std::max(seconds, kRuns * 1e-6 * choice.us);
  seconds = std::min(seconds, kLongestWindow);
  State* state = state_.get();
  return {[state, seconds](std::optional<std::size_t> first, std::optional<std::size_t> second) {
            return state->run(first, second, seconds);
          },
          [state] {
            return std::array{state->runners[0].sentinel_us(), state->runners[1].sentinel_us()};
          }};
}

}  // namespace tailor::tune
