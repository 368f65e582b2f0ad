// split_over_units = levels of every layer, ranges of the rounded network's activations -> quantise_network ->
// unit_orders -> permute -> split_layers; then both networks run on the samples. If reordered channels changed a bit (an operator summed floats), it is
// done again without reordering.
#include "tailor/pipeline/unit_split.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/activation_ranges.h"
#include "tailor/pipeline/mapping_file.h"
#include "tailor/rewrite/quantise_network.h"
#include "tailor/rewrite/split_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace tailor::pipeline {
namespace {

constexpr int kMostBits = 8;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

// Each channel as its unit keeps it.
saliency::Levels levels_of(const device::Platform& platform, const MappedLayer& mapped,
                           const std::vector<int>& options) {
  const std::vector<saliency::Keeping> ways = keepings_of_layer(keepings(platform), mapped.layer.workload.g);
  for (int option : options)
    if (ways[index(option)].format.bits > kMostBits)
      throw Error(Code::usage,
                  fmt::format("{} keeps weights as {}, and a split network is one of 8 bits",
                              platform.units[index(latency::unit_choices(platform)[index(option)].unit)].name,
                              ways[index(option)].format.name),
                  "--split", "choose a platform or a mapping whose units keep 8 bits or fewer");
  return saliency::kept_levels(mapped.weights, ways, options);
}

// The nodes that read weights as integers: layers, and what makes their weights.
std::set<int> exact_readers(const graph::Model& model, const std::map<int, std::vector<int>>& layers) {
  const graph::Uses uses(model.graph);
  std::set<int> nodes;
  for (const auto& [node, options] : layers) {
    nodes.insert(node);
    for (const std::string& input : model.graph.nodes[index(node)].inputs) nodes.insert(uses.producer(input));
  }
  return nodes;
}

std::set<int> movable_groups(const graph::Model& model, const graph::Channels& channels,
                             const std::map<int, std::vector<int>>& layers) {
  std::set<int> groups;
  for (int g = 0; g < static_cast<int>(channels.groups.size()); ++g)
    if (channels.groups[index(g)].changeable() && !channels.in_bodies(g)) groups.insert(g);
  const std::set<int> exact = exact_readers(model, layers);
  for (const graph::Binding& binding : channels.bindings)
    if (binding.role == graph::Binding::Role::consumes && !exact.contains(binding.node))
      for (int atom : *binding.label) groups.erase(channels.atoms[index(atom)].group);
  return groups;
}

// Of a group whose units each are one channel of the layer: the way to compute of each unit, else nothing.
std::vector<int> ways_of_units(const graph::Channels& channels, const graph::Label& label, int group,
                               const std::vector<int>& options) {
  const graph::ChannelGroup& all = channels.groups[index(group)];
  std::vector<int> ways(index(all.width()), -1);
  for (std::size_t p = 0; p < label->size(); ++p) {
    const graph::AtomPlace place = channels.atoms[index((*label)[p])];
    if (place.group != group) continue;
    if (ways[index(place.unit)] >= 0) return {};
    ways[index(place.unit)] = options[p];
  }
  return ways;
}

// Weights of all layers as integers, by the model's nodes.
struct Levelled {
  rewrite::Quantisation how;
  std::map<int, std::vector<int>> options;  // of mapped layers: the way to compute of each channel
  std::map<int, const MappedLayer*> mapped;
  std::vector<std::string> in_floats;

