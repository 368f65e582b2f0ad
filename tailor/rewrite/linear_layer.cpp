// linear_layers finds them; Destination follows the output through BatchNormalization (or a bias) and Add.
// weights/set_weights translate between the layer's storage and the fit's outputs x inputs x taps.
#include "tailor/rewrite/linear_layer.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using graph::Tensor;

const Tensor& operand(const Model& model, const Node& node, std::size_t input) {
  graph::Uses uses(model.graph);
  const Tensor* tensor = graph::constant(model.graph, uses, node.input(input));
  if (!tensor)
    throw Error(Code::bad_cut, fmt::format("operand {} is not constant", input), "node " + node.label());
  return *tensor;
}

std::vector<float> floats(const Model& model, const Node& node, std::size_t input) {
  return *graph::as_floats(operand(model, node, input));
}

// The operand of an Add that is a constant per output along the last axis; -1 if there is none.
int bias_operand(const Model& model, const graph::Uses& uses, const Node& add, int outputs) {
  for (int i = 0; i < 2 && add.op == "Add" && add.inputs.size() == 2; ++i)
    if (const Tensor* c = graph::constant(model.graph, uses, add.inputs[static_cast<std::size_t>(i)]))
      if (c->type == graph::DataType::f32 && !c->dims.empty() && c->dims.back() == outputs &&
          graph::element_count(c->dims) == outputs)
        return i;
  return -1;
}

Destination follow(const Model& model, const graph::Uses& uses, const graph::Shapes& shapes,
                   const LinearLayer& layer) {
  const auto& nodes = model.graph.nodes;
  const int node = layer.node;
  Destination to;
  to.goal = nodes[node].output(0);
  int next = uses.only_reader(to.goal);
  if (layer.channels_last && next >= 0 && bias_operand(model, uses, nodes[next], layer.outputs) >= 0) {
    to.bias = next;
    to.goal = nodes[next].output(0);
    next = uses.only_reader(to.goal);
  }
  if (!layer.channels_last && next >= 0 && nodes[next].op == "BatchNormalization" &&
      nodes[next].input(0) == to.goal) {
    to.normalisation = next;
    to.goal = nodes[next].output(0);
    next = uses.only_reader(to.goal);
  }
  if (next < 0 || (nodes[next].op != "Add" && nodes[next].op != "Sum") || nodes[next].inputs.size() != 2)
    return to;
  const std::string& other = nodes[next].inputs[nodes[next].inputs[0] == to.goal ? 1 : 0];
  const graph::Shape *a = shapes.shape(other), *b = shapes.shape(to.goal);
  bool same_shape = a && b && *a == *b && other != to.goal;
  if (!same_shape || shapes.constant(other) || uses.producer(other) > node) return to;
  to.sum = next;
  to.other = other;
  to.goal = nodes[next].output(0);
  return to;
}

saliency::Geometry geometry(const Node& node, const graph::Shape& w) {
  std::vector<std::int64_t> strides = node.integers("strides", {1, 1}),
                            pads = node.integers("pads", {0, 0, 0, 0}),
                            dilations = node.integers("dilations", {1, 1});
  auto i = [](std::int64_t v) { return static_cast<int>(v); };
  return {i(w[2]),         i(w[3]),         i(strides[0]), i(strides[1]),
          i(dilations[0]), i(dilations[1]), i(pads[0]),    i(pads[1])};
}

// Rows of a product are samples, or samples and places; samples come first, as in the model's inputs.
bool samples_first(const Model& model, const graph::Shapes& shapes, const std::string& value) {
  if (model.graph.inputs.empty()) return false;
  const graph::Shape *x = shapes.shape(value), *input = shapes.shape(model.graph.inputs[0].name);
  return x && input && x->size() >= 2 && !input->empty() && x->front() == input->front();
}

std::optional<LinearLayer> as_product(const Model& model, const graph::Shapes& shapes, const Tensor& w,
                                      LinearLayer layer) {
  if (w.dims.size() != 2 || !samples_first(model, shapes, layer.x)) return std::nullopt;
  layer.transposed = layer.channels_last = true;
  layer.inputs = static_cast<int>(w.dims[0]), layer.outputs = static_cast<int>(w.dims[1]);
  return layer;
}

