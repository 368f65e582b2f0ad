/// \file The filters of a network: which layers make channels, what each channel answers before its activation
/// function, and which channel group it belongs to.
#pragma once

#include "tailor/graph/channels.h"

#include <string>
#include <vector>

namespace tailor::learn {

/// A convolution or product whose channels lie along axis 1 of what it gives.
struct FilterLayer {
  std::string layer;  // how messages call its node
  std::string value;  // what the node gives
  std::string
      response;  // the same behind the normalisation and the constants added to it: what the activation reads
  std::vector<graph::AtomPlace> places = {};  // of each filter; group -1: it belongs to none, and cannot go

  int filters() const { return static_cast<int>(places.size()); }
};

/// The layers named, by node or by value; without names, those that make a channel of a group that can change. In the
/// order of the nodes, each once. Layers in the bodies of If, Loop and Scan are not among them. O(nodes + channels)
/// @throws Error unknown_name for a name that is no such layer, with near ones; nothing_to_change where no layer is
/// left
std::vector<FilterLayer> filter_layers(const graph::Model& model, const graph::Shapes& shapes,
                                       const graph::Channels& channels,
                                       const std::vector<std::string>& names = {});

}  // namespace tailor::learn
