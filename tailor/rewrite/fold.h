/// \file One convolution in place of a whole residual branch.
///
/// What a branch (Conv-Relu-Conv, say) adds to its sum is often nearly linear in the branch's input. Then one
/// convolution, fitted by least squares, keeps most of it at half the time or less; dropping the branch is
/// the same thought with no convolution at all. Related: Layer Folding (Dror et al., arXiv:2106.09309) and
/// DepthShrinker (Fu et al., arXiv:2206.00843) remove activations by training and merge what is left; here
/// nothing is trained.
#pragma once

#include "tailor/rewrite/branch.h"

#include <string>
#include <vector>

namespace tailor::rewrite {

/// Kernel sizes (kh = kw) that one convolution could have in place of the branch, largest first: that of the
/// branch's largest convolution, and 1. Empty where none can: several inputs, unknown shapes, no fitting
/// strides, or the branch is no more than such a convolution already. O(nodes of the branch).
std::vector<int> fold_kernels(const graph::Model& model, const graph::Shapes& shapes, const Branch& branch);

/// The model with a Conv of that kernel in place of the branch, its weights (f32, O x I x k x k) and bias
/// zero: repair() fits them. The Conv stands right before the sum; all other values keep their names.
/// @throws Error bad_cut if `kernel` is not among fold_kernels()
graph::Model fold_branch(const graph::Model& model, const graph::Shapes& shapes, const Branch& branch,
                         int kernel);

/// What the branch reads, if that is one value; "" else.
std::string branch_input(const graph::Model& model, const graph::Shapes& shapes, const Branch& branch);

/// Output of the convolution that fold_branch makes.
std::string folded_value(const Branch& branch, int kernel);

}  // namespace tailor::rewrite
