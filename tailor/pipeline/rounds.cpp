// search_rounds, one round:
//   present_network  cut, dropped and folded as decided so far, repaired by the cascade (or as --recover says)
//   fill_table       losses of the widths that are worth having, of what may replace branches and of fewer tokens
//   time_tokens      what fewer tokens save beside the layers, measured on whole networks
//   settle           the planner's front; the point for the goal is measured, the part of the latency that no
//                    layer explains is adjusted, and the point is chosen again until measurement and goal agree
// A network that is still not fast enough after them goes through one round more (go_on). At the end it is repaired once
// more, from more samples.
#include "tailor/pipeline/rounds.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/fewer_tokens.h"
#include "tailor/pipeline/isotonic.h"
#include "tailor/pipeline/leftover.h"
#include "tailor/pipeline/merge.h"
#include "tailor/runtime/apart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace tailor::pipeline {
namespace {

constexpr std::int64_t kRowsOfCandidates = 32768;  // of normal equations of one candidate
constexpr int kAttempts = 8;                       // measurements of a round
constexpr int kProcesses = 7;                      // that measure a model: apart.h says why

runtime::Job job(const std::filesystem::path& path, const Subject& subject) {
  runtime::Job job{path, {}, {}};
  for (const graph::ValueInfo& input : subject.model.graph.inputs)
    if (const graph::Shape* shape = subject.shapes.shape(input.name))
      job.inputs.emplace_back(input.name, *shape);
  return job;
}

// What every step of a search looks at.
struct Search {
  runtime::Runner& runner;
  const Subject& original;
  const Calibration& calibration;
  const RoundOptions& options;

  void say(const std::string& line) const {
    if (options.say) options.say(line);
  }
  Present present(const Surgery& surgery, const runtime::NamedTensors& samples, bool last = false) const {
    PresentOptions how{options.repair,
                       options.table.recover,
                       options.table.criterion == Criterion::reconstruction,
                       options.merge,
                       {}};
    if (last && options.joint.layers > 1) how.joint = options.joint, how.joint->on_region = tell();
    return present_network(runner, original, surgery, calibration, samples, how);
  }
  double ratio(const graph::Model& model) const { return latency_ratio(runner, original, model, options); }
  std::function<void(const std::string&, double, double)> tell() const {
    return [this](const std::string& goal, double before, double after) {
      say(fmt::format("fitted together up to {}: {:.3f} of the distance is left", goal,
                      before > 0 ? after / before : 1));
    };
  }
};

// What rounds hand on to each other.
struct Progressing {
  Surgery surgery;
  double ratio = 1;                      // measured
  double original_us = 0;                // sum of the original's layers: the unit in which the planner counts
  std::optional<double> unexplained_us;  // measured latency less the sum of the layers; absent: not known yet
};

// What one round chooses from.
struct Round {
  double goal = 1;
  Present present;
  CandidateTable table;
  plan::Problem problem;
};

// A point of the front, measured.
struct Trial {
  Surgery surgery;
  RoundReport report;
  plan::Point point;
  bool fits() const { return report.measured <= report.goal * 1.003; }
  bool close(double tolerance) const { return fits() && report.measured >= report.goal * (1 - tolerance); }
  bool better_than(const Trial& other) const {
    if (fits() != other.fits()) return fits();
    return fits() ? report.table_loss < other.report.table_loss : report.measured < other.report.measured;
  }
};

// Points spread over a front, its ends among them, as what the table promises and loses.
std::vector<std::pair<double, double>> promised(const Progressing& state,
                                                const std::vector<plan::Cost>& front) {
  constexpr std::size_t kPoints = 60;
  std::vector<std::pair<double, double>> points;
  const std::size_t all = front.size(), count = std::min(all, kPoints);
  for (std::size_t i = 0; i < count; ++i) {
    const plan::Cost& cost = front[count == 1 ? 0 : i * (all - 1) / (count - 1)];
    points.emplace_back((cost.latency_us + *state.unexplained_us) / state.original_us, cost.loss);
  }
  return points;
}

graph::Model as_cut(const Subject& original, const Surgery& surgery) {
  return final_form(original, surgery, apply(original, surgery));
}

double ratio_of(const Search& search, const Trial& trial) {
  return search.ratio(as_cut(search.original, trial.surgery));
}

// The one of several that looks best was also the luckiest: what would be taken is measured once more.
void confirm(const Search& search, Trial& trial) {
  if (search.options.yardstick.exact) return;
  double& measured = trial.report.measured;
  measured = std::sqrt(measured * ratio_of(search, trial));
  search.say(fmt::format("measured again: {:.3f} in the mean", measured));
}

Trial measured(const Search& search, const Progressing& state, const Round& round, const Chosen& chosen) {
  const plan::Point& point = chosen.point;
  Trial trial{
      merge(search.original, state.surgery, round.present.subject, round.table, point.choice), {}, point};
  RoundReport& r = trial.report;
  r.goal = round.goal, r.base_loss = round.table.base_loss, r.table_loss = point.cost.loss;
  r.certificate = point.certificate;
  r.predicted = (point.cost.latency_us + *state.unexplained_us) / state.original_us;
  r.measured = ratio_of(search, trial);
  r.variables = static_cast<int>(round.problem.variables.size());
  r.front = promised(state, chosen.front);
  for (const plan::Variable& v : round.problem.variables) r.candidates += v.candidates;
  search.say(fmt::format("predicted {:.3f}, {} {:.3f} of the original's {}, loss {:.4f}", r.predicted,
                         search.options.yardstick.how, r.measured, search.options.yardstick.quantity,
                         r.table_loss));
  return trial;
}

// Chooses, measures, learns what the layers do not explain, chooses again until nothing better is promised.
Trial settle(const Search& search, Progressing& state, const Round& round) {
  Leftover leftover(round.problem, *state.unexplained_us);
  std::optional<Trial> best;
  std::set<std::vector<int>> tried;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const Chosen chosen = leftover.choose(round.problem, round.goal * state.original_us);
    const plan::Point& point = chosen.point;
    if (!tried.insert(point.choice).second) break;
    state.unexplained_us = leftover.at(point.choice);
    Trial trial = measured(search, state, round, chosen);
    if (trial.fits() && (!best || trial.better_than(*best))) confirm(search, trial);
    double us = trial.report.measured * state.original_us - point.cost.latency_us;
    leftover.learn(point.choice, us);
    if (!best || trial.better_than(*best)) best = trial;
    if (best->close(search.options.tolerance) &&
        std::abs(us - *state.unexplained_us) < 0.002 * state.original_us)
      break;
  }
  state.unexplained_us = best->report.measured * state.original_us - best->point.cost.latency_us;
  return *best;
}

