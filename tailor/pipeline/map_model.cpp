// map_model = read -> find_layers (-> measure_losses) -> platform_problem -> plan_mapping -> choose ->
// baselines. choose is within_budget or least_cost_within_drop; what cannot be met is explained from
// find_least_cost() and from the accuracies that were measured on the way.
#include "tailor/pipeline/map_model.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"
#include "tailor/pipeline/map_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

constexpr std::size_t kPoints = 20;     // of the front that are priced
constexpr double kRounding = 1 + 1e-9;  // sums of the same numbers in another order are the same

struct Run {
  const Subject& subject;
  const MapOptions& options;
  MapResult& result;
  std::vector<plan::LayerToMap> layers;
  plan::PlatformProblem problem;
  plan::Front front;

  bool data() const { return !options.calib.empty() || !options.eval.empty(); }
  plan::Mapping mapping(const plan::Point& point) const {
    return plan::mapping_of(result.platform, layers, problem.mapping, point.choice);
  }
  double cost(const plan::Mapping& mapping) const {
    return options.objective == plan::Objective::latency ? mapping.latency_us : mapping.energy_uj;
  }
  std::string cost_text(double cost) const {
    return options.objective == plan::Objective::latency ? fmt::format("{:.4f} ms", cost / 1e3)
                                                         : fmt::format("{:.3f} uJ", cost);
  }
  NamedMapping named(std::string name, const plan::Point& point) const {
    return {std::move(name), mapping(point), point.certificate, {}};
  }
  void say(const std::string& phase, double done) const {
    if (options.progress) options.progress(phase, done);
  }
};

void check(const MapOptions& options, const device::Platform& platform) {
  TAILOR_CHECK(!platform.measured());  // map_turns.h is for those
  if (options.objective == plan::Objective::energy && !platform.knows_power())
    throw Error(Code::usage, fmt::format("platform {} states no power", platform.name), "--objective",
                "ask for latency, or give power_mw for every unit in a file of your own");
  if (options.recover == Recover::lsq)
    throw Error(Code::usage, "weights that are refitted would have to be rounded again", "--recover",
                "write bn or none");
  if (options.recover == Recover::bn && options.calib.empty())
    throw Error(Code::usage, "--recover bn needs samples", "--recover", "give --calib");
  const bool goal = options.budget || options.budget_ratio || options.budget_over_least || options.max_drop;
  if (goal + !options.mapping.empty() + !options.baseline.empty() > 1)
    throw Error(Code::usage, "a mapping that is given has no goal to meet",
                options.mapping.empty() ? "--baseline" : "--mapping",
                "give a goal (--budget, --max-drop), or --mapping, or --baseline");
  if (options.max_drop && options.eval.empty() && options.calib.empty())
    throw Error(Code::usage, "--max-drop needs samples", "--max-drop",
                "give --eval with labels (top-1) or --calib (agreement)");
}

// Points spread over the front, its ends among them.
std::vector<const plan::Point*> some_points(const plan::Front& front) {
  std::vector<const plan::Point*> points;
  const std::size_t all = front.points.size(), count = std::min(all, kPoints);
  for (std::size_t i = 0; i < count; ++i)
    points.push_back(&front.points[count == 1 ? 0 : i * (all - 1) / (count - 1)]);
  return points;
}

// Which layers keep the cost from falling further.
std::string slowest_layers(const Run& run, const plan::LeastCost& relaxation) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, relaxation.slowest.size()); ++i)
    text += fmt::format("{}{} ({:.1f} %)", i ? ", " : "",
                        run.layers[static_cast<std::size_t>(relaxation.slowest[i])].name,
                        100 * relaxation.share[i] / relaxation.least_cost);
  return text;
}

std::string budget_too_small(const Run& run, double budget) {
  plan::LeastCost relaxation = plan::find_least_cost(run.problem.mapping);
  return fmt::format(
      "the budget binds: {} is less than any mapping costs. Cheapest relaxation: a budget of {} "
      "(+{:.1f} %). Most of that: {}",
      run.cost_text(budget), run.cost_text(relaxation.least_cost), 100 * (relaxation.least_cost / budget - 1),
      slowest_layers(run, relaxation));
}

std::optional<double> budget_of(const Run& run) {
  if (run.options.budget) return run.options.budget;
  if (run.options.budget_over_least)
    return *run.options.budget_over_least * run.front.points.front().cost.latency_us;
  if (!run.options.budget_ratio) return std::nullopt;
  return *run.options.budget_ratio * run.cost(run.result.baselines.front().mapping) * kRounding;
}

// The point of least loss within the budget, exactly.
std::optional<plan::Point> within_budget(const Run& run, double budget) {
  plan::Front front = plan::plan_mapping(run.problem.mapping, {.budget_us = budget * kRounding});
  if (front.points.empty()) return std::nullopt;
  return front.points.back();
}

NamedMapping with_accuracy(const Run& run, NamedMapping mapping) {
  mapping.accuracy = accuracy_of(run.subject, run.result, mapping.mapping, run.options);
  return mapping;
}

