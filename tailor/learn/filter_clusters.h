/// \file Which channels of a group are for the same: clusters by what excites their filters, and by what they answer.
#pragma once

#include "tailor/learn/filters.h"
#include "tailor/learn/patterns.h"

#include <vector>

namespace tailor::learn {

/// The filters of one layer, as they were looked at.
struct LayerPatterns {
  FilterLayer layer;
  std::vector<FilterPattern> patterns;  // one per filter
  saliency::Responses responses = {};   // one row per filter; none: not looked at
};

/// Clusters of one group. Units that no layer here makes are in none: -1.
struct GroupClusters {
  int group = 0;
  std::vector<int> cluster = {};  // of each unit
};

/// Of every group that one of the layers makes, in the order of the groups. How alike two units are is the mean over
/// those layers of the cosine of their patterns; where responses are there, the correlation of these if that is less:
/// units are alike only if they look alike and answer alike. Clusters are complete (saliency::clusters).
/// @param threshold -1 to 1: any two units of a cluster are at least so much alike
std::vector<GroupClusters> filter_clusters(const graph::Channels& channels,
                                           const std::vector<LayerPatterns>& layers, double threshold);

}  // namespace tailor::learn
