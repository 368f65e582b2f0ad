// turn_network: values (sizes, signs, who gives and who asks), then the ways of each step. turn_list walks the steps and
// keeps which tensor of the list holds each value in each format.
#include "tailor/pipeline/turn_network.h"

#include "tailor/base/error.h"
#include "tailor/latency/post.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

namespace tailor::pipeline {
namespace {

using plan::Way;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

bool has_weights(const std::string& text) { return text.starts_with("conv_") || text.starts_with("gemm_"); }

// What is fused into the step of a line.
std::vector<std::string> words_of(const std::string& text) {
  const std::size_t plus = std::min(text.find('+'), text.size());
  return latency::post_words(std::string_view(text).substr(std::min(plus + 1, text.size())));
}

bool computed_in_levels(const std::string& text) {
  static const std::set<std::string> known = {"bias", "bn", "add", "relu", "clip"};
  const std::vector<std::string> words = words_of(text);
  return std::all_of(words.begin(), words.end(),
                     [](const std::string& word) { return known.contains(word); });
}

// Whether what a step writes can be negative.
bool can_be_negative(const std::string& text, bool input) {
  if (text.starts_with("pool_")) return input;
  static const std::set<std::string> never = {"relu", "clip", "sigmoid"};
  const std::vector<std::string> words = words_of(text);
  return words.empty() || !never.contains(words.back());
}

// Pixels and channels of a value of any rank: rows are pixels.
std::array<std::int64_t, 4> sizes_of(const graph::Shape& shape) {
  if (shape.size() == 4) return {shape[0], shape[1], shape[2], shape[3]};
  const std::int64_t all = graph::element_count(shape);
  if (shape.empty() || all <= 0) return {1, 1, 1, 1};
  return {1, shape.back(), all / shape.back(), 1};
}

class Steps {
 public:
  Steps(const Subject& subject, const device::Platform& platform, const std::vector<int>& quantisable)
      : subject_(subject), quantisable_(quantisable.begin(), quantisable.end()) {
    network_.platform = platform;
    network_.list = layer_list(subject, graph::DataType::f32);
    network_.problem.formats = network_.given() + 1;
  }

  TurnNetwork build() {
    add_values();
    for (const ListedLayer& layer : network_.list.layers) add_step(layer);
    for (const graph::ValueInfo& output : subject_.model.graph.outputs)
      if (const int value = tensor(output.name); value >= 0 && !network_.problem.values[index(value)].free)
        network_.problem.values[index(value)].asked = network_.f32();
    return std::move(network_);
  }

 private:
  int tensor(const std::string& name) const {
    const auto found = network_.list.tensors.find(name);
    return found == network_.list.tensors.end() ? -1 : found->second;
  }

  void add_values() {
    int most = -1;
    for (const auto& [name, number] : network_.list.tensors) most = std::max(most, number);
    for (const ListedLayer& layer : network_.list.layers)
      for (int input : layer.inputs) most = std::max({most, input, layer.output});
    const auto count = index(most + 1), formats = index(network_.problem.formats);
    plan::TurnValue nobody;
    nobody.conversion.assign(formats, std::vector<double>(formats, 0));
    nobody.free = true;
    network_.problem.values.assign(count, nobody);
    network_.sizes.assign(count, {1, 1, 1, 1});
    network_.negative.assign(count, true);
    std::vector<std::size_t> rank(count, 0);
    for (const auto& [name, number] : network_.list.tensors) {
      const graph::Shape* shape = subject_.shapes.shape(name);
      if (!shape || (rank[index(number)] == 4 && shape->size() != 4)) continue;
      network_.sizes[index(number)] = sizes_of(*shape), rank[index(number)] = shape->size();
    }
    for (const ListedLayer& layer : network_.list.layers)
      network_.problem.values[index(layer.output)].free = false;
    for (const graph::ValueInfo& input : subject_.model.graph.inputs)
      if (const int value = tensor(input.name); value >= 0) {
        network_.problem.values[index(value)].free = false;
        network_.problem.values[index(value)].given = network_.given();
      }
  }

