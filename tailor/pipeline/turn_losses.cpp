#include "tailor/pipeline/turn_losses.h"

#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/activation_ranges.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/tensors.h"

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

using plan::Way;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

const device::Unit& unit_of(const TurnNetwork& network, std::size_t step, int way) {
  return network.platform.units[index(network.problem.steps[step].ways[index(way)].reads)];
}

saliency::Levels levels_of(const Subject& subject, const device::Unit& unit, int node, int weight_bits) {
  const graph::Node& layer = subject.model.graph.nodes[index(node)];
  const graph::Shape& dims = subject.shapes.constant(layer.input(1))->dims;
  const std::int64_t outputs = rewrite::outputs_last(layer) ? dims.back() : dims.front();
  device::WeightFormat format = unit.weights.front();
  if (format.name != "ternary") format.bits = std::min(format.bits, weight_bits);
  return saliency::levels(rewrite::weight_rows(subject.model, node), static_cast<std::size_t>(outputs),
                          format);
}

void round_to_bf16(graph::Model& model, int node) {
  const graph::Uses uses(model.graph);
  const graph::Tensor* weights = graph::constant(model.graph, uses, model.graph.nodes[index(node)].input(1));
  if (!weights || weights->type != graph::DataType::f32) return;
  const graph::Shape dims = weights->dims;
  rewrite::set_operand(
      model, node, 1,
      graph::make_f32(dims, saliency::quantised(weights->values<float>(), 1, {"bf16", 16, false, false})));
}

Agreement compare(const Subject& subject, const graph::Model& rounded, const VerifyOptions& options) {
  TemporaryFolder folder(true);
  const std::filesystem::path path = folder.fresh(".onnx");
  onnx::write(rounded, path);
  return compare_outputs(subject.path, path, options).front();
}

VerifyOptions without_gates(const MapOptions& options) {
  VerifyOptions how = options.samples;
  how.gates = {};
  return how;
}

}  // namespace

TurnRounding rounding_of(const Subject& subject, const TurnNetwork& network,
                         const std::vector<int>& quantisable, int weight_bits, const MapOptions& options) {
  TurnRounding rounding{
      weight_bits,
      activation_ranges(subject, rewrite::quantised_values(subject.model, quantisable), options)};
  for (auto& [value, range] : rounding.ranges) {
    const auto number = network.list.tensors.find(value);
    if (number == network.list.tensors.end() || !network.negative[index(number->second)]) continue;
    // 128 levels below zero and 127 above it.
    const float most = std::max(std::abs(range.lo), std::abs(range.hi));
    range = {-most * 128 / 127, most};
  }
  return rounding;
}

graph::Model rounded_network(const Subject& subject, const TurnNetwork& network, const TurnRounding& rounding,
                             const std::vector<int>& choice) {
  graph::Model model = subject.model;
  rewrite::Quantisation how;
  for (std::size_t s = 0; s < choice.size(); ++s) {
    const device::Unit& unit = unit_of(network, s, choice[s]);
    if (network.node[s] < 0) continue;
    if (unit.precision == "i8")
      how.layers[network.node[s]] = levels_of(subject, unit, network.node[s], rounding.weight_bits);
    if (unit.precision == "bf16") round_to_bf16(model, network.node[s]);
  }
  if (how.layers.empty()) return model;
  how.ranges = rounding.ranges;
  return rewrite::quantise_network(model, how).model;
}

void measure_turn_losses(const Subject& subject, TurnNetwork& network, const TurnRounding& rounding,
                         const MapOptions& options) {
  VerifyOptions how = without_gates(options);
  how.eval.clear(), how.calib = options.calib, how.limit = options.calib_limit;
  std::vector<int> exact;
  for (const plan::TurnStep& step : network.problem.steps) {
    const auto f32 = std::find_if(step.ways.begin(), step.ways.end(),
                                  [&](const Way& way) { return way.reads == network.f32(); });
    exact.push_back(static_cast<int>(f32 - step.ways.begin()));
  }
  for (std::size_t s = 0; s < exact.size(); ++s) {
    std::map<int, double> loss;  // of units
    for (std::size_t w = 0; w < network.problem.steps[s].ways.size(); ++w) {
      Way& way = network.problem.steps[s].ways[w];
      if (network.node[s] < 0 || way.reads == network.f32()) continue;
      if (!loss.contains(way.reads)) {
        std::vector<int> choice = exact;
        choice[s] = static_cast<int>(w);
        loss[way.reads] =
            compare(subject, rounded_network(subject, network, rounding, choice), how).mean_divergence;
      }
      way.loss = loss[way.reads];
    }
    if (options.progress)
      options.progress("losses", static_cast<double>(s + 1) / static_cast<double>(exact.size()));
  }
}

MappingAccuracy turn_accuracy(const Subject& subject, const graph::Model& rounded,
                              const MapOptions& options) {
  VerifyOptions how = without_gates(options);
  how.eval = options.eval;
  how.calib = options.eval.empty() ? options.calib : std::filesystem::path();
  const Agreement found = compare(subject, rounded, how);
  MappingAccuracy accuracy{found.source, found.samples, {}, {}, 100 * found.score.agreement()};
  if (found.score.labelled > 0)
    accuracy.top1 = 100 * found.score.top1_b(), accuracy.top1_before = 100 * found.score.top1_a();
  return accuracy;
}

}  // namespace tailor::pipeline
