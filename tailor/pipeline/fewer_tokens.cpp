// with_fewer_tokens  site by site in the order of the graph, each in terms of what the ones before left
// worthwhile_tokens  sites, counts on a grid, the layers behind a site priced at each
#include "tailor/pipeline/fewer_tokens.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace tailor::pipeline {
namespace {

using graph::TokenFlow;

constexpr std::size_t kSites = 8;  // that a round looks at
constexpr int kGrid = 32;          // counts of a site that are priced

// The flow that a cut speaks of. The names may come from a file.
TokenFlow flow_of(const graph::Model& model, const graph::Shapes& shapes, const std::string& site, int axis) {
  const graph::Shape* shape = shapes.shape(site);
  if (!shape || axis < 1 || axis >= static_cast<int>(shape->size()) ||
      (*shape)[static_cast<std::size_t>(axis)] < 2)
    throw Error(Code::bad_cut, fmt::format("no tokens lie on axis {} of this value", axis), site);
  return graph::token_flow(model, shapes, site, axis);
}

std::vector<int> common(const std::vector<int>& a, const std::vector<int>& b) {
  std::vector<int> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both;
}

// Cuts of one model in the order of its graph, each with the flow of all tokens and the places that really stay.
struct Ordered {
  TokenFlow flow;
  std::vector<int> left, kept;  // places before and after this cut
};

// Places of a value that stay by a cut before it.
std::vector<int> stay_after(const Ordered& cut, const std::string& value, std::vector<int> places) {
  auto it = cut.flow.values.find(value);
  if (value == cut.flow.site || it == cut.flow.values.end() || it->second.size() != 1) return places;
  return common(places, rewrite::places_kept(it->second[0], cut.kept));
}

std::vector<int> all_places(int count) {
  std::vector<int> places(static_cast<std::size_t>(count));
  std::iota(places.begin(), places.end(), 0);
  return places;
}

std::vector<Ordered> ordered(const graph::Model& model, const graph::Shapes& shapes, const TokenCuts& cuts) {
  const graph::Uses uses(model.graph);
  std::map<int, std::string> by_node;
  for (const auto& [site, cut] : cuts) by_node[uses.producer(site)] = site;
  if (by_node.size() != cuts.size() || (!by_node.empty() && by_node.begin()->first < 0))
    throw Error(Code::bad_cut, "no node of the model gives this value",
                cuts.empty() ? "" : cuts.begin()->first);
  std::vector<Ordered> list;
  for (const auto& [node, site] : by_node) {
    const TokenCut& cut = cuts.at(site);
    Ordered next{flow_of(model, shapes, site, cut.axis), {}, {}};
    next.left = all_places(next.flow.count);
    for (const Ordered& before : list) next.left = stay_after(before, site, std::move(next.left));
    next.kept = common(next.left, cut.kept);
    if (next.kept.empty()) throw Error(Code::bad_cut, "no token would be left", site);
    list.push_back(std::move(next));
  }
  return list;
}

// Places of `kept` among `left`.
std::vector<int> ranks(const std::vector<int>& left, const std::vector<int>& kept) {
  std::vector<int> list;
  for (int place : kept)
    list.push_back(static_cast<int>(std::lower_bound(left.begin(), left.end(), place) - left.begin()));
  return list;
}

// Counts below the present one to look at; the fewest that the flow allows among them.
std::vector<int> grid(const TokenFlow& flow) {
  const int least = std::max<int>(1, static_cast<int>(flow.needed.size())),
            step = (flow.count + kGrid - 1) / kGrid;
  std::set<int> list = {least};
  for (int count = flow.count - 1; count > least; count -= step) list.insert(count);
  list.erase(flow.count);
  return {list.begin(), list.end()};
}

// Any `count` tokens with those that are needed: latency does not ask which.
std::vector<int> any_tokens(const TokenFlow& flow, int count) {
  std::vector<int> kept(flow.needed.begin(), flow.needed.end());
  for (int t = 0; static_cast<int>(kept.size()) < count; ++t)
    if (!flow.needed.contains(t)) kept.push_back(t);
  std::sort(kept.begin(), kept.end());
  return kept;
}

// Has the present network fewer tokens from a place on that the flow reaches? The value that names a cut may be gone with its
// branch; the Gather is there.
bool cut_behind(const Subject& present, const TokenFlow& flow, const TokenCuts& cuts) {
  const graph::Uses uses(present.model.graph);
  return std::any_of(cuts.begin(), cuts.end(), [&](const auto& cut) {
    const int gather = uses.producer(rewrite::kept_value(cut.first));
    return gather >= 0 &&
           flow.values.contains(present.model.graph.nodes[static_cast<std::size_t>(gather)].input(0));
  });
}

TokenCounts priced(const Subject& present, const std::vector<LayerWidths>& layers, const TokenFlow& flow,
                   LatencyBook& book, int limit) {
  const std::vector<int> counts = grid(flow);
  std::vector<std::map<int, latency::Workload>> changed;
  std::vector<latency::Workload> needed;
  for (const LayerWidths& layer : layers) needed.push_back(layer.workload);
  for (int count : counts) {
    changed.push_back(layers_with_fewer(
        present, layers, rewrite::keep_tokens(present.model, present.shapes, flow, any_tokens(flow, count))));
    for (const auto& [node, workload] : changed.back()) needed.push_back(workload);
  }
  book.learn(needed);
  std::vector<double> us;
  for (const auto& change : changed) us.push_back(layers_cost(layers, book, change));
  const double present_us = layers_cost(layers, book, std::map<int, latency::Workload>{});
  return {flow, thinned(undominated(counts, us, present_us), limit)};
}

}  // namespace