  std::vector<Way> ways_of(const ListedLayer& layer, int node) const {
    const int f32 = network_.f32();
    const bool weights = has_weights(layer.text), maximum = layer.text.starts_with("pool_max");
    std::vector<Way> ways;
    for (int u = 0; u < network_.given(); ++u) {
      const device::Unit& unit = network_.platform.units[index(u)];
      const bool levels = unit.precision == "i8";
      if (u != f32 && !weights && !maximum) continue;
      if (levels && weights && (!quantisable_.contains(node) || !computed_in_levels(layer.text))) continue;
      ways.push_back({unit.name, u, u, 0, 0});
      if (levels && weights) ways.push_back({unit.name + ", gives f32", u, f32, 0, 0});
    }
    return ways;
  }

  void add_step(const ListedLayer& layer) {
    const int node = layer.layer < 0 ? -1 : subject_.layers[index(layer.layer)].node;
    plan::TurnStep step{layer.name, ways_of(layer, node), {}, layer.output};
    const bool residual = has_weights(layer.text);
    for (std::size_t k = 0; k < layer.inputs.size(); ++k)
      step.reads.push_back({layer.inputs[k], k > 0 && residual});
    network_.negative[index(layer.output)] =
        can_be_negative(layer.text, network_.negative[index(layer.inputs.front())]);
    network_.node.push_back(node);
    network_.problem.steps.push_back(std::move(step));
  }

  const Subject& subject_;
  std::set<int> quantisable_;
  TurnNetwork network_;
};

std::string type_of(const TurnNetwork& network, int value, int format) {
  if (format == network.given()) return "f32";
  const std::string& precision = network.platform.units[index(format)].precision;
  return precision == "i8" ? (network.negative[index(value)] ? "s8" : "u8") : precision;
}

// The layer's text with what it computes in.
std::string text_of(const TurnNetwork& network, std::size_t step, int unit) {
  const std::string& text = network.list.layers[step].text;
  if (!has_weights(text)) return text;
  const std::size_t plus = std::min(text.find('+'), text.size()), type = text.rfind('_', plus);
  return text.substr(0, type + 1) + network.platform.units[index(unit)].precision + text.substr(plus);
}

Json step_json(const TurnNetwork& network, std::size_t s, const Way& way, const std::vector<int>& in,
               int out) {
  const plan::TurnStep& step = network.problem.steps[s];
  Json json = {{"layer", text_of(network, s, way.reads)},
               {"in", in},
               {"out", out},
               {"reads", type_of(network, step.reads.front().value, way.reads)},
               {"writes", type_of(network, step.writes, way.writes)}};
  for (const plan::Reading& reading : step.reads)
    if (reading.residual) json["residual"] = type_of(network, reading.value, way.writes);
  return json;
}

Json conversion_json(const TurnNetwork& network, const plan::Conversion& c, int in, int out) {
  const auto& [mb, channels, h, w] = network.sizes[index(c.value)];
  return {{"layer", fmt::format("reorder_mb{}_c{}h{}w{}_{}_{}{}", mb, channels, h, w,
                                type_of(network, c.value, c.from), type_of(network, c.value, c.to),
                                c.from == network.given() ? "+nchw" : "")},
          {"in", {in}},
          {"out", out}};
}

class Lister {
 public:
  Lister(const TurnNetwork& network, const std::vector<int>& choice)
      : network_(network), choice_(choice), next_(static_cast<int>(network.problem.values.size())) {
    for (std::size_t v = 0; v < network.problem.values.size(); ++v)
      if (const int given = network.problem.values[v].given; given >= 0) made_[static_cast<int>(v)] = given;
  }