std::optional<LinearLayer> as_linear(const Model& model, const graph::Uses& uses, const graph::Shapes& shapes,
                                     int index) {
  const Node& node = model.graph.nodes[index];
  const Tensor* w = node.inputs.size() > 1 ? graph::constant(model.graph, uses, node.inputs[1]) : nullptr;
  if (!w || w->type != graph::DataType::f32 || w->data.empty()) return std::nullopt;
  LinearLayer layer;
  layer.node = index, layer.x = node.inputs[0], layer.y = node.output(0);
  bool bias_known = node.input(2).empty() || graph::constant(model.graph, uses, node.inputs[2]);
  if (node.op == "Conv" && w->dims.size() == 4 && node.integer("group", 1) == 1 && bias_known &&
      node.text("auto_pad", "NOTSET") == "NOTSET") {
    layer.geometry = geometry(node, w->dims);
    layer.outputs = static_cast<int>(w->dims[0]), layer.inputs = static_cast<int>(w->dims[1]);
    return layer;
  }
  if (node.op == "MatMul") return as_product(model, shapes, *w, std::move(layer));
  bool plain = node.integer("transA", 0) == 0 && node.real("alpha", 1) == 1 && node.real("beta", 1) == 1;
  if (node.op == "Gemm" && plain && bias_known && w->dims.size() == 2) {
    layer.transposed = node.integer("transB", 0) == 0;
    layer.outputs = static_cast<int>(w->dims[layer.transposed ? 1 : 0]),
    layer.inputs = static_cast<int>(w->dims[layer.transposed ? 0 : 1]);
    return layer;
  }
  return std::nullopt;
}

std::optional<LinearLayer> as_depthwise(const Model& model, const graph::Uses& uses, const graph::Shapes&,
                                        int index) {
  const Node& node = model.graph.nodes[index];
  const Tensor* w = node.inputs.size() > 1 ? graph::constant(model.graph, uses, node.inputs[1]) : nullptr;
  bool bias_known = node.input(2).empty() || graph::constant(model.graph, uses, node.inputs[2]);
  if (node.op != "Conv" || !w || w->type != graph::DataType::f32 || w->dims.size() != 4 || w->data.empty() ||
      w->dims[1] != 1 || node.integer("group", 1) != w->dims[0] || w->dims[0] < 2 || !bias_known ||
      node.text("auto_pad", "NOTSET") != "NOTSET")
    return std::nullopt;
  LinearLayer layer;
  layer.node = index, layer.x = node.inputs[0], layer.y = node.output(0);
  layer.geometry = geometry(node, w->dims), layer.outputs = static_cast<int>(w->dims[0]), layer.inputs = 1,
  layer.depthwise = true;
  return layer;
}

template <class Recognise>
std::vector<LinearLayer> layers_of(const Model& model, const graph::Shapes& shapes, Recognise recognise) {
  graph::Uses uses(model.graph);
  std::vector<LinearLayer> layers;
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i)
    if (auto layer = recognise(model, uses, shapes, static_cast<int>(i))) {
      layer->destination = follow(model, uses, shapes, *layer);
      layers.push_back(std::move(*layer));
    }
  return layers;
}

std::vector<float> transpose(const std::vector<float>& in, int rows, int columns) {
  std::vector<float> out(in.size());
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c)
      out[static_cast<std::size_t>(c) * rows + r] = in[static_cast<std::size_t>(r) * columns + c];
  return out;
}

}  // namespace

bool outputs_last(const graph::Node& layer) {
  return layer.op == "MatMul" || (layer.op == "Gemm" && layer.integer("transB", 0) == 0);
}

std::vector<LinearLayer> linear_layers(const Model& model, const graph::Shapes& shapes) {
  return layers_of(model, shapes, as_linear);
}

std::vector<LinearLayer> depthwise_layers(const Model& model, const graph::Shapes& shapes) {
  return layers_of(model, shapes, as_depthwise);
}

Affine affine(const Model& model, const Node& node) {
  std::vector<float> scale = floats(model, node, 1), offset = floats(model, node, 2),
                     mean = floats(model, node, 3), variance = floats(model, node, 4);
  float epsilon = node.real("epsilon", 1e-5f);
  for (std::size_t c = 0; c < scale.size(); ++c) {
    scale[c] /= std::sqrt(variance[c] + epsilon);
    offset[c] -= scale[c] * mean[c];
  }
  return {std::move(scale), std::move(offset)};
}