// Sum of the present network's layers, with the zeros that were added to it.
double present_cost(const Subject& original, const Surgery& surgery, const Subject& present,
                    LatencyBook& book) {
  std::map<int, int> widths;
  for (auto [group, of_original] : original_groups(original, surgery, present))
    if (auto it = surgery.added.find(of_original); it != surgery.added.end())
      widths[group] = present.channels.groups[group].width() + it->second;
  std::vector<LayerWidths> layers = written_layers(present);
  std::vector<latency::Workload> needed;
  for (const LayerWidths& layer : layers) needed.push_back(workload_at(present, layer, widths));
  book.learn(needed);
  return layers_cost(present, layers, book, widths);
}

// Everything stays as it is, but for the tokens.
std::vector<int> keeping(const Round& round, int tokens) {
  std::vector<int> choice;
  for (const GroupCandidates& g : round.table.groups) {
    const int width = round.present.subject.channels.groups[static_cast<std::size_t>(g.group)].width();
    const auto at = std::find_if(g.widths.begin(), g.widths.end(),
                                 [&](const WidthCandidate& w) { return w.width == width; });
    choice.push_back(static_cast<int>(at - g.widths.begin()));
  }
  choice.resize(choice.size() + round.table.branches.size() + round.table.kernels.size(), 0);
  choice.push_back(tokens);
  return choice;
}

// More tokens behind one value are never faster: what a measurement says otherwise is noise. The options of a value stand
// together, by rising counts; the first ratio is that of the network with all tokens.
void straighten(const std::vector<TokenOption>& options, std::vector<double>& ratios) {
  for (std::size_t from = 0, to = 0; from < options.size(); from = to) {
    std::vector<double> of_value;
    for (; to < options.size() && options[to].site == options[from].site; ++to)
      of_value.push_back(ratios[to + 1]);
    of_value = isotonic(of_value);
    std::copy(of_value.begin(), of_value.end(), ratios.begin() + static_cast<std::ptrdiff_t>(from) + 1);
  }
}

