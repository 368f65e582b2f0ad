/// \file A layer with its operands and what it computes: by loops that anybody can check.
#pragma once

#include "tailor/latency/workload.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::kernels {

/// Random operands, and the result of the layer in double precision.
struct Layer {
  latency::Workload workload;
  std::vector<float> input, weights, bias, residual;  // as a framework has them: nchw, oihw; [m][k], [k][n]
  std::int64_t outputs = 0, stride = 1;
  std::vector<double> expected;  // of the outputs 0, stride, 2 stride, ... below `outputs`
  std::vector<double> scale;  // sum of the absolute products of each element: what its error is measured by
};

/// Dense convolutions and products; bias, bn (as a bias), add, relu, clip to 0..6. Operands of a workload in f16, all but the
/// bias, are numbers that an f16 holds, so the result is that of what a device is given. O(macs that are computed)
/// @param most_macs a layer of more is computed in some outputs, spread evenly; 0: in all of them
/// @throws Error bad_value for others, or for operands above 2^28 elements
Layer make_layer(const latency::Workload& workload, std::int64_t most_macs = 0);

/// The bits of a number that an f16 holds exactly (of those that make_layer draws, or zero), and back of any f16.
/// @pre value is 0, or 2^-14 <= |value| < 65536 with 11 significant bits
std::uint16_t half_bits(float value);
float half_value(std::uint16_t bits);

/// Errors up to this are rounding in f32: of the sum of absolute products.
inline constexpr double kTolerance = 1e-5;

/// The largest error of an element as a share of its scale; infinite if one is no number.
/// @pre out.size() == layer.expected.size(), and stride is 1
double largest_error(const Layer& layer, const std::vector<float>& out);

}  // namespace tailor::kernels
