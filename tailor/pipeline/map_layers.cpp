// find_layers: weights as rows (rows_of), rounded for every way to compute (rounded_rows), errors per channel.
// measure_losses and accuracy_of write a rounded model beside the original and compare their outputs.
#include "tailor/pipeline/map_layers.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/activation_ranges.h"
#include "tailor/pipeline/calibration.h"
#include "tailor/pipeline/mapping_file.h"
#include "tailor/rewrite/activations.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/repair.h"
#include "tailor/rewrite/tensors.h"
#include "tailor/saliency/quantise.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace tailor::pipeline {
namespace {

using graph::Node;
using graph::Tensor;
using latency::UnitChoice;

constexpr std::int64_t kMostChannels = 16384;  // of a layer that is split

// channels x row, or nothing for weights that are no f32 of the size that the layer needs.
std::vector<float> rows_of(const Subject& subject, const latency::LayerWorkload& layer) {
  const Node& node = subject.model.graph.nodes[static_cast<std::size_t>(layer.node)];
  const Tensor* tensor = subject.shapes.constant(node.input(1));
  if (!tensor || tensor->type != graph::DataType::f32 || tensor->dims.empty()) return {};
  bool last = rewrite::outputs_last(node);
  if ((last ? tensor->dims.back() : tensor->dims.front()) != layer.workload.oc) return {};
  std::vector<float> values = tensor->values<float>();
  return last && !values.empty() ? rewrite::transposed(values, static_cast<std::size_t>(tensor->dims.front()))
                                 : values;
}

bool can_compute(const device::Platform& platform, const latency::Workload& workload) {
  for (UnitChoice choice : latency::unit_choices(platform))
    if (std::isfinite(latency::cycles(platform, choice, workload, workload.oc))) return true;
  return false;
}

// As the unit keeps them; as they are where it cannot compute the layer.
std::vector<float> rounded_rows(const device::Platform& platform, UnitChoice choice,
                                const MappedLayer& mapped) {
  const latency::Workload& w = mapped.layer.workload;
  if (!std::isfinite(latency::cycles(platform, choice, w, w.oc))) return mapped.weights;
  const device::Unit& unit = platform.units[static_cast<std::size_t>(choice.unit)];
  const auto channels = static_cast<std::size_t>(w.oc);
  std::vector<float> rows = mapped.weights;
  if (unit.computes == device::Computes::depthwise && w.g == 1)
    rows = saliency::own_input_only(rows, channels);
  return saliency::quantised(rows, channels, unit.weights[static_cast<std::size_t>(choice.format)]);
}

// Rounded weights, and as loss the share of the weights' energy that is lost.
void add_rounding(const device::Platform& platform, MappedLayer& mapped) {
  double energy = 0;
  for (float x : mapped.weights) energy += double{x} * x;
  for (UnitChoice choice : latency::unit_choices(platform)) {
    mapped.rounded.push_back(rounded_rows(platform, choice, mapped));
    std::vector<double> errors = saliency::channel_errors(mapped.weights, mapped.rounded.back(),
                                                          static_cast<std::size_t>(mapped.layer.workload.oc));
    if (energy > 0)
      for (double& error : errors) error /= energy;
    mapped.layer.loss.push_back(std::move(errors));
  }
}

// The mapped layers whose activations reach `node` without passing another mapped layer.
std::vector<int> layers_read(const graph::Graph& graph, const graph::Uses& uses,
                             const std::map<int, int>& layer_of, int node) {
  std::set<int> seen, found;
  std::vector<int> waiting{node};
  while (!waiting.empty()) {
    int at = waiting.back();
    waiting.pop_back();
    for (const std::string& name : graph::reads(graph.nodes[static_cast<std::size_t>(at)])) {
      int producer = uses.producer(name);
      if (producer < 0 || !seen.insert(producer).second) continue;
      auto layer = layer_of.find(producer);
      layer != layer_of.end() ? static_cast<void>(found.insert(layer->second)) : waiting.push_back(producer);
    }
  }
  return {found.begin(), found.end()};
}

bool is_layer(const Node& node) {
  static const std::set<std::string> layers = {"Conv", "ConvTranspose", "Gemm", "MatMul"};
  return layers.contains(node.op);
}

VerifyOptions comparison(const MapOptions& options) {
  VerifyOptions result = options.samples;
  result.gates = {};
  return result;
}

// The rounded model's outputs beside the original's.
Agreement compare(const Subject& subject, const graph::Model& rounded, const VerifyOptions& options) {
  TemporaryFolder folder(true);
  std::filesystem::path path = folder.fresh(".onnx");
  onnx::write(rounded, path);
  std::vector<Agreement> found = compare_outputs(subject.path, path, options);
  TAILOR_CHECK(!found.empty());
  return found.front();
}

void set_rows(graph::Model& model, const MappedLayer& mapped, std::vector<float> rows) {
  const Node& node = model.graph.nodes[static_cast<std::size_t>(mapped.node)];
  graph::Uses uses(model.graph);
  const Tensor* tensor = graph::constant(model.graph, uses, node.input(1));
  TAILOR_CHECK(tensor);
  graph::Shape dims = tensor->dims;
  if (rewrite::outputs_last(node))
    rows = rewrite::transposed(rows, static_cast<std::size_t>(mapped.layer.workload.oc));
  rewrite::set_operand(model, mapped.node, 1, graph::make_f32(dims, std::move(rows)));
}

std::vector<float> statistic(const graph::Model& model, const Node& node, std::size_t input) {
  graph::Uses uses(model.graph);
  const Tensor* tensor = graph::constant(model.graph, uses, node.input(input));
  std::optional<std::vector<float>> values = tensor ? graph::as_floats(*tensor) : std::nullopt;
  return values.value_or(std::vector<float>{});
}

// Statistics of `model` (those of training) moved as far as rounding moved the estimates: both were made on the same
// samples, so what is peculiar to those cancels out.
graph::Model with_moved_statistics(graph::Model model, const graph::Model& before,
                                   const graph::Model& after) {
  constexpr std::size_t kMean = 3, kVariance = 4;
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
    const Node node = model.graph.nodes[i];
    if (node.op != "BatchNormalization") continue;
    for (std::size_t input : {kMean, kVariance}) {
      std::vector<float> values = statistic(model, node, input),
                         from = statistic(before, before.graph.nodes[i], input),
                         to = statistic(after, after.graph.nodes[i], input);
      if (values.empty() || from.size() != values.size() || to.size() != values.size()) continue;
      for (std::size_t c = 0; c < values.size(); ++c)
        if (input == kMean)
          values[c] += to[c] - from[c];
        else if (from[c] > 0)
          values[c] *= to[c] / from[c];
      auto channels = static_cast<std::int64_t>(values.size());
      rewrite::set_operand(model, static_cast<int>(i), input, graph::make_f32({channels}, std::move(values)));
    }
  }
  return model;
}

}  // namespace

