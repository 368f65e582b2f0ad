/// \file A mapping carried out: the network in 8 bits, and the same with its layers split over the units of the platform.
///
/// Channels are put in an order in which each unit owns a range of them, wherever a group's makers agree on one; the others'
/// outputs are put in order by a Gather. Both networks give the same bits: their sums are sums of integers.
#pragma once

#include "tailor/pipeline/map_model.h"
#include "tailor/rewrite/permute.h"
#include "tailor/rewrite/split_layers.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::pipeline {

struct UnitSplit {
  graph::Model whole, split;             // in 8 bits; the same function
  int activation_bits = 8;               // of what layers read and give inside
  std::vector<rewrite::MadePart> parts;  // of `split`
  int layers = 0, nodes = 0;             // layers that are several nodes in `split`, and how many
  int gathers = 0;                       // outputs whose order had to be restored
  int reordered = 0;                     // channel groups in another order
  std::vector<std::string> in_floats;  // layers with weights that stay f32: their operator has no 8-bit form
  std::vector<std::string> unsplit;    // layers that stay one node although the mapping splits them
  std::int64_t samples = 0;            // that both ran on
  double difference = 0;               // largest one between what the two gave; NaN where one gave it
  MappingAccuracy accuracy;            // of `whole` against the model

  bool identical() const { return difference == 0; }
};

/// Activations keep the range that they have on --calib, without their tails being cut, in the platform's bits (8 where it states none); weights those levels that the units keep,
/// layers that no unit computes 8 bits per channel.
/// @throws Error usage without calib, or if a unit keeps weights in more than 8 bits; as load_calibration, Runner
UnitSplit split_over_units(const Subject& subject, const MapResult& result, const plan::Mapping& mapping,
                           const MapOptions& options);

/// Orders in which units own ranges of channels: units of a group sorted by what computes them in its first maker, then in its
/// second ... Groups that a layer outside `layers` reads by weights keep theirs, so that no sum of floats changes.
/// @param layers those that compute in 8 bits: node -> way to compute of each output channel; empty: not mapped
rewrite::Orders unit_orders(const graph::Model& model, const graph::Channels& channels,
                            const std::map<int, std::vector<int>>& layers);

/// The "split" of schema "tailor/map/1", without the models.
Json to_json(const UnitSplit& split);

}  // namespace tailor::pipeline
