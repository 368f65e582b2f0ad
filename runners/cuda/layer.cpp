// Layers out of text. Workloads are read by their own parser; the three other kinds by fields of letters and a number.
#include "runners/cuda/layer.h"

#include "runners/serving/layer_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace tailor::cuda {
namespace {

using latency::Workload;
using serving::Letters, serving::Size, serving::split;
constexpr std::array<Letters, 5> kLetters = {{{"b", &Workload::g},
                                              {"m", &Workload::mb},
                                              {"k", &Workload::ic},
                                              {"n", &Workload::oc},
                                              {"c", &Workload::ic}}};
constexpr std::int64_t kMost = std::int64_t{1} << 28;

const std::set<std::string, std::less<>> kWords = {"bias",        "bn",        "add",     "relu",
                                                   "clip",        "leakyrelu", "sigmoid", "tanh",
                                                   "hardsigmoid", "hardswish", "gelu",    "mul"};

graph::DataType type_named(std::string_view name, const std::string& line) {
  for (graph::DataType type :
       {graph::DataType::f32, graph::DataType::f16, graph::DataType::bf16, graph::DataType::i8})
    if (graph::name(type) == name) return type;
  serving::not_a_layer(line, fmt::format("type '{}' is none of f32, f16, bf16, i8", name.substr(0, 20)));
}

LayerKind own_kind(std::string_view head) {
  if (head.starts_with("bgemm_")) return LayerKind::batched_gemm;
  if (head.starts_with("pool_max_")) return LayerKind::pool_max;
  if (head.starts_with("pool_avg_")) return LayerKind::pool_average;
  if (head.starts_with("eltwise_")) return LayerKind::elementwise;
  return LayerKind::conv;
}

// Sizes of the kinds that a network has beside its layers with weights.
Workload own_sizes(std::string_view head, LayerKind kind, const std::string& line) {
  const bool pool = kind == LayerKind::pool_max || kind == LayerKind::pool_average;
  std::vector<std::string> groups = split(head, '_');
  const std::size_t first = pool ? 2 : 1;
  if (groups.size() < first + 2) serving::not_a_layer(line, "it ends early");
  Workload w;
  w.kind = latency::Kind::gemm, w.ic = w.oc = 1;
  w.type = type_named(groups.back(), line);
  serving::read_sizes(std::span(groups).subspan(first, groups.size() - 1 - first), kLetters, kMost, w, line);
  if (pool) w.oc = w.ic, w.g = w.ic, w.pb = w.pt, w.pr = w.pl;
  if (kind == LayerKind::elementwise) w.mb = w.oc, w.oc = 1;
  for (Size size : {&Workload::mb, &Workload::g, &Workload::ic, &Workload::oc, &Workload::ih, &Workload::iw,
                    &Workload::oh, &Workload::ow, &Workload::kh, &Workload::kw, &Workload::sh, &Workload::sw})
    if (w.*size < 1) serving::not_a_layer(line, "a size is missing or zero");
  return w;
}

// What cuDNN and cuBLASLt are asked for.
void check_computable(const Layer& layer) {
  const Workload& w = layer.sizes;
  type_named(graph::name(w.type), layer.line);
  if (w.kind == latency::Kind::conv_transpose)
    serving::refuse_layer(layer.line, "transposed convolutions are not measured by this runner");
  for (const std::string& word : layer.post)
    if (!kWords.contains(word))
      serving::refuse_layer(layer.line, fmt::format("'{}' is not computed by this runner", word));
  constexpr std::size_t kMostWords = 8;
  if (layer.post.size() > kMostWords)
    serving::refuse_layer(layer.line, "more than eight operations after one layer");
  if (std::count(layer.post.begin(), layer.post.end(), "add") > 1)
    serving::refuse_layer(layer.line, "two residual sums after one layer");
  constexpr std::size_t kMostBytes = std::size_t{64} << 30;
  const OperandSizes sizes = operand_sizes(layer);
  if (sizes.read() > kMostBytes || sizes.y > kMostBytes)
    serving::refuse_layer(layer.line, "an operand is larger than 64 GB");
}

}  // namespace

bool has_post(const Layer& layer, const std::string& word) {
  return std::find(layer.post.begin(), layer.post.end(), word) != layer.post.end();
}

Layer parse_layer(const std::string& line, bool tf32) {
  const std::size_t plus = std::min(line.find('+'), line.size());
  const std::string head = line.substr(0, plus);
  if (line.size() > 500) serving::not_a_layer(line, "longer than 500 letters");
  Layer layer;
  layer.kind = own_kind(head), layer.line = line, layer.tf32 = tf32;
  if (plus < line.size()) layer.post = split(std::string_view(line).substr(plus + 1), '+');
  if (layer.kind == LayerKind::conv) {
    layer.sizes = latency::parse_workload(head);
    if (layer.sizes.kind == latency::Kind::gemm) layer.kind = LayerKind::gemm;
  } else {
    layer.sizes = own_sizes(head, layer.kind, line);
  }
  check_computable(layer);
  return layer;
}

OperandSizes operand_sizes(const Layer& layer) {
  const Workload& w = layer.sizes;
  const std::size_t each = graph::element_size(w.type);
  auto bytes = [&](std::initializer_list<std::int64_t> sizes) {
    double product = static_cast<double>(each);  // sizes are at most 2^28 each: no overflow in a double
    for (std::int64_t size : sizes) product *= static_cast<double>(size);
    return product > 4e18 ? std::size_t{4000000000000000000} : static_cast<std::size_t>(product);
  };
  OperandSizes sizes;
  sizes.x = bytes({w.mb, w.ic, w.ih, w.iw}), sizes.y = bytes({w.mb, w.oc, w.oh, w.ow});
  switch (layer.kind) {
    case LayerKind::conv:
    case LayerKind::gemm:
      sizes.weights = bytes({w.oc, w.ic / w.g, w.kh, w.kw});
      break;
    case LayerKind::batched_gemm:
      sizes.x = bytes({w.g, w.mb, w.ic}), sizes.weights = bytes({w.g, w.ic, w.oc});
      sizes.y = bytes({w.g, w.mb, w.oc});
      break;
    default:
      break;
  }
  // The bias of eight-bit layers is kept in f32.
  if (has_post(layer, "bias") || has_post(layer, "bn")) sizes.bias = static_cast<std::size_t>(w.oc) * 4;
  if (has_post(layer, "add") || has_post(layer, "mul")) sizes.residual = sizes.y;
  return sizes;
}

}  // namespace tailor::cuda
