// extract_workloads: each layer with weights as a line that can be timed, with what a runtime fuses into it.
#include "tailor/latency/extract.h"

#include <algorithm>
#include <optional>
#include <set>

namespace tailor::latency {
namespace {

using graph::Node;
using graph::Shape;

bool known(const Shape& shape) { return graph::element_count(shape) >= 0; }

// What follows the layer and reads nothing else but constants or the other operand of a residual sum.
std::string post_operations(const graph::Model& model, const graph::Uses& uses, const graph::Shapes& shapes,
                            int index) {
  static const std::set<std::string> activations = {"Relu", "Clip",        "LeakyRelu", "Sigmoid",
                                                    "Tanh", "HardSigmoid", "HardSwish"};
  const auto& nodes = model.graph.nodes;
  std::string post = nodes[index].input(2).empty() ? "" : "bias";
  auto append = [&](const std::string& word) { post += (post.empty() ? "" : "+") + word; };
  std::string value = nodes[index].output(0);
  for (int guard = 0; guard < 4; ++guard) {
    const auto& readers = uses.consumers(value);
    if (readers.size() != 1 || uses.is_output(value)) break;
    const Node& next = nodes[readers[0]];
    if (next.op == "BatchNormalization" && next.input(0) == value) {
      append("bn");
    } else if ((next.op == "Add" || next.op == "Sum") && next.inputs.size() == 2) {
      const std::string& other = next.inputs[next.inputs[0] == value ? 1 : 0];
      const Shape *a = shapes.shape(other), *b = shapes.shape(value);
      if (shapes.constant(other))
        append("bias");
      else if (a && b && *a == *b && uses.producer(other) < index)
        append("add");
      else
        break;
    } else if (activations.contains(next.op)) {
      std::string word = next.op;
      std::transform(word.begin(), word.end(), word.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      append(word);
      break;
    } else {
      break;
    }
    value = next.output(0);
  }
  return post;
}

void set_padding(Workload& w, const Node& node) {
  std::vector<std::int64_t> pads = node.integers("pads");
  std::string mode = node.text("auto_pad", "NOTSET");
  if (mode.rfind("SAME", 0) == 0) {
    auto total = [](std::int64_t in, std::int64_t out, std::int64_t k, std::int64_t s, std::int64_t d) {
      return std::max<std::int64_t>(0, (out - 1) * s + (k - 1) * d + 1 - in);
    };
    std::int64_t h = total(w.ih, w.oh, w.kh, w.sh, w.dh), v = total(w.iw, w.ow, w.kw, w.sw, w.dw);
    bool upper = mode == "SAME_UPPER";
    w.pt = upper ? h / 2 : h - h / 2, w.pb = h - w.pt, w.pl = upper ? v / 2 : v - v / 2, w.pr = v - w.pl;
  } else if (pads.size() == 4) {
    w.pt = pads[0], w.pl = pads[1], w.pb = pads[2], w.pr = pads[3];
  } else if (pads.size() == 2) {
    w.pl = pads[0], w.pr = pads[1];
  }
}

std::optional<Workload> convolution(const Node& node, const graph::Shapes& shapes) {
  const Shape *x = shapes.shape(node.input(0)), *k = shapes.shape(node.input(1)),
              *y = shapes.shape(node.output(0));
  if (!x || !k || !y || !known(*x) || !known(*k) || !known(*y) || x->size() != y->size() || x->size() < 3 ||
      x->size() > 4)
    return std::nullopt;
  Workload w;
  w.kind = node.op == "Conv" ? Kind::conv : Kind::conv_transpose;
  w.mb = (*x)[0], w.g = node.integer("group", 1), w.ic = (*x)[1], w.oc = (*y)[1];
  w.iw = x->back(), w.ow = y->back(), w.kw = k->back();
  bool flat = x->size() == 3;
  if (!flat) w.ih = (*x)[2], w.oh = (*y)[2], w.kh = (*k)[2];
  auto pair = [&](const char* key, std::int64_t& first, std::int64_t& second) {
    std::vector<std::int64_t> v = node.integers(key);
    if (v.size() == 2) first = v[0], second = v[1];
    if (v.size() == 1) second = v[0];
  };
  pair("strides", w.sh, w.sw), pair("dilations", w.dh, w.dw);
  set_padding(w, node);
  return w;
}

std::optional<Workload> product(const Node& node, const graph::Shapes& shapes) {
  const Shape *x = shapes.shape(node.input(0)), *k = shapes.shape(node.input(1)),
              *y = shapes.shape(node.output(0));
  if (!x || !k || !y || k->size() != 2 || x->size() < 2 || y->empty() || !known(*x) || !known(*y) ||
      !shapes.constant(node.input(1)))
    return std::nullopt;
  Workload w;
  w.kind = Kind::gemm;
  w.oc = y->back();
  w.mb = w.oc > 0 ? graph::element_count(*y) / w.oc : 0;
  bool flip = node.op == "Gemm" && node.integer("transB", 0) != 0;
  w.ic = (*k)[flip ? 1 : 0];
  return w;
}

}  // namespace

std::vector<LayerWorkload> extract_workloads(const graph::Model& model, const graph::Shapes& shapes) {
  graph::Uses uses(model.graph);
  std::vector<LayerWorkload> layers;
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
    const Node& node = model.graph.nodes[i];
    std::optional<Workload> w;
    if (node.op == "Conv" || node.op == "ConvTranspose") w = convolution(node, shapes);
    if (node.op == "Gemm" || node.op == "MatMul") w = product(node, shapes);
    if (!w || !shapes.constant(node.input(1))) continue;
    if (const graph::TensorType* type = shapes.find(node.input(0))) w->type = type->type;
    w->post = post_operations(model, uses, shapes, static_cast<int>(i));
    layers.push_back({static_cast<int>(i), *w});
  }
  return layers;
}

}  // namespace tailor::latency
