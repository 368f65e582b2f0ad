#include "runners/onednn/layer.h"

#include "runners/serving/layer_list.h"
#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace tailor::onednn {
namespace {

using latency::Workload;
using serving::Letters, serving::Size, serving::split;
constexpr std::array<Letters, 4> kLetters = {
    {{"h", &Workload::ih}, {"w", &Workload::iw}, {"n", &Workload::ic}, {"c", &Workload::ic}}};
constexpr std::int64_t kMostSize = std::int64_t{1} << 26;
constexpr double kMostElements = std::int64_t{1} << 28;  // of one operand
constexpr std::size_t kMostWords = 8, kLongest = 500;
// What is done to a result in place, in every precision or in floats only.
const std::set<std::string, std::less<>> kAnywhere = {"bias", "bn", "add", "relu", "clip"};
const std::set<std::string, std::less<>> kInFloats = {"leakyrelu", "sigmoid", "tanh",
                                                      "hardswish", "gelu",    "mul"};

LayerKind own_kind(const std::string& head) {
  if (head.starts_with("pool_max_")) return LayerKind::pool_max;
  if (head.starts_with("pool_avg_")) return LayerKind::pool_average;
  if (head.starts_with("eltwise_")) return LayerKind::elementwise;
  return head.starts_with("reorder_") ? LayerKind::reorder : LayerKind::convolution;
}

// Sizes between the kind's name and its types.
Workload own_sizes(const std::vector<std::string>& groups, std::size_t first, std::size_t types,
                   const std::string& line) {
  if (groups.size() <= first + types) serving::not_a_layer(line, "it ends early");
  Workload w;
  serving::read_sizes(std::span(groups).subspan(first, groups.size() - types - first), kLetters, kMostSize, w,
                      line);
  return w;
}

void read_pool(Layer& layer, const std::vector<std::string>& groups) {
  Workload w = own_sizes(groups, 2, 1, layer.line);
  w.oc = w.g = w.ic, w.pb = w.pt, w.pr = w.pl;
  layer.sizes = w;
  layer.reads = layer.writes = type_named(groups.back() == "i8" ? "u8" : groups.back());
}

void read_elementwise(Layer& layer, const std::vector<std::string>& groups) {
  layer.sizes = own_sizes(groups, 1, 1, layer.line);
  layer.sizes.oc = layer.sizes.ic;
  layer.reads = layer.writes = type_named(groups.back());
  if (layer.reads != Type::f32)
    serving::refuse_layer(layer.line, "elementwise operations are computed in f32 only");
  if (layer.post.empty()) serving::not_a_layer(layer.line, "no operation");
}

void read_reorder(Layer& layer, const std::vector<std::string>& groups) {
  Workload w = own_sizes(groups, 1, 2, layer.line);
  w.oc = w.ic, w.oh = w.ih, w.ow = w.iw;
  layer.sizes = w;
  layer.reads = type_named(groups[groups.size() - 2]), layer.writes = type_named(groups.back());
  layer.from_nchw = layer.post == std::vector<std::string>{"nchw"};
  if (!layer.post.empty() && !layer.from_nchw) serving::not_a_layer(layer.line, "only +nchw is known");
  layer.post.clear();
}

void read_workload(Layer& layer, const std::string& head) {
  Workload w = latency::parse_workload(head);
  if (w.kind == latency::Kind::conv_transpose)
    serving::refuse_layer(layer.line, "transposed convolutions are not measured by this runner");
  if (w.kind == latency::Kind::gemm) w.kind = latency::Kind::conv, w.ih = w.oh = w.mb, w.mb = 1;
  layer.sizes = w;
  switch (w.type) {
    case graph::DataType::f32:
      return;
    case graph::DataType::bf16:
      layer.reads = layer.writes = Type::bf16;
      return;
    case graph::DataType::i8:
      layer.reads = Type::u8;
      layer.writes = has_post(layer, "relu") || has_post(layer, "clip") ? Type::u8 : Type::s8;
      return;
    default:
      serving::refuse_layer(layer.line, "this runner computes in f32, bf16 and i8");
  }
}

void set_types(Layer& layer, const TypeNames& types) {
  const bool in_levels = layer.kind == LayerKind::convolution && is_level(layer.reads);
  if (!types.reads.empty()) layer.reads = type_named(types.reads);
  if (!types.writes.empty()) layer.writes = type_named(types.writes);
  layer.residual = types.residual.empty() ? layer.writes : type_named(types.residual);
  if (is_level(layer.residual) != is_level(layer.writes) || size_of(layer.residual) != size_of(layer.writes))
    serving::refuse_layer(layer.line,
                          fmt::format("it cannot add {} to {}", name(layer.residual), name(layer.writes)));
  // Weights in levels read levels; everything else but a reordering writes what it reads.
  const bool fits = layer.kind == LayerKind::reorder || layer.reads == layer.writes ||
                    (in_levels && layer.writes != Type::bf16);
  if (!fits || (layer.kind == LayerKind::convolution && is_level(layer.reads) != in_levels))
    serving::refuse_layer(
        layer.line, fmt::format("it cannot read {} and write {}", name(layer.reads), name(layer.writes)));
}

bool inside(std::int64_t in, std::int64_t before, std::int64_t after, std::int64_t out, std::int64_t stride,
            std::int64_t taps, std::int64_t dilation) {
  return stride > 0 && taps > 0 && dilation > 0 &&
         (out - 1) * stride + (taps - 1) * dilation + 1 <= in + before + after;
}

void check_sizes(const Layer& layer) {
  const Workload& w = layer.sizes;
  for (Size size : {&Workload::mb, &Workload::g, &Workload::ic, &Workload::oc, &Workload::ih, &Workload::iw,
                    &Workload::oh, &Workload::ow})
    if (w.*size < 1 || w.*size > kMostSize)
      serving::not_a_layer(layer.line, "a size is missing, zero or too large");
  for (Size size : {&Workload::kh, &Workload::kw, &Workload::sh, &Workload::sw, &Workload::dh, &Workload::dw,
                    &Workload::pt, &Workload::pl, &Workload::pb, &Workload::pr})
    if (w.*size < 0 || w.*size > kMostSize) serving::not_a_layer(layer.line, "a size is too large");
  if (w.ic % w.g != 0 || w.oc % w.g != 0)
    serving::not_a_layer(layer.line, "channels are no multiple of the groups");
  if (layer.kind != LayerKind::elementwise && layer.kind != LayerKind::reorder &&
      !(inside(w.ih, w.pt, w.pb, w.oh, w.sh, w.kh, w.dh) && inside(w.iw, w.pl, w.pr, w.ow, w.sw, w.kw, w.dw)))
    serving::not_a_layer(layer.line, "windows reach beyond the image");
  auto product = [](std::initializer_list<std::int64_t> sizes) {
    double all = 1;
    for (std::int64_t size : sizes) all *= static_cast<double>(size);
    return all;
  };
  if (product({w.mb, w.ic, w.ih, w.iw}) > kMostElements ||
      product({w.mb, w.oc, w.oh, w.ow}) > kMostElements ||
      product({w.oc, w.ic / w.g, w.kh, w.kw}) > kMostElements)
    serving::refuse_layer(layer.line, "an operand has more than 2^28 elements");
}

void check_words(const Layer& layer) {
  if (layer.post.size() > kMostWords)
    serving::refuse_layer(layer.line, "more than eight operations after one layer");
  const bool floats = layer.reads == Type::f32;
  for (const std::string& word : layer.post) {
    const bool pool = layer.kind == LayerKind::pool_max || layer.kind == LayerKind::pool_average;
    const bool known = kAnywhere.contains(word) || (floats && kInFloats.contains(word));
    const bool product = word == "mul" && layer.kind != LayerKind::elementwise;
    if (!known || pool || product)
      serving::refuse_layer(layer.line, fmt::format("'{}' after this layer is not computed by this runner",
                                                    word.substr(0, 40)));
  }
  if (std::count(layer.post.begin(), layer.post.end(), "add") +
          std::count(layer.post.begin(), layer.post.end(), "mul") >
      1)
    serving::refuse_layer(layer.line, "two residuals after one layer");
}

}  // namespace

