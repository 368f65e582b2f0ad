// Operators that move elements without computing: join, cut, pad, reshape, transpose, repeat, resize.
#include "tailor/graph/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::graph {
namespace {

void concat_rule(Site& site) {
  const Shape* first = site.shape(0);
  if (!first) return;
  Shape out = *first;
  std::size_t axis = site.axis(site.node.integer("axis", 0), out.size());
  for (std::size_t i = 1; i < site.node.inputs.size(); ++i) {
    const Shape* x = site.shape(i);
    if (!x) return;
    if (x->size() != out.size()) site.fail(fmt::format("{} beside {}", to_string(*x), to_string(out)));
    for (std::size_t d = 0; d < out.size(); ++d) {
      auto both = agree(out[d], (*x)[d]);
      if (d != axis && !both)
        site.fail(fmt::format("{} beside {} along axis {}", to_string(*x), to_string(*first), axis));
      out[d] = d == axis ? plus(out[d], (*x)[d]) : *both;
    }
  }
  site.set(0, site.type(0), std::move(out));
}

std::vector<std::int64_t> split_evenly(const Site& site, std::int64_t total) {
  auto parts = static_cast<std::int64_t>(site.node.outputs.size());
  if (total == kUnknown) return std::vector<std::int64_t>(static_cast<std::size_t>(parts), kUnknown);
  bool uneven = site.node.find<std::int64_t>("num_outputs") != nullptr;
  if (!uneven && total % parts != 0)
    site.fail(fmt::format("{} cannot be split into {} equal parts", total, parts));
  std::int64_t each = (total + parts - 1) / parts;
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(parts), each);
  sizes.back() = total - each * (parts - 1);
  return sizes;
}

void split_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x || site.node.outputs.empty()) return;
  std::size_t axis = site.axis(site.node.integer("axis", 0), x->size());
  auto sizes = site.list("split", 1);
  if (!sizes) sizes.emplace(site.node.outputs.size(), kUnknown);
  bool given = !sizes->empty();
  if (!given) sizes = split_evenly(site, (*x)[axis]);
  if (sizes->size() != site.node.outputs.size())
    site.fail(fmt::format("{} sizes for {} outputs", sizes->size(), site.node.outputs.size()));
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < sizes->size(); ++i) {
    std::int64_t size = std::max((*sizes)[i], kUnknown);
    Shape out = *x;
    out[axis] = size;
    sum = plus(sum, size);
    site.set(i, site.type(0), std::move(out));
  }
  if (given && !agree(sum, (*x)[axis]))
    site.fail(fmt::format("parts of {} in total out of {}", sum, to_string(*x)));
}

struct Cut {
  std::int64_t start, end, step;
};

std::int64_t cut_size(std::int64_t dim, Cut cut) {
  if (dim == kUnknown || cut.start == kUnsure || cut.end == kUnsure) return kUnknown;
  auto place = [&](std::int64_t at) { return at < 0 ? (at < -dim ? -1 : at + dim) : at; };
  if (cut.step > 0) {
    std::int64_t start = std::clamp<std::int64_t>(place(cut.start), 0, dim);
    std::int64_t end = std::clamp<std::int64_t>(place(cut.end), 0, dim);
    return end <= start ? 0 : (end - start - 1) / cut.step + 1;
  }
  std::int64_t start = std::clamp<std::int64_t>(place(cut.start), 0, std::max<std::int64_t>(dim - 1, 0));
  std::int64_t end = std::clamp<std::int64_t>(place(cut.end), -1, dim);
  std::int64_t step = std::max(cut.step, -kMaxDimension);
  return end >= start || dim == 0 ? 0 : (start - end - 1) / -step + 1;
}

void slice_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  auto starts = site.list("starts", 1), ends = site.list("ends", 2), axes = site.list("axes", 3),
       steps = site.list("steps", 4);
  Shape out = *x;
  if (!axes || (!starts && !ends && !site.has(3))) {
    site.set(0, site.type(0), Shape(out.size(), kUnknown));
    return;
  }
  std::size_t count = !axes->empty() ? axes->size() : starts ? starts->size() : ends ? ends->size() : 0;
  auto at = [&](const auto& list, std::size_t i) { return list && i < list->size() ? (*list)[i] : kUnsure; };
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t named = axes->empty() ? static_cast<std::int64_t>(i) : (*axes)[i];
    if (named == kUnsure) return site.note("its axes are unknown");
    std::size_t axis = site.axis(named, out.size());
    std::int64_t step = steps && steps->empty() ? 1 : at(steps, i);
    if (step == 0) site.fail("a step of 0");
    out[axis] = step == kUnsure ? kUnknown : cut_size(out[axis], {at(starts, i), at(ends, i), step});
  }
  site.set(0, site.type(0), std::move(out));
}

