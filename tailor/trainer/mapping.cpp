// keepings_of: a document in. unit_search: the layers of `map`, with their staircases. mapping_document: the decision as a short
// document, which `map` reads and prices, so that what is written is what `map` writes.
#include "tailor/trainer/mapping.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/latency/platform_cost.h"
#include "tailor/pipeline/map_model.h"
#include "tailor/pipeline/mapping_file.h"
#include "tailor/rewrite/linear_layer.h"
#include "tailor/rewrite/quantise_network.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tailor::trainer {
namespace {

void add(const graph::Node& node, const pipeline::MappingFile& file, learn::Keepings& keepings) {
  auto layer = file.layers.find(node.label());
  if (layer == file.layers.end()) return;
  learn::KeptWeights how{pipeline::keepings_of_layer(file.ways, node.integer("group", 1)), layer->second,
                         rewrite::outputs_last(node)};
  auto [at, added] = keepings.emplace(node.input(1), how);
  if (!added && at->second != how)
    throw Error(Code::not_trainable,
                fmt::format("two layers share the weights '{}', and the mapping keeps them in different ways",
                            at->first),
                node.label(), "give each layer weights of its own");
}

void check(const UnitGoal& goal, const device::Platform& platform) {
  if (platform.measured())
    throw Error(Code::usage, fmt::format("the units of {} take turns", platform.name), "--platform",
                "`tailor map --platform cpu` chooses a precision per layer");
  auto need = [](bool good, const char* option, const char* what) {
    if (!good) throw Error(Code::bad_value, fmt::format("{} must be {}", option, what), option);
  };
  need(goal.strength >= 0 && std::isfinite(goal.strength), "--strength", "zero or more");
  need(goal.rate > 0 && std::isfinite(goal.rate), "--share-rate", "positive");
  need(goal.cooling >= 0 && goal.cooling <= 10, "--cooling", "0 to 10");
}

learn::SearchedLayer searched(const device::Platform& platform, const graph::Node& node,
                              const latency::Workload& workload) {
  learn::SearchedLayer layer;
  layer.parameter = node.input(1), layer.outputs_last = rewrite::outputs_last(node);
  layer.ways = pipeline::keepings_of_layer(pipeline::keepings(platform), workload.g);
  for (latency::UnitChoice choice : latency::unit_choices(platform)) {
    layer.units.push_back(choice.unit);
    std::vector<double>& stairs = layer.cycles.emplace_back();
    for (std::int64_t channels = 0; channels <= workload.oc; ++channels)
      stairs.push_back(latency::cycles(platform, choice, workload, channels));
    if (std::isfinite(stairs.back()) && !std::isfinite(stairs[1]))
      throw Error(Code::not_trainable,
                  "the layer's groups go to one unit as a whole, and a search splits channels", node.label(),
                  "`tailor map` plans such networks, and `finetune --mapping` trains for its mappings");
  }
  return layer;
}

pipeline::MapResult mapped(const std::filesystem::path& model, const UnitGoal& goal,
                           const std::filesystem::path& mapping = {}) {
  pipeline::MapOptions options;
  options.platform = goal.platform, options.objective = goal.objective, options.mapping = mapping;
  return pipeline::map_model(model, options);
}

// Energy of one cycle of the units from the i-th that ends on.
double energy_from(const device::Platform& platform, const std::vector<std::size_t>& by_end, std::size_t i) {
  if (i == by_end.size()) return 0;
  std::vector<double> one(by_end.size());
  for (std::size_t k = i; k < by_end.size(); ++k) one[by_end[k]] = 1;
  return latency::energy_uj(platform, one);
}

}  // namespace

learn::Keepings keepings_of(const graph::Model& model, const std::filesystem::path& mapping) {
  const pipeline::MappingFile file = pipeline::read_mapping(mapping);
  learn::Keepings keepings;
  std::size_t found = 0;
  for (const graph::Node& node : model.graph.nodes) {
    found += file.layers.contains(node.label());
    add(node, file, keepings);
  }
  if (found != file.layers.size())
    throw Error(Code::plan_mismatch,
                fmt::format("the model has {} of the {} layers that are mapped", found, file.layers.size()),
                mapping.string(), "give the model that the mapping was made for");
  return keepings;
}

learn::RoundedActivations rounded_activations(const graph::Model& model, const data::Dataset& data,
                                              int bits) {
  if (bits == 0) return {};
  const std::vector<int> layers = rewrite::quantisable_layers(model, graph::infer_shapes(model));
  return learn::measured_levels(model, rewrite::rounded_values(model, layers), data, bits);
}

std::vector<double> unit_prices(const device::Platform& platform, plan::Objective objective,
                                std::span<const double> unit_cycles) {
  std::vector<std::size_t> by_end(unit_cycles.size());
  std::iota(by_end.begin(), by_end.end(), std::size_t{0});
  std::stable_sort(by_end.begin(), by_end.end(),
                   [&](std::size_t a, std::size_t b) { return unit_cycles[a] < unit_cycles[b]; });
  std::vector<double> prices(unit_cycles.size());
  if (objective == plan::Objective::latency)
    prices[by_end.back()] = 1 / platform.frequency_mhz;
  else
    for (std::size_t i = 0; i < by_end.size(); ++i)
      prices[by_end[i]] = energy_from(platform, by_end, i) - energy_from(platform, by_end, i + 1);
  return prices;
}

learn::UnitSearch unit_search(const std::filesystem::path& model, const UnitGoal& goal) {
  const device::Platform platform = device::find_platform(goal.platform);
  check(goal, platform);
  const pipeline::MapResult result = mapped(model, goal);
  const pipeline::Subject subject = pipeline::read_subject(model, {});
  learn::UnitSearch search;
  for (const pipeline::MappedLayer& layer : result.layers)
    search.layers.push_back(searched(
        platform, subject.model.graph.nodes[static_cast<std::size_t>(layer.node)], layer.layer.workload));
  search.prices = [platform, objective = goal.objective](std::span<const double> unit_cycles) {
    std::vector<double> all(platform.units.size());
    std::copy(unit_cycles.begin(), unit_cycles.end(), all.begin());
    std::vector<double> prices = unit_prices(platform, objective, all);
    prices.resize(unit_cycles.size());
    return prices;
  };
  search.strength = goal.strength, search.rate = goal.rate, search.cooling = goal.cooling;
  return search;
}

Json mapping_document(const std::filesystem::path& model, const UnitGoal& goal,
                      const learn::Keepings& decided) {
  const pipeline::MapResult result = mapped(model, goal);
  const pipeline::Subject subject = pipeline::read_subject(model, {});
  Json json = pipeline::to_json(result);
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    const graph::Node& node = subject.model.graph.nodes[static_cast<std::size_t>(result.layers[l].node)];
    json["layers"][l]["assignment"] = decided.at(node.input(1)).way;
  }
  TemporaryFolder folder;
  const std::filesystem::path draft = folder.path() / "mapping.json";
  write_file(draft, to_line(json));
  return pipeline::to_json(mapped(model, goal, draft));
}

}  // namespace tailor::trainer
