/// \file A supernet: one set of weights for many networks, each the largest one with parts left out.
///
/// Whoever carves smaller networks need not say which weights are left. numbered() puts in the place of every weight its
/// own number; what is carved out of that holds the numbers of the weights that it takes. So whatever moves weights and
/// computes none can carve: cuts of channels, branches that go, kernels that shrink.
#pragma once

#include "tailor/data/dataset.h"
#include "tailor/graph/model.h"
#include "tailor/learn/network.h"

#include <cstdint>

namespace tailor::learn {

/// The model with each element of its parameters replaced by its number among all of them, from 0, as the bits of a
/// float. Only for carving: nothing can be computed with it.
/// @pre no two layers share a vector (with_own_vectors) @throws Error not_trainable if a parameter is not f32, or if there
/// are more than 2^30 elements
graph::Model numbered(const graph::Model& model);

/// The network that was carved, with the weights that `model` has.
/// @param carved out of numbered(model) @pre weights were moved, none computed
graph::Model with_weights_of(const graph::Model& carved, const graph::Model& model);

/// The same as a network that computes with the weights of `supernet` as they are now: gradients arrive there. Its
/// statistics are copies.
/// @param carved out of numbered() of the model that `supernet` was made of
Network borrowed(const graph::Model& carved, Network& supernet);

/// The model with the statistics of its BatchNormalization estimated anew: means over batches of what the batches have.
/// Those of a sub-network are none of the supernet's (Yu and Huang, arXiv:1903.05134, section 3.3). Batches are full ones;
/// fewer samples than a batch are one. One run of the network on the samples.
/// @throws Error not_trainable, bad_shape, bad_dataset
graph::Model with_own_statistics(const graph::Model& model, const data::Dataset& data, std::int64_t batch);

}  // namespace tailor::learn