// Attention is no layer with weights, and is what grows fastest with the tokens: networks are timed with each option, all
// together, and what the layers do not explain is told to the table.
void time_tokens(const Search& search, const Progressing& state, Round& round,
                 const std::vector<LayerWidths>& layers, const LatencyBook& book) {
  std::vector<TokenOption>& options = round.table.tokens;
  if (options.empty()) return;
  std::vector<graph::Model> models;
  for (int i = 0; i <= static_cast<int>(options.size()); ++i) {
    const Surgery surgery =
        merge(search.original, state.surgery, round.present.subject, round.table, keeping(round, i));
    models.push_back(as_cut(search.original, surgery));
  }
  std::vector<double> ratios = latency_ratios(search.runner, search.original, models, search.options);
  straighten(options, ratios);
  const double all = layers_cost(layers, book, std::map<int, latency::Workload>{});
  for (std::size_t i = 0; i < options.size(); ++i) {
    const double saved = (ratios[i + 1] - ratios[0]) * state.original_us;
    options[i].beside_us = saved - (layers_cost(layers, book, options[i].layers) - all);
  }
  search.say(fmt::format("{} choices of fewer tokens: {:.3f} to {:.3f} of the {}", options.size(),
                         *std::min_element(ratios.begin() + 1, ratios.end()) / ratios[0],
                         *std::max_element(ratios.begin() + 1, ratios.end()) / ratios[0],
                         search.options.yardstick.quantity));
}

void leave_streams(const Subject& original, const Surgery& surgery, const Subject& present,
                   std::vector<std::pair<int, std::vector<int>>>& widths) {
  const std::set<int> streams = stream_groups(original);
  std::map<int, int> of_original = original_groups(original, surgery, present);
  std::erase_if(widths, [&](const auto& entry) { return streams.contains(of_original.at(entry.first)); });
}

void leave_pieces(const Subject& original, const Surgery& surgery, const Subject& present,
                  std::vector<std::pair<int, std::vector<int>>>& widths) {
  const std::set<int> sharing = shared_groups(original, surgery, present);
  std::erase_if(widths, [&](const auto& entry) { return !sharing.contains(entry.first); });
}

// What the choice costs each device, against what the planner would choose for it alone from the same table.
std::vector<Regret> regrets_of(const Search& search, const Round& round,
                               const std::vector<LayerWidths>& layers, const Trial& settled) {
  std::vector<Regret> regrets;
  for (latency::LatencyOracle* device : search.options.each) {
    LatencyBook own(*device);
    own.learn(needed_workloads(round.present.subject, layers, round.table));
    regrets.push_back(regret_of(width_problem(round.present.subject, layers, round.table, own.all()),
                                settled.point.choice));
  }
  return regrets;
}

void one_round(const Search& search, LatencyBook& book, double aim, bool last, Progressing& state,
               std::vector<RoundReport>& reports) {
  const Subject& original = search.original;
  Round round{aim, search.present(state.surgery, search.calibration.fit), {}, {}};
  const Subject& present = round.present.subject;
  auto widths = worthwhile_widths(present, book, search.options.widths);
  leave_pieces(original, state.surgery, present, widths);
  if (search.options.keep_streams) leave_streams(original, state.surgery, present, widths);
  if (!state.unexplained_us)
    state.unexplained_us =
        state.ratio * state.original_us - present_cost(original, state.surgery, present, book);
  TableOptions options = search.options.table;
  options.positions = positions(search.calibration.fit, kRowsOfCandidates);
  options.incomparable = values_with_fewer(original, state.surgery.tokens);
  if (search.options.tokens)
    options.tokens = worthwhile_tokens(original, present, state.surgery.tokens, book, search.options.widths);
  round.table = fill_table(search.runner, original, present, round.present.kept, round.present.equations,
                           search.calibration, widths, options);
  std::vector<LayerWidths> layers = written_layers(present);
  book.learn(needed_workloads(present, layers, round.table));
  time_tokens(search, state, round, layers, book);
  *state.unexplained_us -= tokens_saving(round.table);
  round.problem = width_problem(present, layers, round.table, book.all());
  Trial settled = settle(search, state, round);
  if (last) settled.report.regrets = regrets_of(search, round, layers, settled);
  state.surgery = settled.surgery, state.ratio = settled.report.measured;
  if (!round.table.tokens.empty()) state.unexplained_us.reset();  // it was in terms of this round's tokens
  reports.push_back(settled.report);
}

void go_on(const Search& search, LatencyBook& book, Progressing& state, std::vector<RoundReport>& reports) {
  for (int more = 0; search.options.further && more < kFurtherRounds; ++more) {
    const std::optional<double> step = search.options.further(as_cut(search.original, state.surgery));
    if (!step) return;
    one_round(search, book, state.ratio * *step, true, state, reports);
  }
}

// Least squares on few samples can leave what they show: behind an exponential that is far.
void leave_repair_out(const Search& search, graph::Model cut, Searched& found) {
  search.say(fmt::format("the repair makes the divergence {:.3g} instead of {:.3g}: it is left out",
                         found.loss, found.cut_loss));
  found.left_out = found.loss, found.loss = found.cut_loss;
  found.model = std::move(cut);
  found.merged.clear(), found.together.clear();
}

