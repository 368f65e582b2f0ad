/// \file Functions of channels on the network itself: what it costs that one takes over another, and taking over.
#pragma once

#include "tailor/pipeline/surgery.h"
#include "tailor/rewrite/activations.h"
#include "tailor/saliency/functionality.h"

#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Costs of taking over for the units of `group`, summed over the linear layers that read it and that have as many
/// inputs for each unit. No units if there is no such layer.
/// @param now runs the network. O(readers x units^2 x 16,384)
saliency::TakeOver take_over_costs(const Subject& subject, int group, rewrite::Activations& now);

/// What one reader gets of a removed unit, afterwards.
struct Merged {
  int group = 0, unit = 0, heir = 0;
  std::string reader;  // the layer, by what it gives
  double unexplained =
      0;  // share of the unit's variance that the reader no longer sees: the bound on its error there
};

struct Merging {
  graph::Model model;  // all units are still there, those that go are read with their weights as before
  std::vector<Merged> merged;
};

/// In every reader of a group that is cut, the weights that read a unit that goes are added, times its gain, to those
/// that read its heir, and its offset times the sum of them to the intercept. So the network computes the same from the
/// units that stay wherever they are linear functions of each other (apart from the border of padded convolutions, where
/// the offset is added whole). Cutting comes after.
/// @param kept group -> units that stay @param now runs the network
Merging merge_functions(const Subject& subject, const std::map<int, std::vector<int>>& kept,
                        rewrite::Activations& now);

}  // namespace tailor::pipeline
