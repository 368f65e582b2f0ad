// The line of an analysis: profile in place -> matched layers -> layers alone -> sweeps -> verdicts.
#include "tailor/pipeline/analyze.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/base/text.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/bench.h"
#include "tailor/pipeline/rounds.h"
#include "tailor/runtime/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace tailor::pipeline {
namespace {

using latency::Workload;

// The runner, with progress that says what it is about.
struct Bench {
  explicit Bench(const AnalyzeOptions& o) : options(o), runner(with_progress(o.runner)) {}
  runtime::RunnerOptions with_progress(runtime::RunnerOptions runner_options) {
    runner_options.on_progress = [this](double done) { report(done); };
    return runner_options;
  }
  void begin(std::string name) { phase = std::move(name), report(0); }
  void report(double done) const {
    if (options.progress) options.progress(phase, done);
  }

  const AnalyzeOptions& options;
  std::string phase;
  runtime::Runner runner;
};

constexpr int kMostProfileRounds = 250;
constexpr int kRatioRounds = 101;  // of whole networks against each other

InPlace profile_in_place(Bench& bench, const Subject& subject) {
  bench.begin("profile");
  runtime::TimingOptions timing{.threads = bench.options.threads,
                                .rounds = kMostProfileRounds,
                                .seed = bench.options.seed,
                                .time_limit_s = bench.options.profile_s};
  InPlace in_place = account(bench.runner.profile(timing_job(subject.path, subject.overrides), timing));
  match_layers(subject, in_place);
  return in_place;
}

// Bytes read and written per second by an operator that only streams, far beyond the caches.
double streaming_gbytes(Bench& bench) {
  bench.begin("memory bandwidth");
  constexpr std::int64_t kElements = std::int64_t{16} << 20;
  TemporaryFolder folder;
  graph::Model model;
  model.opsets = {{"", 13}};
  model.graph.name = "stream";
  model.graph.nodes = {{"Abs", "", "stream", {"x"}, {"y"}}};
  model.graph.inputs = {{"x", graph::DataType::f32, graph::Shape{kElements}}};
  model.graph.outputs = {{"y", graph::DataType::f32, graph::Shape{kElements}}};
  const auto path = folder.path() / "stream.onnx";
  onnx::write(model, path);
  const std::vector<runtime::Job> jobs = {timing_job(path, {})};
  const auto samples =
      bench.runner.time(jobs, {.threads = bench.options.threads, .rounds = 7, .seed = bench.options.seed});
  const double us = runtime::summarize(samples[0].us).median;
  return us > 0 ? 2.0 * sizeof(float) * kElements / us / 1e3 : 0;
}

// What the padded shortcuts cost: with the layout that they break, not they alone.
void judge_shortcuts(Bench& bench, const Subject& subject, Analysis& analysis) {
  const Subject with = with_shortcuts(subject);
  analysis.shortcuts = static_cast<int>(with.shortcuts.size());
  if (analysis.shortcuts == 0) return;
  bench.begin("shortcuts");
  analysis.shortcuts_ratio =
      measure_ratio(bench.runner, subject, with.model, bench.options.threads, kRatioRounds);
}

BaseComparison measured_against(Bench& bench, const Subject& base, const Subject& subject,
                                latency::LatencyOracle& oracle) {
  bench.begin("base");
  const double ratio = measure_ratio(bench.runner, base, subject.model, bench.options.threads, kRatioRounds);
  return compare_with_base(base, subject, oracle, How::measured, ratio);
}

// Worth proving that the input's width leaves the fast path? Three channels are an image.
bool unaligned(const Workload& w) {
  return w.kind != latency::Kind::gemm && w.ic > 4 && w.ic % 4 != 0 && (w.g == 1 || w.g == w.ic);
}

struct Alone {
  double us = 0, aligned_us = 0, below_us = 0;  // 0: not measured
};

// Asks for the sweeps too, so that what is compared was measured interleaved.
std::vector<Alone> layers_alone(const Subject& subject, latency::LatencyOracle& oracle) {
  std::vector<Workload> wanted;
  for (const latency::LayerWorkload& layer : subject.layers) {
    if (!timeable(layer.workload)) continue;
    wanted.push_back(layer.workload);
    if (!unaligned(layer.workload)) continue;
    wanted.push_back(at_multiple_of_4(layer.workload, true, false));
    wanted.push_back(at_multiple_of_4(layer.workload, false, true));
  }
  const std::size_t own = wanted.size();
  for (Workload& workload : sweep_workloads(subject)) wanted.push_back(std::move(workload));
  const std::vector<latency::Estimate> estimates = oracle.evaluate(wanted);
  wanted.resize(own);
  std::map<Workload, double> us;
  for (std::size_t i = 0; i < wanted.size(); ++i) us[wanted[i]] = estimates[i].value.value;
  std::vector<Alone> alone;
  for (const latency::LayerWorkload& layer : subject.layers) {
    const Workload& w = layer.workload;
    Alone each;
    if (timeable(w)) each.us = us.at(w);
    if (timeable(w) && unaligned(w))
      each.aligned_us = us.at(at_multiple_of_4(w, true, false)),
      each.below_us = us.at(at_multiple_of_4(w, false, true));
    alone.push_back(each);
  }
  return alone;
}

std::string layer_name(const graph::Node& node) { return node.name.empty() ? node.output(0) : node.name; }

std::string first_group(const Subject& subject, const std::vector<std::pair<int, int>>& parts) {
  return parts.empty() ? std::string() : subject.channels.groups[parts.front().first].name;
}

// Everything that needs no sweep.
std::vector<AnalyzedLayer> measured_layers(const Subject& subject, const InPlace& in_place,
                                           const std::vector<Alone>& alone) {
  std::vector<AnalyzedLayer> layers;
  for (const LayerWidths& widths : layer_widths(subject)) {
    const graph::Node& node = subject.model.graph.nodes[widths.node];
    AnalyzedLayer layer;
    layer.name = layer_name(node), layer.op = node.op, layer.workload = widths.workload;
    layer.in_group = first_group(subject, widths.in), layer.out_group = first_group(subject, widths.out);
    layer.alone_us = alone[layers.size()].us;
    layers.push_back(std::move(layer));
  }
  for (const ExecutedNode& node : in_place.nodes)
    if (node.layer >= 0) layers[node.layer].us = node.us, layers[node.layer].in_place = true;
  for (AnalyzedLayer& layer : layers) {
    if (!layer.in_place) layer.us = layer.alone_us;
    if (layer.us <= 0) continue;
    layer.share = in_place.network_us > 0 ? layer.us / in_place.network_us : 0;
    layer.gflops = 2 * static_cast<double>(latency::macs(layer.workload)) / layer.us / 1e3;
    layer.gbytes = static_cast<double>(latency::bytes(layer.workload)) / layer.us / 1e3;
  }
  return layers;
}

const GroupSweep* sweep_of(const std::vector<GroupSweep>& sweeps, const std::string& group) {
  auto it = std::find_if(sweeps.begin(), sweeps.end(), [&](const auto& s) { return s.name == group; });
  return it == sweeps.end() || group.empty() ? nullptr : &*it;
}

// The fastest layer that lasts long enough for its rate to mean something.
double best_gflops(const std::vector<AnalyzedLayer>& layers) {
  double best = 0;
  for (const AnalyzedLayer& layer : layers)
    if (layer.us >= 10) best = std::max(best, layer.gflops);
  return best;
}

void judge_layers(Analysis& analysis, const std::vector<Alone>& alone, const std::vector<GroupSweep>& own) {
  const double best = best_gflops(analysis.layers);
  for (std::size_t i = 0; i < analysis.layers.size(); ++i) {
    AnalyzedLayer& layer = analysis.layers[i];
    const GroupSweep* sweep = sweep_of(analysis.groups, layer.out_group);
    Judgement judgement =
        judge_layer({layer.workload, layer.us, alone[i].us, alone[i].aligned_us, alone[i].below_us,
                     own[i].widths.empty() ? nullptr : &own[i], analysis.streaming_gbytes, best});
    layer.verdict = judgement.verdict, layer.why = std::move(judgement.why);
    if (sweep) layer.down = sweep->down, layer.up = sweep->up;
  }
}

std::vector<std::string> names_of(const std::vector<AnalyzedLayer>& layers) {
  std::vector<std::string> names;
  for (const AnalyzedLayer& layer : layers) names.push_back(layer.name);
  return names;
}

// Output widths from half to one and a half of the present one, about forty.
latency::Staircase staircase_of(const Workload& workload, latency::LatencyOracle& oracle) {
  const auto present = workload.g > 1 && workload.g == workload.ic ? workload.ic : workload.oc;
  std::int64_t step = 1;
  while (present / step > 40) step *= 2;
  std::set<std::int64_t> widths = {present};
  for (std::int64_t w = std::max(step, present / 2 / step * step); w <= present + present / 2; w += step)
    widths.insert(w);
  std::vector<Workload> workloads;
  for (std::int64_t w : widths) workloads.push_back(with_outputs(workload, w));
  std::vector<double> us;
  for (const latency::Estimate& estimate : oracle.evaluate(workloads)) us.push_back(estimate.value.value);
  const std::vector<std::int64_t> list(widths.begin(), widths.end());
  return latency::find_staircase(list, us);
}

void add_picture(Analysis& analysis, int index, latency::LatencyOracle& oracle) {
  const AnalyzedLayer& layer = analysis.layers[index];
  const bool simple = layer.workload.g == 1 || layer.workload.g == layer.workload.ic;
  if (!timeable(layer.workload) || !simple)
    throw Error(Code::bad_value, "the widths of this layer cannot be swept alone", layer.name,
                "name a float Conv, Gemm or MatMul, or a depthwise Conv");
  analysis.picture_layer = layer.name;
  analysis.picture = staircase_of(layer.workload, oracle);
}

Analysis described(const Bench& bench, const Subject& subject) {
  const runtime::Hello& hello = bench.runner.hello();
  Analysis analysis;
  analysis.runtime = hello.runtime, analysis.version = hello.version, analysis.isa = hello.isa;
  analysis.processor = hello.processor, analysis.threads = bench.options.threads;
  analysis.model = subject.path, analysis.sha256 = subject.sha256();
  return analysis;
}

// The first three, in quotes.
std::string some_names(const std::vector<std::string>& names, const std::vector<int>& which) {
  constexpr std::size_t kMost = 3, kColumns = 60;
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, which.size()); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : ", ",
                        shortened(names[static_cast<std::size_t>(which[i])], kColumns));
  return which.size() > kMost ? text + ", ..." : text;
}

}  // namespace

