// filter_clusters: per group the rows of its units in every layer that makes it -> likenesses -> clusters.
#include "tailor/learn/filter_clusters.h"

#include "tailor/base/error.h"
#include "tailor/saliency/likeness.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace tailor::learn {
namespace {

using saliency::Likeness;
using saliency::Responses;

using FiltersOfUnits = std::vector<std::vector<int>>;

// Filters of the layer that make each unit of the group. Empty unless all units have as many: then their rows can be
// compared.
FiltersOfUnits filters_of_units(const FilterLayer& layer, int group, int width) {
  FiltersOfUnits filters(static_cast<std::size_t>(width));
  for (int i = 0; i < layer.filters(); ++i)
    if (const graph::AtomPlace place = layer.places[static_cast<std::size_t>(i)]; place.group == group)
      filters[static_cast<std::size_t>(place.unit)].push_back(i);
  const std::size_t each = filters.front().size();
  const bool alike = std::all_of(filters.begin(), filters.end(),
                                 [&](const std::vector<int>& of_unit) { return of_unit.size() == each; });
  return alike && each > 0 ? filters : FiltersOfUnits{};
}

// A row per unit: those of its filters one behind another. @param row adds the row of a filter
Responses rows_of(const FiltersOfUnits& units,
                  const std::function<void(int filter, std::vector<float>& values)>& row) {
  Responses rows{static_cast<int>(units.size()), 0, {}};
  for (const std::vector<int>& filters : units)
    for (int filter : filters) row(filter, rows.values);
  rows.samples = rows.values.size() / units.size();
  return rows;
}

Likeness of_patterns(const LayerPatterns& layer, const FiltersOfUnits& units) {
  return saliency::cosines(rows_of(units, [&](int filter, std::vector<float>& values) {
    const std::vector<float>& pattern = layer.patterns[static_cast<std::size_t>(filter)].values;
    values.insert(values.end(), pattern.begin(), pattern.end());
  }));
}

Likeness of_responses(const LayerPatterns& layer, const FiltersOfUnits& units) {
  const Responses& all = layer.responses;
  return saliency::correlations(rows_of(units, [&](int filter, std::vector<float>& values) {
    const float* from = all.values.data() + static_cast<std::size_t>(filter) * all.samples;
    values.insert(values.end(), from, from + all.samples);
  }));
}

std::set<int> groups_of(const std::vector<LayerPatterns>& layers) {
  std::set<int> groups;
  for (const LayerPatterns& layer : layers)
    for (const graph::AtomPlace& place : layer.layer.places)
      if (place.group >= 0) groups.insert(place.group);
  return groups;
}

std::vector<int> clusters_of(const std::vector<LayerPatterns>& layers, int group, int width,
                             double threshold) {
  std::vector<Likeness> patterns, responses;
  for (const LayerPatterns& layer : layers) {
    TAILOR_CHECK(layer.patterns.size() == layer.layer.places.size());
    const FiltersOfUnits units = filters_of_units(layer.layer, group, width);
    if (units.empty()) continue;
    patterns.push_back(of_patterns(layer, units));
    if (layer.responses.samples > 0) responses.push_back(of_responses(layer, units));
  }
  if (patterns.empty()) return std::vector<int>(static_cast<std::size_t>(width), -1);
  Likeness likeness = saliency::mean_of(patterns);
  if (!responses.empty()) likeness = saliency::least_of(likeness, saliency::mean_of(responses));
  return saliency::clusters(likeness, threshold);
}

}  // namespace

std::vector<GroupClusters> filter_clusters(const graph::Channels& channels,
                                           const std::vector<LayerPatterns>& layers, double threshold) {
  std::vector<GroupClusters> list;
  for (int group : groups_of(layers)) {
    const int width = channels.groups[static_cast<std::size_t>(group)].width();
    list.push_back({group, clusters_of(layers, group, width, threshold)});
  }
  return list;
}

}  // namespace tailor::learn
