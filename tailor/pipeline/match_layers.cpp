// Which executed node is which layer. The runtime fuses normalisations, sums and activations into a layer,
// calls the result after one of them with a suffix, moves it to another layout and pads its channels.
#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/pipeline/in_place.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace tailor::pipeline {
namespace {

using graph::Shape;
using latency::Kind;
using latency::Workload;
using Words = std::set<std::string, std::less<>>;

bool is_convolution(const std::string& op) { return op.find("Conv") != std::string::npos; }
bool is_product(const std::string& op) {
  return op.find("Gemm") != std::string::npos || op.find("MatMul") != std::string::npos;
}
bool fits(const Workload& w, const std::string& op) {
  return w.kind == Kind::gemm ? is_product(op) : is_convolution(op);
}

std::string kind_of(const std::string& op) {
  static const Words reorders = {"ReorderInput", "ReorderOutput", "Transpose"};
  static const Words shapes = {"Slice",   "Pad",       "Concat",       "Reshape",     "Flatten", "Gather",
                               "Squeeze", "Unsqueeze", "Split",        "Expand",      "Shape",   "Cast",
                               "Tile",    "Resize",    "DepthToSpace", "SpaceToDepth"};
  static const Words elementwise = {"Add",
                                    "Sub",
                                    "Mul",
                                    "Div",
                                    "Sum",
                                    "Relu",
                                    "Clip",
                                    "Tanh",
                                    "Sigmoid",
                                    "LeakyRelu",
                                    "HardSigmoid",
                                    "HardSwish",
                                    "Softmax",
                                    "Elu",
                                    "PRelu",
                                    "Exp",
                                    "Sqrt",
                                    "Pow",
                                    "BatchNormalization",
                                    "QuickGelu",
                                    "Gelu",
                                    "Erf",
                                    "Abs",
                                    "Neg"};
  if (is_convolution(op) || is_product(op)) return "compute";
  if (reorders.contains(op)) return "reorder";
  if (shapes.contains(op)) return "shape";
  if (elementwise.contains(op)) return "elementwise";
  return op.find("Pool") != std::string::npos || op.starts_with("Reduce") ? "pooling" : "other";
}

void drop_suffix(std::string& name, const std::string& suffix) {
  if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
}

// The model's name in the runtime's: "fused x", "x_nchwc", "x_token_12", "x/MatMulAddFusion".
std::string plain_name(std::string name) {
  if (name.starts_with("fused ")) name.erase(0, 6);
  if (std::size_t at = name.rfind("_token_");
      at != std::string::npos && name.find_first_not_of("0123456789", at + 7) == std::string::npos)
    name.resize(at);
  for (const char* suffix : {"_nchwc", "_nhwc", "/MatMulAddFusion"}) drop_suffix(name, suffix);
  return name;
}

// [{"float":[1,3,224,224]}, ...]; anything else gives no shapes.
std::vector<Shape> read_shapes(const std::string& text) {
  std::vector<Shape> shapes;
  try {
    for (const Json& input : parse_json(text.empty() ? "[]" : text, "input shapes"))
      for (const Json& dims : input) shapes.push_back(dims.get<Shape>());
  } catch (const Error&) {
    return {};
  } catch (const nlohmann::json::exception&) {
    return {};
  }
  return shapes;
}

// Channels may be filled up to the runtime's blocks of 8 or 16; those of an image are not.
bool padded(std::int64_t found, std::int64_t wanted) {
  return found == wanted || (wanted > 4 && found % 8 == 0 && found > wanted && found < wanted + 16);
}

// Weights that the runtime has packed are not listed: the second shape is then the bias.
bool product_shapes(const Workload& w, const Shape& x, const Shape& k) {
  if (x.empty() || k.empty() || k.size() > 2 || x.back() != w.ic) return false;
  if (k.size() == 1) return k[0] == w.oc && graph::element_count(x) == w.mb * w.ic;
  const bool straight = k[0] == w.ic && k[1] == w.oc, flipped = k[1] == w.ic && k[0] == w.oc;
  return graph::element_count(x) == w.mb * w.ic && (straight || flipped);
}

bool convolution_shapes(const Workload& w, const Shape& x, const Shape& k) {
  if (x.size() < 3 || k.size() != x.size() || x.back() != w.iw || k.back() != w.kw) return false;
  if (x.size() == 4 && (x[2] != w.ih || k[2] != w.kh)) return false;
  const bool transposed = w.kind == Kind::conv_transpose;
  return x[0] == w.mb && padded(x[1], w.ic) && padded(k[transposed ? 1 : 0], transposed ? w.oc / w.g : w.oc);
}

// Unknown shapes contradict nothing; `sure`: they must be known.
bool same_shapes(const Workload& w, const std::string& text, bool sure) {
  const std::vector<Shape> shapes = read_shapes(text);
  if (shapes.size() < 2) return !sure;
  return w.kind == Kind::gemm ? product_shapes(w, shapes[0], shapes[1])
                              : convolution_shapes(w, shapes[0], shapes[1]);
}

// Names of the layer and of what may be fused into it, and of their outputs: runtimes use either.
std::vector<std::string> names_of(const Subject& subject, const graph::Uses& uses, int node) {
  std::vector<std::string> names;
  const auto& nodes = subject.model.graph.nodes;
  for (int guard = 0; guard < 5; ++guard) {
    names.push_back(nodes[node].name), names.push_back(nodes[node].output(0));
    const auto& readers = uses.consumers(nodes[node].output(0));
    if (readers.size() != 1 || kind_of(nodes[readers[0]].op) != "elementwise") break;
    node = readers[0];
  }
  return names;
}

class Matcher {
 public:
  Matcher(const Subject& subject, InPlace& in_place)
      : subject_(subject), in_place_(in_place), taken_(subject.layers.size(), false) {
    for (ExecutedNode& node : in_place_.nodes) node.kind = kind_of(node.op);
  }