void find_layers(const Subject& subject, MapResult& result) {
  const graph::Graph& graph = subject.model.graph;
  std::map<int, int> layer_of;  // node -> index into result.layers
  for (const latency::LayerWorkload& found : subject.layers) {
    const std::string label = graph.nodes[static_cast<std::size_t>(found.node)].label();
    MappedLayer mapped{found.node, {label, found.workload, {}, {}}, {}, {}};
    if (found.workload.oc <= kMostChannels && can_compute(result.platform, found.workload))
      mapped.weights = rows_of(subject, found);
    if (mapped.weights.empty()) {
      result.elsewhere.push_back(label);
      continue;
    }
    add_rounding(result.platform, mapped);
    layer_of[found.node] = static_cast<int>(result.layers.size());
    result.layers.push_back(std::move(mapped));
  }
  if (result.layers.empty())
    throw Error(Code::nothing_to_map,
                fmt::format("no layer of the model has constant f32 weights that a unit of {} can compute",
                            result.platform.name),
                subject.path.string(), "tailor inspect shows the layers; give the model before quantisation");
  graph::Uses uses(graph);
  for (MappedLayer& mapped : result.layers)
    mapped.layer.reads = layers_read(graph, uses, layer_of, mapped.node);
  for (const Node& node : graph.nodes) result.other_nodes += !is_layer(node) && node.op != "Constant";
}