Searched finished(const Search& search, const Surgery& surgery) {
  const Calibration& c = search.calibration;
  Searched found;
  found.surgery = surgery;
  graph::Model cut = as_cut(search.original, surgery);
  found.cut_loss = loss_of(search.runner, search.original, cut, c);
  Present present = search.present(surgery, c.finish.empty() ? c.fit : c.finish, true);
  found.model = final_form(search.original, surgery, present.subject.model);
  found.merged = std::move(present.merged), found.together = std::move(present.together);
  found.loss = loss_of(search.runner, search.original, found.model, c);
  if (!(found.loss <= found.cut_loss)) leave_repair_out(search, std::move(cut), found);
  return found;
}

// Every round chooses kernels anew. Half way to a goal they spare channels and branches, but kept they would stand in the way of
// folding branches later (ResNet-56 at 0.50x lost more with kernels that stayed than without any before the last round).
void restore_kernels(const Search& search, Progressing& state) {
  if (state.surgery.kernels.empty()) return;
  state.surgery.kernels.clear();
  state.ratio = search.ratio(as_cut(search.original, state.surgery));
  state.unexplained_us.reset();
}

}  // namespace

int rounds_for(double ratio, double goal) {
  if (!(goal > 0 && goal < ratio)) return 1;
  const double steps = std::log(goal / ratio) / std::log(0.85);
  return static_cast<int>(std::clamp(goal < 0.5 ? std::ceil(steps) : std::round(steps), 1.0, 5.0));
}

double latency_ratio(runtime::Runner& runner, const Subject& original, const graph::Model& model,
                     const RoundOptions& options) {
  if (options.yardstick.ratio) return options.yardstick.ratio(model);
  return measure_ratio(runner, original, model, options.threads, options.timing_rounds);
}

std::vector<double> latency_ratios(runtime::Runner& runner, const Subject& original,
                                   const std::vector<graph::Model>& models, const RoundOptions& options) {
  if (!options.yardstick.ratio)
    return measure_ratios(runner, original, models, options.threads, (options.timing_rounds + 1) / 2);
  std::vector<double> ratios;
  for (const graph::Model& model : models) ratios.push_back(options.yardstick.ratio(model));
  return ratios;
}

double measure_ratio(runtime::Runner& runner, const Subject& original, const graph::Model& model, int threads,
                     int rounds) {
  return measure_ratios(runner, original, {model}, threads, rounds).front();
}

std::vector<double> measure_ratios(runtime::Runner& runner, const Subject& original,
                                   const std::vector<graph::Model>& models, int threads, int rounds) {
  TemporaryFolder folder(true);
  std::filesystem::path a = original.path;
  if (a.empty()) onnx::write(original.model, a = folder.fresh(".onnx"));
  std::vector<runtime::Job> jobs = {job(a, original)};
  for (const graph::Model& model : models) {
    const std::filesystem::path b = folder.fresh(".onnx");
    onnx::write(model, b);
    jobs.push_back(job(b, original));
  }
  runtime::ApartOptions how;
  how.processes = kProcesses;
  how.timing.threads = threads, how.timing.rounds = (rounds + kProcesses - 1) / kProcesses,
  how.timing.min_sample_us = 1500;  // short samples, many rounds: both models meet the same disturbances
  runtime::RunnerOptions quiet = runner.options();
  quiet.on_progress = {};
  const runtime::TimedApart timed = runtime::time_apart(quiet, jobs, how);
  std::vector<double> ratios;
  for (std::size_t i = 1; i < jobs.size(); ++i)
    ratios.push_back(runtime::compare_apart(timed.us[0], timed.us[i]).ratio);
  return ratios;
}

Searched search_rounds(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                       LatencyBook& book, double goal, const RoundOptions& options, const Start& start) {
  Search search{runner, original, calibration, options};
  std::vector<RoundReport> reports;
  Progressing state{start.surgery, start.ratio, present_cost(original, {}, original, book), {}};
  restore_kernels(search, state);
  const double begin = state.ratio;
  const int rounds = options.rounds > 0 ? options.rounds : rounds_for(begin, goal);
  for (int round = 1; round <= rounds; ++round) {
    double aim = begin * std::pow(goal / begin, static_cast<double>(round) / rounds);
    restore_kernels(search, state);
    search.say(fmt::format("round {} of {}: aiming at {:.3f} of the original's {}", round, rounds, aim,
                           options.yardstick.quantity));
    one_round(search, book, aim, round == rounds, state, reports);
  }
  go_on(search, book, state, reports);
  Searched found = finished(search, state.surgery);
  found.ratio = state.ratio, found.rounds = std::move(reports);
  return found;
}

Searched carry_out(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                   const Surgery& surgery, const RoundOptions& options) {
  Search search{runner, original, calibration, options};
  Searched found = finished(search, surgery);
  found.ratio = search.ratio(found.model);
  return found;
}

}  // namespace tailor::pipeline
