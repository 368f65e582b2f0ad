// The line: list of layers -> profile in place -> sweeps of widths -> verdicts. The sweeps are those of the other two
// analyses; only the oracle differs.
#include "tailor/pipeline/gpu_analysis.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/pipeline/gpu_target.h"
#include "tailor/pipeline/width_problem.h"
#include "tailor/runtime/measure.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

using latency::Workload;

constexpr double kLaunchUs = 3, kStreaming = 0.6, kIdle = 0.15;
constexpr int kProfileRounds = 25;

double median(const Json& answer, const char* key) {
  return runtime::summarize(member(answer, key, "answer").get<std::vector<double>>()).median;
}

// Waves of the kernel that took longest.
double waves_of(const Json& kernels) {
  double longest = -1, waves = 0;
  for (const Json& kernel : kernels)
    if (number(kernel, "us", "kernel") > longest)
      longest = number(kernel, "us", "kernel"), waves = number(kernel, "waves", "kernel");
  return waves;
}

GpuLayer read_layer(const ListedLayer& listed, const Json& node) {
  GpuLayer layer{listed.name, listed.text, listed.layer, median(node, "us")};
  layer.kernel = text(node, "kernel", "node");
  layer.waves = waves_of(member(node, "kernels", "node"));
  return layer;
}

void profile_in_place(runtime::Runner& runner, const LayerList& list, const GpuAnalysisOptions& options,
                      GpuAnalysis& analysis) try {
  const Json answer = runner.ask({{"op", "profile"},
                                  {"rounds", kProfileRounds},
                                  {"seed", options.seed},
                                  {"time_limit_s", options.profile_s},
                                  {"job", {{"network", parse_json(list.to_line(), "network")}}}});
  const Json& nodes = member(answer, "nodes", "answer");
  if (nodes.size() != list.layers.size())
    throw Error(Code::runner_failed, fmt::format("the runner answered with {} layers instead of {}",
                                                 nodes.size(), list.layers.size()));
  analysis.network_us = median(answer, "unprofiled_us");
  for (std::size_t i = 0; i < list.layers.size(); ++i)
    analysis.layers.push_back(read_layer(list.layers[i], nodes[i]));
  for (GpuLayer& layer : analysis.layers) {
    layer.share = analysis.network_us > 0 ? layer.us / analysis.network_us : 0;
    analysis.kernels_us += layer.us;
  }
} catch (const nlohmann::json::exception& error) {
  throw Error(Code::runner_failed,
              fmt::format("the runner's answer to \"profile\" is malformed: {}", error.what()));
}

// Time in place over time alone, by layer of the subject; 1 where either is missing.
std::vector<double> scales(const Subject& subject, const GpuAnalysis& analysis,
                           latency::LatencyOracle& oracle) {
  std::vector<Workload> wanted;
  std::vector<std::size_t> of;
  for (std::size_t i = 0; i < subject.layers.size(); ++i)
    if (timeable(subject.layers[i].workload) &&
        subject.layers[i].workload.kind != latency::Kind::conv_transpose)
      wanted.push_back(subject.layers[i].workload), of.push_back(i);
  for (Workload& workload : sweep_workloads(subject)) wanted.push_back(std::move(workload));
  const std::vector<latency::Estimate> estimates = oracle.evaluate(wanted);
  std::vector<double> scale(subject.layers.size(), 1);
  for (const GpuLayer& layer : analysis.layers)
    for (std::size_t k = 0; k < of.size(); ++k)
      if (layer.layer == static_cast<int>(of[k]) && estimates[k].value.value > 0)
        scale[of[k]] = layer.us / estimates[k].value.value;
  return scale;
}

void add_sweeps(const Subject& subject, latency::LatencyOracle& oracle, GpuAnalysis& analysis) {
  const std::vector<double> scale = scales(subject, analysis, oracle);
  analysis.groups = sweep_groups(subject, oracle, scale);
  const std::vector<double> savings = joint_savings(subject, oracle, scale, fitting_widths(analysis.groups));
  const std::vector<LayerWidths> widths = layer_widths(subject);
  for (GpuLayer& layer : analysis.layers) {
    if (layer.layer < 0) continue;
    const auto at = static_cast<std::size_t>(layer.layer);
    layer.recoverable_us = savings[at];
    if (widths[at].out.empty()) continue;
    layer.out_group = subject.channels.groups[static_cast<std::size_t>(widths[at].out.front().first)].name;
    for (const GroupSweep& sweep : analysis.groups)
      if (sweep.name == layer.out_group) layer.down = sweep.down, layer.up = sweep.up;
  }
}

void judge_layers(const Subject& subject, double gbytes_per_s, GpuAnalysis& analysis) {
  for (GpuLayer& layer : analysis.layers) {
    const bool weights = layer.layer >= 0;
    Workload w;
    if (weights) w = subject.layers[static_cast<std::size_t>(layer.layer)].workload;
    if (weights) w.type = type_of_precision(analysis.precision);
    layer.verdict = judge_measured(layer, weights ? &w : nullptr, gbytes_per_s);
  }
}

// Bandwidth as the driver states it: two transfers per clock of the bus; 0 if it does not.
double stated_gbytes_per_s(const Json& hello) {
  const Json& device = member(hello, "device", "hello");
  return 2.0 * number(device, "memory_khz", "device") * number(device, "bus_bits", "device") / 8 / 1e6;
}

