// Operators that slide a window: convolutions, transposed convolutions, pools.
#include "tailor/graph/rules.h"

#include <fmt/format.h>

namespace tailor::graph {
namespace {

constexpr std::int64_t kMaxStep = std::int64_t{1} << 20;  // of kernels, strides, dilations, pads

struct Window {
  std::vector<std::int64_t> kernel, strides, dilations, pads;  // pads: begins, then ends
  std::string auto_pad;
  bool ceil = false;

  bool same() const { return auto_pad.starts_with("SAME"); }
  std::int64_t reach(std::size_t i) const { return (kernel[i] - 1) * dilations[i] + 1; }
  std::int64_t padding(std::size_t i) const { return pads[i] + pads[i + kernel.size()]; }
};

Window window_of(const Site& site, std::vector<std::int64_t> kernel) {
  std::size_t n = kernel.size();
  for (std::int64_t k : kernel)
    if (k > kMaxStep || k == 0) site.fail(fmt::format("a kernel of {}", to_string(kernel)));
  Window window{std::move(kernel),
                site.attribute("strides", n, 1, 1, kMaxStep),
                site.attribute("dilations", n, 1, 1, kMaxStep),
                site.attribute("pads", 2 * n, 0, -kMaxStep, kMaxStep),
                site.node.text("auto_pad", "NOTSET"),
                site.node.integer("ceil_mode", 0) != 0};
  if (window.auto_pad == "VALID") window.pads.assign(2 * n, 0);
  return window;
}

std::int64_t positions(const Site& site, const Window& window, std::size_t i, std::int64_t in) {
  if (in == kUnknown || window.kernel[i] < 0) return kUnknown;
  std::int64_t stride = window.strides[i];
  if (window.same()) return (in + stride - 1) / stride;
  std::int64_t room = in + window.padding(i) - window.reach(i);
  if (room < 0)
    site.fail(fmt::format("a window of {} on {} elements with {} of padding", window.reach(i), in,
                          window.padding(i)));
  if (!window.ceil) return room / stride + 1;
  std::int64_t count = (room + stride - 1) / stride + 1;
  return (count - 1) * stride >= in + window.pads[i] ? count - 1
                                                     : count;  // no window starts in the padding behind
}

void spatial(const Site& site, const Window& window, const Shape& x, Shape& out) {
  for (std::size_t i = 0; i < window.kernel.size(); ++i) out.push_back(positions(site, window, i, x[i + 2]));
}

std::vector<std::int64_t> kernel_of(const Site& site, const Shape& weight) {
  std::vector<std::int64_t> from_weight(weight.begin() + 2, weight.end());
  auto stated = site.attribute("kernel_shape", from_weight.size(), kUnknown, 1, kMaxStep);
  for (std::size_t i = 0; i < stated.size(); ++i) {
    auto both = agree(stated[i], from_weight[i]);
    if (!both) site.fail(fmt::format("kernel_shape does not fit the weight {}", to_string(weight)));
    stated[i] = *both;
  }
  return stated;
}

std::int64_t group_of(const Site& site) {
  std::int64_t group = site.node.integer("group", 1);
  if (group < 1 || group > kMaxDimension) site.fail(fmt::format("group is {}", group));
  return group;
}

void check_conv(const Site& site, const Shape& x, const Shape& w, std::int64_t group) {
  auto refuse = [&](std::string_view what) {
    site.fail(fmt::format("{}: input {}, weight {}, group {}", what, to_string(x), to_string(w), group));
  };
  if (x.size() < 3 || x.size() != w.size()) refuse("the ranks do not fit");
  if (x[1] >= 0 && w[1] >= 0 && x[1] != times(w[1], group)) refuse("the channels do not fit");
  if (w[0] > 0 && w[0] % group != 0) refuse("the filters cannot be split into the groups");
}

void check_bias(Site& site, std::size_t input, std::int64_t filters) {
  if (!site.has(input)) return;
  const Shape* bias = site.shape(input);
  if (bias && (bias->size() != 1 || !agree((*bias)[0], filters)))
    site.fail(fmt::format("a bias of {} for {} filters", to_string(*bias), filters));
}

void conv(Site& site, std::size_t weight, std::size_t bias, DataType type) {
  const Shape *x = site.shape(0), *w = site.shape(weight);
  if (!x || !w) return;
  check_conv(site, *x, *w, group_of(site));
  check_bias(site, bias, (*w)[0]);
  Shape out{(*x)[0], (*w)[0]};
  spatial(site, window_of(site, kernel_of(site, *w)), *x, out);
  site.set(0, type, std::move(out));
}

void qlinear_conv_rule(Site& site) { conv(site, 3, 8, site.type(7)); }

void conv_integer_rule(Site& site) { conv(site, 1, 99, DataType::i32); }

std::int64_t transposed(const Window& window, std::size_t i, std::int64_t in, std::int64_t extra) {
  if (in == kUnknown || window.kernel[i] < 0) return kUnknown;
  if (window.same()) return in * window.strides[i];
  std::int64_t out = (in - 1) * window.strides[i] + extra + window.reach(i) - window.padding(i);
  return out;
}

void conv_transpose_rule(Site& site) {
  const Shape *x = site.shape(0), *w = site.shape(1);
  if (!x || !w) return;
  if (x->size() < 3 || x->size() != w->size() || !agree((*x)[1], (*w)[0]))
    site.fail(fmt::format("the channels do not fit: input {}, weight {}", to_string(*x), to_string(*w)));
  std::int64_t group = group_of(site);
  check_bias(site, 2, times((*w)[1], group));
  Window window = window_of(site, kernel_of(site, *w));
  std::size_t n = window.kernel.size();
  auto extra = site.attribute("output_padding", n, 0, 0, kMaxStep);
  auto stated = site.node.integers("output_shape");
  Shape out{(*x)[0], times((*w)[1], group)};
  for (std::size_t i = 0; i < n; ++i) {
    bool given = stated.size() >= n;
    std::int64_t dim = given ? stated[stated.size() - n + i] : transposed(window, i, (*x)[i + 2], extra[i]);
    if (dim < 0 && (given || ((*x)[i + 2] >= 0 && window.kernel[i] >= 0)))
      site.fail(fmt::format("the output would have a dimension of {}", dim));
    out.push_back(dim);
  }
  site.set(0, site.type(0), std::move(out));
}

void global_pool_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  Shape out = *x;
  for (std::size_t i = 2; i < out.size(); ++i) out[i] = 1;
  site.set(0, site.type(0), std::move(out));
}

}  // namespace