  TurnList list() {
    const plan::TurnProblem& problem = network_.problem;
    layers_ = Json::array();
    for (std::size_t s = 0; s < problem.steps.size(); ++s) add_step(s);
    for (std::size_t v = 0; v < problem.values.size(); ++v)
      if (problem.values[v].asked >= 0) tensor(static_cast<int>(v), problem.values[v].asked);
    result_.network = to_line({{"layers", std::move(layers_)}});
    return std::move(result_);
  }

 private:
  void add_step(std::size_t s) {
    const plan::TurnStep& step = network_.problem.steps[s];
    const Way& way = step.ways[index(choice_[s])];
    std::vector<int> in;
    for (const plan::Reading& reading : step.reads)
      in.push_back(tensor(reading.value, reading.residual ? way.writes : way.reads));
    layers_.push_back(step_json(network_, s, way, in, step.writes));
    result_.steps.push_back({static_cast<int>(s), {}});
    made_[step.writes] = way.writes;
  }

  // The tensor that holds the value in that format, converted if need be. What nobody makes is there in every format, as an
  // input of the list in each.
  int tensor(int value, int format) {
    const bool free = network_.problem.values[index(value)].free;
    if (!free && made_.at(value) == format) return value;
    const auto [known, added] = others_.try_emplace({value, format}, next_);
    if (!added) return known->second;
    ++next_;
    if (!free) {
      const plan::Conversion conversion{value, made_.at(value), format};
      layers_.push_back(conversion_json(network_, conversion, value, known->second));
      result_.steps.push_back({-1, conversion});
    }
    return known->second;
  }

  const TurnNetwork& network_;
  const std::vector<int>& choice_;
  int next_;
  std::map<int, int> made_;                    // value -> format
  std::map<std::pair<int, int>, int> others_;  // value and format -> tensor
  Json layers_;
  TurnList result_;
};

}  // namespace

int TurnNetwork::f32() const {
  for (std::size_t u = 0; u < platform.units.size(); ++u)
    if (platform.units[u].precision == "f32") return static_cast<int>(u);
  bug("a measured platform without f32", __FILE__, __LINE__);
}

TurnNetwork turn_network(const Subject& subject, const device::Platform& platform,
                         const std::vector<int>& quantisable) {
  TAILOR_CHECK(platform.measured());
  return Steps(subject, platform, quantisable).build();
}

TurnList turn_list(const TurnNetwork& network, const std::vector<int>& choice) {
  TAILOR_CHECK(choice.size() == network.problem.steps.size());
  return Lister(network, choice).list();
}

std::string step_alone(const TurnNetwork& network, std::size_t s, const Way& way) {
  std::vector<int> in;
  for (std::size_t k = 0; k < network.problem.steps[s].reads.size(); ++k) in.push_back(static_cast<int>(k));
  const int out = static_cast<int>(in.size());
  return to_line({{"layers", Json::array({step_json(network, s, way, in, out)})}});
}

std::string conversion_alone(const TurnNetwork& network, const plan::Conversion& conversion) {
  return to_line({{"layers", Json::array({conversion_json(network, conversion, 0, 1)})}});
}

std::vector<plan::Conversion> possible_conversions(const TurnNetwork& network) {
  const plan::TurnProblem& problem = network.problem;
  std::vector<std::set<int>> made(problem.values.size()), read(problem.values.size());
  for (std::size_t v = 0; v < problem.values.size(); ++v) {
    if (problem.values[v].given >= 0) made[v].insert(problem.values[v].given);
    if (problem.values[v].asked >= 0) read[v].insert(problem.values[v].asked);
  }
  for (const plan::TurnStep& step : problem.steps)
    for (const Way& way : step.ways) {
      made[index(step.writes)].insert(way.writes);
      for (const plan::Reading& reading : step.reads)
        read[index(reading.value)].insert(reading.residual ? way.writes : way.reads);
    }
  std::vector<plan::Conversion> all;
  for (std::size_t v = 0; v < made.size(); ++v)
    for (int from : made[v])
      for (int to : read[v])
        if (from != to && !problem.values[v].free) all.push_back({static_cast<int>(v), from, to});
  return all;
}

}  // namespace tailor::pipeline
