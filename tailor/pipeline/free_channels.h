/// \file Channels that cost no time on a device: every channel group up to the right edge of the step that it stands on, and
/// how far groups can go together.
///
/// The last wave of a layer is paid for whether it is full or not, so widths up to the edge are capacity for nothing (the
/// growing of Yu et al., arXiv:2011.03897). A group's width is shared by every layer that makes or reads it, and a layer
/// lies between two groups, so layers are priced with all that touches them.
#pragma once

#include "tailor/base/json.h"
#include "tailor/pipeline/worthwhile.h"

#include <string>
#include <vector>

namespace tailor::pipeline {

struct FreeGroup {
  int group = 0;
  std::string name;
  int width = 0;
  int free_to = 0;   // the widest width that costs nothing, all other groups at their present ones
  int together = 0;  // the width that it can have beside what the other groups take, see FreeChannels
  int layers = 0;    // that make or read it
  double us = 0, free_us = 0;  // of these layers at `width` and at `free_to`
};

struct FreeChannels {
  std::vector<FreeGroup> groups;  // those with free channels, in the model's order
  int asked = 0;                  // groups that can grow
  int stuck = 0;  // groups that cannot (rewrite::obstacle_to_growing), which were not asked about
  double us = 0,
         together_us = 0;  // of all layers: at the present widths, and with every group at its `together`
  How how = How::measured;
};

inline constexpr double kFreeShare = 0.01;  // of the time of a group's layers: what costs less, costs nothing

/// Widths up to `most` times the present ones, on the grid of worthwhile.h. Groups take their channels together greedily, those
/// first that give most capacity (layers x ln(new width / width)); each as far as the layers around it still take no more
/// than kFreeShare longer than at the present widths. So all at once can cost up to that share.
/// @param book prices of the device O(groups x widths x layers) questions
FreeChannels free_channels(const Subject& present, LatencyBook& book, How how, double most = 2);

/// {"most_cost", "us", "together_us", "how", "asked", "stuck", "groups": [...]}
Json to_json(const FreeChannels& free);

}  // namespace tailor::pipeline