void pad_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  auto pads = site.list("pads", 1), axes = site.has(3) ? site.integers(3) : std::vector<std::int64_t>{};
  Shape out = *x;
  if (!pads || !axes || std::find(axes->begin(), axes->end(), kUnsure) != axes->end())
    return site.set(0, site.type(0), Shape(out.size(), kUnknown));
  std::size_t n = site.has(3) ? axes->size() : out.size();
  if (pads->size() != 2 * n) site.fail(fmt::format("{} pads for {}", pads->size(), to_string(*x)));
  for (std::size_t i = 0; i < n; ++i) {
    std::size_t axis = site.has(3) ? site.axis((*axes)[i], out.size()) : i;
    std::int64_t before = (*pads)[i], after = (*pads)[i + n];
    bool sure = before != kUnsure && after != kUnsure && out[axis] != kUnknown;
    if (sure && (std::abs(before) > kMaxDimension || std::abs(after) > kMaxDimension ||
                 out[axis] + before + after < 0))
      site.fail(fmt::format("pads of {} and {} on {}", before, after, to_string(*x)));
    out[axis] = sure ? out[axis] + before + after : kUnknown;
  }
  site.set(0, site.type(0), std::move(out));
}

std::int64_t product_without(const Shape& shape, std::size_t hole) {
  std::int64_t product = 1;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (i != hole) product = times(product, shape[i]);
  return product;
}

// The shape asked for, with 0 and kUnsure resolved; `hole` is where the -1 is.
Shape wanted_shape(const Site& site, const Shape& x, const std::vector<std::int64_t>& asked,
                   std::size_t& hole) {
  bool zero_is_zero = site.node.integer("allowzero", 0) != 0;
  hole = asked.size();
  Shape out;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    std::int64_t dim = asked[i];
    if (dim == -1 && hole != asked.size()) site.fail(fmt::format("two -1 in {}", to_string(asked)));
    if (dim == -1) hole = i;
    if (dim < -1 && dim != kUnsure) site.fail(fmt::format("a dimension of {}", dim));
    if (dim == 0 && !zero_is_zero && i >= x.size())
      site.fail(fmt::format("a 0 at {} for {}", i, to_string(x)));
    out.push_back(dim == kUnsure ? kUnknown : dim == 0 && !zero_is_zero ? x[i] : dim);
  }
  return out;
}

void fill_hole(const Site& site, const Shape& x, Shape& out, std::size_t hole) {
  std::int64_t total = element_count(x), rest = product_without(out, hole);
  if (total == kUnknown || rest == kUnknown) return;
  bool fits = hole == out.size() ? total == rest : rest > 0 ? total % rest == 0 : total == 0;
  if (!fits)
    site.fail(fmt::format("{} has {} elements and cannot become {}", to_string(x), total, to_string(out)));
  if (hole < out.size()) out[hole] = rest > 0 ? total / rest : 0;
}

void reshape_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  auto asked = site.list("shape", 1);
  if (!asked) {
    const Shape* length = site.shape(1);
    if (!length || length->size() != 1 || (*length)[0] < 0 || (*length)[0] > 64)
      return site.note("the shape asked for is unknown");
    return site.set(0, site.type(0), Shape(static_cast<std::size_t>((*length)[0]), kUnknown));
  }
  std::size_t hole = 0;
  Shape out = wanted_shape(site, *x, *asked, hole);
  fill_hole(site, *x, out, hole);
  site.set(0, site.type(0), std::move(out));
}

void flatten_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  std::int64_t asked = site.node.integer("axis", 1), rank = static_cast<std::int64_t>(x->size());
  if (asked < -rank || asked > rank) site.fail(fmt::format("axis {} of {}", asked, to_string(*x)));
  auto middle = x->begin() + (asked < 0 ? asked + rank : asked);
  site.set(0, site.type(0), {element_count({x->begin(), middle}), element_count({middle, x->end()})});
}

std::optional<std::vector<bool>> marked(Site& site, std::size_t rank) {
  auto axes = site.list("axes", 1);
  if (!axes || std::find(axes->begin(), axes->end(), kUnsure) != axes->end()) {
    site.note("its axes are unknown");
    return std::nullopt;
  }
  std::vector<bool> marks(rank, false);
  for (std::int64_t axis : *axes) marks[site.axis(axis, rank)] = true;
  return marks;
}