void conv_rule(Site& site) { conv(site, 1, 2, site.type(0)); }

void pool_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  auto kernel = site.node.integers("kernel_shape");
  if (x->size() < 3 || kernel.size() + 2 != x->size())
    site.fail(fmt::format("a kernel of {} dimensions on {}", kernel.size(), to_string(*x)));
  for (std::int64_t k : kernel)
    if (k < 1) site.fail(fmt::format("a kernel of {}", k));
  if (site.node.integer("channels_last", 0) != 0) return site.note("channels-last pooling has no rule");
  Shape out{(*x)[0], (*x)[1]};
  spatial(site, window_of(site, std::move(kernel)), *x, out);
  site.set(1, DataType::i64, out);
  site.set(0, site.type(0), std::move(out));
}

std::span<const RuleEntry> window_rules() {
  static constexpr RuleEntry rules[] = {{"Conv", conv_rule},
                                        {"QLinearConv", qlinear_conv_rule},
                                        {"ConvInteger", conv_integer_rule},
                                        {"ConvTranspose", conv_transpose_rule},
                                        {"MaxPool", pool_rule},
                                        {"AveragePool", pool_rule},
                                        {"LpPool", pool_rule},
                                        {"GlobalAveragePool", global_pool_rule},
                                        {"GlobalMaxPool", global_pool_rule},
                                        {"GlobalLpPool", global_pool_rule}};
  return rules;
}

}  // namespace tailor::graph
