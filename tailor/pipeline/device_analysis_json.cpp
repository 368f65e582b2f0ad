// DeviceAnalysis -> JSON.
#include "tailor/pipeline/device_analysis.h"

#include <nlohmann/json.hpp>

namespace tailor::pipeline {
namespace {

Json model_json(const latency::ModelledLayer& m) {
  return {{"kernel", latency::to_string(m.kernel)},
          {"blocks", m.waves.blocks},
          {"waves", m.waves.count()},
          {"wave_efficiency", m.waves.efficiency()},
          {"rounds", m.rounds},
          {"tile_efficiency", m.tile_efficiency},
          {"aligned", m.aligned},
          {"us", m.us},
          {"launch_us", m.launch_us},
          {"compute_us", m.compute_us},
          {"operand_us", m.operand_us},
          {"memory_us", m.memory_us},
          {"adding_us", m.adding_us}};
}

Json spent_json(const Spent& s) {
  return {{"work_us", s.work_us},
          {"idle_us", s.idle_us},
          {"padding_us", s.padding_us},
          {"bytes_us", s.bytes_us},
          {"launch_us", s.launch_us}};
}

Json layer_json(const DeviceLayer& layer) {
  Json json = {{"name", layer.name},
               {"op", layer.op},
               {"workload", latency::to_string(layer.workload)},
               {"group", layer.out_group},
               {"macs", latency::macs(layer.workload)},
               {"share", layer.share},
               {"verdict", name(layer.verdict)},
               {"why", layer.why},
               {"narrower", to_json(layer.down)},
               {"free_up_to", to_json(layer.up)},
               {"recoverable_us", layer.recoverable_us}};
  json["model"] = model_json(layer.model), json["spent"] = spent_json(spent(layer.model));
  return json;
}

Json device_json(const device::Device& device, const std::string& precision) {
  return {{"name", device.name},
          {"title", device.title},
          {"multiprocessors", device.sm.count},
          {"gbytes_per_s", device.gbytes_per_s},
          {"peak_tflops", device.peak_tflops.at(precision)}};
}

Json group_json(const GroupSweep& sweep) {
  return {{"name", sweep.name},      {"width", sweep.width},       {"widths", sweep.widths},
          {"us", sweep.us},          {"layers", sweep.layers},     {"down", to_json(sweep.down)},
          {"up", to_json(sweep.up)}, {"edge", to_json(sweep.edge)}};
}

Json picture_json(const DeviceAnalysis& analysis) {
  if (!analysis.picture) return nullptr;
  Json edges = Json::array();
  for (const latency::Edge& edge : analysis.picture->edges)
    edges.push_back({{"last", edge.last}, {"next", edge.next}, {"height_us", edge.height_us}});
  return {{"layer", analysis.picture_layer},
          {"over", analysis.picture_axis},
          {"values", analysis.picture->widths},
          {"us", analysis.picture->latencies_us},
          {"edges", edges}};
}

}  // namespace

Json to_json(const DeviceAnalysis& analysis) {
  Json verdicts = Json::object();
  for (DeviceVerdict verdict : kDeviceVerdicts) verdicts[name(verdict)] = analysis.us_of(verdict);
  Json json = {{"schema", "tailor/device-analysis/1"},
               {"how", tailor::name(How::modelled)},
               {"device", device_json(analysis.device, analysis.precision)},
               {"precision", analysis.precision},
               {"model", analysis.model.string()},
               {"sha256", analysis.sha256},
               {"total_us", analysis.total_us()},
               {"recoverable_us", analysis.recoverable_us()},
               {"us_by_verdict", verdicts},
               {"lever", lever(analysis)},
               {"unpriced_nodes", analysis.unpriced}};
  const auto error = analysis.device.error.find(analysis.precision);
  json["median_error"] = error == analysis.device.error.end() ? Json(nullptr) : Json(error->second);
  json["layers"] = Json::array(), json["groups"] = Json::array();
  for (const DeviceLayer& layer : analysis.layers) json["layers"].push_back(layer_json(layer));
  for (const GroupSweep& sweep : analysis.groups) json["groups"].push_back(group_json(sweep));
  json["picture"] = picture_json(analysis);
  if (analysis.free) json["free"] = to_json(*analysis.free);
  if (analysis.base) json["base"] = to_json(*analysis.base);
  return json;
}

}  // namespace tailor::pipeline
