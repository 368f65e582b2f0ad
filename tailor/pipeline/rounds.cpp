// search_rounds, one round:
//   present_network  cut and dropped as decided so far, repaired by the cascade; its normal equations serve the table
//   fill_table       losses of the widths that are worth having, and of dropping branches
//   settle           the planner's front; the point for the goal is measured, the part of the latency that no layer explains is
//                    adjusted, and the point is chosen again until measurement and goal agree
#include "tailor/pipeline/rounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/loss.h"

namespace tailor::pipeline {
namespace {

runtime::Job job(const std::filesystem::path& path, const Subject& subject) {
  runtime::Job job{path, {}, {}};
  for (const graph::ValueInfo& input : subject.model.graph.inputs)
    if (const graph::Shape* shape = subject.shapes.shape(input.name)) job.inputs.emplace_back(input.name, *shape);
  return job;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Widths to look at: fine below 64, coarser above; the present width is not among them.
std::vector<int> grid(int width) {
  int step = width <= 64 ? 4 : width <= 256 ? 8 : 16;
  std::vector<int> list;
  for (int w = step; w < width; w += step) list.push_back(w);
  return list;
}

// Keeps the widths that are faster than every wider one by at least half a percent of the whole.
std::vector<int> undominated(const std::vector<int>& widths, const std::vector<double>& cost, double present_cost) {
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
  if (limit < 2) return {widths.begin() + static_cast<std::ptrdiff_t>(widths.size()) - std::max(limit, 0), widths.end()};
  std::vector<int> kept;
  for (int i = 0; i < limit; ++i) kept.push_back(widths[static_cast<std::size_t>(i) * (widths.size() - 1) / static_cast<std::size_t>(limit - 1)]);
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

double group_cost(const Subject& present, const std::vector<LayerWidths>& layers, const LatencyBook& book, const std::map<int, int>& widths) {
  double sum = 0;
  for (const LayerWidths& layer : layers) sum += layer.correction * book.at(workload_at(present, layer, widths));
  return sum;
}

bool touches(const LayerWidths& layer, int group) {
  auto has = [&](const auto& side) { return std::any_of(side.begin(), side.end(), [&](const auto& part) { return part.first == group; }); };
  return has(layer.in) || has(layer.out);
}

struct Present {
  Subject subject;
  rewrite::Equations equations;
  rewrite::KeptChannels kept;
};

Present present_network(runtime::Runner& runner, const Subject& original, const Surgery& surgery, const Calibration& calibration,
                        const RoundOptions& options) {
  Present present;
  graph::Model model = apply(original, surgery);
  graph::Shapes shapes = graph::infer_shapes(model, original.overrides);
  present.kept = kept_values(original, surgery);
  rewrite::Activations wanted(runner, original.shapes, calibration.fit, calibration.threads, calibration.memory);
  rewrite::Activations now(runner, shapes, calibration.fit, calibration.threads, calibration.memory);
  rewrite::Repaired repaired = rewrite::repair(original.model, wanted, model, now, present.kept, shapes, options.repair);
  present.subject = make_subject(std::move(repaired.model), original.overrides);
  present.equations = std::move(repaired.equations);
  return present;
}

double loss_of(runtime::Runner& runner, const Subject& original, const graph::Model& model, const Calibration& calibration) {
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

// Chooses on the front, measures, learns what the table does not know, chooses again.
struct Settled {
  Surgery surgery;
  RoundReport report;
};

Settled settle(runtime::Runner& runner, const Subject& original, const Surgery& before, const Present& present, const CandidateTable& table,
               const plan::Problem& problem, double original_us, double present_ratio, double goal, const RoundOptions& options) {
  std::size_t entries = 0;
  for (const plan::Factor& f : problem.factors) entries += f.table.size();
  if (options.say) options.say(fmt::format("    planning: {} variables, {} factors, {} entries", problem.variables.size(), problem.factors.size(), entries));
  plan::Front front = plan::plan_widths(problem, {});
  if (options.say) options.say(fmt::format("    front of {} points", front.points.size()));
  std::vector<int> nothing;
  for (const GroupCandidates& g : table.groups) nothing.push_back(static_cast<int>(g.widths.size()) - 1);
  nothing.insert(nothing.end(), table.branches.size(), 0);
  double unexplained = present_ratio * original_us - plan::evaluate(problem, nothing).latency_us;
  Settled best;
  best.surgery = before;
  best.report.measured = present_ratio;
  for (int attempt = 0; attempt < 4; ++attempt) {
    const plan::Point* point = front.best_within(goal * original_us - unexplained);
    if (!point) point = &front.points.front();
    Surgery surgery = merge(original, before, present.subject, table, point->choice);
    double ratio = measure_ratio(runner, original, apply(original, surgery), options.threads, options.timing_rounds);
    double predicted = (point->cost.latency_us + unexplained) / original_us;
    if (options.say) options.say(fmt::format("    chosen: predicted {:.3f}, measured {:.3f}, table loss {:.4f}", predicted, ratio, point->cost.loss));
    bool fits = ratio <= goal, better = best.surgery == before || (fits && (best.report.measured > goal || point->cost.loss < best.report.table_loss)) ||
                                        (!fits && best.report.measured > goal && ratio < best.report.measured);
    if (better) {
      best.surgery = surgery;
      best.report = {goal, ratio, predicted, table.base_loss, point->cost.loss, point->certificate, static_cast<int>(problem.variables.size()), 0};
    }
    if (fits && ratio >= goal * (1 - options.tolerance)) break;
    double learned = ratio * original_us - point->cost.latency_us;
    if (std::abs(learned - unexplained) < 0.002 * original_us || (!fits && point == &front.points.front())) break;
    unexplained = learned;
  }
  for (const plan::Variable& v : problem.variables) best.report.candidates += v.candidates;
  return best;
}

}  // namespace

void LatencyBook::learn(const std::vector<latency::Workload>& workloads) {
  std::vector<latency::Workload> missing;
  for (const latency::Workload& w : workloads)
    if (!known_.contains(w) && std::find(missing.begin(), missing.end(), w) == missing.end()) missing.push_back(w);
  if (missing.empty()) return;
  std::vector<latency::Estimate> answers = oracle_.evaluate(missing);
  for (std::size_t i = 0; i < missing.size(); ++i) known_[missing[i]] = answers[i].value.value;
}

std::vector<std::pair<int, std::vector<int>>> worthwhile_widths(const Subject& present, LatencyBook& book, int limit) {
  std::vector<LayerWidths> layers = layer_widths(present);
  std::set<latency::Workload> needed;
  for (std::size_t g = 0; g < present.channels.groups.size(); ++g) {
    if (!present.channels.groups[g].changeable()) continue;
    std::vector<int> list = grid(present.channels.groups[g].width());
    list.push_back(present.channels.groups[g].width());
    for (int width : list)
      for (const LayerWidths& layer : layers)
        if (touches(layer, static_cast<int>(g))) needed.insert(workload_at(present, layer, {{static_cast<int>(g), width}}));
  }
  book.learn({needed.begin(), needed.end()});
  std::vector<std::pair<int, std::vector<int>>> result;
  for (std::size_t g = 0; g < present.channels.groups.size(); ++g) {
    if (!present.channels.groups[g].changeable()) continue;
    auto group = static_cast<int>(g);
    std::vector<LayerWidths> near;
    std::copy_if(layers.begin(), layers.end(), std::back_inserter(near), [&](const LayerWidths& layer) { return touches(layer, group); });
    if (near.empty()) continue;
    std::vector<int> list = grid(present.channels.groups[g].width());
    std::vector<double> cost;
    for (int width : list) cost.push_back(group_cost(present, near, book, {{group, width}}));
    result.emplace_back(group, thinned(undominated(list, cost, group_cost(present, near, book, {})), limit));
  }
  return result;
}

double measure_ratio(runtime::Runner& runner, const Subject& original, const graph::Model& model, int threads, int rounds) {
  TemporaryFolder folder(true);
  std::filesystem::path a = folder.fresh(".onnx"), b = folder.fresh(".onnx");
  onnx::write(original.model, a), onnx::write(model, b);
  std::vector<runtime::Job> jobs = {job(a, original), job(b, original)};
  runtime::TimingOptions timing;
  timing.threads = threads, timing.rounds = rounds, timing.min_sample_us = 5000;
  std::vector<runtime::Samples> samples = runner.time(jobs, timing);
  std::vector<double> ratios;
  for (std::size_t i = 0; i < samples[0].us.size(); ++i) ratios.push_back(samples[1].us[i] / samples[0].us[i]);
  return median(ratios);
}

Searched search_rounds(runtime::Runner& runner, const Subject& original, const Calibration& calibration, LatencyBook& book, double goal,
                       const RoundOptions& options) {
  Searched found;
  std::vector<latency::Workload> plain;
  for (const LayerWidths& layer : layer_widths(original)) plain.push_back(layer.workload);
  book.learn(plain);
  double original_us = group_cost(original, layer_widths(original), book, {});
  for (int round = 1; round <= options.rounds; ++round) {
    double aim = std::pow(goal, static_cast<double>(round) / options.rounds);
    if (options.say) options.say(fmt::format("round {}/{}: aiming at {:.3f} of the original's latency", round, options.rounds, aim));
    Present present = present_network(runner, original, found.surgery, calibration, options);
    std::vector<std::pair<int, std::vector<int>>> widths = worthwhile_widths(present.subject, book, options.widths);
    CandidateTable table =
        fill_table(runner, original, present.subject, present.kept, present.equations, calibration, widths, options.table);
    if (options.say) options.say(fmt::format("    {} groups, {} branches, loss so far {:.4f}", table.groups.size(), table.branches.size(), table.base_loss));
    std::vector<LayerWidths> layers = layer_widths(present.subject);
    book.learn(needed_workloads(present.subject, layers, table));
    plan::Problem problem = width_problem(present.subject, layers, table, book.all());
    Settled settled = settle(runner, original, found.surgery, present, table, problem, original_us, found.ratio, aim, options);
    found.surgery = settled.surgery, found.ratio = settled.report.measured;
    found.rounds.push_back(settled.report);
  }
  Present last = present_network(runner, original, found.surgery, calibration, options);
  found.model = last.subject.model;
  found.loss = loss_of(runner, original, found.model, calibration);
  return found;
}

}  // namespace tailor::pipeline
