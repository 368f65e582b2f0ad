// region_before: grown  from the last layer backwards, node by node, as long as nothing outside reads the value
//                       trimmed to what depends on a layer
//                       written down as steps
#include "tailor/rewrite/region.h"

#include "tailor/rewrite/goal.h"

#include <algorithm>
#include <set>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using saliency::Extent;
using saliency::Step;
using Kind = Step::Kind;

std::optional<Extent> extent(const graph::Shapes& shapes, const std::string& value) {
  const graph::Shape* s = shapes.shape(value);
  if (!s || (s->size() != 2 && s->size() != 4)) return std::nullopt;
  Extent e{static_cast<int>((*s)[1]), 1, 1};
  if (s->size() == 4) e.height = static_cast<int>((*s)[2]), e.width = static_cast<int>((*s)[3]);
  return e.channels > 0 && e.height > 0 && e.width > 0 ? std::optional(e) : std::nullopt;
}

// What a region is found in.
struct Place {
  const Model& model;
  const graph::Shapes& shapes;
  const std::map<int, LinearLayer>& layers;
  graph::Uses uses;

  const Node& node(int index) const { return model.graph.nodes[index]; }
  bool counted(int index) const { return layers.contains(index) && !layers.at(index).depthwise; }
  bool constant(const std::string& name) const { return graph::constant(model.graph, uses, name) != nullptr; }

  // Values that a node reads and that are no weights.
  std::vector<std::string> values(int index) const {
    const Node& n = node(index);
    if (n.op == "Add" || n.op == "Sum") return {n.inputs[0], n.inputs[1]};
    return {n.inputs[0]};
  }

  bool clips(const Node& n) const {
    auto known = [&](std::size_t i) { return n.input(i).empty() || constant(n.inputs[i]); };
    return n.op == "Relu" || (n.op == "Clip" && known(1) && known(2));
  }

  bool adds(const Node& n) const {
    if ((n.op != "Add" && n.op != "Sum") || n.inputs.size() != 2) return false;
    const graph::Shape *a = shapes.shape(n.inputs[0]), *b = shapes.shape(n.inputs[1]);
    return a && b && *a == *b && !constant(n.inputs[0]) && !constant(n.inputs[1]);
  }

  bool same(const Node& n) const {
    auto from = extent(shapes, n.inputs[0]);
    return n.op == "Flatten" && n.integer("axis", 1) == 1 && from && from->plane() == 1;
  }

  bool normalises(const Node& n) const {
    bool known = n.op == "BatchNormalization" && n.inputs.size() == 5 && n.outputs.size() == 1;
    for (std::size_t i = 1; known && i < 5; ++i) known = constant(n.inputs[i]);
    return known;
  }

  // Whether a step of a tape can say what the node does.
  bool sayable(int index) const {
    const Node& n = node(index);
    if (n.inputs.empty() || n.outputs.empty() || !n.domain.empty()) return false;
    for (const std::string& value : {n.inputs[0], n.output(0)})
      if (!extent(shapes, value)) return false;
    return layers.contains(index) || clips(n) || adds(n) || same(n) || normalises(n) ||
           n.op == "GlobalAveragePool";
  }

  // The node that writes `value`, if it may be taken in: nothing outside `inside` reads it.
  int private_producer(const std::string& value, const std::set<int>& inside) const {
    int producer = uses.producer(value);
    if (producer < 0 || inside.contains(producer) || uses.is_output(value) || !sayable(producer)) return -1;
    const auto& readers = uses.consumers(value);
    bool closed = std::all_of(readers.begin(), readers.end(), [&](int r) { return inside.contains(r); });
    return closed ? producer : -1;
  }
};

// The layer and what follows it up to its destination.
std::set<int> seed(const LinearLayer& last) {
  std::set<int> inside = {last.node};
  for (int node : {last.destination.normalisation, last.destination.sum})
    if (node >= 0) inside.insert(node);
  return inside;
}

// The latest node that may be taken in; -1: none.
int next(const Place& place, const std::set<int>& inside, bool layers_too) {
  int latest = -1;
  for (int index : inside)
    for (const std::string& value : place.values(index)) {
      int producer = place.private_producer(value, inside);
      if (producer >= 0 && (layers_too || !place.counted(producer))) latest = std::max(latest, producer);
    }
  return latest;
}

std::set<int> grown(const Place& place, const LinearLayer& last, int most) {
  std::set<int> inside = seed(last);
  int count = place.counted(last.node);
  for (int node; (node = next(place, inside, count < most)) >= 0;) {
    inside.insert(node);
    count += place.counted(node);
  }
  return inside;
}

// Only what depends on a layer, in topological order.
std::vector<int> trimmed(const Place& place, const std::set<int>& inside) {
  std::vector<int> order(inside.begin(), inside.end()), kept;
  std::set<std::string> moving;
  for (int index : order) {
    std::vector<std::string> values = place.values(index);
    bool moves = place.layers.contains(index) ||
                 std::any_of(values.begin(), values.end(), [&](const auto& v) { return moving.contains(v); });
    if (!moves) continue;
    moving.insert(place.node(index).output(0));
    kept.push_back(index);
  }
  return kept;
}

// Writes a region down.
class Writer {
 public:
  explicit Writer(const Place& place) : place_(place) {}

