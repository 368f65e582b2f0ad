// map_turns = read -> turn_network -> drop_refused -> measure_turns -> rounding_of, measure_turn_losses -> plan_turns ->
// choose -> measure_turns again, with the chosen network and the baselines beside those that costs come from. What a mapping loses is measured before it is
// chosen, what it takes afterwards.
#include "tailor/pipeline/map_turns.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/turn_losses.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

constexpr std::size_t kPoints = 20;     // of the front that are listed
constexpr double kRounding = 1 + 1e-9;  // sums of the same numbers in another order are the same
constexpr const char* kRunner = "onednn";

struct Run {
  const Subject& subject;
  const MapOptions& options;
  MapTurns& result;
  TurnRounding rounding;
  plan::Front front;

  TurnMapping named(std::string name, const plan::Point& point) const {
    return {std::move(name), point.choice,          point.cost.latency_us,
            point.cost.loss, point.cost.latency_us, point.certificate};
  }
  graph::Model rounded(const TurnMapping& mapping) const {
    return rounded_network(subject, result.network, rounding, mapping.choice);
  }
  TurnMapping with_accuracy(TurnMapping mapping) const {
    mapping.accuracy = turn_accuracy(subject, rounded(mapping), options);
    return mapping;
  }
  std::function<void(double)> telling(const char* phase) const {
    return [this, phase](double done) {
      if (options.progress) options.progress(phase, done);
    };
  }
};

void check(const MapOptions& options) {
  if (options.calib.empty())
    throw Error(Code::usage, "eight bits need samples for the ranges of their activations", "--calib",
                "give --calib");
  if (options.objective == plan::Objective::energy)
    throw Error(Code::usage, "nobody measures the energy of a measured platform", "--objective",
                "ask for latency");
  if (options.recover != Recover::none)
    throw Error(Code::usage, "--recover is for platforms whose units work side by side", "--recover",
                "leave it away");
}

runtime::RunnerOptions runner_options(const device::Platform& platform) {
  runtime::RunnerOptions options;
  if (platform.runner == kRunner)
    options.program = "tailor-runner-onednn";
  else
    options.command = platform.runner;
  return options;
}

// What the runner says about itself; a runner that does not say how many bits its weights may have keeps 8.
void ask_runner(runtime::Runner& runner, MapTurns& result) {
  const runtime::Hello& hello = runner.hello();
  result.runtime = hello.runtime, result.version = hello.version, result.isa = hello.isa;
  result.processor = hello.processor;
  const Json answer = runner.ask({{"op", "hello"}});
  if (!answer.contains("weight_bits")) return;
  const std::int64_t bits = integer(answer, "weight_bits", "hello");
  result.weight_bits = static_cast<int>(std::clamp<std::int64_t>(bits, 2, 8));
}

void add_baselines(Run& run) {
  const TurnNetwork& network = run.result.network;
  auto add = [&](int unit) {
    const std::vector<int> choice = all_on(network, unit);
    for (const TurnMapping& known : run.result.baselines)
      if (known.choice == choice) return;
    const plan::Cost cost = plan::evaluate(network.problem, choice);
    run.result.baselines.push_back({"all on " + network.platform.units[static_cast<std::size_t>(unit)].name,
                                    choice, cost.latency_us, cost.loss, cost.latency_us});
  };
  add(network.f32());
  for (int u = 0; u < network.given(); ++u) add(u);
  run.result.baselines.push_back(run.named("least latency", run.front.points.front()));
  for (TurnMapping& baseline : run.result.baselines) baseline = run.with_accuracy(std::move(baseline));
}

std::optional<double> budget_of(const Run& run) {
  if (run.options.budget) return run.options.budget;
  if (!run.options.budget_ratio) return std::nullopt;
  return *run.options.budget_ratio * run.result.baselines.front().predicted_us * kRounding;
}

// The cheapest of points (by rising cost) whose measured drop is within the limit: bisection, as if the drop fell with the
// loss. What is returned was measured.
std::optional<TurnMapping> least_cost_within_drop(Run& run, const std::vector<plan::Point>& points) {
  const double limit = *run.options.max_drop;
  TurnMapping best = run.with_accuracy(run.named("chosen", points.back()));
  if (best.accuracy->drop() > limit) {
    run.result.why = fmt::format(
        "--max-drop binds: even the mapping of {:.4f} ms within the budget loses {:.2f} points, {:.2f} are "
        "allowed. "
        "Cheapest relaxation: --max-drop {:.2f}",
        best.predicted_us / 1e3, best.accuracy->drop(), limit, best.accuracy->drop());
    return std::nullopt;
  }
  std::size_t low = 0, high = points.size() - 1;  // points[high] is good enough
  for (int probes = 0; low < high; ++probes) {
    const std::size_t middle = (low + high) / 2;
    TurnMapping probe = run.with_accuracy(run.named("chosen", points[middle]));
    if (probe.accuracy->drop() <= limit)
      high = middle, best = std::move(probe);
    else
      low = middle + 1;
    run.telling("mappings")(probes / 13.0);
  }
  return best;
}

