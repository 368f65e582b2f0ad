// For each Pad: chain() follows it and a Slice before or behind it; subsampling() and channel_padding() say
// what they do, or that they do something else; convolution() computes the same.
#include "tailor/rewrite/shortcut.h"

#include <algorithm>
#include <optional>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using graph::Shape;
using Integers = std::vector<std::int64_t>;

// An operand that newer opsets pass as an input and older ones as an attribute. nullopt: neither, or not
// constant.
std::optional<Integers> parameter(const Node& node, const graph::Shapes& shapes, std::size_t input,
                                  const char* attribute) {
  if (const auto* list = node.find<Integers>(attribute)) return *list;
  const graph::Tensor* tensor = node.input(input).empty() ? nullptr : shapes.constant(node.input(input));
  return tensor ? graph::as_integers(*tensor) : std::nullopt;
}

struct Strides {
  std::int64_t h = 1, w = 1;
};

// What a Slice does, if it takes every h-th row and w-th column from 0 to the end.
std::optional<Strides> subsampling(const Node& node, const graph::Shapes& shapes) {
  const Shape* from = shapes.shape(node.input(0));
  auto starts = parameter(node, shapes, 1, "starts"), ends = parameter(node, shapes, 2, "ends"),
       axes = parameter(node, shapes, 3, "axes"), steps = parameter(node, shapes, 4, "steps");
  if (!from || from->size() != 4 || !starts || !ends || starts->size() != ends->size()) return std::nullopt;
  Strides strides;
  for (std::size_t i = 0; i < starts->size(); ++i) {
    std::int64_t axis = axes ? (*axes)[i] : static_cast<std::int64_t>(i), step = steps ? (*steps)[i] : 1;
    if (axis < 0) axis += 4;
    if (axis < 0 || axis > 3 || (*starts)[i] != 0 || step < 1) return std::nullopt;
    std::int64_t size = (*from)[static_cast<std::size_t>(axis)];
    if (axis < 2 ? step != 1 || (*ends)[i] < INT32_MAX : (*ends)[i] < size) return std::nullopt;
    if (axis == 2) strides.h = step;
    if (axis == 3) strides.w = step;
  }
  return strides;
}

// Channels of zeros before and behind, if a Pad does no more.
struct Zeros {
  std::int64_t before = 0, behind = 0;
};

std::optional<Zeros> channel_padding(const Node& node, const graph::Shapes& shapes) {
  auto pads = parameter(node, shapes, 1, "pads");
  if (node.text("mode", "constant") != "constant" || !pads || pads->size() != 8 || !node.input(3).empty() ||
      node.real("value", 0) != 0)
    return std::nullopt;
  if (!node.input(2).empty()) {
    const graph::Tensor* value = shapes.constant(node.input(2));
    auto floats = value ? graph::as_floats(*value) : std::nullopt;
    if (!floats || floats->size() != 1 || floats->front() != 0) return std::nullopt;
  }
  for (std::size_t i = 0; i < 8; ++i)
    if (i % 4 != 1 && (*pads)[i] != 0) return std::nullopt;
  if ((*pads)[1] < 0 || (*pads)[5] < 0) return std::nullopt;
  return Zeros{(*pads)[1], (*pads)[5]};
}

struct Chain {
  std::string from, to;
  Strides strides;
  Zeros zeros;
  int last = 0;  // node that is replaced
};

// The Pad at `index` with the Slice that feeds it, or the one that alone reads it.
std::optional<Chain> chain(const Model& model, const graph::Uses& uses, const graph::Shapes& shapes,
                           int index) {
  const Node& pad = model.graph.nodes[index];
  auto zeros = channel_padding(pad, shapes);
  if (!zeros) return std::nullopt;
  Chain c{pad.input(0), pad.output(0), {}, *zeros, index};
  if (int before = uses.producer(c.from);
      before >= 0 && model.graph.nodes[before].op == "Slice" && uses.only_reader(c.from) == index) {
    if (auto strides = subsampling(model.graph.nodes[before], shapes))
      c.from = model.graph.nodes[before].input(0), c.strides = *strides;
  } else if (int behind = uses.only_reader(c.to); behind >= 0 && model.graph.nodes[behind].op == "Slice") {
    if (auto strides = subsampling(model.graph.nodes[behind], shapes))
      c.to = model.graph.nodes[behind].output(0), c.strides = *strides, c.last = behind;
  }
  return c;
}

bool sizes_known(const Chain& c, const graph::Shapes& shapes) {
  const graph::TensorType *from = shapes.find(c.from), *to = shapes.find(c.to);
  if (!from || !to || from->type != graph::DataType::f32 || from->shape.size() != 4 || to->shape.size() != 4)
    return false;
  for (std::size_t i = 1; i < 4; ++i)
    if (from->shape[i] < 1 || to->shape[i] < 1) return false;
  return to->shape[1] == from->shape[1] + c.zeros.before + c.zeros.behind && from->shape[1] <= 4096 &&
         to->shape[1] <= 4096;
}

graph::Tensor ones(std::int64_t inputs, const Zeros& zeros) {
  std::int64_t outputs = inputs + zeros.before + zeros.behind;
  std::vector<float> w(static_cast<std::size_t>(outputs * inputs));
  for (std::int64_t i = 0; i < inputs; ++i) w[static_cast<std::size_t>((zeros.before + i) * inputs + i)] = 1;
  return graph::make_f32({outputs, inputs, 1, 1}, std::move(w));
}

void replace(Model& model, const Chain& c, std::int64_t inputs) {
  Node node{"Conv", "", c.to + "_as_conv", {c.from, c.to + "_weight"}, {c.to}};
  node.attributes["kernel_shape"].value = Integers{1, 1};
  node.attributes["strides"].value = Integers{c.strides.h, c.strides.w};
  model.graph.initializers[node.inputs[1]] = ones(inputs, c.zeros);
  model.graph.nodes[static_cast<std::size_t>(c.last)] = std::move(node);
}

}  // namespace

Shortcuts shortcuts_as_convolutions(const Model& model, const graph::Shapes& shapes) {
  Shortcuts result{model, {}};
  graph::Uses uses(model.graph);
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
    if (model.graph.nodes[i].op != "Pad") continue;
    std::optional<Chain> c = chain(model, uses, shapes, static_cast<int>(i));
    if (!c || !sizes_known(*c, shapes)) continue;
    replace(result.model, *c, (*shapes.shape(c->from))[1]);
    result.values.push_back(c->to);
  }
  if (!result.values.empty()) graph::remove_dead(result.model.graph), graph::check(result.model.graph);
  return result;
}

}  // namespace tailor::rewrite
