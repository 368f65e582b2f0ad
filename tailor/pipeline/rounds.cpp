// search_rounds, one round:
//   present_network  cut, dropped and folded as decided so far, repaired by the cascade (or as --recover says)
//   fill_table       losses of the widths that are worth having and of what may replace branches
//   settle           the planner's front; the point for the goal is measured, the part of the latency that no
//                    layer explains is adjusted, and the point is chosen again until measurement and goal agree
// At the end the network is repaired once more, from more samples.
#include "tailor/pipeline/rounds.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/loss.h"
#include "tailor/rewrite/widen.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace tailor::pipeline {
namespace {

runtime::Job job(const std::filesystem::path& path, const Subject& subject) {
  runtime::Job job{path, {}, {}};
  for (const graph::ValueInfo& input : subject.model.graph.inputs)
    if (const graph::Shape* shape = subject.shapes.shape(input.name))
      job.inputs.emplace_back(input.name, *shape);
  return job;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

// Widths to look at, the present one not among them: fine below 64, coarser above; wider ones only as far as
// the next steps.
std::vector<int> grid(int width, bool wider) {
  int step = width <= 64 ? 4 : width <= 256 ? 8 : 16;
  std::set<int> list;
  for (int w = step; w < width; w += step) list.insert(w);
  for (int to : {4, 8, 16, 32, 64})
    if (wider && width % to != 0 && to < width) list.insert((width + to - 1) / to * to);
  return {list.begin(), list.end()};
}

// Keeps the widths that are faster than the present one and than every wider one, by at least half a percent.
// A wider width that is faster costs no accuracy at all.
std::vector<int> undominated(const std::vector<int>& widths, const std::vector<double>& cost,
                             double present_cost) {
  std::vector<int> kept;
  double best = present_cost;
  for (std::size_t i = widths.size(); i-- > 0;)
    if (cost[i] < best * 0.995) best = cost[i], kept.push_back(widths[i]);
  std::reverse(kept.begin(), kept.end());
  return kept;
}

// At most `limit`, spread evenly.
std::vector<int> thinned(const std::vector<int>& widths, int limit) {
  if (static_cast<int>(widths.size()) <= limit) return widths;
  if (limit < 2)
    return {widths.begin() + static_cast<std::ptrdiff_t>(widths.size()) - std::max(limit, 0), widths.end()};
  std::vector<int> kept;
  for (int i = 0; i < limit; ++i)
    kept.push_back(
        widths[static_cast<std::size_t>(i) * (widths.size() - 1) / static_cast<std::size_t>(limit - 1)]);
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

double group_cost(const Subject& present, const std::vector<LayerWidths>& layers, const LatencyBook& book,
                  const std::map<int, int>& widths) {
  double sum = 0;
  for (const LayerWidths& layer : layers)
    sum += layer.correction * book.at(workload_at(present, layer, widths));
  return sum;
}

bool touches(const LayerWidths& layer, int group) {
  auto has = [&](const auto& side) {
    return std::any_of(side.begin(), side.end(), [&](const auto& part) { return part.first == group; });
  };
  return has(layer.in) || has(layer.out);
}

struct Present {
  Subject subject;
  rewrite::Equations equations;
  rewrite::KeptChannels kept;
};

// Output positions of each sample that a fit looks at: about as many rows whatever the number of samples.
int positions(const runtime::NamedTensors& samples, std::int64_t rows) {
  std::int64_t count = samples.empty() || samples[0].second.dims.empty() ? 1 : samples[0].second.dims[0];
  return static_cast<int>(std::clamp<std::int64_t>(rows / std::max<std::int64_t>(count, 1), 4, 64));
}

constexpr std::int64_t kRows = 98304, kRowsOfCandidates = 32768;

const runtime::NamedTensors& last_samples(const Calibration& c) {
  return c.finish.empty() ? c.fit : c.finish;
}

Present present_network(runtime::Runner& runner, const Subject& original, const Surgery& surgery,
                        const Calibration& calibration, const runtime::NamedTensors& samples,
                        const RoundOptions& options) {
  Present present;
  graph::Model model = apply(original, surgery);
  graph::Shapes shapes = graph::infer_shapes(model, original.overrides);
  present.kept = kept_values(original, surgery);
  rewrite::Activations wanted(runner, original.shapes, samples, calibration.threads, calibration.memory / 2);
  if (options.table.recover == Recover::bn) {
    rewrite::Activations old(runner, shapes, samples, calibration.threads, calibration.memory / 2);
    model = rewrite::reestimate_normalisation(model, old);
  }
  rewrite::Activations now(runner, shapes, samples, calibration.threads, calibration.memory / 2);
  rewrite::RepairOptions repair = options.repair;
  repair.positions = positions(samples, kRows);
  repair.refit = options.table.recover == Recover::lsq;
  rewrite::Repaired repaired{model, {}};
  if (repair.refit || options.table.criterion == Criterion::reconstruction)
    repaired = rewrite::repair(original.model, wanted, model, now, present.kept, shapes, repair);
  present.subject = make_subject(std::move(repaired.model), original.overrides);
  present.equations = std::move(repaired.equations);
  return present;
}

double loss_of(runtime::Runner& runner, const Subject& original, const graph::Model& model,
               const Calibration& calibration) {
  std::vector<std::string> names;
  for (const graph::ValueInfo& output : original.model.graph.outputs) names.push_back(output.name);
  auto run = [&](const graph::Model& m) {
    rewrite::Activations a(runner, original.shapes, calibration.judge, calibration.threads, 0);
    runtime::NamedTensors list;
    std::vector<graph::Tensor> values = a.get(m, names);
    for (std::size_t i = 0; i < names.size(); ++i) list.emplace_back(names[i], values[i]);
    return list;
  };
  return divergence(run(original.model), run(model));
}

// What rounds hand on to each other.
struct Progressing {
  Surgery surgery;
  double ratio = 1;                      // measured
  double original_us = 0;                // sum of the original's layers: the unit in which the planner counts
  std::optional<double> unexplained_us;  // measured latency less the sum of the layers; absent: not known yet
};

// Measures a point of the front and says whether it is the best so far.
struct Trial {
  Surgery surgery;
  RoundReport report;
  bool fits(double goal) const { return report.measured <= goal * 1.003; }
  bool better_than(const Trial& other, double goal) const {
    if (fits(goal) != other.fits(goal)) return fits(goal);
    return fits(goal) ? report.table_loss < other.report.table_loss : report.measured < other.report.measured;
  }
};

// Chooses on the front, measures, learns what the layers do not explain, chooses again.
Trial settle(runtime::Runner& runner, const Subject& original, Progressing& state, const Present& present,
             const CandidateTable& table, const plan::Problem& problem, double goal,
             const RoundOptions& options) {
  plan::Front front = plan::plan_widths(problem, {});
  std::optional<Trial> best;
  for (int attempt = 0; attempt < 6; ++attempt) {
    const plan::Point* point = front.best_within(goal * state.original_us - *state.unexplained_us);
    bool fastest = point == nullptr || point == &front.points.front();
    if (!point) point = &front.points.front();
    Trial trial{merge(original, state.surgery, present.subject, table, point->choice), {}};
    RoundReport& r = trial.report;
    r.goal = goal, r.base_loss = table.base_loss, r.table_loss = point->cost.loss,
    r.certificate = point->certificate;
    r.predicted = (point->cost.latency_us + *state.unexplained_us) / state.original_us;
    r.measured =
        measure_ratio(runner, original, widen_after(original, trial.surgery, apply(original, trial.surgery)),
                      options.threads, options.timing_rounds);
    r.variables = static_cast<int>(problem.variables.size());
    for (const plan::Variable& v : problem.variables) r.candidates += v.candidates;
    if (options.say)
      options.say(fmt::format("predicted {:.3f}, measured {:.3f} of the original's latency", r.predicted,
                              r.measured));
    if (!best || trial.better_than(*best, goal)) best = trial;
    double learned = r.measured * state.original_us - point->cost.latency_us,
           moved = std::abs(learned - *state.unexplained_us);
    state.unexplained_us = learned;
    bool close = trial.fits(goal) && r.measured >= goal * (1 - options.tolerance);
    if (close || moved < 0.002 * state.original_us || (fastest && !trial.fits(goal))) break;
  }
  return *best;
}

// Sum of the present network's layers, with the zeros that were added to it.
double present_cost(const Subject& original, const Surgery& surgery, const Subject& present,
                    LatencyBook& book) {
  std::map<int, int> widths;
  for (auto [group, of_original] : original_groups(original, surgery, present))
    if (auto it = surgery.added.find(of_original); it != surgery.added.end())
      widths[group] = present.channels.groups[group].width() + it->second;
  std::vector<LayerWidths> layers = layer_widths(present);
  std::vector<latency::Workload> needed;
  for (const LayerWidths& layer : layers) needed.push_back(workload_at(present, layer, widths));
  book.learn(needed);
  return group_cost(present, layers, book, widths);
}

void one_round(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
               LatencyBook& book, double aim, Progressing& state, std::vector<RoundReport>& reports,
               const RoundOptions& options) {
  Present present = present_network(runner, original, state.surgery, calibration, calibration.fit, options);
  std::vector<std::pair<int, std::vector<int>>> widths =
      worthwhile_widths(present.subject, book, options.widths);
  if (!state.unexplained_us)
    state.unexplained_us =
        state.ratio * state.original_us - present_cost(original, state.surgery, present.subject, book);
  TableOptions table_options = options.table;
  table_options.positions = positions(calibration.fit, kRowsOfCandidates);
  CandidateTable table = fill_table(runner, original, present.subject, present.kept, present.equations,
                                    calibration, widths, table_options);
  std::vector<LayerWidths> layers = layer_widths(present.subject);
  book.learn(needed_workloads(present.subject, layers, table));
  plan::Problem problem = width_problem(present.subject, layers, table, book.all());
  Trial settled = settle(runner, original, state, present, table, problem, aim, options);
  state.surgery = settled.surgery, state.ratio = settled.report.measured;
  reports.push_back(settled.report);
}

Searched finished(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                  const Surgery& surgery, const RoundOptions& options) {
  Searched found;
  found.surgery = surgery;
  found.model =
      widen_after(original, surgery,
                  present_network(runner, original, surgery, calibration, last_samples(calibration), options)
                      .subject.model);
  found.loss = loss_of(runner, original, found.model, calibration);
  return found;
}

}  // namespace

void LatencyBook::learn(const std::vector<latency::Workload>& workloads) {
  std::vector<latency::Workload> missing;
  for (const latency::Workload& w : workloads)
    if (!known_.contains(w) && std::find(missing.begin(), missing.end(), w) == missing.end())
      missing.push_back(w);
  if (missing.empty()) return;
  std::vector<latency::Estimate> answers = oracle_.evaluate(missing);
  for (std::size_t i = 0; i < missing.size(); ++i) known_[missing[i]] = answers[i].value.value;
}

std::vector<std::pair<int, std::vector<int>>> worthwhile_widths(const Subject& present, LatencyBook& book,
                                                                int limit) {
  std::vector<LayerWidths> layers = layer_widths(present);
  std::map<int, std::vector<int>> lists;
  std::set<latency::Workload> needed;
  for (std::size_t g = 0; g < present.channels.groups.size(); ++g) {
    auto group = static_cast<int>(g);
    if (!present.channels.groups[g].changeable()) continue;
    std::vector<int> list =
        grid(present.channels.groups[g].width(),
             rewrite::obstacle_to_widening(present.model, present.channels, group).empty());
    for (const LayerWidths& layer : layers) {
      if (!touches(layer, group)) continue;
      lists[group] = list;
      needed.insert(layer.workload);
      for (int width : list) needed.insert(workload_at(present, layer, {{group, width}}));
    }
  }
  book.learn({needed.begin(), needed.end()});
  std::vector<std::pair<int, std::vector<int>>> result;
  for (const auto& [group, list] : lists) {
    std::vector<LayerWidths> near;
    std::copy_if(layers.begin(), layers.end(), std::back_inserter(near),
                 [&, g = group](const LayerWidths& layer) { return touches(layer, g); });
    std::vector<double> cost;
    for (int width : list) cost.push_back(group_cost(present, near, book, {{group, width}}));
    result.emplace_back(group, thinned(undominated(list, cost, group_cost(present, near, book, {})), limit));
  }
  return result;
}

double measure_ratio(runtime::Runner& runner, const Subject& original, const graph::Model& model, int threads,
                     int rounds) {
  TemporaryFolder folder(true);
  std::filesystem::path a = original.path, b = folder.fresh(".onnx");
  if (a.empty()) onnx::write(original.model, a = folder.fresh(".onnx"));
  onnx::write(model, b);
  std::vector<runtime::Job> jobs = {job(a, original), job(b, original)};
  runtime::TimingOptions timing;
  timing.threads = threads, timing.rounds = rounds,
  timing.min_sample_us = 1500;  // short samples, many rounds: both models meet the same disturbances
  std::vector<runtime::Samples> samples = runner.time(jobs, timing);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < samples[0].us.size(); ++i)
    ratios.push_back(samples[1].us[i] / samples[0].us[i]);
  return median(ratios);
}

Searched search_rounds(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                       LatencyBook& book, double goal, const RoundOptions& options, const Start& start) {
  std::vector<RoundReport> reports;
  Progressing state{start.surgery, start.ratio, present_cost(original, {}, original, book), std::nullopt};
  for (int round = 1; round <= options.rounds; ++round) {
    double aim = start.ratio * std::pow(goal / start.ratio, static_cast<double>(round) / options.rounds);
    if (options.say)
      options.say(fmt::format("round {} of {}: aiming at {:.3f} of the original's latency", round,
                              options.rounds, aim));
    one_round(runner, original, calibration, book, aim, state, reports, options);
  }
  Searched found = finished(runner, original, calibration, state.surgery, options);
  found.ratio = state.ratio, found.rounds = std::move(reports);
  return found;
}

Searched carry_out(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                   const Surgery& surgery, const RoundOptions& options) {
  Searched found = finished(runner, original, calibration, surgery, options);
  found.ratio = measure_ratio(runner, original, found.model, options.threads, options.timing_rounds);
  return found;
}

}  // namespace tailor::pipeline
