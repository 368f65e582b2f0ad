/// \file A layer made ready by oneDNN: operands that are drawn at random, and a function that runs it once.
#pragma once

#include "runners/onednn/layer.h"
#include "runners/onednn/library.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tailor::onednn {

/// What a layer with weights computes, in the units of its operands as they are stored:
///   y = post( scale[c] * (sum of x w + bias[c]) + residual_scale * residual ), clip ends at `limit`
/// with scale 1 in floats. Weights in i8 are levels of -most..most.
struct Parameters {
  std::vector<float> weights;  // output channel by row (input channels of its group, taps)
  std::vector<float> bias, scale;
  float residual_scale = 1, limit = 6;
  int most = 127;
};
/// Drawn so that results keep the size of the operands. @param seed with the layer's sizes decides
Parameters draw_parameters(const Layer& layer, int weight_bits, std::uint64_t seed);

/// Levels per unit of value, wherever values become levels.
inline constexpr float kLevelsPerUnit = 16;

/// Where a run reads and writes. With a residual, `residual` may be `y` itself: the sum is taken in place.
struct Places {
  void *x = nullptr, *residual = nullptr, *y = nullptr;
};

struct Operation {
  std::function<void()> run;  // does not wait for the stream
  std::string kernel;         // what the library chose
};

/// @param weight_bits 8, or 7 where the processor's products of eight bits saturate (weight_bits_of)
/// @throws Error runtime_refused: the library has nothing for it
Operation make_operation(const Library& library, const Layer& layer, const Parameters& parameters,
                         const Places& places, int weight_bits);

}  // namespace tailor::onednn
