// Each group alone, by the prices of wider widths; then one after the other, with what the ones before have taken.
#include "tailor/pipeline/free_channels.h"

#include "tailor/rewrite/widen.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace tailor::pipeline {
namespace {

using Widths = std::map<int, int>;

bool costs_nothing(double us, double present_us) { return us <= present_us * (1 + kFreeShare); }

// The widths that cost nothing, decreasing.
std::vector<int> free_widths(const Priced& priced) {
  std::vector<int> widths;
  for (std::size_t i = priced.widths.size(); i-- > 0;)
    if (costs_nothing(priced.us[i], priced.present_us)) widths.push_back(priced.widths[i]);
  return widths;
}

double capacity(const FreeGroup& g) { return g.layers * std::log(double(g.free_to) / g.width); }

class Together {
 public:
  Together(const Subject& present, LatencyBook& book)
      : present_(present), book_(book), layers_(written_layers(present)) {}

  std::vector<LayerWidths> near(int group) const {
    std::vector<LayerWidths> list;
    std::copy_if(layers_.begin(), layers_.end(), std::back_inserter(list),
                 [&](const LayerWidths& layer) { return touches(layer, group); });
    return list;
  }
  // The widest of `widths` (decreasing) that costs nothing beside what is taken; its present one if there is none.
  int take(const FreeGroup& g, const std::vector<int>& widths) {
    const std::vector<LayerWidths> around = near(g.group);
    for (int width : widths) {
      Widths tried = taken_;
      tried[g.group] = width;
      if (!costs_nothing(cost(around, tried), cost(around, {}))) continue;
      taken_ = std::move(tried);
      return width;
    }
    return g.width;
  }
  double whole(bool taken) { return cost(layers_, taken ? taken_ : Widths{}); }

 private:
  double cost(const std::vector<LayerWidths>& layers, const Widths& widths) {
    std::vector<latency::Workload> needed;
    for (const LayerWidths& layer : layers) needed.push_back(workload_at(present_, layer, widths));
    book_.learn(needed);
    return layers_cost(present_, layers, book_, widths);
  }

  const Subject& present_;
  LatencyBook& book_;
  std::vector<LayerWidths> layers_;
  Widths taken_;
};

int groups_that_change(const Subject& present) {
  return static_cast<int>(std::count_if(present.channels.groups.begin(), present.channels.groups.end(),
                                        [](const graph::ChannelGroup& g) { return g.changeable(); }));
}

}  // namespace

FreeChannels free_channels(const Subject& present, LatencyBook& book, How how, double most) {
  FreeChannels free;
  free.how = how;
  Together together(present, book);
  std::vector<std::vector<int>> choices;
  for (const Priced& priced : wider_prices(present, book, most)) {
    ++free.asked;
    const std::vector<int> widths = free_widths(priced);
    if (widths.empty()) continue;
    const graph::ChannelGroup& g = present.channels.groups[static_cast<std::size_t>(priced.group)];
    const auto at = std::find(priced.widths.begin(), priced.widths.end(), widths.front());
    free.groups.push_back({priced.group, g.name, g.width(), widths.front(), g.width(),
                           static_cast<int>(together.near(priced.group).size()), priced.present_us,
                           priced.us[static_cast<std::size_t>(at - priced.widths.begin())]});
    choices.push_back(widths);
  }
  free.stuck = groups_that_change(present) - free.asked;
  std::vector<std::size_t> order(free.groups.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return capacity(free.groups[a]) > capacity(free.groups[b]);
  });
  for (std::size_t i : order) free.groups[i].together = together.take(free.groups[i], choices[i]);
  free.us = together.whole(false), free.together_us = together.whole(true);
  return free;
}

Json to_json(const FreeChannels& free) {
  Json groups = Json::array();
  for (const FreeGroup& g : free.groups)
    groups.push_back({{"group", g.name},
                      {"width", g.width},
                      {"free_to", g.free_to},
                      {"together", g.together},
                      {"layers", g.layers},
                      {"us", g.us},
                      {"free_us", g.free_us}});
  return {{"most_cost", kFreeShare},         {"how", name(free.how)}, {"us", free.us},
          {"together_us", free.together_us}, {"asked", free.asked},   {"stuck", free.stuck},
          {"groups", std::move(groups)}};
}

}  // namespace tailor::pipeline
