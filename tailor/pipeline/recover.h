/// \file How accuracy is brought back after a cut: by weights, by statistics, or not at all.
#pragma once

#include "tailor/graph/model.h"

#include <string>

namespace tailor::pipeline {

/// lsq: the cascaded least squares of rewrite::repair, and in the last repair rewrite::repair_jointly. bn: only mean and variance of every BatchNormalization
/// are estimated again on the calibration samples (as after weight averaging: Izmailov et al.,
/// arXiv:1803.05407, section 3.2; for pruned networks: Li et al., arXiv:2007.02491). none: what is left stays
/// as it was. A search sees its candidates as the recovery in force leaves them.
/// Samples for bn must not be augmented: blended images have other statistics (demonstration network, a
/// quarter of one group cut: divergence 0.06 instead of 0.008).
enum class Recover { lsq, bn, none };
const char* name(Recover recover);
/// @throws Error unknown_name
Recover parse_recover(const std::string& text);

/// Nodes whose statistics `bn` estimates again; 0 where an exporter folded them into the convolutions.
int normalisations(const graph::Model& model);

}  // namespace tailor::pipeline