void squeeze_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  auto marks = marked(site, x->size());
  if (!marks) return;
  bool all = std::find(marks->begin(), marks->end(), true) == marks->end() && !x->empty();
  if (all && std::find(x->begin(), x->end(), kUnknown) != x->end())
    return site.note("which dimensions are 1 is unknown");
  Shape out;
  for (std::size_t i = 0; i < x->size(); ++i) {
    bool gone = all ? (*x)[i] == 1 : (*marks)[i];
    if (gone && (*x)[i] > 1) site.fail(fmt::format("axis {} of {} is not 1", i, to_string(*x)));
    if (!gone) out.push_back((*x)[i]);
  }
  site.set(0, site.type(0), std::move(out));
}

void unsqueeze_rule(Site& site) {
  const Shape* x = site.shape(0);
  auto axes = site.list("axes", 1);
  if (!x) return;
  if (!axes) return site.note("its axes are unknown");
  auto marks = marked(site, x->size() + axes->size());
  if (!marks) return;
  if (std::count(marks->begin(), marks->end(), true) != static_cast<std::ptrdiff_t>(axes->size()))
    site.fail("an axis is named twice");
  Shape out;
  auto next = x->begin();
  for (bool one : *marks) out.push_back(one ? 1 : *next++);
  site.set(0, site.type(0), std::move(out));
}

void transpose_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  auto perm = site.node.integers("perm");
  Shape out(x->rbegin(), x->rend()), sorted = perm;
  if (!perm.empty()) {
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 0; i < sorted.size(); ++i)
      if (sorted.size() != x->size() || sorted[i] != static_cast<std::int64_t>(i))
        site.fail(fmt::format("perm {} for {}", to_string(perm), to_string(*x)));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = (*x)[static_cast<std::size_t>(perm[i])];
  }
  site.set(0, site.type(0), std::move(out));
}

Shape as_shape(const std::vector<std::int64_t>& values) {
  Shape shape = values;
  std::replace(shape.begin(), shape.end(), kUnsure, kUnknown);
  return shape;
}

void expand_rule(Site& site) {
  const Shape* x = site.shape(0);
  auto asked = site.integers(1);
  if (!x) return;
  if (!asked) return site.note("the shape asked for is unknown");
  for (std::int64_t dim : *asked)
    if (dim < 0 && dim != kUnsure) site.fail(fmt::format("a dimension of {}", dim));
  site.set(0, site.type(0), broadcast(site, *x, as_shape(*asked)));
}

void tile_rule(Site& site) {
  const Shape* x = site.shape(0);
  auto repeats = site.integers(1);
  if (!x) return;
  Shape out(x->size(), kUnknown);
  if (repeats && repeats->size() != x->size())
    site.fail(fmt::format("{} repeats for {}", repeats->size(), to_string(*x)));
  for (std::size_t i = 0; repeats && i < out.size(); ++i) out[i] = times((*x)[i], (*repeats)[i]);
  site.set(0, site.type(0), std::move(out));
}

std::int64_t block_of(const Site& site, const Shape& x) {
  std::int64_t block = site.node.integer("blocksize", 0);
  if (block < 1 || block > (1 << 20) || x.size() != 4)
    site.fail(fmt::format("a block of {} for {}", block, to_string(x)));
  return block;
}

void depth_to_space_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  std::int64_t block = block_of(site, *x), depth = (*x)[1];
  if (depth >= 0 && depth % (block * block) != 0)
    site.fail(fmt::format("a block of {} for {}", block, to_string(*x)));
  site.set(0, site.type(0),
           {(*x)[0], depth < 0 ? kUnknown : depth / (block * block), times((*x)[2], block),
            times((*x)[3], block)});
}

void space_to_depth_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  std::int64_t block = block_of(site, *x);
  Shape out{(*x)[0], times((*x)[1], block * block), kUnknown, kUnknown};
  for (std::size_t i : {2u, 3u}) {
    if ((*x)[i] >= 0 && (*x)[i] % block != 0)
      site.fail(fmt::format("a block of {} for {}", block, to_string(*x)));
    if ((*x)[i] >= 0) out[i] = (*x)[i] / block;
  }
  site.set(0, site.type(0), std::move(out));
}

