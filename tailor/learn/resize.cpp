// Resize and Upsample, axis by axis: for each position of the result the position it comes from, as ONNX's coordinate
// transformations define it, then the nearest element or a blend of two. Gathering by index has a gradient, so no mode
// needs a kernel of its own.
#include "tailor/learn/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace tailor::learn {
namespace {

using at::Tensor;
using Integers = std::vector<std::int64_t>;

constexpr double kMostPositions = 1 << 24;  // along one axis

struct Way {
  std::string mode, coordinates, rounding;
};

Way way_of(Call& call) {
  Way way{call.node.text("mode", "nearest"), call.node.text("coordinate_transformation_mode", "half_pixel"),
          call.node.text("nearest_mode", "round_prefer_floor")};
  if (call.opset < 11) way.coordinates = "asymmetric", way.rounding = "floor";
  if (way.mode != "nearest" && way.mode != "linear")
    call.refuse(fmt::format("a {} of mode '{}'", call.node.op, way.mode));
  if (way.coordinates == "tf_crop_and_resize") call.refuse("a Resize that crops");
  if (call.node.integer("antialias", 0)) call.refuse("a Resize with antialias");
  if (call.node.text("keep_aspect_ratio_policy", "stretch") != "stretch")
    call.refuse("a Resize that keeps proportions");
  return way;
}

double origin(const std::string& coordinates, double to, double from_size, double to_size, double scale) {
  if (coordinates == "align_corners") return to_size == 1 ? 0 : to * (from_size - 1) / (to_size - 1);
  if (coordinates == "asymmetric") return to / scale;
  if (coordinates == "pytorch_half_pixel" && to_size == 1) return 0;
  double half = (to + 0.5) / scale - 0.5;
  if (coordinates != "half_pixel_symmetric") return half;
  return from_size / 2 * (1 - to_size / (scale * from_size)) + half;
}

double rounded(const std::string& rounding, double at) {
  if (rounding == "floor") return std::floor(at);
  if (rounding == "ceil") return std::ceil(at);
  return rounding == "round_prefer_ceil" ? std::floor(at + 0.5) : std::ceil(at - 0.5);
}

std::vector<double> origins(const Way& way, std::int64_t from, std::int64_t to, double scale) {
  std::vector<double> at(static_cast<std::size_t>(to));
  for (std::size_t i = 0; i < at.size(); ++i) {
    double place = origin(way.coordinates, static_cast<double>(i), static_cast<double>(from),
                          static_cast<double>(to), scale);
    if (way.mode == "nearest") place = rounded(way.rounding, place);
    at[i] = std::clamp(place, 0.0, static_cast<double>(from - 1));
  }
  return at;
}

Tensor indices(const std::vector<double>& at, std::int64_t shift, std::int64_t last) {
  Integers list(at.size());
  for (std::size_t i = 0; i < at.size(); ++i)
    list[i] = std::min(static_cast<std::int64_t>(std::floor(at[i])) + shift, last);
  return to_aten(graph::make_i64({static_cast<std::int64_t>(list.size())}, list), at::kFloat);
}

Tensor resized(const Tensor& x, std::int64_t axis, const Way& way, std::int64_t to, double scale) {
  std::int64_t from = x.size(axis);
  std::vector<double> at = origins(way, from, to, scale);
  Tensor low = x.index_select(axis, indices(at, 0, from - 1));
  if (way.mode == "nearest") return low;
  std::vector<float> share(at.size());
  for (std::size_t i = 0; i < at.size(); ++i) share[i] = static_cast<float>(at[i] - std::floor(at[i]));
  Integers dims(static_cast<std::size_t>(x.dim()), 1);
  dims[static_cast<std::size_t>(axis)] = to;
  Tensor weight = to_aten(graph::make_f32(dims, share), x.scalar_type());
  return low + (x.index_select(axis, indices(at, 1, from - 1)) - low) * weight;
}

// What the node says: a factor, or a size, for each of these axes.
struct Wish {
  std::vector<double> scales;
  Integers sizes, axes;
};

Wish wish_of(Call& call) {
  Wish wish;
  bool upsample = call.node.op == "Upsample", old = upsample || call.opset < 11;
  std::size_t at = old ? 1 : 2;
  if (const auto* fixed = call.node.find<std::vector<float>>("scales"))
    wish.scales.assign(fixed->begin(), fixed->end());
  else if (call.has(at))
    wish.scales = call.reals(at);
  if (!old && call.has(3)) wish.sizes = call.integers(3);
  wish.axes = call.node.integers("axes");
  if (wish.axes.empty())
    for (std::int64_t i = 0; i < call.in(0).dim(); ++i) wish.axes.push_back(i);
  std::size_t count = wish.sizes.empty() ? wish.scales.size() : wish.sizes.size();
  if (count != wish.axes.size())
    call.fail(fmt::format("{} sizes or scales for {} axes", count, wish.axes.size()));
  return wish;
}

void resize(Call& call) {
  Tensor x = call.in(0);
  Way way = way_of(call);
  Wish wish = wish_of(call);
  for (std::size_t i = 0; i < wish.axes.size(); ++i) {
    std::int64_t axis = call.axis(wish.axes[i], x.dim()), from = x.size(axis);
    bool sized = !wish.sizes.empty();
    double scale = sized ? static_cast<double>(wish.sizes[i]) / static_cast<double>(from) : wish.scales[i];
    double size = sized ? static_cast<double>(wish.sizes[i]) : std::floor(static_cast<double>(from) * scale);
    if (!(scale > 0) || !(size >= 1 && size <= kMostPositions))
      call.fail(fmt::format("axis {} is resized to {}", axis, size));
    auto to = static_cast<std::int64_t>(size);
    if (to != from || scale != 1) x = resized(x, axis, way, to, scale);
  }
  call.set(x);
}

constexpr auto kTable = std::to_array<OperatorEntry>({{"Resize", resize}, {"Upsample", resize}});

}  // namespace

std::span<const OperatorEntry> resize_operators() { return kTable; }

}  // namespace tailor::learn