double Analysis::recoverable_us() const {
  double sum = 0;
  for (const AnalyzedLayer& layer : layers) sum += layer.recoverable_us;
  return sum;
}

int Analysis::misfits() const {
  return static_cast<int>(
      std::count_if(groups.begin(), groups.end(), [](const auto& g) { return g.fitting().has_value(); }));
}

int find_layer(const std::vector<std::string>& names, const std::string& wanted) {
  std::vector<int> containing;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == wanted) return static_cast<int>(i);
    if (names[i].find(wanted) != std::string::npos) containing.push_back(static_cast<int>(i));
  }
  if (containing.size() == 1) return containing.front();
  throw Error(Code::unknown_name,
              containing.empty()
                  ? fmt::format("there is no layer '{}'{}", wanted, did_you_mean(wanted, names))
                  : fmt::format("'{}' is part of the names of {} layers: {}", wanted, containing.size(),
                                some_names(names, containing)),
              "--layer", "tailor analyze --all lists the layers");
}

Analysis analyze(const Subject& subject, const AnalyzeOptions& options) {
  const bool pictured = !options.layer.empty();
  const std::optional<Subject> base = base_of(subject, options.base);  // what is wrong with it, now
  Bench bench(options);
  runtime::Profile profile(options.profile.empty() ? cache_folder() / "profile.jsonl" : options.profile);
  runtime::MeasuringOracle oracle(
      bench.runner, profile, {.threads = options.threads, .rounds = options.rounds, .seed = options.seed},
      options.journal);
  Analysis analysis = described(bench, subject);
  const int layer =
      pictured ? find_layer(names_of(measured_layers(subject, {}, std::vector<Alone>(subject.layers.size()))),
                            options.layer)
               : -1;
  analysis.in_place = profile_in_place(bench, subject);
  analysis.streaming_gbytes = streaming_gbytes(bench);
  bench.begin("widths");
  const std::vector<Alone> alone = layers_alone(subject, oracle);
  analysis.layers = measured_layers(subject, analysis.in_place, alone);
  std::vector<double> scale;
  for (const AnalyzedLayer& each : analysis.layers)
    scale.push_back(each.alone_us > 0 ? each.us / each.alone_us : 1);
  analysis.groups = sweep_groups(subject, oracle, scale);
  judge_layers(analysis, alone, own_sweeps(subject, oracle, scale, analysis.groups));
  bench.begin("widths together");
  const std::vector<double> savings = joint_savings(subject, oracle, scale, fitting_widths(analysis.groups));
  for (std::size_t i = 0; i < savings.size(); ++i) analysis.layers[i].recoverable_us = savings[i];
  for (double saved : joint_savings(subject, oracle, scale, fitting_widths(analysis.groups, true)))
    analysis.free_us += saved;
  judge_shortcuts(bench, subject, analysis);
  if (base) analysis.base = measured_against(bench, *base, subject, oracle);
  if (pictured) bench.begin("staircase"), add_picture(analysis, layer, oracle);
  analysis.measured = static_cast<int>(oracle.measured()), analysis.known = static_cast<int>(oracle.known());
  return analysis;
}

}  // namespace tailor::pipeline
