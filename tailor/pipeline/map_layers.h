/// \file The layers of a model for a platform: which can be mapped, their rounded weights, what that loses.
/// Private to map_model.
#pragma once

#include "tailor/pipeline/map_model.h"

namespace tailor::pipeline {

/// Fills layers, elsewhere and other_nodes. Losses are from the weights alone: the share of the energy of a
/// layer's weights that rounding takes from a channel. @throws Error nothing_to_map
void find_layers(const Subject& subject, MapResult& result);

/// Replaces the losses by measured ones: the divergence (pipeline/loss.h) of the model with one whole layer
/// rounded, spread over the layer's channels as their weights' errors are.
void measure_losses(const Subject& subject, MapResult& result, const MapOptions& options);

/// Of the values that layers read and give, if the platform states bits of activations. @pre options name calib
std::map<std::string, rewrite::Range> ranges_to_round(const Subject& subject,
                                                      const device::Platform& platform,
                                                      const MapOptions& options);

/// The mapping that a document of `map` holds. @throws Error plan_mismatch, as read_mapping
plan::Mapping given_mapping(const MapResult& result, const std::vector<plan::LayerToMap>& layers,
                            const std::filesystem::path& path);

/// The model with statistics of every BatchNormalization from calib alone. @pre options name calib
graph::Model with_estimated_statistics(const Subject& subject, const graph::Model& model,
                                       const MapOptions& options);

/// What a mapping does to the answers. @pre options name data
MappingAccuracy accuracy_of(const Subject& subject, const MapResult& result, const plan::Mapping& mapping,
                            const MapOptions& options);

}  // namespace tailor::pipeline
