// The document of `map` on a measured platform.
#include "tailor/pipeline/bench.h"
#include "tailor/pipeline/map_turns.h"

#include <nlohmann/json.hpp>

namespace tailor::pipeline {
namespace {

std::string format_name(const TurnNetwork& network, int format) {
  return format == network.given() ? "as given"
                                   : network.platform.units[static_cast<std::size_t>(format)].name;
}

Json ways_json(const MapTurns& result, const std::vector<int>& choice) {
  Json ways = Json::array();
  for (std::size_t s = 0; s < choice.size(); ++s)
    ways.push_back(result.network.problem.steps[s].ways[static_cast<std::size_t>(choice[s])].name);
  return ways;
}

Json conversions_json(const MapTurns& result, const std::vector<int>& choice) {
  Json list = Json::array();
  for (const plan::Conversion& c : plan::conversions(result.network.problem, choice)) {
    const plan::TurnValue& value = result.network.problem.values[static_cast<std::size_t>(c.value)];
    list.push_back(
        {{"value", c.value},
         {"from", format_name(result.network, c.from)},
         {"to", format_name(result.network, c.to)},
         {"us", value.conversion[static_cast<std::size_t>(c.from)][static_cast<std::size_t>(c.to)]}});
  }
  return list;
}

Json mapping_json(const MapTurns& result, const TurnMapping& mapping) {
  Json json = {{"name", mapping.name},
               {"planned_us", mapping.planned_us},
               {"predicted_us", mapping.predicted_us},
               {"loss", mapping.loss},
               {"ways", ways_json(result, mapping.choice)},
               {"conversions", conversions_json(result, mapping.choice)}};
  if (!mapping.us.empty()) {
    json["us"] = mapping.round_us, json["measured_us"] = mapping.measured_us();
    json["to_first"] = to_json(mapping.to_first);
  }
  if (mapping.certificate)
    json["certificate"] = {{"optimal", mapping.certificate->optimal},
                           {"quantum", mapping.certificate->quantum_us},
                           {"loss_bound", mapping.certificate->loss_bound},
                           {"gap", mapping.certificate->gap}};
  if (mapping.accuracy) json["accuracy"] = to_json(*mapping.accuracy);
  return json;
}

Json mappings_json(const MapTurns& result, const std::vector<TurnMapping>& mappings) {
  Json list = Json::array();
  for (const TurnMapping& mapping : mappings) list.push_back(mapping_json(result, mapping));
  return list;
}

Json layers_json(const MapTurns& result) {
  Json list = Json::array();
  for (std::size_t s = 0; s < result.network.problem.steps.size(); ++s) {
    const plan::TurnStep& step = result.network.problem.steps[s];
    Json ways = Json::array();
    for (const plan::Way& way : step.ways)
      ways.push_back({{"name", way.name}, {"us", way.cost}, {"loss", way.loss}});
    list.push_back(
        {{"name", step.name}, {"layer", result.network.list.layers[s].text}, {"ways", std::move(ways)}});
  }
  return list;
}

Json refusals_json(const MapTurns& result) {
  Json list = Json::array();
  for (const Refusal& refusal : result.refusals)
    list.push_back({{"unit", result.network.platform.units[static_cast<std::size_t>(refusal.unit)].name},
                    {"layers", refusal.layers},
                    {"of", refusal.of},
                    {"why", refusal.why}});
  return list;
}

Json additivity_json(const TurnCosts& costs) {
  Json list = Json::array();
  for (const Additivity& one : costs.networks)
    list.push_back({{"name", one.name}, {"summed_us", one.summed_us}, {"measured_us", one.measured_us}});
  return list;
}

}  // namespace

Json to_json(const MapTurns& result) {
  const TurnMapping* best = result.best_single();
  return {
      {"schema", "tailor/map-turns/1"},
      {"model", result.model.string()},
      {"platform", result.network.platform.name},
      {"runtime", result.runtime},
      {"version", result.version},
      {"isa", result.isa},
      {"processor", result.processor},
      {"how", "measured"},
      {"weight_bits", result.weight_bits},
      {"shortcuts", result.shortcuts},
      {"left_out", result.network.list.left_out},
      {"refused", refusals_json(result)},
      {"budget_us", result.budget ? Json(*result.budget) : Json(nullptr)},
      {"max_drop_points", result.max_drop ? Json(*result.max_drop) : Json(nullptr)},
      {"parts", result.costs.parts},
      {"parts_timed_alone", result.costs.alone},
      {"additivity", additivity_json(result.costs)},
      {"layers", layers_json(result)},
      {"chosen", result.chosen ? mapping_json(result, *result.chosen) : Json(nullptr)},
      {"why", result.why},
      {"best_single", best ? Json(best->name) : Json(nullptr)},
      {"against_best_single", best && result.chosen ? to_json(result.against_best_single()) : Json(nullptr)},
      {"baselines", mappings_json(result, result.baselines)},
      {"front", mappings_json(result, result.front)}};
}

}  // namespace tailor::pipeline