  void by_name() {
    const graph::Uses uses(subject_.model.graph);
    std::multimap<std::string, int> layers;
    for (std::size_t i = 0; i < subject_.layers.size(); ++i)
      for (std::string& name : names_of(subject_, uses, subject_.layers[i].node))
        if (!name.empty()) layers.emplace(std::move(name), static_cast<int>(i));
    for (ExecutedNode& node : open_nodes()) {
      auto [begin, end] = layers.equal_range(plain_name(node.name));
      auto it = std::find_if(begin, end, [&](const auto& e) { return can_be(node, e.second, false); });
      if (it != end) take(node, it->second, "name");
    }
  }

  void by_shape() {
    for (ExecutedNode& node : open_nodes())
      for (std::size_t i = 0; i < taken_.size(); ++i)
        if (can_be(node, static_cast<int>(i), true)) {
          take(node, static_cast<int>(i), "shape");
          break;
        }
  }

  // Only where equally many are left, and only if no shape speaks against it.
  void by_order() {
    auto nodes = open_nodes();
    std::vector<int> layers;
    for (std::size_t i = 0; i < taken_.size(); ++i)
      if (!taken_[i]) layers.push_back(static_cast<int>(i));
    if (nodes.size() != layers.size()) return;
    for (std::size_t i = 0; i < layers.size(); ++i)
      if (can_be(nodes[i], layers[i], false)) take(nodes[i], layers[i], "order");
  }

 private:
  std::vector<std::reference_wrapper<ExecutedNode>> open_nodes() {
    std::vector<std::reference_wrapper<ExecutedNode>> open;
    for (ExecutedNode& node : in_place_.nodes)
      if (node.kind == "compute") open.emplace_back(node);
    return open;
  }
  bool can_be(const ExecutedNode& node, int layer, bool sure) const {
    const Workload& w = subject_.layers[layer].workload;
    return !taken_[layer] && fits(w, node.op) && same_shapes(w, node.shapes, sure);
  }
  void take(ExecutedNode& node, int layer, const char* how) {
    node.layer = layer, node.matched_by = how, node.kind = "layer";
    taken_[layer] = true;
  }

  const Subject& subject_;
  InPlace& in_place_;
  std::vector<bool> taken_;
};

}  // namespace

void match_layers(const Subject& subject, InPlace& in_place) {
  Matcher matcher(subject, in_place);
  matcher.by_name();
  matcher.by_shape();
  matcher.by_order();
}

}  // namespace tailor::pipeline
