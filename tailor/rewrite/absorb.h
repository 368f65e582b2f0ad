/// \file x + conv(x) as one convolution.
///
/// A branch that became one convolution of its own shortcut needs no sum: the identity is a tap of weight one.
/// The function stays the same, and the sum's second read of x is saved.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <vector>

namespace tailor::rewrite {

/// Convs that absorb_identities would put in the place of their sum: one group, constant weights and bias, stride
/// 1, as many channels out as in, a tap at offset zero, and a sum with their own input as only reader. Increasing.
/// O(nodes).
std::vector<int> absorbing_convolutions(const graph::Model& model, const graph::Shapes& shapes);

/// The model with those sums gone: one is added to the tap at offset zero of each channel's own weights, and the
/// Conv gives the sum's value. Same outputs, up to rounding.
graph::Model absorb_identities(const graph::Model& model, const graph::Shapes& shapes);

}  // namespace tailor::rewrite
