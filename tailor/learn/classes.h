/// \file What training and evaluation share: shapes for the data at hand, labels, scores. Private to the module.
#pragma once

#include "tailor/learn/head.h"
#include "tailor/learn/network.h"
#include "tailor/learn/train.h"

namespace tailor::learn {

/// Shapes of the model for batches of these samples. @throws Error bad_shape
graph::Shapes shapes_for(const graph::Model& model, const data::Dataset& data, std::int64_t batch);

/// @throws Error dataset_mismatch, not_trainable
void check_labels(const data::Dataset& data, const Head& head, std::int64_t offset);

/// evaluate() of a network that is there already. @pre check_labels
Evaluation evaluate(Network& network, const Head& head, const data::Dataset& data, std::int64_t offset,
                    std::int64_t batch);

}  // namespace tailor::learn
