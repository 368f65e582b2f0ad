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

/// A matrix of `rows` rows, row-major, the other way round.
template <class T>
std::vector<T> transposed(const std::vector<T>& values, std::size_t rows) {
  const std::size_t columns = values.size() / rows;
  std::vector<T> result(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) result[i % columns * rows + i / columns] = values[i];
  return result;
}

/// The tensor with every byte of the slices at `positions` set to `fill`.
graph::Tensor zero_slices(const graph::Tensor& tensor, int axis, const std::vector<int>& positions,
                          std::byte fill = {});

/// The tensor with slices inserted: result position i is old position source[i], or filled with `fill` where
/// source[i] < 0.
/// @pre f32 where a fill other than 0 is asked for
graph::Tensor spread(const graph::Tensor& tensor, int axis, const std::vector<int>& source, float fill = 0);

}  // namespace tailor::rewrite
