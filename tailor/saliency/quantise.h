/// \file Weights as a unit keeps them, and what rounding them costs each output channel.
///
/// Symmetric uniform levels with the scale of least squared error (a search over scales below the one that
/// clips nothing); ternary weights with the exactly best scale per channel: the threshold and scale that
/// minimise the squared error (Li et al., arXiv:1605.04711, solved exactly instead of by their
/// approximation).
#pragma once

#include "tailor/device/platform.h"

#include <cstdint>
#include <span>
#include <vector>

namespace tailor::saliency {

/// Rounded weights as integers: channel c's weights are level * scale[c].
struct Levels {
  std::vector<std::int32_t> level;  // as the weights are ordered
  std::vector<double> scale;        // per channel, also where they share one; 0 for channels of zeros
};
/// @pre as quantised; not f32, not bf16
Levels levels(std::span<const float> weights, std::size_t channels, const device::WeightFormat& format);

/// The weights rounded, as numbers again: channels x row, row-major, as given.
/// @pre weights.size() is a multiple of channels; all finite. O(weights x log(row))
std::vector<float> quantised(std::span<const float> weights, std::size_t channels,
                             const device::WeightFormat& format);

/// Only what each channel reads of its own input (channels x inputs x taps, inputs = channels): the depthwise
/// convolution inside a convolution.
std::vector<float> own_input_only(std::span<const float> weights, std::size_t channels);

/// How a unit keeps the weights of a channel; `own_input`: only those of the channel's own input (own_input_only).
struct Keeping {
  device::WeightFormat format;
  bool own_input = false;
  friend bool operator==(const Keeping&, const Keeping&) = default;
};

/// The weights with each channel kept in a way of its own. A scale that channels of a layer share is that of the channels
/// kept in that way alone, so keeping them once more changes nothing but the last bit.
/// @param way index into `ways` of each channel
/// @pre as quantised; as own_input_only where a way in use asks for it. O(weights x log(row))
std::vector<float> kept(std::span<const float> weights, std::span<const Keeping> ways,
                        std::span<const int> way);
/// The same as integers. @pre as kept and levels
Levels kept_levels(std::span<const float> weights, std::span<const Keeping> ways, std::span<const int> way);

/// Activations as integers: value = scale * (level - zero), with levels 0 .. most.
struct ValueLevels {
  float scale = 1;
  int zero = 0, most = 255;
  friend bool operator==(const ValueLevels&, const ValueLevels&) = default;
};
/// The levels of so many bits that hold lo .. hi, and 0 exactly. @pre lo and hi are finite, 1 <= bits <= 8
ValueLevels value_levels(float lo, float hi, int bits);

/// Squared difference per channel, summed over its row.
std::vector<double> channel_errors(std::span<const float> a, std::span<const float> b, std::size_t channels);

}  // namespace tailor::saliency
