/// \file Patches of a convolution as a matrix (im2col), and the way back.
///
/// Of several samples at once: a value is a matrix, channels x (samples * plane), row-major, so that a layer is one product of
/// its weights and the patches, (channels * taps) x (samples * plane of the output), channel major.
#pragma once

#include "tailor/saliency/normal_equations.h"

namespace tailor::saliency {

struct Extent {
  int channels = 1, height = 1, width = 1;
  int plane() const { return height * width; }
  int size() const { return channels * plane(); }
};

/// Patches of the first `channels` channels of x; 0 where a tap lies outside. Heights and widths only of `from` and `to`
/// count. O(size of patches); with stride 1 between planes of the same size each row is one copy.
void unfold(const float* x, const Extent& from, const Extent& to, const Geometry& geometry, int channels,
            int samples, float* patches);

/// The adjoint: adds every element of the patches to the one that it was read from.
/// @param patches those outside are set to 0 on the way
void fold(float* patches, const Extent& from, const Extent& to, const Geometry& geometry, int channels,
          int samples, float* x);

}  // namespace tailor::saliency
