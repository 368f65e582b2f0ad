// Operators that pick elements, bring many to one, or make constants of a computed size.
#include "tailor/learn/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace tailor::learn {
namespace {

using at::Tensor;
using Integers = std::vector<std::int64_t>;

// Indices from the end counted from the front.
Tensor from_front(const Tensor& indices, std::int64_t size) {
  Tensor at = indices.to(at::kLong);
  return at::where(at.lt(0), at + size, at);
}

void gather(Call& call) {
  const Tensor& x = call.in(0);
  std::int64_t axis = call.axis(call.node.integer("axis", 0), x.dim());
  Tensor at = from_front(call.in(1), x.size(axis));
  if (at.dim() == 1) return call.set(x.index_select(axis, at));
  Integers shape = x.sizes().vec();
  auto place = shape.erase(shape.begin() + axis);
  shape.insert(place, at.sizes().begin(), at.sizes().end());
  call.set(x.index_select(axis, at.reshape(-1)).reshape(shape));
}

void gather_elements(Call& call) {
  const Tensor& x = call.in(0);
  std::int64_t axis = call.axis(call.node.integer("axis", 0), x.dim());
  call.set(x.gather(axis, from_front(call.in(1), x.size(axis))));
}

// The axes that a reduction goes over: all if none are named, unless the node says that none means none.
Integers reduced_axes(Call& call) {
  std::int64_t rank = call.in(0).dim();
  Integers axes = call.list("axes", 1).value_or(Integers{});
  for (std::int64_t& axis : axes) axis = call.axis(axis, rank);
  if (!axes.empty() || call.node.integer("noop_with_empty_axes", 0)) return axes;
  axes.resize(static_cast<std::size_t>(rank));
  std::iota(axes.begin(), axes.end(), std::int64_t{0});
  return axes;
}

template <class Reduction>
void reduce(Call& call, Reduction reduction) {
  Integers axes = reduced_axes(call);
  bool keep = call.node.integer("keepdims", 1) != 0;
  call.set(axes.empty() ? call.in(0) : reduction(call.in(0), at::IntArrayRef(axes), keep));
}

void reduce_l1(Call& call) {
  reduce(call, [](const Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(x.abs(), axes, keep); });
}
void reduce_l2(Call& call) {
  reduce(call,
         [](const Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(x * x, axes, keep).sqrt(); });
}
void reduce_log_sum_exp(Call& call) {
  reduce(call, [](const Tensor& x, at::IntArrayRef axes, bool keep) { return at::logsumexp(x, axes, keep); });
}
void reduce_max(Call& call) {
  reduce(call, [](const Tensor& x, at::IntArrayRef axes, bool keep) { return at::amax(x, axes, keep); });
}
void reduce_mean(Call& call) {
  reduce(call, [](const Tensor& x, at::IntArrayRef axes, bool keep) { return at::mean(x, axes, keep); });
}
void reduce_min(Call& call) {
  reduce(call, [](const Tensor& x, at::IntArrayRef axes, bool keep) { return at::amin(x, axes, keep); });
}
void reduce_sum(Call& call) {
  reduce(call, [](const Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(x, axes, keep); });
}
void reduce_sum_square(Call& call) {
  reduce(call, [](const Tensor& x, at::IntArrayRef axes, bool keep) { return at::sum(x * x, axes, keep); });
}

// Among equals the first, as ONNX wants it unless told otherwise.
void arg_extreme(Call& call, bool largest) {
  const Tensor& x = call.in(0);
  if (call.node.integer("select_last_index", 0)) call.refuse("the last of equal elements");
  std::int64_t axis = call.axis(call.node.integer("axis", 0), x.dim());
  bool keep = call.node.integer("keepdims", 1) != 0;
  call.set(largest ? at::argmax(x, axis, keep) : at::argmin(x, axis, keep));
}

void shape(Call& call) {
  at::IntArrayRef sizes = call.in(0).sizes();
  auto rank = static_cast<std::int64_t>(sizes.size());
  auto bound = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
  std::int64_t start = bound(call.node.integer("start", 0)), end = bound(call.node.integer("end", rank));
  Integers part(sizes.begin() + start, sizes.begin() + std::max(start, end));
  call.set(to_aten(graph::make_i64({static_cast<std::int64_t>(part.size())}, part), call.setting.real));
}

void constant_of_shape(Call& call) {
  Tensor value = at::zeros({1}, at::TensorOptions(call.setting.real));
  if (const auto* given = call.node.find<graph::Tensor>("value")) value = to_aten(*given, call.setting.real);
  if (value.numel() != 1) call.fail("the value must be one element");
  call.set(value.reshape({}).expand(call.integers(0)));
}

void range(Call& call) {
  const Tensor &start = call.in(0), &end = call.in(1), &step = call.in(2);
  call.set(at::arange(start.item(), end.item(), step.item(), start.options()));
}

constexpr auto kTable = std::to_array<OperatorEntry>({
    {"ArgMax", [](Call& c) { arg_extreme(c, true); }},
    {"ArgMin", [](Call& c) { arg_extreme(c, false); }},
    {"ConstantOfShape", constant_of_shape},
    {"Gather", gather},
    {"GatherElements", gather_elements},
    {"Range", range},
    {"ReduceL1", reduce_l1},
    {"ReduceL2", reduce_l2},
    {"ReduceLogSumExp", reduce_log_sum_exp},
    {"ReduceMax", reduce_max},
    {"ReduceMean", reduce_mean},
    {"ReduceMin", reduce_min},
    {"ReduceSum", reduce_sum},
    {"ReduceSumSquare", reduce_sum_square},
    {"Shape", shape},
    {"Size", [](Call& c) { c.set(at::full({}, c.in(0).numel(), at::kLong)); }},
});

}  // namespace

std::span<const OperatorEntry> select_operators() { return kTable; }

}  // namespace tailor::learn
