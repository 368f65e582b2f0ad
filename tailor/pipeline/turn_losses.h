/// \file What precisions per layer do to a network's answers: the network with them written out, run on samples.
#pragma once

#include "tailor/pipeline/map_model.h"
#include "tailor/pipeline/turn_network.h"
#include "tailor/rewrite/quantise_network.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// What is needed to write a network with some layers in other precisions.
struct TurnRounding {
  int weight_bits = 8;                           // at most, of levels
  std::map<std::string, rewrite::Range> ranges;  // of all values that any layer in 8 bits reads or writes
};

/// Ranges on options.calib; those of values that are kept as levels around zero are made even on both sides.
TurnRounding rounding_of(const Subject& subject, const TurnNetwork& network,
                         const std::vector<int>& quantisable, int weight_bits, const MapOptions& options);

/// The model with the layers of `choice` that are in 8 bits between QuantizeLinear and DequantizeLinear
/// (rewrite/quantise_network.h) and the weights of those in bf16 rounded to it. A value that one layer reads in 8 bits is
/// rounded for all its readers, and what a layer gives is rounded before a residual is added: at least as much is rounded
/// as on the units.
graph::Model rounded_network(const Subject& subject, const TurnNetwork& network, const TurnRounding& rounding,
                             const std::vector<int>& choice);

/// Sets the losses of ways: the divergence (pipeline/loss.h) of the network with that layer alone in that precision.
void measure_turn_losses(const Subject& subject, TurnNetwork& network, const TurnRounding& rounding,
                         const MapOptions& options);

/// Of what rounded_network writes. @pre options name data
MappingAccuracy turn_accuracy(const Subject& subject, const graph::Model& rounded, const MapOptions& options);

}  // namespace tailor::pipeline
