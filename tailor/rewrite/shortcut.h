/// \file Padded shortcuts ("option A" of He et al., arXiv:1512.03385) as convolutions.
///
/// Where a residual network gets wider, a shortcut without weights takes every second pixel (Slice) and adds
/// channels of zeros (Pad). Runtimes that keep activations in blocks of channels have no such Slice and Pad:
/// they go back to the plain layout, and with them every sum behind them. A 1x1 convolution with a one per
/// channel computes the same bits in the blocked layout, and its weights can be refitted after a cut.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <string>
#include <vector>

namespace tailor::rewrite {

struct Shortcuts {
  graph::Model model;
  std::vector<std::string> values;  // what the convolutions give; each keeps its name
};

/// Every chain of one Pad (zeros, channels only) and at most one Slice (from 0, to the end, height and width
/// only), f32 with known sizes, replaced by a Conv of kernel 1x1 without bias. The model computes the same.
/// O(nodes + weights made).
Shortcuts shortcuts_as_convolutions(const graph::Model& model, const graph::Shapes& shapes);

}  // namespace tailor::rewrite