void measure_losses(const Subject& subject, MapResult& result, const MapOptions& options) {
  VerifyOptions how = comparison(options);
  how.eval.clear(), how.calib = options.calib, how.limit = options.calib_limit;
  const std::size_t choices = latency::unit_choices(result.platform).size();
  for (std::size_t l = 0; l < result.layers.size(); ++l)
    for (std::size_t o = 0; o < choices; ++o) {
      MappedLayer& mapped = result.layers[l];
      double sum = 0;
      for (double loss : mapped.layer.loss[o]) sum += loss;
      if (sum == 0) continue;  // nothing is rounded
      graph::Model rounded = subject.model;
      set_rows(rounded, mapped, mapped.rounded[o]);
      double measured = compare(subject, rounded, how).mean_divergence;
      for (double& loss : mapped.layer.loss[o]) loss *= measured / sum;
      if (options.progress)
        options.progress("losses", static_cast<double>(l * choices + o + 1) /
                                       static_cast<double>(result.layers.size() * choices));
    }
  result.measured_loss = true;
}

std::vector<int> channel_options(const MapResult& result, std::size_t layer, const plan::Mapping& mapping) {
  if (!mapping.assignment.empty()) return mapping.assignment[layer];
  plan::SplitProblem problem =
      plan::split_problem(result.platform, result.layers[layer].layer, plan::Objective::latency);
  return plan::assign_channels(problem, mapping.splits[layer].counts);
}

graph::Model rounded_model(const Subject& subject, const MapResult& result, const plan::Mapping& mapping) {
  graph::Model model = subject.model;
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    const MappedLayer& mapped = result.layers[l];
    const std::vector<saliency::Keeping> ways =
        keepings_of_layer(keepings(result.platform), mapped.layer.workload.g);
    set_rows(model, mapped, saliency::kept(mapped.weights, ways, channel_options(result, l, mapping)));
  }
  return model;
}

graph::Model with_estimated_statistics(const Subject& subject, const graph::Model& model,
                                       const MapOptions& options) {
  CalibrationOptions samples;
  samples.path = options.calib, samples.preparation = options.samples.preparation;
  samples.augment = false;
  Calibration calibration = load_calibration(subject, samples);
  runtime::Runner runner(options.samples.bench.runner);
  rewrite::Activations present(runner, subject.shapes, calibration.fit, calibration.threads,
                               calibration.memory);
  return rewrite::reestimate_normalisation(model, present);
}

graph::Model deployed_model(const Subject& subject, const MapResult& result, const plan::Mapping& mapping,
                            const MapOptions& options) {
  graph::Model model = rounded_model(subject, result, mapping);
  if (!result.estimated) return model;
  return with_moved_statistics(model, *result.estimated, with_estimated_statistics(subject, model, options));
}

std::map<std::string, rewrite::Range> ranges_to_round(const Subject& subject,
                                                      const device::Platform& platform,
                                                      const MapOptions& options) {
  if (platform.activation_bits == 0) return {};
  const std::vector<int> layers = rewrite::quantisable_layers(subject.model, subject.shapes);
  return activation_ranges(subject, rewrite::rounded_values(subject.model, layers), options);
}

MappingAccuracy accuracy_of(const Subject& subject, const MapResult& result, const plan::Mapping& mapping,
                            const MapOptions& options) {
  VerifyOptions how = comparison(options);
  how.eval = options.eval;
  how.calib = options.eval.empty() ? options.calib : std::filesystem::path();
  graph::Model deployed = deployed_model(subject, result, mapping, options);
  if (!result.ranges.empty())
    deployed = rewrite::with_rounded_values(deployed, result.ranges, result.platform.activation_bits);
  Agreement found = compare(subject, deployed, how);
  MappingAccuracy accuracy{found.source, found.samples, {}, {}, 100 * found.score.agreement()};
  if (found.score.labelled > 0)
    accuracy.top1 = 100 * found.score.top1_b(), accuracy.top1_before = 100 * found.score.top1_a();
  return accuracy;
}

}  // namespace tailor::pipeline
