// priced: a list of widths per group, the layers near it timed at each. worthwhile_widths, growing_widths: what is
// dominated left out.
#include "tailor/pipeline/worthwhile.h"

#include "tailor/rewrite/widen.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <set>

namespace tailor::pipeline {
namespace {

// In units: fine below 64 channels, coarser above. A unit may be several channels of a layer (a head of attention, the
// same place in every part of a shuffle): then a step is as many channels, in fewer units.
int step_of(int all_channels, int of_unit) {
  return std::max(1, (all_channels <= 64 ? 4 : all_channels <= 256 ? 8 : 16) / of_unit);
}

// Widths to look at, the present one not among them; wider ones only as far as the next steps.
std::vector<int> grid(int width, int channels, bool wider) {
  const int step = step_of(width * channels, channels);
  std::set<int> list;
  for (int w = step; w < width; w += step) list.insert(w);
  for (int to : {4, 8, 16, 32, 64})
    if (wider && width % to != 0 && to < width) list.insert((width + to - 1) / to * to);
  return {list.begin(), list.end()};
}

// Widths to grow to, up to `most` times the present one.
std::vector<int> wider(int width, int channels, double most) {
  const int step = step_of(width * channels, channels);
  std::vector<int> list;
  for (int w = (width / step + 1) * step; w <= most * width; w += step) list.push_back(w);
  return list;
}

// The same with the next multiples of 4 and 8, which a coarse grid steps over.
std::vector<int> with_next(int width, int channels, double most) {
  const std::vector<int> coarse = wider(width, channels, most);
  std::set<int> list(coarse.begin(), coarse.end());
  for (int to : {4, 8})
    if (const int next = (width / to + 1) * to; next <= most * width) list.insert(next);
  return {list.begin(), list.end()};
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

std::vector<int> undominated(const std::vector<int>& widths, const std::vector<double>& cost,
                             double present_cost) {
  std::vector<int> kept;
  double best = present_cost;
  for (std::size_t i = widths.size(); i-- > 0;)
    if (cost[i] < best * 0.995) best = cost[i], kept.push_back(widths[i]);
  std::reverse(kept.begin(), kept.end());
  return kept;
}

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

double layers_cost(const Subject& present, const std::vector<LayerWidths>& layers, const LatencyBook& book,
                   const std::map<int, int>& widths) {
  double sum = 0;
  for (const LayerWidths& layer : layers)
    sum += layer.correction * book.at(workload_at(present, layer, widths));
  return sum;
}

double layers_cost(const std::vector<LayerWidths>& layers, const LatencyBook& book,
                   const std::map<int, latency::Workload>& changed) {
  double sum = 0;
  for (const LayerWidths& layer : layers) {
    auto it = changed.find(layer.node);
    sum += layer.correction * book.at(it == changed.end() ? layer.workload : it->second);
  }
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

namespace {

// @param list the widths to look at, by group and how many channels of a layer one of its units is
std::vector<Priced> priced(const Subject& present, LatencyBook& book,
                           const std::function<std::vector<int>(int group, int channels)>& list) {
  std::vector<LayerWidths> layers = written_layers(present);
  std::vector<Priced> result;
  std::set<latency::Workload> needed;
  for (int group = 0; group < static_cast<int>(present.channels.groups.size()); ++group) {
    const bool any =
        std::any_of(layers.begin(), layers.end(), [&](const LayerWidths& l) { return touches(l, group); });
    if (!any || !present.channels.groups[static_cast<std::size_t>(group)].changeable()) continue;
    result.push_back({group, list(group, channels_of_unit(layers, group)), {}, 0});
    for (const LayerWidths& layer : layers) {
      if (!touches(layer, group)) continue;
      needed.insert(layer.workload);
      for (int width : result.back().widths) needed.insert(workload_at(present, layer, {{group, width}}));
    }
  }
  book.learn({needed.begin(), needed.end()});
  for (Priced& p : result) {
    std::vector<LayerWidths> near;
    std::copy_if(layers.begin(), layers.end(), std::back_inserter(near),
                 [&](const LayerWidths& layer) { return touches(layer, p.group); });
    for (int width : p.widths) p.us.push_back(layers_cost(present, near, book, {{p.group, width}}));
    p.present_us = layers_cost(present, near, book, {});
  }
  return result;
}

bool can_widen(const Subject& present, int group) {
  return rewrite::obstacle_to_widening(present.model, present.channels, group).empty();
}

bool grows(const Subject& present, int group) {
  return rewrite::obstacle_to_growing(present.model, present.channels, group).empty();
}

int width_of(const Subject& present, int group) {
  return present.channels.groups[static_cast<std::size_t>(group)].width();
}

}  // namespace

std::vector<std::pair<int, std::vector<int>>> worthwhile_widths(const Subject& present, LatencyBook& book,
                                                                int limit) {
  std::vector<std::pair<int, std::vector<int>>> result;
  for (const Priced& p : priced(present, book, [&](int group, int channels) {
         return grid(width_of(present, group), channels, can_widen(present, group));
       }))
    result.emplace_back(p.group, thinned(undominated(p.widths, p.us, p.present_us), limit));
  return result;
}

std::vector<Priced> wider_prices(const Subject& present, LatencyBook& book, double most) {
  std::vector<Priced> list = priced(present, book, [&](int group, int channels) {
    return grows(present, group) ? with_next(width_of(present, group), channels, most) : std::vector<int>{};
  });
  std::erase_if(list, [&](const Priced& p) { return !grows(present, p.group); });
  return list;
}

std::vector<std::pair<int, std::vector<int>>> growing_widths(const Subject& present, LatencyBook& book,
                                                             double most, int limit) {
  std::vector<std::pair<int, std::vector<int>>> result;
  for (const Priced& p : priced(present, book, [&](int group, int channels) {
         return grows(present, group) ? wider(width_of(present, group), channels, most) : std::vector<int>{};
       })) {
    std::vector<int> edges = undominated(p.widths, p.us, std::numeric_limits<double>::infinity());
    edges = thinned(edges, limit - 1);
    if (edges.empty()) continue;
    edges.insert(edges.begin(), width_of(present, p.group));
    result.emplace_back(p.group, std::move(edges));
  }
  return result;
}

}  // namespace tailor::pipeline