void choose(Run& run) {
  std::vector<plan::Point> points = run.front.points;
  if (const std::optional<double> budget = run.result.budget = budget_of(run)) {
    const plan::Front within =
        plan::plan_turns(run.result.network.problem, {.budget_us = *budget * kRounding});
    if (within.points.empty()) {
      run.result.why = fmt::format(
          "the budget binds: {:.4f} ms is less than any mapping costs. Cheapest relaxation: a budget of "
          "{:.4f} ms",
          *budget / 1e3, points.front().cost.latency_us / 1e3);
      return;
    }
    const plan::Point exact = within.points.back();
    std::erase_if(points, [&](const plan::Point& p) { return p.cost.latency_us >= exact.cost.latency_us; });
    points.push_back(exact);
  }
  if (run.options.max_drop)
    run.result.chosen = least_cost_within_drop(run, points);
  else
    run.result.chosen =
        run.with_accuracy(run.named("chosen", run.result.budget ? points.back() : points.front()));
}

void list_front(Run& run) {
  const std::size_t all = run.front.points.size(), count = std::min(all, kPoints);
  for (std::size_t i = 0; i < count; ++i)
    run.result.front.push_back(run.named("", run.front.points[count == 1 ? 0 : i * (all - 1) / (count - 1)]));
}

// Whole networks, all in the same rounds. The parts are timed again beside them, in other networks: a machine's speed
// drifts, and what is predicted from now has to hold now.
void measure(Run& run, runtime::Runner& runner, double seconds) {
  std::vector<TurnMapping*> mappings;
  for (TurnMapping& baseline : run.result.baselines) mappings.push_back(&baseline);
  if (run.result.chosen) mappings.push_back(&*run.result.chosen);
  std::vector<std::vector<int>> choices;
  for (const TurnMapping* mapping : mappings) choices.push_back(mapping->choice);
  run.result.costs = measure_turns(runner, run.result.network, choices, seconds, run.telling("networks"));
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const WholeRuns& whole = run.result.costs.asked[i];
    mappings[i]->us = whole.us, mappings[i]->round_us = whole.round_us;
    mappings[i]->predicted_us = plan::evaluate(run.result.network.problem, mappings[i]->choice).latency_us;
    mappings[i]->to_first = runtime::compare(run.result.costs.asked.front().round_us, whole.round_us);
  }
}

bool meets_goal(const MapTurns& result, const TurnMapping& mapping) {
  const bool accurate = !result.max_drop || mapping.accuracy->drop() <= *result.max_drop;
  return accurate && (!result.budget || mapping.measured_us() <= *result.budget);
}

}  // namespace

double TurnMapping::measured_us() const { return us.empty() ? 0 : runtime::summarize(us).median; }
double TurnMapping::off() const { return us.empty() ? 0 : predicted_us / measured_us() - 1; }

const TurnMapping* MapTurns::best_single() const {
  const TurnMapping* best = nullptr;
  for (const TurnMapping& baseline : baselines) {
    if (baseline.certificate || baseline.us.empty() || !meets_goal(*this, baseline)) continue;
    if (!best || baseline.measured_us() < best->measured_us()) best = &baseline;
  }
  return best;
}

runtime::Comparison MapTurns::against_best_single() const {
  const TurnMapping* best = best_single();
  TAILOR_CHECK(chosen && best);
  return runtime::compare(best->round_us, chosen->round_us);
}

MapTurnsResult map_turns(const std::filesystem::path& model, const MapOptions& options, double seconds) {
  const device::Platform platform = device::find_platform(options.platform);
  TAILOR_CHECK(platform.measured());
  check(options);
  runtime::Runner runner(runner_options(platform));
  MapTurnsResult done;
  MapTurns& result = done.result;
  result.model = model, result.max_drop = options.max_drop;
  ask_runner(runner, result);
  const Subject subject = with_shortcuts(read_subject(model, options.samples.overrides));
  result.shortcuts = static_cast<int>(subject.shortcuts.size());
  const std::vector<int> quantisable = rewrite::quantisable_layers(subject.model, subject.shapes);
  result.network = turn_network(subject, platform, quantisable);
  if (result.network.problem.steps.empty())
    throw Error(Code::nothing_to_map, "the model has no layer that a runner of lists computes",
                model.string(), "tailor inspect shows its layers");
  Run run{subject, options, result, {}, {}};
  result.refusals = drop_refused(runner, result.network, run.telling("layers"));
  result.costs = measure_turns(runner, result.network, {}, seconds, run.telling("times"));
  run.rounding = rounding_of(subject, result.network, quantisable, result.weight_bits, options);
  measure_turn_losses(subject, result.network, run.rounding, options);
  run.front = plan::plan_turns(result.network.problem);
  TAILOR_CHECK(!run.front.points.empty());
  list_front(run);
  add_baselines(run);
  choose(run);
  measure(run, runner, seconds);
  if (result.chosen) done.rounded = run.rounded(*result.chosen);
  return done;
}

}  // namespace tailor::pipeline
