/// \file Which widths of a channel group are worth having, by what its layers then cost.
#pragma once

#include "tailor/latency/oracle.h"
#include "tailor/pipeline/width_problem.h"

#include <map>
#include <utility>
#include <vector>

namespace tailor::pipeline {

/// Latencies by workload, asked for once. Values in microseconds.
class LatencyBook {
 public:
  explicit LatencyBook(latency::LatencyOracle& oracle) : oracle_(oracle) {}
  /// Makes sure that all of `workloads` are known; one batched call.
  void learn(const std::vector<latency::Workload>& workloads);
  double at(const latency::Workload& workload) const { return known_.at(workload); }
  const std::map<latency::Workload, double>& all() const { return known_; }

 private:
  latency::LatencyOracle& oracle_;
  std::map<latency::Workload, double> known_;
};

/// Widths of each changeable group that are worth having: no wider one is as fast, all other groups at their
/// present widths. At most `limit` per group, below the present width (and above it, up to the next
/// steps, where the group can be widened), increasing.
std::vector<std::pair<int, std::vector<int>>> worthwhile_widths(const Subject& present, LatencyBook& book,
                                                                int limit);

/// Widths of each group that can be widened, from the present one to `most` times it, increasing: right edges of steps,
/// no wider one is as fast (all other groups at their present widths), and the present width. At most `limit` per group.
std::vector<std::pair<int, std::vector<int>>> growing_widths(const Subject& present, LatencyBook& book,
                                                             double most, int limit);

/// What the layers around a group (that make or read it) cost at each of some widths, all other groups at their present ones.
struct Priced {
  int group = 0;
  std::vector<int> widths;  // increasing, the present one not among them
  std::vector<double> us;   // one per width
  double present_us = 0;
};
/// Of every group that can grow (rewrite::obstacle_to_growing): multiples of 4 to 16 (the wider the coarser) above its width,
/// up to `most` times it.
std::vector<Priced> wider_prices(const Subject& present, LatencyBook& book, double most);

/// Does the layer make or read the group?
bool touches(const LayerWidths& layer, int group);

/// Sum of the layers' latencies at the given widths (group -> width; absent: present), in microseconds.
/// @pre the book knows them
double layers_cost(const Subject& present, const std::vector<LayerWidths>& layers, const LatencyBook& book,
                   const std::map<int, int>& widths);
/// The same with some layers changed: by node, what they are instead.
double layers_cost(const std::vector<LayerWidths>& layers, const LatencyBook& book,
                   const std::map<int, latency::Workload>& changed);

/// Of sizes (increasing; widths, tokens) those that are faster than the present one and than every larger one, by at least
/// half a percent. A larger one that is faster costs no accuracy at all.
std::vector<int> undominated(const std::vector<int>& sizes, const std::vector<double>& cost,
                             double present_cost);
/// At most `limit` of them, spread evenly.
std::vector<int> thinned(const std::vector<int>& sizes, int limit);

}  // namespace tailor::pipeline
