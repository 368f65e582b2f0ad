// Pools, and the windows that they share with convolutions. libtorch pads both sides alike and pools by at most half a
// kernel; what is beyond that is padded by hand first. Values with one spatial axis are pooled as images of one row.
#include "tailor/base/error.h"
#include "tailor/learn/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace tailor::learn {
namespace {

using at::Tensor;
using Integers = std::vector<std::int64_t>;

// Padding that keeps ceil(size / stride) positions.
void resolve_same(Window& window, const Tensor& x, bool more_at_the_end) {
  for (std::size_t i = 0; i < window.kernel.size(); ++i) {
    std::int64_t size = x.size(static_cast<std::int64_t>(i) + 2), stride = window.strides[i];
    std::int64_t reach = (window.kernel[i] - 1) * window.dilations[i] + 1;
    std::int64_t total =
        std::max<std::int64_t>(0, ((size + stride - 1) / stride - 1) * stride + reach - size);
    window.begin[i] = more_at_the_end ? total / 2 : total - total / 2;
    window.end[i] = total - window.begin[i];
  }
}

void check_positive(const Call& call, const Integers& values, const char* what) {
  if (std::any_of(values.begin(), values.end(), [](std::int64_t v) { return v < 1; }))
    call.fail(fmt::format("{} must be positive", what));
}

// One spatial axis: a row of height 1 is put before it; two stay; three have pools of their own in libtorch that differ.
Tensor as_image(Call& call, const Tensor& x, Window& window) {
  if (x.dim() == 4) return x;
  if (x.dim() != 3) call.refuse(fmt::format("a pool over {} axes", x.dim() - 2));
  for (auto [list, value] : {std::pair{&window.kernel, 1},
                             {&window.strides, 1},
                             {&window.dilations, 1},
                             {&window.begin, 0},
                             {&window.end, 0}})
    list->insert(list->begin(), value);
  return x.unsqueeze(2);
}

void set_image(Call& call, const Tensor& pooled) {
  call.set(call.in(0).dim() == 3 ? pooled.squeeze(2) : pooled);
}

bool half_a_kernel(const Window& window) {
  for (std::size_t i = 0; i < window.kernel.size(); ++i)
    if (window.begin[i] > window.kernel[i] / 2) return false;
  return window.even();
}

Integers none(const Window& window) { return Integers(window.kernel.size(), 0); }

void max_pool(Call& call) {
  Window w = window_of(call, call.in(0), call.node.integers("kernel_shape"));
  if (call.wants(1)) call.refuse("the positions of a MaxPool are used");
  Tensor x = as_image(call, call.in(0), w);
  bool direct = half_a_kernel(w), ceil = call.node.integer("ceil_mode", 0) != 0;
  if (!direct) x = padded(x, w, -std::numeric_limits<double>::infinity());
  set_image(call, at::max_pool2d(x, w.kernel, w.strides, direct ? w.begin : none(w), w.dilations, ceil));
}

void average_pool(Call& call) {
  Window w = window_of(call, call.in(0), call.node.integers("kernel_shape"));
  if (std::any_of(w.dilations.begin(), w.dilations.end(), [](std::int64_t d) { return d != 1; }))
    call.refuse("an AveragePool with dilations");
  Tensor x = as_image(call, call.in(0), w);
  bool ceil = call.node.integer("ceil_mode", 0) != 0,
       count_all = call.node.integer("count_include_pad", 0) != 0;
  if (half_a_kernel(w))
    return set_image(call, at::avg_pool2d(x, w.kernel, w.strides, w.begin, ceil, count_all));
  Tensor sum = at::avg_pool2d(padded(x, w, 0), w.kernel, w.strides, none(w), ceil, false);
  if (count_all) return set_image(call, sum);
  Tensor inside = padded(at::ones_like(x.slice(0, 0, 1).slice(1, 0, 1)), w, 0);
  set_image(call, sum / at::avg_pool2d(inside, w.kernel, w.strides, none(w), ceil, false));
}

Integers spatial_axes(Call& call) {
  Integers axes;
  for (std::int64_t i = 2; i < call.in(0).dim(); ++i) axes.push_back(i);
  if (axes.empty()) call.fail("a global pool of a value without spatial axes");
  return axes;
}

void global_average_pool(Call& call) {
  call.set(at::mean(call.in(0), at::IntArrayRef(spatial_axes(call)), true));
}

void global_max_pool(Call& call) { call.set(at::amax(call.in(0), spatial_axes(call), true)); }

constexpr auto kTable = std::to_array<OperatorEntry>({
    {"AveragePool", average_pool},
    {"GlobalAveragePool", global_average_pool},
    {"GlobalMaxPool", global_max_pool},
    {"MaxPool", max_pool},
});

}  // namespace

Window window_of(const Call& call, const Tensor& x, at::IntArrayRef kernel) {
  Window window;
  window.kernel = kernel.vec();
  std::size_t rank = kernel.size();
  if (rank == 0 || x.dim() != static_cast<std::int64_t>(rank) + 2)
    call.fail(fmt::format("a kernel of rank {} over a value of rank {}", rank, x.dim()));
  window.strides = call.each("strides", rank, 1);
  window.dilations = call.each("dilations", rank, 1);
  check_positive(call, window.kernel, "kernel_shape");
  check_positive(call, window.strides, "strides");
  check_positive(call, window.dilations, "dilations");
  Integers pads = call.each("pads", 2 * rank, 0);
  auto middle = pads.begin() + static_cast<std::ptrdiff_t>(rank);
  window.begin.assign(pads.begin(), middle);
  window.end.assign(middle, pads.end());
  std::string automatic = call.node.text("auto_pad", "NOTSET");
  if (automatic == "VALID") window.begin = window.end = Integers(rank, 0);
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER")
    resolve_same(window, x, automatic == "SAME_UPPER");
  return window;
}

Tensor padded(const Tensor& x, const Window& window, double value) {
  Integers pads;
  for (std::size_t i = window.kernel.size(); i-- > 0;)
    pads.insert(pads.end(), {window.begin[i], window.end[i]});
  return at::constant_pad_nd(x, pads, value);
}

std::span<const OperatorEntry> window_operators() { return kTable; }

}  // namespace tailor::learn