  Region region(const std::vector<int>& nodes, const std::string& goal) {
    for (int node : nodes) step(node);
    region_.goal = goal;
    region_.tape.goal = numbers_.at(goal);
    return std::move(region_);
  }

 private:
  int number(const std::string& value) {
    auto [it, fresh] = numbers_.emplace(value, static_cast<int>(region_.tape.values.size()));
    if (fresh) region_.tape.values.push_back(*extent(place_.shapes, value));
    return it->second;
  }

  int read(const std::string& value) {
    bool given = !numbers_.contains(value);
    int n = number(value);
    if (given) region_.inputs.push_back(value), region_.tape.inputs.push_back(n);
    return n;
  }

  void step(int index) {
    const Node& node = place_.node(index);
    std::vector<std::string> values = place_.values(index);
    Step step;
    step.a = read(values[0]);
    if (values.size() > 1) step.b = read(values[1]);
    step.out = number(node.output(0));
    describe(index, node, step);
    region_.tape.steps.push_back(std::move(step));
  }

  void describe(int index, const Node& node, Step& step) {
    if (auto it = place_.layers.find(index); it != place_.layers.end()) return layer(it->second, step);
    if (place_.normalises(node)) {
      Affine a = affine(place_.model, node);
      step.kind = Kind::affine, step.scale = std::move(a.scale), step.offset = std::move(a.offset);
    } else if (place_.clips(node)) {
      Bounds b = bounds_of(place_.model, place_.uses, node);
      step.kind = Kind::clip, step.low = b.low, step.high = b.high;
    } else {
      step.kind = step.b >= 0 ? Kind::add : node.op == "GlobalAveragePool" ? Kind::mean : Kind::same;
    }
  }

  void layer(const LinearLayer& layer, Step& step) {
    step.kind = Kind::linear, step.geometry = layer.geometry;
    step.layer = static_cast<int>(region_.layers.size());
    int inputs = layer.depthwise ? layer.outputs : layer.inputs;
    region_.tape.layers.push_back(
        {inputs, layer.outputs, layer.depthwise ? layer.outputs : 1, layer.geometry.taps()});
    region_.layers.push_back(layer);
  }

  const Place& place_;
  Region region_;
  std::map<std::string, int> numbers_;
};

std::vector<float> bias(const Model& model, const LinearLayer& layer) {
  const Node& node = model.graph.nodes[layer.node];
  std::vector<float> zeros(static_cast<std::size_t>(layer.outputs), 0.0f);
  if (node.input(2).empty()) return zeros;
  graph::Uses uses(model.graph);
  std::vector<float> own =
      graph::as_floats(*graph::constant(model.graph, uses, node.inputs[2])).value_or(zeros);
  if (own.size() == 1) own.assign(zeros.size(), own.front());
  return own.size() == zeros.size() ? own : zeros;
}

}  // namespace

std::map<int, LinearLayer> layers_by_node(const Model& model, const graph::Shapes& shapes) {
  std::map<int, LinearLayer> layers;
  for (auto list : {linear_layers(model, shapes), depthwise_layers(model, shapes)})
    for (LinearLayer& layer : list)
      if (!layer.channels_last) layers.emplace(layer.node, std::move(layer));
  return layers;
}

std::optional<Region> region_before(const Model& model, const graph::Shapes& shapes,
                                    const std::map<int, LinearLayer>& layers, const LinearLayer& last,
                                    int most) {
  Place place{model, shapes, layers, graph::Uses(model.graph)};
  std::set<int> first = seed(last);
  if (!std::all_of(first.begin(), first.end(), [&](int node) { return place.sayable(node); }))
    return std::nullopt;
  Region region = Writer(place).region(trimmed(place, grown(place, last, most)), last.destination.goal);
  return region.layers.size() < 2 ? std::nullopt : std::optional(std::move(region));
}

saliency::TapeWeights tape_weights(const Model& model, const Region& region) {
  saliency::TapeWeights all;
  for (const LinearLayer& layer : region.layers) {
    std::vector<float> w = weights(model, layer), intercept = bias(model, layer), rows;
    std::size_t columns = w.size() / intercept.size();
    for (std::size_t o = 0; o < intercept.size(); ++o) {
      rows.insert(rows.end(), w.begin() + static_cast<std::ptrdiff_t>(o * columns),
                  w.begin() + static_cast<std::ptrdiff_t>((o + 1) * columns));
      rows.push_back(intercept[o]);
    }
    all.push_back(std::move(rows));
  }
  return all;
}

void set_tape_weights(Model& model, const Region& region, const saliency::TapeWeights& all) {
  for (std::size_t l = 0; l < region.layers.size(); ++l) {
    auto outputs = static_cast<std::size_t>(region.layers[l].outputs), columns = all[l].size() / outputs;
    std::vector<float> w, intercept;
    for (std::size_t o = 0; o < outputs; ++o) {
      auto row = all[l].begin() + static_cast<std::ptrdiff_t>(o * columns);
      w.insert(w.end(), row, row + static_cast<std::ptrdiff_t>(columns - 1));
      intercept.push_back(row[static_cast<std::ptrdiff_t>(columns - 1)]);
    }
    set_weights(model, region.layers[l], std::move(w), intercept);
  }
}

}  // namespace tailor::rewrite
