/// \file A split network in pieces: what each unit computes of each layer as a model of its own, and what lies between for the host.
///
/// Compilers for the units of a chip take one layer at a time. Pieces are cut where values are stored: between layers in 8 bits
/// they hand over integers.
#pragma once

#include "tailor/base/json.h"
#include "tailor/pipeline/surgery.h"
#include "tailor/rewrite/split_layers.h"

#include <string>
#include <vector>

namespace tailor::pipeline {

struct UnitPiece {
  std::string unit, layer;                   // both empty: the host's
  std::vector<std::string> inputs, outputs;  // values of the split network
  graph::Model model;
};

/// In an order in which they can run one after the other. Together they are the network: the same operators on the same values.
/// What the host computes between layers is in one piece for each value that it hands on; weights are shared, not copied.
/// O(nodes x pieces) @param parts of rewrite::split_layers, of this network
std::vector<UnitPiece> unit_pieces(const Subject& split, const std::vector<rewrite::MadePart>& parts);

/// Document "tailor/unit-pieces/1". @param files one per piece
Json pieces_json(const Subject& split, const std::string& platform, const std::vector<UnitPiece>& pieces,
                 const std::vector<std::string>& files);

}  // namespace tailor::pipeline
