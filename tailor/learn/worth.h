/// \file What channels are worth by the gradients of the loss: how it would change if a channel were switched off.
///
/// With a gate of 1 on a channel, the gradient of a sample's loss by the gate is s = sum over positions of activation
/// times gradient. First order (Molchanov et al., arXiv:1611.06440): the mean over samples of |s|. Second order, with
/// the Hessian by Fisher's information (Theis et al., arXiv:1801.05787): the mean of s^2 / 2.
#pragma once

#include "tailor/data/dataset.h"
#include "tailor/graph/model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::learn {

/// Of one value, per position of axis 1, or of the last one where a MatMul reads it; both in units of the loss, nats.
struct ChannelWorth {
  std::string value;
  std::vector<double> taylor, fisher;
};

struct WorthResult {
  std::int64_t samples = 0;
  bool labelled = false;             // false: the model's own decisions stood for labels
  double loss = 0;                   // mean cross entropy
  std::vector<ChannelWorth> values;  // that convolutions and products read, in the order of the nodes
};

/// One forward and one backward pass over the samples, BatchNormalization by its statistics. Values that no parameter
/// lies in front of have no gradient and are left out.
/// @throws Error not_trainable (operators, no scores of classes), dataset_mismatch (labels), bad_shape
WorthResult channel_worth(const graph::Model& model, const data::Dataset& data, std::int64_t label_offset,
                          std::int64_t batch);

}  // namespace tailor::learn