std::size_t size_of(Type type) { return type == Type::f32 ? 4 : type == Type::bf16 ? 2 : 1; }

const char* name(Type type) {
  switch (type) {
    case Type::f32:
      return "f32";
    case Type::bf16:
      return "bf16";
    case Type::s8:
      return "s8";
    case Type::u8:
      return "u8";
  }
  return "";
}

Type type_named(const std::string& text) {
  for (Type type : {Type::f32, Type::bf16, Type::s8, Type::u8})
    if (text == name(type)) return type;
  throw Error(Code::bad_value, fmt::format("type '{}' is none of f32, bf16, s8, u8", text.substr(0, 20)));
}

bool has_post(const Layer& layer, const std::string& word) {
  return std::find(layer.post.begin(), layer.post.end(), word) != layer.post.end();
}

Layer parse_layer(const std::string& line, const TypeNames& types) {
  if (line.size() > kLongest) serving::not_a_layer(line, "longer than 500 letters");
  const std::size_t plus = std::min(line.find('+'), line.size());
  const std::string head = line.substr(0, plus);
  Layer layer;
  layer.kind = own_kind(head), layer.line = line;
  if (plus < line.size()) layer.post = split(std::string_view(line).substr(plus + 1), '+');
  const std::vector<std::string> groups = split(head, '_');
  switch (layer.kind) {
    case LayerKind::convolution:
      read_workload(layer, head);
      break;
    case LayerKind::pool_max:
    case LayerKind::pool_average:
      read_pool(layer, groups);
      break;
    case LayerKind::elementwise:
      read_elementwise(layer, groups);
      break;
    case LayerKind::reorder:
      read_reorder(layer, groups);
      break;
  }
  set_types(layer, types);
  check_sizes(layer);
  check_words(layer);
  if (layer.kind != LayerKind::reorder && layer.reads != Type::f32)
    layer.line += fmt::format(" {}->{}", name(layer.reads), name(layer.writes));
  if (layer.residual != layer.writes) layer.line += fmt::format(" + {}", name(layer.residual));
  return layer;
}

std::size_t inputs_of(const Layer& layer) { return has_post(layer, "add") || has_post(layer, "mul") ? 2 : 1; }

std::int64_t elements_read(const Layer& layer) {
  const Workload& w = layer.sizes;
  return w.mb * w.ic * w.ih * w.iw;
}

std::int64_t elements_written(const Layer& layer) {
  const Workload& w = layer.sizes;
  return w.mb * w.oc * w.oh * w.ow;
}

}  // namespace tailor::onednn
