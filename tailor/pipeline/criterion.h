/// \file In which order the channels of a group go.
#pragma once

#include "tailor/pipeline/gradient_worth.h"
#include "tailor/pipeline/pattern_clusters.h"
#include "tailor/pipeline/surgery.h"
#include "tailor/rewrite/activations.h"
#include "tailor/rewrite/repair.h"

#include <string>
#include <vector>

namespace tailor::pipeline {

/// What orders the units of a group for removal.
/// reconstruction: least squared error of the layers that read it, refitted (saliency::eliminate). l1, l2: norms of the
/// weights that make a unit. bn_scale: of its normalisation's scale. fpgm: distance of the weights that make it from
/// those of all other units; those nearest to the middle go first (He et al., arXiv:1811.00250). activation:
/// activation_worth.h. functionality: units that do what another one does go first (functionality.h); with clusters by
/// patterns only inside a cluster as long as one has two units; with gradients besides, those of least taylor first, again
/// inside clusters (after arXiv:1810.07322). taylor, fisher: gradient_worth.h.
enum class Criterion { reconstruction, l1, l2, bn_scale, fpgm, activation, functionality, taylor, fisher };
const char* name(Criterion criterion);
/// @throws Error unknown_name
Criterion parse_criterion(const std::string& text);

/// What a criterion may look at besides the weights.
struct Evidence {
  const rewrite::Equations* equations = nullptr;  // of the present network: reconstruction needs them
  rewrite::Activations* now = nullptr;  // runs the present network: activation and functionality need it
  double ridge = 1e-4;
  const GradientWorth* worth = nullptr;         // taylor and fisher need it, and where the positions were:
  const rewrite::KeptChannels* kept = nullptr;  // nullptr: all are there
  const PatternClusters* patterns = nullptr;    // functionality may use them
};

/// Units of `group`, those that go first in front, the last survivor last. Criteria that look at readers fall back to L1
/// where no linear layer reads the group, or gradients are not known of what they read.
std::vector<int> removal_order(const Subject& present, int group, Criterion criterion,
                               const Evidence& evidence);

}  // namespace tailor::pipeline
