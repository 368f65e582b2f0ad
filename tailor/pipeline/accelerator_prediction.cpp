// Layers -> predicted (shapes that occur again are not searched for again) -> document.
#include "tailor/pipeline/accelerator_prediction.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"
#include "tailor/pipeline/analyze.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <map>

namespace tailor::pipeline {
namespace {

using device::Accelerator;
using device::Dimension;
using device::PerTensor;
using latency::Level;
using latency::NestCost;
using latency::Workload;

double fastest(const Accelerator& accelerator, const Workload& workload) {
  return latency::least_cycles(accelerator, latency::layer_loops(workload))
      .value_or(std::numeric_limits<double>::infinity());
}

WidthTread tread_of(const Accelerator& accelerator, const Workload& w) {
  const bool depthwise = w.g > 1 && w.g == w.ic;
  const std::int64_t unit = depthwise ? 1 : w.g;
  return width_tread(depthwise ? w.ic : w.oc, unit,
                     [&](std::int64_t channels) { return fastest(accelerator, with_outputs(w, channels)); });
}

// Everything but the layer's name.
PredictedLayer predicted(const Accelerator& accelerator, const Workload& workload,
                         latency::Objective objective) {
  PredictedLayer layer{.name = {}, .op = {}, .workload = workload};
  try {
    const latency::LayerLoops loops = latency::layer_loops(workload);
    layer.best = latency::best_tiling(accelerator, loops, objective);
    if (layer.best)
      layer.tread = tread_of(accelerator, workload);
    else
      layer.reasons = latency::why_nothing_fits(accelerator, loops);
  } catch (const Error& error) {
    layer.reasons = {error.what()};
  }
  if (!layer.best && layer.reasons.empty())
    layer.reasons = {"no tiling was found that fits buffers, registers and array together"};
  return layer;
}

std::string name_of(const graph::Node& node) { return node.name.empty() ? node.output(0) : node.name; }

std::vector<latency::LayerWorkload> wanted(const Subject& subject, const std::string& part) {
  std::vector<latency::LayerWorkload> layers;
  std::vector<std::string> names;
  for (const latency::LayerWorkload& layer : subject.layers) {
    names.push_back(name_of(subject.model.graph.nodes[static_cast<std::size_t>(layer.node)]));
    if (names.back().find(part) != std::string::npos) layers.push_back(layer);
  }
  if (names.empty())
    throw Error(Code::nothing_to_map, "the model has no convolution or product with weights, of known shape",
                subject.path.string(), "--shape gives the size of an input that the file leaves open");
  if (layers.empty())
    throw Error(Code::unknown_name,
                fmt::format("no layer's name has '{}' in it{}", part, did_you_mean(part, names)), "--layer",
                "tailor inspect lists the layers");
  return layers;
}

// Elsewhere in the graph: neither a layer nor a constant.
int nodes_beside(const Subject& subject) {
  const auto& nodes = subject.model.graph.nodes;
  const auto computed = std::count_if(nodes.begin(), nodes.end(),
                                      [](const graph::Node& node) { return node.op != "Constant"; });
  return static_cast<int>(computed) - static_cast<int>(subject.layers.size());
}

template <class Act>
void for_each_best(const AcceleratorPrediction& prediction, Act act) {
  for (const PredictedLayer& layer : prediction.layers)
    if (layer.best) act(layer.best->cost);
}

Json by_tensor(const PerTensor<double>& values) {
  Json json = Json::object();
  for (device::Tensor t : device::kTensors) json[device::name(t)] = values[t];
  return json;
}

double sum(const PerTensor<double>& values) {
  double total = 0;
  for (double value : values) total += value;
  return total;
}

// Bounds above 1, by level.
Json tiling_json(const latency::Tiling& tiling) {
  constexpr std::array names = {"dram", "buffer", "array", "registers"};
  Json json = Json::object();
  for (Level level : latency::kLevels) {
    Json& bounds = json[names[static_cast<std::size_t>(level)]] = Json::object();
    for (Dimension d : device::kDimensions)
      if (tiling.at(level, d) > 1) bounds[device::name(d)] = static_cast<std::int64_t>(tiling.at(level, d));
  }
  return json;
}

Json cost_json(const AcceleratorPrediction& p, const NestCost& c) {
  const std::optional<double> us = p.us(c.cycles);
  return {{"cycles", c.cycles},
          {"us", us ? Json(*us) : Json()},
          {"paced_by", latency::name(c.paced_by)},
          {"compute_cycles", c.compute_cycles},
          {"dram_cycles", c.dram_cycles},
          {"buffer_cycles", c.buffer_cycles},
          {"noc_cycles", c.noc_cycles},
          {"register_cycles", c.register_cycles},
          {"active_pes", c.active_pes},
          {"utilisation", c.utilisation},
          {"padding", c.padding},
          {"pj", c.pj},
          {"pj_by_part",
           {{"arithmetic", c.mac_pj},
            {"dram", sum(c.dram_pj)},
            {"buffer", sum(c.buffer_pj)},
            {"noc", sum(c.noc_pj)},
            {"registers", sum(c.registers_pj)}}},
          {"bytes",
           {{"dram", by_tensor(c.dram)},
            {"buffer", by_tensor(c.buffer)},
            {"unicast", by_tensor(c.unicast)},
            {"multicast", by_tensor(c.multicast)},
            {"forward", by_tensor(c.forward)},
            {"registers", by_tensor(c.registers)}}}};
}

Json tread_json(const WidthTread& t) {
  return {{"narrowest", t.narrowest},
          {"widest", t.widest},
          {"cycles", t.cycles},
          {"next", t.next ? Json(*t.next) : Json()},
          {"next_cycles", t.next ? Json(t.next_cycles) : Json()}};
}

Json layer_json(const AcceleratorPrediction& p, const PredictedLayer& layer) {
  Json json = {{"name", layer.name},
               {"op", layer.op},
               {"workload", latency::to_string(layer.workload)},
               {"macs", latency::macs(layer.workload)},
               {"reasons", layer.reasons}};
  json["cost"] = layer.best ? cost_json(p, layer.best->cost) : Json();
  json["tiling"] = layer.best ? tiling_json(layer.best->tiling) : Json();
  json["exact"] = layer.best ? Json(layer.best->exact) : Json();
  json["widths"] = layer.tread ? tread_json(*layer.tread) : Json();
  return json;
}

Json accelerator_json(const Accelerator& a) {
  return {{"name", a.name},
          {"title", a.title},
          {"pes", a.pes()},
          {"frequency_mhz", a.frequency_mhz > 0 ? Json(a.frequency_mhz) : Json()}};
}

}  // namespace

int AcceleratorPrediction::refused() const {
  return static_cast<int>(
      std::count_if(layers.begin(), layers.end(), [](const PredictedLayer& layer) { return !layer.best; }));
}

double AcceleratorPrediction::cycles() const {
  double total = 0;
  for_each_best(*this, [&](const NestCost& cost) { total += cost.cycles; });
  return total;
}

double AcceleratorPrediction::pj() const {
  double total = 0;
  for_each_best(*this, [&](const NestCost& cost) { total += cost.pj; });
  return total;
}

double AcceleratorPrediction::macs() const {
  double total = 0;
  for_each_best(*this, [&](const NestCost& cost) { total += cost.macs; });
  return total;
}

std::optional<double> AcceleratorPrediction::us(double cycles) const {
  return accelerator.frequency_mhz > 0 ? std::optional(cycles / accelerator.frequency_mhz) : std::nullopt;
}

Workload shape_of(const Workload& workload) {
  Workload shape = workload;
  shape.post.clear(), shape.type = graph::DataType::f32;
  return shape;
}

WidthTread width_tread(std::int64_t present, std::int64_t unit,
                       const std::function<double(std::int64_t)>& cycles) {
  WidthTread tread;
  tread.cycles = cycles(present);
  const auto same = [&](std::int64_t units) { return cycles(units * unit) == tread.cycles; };
  // How far from the present width, at most `high` units, cycles stay the same.
  const auto last_same = [&](std::int64_t high, std::int64_t sign) {
    std::int64_t low = 0;
    while (low < high) {
      const std::int64_t middle = low + (high - low + 1) / 2;
      if (same(present / unit + sign * middle))
        low = middle;
      else
        high = middle - 1;
    }
    return present / unit + sign * low;
  };
  tread.narrowest = last_same(present / unit - 1, -1) * unit;
  tread.widest = last_same(present / unit, 1) * unit;
  if (tread.narrowest > unit)
    tread.next = tread.narrowest - unit, tread.next_cycles = cycles(tread.narrowest - unit);
  return tread;
}

AcceleratorPrediction predict_on(const Subject& subject, const Accelerator& accelerator,
                                 const PredictionOptions& options) {
  const latency::Objective objective = latency::parse_objective(options.objective);
  AcceleratorPrediction result{accelerator, options.objective, subject.path, subject.sha256()};
  result.other_nodes = nodes_beside(subject);
  const std::vector<latency::LayerWorkload> layers = wanted(subject, options.layer);
  std::map<Workload, PredictedLayer> known;
  for (const latency::LayerWorkload& layer : layers) {
    const Workload shape = shape_of(layer.workload);
    if (!known.contains(shape)) known[shape] = predicted(accelerator, shape, objective);
    PredictedLayer one = known[shape];
    const graph::Node& node = subject.model.graph.nodes[static_cast<std::size_t>(layer.node)];
    one.name = name_of(node), one.op = node.op, one.workload = layer.workload;
    result.layers.push_back(std::move(one));
    if (options.progress)
      options.progress(static_cast<double>(result.layers.size()) / static_cast<double>(layers.size()));
  }
  return result;
}

Json to_json(const AcceleratorPrediction& p) {
  Json layers = Json::array();
  for (const PredictedLayer& layer : p.layers) layers.push_back(layer_json(p, layer));
  const std::optional<double> us = p.us(p.cycles());
  return {{"schema", "tailor/accelerator-prediction/1"},
          {"how", "modelled"},
          {"accelerator", accelerator_json(p.accelerator)},
          {"objective", p.objective},
          {"model", p.model.string()},
          {"sha256", p.sha256},
          {"cycles", p.cycles()},
          {"us", us ? Json(*us) : Json()},
          {"pj", p.pj()},
          {"macs", p.macs()},
          {"utilisation", p.cycles() > 0 ? p.macs() / (p.cycles() * p.accelerator.pes()) : 0},
          {"refused", p.refused()},
          {"other_nodes", p.other_nodes},
          {"layers", std::move(layers)}};
}

}  // namespace tailor::pipeline
