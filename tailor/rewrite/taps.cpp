// smaller_kernels: sides, and for each pair of them the place that keeps most of the weights' norm.
// crop_kernel:     weights, kernel_shape and pads of one node.
#include "tailor/rewrite/taps.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;

// Padding of one axis once `first` taps of it are gone in front and all but `count` behind.
struct Side {
  std::int64_t begin, end;
};

std::optional<Side> shrunk(std::int64_t begin, std::int64_t end, std::int64_t dilation, int kernel, int first,
                           int count) {
  Side side{begin - first * dilation, end - (kernel - first - count) * dilation};
  return side.begin >= 0 && side.end >= 0 ? std::optional(side) : std::nullopt;
}

struct Padding {
  Side h, w;
};

std::optional<Padding> padding(const Node& conv, int kh, int kw, const Taps& t) {
  std::vector<std::int64_t> pads = conv.integers("pads", {0, 0, 0, 0}),
                            dilations = conv.integers("dilations", {1, 1});
  auto h = shrunk(pads[0], pads[2], dilations[0], kh, t.top, t.kh),
       w = shrunk(pads[1], pads[3], dilations[1], kw, t.left, t.kw);
  if (!h || !w) return std::nullopt;
  return Padding{*h, *w};
}

// Lengths of a side, the longest first, and the places about the centre for each.
std::vector<int> lengths(int kernel) {
  std::set<int, std::greater<>> list = {kernel, kernel - 1, 1};
  list.erase(0);
  return {list.begin(), list.end()};
}

std::set<int> places(int kernel, int length) { return {(kernel - length) / 2, (kernel - length + 1) / 2}; }

double energy(const std::vector<float>& weights, const saliency::Geometry& kernel, const Taps& taps) {
  std::vector<int> inside = tap_indices(kernel, taps);
  double sum = 0;
  for (std::size_t row = 0; row < weights.size(); row += static_cast<std::size_t>(kernel.taps()))
    for (int tap : inside) {
      double w = weights[row + static_cast<std::size_t>(tap)];
      sum += w * w;
    }
  return sum;
}

std::vector<int> range(int first, int count) {
  std::vector<int> list(static_cast<std::size_t>(count));
  std::iota(list.begin(), list.end(), first);
  return list;
}

int conv_of(const Model& model, const std::string& value) {
  for (std::size_t i = 0; i < model.graph.nodes.size(); ++i)
    if (model.graph.nodes[i].op == "Conv" && model.graph.nodes[i].output(0) == value)
      return static_cast<int>(i);
  throw Error(Code::bad_cut, "no convolution gives this value: its kernel cannot get smaller", value);
}

bool inside(const Taps& t, std::int64_t kh, std::int64_t kw) {
  return t.top >= 0 && t.left >= 0 && t.kh >= 1 && t.kw >= 1 && t.kh <= kh && t.kw <= kw &&
         t.top <= kh - t.kh && t.left <= kw - t.kw;
}

}  // namespace

std::string to_string(const Taps& taps) { return fmt::format("{}x{}", taps.kh, taps.kw); }

std::vector<int> tap_indices(const saliency::Geometry& kernel, const Taps& taps) {
  std::vector<int> list;
  for (int row = taps.top; row < taps.top + taps.kh; ++row)
    for (int column = taps.left; column < taps.left + taps.kw; ++column)
      list.push_back(row * kernel.kw + column);
  return list;
}

Taps within(const Taps& outer, const Taps& inner) {
  return {outer.top + inner.top, outer.left + inner.left, inner.kh, inner.kw};
}

std::vector<Taps> smaller_kernels(const Model& model, const LinearLayer& layer) {
  const Node& node = model.graph.nodes[static_cast<std::size_t>(layer.node)];
  const saliency::Geometry& g = layer.geometry;
  if (node.op != "Conv" || g.taps() == 1) return {};
  std::vector<float> w = weights(model, layer);
  std::vector<Taps> list;
  for (int kh : lengths(g.kh))
    for (int kw : lengths(g.kw)) {
      bool thin = (kh == 1 && kw > 1 && kw < g.kw) || (kw == 1 && kh > 1 && kh < g.kh);
      if (thin && g.kh > 1 && g.kw > 1) continue;
      std::optional<Taps> best;
      for (int top : places(g.kh, kh))
        for (int left : places(g.kw, kw)) {
          Taps taps{top, left, kh, kw};
          bool possible = taps.count() < g.taps() && padding(node, g.kh, g.kw, taps);
          if (possible && (!best || energy(w, g, taps) > energy(w, g, *best))) best = taps;
        }
      if (best) list.push_back(*best);
    }
  std::stable_sort(list.begin(), list.end(),
                   [](const Taps& a, const Taps& b) { return a.count() > b.count(); });
  return list;
}

Model crop_kernel(const Model& model, const std::string& value, const Taps& taps) {
  int index = conv_of(model, value);
  Model result = model;
  Node& node = result.graph.nodes[static_cast<std::size_t>(index)];
  const graph::Tensor* w = graph::constant(model.graph, graph::Uses(model.graph), node.input(1));
  if (!w || w->dims.size() != 4 || node.text("auto_pad", "NOTSET") != "NOTSET")
    throw Error(Code::bad_cut, "this convolution's kernel cannot get smaller", value);
  auto fits = inside(taps, w->dims[2], w->dims[3])
                  ? padding(node, static_cast<int>(w->dims[2]), static_cast<int>(w->dims[3]), taps)
                  : std::nullopt;
  if (!fits)
    throw Error(
        Code::bad_cut,
        fmt::format("a kernel of {}x{} has no {} taps at row {}, column {} that its padding can do without",
                    w->dims[2], w->dims[3], to_string(taps), taps.top, taps.left),
        value);
  graph::Tensor part = take(*w, {{2, range(taps.top, taps.kh)}, {3, range(taps.left, taps.kw)}});
  auto list = [](std::vector<std::int64_t> values) { return graph::Attribute{std::move(values)}; };
  node.attributes["kernel_shape"] = list({taps.kh, taps.kw});
  node.attributes["pads"] = list({fits->h.begin, fits->w.begin, fits->h.end, fits->w.end});
  set_operand(result, index, 1, std::move(part));
  return result;
}

}  // namespace tailor::rewrite
