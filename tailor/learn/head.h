/// \file Where a loss looks at a model.
#pragma once

#include "tailor/graph/shapes.h"

#include <string>
#include <vector>

namespace tailor::learn {

/// A value that a loss is about. Behind `classes` the values are scores of classes, one row a sample, before any
/// Softmax; other heads are compared element by element.
struct Head {
  std::string value;
  bool classes = false;
  std::int64_t width = 0;  // classes
};

/// One per output of floating values, or of what an ArgMax made of them: in front of Softmax, LogSoftmax, ArgMax and
/// Identity, since a loss wants what they were made from. Class scores are N x C, or N x C x 1 x 1.
/// @param shapes of `model`, for any batch
/// @throws Error not_trainable if there is no such output
std::vector<Head> heads(const graph::Model& model, const graph::Shapes& shapes);

/// The model whose inputs leave their leading dimension free: one that a model fixes is an example's, not a promise, and
/// the nodes say whether another one fits.
graph::Model with_free_batch(graph::Model model);

/// The only input of the model. @throws Error not_trainable if there are others
const graph::ValueInfo& only_input(const graph::Model& model);

}  // namespace tailor::learn