Json layer_json(const GpuLayer& l) {
  return {{"name", l.name},
          {"layer", l.text},
          {"us", l.us},
          {"how", "measured"},
          {"share", l.share},
          {"kernel", l.kernel},
          {"waves", l.waves},
          {"verdict", name(l.verdict)},
          {"out_group", l.out_group},
          {"down", to_json(l.down)},
          {"up", to_json(l.up)},
          {"recoverable_us", l.recoverable_us}};
}

// `layers` counts those of the document, which are launches and not layers of the subject.
Json group_json(const GroupSweep& sweep, const GpuAnalysis& a) {
  Json group = to_json(sweep), layers = Json::array();
  for (std::size_t i = 0; i < a.layers.size(); ++i)
    if (std::find(sweep.layers.begin(), sweep.layers.end(), a.layers[i].layer) != sweep.layers.end())
      layers.push_back(i);
  group["layers"] = std::move(layers);
  return group;
}

}  // namespace

double GpuAnalysis::us_of(DeviceVerdict verdict) const {
  double sum = 0;
  for (const GpuLayer& layer : layers) sum += layer.verdict == verdict ? layer.us : 0;
  return sum;
}

double GpuAnalysis::recoverable_us() const {
  double sum = 0;
  for (const GpuLayer& layer : layers) sum += layer.recoverable_us;
  return sum;
}

DeviceVerdict judge_measured(const GpuLayer& layer, const Workload* workload, double gbytes_per_s) {
  if (layer.us < kLaunchUs) return DeviceVerdict::launch;
  const double gbytes = workload ? static_cast<double>(latency::bytes(*workload)) / layer.us / 1e3 : 0;
  if (gbytes_per_s > 0 && gbytes >= kStreaming * gbytes_per_s) return DeviceVerdict::memory;
  if (layer.waves <= 0) return DeviceVerdict::ok;
  if (layer.waves < 1) return DeviceVerdict::sub_wave;
  return 1 - layer.waves / std::ceil(layer.waves) >= kIdle ? DeviceVerdict::tail : DeviceVerdict::ok;
}

GpuAnalysis analyze_gpu(const Subject& subject, const GpuAnalysisOptions& options) {
  const graph::DataType type = type_of_precision(options.precision);
  const LayerList list = layer_list(subject, type);
  if (list.layers.empty())
    throw Error(Code::nothing_to_change, "the model has no layer that a GPU's runner computes",
                subject.path.string());
  if (options.free && list.left_out.contains("ConvTranspose"))
    throw Error(Code::runtime_refused, "the runner for GPUs times no ConvTranspose, so widths are not swept",
                subject.path.string(), "leave --free out, or ask a description: -d NAME");
  std::string phase = "profile";
  runtime::RunnerOptions with_progress = gpu_runner(options.runner, options.precision);
  with_progress.on_progress = [&](double done) {
    if (options.progress) options.progress(phase, done);
  };
  runtime::Runner runner(with_progress);
  check_gpu_runner(runner.hello(), options.precision);
  GpuAnalysis analysis;
  analysis.device = runner.hello().processor, analysis.version = runner.hello().version;
  analysis.isa = runner.hello().isa, analysis.precision = options.precision;
  analysis.model = subject.path, analysis.sha256 = subject.sha256(), analysis.left_out = list.left_out;
  profile_in_place(runner, list, options, analysis);
  judge_layers(subject, stated_gbytes_per_s(runner.ask({{"op", "hello"}})), analysis);
  if (!options.sweeps || list.left_out.contains("ConvTranspose")) return analysis;
  phase = "widths";
  runtime::Profile profile(options.profile.empty() ? cache_folder() / "profile.jsonl" : options.profile);
  runtime::MeasuringOracle oracle(runner, profile, {.rounds = options.rounds, .seed = options.seed},
                                  options.journal);
  Retyped typed(oracle, type);
  add_sweeps(subject, typed, analysis);
  LatencyBook book(typed);
  if (options.free) analysis.free = free_channels(subject, book, How::measured);
  analysis.measured = static_cast<int>(oracle.measured()), analysis.known = static_cast<int>(oracle.known());
  return analysis;
}

Json to_json(const GpuAnalysis& a) {
  Json json = {{"schema", "tailor/gpu-analysis/1"},
               {"model", a.model.string()},
               {"sha256", a.sha256},
               {"how", "measured"},
               {"device", a.device},
               {"version", a.version},
               {"isa", a.isa},
               {"precision", a.precision},
               {"network_us", a.network_us},
               {"kernels_us", a.kernels_us},
               {"recoverable_us", a.recoverable_us()},
               {"left_out", Json::object()},
               {"measured", a.measured},
               {"known", a.known},
               {"layers", Json::array()},
               {"groups", Json::array()}};
  for (const GroupSweep& sweep : a.groups) json["groups"].push_back(group_json(sweep, a));
  for (const auto& [op, count] : a.left_out) json["left_out"][op] = count;
  for (const GpuLayer& layer : a.layers) json["layers"].push_back(layer_json(layer));
  if (a.free) json["free"] = to_json(*a.free);
  return json;
}

}  // namespace tailor::pipeline
