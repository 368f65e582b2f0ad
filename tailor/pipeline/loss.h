/// \file How far a changed model is from its original, on unlabelled samples.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/runtime/runner.h"

#include <string>
#include <vector>

namespace tailor::pipeline {

/// What a network costs that computes NaN, infinity or outputs of another shape.
inline constexpr double kHopeless = 1e9;

/// Outputs on the same samples -> one number, 0 for equal outputs. A float output of rank 2 counts as logits:
/// mean KL divergence at temperature 4 of softmax(changed) from softmax(original). Other float outputs: mean
/// squared difference over the original's variance. Integer outputs (class maps): share of elements that
/// differ. Several outputs are averaged. Finite, between 0 and kHopeless.
double divergence(const runtime::NamedTensors& original, const runtime::NamedTensors& changed);

/// Share of samples whose largest output is at the same place; for outputs that are not of rank 2, 1 -
/// divergence (at least 0).
double agreement(const runtime::NamedTensors& original, const runtime::NamedTensors& changed);

}  // namespace tailor::pipeline
