// filter_layers: nodes with weights -> where their channels lie -> what their activation reads -> those that are asked
// for.
#include "tailor/learn/filters.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace tailor::learn {
namespace {

using graph::AtomPlace;
using graph::Graph;
using graph::Node;

// The output of the last node behind `value` that only shifts and scales its channels by constants.
std::string answer_of(const Graph& graph, const graph::Uses& uses, std::string value) {
  for (int reader = uses.only_reader(value); reader >= 0; reader = uses.only_reader(value)) {
    const Node& node = graph.nodes[static_cast<std::size_t>(reader)];
    const bool normalises = node.op == "BatchNormalization" && node.input(0) == value;
    const std::string& other = node.input(0) == value ? node.input(1) : node.input(0);
    const bool shifts = node.op == "Add" && graph::is_literal(graph, uses, other);
    if (!normalises && !shifts) break;
    value = node.outputs[0];
  }
  return value;
}

// Channels along axis 1; 0 where there are none, or nobody knows how many.
std::int64_t channels_of(const Node& node, const graph::Shapes& shapes) {
  const graph::Shape* shape = shapes.shape(node.output(0));
  if (!shape || shape->size() < 2 || (*shape)[1] < 1) return 0;
  const bool convolution = node.op == "Conv" || node.op == "ConvTranspose",
             product = (node.op == "Gemm" || node.op == "MatMul") && shape->size() == 2;
  return convolution || product ? (*shape)[1] : 0;
}

std::vector<AtomPlace> places_of(const graph::Channels& channels, const std::string& value,
                                 std::int64_t count) {
  std::vector<AtomPlace> places(static_cast<std::size_t>(count), AtomPlace{-1, 0});
  const graph::Label label = channels.find(value, 1);
  if (!label || label->size() != places.size()) return places;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const int atom = (*label)[i];
    places[i] = channels.atoms[static_cast<std::size_t>(atom)];
  }
  return places;
}

bool can_change(const FilterLayer& layer, const graph::Channels& channels) {
  return std::any_of(layer.places.begin(), layer.places.end(), [&](AtomPlace place) {
    return place.group >= 0 && channels.groups[static_cast<std::size_t>(place.group)].changeable();
  });
}

std::vector<FilterLayer> named(const std::vector<FilterLayer>& all, const std::vector<std::string>& names) {
  std::vector<std::string> known;
  for (const FilterLayer& layer : all) known.push_back(layer.layer);
  const std::set<std::string> asked(names.begin(), names.end());
  for (const std::string& name : asked)
    if (std::none_of(all.begin(), all.end(),
                     [&](const FilterLayer& l) { return l.layer == name || l.value == name; }))
      throw Error(Code::unknown_name,
                  fmt::format("no layer with filters is called '{}'{}", name, did_you_mean(name, known)),
                  "--layer",
                  "convolutions, and products whose channels lie on the second axis, have filters; `tailor "
                  "inspect --groups "
                  "MODEL` lists the layers");
  std::vector<FilterLayer> found;
  for (const FilterLayer& layer : all)
    if (asked.contains(layer.layer) || asked.contains(layer.value)) found.push_back(layer);
  return found;
}

}  // namespace

std::vector<FilterLayer> filter_layers(const graph::Model& model, const graph::Shapes& shapes,
                                       const graph::Channels& channels,
                                       const std::vector<std::string>& names) {
  const graph::Uses uses(model.graph);
  std::vector<FilterLayer> all;
  for (const Node& node : model.graph.nodes) {
    const std::int64_t count = channels_of(node, shapes);
    if (count == 0 || !graph::is_literal(model.graph, uses, node.input(1))) continue;
    const std::string& value = node.outputs[0];
    all.push_back(
        {node.label(), value, answer_of(model.graph, uses, value), places_of(channels, value, count)});
  }
  if (!names.empty()) return named(all, names);
  std::erase_if(all, [&](const FilterLayer& layer) { return !can_change(layer, channels); });
  if (all.empty())
    throw Error(
        Code::nothing_to_change, "no layer has filters that could go", "model",
        "--layer NAME draws the filters of any layer; `tailor inspect MODEL` says what is frozen and why");
  return all;
}

}  // namespace tailor::learn