  std::vector<int> nodes() const {
    std::vector<int> list;
    for (const auto& [node, levels] : how.layers) list.push_back(node);
    return list;
  }
};

saliency::Levels levels_elsewhere(const Subject& subject, int node) {
  const graph::Node& layer = subject.model.graph.nodes[index(node)];
  const graph::Shape& dims = subject.shapes.constant(layer.input(1))->dims;
  const std::int64_t outputs = rewrite::outputs_last(layer) ? dims.back() : dims.front();
  return saliency::levels(rewrite::weight_rows(subject.model, node), static_cast<std::size_t>(outputs),
                          {"int8", kMostBits, true, false});
}

Levelled all_levels(const Subject& subject, const MapResult& result, const plan::Mapping& mapping) {
  Levelled all;
  const std::vector<int> list = rewrite::quantisable_layers(subject.model, subject.shapes);
  const std::set<int> quantisable(list.begin(), list.end());
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    const MappedLayer& layer = result.layers[l];
    if (!quantisable.contains(layer.node)) {
      all.in_floats.push_back(layer.layer.name);
      continue;
    }
    all.options[layer.node] = channel_options(result, l, mapping), all.mapped[layer.node] = &layer;
    all.how.layers[layer.node] = levels_of(result.platform, layer, all.options[layer.node]);
  }
  for (int node : list)
    if (!all.how.layers.contains(node)) all.how.layers[node] = levels_elsewhere(subject, node);
  return all;
}

// What is split, by the quantised network's nodes.
struct Ways {
  std::map<int, std::vector<int>> layers;    // all that compute in 8 bits; empty options: not mapped
  std::map<int, const MappedLayer*> mapped;  // those that the mapping speaks of
};

// Old positions of an axis of `size` channels, in their order now. @pre a label has as many
std::vector<int> order_of(const graph::Channels& channels, const rewrite::Orders& orders,
                          const graph::Label& label, std::size_t size) {
  if (label) return rewrite::moved(channels, orders, label);
  std::vector<int> all(size);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// Where each of them stands now.
std::vector<int> places_of(const std::vector<int>& order) {
  std::vector<int> places(order.size());
  for (std::size_t p = 0; p < order.size(); ++p) places[index(order[p])] = static_cast<int>(p);
  return places;
}

rewrite::SplitLayer parts_of(const Subject& subject, const device::Platform& platform,
                             const rewrite::Orders& orders, int node, const MappedLayer& mapped,
                             const std::vector<int>& options) {
  graph::Label in, out;
  for (const graph::LayerChannels& layer : subject.channels.layers)
    if (layer.node == node) in = layer.in, out = layer.out;
  const std::vector<int> from = order_of(subject.channels, orders, out, options.size());
  const std::vector<int> inputs =
      places_of(order_of(subject.channels, orders, in, static_cast<std::size_t>(mapped.layer.workload.ic)));
  TAILOR_CHECK(from.size() == options.size());
  const std::vector<latency::UnitChoice> choices = latency::unit_choices(platform);
  rewrite::SplitLayer split{node, {}};
  for (std::size_t o = 0; o < choices.size(); ++o) {
    rewrite::LayerPart part{latency::name(platform, choices[o]), {}, {}};
    const bool own = platform.units[index(choices[o].unit)].computes == device::Computes::depthwise &&
                     mapped.layer.workload.g == 1;
    for (std::size_t p = 0; p < from.size(); ++p) {
      if (options[index(from[p])] != static_cast<int>(o)) continue;
      part.channels.push_back(static_cast<int>(p));
      if (own) part.own_inputs.push_back(inputs[index(from[p])]);
    }
    std::replace(part.name.begin(), part.name.end(), ' ', '-');
    split.parts.push_back(std::move(part));
  }
  return split;
}

// The answers of a network beside another one's on the samples.
Agreement compared(const graph::Model& a, const graph::Model& b, const MapOptions& options, bool labelled) {
  TemporaryFolder folder(true);
  const std::filesystem::path first = folder.fresh(".onnx"), second = folder.fresh(".onnx");
  onnx::write(a, first), onnx::write(b, second);
  VerifyOptions how = options.samples;
  how.gates = {}, how.eval = labelled ? options.eval : std::filesystem::path();
  how.calib = labelled && !options.eval.empty() ? std::filesystem::path() : options.calib;
  if (!labelled) how.limit = options.calib_limit;
  return compare_outputs(first, second, how).front();
}

void carry_out(const Subject& whole, const device::Platform& platform, const Ways& ways, bool reorder,
               const MapOptions& options, UnitSplit& done) {
  const rewrite::Orders orders =
      reorder ? unit_orders(whole.model, whole.channels, ways.layers) : rewrite::Orders{};
  const graph::Model permuted = rewrite::permute(whole.model, whole.shapes, whole.channels, orders);
  std::vector<rewrite::SplitLayer> layers;
  for (const auto& [node, mapped] : ways.mapped)
    layers.push_back(parts_of(whole, platform, orders, node, *mapped, ways.layers.at(node)));
  rewrite::SplitNetwork network = rewrite::split_layers(permuted, whole.shapes, layers);
  const Agreement same = compared(whole.model, network.model, options, false);
  done.split = std::move(network.model), done.parts = std::move(network.parts);
  done.unsplit = std::move(network.whole);
  done.layers = network.layers, done.nodes = network.nodes, done.gathers = network.gathers;
  done.reordered = static_cast<int>(orders.size());
  done.samples = same.samples, done.difference = same.max_difference;
}

MappingAccuracy accuracy(const graph::Model& a, const graph::Model& b, const MapOptions& options) {
  const Agreement found = compared(a, b, options, true);
  MappingAccuracy accuracy{found.source, found.samples, {}, {}, 100 * found.score.agreement()};
  if (found.score.labelled > 0)
    accuracy.top1 = 100 * found.score.top1_b(), accuracy.top1_before = 100 * found.score.top1_a();
  return accuracy;
}

}  // namespace