// The cheapest of points (by rising cost) whose measured drop is within the limit: bisection, as if the drop
// fell with the loss. What is returned was measured.
std::optional<NamedMapping> least_cost_within_drop(const Run& run, const std::vector<plan::Point>& points,
                                                   std::string& why) {
  const double limit = *run.options.max_drop;
  NamedMapping best = with_accuracy(run, run.named("chosen", points.back()));
  if (best.accuracy->drop() > limit) {
    why = fmt::format(
        "--max-drop binds: even the mapping of {} within the budget loses {:.2f} points, {:.2f} are "
        "allowed. Cheapest relaxation: --max-drop {:.2f}",
        run.cost_text(points.back().cost.latency_us), best.accuracy->drop(), limit, best.accuracy->drop());
    return std::nullopt;
  }
  std::size_t low = 0, high = points.size() - 1;  // points[high] is good enough
  for (int probes = 0; low < high; ++probes) {
    std::size_t middle = (low + high) / 2;
    NamedMapping probe = with_accuracy(run, run.named("chosen", points[middle]));
    if (probe.accuracy->drop() <= limit)
      high = middle, best = std::move(probe);
    else
      low = middle + 1;
    run.say("mappings", probes / 13.0);
  }
  return best;
}

NamedMapping baseline_named(const Run& run) {
  std::vector<std::string> names;
  for (const NamedMapping& baseline : run.result.baselines) {
    if (baseline.name == run.options.baseline) return baseline;
    names.push_back(baseline.name);
  }
  throw Error(Code::unknown_name,
              fmt::format("there is no baseline '{}'{}", run.options.baseline,
                          did_you_mean(run.options.baseline, names)),
              "--baseline", fmt::format("there are: {}", fmt::join(names, "; ")));
}

void choose(Run& run) {
  if (!run.options.mapping.empty()) {
    run.result.chosen =
        NamedMapping{"given", given_mapping(run.result, run.layers, run.options.mapping), {}, {}};
    if (run.data()) run.result.chosen = with_accuracy(run, *run.result.chosen);
    return;
  }
  if (!run.options.baseline.empty()) {
    run.result.chosen = baseline_named(run);
    if (run.data()) run.result.chosen = with_accuracy(run, *run.result.chosen);
    return;
  }
  const std::optional<double> budget = run.result.budget = budget_of(run);
  std::vector<plan::Point> points = run.front.points;
  if (budget) {
    std::optional<plan::Point> exact = within_budget(run, *budget);
    if (!exact) return void(run.result.why = budget_too_small(run, *budget));
    std::erase_if(points, [&](const plan::Point& p) { return p.cost.latency_us >= exact->cost.latency_us; });
    points.push_back(*exact);
  }
  if (run.options.max_drop) {
    run.result.chosen = least_cost_within_drop(run, points, run.result.why);
    return;
  }
  run.result.chosen = run.named("chosen", budget ? points.back() : points.front());
  if (run.data()) run.result.chosen = with_accuracy(run, *run.result.chosen);
}

void add_baselines(Run& run) {
  for (plan::Baseline& baseline : plan::baselines(run.result.platform, run.layers))
    run.result.baselines.push_back({std::move(baseline.name), std::move(baseline.mapping), {}, {}});
  const char* name = run.options.objective == plan::Objective::latency ? "least latency" : "least energy";
  run.result.baselines.push_back(run.named(name, run.front.points.front()));
}

void find_free(Run& run) {
  const int precise = plan::precise_choice(run.result.platform);
  for (std::size_t l = 0; l < run.layers.size(); ++l) {
    plan::SplitProblem split =
        plan::split_problem(run.result.platform, run.layers[l], plan::Objective::latency);
    plan::FreeChannels free =
        plan::free_channels(split, plan::find_splits(split, {.pareto = false}), precise);
    if (free.most > free.least) run.result.free.push_back({static_cast<int>(l), free});
  }
}

}  // namespace

MapResult map_model(const std::filesystem::path& model, const MapOptions& options) {
  MapResult result;
  result.model = model, result.objective = options.objective, result.recover = options.recover;
  result.platform = device::find_platform(options.platform);
  check(options, result.platform);
  Subject subject = read_subject(model, options.samples.overrides);
  find_layers(subject, result);
  if (options.recover == Recover::bn)
    result.estimated = with_estimated_statistics(subject, subject.model, options);
  if (!options.calib.empty()) {
    result.ranges = ranges_to_round(subject, result.platform, options);
    measure_losses(subject, result, options);
  }
  Run run{subject, options, result, {}, {}, {}};
  for (const MappedLayer& mapped : result.layers) run.layers.push_back(mapped.layer);
  run.problem = plan::platform_problem(result.platform, run.layers, options.objective);
  result.step = run.problem.largest_step;
  run.front = plan::plan_mapping(run.problem.mapping);
  for (const plan::Point* point : some_points(run.front)) result.front.push_back(run.named("", *point));
  add_baselines(run);
  find_free(run);
  choose(run);
  if (run.data())
    for (NamedMapping& baseline : result.baselines) baseline = with_accuracy(run, std::move(baseline));
  return result;
}

}  // namespace tailor::pipeline
