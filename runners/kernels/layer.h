/// \file A layer with its operands and what it computes: by loops that anybody can check.
#pragma once

#include "tailor/latency/workload.h"

#include <string>
#include <vector>

namespace tailor::kernels {

/// Random operands, and the result of the layer in double precision.
struct Layer {
  latency::Workload workload;
  std::vector<float> input, weights, bias, residual;
  std::vector<double> expected;
  std::vector<double> scale;  // sum of the absolute products of each element: what its error is measured by
};

/// Dense convolutions and products; bias, bn (as a bias), add, relu, clip to 0..6. O(macs of the layer)
/// @throws Error bad_value for others, or for operands above 2^28 elements
Layer make_layer(const latency::Workload& workload);

/// Errors up to this are rounding in f32: of the sum of absolute products.
inline constexpr double kTolerance = 1e-5;

/// The largest error of an element as a share of its scale; infinite if one is no number.
/// @pre out.size() == layer.expected.size()
double largest_error(const Layer& layer, const std::vector<float>& out);

}  // namespace tailor::kernels