rewrite::TokenSites token_sites(const Subject& subject) {
  std::vector<std::string> values;
  for (const rewrite::Branch& branch : subject.branches) {
    if (values.empty()) values.push_back(branch.kept);
    values.push_back(branch.name);
  }
  return rewrite::token_sites(subject.model, subject.shapes, values);
}

graph::Model with_fewer_tokens(const graph::Model& model, const graph::ShapeOverrides& overrides,
                               const TokenCuts& cuts) {
  if (cuts.empty()) return model;
  graph::Model result = model;
  for (const Ordered& cut : ordered(model, graph::infer_shapes(model, overrides), cuts)) {
    if (cut.kept == cut.left) continue;
    const graph::Shapes shapes = graph::infer_shapes(result, overrides);
    const TokenFlow flow = flow_of(result, shapes, cut.flow.site, cut.flow.axis);
    result = rewrite::keep_tokens(result, shapes, flow, ranks(cut.left, cut.kept));
  }
  return result;
}

std::vector<int> places_left(const Subject& original, const TokenCuts& cuts, const std::string& site,
                             int axis) {
  std::vector<int> left = all_places(flow_of(original.model, original.shapes, site, axis).count);
  for (const Ordered& cut : ordered(original.model, original.shapes, cuts))
    left = stay_after(cut, site, std::move(left));
  return left;
}

std::set<std::string> values_with_fewer(const Subject& original, const TokenCuts& cuts) {
  std::set<std::string> values;
  for (const auto& [site, cut] : cuts)
    for (const auto& [value, axes] : flow_of(original.model, original.shapes, site, cut.axis).values)
      if (value != site) values.insert(value);
  return values;
}

std::vector<TokenCounts> worthwhile_tokens(const Subject& original, const Subject& present,
                                           const TokenCuts& cuts, LatencyBook& book, int limit) {
  std::vector<TokenFlow> flows = token_sites(present).flows;
  const graph::Uses uses(original.model.graph);
  std::erase_if(flows, [&](const TokenFlow& flow) {
    return uses.producer(flow.site) < 0 || cut_behind(present, flow, cuts);
  });
  const std::vector<LayerWidths> layers = written_layers(present);
  std::vector<TokenCounts> list;
  const std::size_t few = std::min(flows.size(), kSites);
  for (std::size_t i = 0; i < few; ++i) {
    TokenCounts site =
        priced(present, layers, flows[few == 1 ? 0 : i * (flows.size() - 1) / (few - 1)], book, limit);
    if (!site.counts.empty()) list.push_back(std::move(site));
  }
  return list;
}

std::map<int, latency::Workload> layers_with_fewer(const Subject& present,
                                                   const std::vector<LayerWidths>& layers,
                                                   const graph::Model& fewer) {
  graph::ShapeOverrides inputs = present.overrides;
  const graph::Shapes shapes = graph::infer_shapes(fewer, inputs);
  std::map<std::string, latency::Workload> now;
  for (const latency::LayerWorkload& layer : latency::extract_workloads(fewer, shapes))
    now[fewer.graph.nodes[static_cast<std::size_t>(layer.node)].output(0)] = layer.workload;
  std::map<int, latency::Workload> changed;
  for (const LayerWidths& layer : layers) {
    auto it = now.find(present.model.graph.nodes[static_cast<std::size_t>(layer.node)].output(0));
    if (it == now.end()) continue;
    latency::Workload w = layer.workload;
    w.mb = it->second.mb, w.ih = it->second.ih, w.iw = it->second.iw, w.oh = it->second.oh,
    w.ow = it->second.ow;
    if (w != layer.workload) changed[layer.node] = w;
  }
  return changed;
}

std::vector<double> attention_received(const TokenFlow& flow, const std::string& value,
                                       const graph::Tensor& weights) {
  std::vector<double> received(static_cast<std::size_t>(flow.count), 0);
  for (const graph::TokenAxis& t : flow.values.at(value)) {
    if (!t.weights) continue;
    std::size_t inner = 1;
    for (std::size_t a = static_cast<std::size_t>(t.axis) + 1; a < weights.dims.size(); ++a)
      inner *= static_cast<std::size_t>(weights.dims[a]);
    const std::vector<float> values = weights.values<float>();
    for (std::size_t i = 0; i < values.size(); ++i)
      if (const int token = (*t.tokens)[i / inner % t.tokens->size()]; token >= 0)
        received[static_cast<std::size_t>(token)] += values[i];
  }
  return received;
}

}  // namespace tailor::pipeline