rewrite::Orders unit_orders(const graph::Model& model, const graph::Channels& channels,
                            const std::map<int, std::vector<int>>& layers) {
  const std::set<int> movable = movable_groups(model, channels, layers);
  std::map<int, std::vector<std::vector<int>>> keys;  // group -> per unit, its ways in the group's makers
  for (const graph::LayerChannels& layer : channels.layers) {
    const auto options = layers.find(layer.node);
    if (!layer.out || options == layers.end() || options->second.empty()) continue;
    for (auto [group, positions] : channels.composition(layer.out)) {
      if (!movable.contains(group)) continue;
      const std::vector<int> ways = ways_of_units(channels, layer.out, group, options->second);
      auto& key = keys[group];
      key.resize(index(channels.groups[index(group)].width()));
      for (std::size_t u = 0; u < ways.size(); ++u) key[u].push_back(ways[u]);
    }
  }
  rewrite::Orders orders;
  for (const auto& entry : keys) {
    const auto& key = entry.second;
    std::vector<int> order(key.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return key[index(a)] < key[index(b)]; });
    if (!std::is_sorted(order.begin(), order.end())) orders[entry.first] = std::move(order);
  }
  return orders;
}

UnitSplit split_over_units(const Subject& subject, const MapResult& result, const plan::Mapping& mapping,
                           const MapOptions& options) {
  if (options.calib.empty())
    throw Error(Code::usage, "a network in 8 bits needs samples for the ranges of its activations", "--split",
                "give --calib");
  Levelled levelled = all_levels(subject, result, mapping);
  if (result.platform.activation_bits > 0) levelled.how.activation_bits = result.platform.activation_bits;
  levelled.how.ranges =
      activation_ranges(subject, rewrite::quantised_values(subject.model, levelled.nodes()), options);
  rewrite::QuantisedNetwork quantised = rewrite::quantise_network(subject.model, levelled.how);
  Ways ways;
  for (auto [before, now] : quantised.nodes) {
    ways.layers[now] = levelled.options[before];
    if (levelled.mapped.contains(before)) ways.mapped[now] = levelled.mapped[before];
  }
  const Subject whole = make_subject(std::move(quantised.model), options.samples.overrides);
  UnitSplit done;
  done.activation_bits = levelled.how.activation_bits;
  done.in_floats = std::move(levelled.in_floats);
  carry_out(whole, result.platform, ways, true, options, done);
  if (!done.identical()) carry_out(whole, result.platform, ways, false, options, done);
  done.accuracy = accuracy(subject.model, whole.model, options);
  done.whole = whole.model;
  return done;
}

}  // namespace tailor::pipeline
