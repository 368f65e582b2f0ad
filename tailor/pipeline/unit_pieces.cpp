// unit_pieces: ends     the values where pieces begin and end: what parts read and give, what the network reads and gives
//              needed   which of them one of the others is computed from, walking backwards until the next end
//              a piece for each part, and one for each end that no part gives; sorted by where their outputs are made
#include "tailor/pipeline/unit_pieces.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/stages.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace tailor::pipeline {
namespace {

struct Ends {
  const Subject& split;
  graph::Uses uses;
  std::set<std::string> values;  // all of them

  // In the order of the network's nodes; inputs of the network first.
  std::vector<std::string> needed(const std::string& value) const {
    std::set<std::string> seen = {value};
    std::vector<std::string> open = {value}, found;
    while (!open.empty()) {
      const int maker = uses.producer(open.back());
      open.pop_back();
      if (maker < 0) continue;
      for (const std::string& name : split.model.graph.nodes[static_cast<std::size_t>(maker)].inputs) {
        if (name.empty() || !seen.insert(name).second) continue;
        (values.contains(name) ? found : open).push_back(name);
      }
    }
    std::sort(found.begin(), found.end(), [&](const std::string& a, const std::string& b) {
      return std::pair(uses.producer(a), a) < std::pair(uses.producer(b), b);
    });
    return found;
  }
};

Ends ends_of(const Subject& split, const std::vector<rewrite::MadePart>& parts) {
  Ends ends{split, graph::Uses(split.model.graph), {}};
  for (const rewrite::MadePart& part : parts) ends.values.insert({part.input, part.output});
  for (const auto* list : {&split.model.graph.inputs, &split.model.graph.outputs})
    for (const graph::ValueInfo& value : *list) ends.values.insert(value.name);
  return ends;
}

UnitPiece piece_of(const Ends& ends, const graph::Shapes& shapes, std::string unit, std::string layer,
                   const std::string& output) {
  UnitPiece piece{std::move(unit), std::move(layer), ends.needed(output), {output}, {}};
  std::vector<graph::ValueInfo> inputs;
  for (const std::string& name : piece.inputs) inputs.push_back(declared(ends.split, shapes, name));
  piece.model = graph::slice(ends.split.model, inputs, {declared(ends.split, shapes, output)});
  return piece;
}

}  // namespace

std::vector<UnitPiece> unit_pieces(const Subject& split, const std::vector<rewrite::MadePart>& parts) {
  const Ends ends = ends_of(split, parts);
  const graph::Shapes shapes = graph::infer_shapes(split.model, split.overrides, graph::kUnknown);
  std::vector<UnitPiece> pieces;
  std::set<std::string> given;
  for (const graph::ValueInfo& input : split.model.graph.inputs) given.insert(input.name);
  for (const rewrite::MadePart& part : parts)
    if (given.insert(part.output).second)
      pieces.push_back(piece_of(ends, shapes, part.unit, part.layer, part.output));
  for (const std::string& value : ends.values)
    if (!given.contains(value)) pieces.push_back(piece_of(ends, shapes, "", "", value));
  std::stable_sort(pieces.begin(), pieces.end(), [&](const UnitPiece& a, const UnitPiece& b) {
    return ends.uses.producer(a.outputs.front()) < ends.uses.producer(b.outputs.front());
  });
  return pieces;
}

Json pieces_json(const Subject& split, const std::string& platform, const std::vector<UnitPiece>& pieces,
                 const std::vector<std::string>& files) {
  TAILOR_CHECK(files.size() == pieces.size());
  auto names = [](const std::vector<graph::ValueInfo>& values) {
    Json list = Json::array();
    for (const graph::ValueInfo& value : values) list.push_back(value.name);
    return list;
  };
  Json list = Json::array();
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const UnitPiece& piece = pieces[i];
    list.push_back({{"file", files[i]},
                    {"unit", piece.unit.empty() ? Json(nullptr) : Json(piece.unit)},
                    {"layer", piece.layer.empty() ? Json(nullptr) : Json(piece.layer)},
                    {"inputs", piece.inputs},
                    {"outputs", piece.outputs}});
  }
  return {{"schema", "tailor/unit-pieces/1"},
          {"platform", platform},
          {"inputs", names(split.model.graph.inputs)},
          {"outputs", names(split.model.graph.outputs)},
          {"pieces", std::move(list)}};
}

}  // namespace tailor::pipeline