Tensor channels_first(const LinearLayer& layer, const Tensor& value) {
  if (!layer.channels_last || value.dims.size() < 3) return value;
  const std::int64_t samples = value.dims.front(), channels = value.dims.back(),
                     places =
                         samples * channels > 0 ? graph::element_count(value.dims) / (samples * channels) : 0;
  const std::vector<float> from = value.values<float>();
  std::vector<float> to;
  to.reserve(from.size());
  for (std::int64_t n = 0; n < samples; ++n)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t p = 0; p < places; ++p)
        to.push_back(from[static_cast<std::size_t>((n * places + p) * channels + c)]);
  return graph::make_f32({samples, channels, places}, std::move(to));
}

std::vector<float> added_bias(const Model& model, const LinearLayer& layer) {
  const Node& add = model.graph.nodes[static_cast<std::size_t>(layer.destination.bias)];
  const int i = bias_operand(model, graph::Uses(model.graph), add, layer.outputs);
  return floats(model, add, static_cast<std::size_t>(i));
}

namespace {

// What is added behind the layer is that much more.
void raise_bias(Model& model, const LinearLayer& layer, const std::vector<float>& intercept) {
  const Node& add = model.graph.nodes[static_cast<std::size_t>(layer.destination.bias)];
  const auto i = static_cast<std::size_t>(bias_operand(model, graph::Uses(model.graph), add, layer.outputs));
  std::vector<float> sum = floats(model, add, i);
  for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += intercept[c];
  const graph::Shape dims = operand(model, add, i).dims;
  set_operand(model, layer.destination.bias, i, graph::make_f32(dims, std::move(sum)));
}

}  // namespace

std::vector<float> weights(const Model& model, const LinearLayer& layer) {
  std::vector<float> w = floats(model, model.graph.nodes[layer.node], 1);
  return layer.transposed ? transpose(w, layer.inputs, layer.outputs) : w;
}

void set_operand(Model& model, int index, std::size_t input, Tensor tensor) {
  Node& node = model.graph.nodes[index];
  graph::Uses uses(model.graph);
  if (node.inputs.size() <= input) node.inputs.resize(input + 1);
  const std::string name = node.inputs[input];
  bool own = !name.empty() && uses.consumers(name).size() == 1 && !uses.is_output(name) &&
             std::count(node.inputs.begin(), node.inputs.end(), name) == 1;
  int producer = uses.producer(name);
  if (own && producer < 0) {
    model.graph.initializers[name] = std::move(tensor);
  } else if (own && model.graph.nodes[producer].find<Tensor>("value")) {
    model.graph.nodes[producer].attributes.find("value")->second.value = std::move(tensor);
  } else {
    std::string stem = fmt::format("{}_operand{}", node.output(0), input), fresh = stem;
    for (int i = 0; model.graph.initializers.contains(fresh) || uses.producer(fresh) >= 0; ++i)
      fresh = fmt::format("{}_{}", stem, i);
    model.graph.initializers[fresh] = std::move(tensor);
    node.inputs[input] = fresh;
  }
}

void set_weights(Model& model, const LinearLayer& layer, std::vector<float> w,
                 const std::vector<float>& intercept) {
  const Tensor& old = operand(model, model.graph.nodes[layer.node], 1);
  graph::Shape dims = old.dims;
  set_operand(
      model, layer.node, 1,
      graph::make_f32(dims, layer.transposed ? transpose(w, layer.outputs, layer.inputs) : std::move(w)));
  if (layer.destination.bias >= 0) return raise_bias(model, layer, intercept);
  if (!layer.takes_intercept()) return;
  const Node& node = model.graph.nodes[layer.node];
  auto outputs = static_cast<std::int64_t>(layer.outputs);
  bool has_bias = !node.input(2).empty();
  if (!has_bias && layer.destination.normalisation >= 0) {
    const Node& normalisation = model.graph.nodes[layer.destination.normalisation];
    std::vector<float> mean = floats(model, normalisation, 3);
    for (std::size_t c = 0; c < mean.size(); ++c) mean[c] -= intercept[c];
    return set_operand(model, layer.destination.normalisation, 3,
                       graph::make_f32({outputs}, std::move(mean)));
  }
  set_operand(model, layer.node, 2, graph::make_f32({outputs}, intercept));
}

}  // namespace tailor::rewrite
