/// \file Cutting, masking and widening of constant tensors along an axis. Any element type of whole bytes.
#pragma once

#include "tailor/graph/model.h"

#include <map>
#include <vector>

namespace tailor::rewrite {

/// The slices of `tensor` at the positions of each axis, in that order; other axes stay whole. O(elements of the
/// result), and no more memory than those: a mapped tensor's pages are released behind the reader.
/// @throws Error bad_cut if the tensor's elements are no whole bytes
graph::Tensor take(const graph::Tensor& tensor, const std::map<int, std::vector<int>>& positions);
graph::Tensor take(const graph::Tensor& tensor, int axis, const std::vector<int>& positions);

/// The tensor with every byte of the slices at `positions` set to `fill`.
graph::Tensor zero_slices(const graph::Tensor& tensor, int axis, const std::vector<int>& positions,
                          std::byte fill = {});

/// The tensor with slices inserted: result position i is old position source[i], or filled with `fill` where
/// source[i] < 0.
/// @pre f32 where a fill other than 0 is asked for
graph::Tensor spread(const graph::Tensor& tensor, int axis, const std::vector<int>& source, float fill = 0);

}  // namespace tailor::rewrite
