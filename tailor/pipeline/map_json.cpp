// The document of `map`. Channels are named by what they are, so the numbers in it can be carried out
// elsewhere.
#include "tailor/pipeline/map_model.h"
#include "tailor/pipeline/mapping_file.h"
#include "tailor/pipeline/unit_split.h"

#include <nlohmann/json.hpp>

namespace tailor::pipeline {
namespace {

std::vector<std::string> choice_names(const MapResult& result) {
  std::vector<std::string> names;
  for (latency::UnitChoice choice : latency::unit_choices(result.platform))
    names.push_back(latency::name(result.platform, choice));
  return names;
}

std::vector<std::string> unit_names(const MapResult& result) {
  std::vector<std::string> names;
  for (const device::Unit& unit : result.platform.units) names.push_back(unit.name);
  return names;
}

// How each option keeps weights: all that training for this mapping has to know of the platform.
Json ways_json(const MapResult& result) {
  const std::vector<std::string> names = choice_names(result);
  const std::vector<saliency::Keeping> ways = keepings(result.platform);
  Json list = Json::array();
  for (std::size_t w = 0; w < ways.size(); ++w)
    list.push_back({{"name", names[w]},
                    {"weights", ways[w].format.name},
                    {"scale_per_channel", ways[w].format.per_channel},
                    {"power_of_two", ways[w].format.power_of_two},
                    {"own_input", ways[w].own_input}});
  return list;
}

Json certificate_json(const plan::Certificate& certificate) {
  return {{"optimal", certificate.optimal},
          {"quantum", certificate.quantum_us},
          {"loss_bound", certificate.loss_bound},
          {"gap", certificate.gap}};
}

Json counts_json(const plan::Mapping& mapping) {
  Json counts = Json::array();
  for (const plan::Split& split : mapping.splits) counts.push_back(split.counts);
  return counts;
}

Json mapping_json(const NamedMapping& named) {
  Json json = {{"name", named.name},
               {"latency_us", named.mapping.latency_us},
               {"energy_uj", named.mapping.energy_uj >= 0 ? Json(named.mapping.energy_uj) : Json(nullptr)},
               {"loss", named.mapping.loss},
               {"channels", counts_json(named.mapping)}};
  if (named.certificate) json["certificate"] = certificate_json(*named.certificate);
  if (named.accuracy) json["accuracy"] = to_json(*named.accuracy);
  return json;
}

Json mappings_json(const std::vector<NamedMapping>& mappings) {
  Json list = Json::array();
  for (const NamedMapping& mapping : mappings) list.push_back(mapping_json(mapping));
  return list;
}

Json layers_json(const MapResult& result) {
  Json list = Json::array();
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    const plan::LayerToMap& layer = result.layers[l].layer;
    Json json = {
        {"name", layer.name}, {"workload", to_string(layer.workload)}, {"channels", layer.workload.oc}};
    if (result.chosen) {
      const plan::Split& split = result.chosen->mapping.splits[l];
      json["cycles"] = split.unit_cycles;
      json["assignment"] = channel_options(result, l, result.chosen->mapping);
    }
    list.push_back(json);
  }
  return list;
}

Json free_json(const MapResult& result) {
  Json list = Json::array();
  for (const FreeLayer& free : result.free)
    list.push_back(
        {{"layer", result.layers[static_cast<std::size_t>(free.layer)].layer.name},
         {"channels", free.free.most - free.free.least},
         {"up_to", free.free.most},
         {"cycles_there", free.free.at_most},
         {"cycles_with_one_more", free.free.next < latency::kCannot ? Json(free.free.next) : Json(nullptr)},
         {"cycles_of_the_slower", free.free.limit}});
  return list;
}

}  // namespace

Json to_json(const MappingAccuracy& accuracy) {
  Json json = {{"source", accuracy.source},
               {"samples", accuracy.samples},
               {"agreement_percent", accuracy.agreement},
               {"drop_points", accuracy.drop()}};
  if (accuracy.top1)
    json["top1_percent"] = *accuracy.top1, json["top1_before_percent"] = *accuracy.top1_before;
  return json;
}

Json to_json(const MapResult& result) {
  return {{"schema", "tailor/map/1"},
          {"model", result.model.string()},
          {"platform", result.platform.name},
          {"frequency_mhz", result.platform.frequency_mhz},
          {"activation_bits",
           result.platform.activation_bits > 0 ? Json(result.platform.activation_bits) : Json(nullptr)},
          {"activations_rounded", !result.ranges.empty()},
          {"units", unit_names(result)},
          {"how", "modelled"},
          {"objective", result.objective == plan::Objective::latency ? "latency" : "energy"},
          {"budget", result.budget ? Json(*result.budget) : Json(nullptr)},
          {"loss", result.measured_loss ? "measured divergence of single layers" : "lost energy of weights"},
          {"recover", name(result.recover)},
          {"options", choice_names(result)},
          {"ways", ways_json(result)},
          {"exact", result.step == 1},
          {"layers", layers_json(result)},
          {"elsewhere", result.elsewhere},
          {"other_nodes", result.other_nodes},
          {"chosen", result.chosen ? mapping_json(*result.chosen) : Json(nullptr)},
          {"why", result.why},
          {"baselines", mappings_json(result.baselines)},
          {"front", mappings_json(result.front)},
          {"free", free_json(result)}};
}

Json to_json(const UnitSplit& split) {
  return {{"layers", split.layers},
          {"nodes", split.nodes},
          {"gathers", split.gathers},
          {"reordered", split.reordered},
          {"in_floats", split.in_floats},
          {"unsplit", split.unsplit},
          {"activation_bits", split.activation_bits},
          {"samples", split.samples},
          {"identical", split.identical()},
          {"difference", split.difference},
          {"accuracy", to_json(split.accuracy)}};
}

}  // namespace tailor::pipeline
