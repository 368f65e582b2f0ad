// Layers: convolutions, matrix products, normalisations. Each is one call of libtorch where ONNX and libtorch mean the
// same, so that a step costs what it costs there.
#include "tailor/learn/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tailor::learn {
namespace {

using at::Tensor;
using Integers = std::vector<std::int64_t>;

void convolution(Call& call) {
  const Tensor &x = call.in(0), &weight = call.in(1);
  if (weight.dim() < 3) call.fail(fmt::format("a kernel of rank {}", weight.dim()));
  Window w = window_of(call, x, weight.sizes().slice(2));
  Integers none(w.kernel.size(), 0);
  call.set(at::convolution(w.even() ? x : padded(x, w, 0), weight, call.maybe(2), w.strides,
                           w.even() ? w.begin : none, w.dilations, false, none,
                           call.node.integer("group", 1)));
}

// What output_shape or auto_pad ask of the padding of a transposed convolution.
void resolve_output(Call& call, const Tensor& x, const Integers& extra, Window& w) {
  Integers wanted = call.node.integers("output_shape");
  std::string automatic = call.node.text("auto_pad", "NOTSET");
  bool same = automatic == "SAME_UPPER" || automatic == "SAME_LOWER";
  if (wanted.empty() && !same) return;
  for (std::size_t i = 0; i < w.kernel.size(); ++i) {
    std::int64_t size = x.size(static_cast<std::int64_t>(i) + 2);
    std::int64_t full = (size - 1) * w.strides[i] + extra[i] + (w.kernel[i] - 1) * w.dilations[i] + 1;
    std::int64_t target = wanted.empty() ? size * w.strides[i] : wanted[wanted.size() - w.kernel.size() + i];
    std::int64_t total = std::max<std::int64_t>(0, full - target);
    w.begin[i] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
    w.end[i] = total - w.begin[i];
  }
}

// Uneven padding is cut off afterwards.
Tensor cropped(Tensor y, const Window& w) {
  for (std::size_t i = 0; i < w.kernel.size(); ++i) {
    auto axis = static_cast<std::int64_t>(i) + 2;
    y = y.narrow(axis, w.begin[i], y.size(axis) - w.begin[i] - w.end[i]);
  }
  return y;
}

void transposed_convolution(Call& call) {
  const Tensor &x = call.in(0), &weight = call.in(1);
  if (weight.dim() < 3) call.fail(fmt::format("a kernel of rank {}", weight.dim()));
  Window w = window_of(call, x, weight.sizes().slice(2));
  Integers none(w.kernel.size(), 0), extra = call.each("output_padding", w.kernel.size(), 0);
  if (Integers wanted = call.node.integers("output_shape");
      !wanted.empty() && wanted.size() < w.kernel.size())
    call.fail("output_shape is shorter than the kernel");
  resolve_output(call, x, extra, w);
  Tensor y = at::convolution(x, weight, call.maybe(2), w.strides, w.even() ? w.begin : none, w.dilations,
                             true, extra, call.node.integer("group", 1));
  call.set(w.even() ? y : cropped(y, w));
}

// alpha A B + beta C; with C a row and factors of 1, the linear layer that libtorch has.
void gemm(Call& call) {
  Tensor a = call.in(0), b = call.in(1), c = call.maybe(2);
  double alpha = call.node.real("alpha", 1), beta = call.node.real("beta", 1);
  if (a.dim() != 2 || b.dim() != 2) call.fail("Gemm multiplies matrices");
  if (call.node.integer("transA", 0)) a = a.t();
  bool turned = call.node.integer("transB", 0) != 0;
  if (turned && alpha == 1 && beta == 1 && c.defined() && c.dim() == 1) return call.set(at::linear(a, b, c));
  if (turned) b = b.t();
  if (c.defined()) return call.set(at::addmm(c, a, b, beta, alpha));
  call.set(alpha == 1 ? at::mm(a, b) : at::mm(a, b) * alpha);
}

// The moving statistics are followed in place, as libtorch does it; ONNX's momentum is the share that stays.
void batch_normalization(Call& call) {
  if (call.opset < 9 && call.node.integer("spatial", 1) == 0) call.refuse("statistics for each position");
  if (call.wants(1)) call.refuse("the statistics of a batch are outputs");
  double momentum = 1 - double{call.node.real("momentum", 0.9f)}, epsilon = call.node.real("epsilon", 1e-5f);
  if (call.setting.follow > 0) momentum = call.setting.follow;
  call.set(at::batch_norm(call.in(0), call.in(1), call.in(2), call.in(3), call.in(4), call.setting.statistics,
                          momentum, epsilon, false));
}

void layer_normalization(Call& call) {
  const Tensor& x = call.in(0);
  if (call.wants(1) || call.wants(2)) call.refuse("the statistics of a LayerNormalization are used");
  std::int64_t axis = call.axis(call.node.integer("axis", -1), x.dim());
  at::IntArrayRef normalised = x.sizes().slice(static_cast<std::size_t>(axis));
  auto fitting = [&](const Tensor& t) { return t.defined() ? t.expand(normalised) : t; };
  call.set(at::layer_norm(x, normalised, fitting(call.in(1)), fitting(call.maybe(2)),
                          call.node.real("epsilon", 1e-5f), false));
}

void instance_normalization(Call& call) {
  call.set(at::instance_norm(call.in(0), call.in(1), call.in(2), {}, {}, true, 0,
                             call.node.real("epsilon", 1e-5f), false));
}

// A factor for each group (opset 18) or for each channel (21).
Tensor along_channels(Call& call, const Tensor& factor, const Tensor& x) {
  std::int64_t channels = x.size(1);
  if (factor.numel() < 1 || channels % factor.numel() != 0)
    call.fail(fmt::format("{} factors for {} channels", factor.numel(), channels));
  Tensor each = factor.numel() == channels ? factor : factor.repeat_interleave(channels / factor.numel());
  Integers shape(static_cast<std::size_t>(x.dim()), 1);
  shape[1] = channels;
  return each.reshape(shape);
}

void group_normalization(Call& call) {
  const Tensor& x = call.in(0);
  std::int64_t groups = call.node.integer("num_groups", 1);
  if (x.dim() < 2 || groups < 1 || x.size(1) % groups != 0)
    call.fail(fmt::format("{} groups do not fit", groups));
  Tensor y = at::group_norm(x, groups, {}, {}, call.node.real("epsilon", 1e-5f), false);
  call.set(y * along_channels(call, call.in(1), x) + along_channels(call, call.in(2), x));
}

// Before opset 13 all axes from `axis` on make one distribution, since then `axis` alone.
void softmax_of(Call& call, Tensor (*function)(const Tensor&, std::int64_t)) {
  const Tensor& x = call.in(0);
  std::int64_t axis = call.axis(call.node.integer("axis", call.opset < 13 ? 1 : -1), x.dim());
  if (call.opset >= 13 || axis == x.dim() - 1) return call.set(function(x, axis));
  call.set(function(x.flatten(axis), axis).reshape(x.sizes()));
}

void softmax(Call& call) {
  softmax_of(call, [](const Tensor& x, std::int64_t axis) { return at::softmax(x, axis); });
}

void log_softmax(Call& call) {
  softmax_of(call, [](const Tensor& x, std::int64_t axis) { return at::log_softmax(x, axis); });
}

constexpr auto kTable = std::to_array<OperatorEntry>({
    {"BatchNormalization", batch_normalization},
    {"Conv", convolution},
    {"ConvTranspose", transposed_convolution},
    {"Gemm", gemm},
    {"GroupNormalization", group_normalization},
    {"InstanceNormalization", instance_normalization},
    {"LayerNormalization", layer_normalization},
    {"LogSoftmax", log_softmax},
    {"MatMul", [](Call& c) { c.set(at::matmul(c.in(0), c.in(1))); }},
    {"Softmax", softmax},
});

}  // namespace

std::span<const OperatorEntry> layer_operators() { return kTable; }

}  // namespace tailor::learn
