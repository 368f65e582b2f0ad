// worthwhile_widths: a grid per group, the layers near it timed at each width, what is dominated left out.
#include "tailor/pipeline/worthwhile.h"

#include "tailor/rewrite/widen.h"

#include <algorithm>
#include <set>

namespace tailor::pipeline {
namespace {

// Widths to look at, the present one not among them: fine below 64 channels, coarser above; wider ones only as far as
// the next steps. A unit may be several channels of a layer (a head of attention, the same place in every part of a
// shuffle): then a step is as many channels, in fewer units.
std::vector<int> grid(int width, int channels, bool wider) {
  const int all = width * channels;
  const int step = std::max(1, (all <= 64 ? 4 : all <= 256 ? 8 : 16) / channels);
  std::set<int> list;
  for (int w = step; w < width; w += step) list.insert(w);
  for (int to : {4, 8, 16, 32, 64})
    if (wider && width % to != 0 && to < width) list.insert((width + to - 1) / to * to);
  return {list.begin(), list.end()};
}

// Keeps the widths that are faster than the present one and than every wider one, by at least half a percent.
// A wider width that is faster costs no accuracy at all.
std::vector<int> undominated(const std::vector<int>& widths, const std::vector<double>& cost,
                             double present_cost) {
  std::vector<int> kept;
  double best = present_cost;
  for (std::size_t i = widths.size(); i-- > 0;)
    if (cost[i] < best * 0.995) best = cost[i], kept.push_back(widths[i]);
  std::reverse(kept.begin(), kept.end());
  return kept;
}

// At most `limit`, spread evenly.
std::vector<int> thinned(const std::vector<int>& widths, int limit) {
  if (static_cast<int>(widths.size()) <= limit) return widths;
  if (limit < 2)
    return {widths.begin() + static_cast<std::ptrdiff_t>(widths.size()) - std::max(limit, 0), widths.end()};
  std::vector<int> kept;
  for (int i = 0; i < limit; ++i)
    kept.push_back(
        widths[static_cast<std::size_t>(i) * (widths.size() - 1) / static_cast<std::size_t>(limit - 1)]);
  kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
  return kept;
}

bool touches(const LayerWidths& layer, int group) {
  auto has = [&](const auto& side) {
    return std::any_of(side.begin(), side.end(), [&](const auto& part) { return part.first == group; });
  };
  return has(layer.in) || has(layer.out);
}

// Channels of a layer that a unit of the group is.
int channels_of_unit(const std::vector<LayerWidths>& layers, int group) {
  int most = 1;
  for (const LayerWidths& layer : layers)
    for (auto [other, positions] : layer.out)
      if (other == group) most = std::max(most, positions);
  return most;
}

}  // namespace

double layers_cost(const Subject& present, const std::vector<LayerWidths>& layers, const LatencyBook& book,
                   const std::map<int, int>& widths) {
  double sum = 0;
  for (const LayerWidths& layer : layers)
    sum += layer.correction * book.at(workload_at(present, layer, widths));
  return sum;
}

void LatencyBook::learn(const std::vector<latency::Workload>& workloads) {
  std::vector<latency::Workload> missing;
  for (const latency::Workload& w : workloads)
    if (!known_.contains(w) && std::find(missing.begin(), missing.end(), w) == missing.end())
      missing.push_back(w);
  if (missing.empty()) return;
  std::vector<latency::Estimate> answers = oracle_.evaluate(missing);
  for (std::size_t i = 0; i < missing.size(); ++i) known_[missing[i]] = answers[i].value.value;
}

std::vector<std::pair<int, std::vector<int>>> worthwhile_widths(const Subject& present, LatencyBook& book,
                                                                int limit) {
  std::vector<LayerWidths> layers = written_layers(present);
  std::map<int, std::vector<int>> lists;
  std::set<latency::Workload> needed;
  for (std::size_t g = 0; g < present.channels.groups.size(); ++g) {
    auto group = static_cast<int>(g);
    if (!present.channels.groups[g].changeable()) continue;
    std::vector<int> list =
        grid(present.channels.groups[g].width(), channels_of_unit(layers, group),
             rewrite::obstacle_to_widening(present.model, present.channels, group).empty());
    for (const LayerWidths& layer : layers) {
      if (!touches(layer, group)) continue;
      lists[group] = list;
      needed.insert(layer.workload);
      for (int width : list) needed.insert(workload_at(present, layer, {{group, width}}));
    }
  }
  book.learn({needed.begin(), needed.end()});
  std::vector<std::pair<int, std::vector<int>>> result;
  for (const auto& [group, list] : lists) {
    std::vector<LayerWidths> near;
    std::copy_if(layers.begin(), layers.end(), std::back_inserter(near),
                 [&, g = group](const LayerWidths& layer) { return touches(layer, g); });
    std::vector<double> cost;
    for (int width : list) cost.push_back(layers_cost(present, near, book, {{group, width}}));
    result.emplace_back(group, thinned(undominated(list, cost, layers_cost(present, near, book, {})), limit));
  }
  return result;
}

}  // namespace tailor::pipeline
