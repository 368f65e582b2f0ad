// Operators that move elements: reshaping, cutting, joining, padding.
#include "tailor/learn/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

namespace tailor::learn {
namespace {

using at::Tensor;
using Integers = std::vector<std::int64_t>;

Integers required(Call& call, std::string_view attribute, std::size_t input) {
  auto list = call.list(attribute, input);
  if (!list) call.fail(fmt::format("{} is missing", attribute));
  return *list;
}

// 0 keeps a dimension unless allowzero says otherwise; libtorch resolves -1 itself.
void reshape(Call& call) {
  const Tensor& x = call.in(0);
  Integers shape = required(call, "shape", 1);
  if (!call.node.integer("allowzero", 0))
    for (std::size_t i = 0; i < shape.size(); ++i)
      if (shape[i] == 0) {
        if (static_cast<std::int64_t>(i) >= x.dim())
          call.fail("a dimension of 0 stands for one that does not exist");
        shape[i] = x.size(static_cast<std::int64_t>(i));
      }
  call.set(x.reshape(shape));
}

void flatten(Call& call) {
  const Tensor& x = call.in(0);
  std::int64_t axis = call.node.integer("axis", 1);
  if (axis < -x.dim() || axis > x.dim())
    call.fail(fmt::format("axis {} of a value of rank {}", axis, x.dim()));
  if (axis < 0) axis += x.dim();
  std::int64_t rows = 1;
  for (std::int64_t i = 0; i < axis; ++i) rows *= x.size(i);
  call.set(x.reshape({rows, rows == 0 ? 0 : x.numel() / rows}));
}

void squeeze(Call& call) {
  const Tensor& x = call.in(0);
  Integers shape = x.sizes().vec();
  if (auto axes = call.list("axes", 1)) {
    for (std::int64_t& axis : *axes) axis = call.axis(axis, x.dim());
    std::sort(axes->rbegin(), axes->rend());
    if (std::adjacent_find(axes->begin(), axes->end()) != axes->end()) call.fail("an axis is given twice");
    for (std::int64_t axis : *axes) {
      if (x.size(axis) != 1)
        call.fail(fmt::format("axis {} is squeezed and has {} elements", axis, x.size(axis)));
      shape.erase(shape.begin() + axis);
    }
  } else {
    std::erase(shape, 1);
  }
  call.set(x.reshape(shape));
}

void unsqueeze(Call& call) {
  const Tensor& x = call.in(0);
  Integers axes = required(call, "axes", 1), shape = x.sizes().vec();
  std::int64_t rank = x.dim() + static_cast<std::int64_t>(axes.size());
  for (std::int64_t& axis : axes) axis = call.axis(axis, rank);
  std::sort(axes.begin(), axes.end());
  for (std::int64_t axis : axes) {
    if (axis > static_cast<std::int64_t>(shape.size())) call.fail("an axis is given twice");
    shape.insert(shape.begin() + axis, 1);
  }
  call.set(x.reshape(shape));
}

void transpose(Call& call) {
  const Tensor& x = call.in(0);
  Integers order = call.node.integers("perm");
  if (order.empty()) {
    order.resize(static_cast<std::size_t>(x.dim()));
    std::iota(order.rbegin(), order.rend(), std::int64_t{0});
  }
  call.set(x.permute(order));
}

void concat(Call& call) {
  std::vector<Tensor> parts;
  for (std::size_t i = 0; i < call.count(); ++i) parts.push_back(call.in(i));
  if (parts.empty()) call.fail("nothing to join");
  call.set(at::cat(parts, call.axis(call.node.integer("axis", 0), parts[0].dim())));
}

// Sizes from the attribute (before opset 13), an input, or equal parts of which the last may be smaller.
void split(Call& call) {
  const Tensor& x = call.in(0);
  std::int64_t axis = call.axis(call.node.integer("axis", 0), x.dim());
  auto count = static_cast<std::int64_t>(call.node.outputs.size());
  Integers sizes = call.list("split", 1).value_or(Integers{});
  if (sizes.empty()) {
    std::int64_t whole = x.size(axis), part = (whole + count - 1) / count;
    for (std::int64_t i = 0; i < count; ++i)
      sizes.push_back(std::min(part, std::max<std::int64_t>(0, whole - i * part)));
  }
  if (static_cast<std::int64_t>(sizes.size()) != count) call.fail("as many sizes as outputs are needed");
  std::vector<Tensor> parts = x.split_with_sizes(sizes, axis);
  for (std::size_t i = 0; i < parts.size(); ++i) call.set(parts[i], i);
}

// Backwards means turned round first: position p becomes size - 1 - p.
Tensor slice_axis(const Tensor& x, std::int64_t axis, std::int64_t start, std::int64_t end,
                  std::int64_t step) {
  std::int64_t size = x.size(axis);
  auto counted = [&](std::int64_t at) { return at < 0 ? std::max(at, -size - 1) + size : at; };
  if (step > 0) {
    start = std::clamp<std::int64_t>(counted(start), 0, size),
    end = std::clamp<std::int64_t>(counted(end), 0, size);
    return x.slice(axis, start, std::max(start, end), step);
  }
  start = std::clamp<std::int64_t>(counted(start), -1, size - 1),
  end = std::clamp<std::int64_t>(counted(end), -1, size - 1);
  std::int64_t first = size - 1 - start, last = size - 1 - end;
  return x.flip({axis}).slice(axis, first, std::max(first, last), -step);
}

void slice(Call& call) {
  Tensor x = call.in(0);
  Integers starts = required(call, "starts", 1), ends = required(call, "ends", 2);
  Integers axes = call.list("axes", 3).value_or(Integers{}), steps(starts.size(), 1);
  if (call.has(4)) steps = call.integers(4);
  if (axes.empty()) {
    axes.resize(starts.size());
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
  }
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    call.fail("starts, ends, axes and steps differ in number");
  for (std::size_t i = 0; i < starts.size(); ++i) {
    if (steps[i] == 0) call.fail("a step of 0");
    // The least integer has no opposite; no axis is as long.
    std::int64_t step = std::max(steps[i], -std::numeric_limits<std::int64_t>::max());
    x = slice_axis(x, call.axis(axes[i], x.dim()), starts[i], ends[i], step);
  }
  call.set(x);
}

// By index along each axis: reflected or the edge repeated.
Tensor repeated(const Tensor& x, std::int64_t axis, std::int64_t begin, std::int64_t end, bool reflect) {
  std::int64_t size = x.size(axis);
  Tensor at = at::arange(-begin, size + end, at::kLong);
  if (reflect) {
    at = at.abs();
    at = (size - 1) - (at - (size - 1)).abs();
  }
  return x.index_select(axis, at.clamp(0, size - 1));
}

// Pads for each axis of x: begin of all, then end of all.
Integers pads_of(Call& call) {
  const Tensor& x = call.in(0);
  Integers given = required(call, "pads", 1), axes;
  if (call.has(3)) axes = call.integers(3);
  std::size_t rank = static_cast<std::size_t>(x.dim()), count = call.has(3) ? axes.size() : rank;
  if (given.size() != 2 * count) call.fail(fmt::format("{} pads for {} axes", given.size(), count));
  if (!call.has(3)) return given;
  Integers pads(2 * rank, 0);
  for (std::size_t i = 0; i < count; ++i) {
    auto axis = static_cast<std::size_t>(call.axis(axes[i], x.dim()));
    pads[axis] = given[i], pads[rank + axis] = given[count + i];
  }
  return pads;
}

void pad(Call& call) {
  Tensor x = call.in(0);
  Integers pads = pads_of(call);
  std::size_t rank = static_cast<std::size_t>(x.dim());
  std::string mode = call.node.text("mode", "constant");
  if (mode == "constant") {
    double value = call.opset < 11 ? call.node.real("value", 0) : call.has(2) ? call.reals(2).at(0) : 0;
    Integers from_last;
    for (std::size_t i = rank; i-- > 0;) from_last.insert(from_last.end(), {pads[i], pads[rank + i]});
    return call.set(at::constant_pad_nd(x, from_last, value));
  }
  if (mode != "reflect" && mode != "edge") call.refuse(fmt::format("a Pad of mode '{}'", mode));
  for (std::size_t i = 0; i < rank; ++i) {
    if (pads[i] == 0 && pads[rank + i] == 0) continue;
    if (pads[i] < 0 || pads[rank + i] < 0) call.refuse(fmt::format("a Pad of mode '{}' that cuts", mode));
    x = repeated(x, static_cast<std::int64_t>(i), pads[i], pads[rank + i], mode == "reflect");
  }
  call.set(x);
}

void expand(Call& call) {
  const Tensor& x = call.in(0);
  Integers shape = call.integers(1);
  while (static_cast<std::int64_t>(shape.size()) < x.dim()) shape.insert(shape.begin(), 1);
  for (std::int64_t i = 1; i <= x.dim(); ++i)
    if (std::int64_t& dim = shape[shape.size() - static_cast<std::size_t>(i)]; dim == 1)
      dim = x.size(x.dim() - i);
  call.set(x.expand(shape));
}

Integers image_size(Call& call) {
  if (call.in(0).dim() != 4) call.fail("blocks are of images");
  if (call.node.integer("blocksize", 0) < 1) call.fail("blocksize must be positive");
  return call.in(0).sizes().vec();
}

void depth_to_space(Call& call) {
  Integers s = image_size(call);
  std::int64_t b = call.node.integer("blocksize", 0), c = s[1] / (b * b);
  bool crd = call.node.text("mode", "DCR") == "CRD";
  Tensor split = crd ? call.in(0).reshape({s[0], c, b, b, s[2], s[3]}).permute({0, 1, 4, 2, 5, 3})
                     : call.in(0).reshape({s[0], b, b, c, s[2], s[3]}).permute({0, 3, 4, 1, 5, 2});
  call.set(split.reshape({s[0], c, s[2] * b, s[3] * b}));
}

void space_to_depth(Call& call) {
  Integers s = image_size(call);
  std::int64_t b = call.node.integer("blocksize", 0);
  Tensor split = call.in(0).reshape({s[0], s[1], s[2] / b, b, s[3] / b, b}).permute({0, 3, 5, 1, 2, 4});
  call.set(split.reshape({s[0], s[1] * b * b, s[2] / b, s[3] / b}));
}

constexpr auto kTable = std::to_array<OperatorEntry>({
    {"Concat", concat},
    {"DepthToSpace", depth_to_space},
    {"Expand", expand},
    {"Flatten", flatten},
    {"Pad", pad},
    {"Reshape", reshape},
    {"Slice", slice},
    {"SpaceToDepth", space_to_depth},
    {"Split", split},
    {"Squeeze", squeeze},
    {"Tile", [](Call& c) { c.set(c.in(0).repeat(c.integers(1))); }},
    {"Transpose", transpose},
    {"Unsqueeze", unsqueeze},
});

}  // namespace

std::span<const OperatorEntry> layout_operators() { return kTable; }

}  // namespace tailor::learn