std::int64_t scaled(const Site& site, std::int64_t dim, double scale) {
  if (!(scale > 0) || scale > 1e9) site.fail(fmt::format("a scale of {}", scale));
  if (dim == kUnknown) return kUnknown;
  float out = static_cast<float>(scale) * static_cast<float>(dim);  // in float, as the runtimes do
  if (out > static_cast<float>(kMaxDimension)) site.fail(fmt::format("a scale of {} on {}", scale, dim));
  return static_cast<std::int64_t>(out);
}

// Axes that scales or sizes speak of: all, or those of the attribute (since opset 18).
std::vector<std::size_t> resized_axes(const Site& site, std::size_t rank, std::size_t given) {
  std::vector<std::size_t> axes;
  for (std::int64_t axis : site.node.integers("axes")) axes.push_back(site.axis(axis, rank));
  for (std::size_t i = 0;
       axes.size() < rank && !site.node.find<std::vector<std::int64_t>>("axes") && i < rank; ++i)
    axes.push_back(i);
  if (axes.size() != given)
    site.fail(fmt::format("{} scales or sizes for {} dimensions", given, axes.size()));
  return axes;
}

void resize_by_scales(Site& site, const Shape& x, const std::vector<double>& scales) {
  auto axes = resized_axes(site, x.size(), scales.size());
  if (site.node.text("coordinate_transformation_mode") == "tf_crop_and_resize")
    return site.note("resizing a region has no rule");
  Shape out = x;
  for (std::size_t i = 0; i < axes.size(); ++i) out[axes[i]] = scaled(site, x[axes[i]], scales[i]);
  site.set(0, site.type(0), std::move(out));
}

void resize_to_sizes(Site& site, const Shape& x, const std::vector<std::int64_t>& sizes) {
  auto axes = resized_axes(site, x.size(), sizes.size());
  Shape out = x;
  for (std::size_t i = 0; i < axes.size(); ++i) out[axes[i]] = sizes[i] == kUnsure ? kUnknown : sizes[i];
  std::string policy = site.node.text("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch") {
    bool larger = policy == "not_smaller";
    double scale = larger ? 0.0 : 1e30;
    for (std::size_t axis : axes) {
      if (x[axis] < 1 || out[axis] < 0) return site.note("a size to keep the aspect ratio of is unknown");
      double ratio = static_cast<double>(out[axis]) / static_cast<double>(x[axis]);
      scale = larger ? std::max(scale, ratio) : std::min(scale, ratio);
    }
    for (std::size_t axis : axes)
      if (scale * static_cast<double>(x[axis]) < 1e12)
        out[axis] = static_cast<std::int64_t>(std::floor(scale * static_cast<double>(x[axis]) + 0.5));
  }
  site.set(0, site.type(0), std::move(out));
}

void resize_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  bool old = site.node.inputs.size() ==
             2;  // (x, scales) of opset 10, Upsample of opset 9; else (x, roi, scales, sizes)
  if (const auto* scales = site.node.find<std::vector<float>>("scales"))
    return resize_by_scales(site, *x, {scales->begin(), scales->end()});
  if (site.has(3)) {
    if (auto sizes = site.integers(3)) return resize_to_sizes(site, *x, *sizes);
  } else if (auto scales = site.reals(old ? 1 : 2)) {
    return resize_by_scales(site, *x, *scales);
  }
  bool all = !site.node.find<std::vector<std::int64_t>>("axes");
  Shape out = all ? Shape(x->size(), kUnknown) : *x;
  for (std::int64_t axis : site.node.integers("axes")) out[site.axis(axis, x->size())] = kUnknown;
  site.set(0, site.type(0), std::move(out));
}

}  // namespace

std::span<const RuleEntry> layout_rules() {
  static constexpr RuleEntry rules[] = {{"Concat", concat_rule},
                                        {"Split", split_rule},
                                        {"Slice", slice_rule},
                                        {"Pad", pad_rule},
                                        {"Reshape", reshape_rule},
                                        {"Flatten", flatten_rule},
                                        {"Squeeze", squeeze_rule},
                                        {"Unsqueeze", unsqueeze_rule},
                                        {"Transpose", transpose_rule},
                                        {"Expand", expand_rule},
                                        {"Tile", tile_rule},
                                        {"DepthToSpace", depth_to_space_rule},
                                        {"SpaceToDepth", space_to_depth_rule},
                                        {"Resize", resize_rule},
                                        {"Upsample", resize_rule}};
  return rules;
}

}  // namespace tailor::graph
