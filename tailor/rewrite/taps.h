/// \file Smaller kernels: a convolution that keeps a rectangle of its taps.
///
/// Latency of a convolution goes with its taps where widths can no longer get smaller (a layer of one block of
/// channels): a 3x1 kernel takes a third of a 3x3 one's time. The taps that stay are fitted by least squares to
/// what the whole kernel gave, neighbouring pixels being alike. Related: asymmetric kernels (Szegedy et al.,
/// arXiv:1512.00567), kernel shapes as a choice per layer (Cai et al., Once-for-All, arXiv:1908.09791).
#pragma once

#include "tailor/graph/model.h"
#include "tailor/rewrite/linear_layer.h"

#include <string>
#include <vector>

namespace tailor::rewrite {

/// Rows top .. top+kh-1 and columns left .. left+kw-1 of a kernel.
struct Taps {
  int top = 0, left = 0, kh = 1, kw = 1;
  int count() const { return kh * kw; }
  friend bool operator==(const Taps&, const Taps&) = default;
};

/// "3x1".
std::string to_string(const Taps& taps);

/// Rectangles that may stand for the whole kernel of a layer, the largest first: one per shape with sides of k,
/// k - 1 and 1 taps (not k-1 x 1), about the centre; of two places as near to it the one whose weights have the
/// larger norm. Only where the padding shrinks with the kernel, so that every output stays where it is; none else, and
/// none for a Gemm. O(weights x shapes).
std::vector<Taps> smaller_kernels(const graph::Model& model, const LinearLayer& layer);

/// Which of a kernel's taps these are (row-major), increasing.
std::vector<int> tap_indices(const saliency::Geometry& kernel, const Taps& taps);

/// The model with the Conv that gives `value` reduced to these taps of its kernel; its weights there stay what
/// they are. @throws Error bad_cut if there is no such Conv with constant weights, or it has no such taps
graph::Model crop_kernel(const graph::Model& model, const std::string& value, const Taps& taps);

/// Taps of a kernel that is itself a part of a larger one, in the larger one's terms.
Taps within(const Taps& outer, const Taps& inner);

}  // namespace tailor::rewrite
