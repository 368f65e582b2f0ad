// Operators that gather, reduce, rank or make elements.
#include "tailor/graph/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::graph {
namespace {

void gather_rule(Site& site) {
  const Shape *x = site.shape(0), *index = site.shape(1);
  if (!x || !index) return;
  auto axis = static_cast<std::ptrdiff_t>(site.axis(site.node.integer("axis", 0), x->size()));
  Shape out(x->begin(), x->begin() + axis);
  out.insert(out.end(), index->begin(), index->end());
  out.insert(out.end(), x->begin() + axis + 1, x->end());
  site.set(0, site.type(0), std::move(out));
}

void gather_elements_rule(Site& site) {
  const Shape *x = site.shape(0), *index = site.shape(1);
  if (!x || !index) return;
  if (x->size() != index->size()) site.fail(fmt::format("{} by {}", to_string(*x), to_string(*index)));
  site.axis(site.node.integer("axis", 0), x->size());
  site.set(0, site.type(0), *index);
}

void gather_nd_rule(Site& site) {
  const Shape *x = site.shape(0), *index = site.shape(1);
  if (!x || !index) return;
  if (index->empty() || index->back() == kUnknown)
    return site.note("the length of its index tuples is unknown");
  std::int64_t batch = site.node.integer("batch_dims", 0), depth = index->back();
  auto rank = static_cast<std::int64_t>(x->size());
  if (batch < 0 || batch >= rank || depth > rank - batch)
    site.fail(fmt::format("{} by {}", to_string(*x), to_string(*index)));
  Shape out(index->begin(), index->end() - 1);
  out.insert(out.end(), x->begin() + batch + depth, x->end());
  site.set(0, site.type(0), std::move(out));
}

void reduce_to(Site& site, const Shape& x, const std::vector<bool>& gone, DataType type) {
  bool keep = site.node.integer("keepdims", 1) != 0;
  Shape out;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!gone[i])
      out.push_back(x[i]);
    else if (keep)
      out.push_back(1);
  }
  site.set(0, type, std::move(out));
}

bool unsure(const std::vector<std::int64_t>& values) {
  return std::find(values.begin(), values.end(), kUnsure) != values.end();
}

void reduce_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  auto axes = site.list("axes", 1);
  bool keep = site.node.integer("keepdims", 1) != 0;
  if (!axes || unsure(*axes)) {
    if (keep) site.set(0, site.type(0), Shape(x->size(), kUnknown));
    return site.note("its axes are unknown");
  }
  bool nothing = axes->empty() && site.node.integer("noop_with_empty_axes", 0) != 0;
  std::vector<bool> gone(x->size(), axes->empty() && !nothing);
  for (std::int64_t axis : *axes) gone[site.axis(axis, x->size())] = true;
  reduce_to(site, *x, gone, site.type(0));
}

void arg_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  std::vector<bool> gone(x->size(), false);
  gone[site.axis(site.node.integer("axis", 0), x->size())] = true;
  reduce_to(site, *x, gone, DataType::i64);
}

void top_k_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  std::size_t axis = site.axis(site.node.integer("axis", -1), x->size());
  std::int64_t k = site.node.integer("k", kUnknown);
  if (auto given = site.integers(1); given && given->size() == 1 && (*given)[0] != kUnsure) k = (*given)[0];
  Shape out = *x;
  if (k > 0 && out[axis] >= 0 && k > out[axis]) site.fail(fmt::format("the best {} of {}", k, to_string(*x)));
  out[axis] = k;
  site.set(0, site.type(0), out);
  site.set(1, DataType::i64, std::move(out));
}

void one_hot_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return;
  auto depth = site.array(1);
  std::int64_t size = kUnknown;
  if (depth && depth->size() == 1 && depth->sure() && depth->as_real(0) >= 0 && depth->as_real(0) < 1e12)
    size = static_cast<std::int64_t>(depth->as_real(0));
  Shape out = *x;
  std::size_t axis = site.axis(site.node.integer("axis", -1), x->size() + 1);
  out.insert(out.begin() + static_cast<std::ptrdiff_t>(axis), size);
  site.set(0, site.type(2), std::move(out));
}

void shape_rule(Site& site) {
  const Shape* x = site.shape(0);
  if (!x) return site.set(0, DataType::i64, {kUnknown});
  auto rank = static_cast<std::int64_t>(x->size());
  auto place = [&](std::int64_t at) {
    at = std::clamp(at, -rank, rank);
    return at < 0 ? at + rank : at;
  };
  std::int64_t start = place(site.node.integer("start", 0)), end = place(site.node.integer("end", rank));
  site.set(0, DataType::i64, {std::max<std::int64_t>(end - start, 0)});
}

void size_rule(Site& site) { site.set(0, DataType::i64, {}); }

void range_rule(Site& site) {
  auto start = site.array(0), limit = site.array(1), step = site.array(2);
  Shape out{kUnknown};
  bool known = start && limit && step && start->size() == 1 && limit->size() == 1 && step->size() == 1 &&
               start->sure() && limit->sure() && step->sure();
  if (known) {
    if (step->as_real(0) == 0) site.fail("a step of 0");
    double count = std::ceil((limit->as_real(0) - start->as_real(0)) / step->as_real(0));
    if (!(count < 1e12)) site.fail(fmt::format("{} elements", count));
    out[0] = count > 0 ? static_cast<std::int64_t>(count) : 0;
  }
  site.set(0, site.type(0), std::move(out));
}

void constant_of_shape_rule(Site& site) {
  const Tensor* value = site.node.find<Tensor>("value");
  DataType type = value ? value->type : DataType::f32;
  auto asked = site.integers(0);
  if (!asked) {
    const Shape* length = site.shape(0);
    if (length && length->size() == 1 && (*length)[0] >= 0 && (*length)[0] <= 64)
      site.set(0, type, Shape(static_cast<std::size_t>((*length)[0]), kUnknown));
    return site.note("the shape asked for is unknown");
  }
  Shape out = *asked;
  for (std::int64_t& dim : out) {
    if (dim < 0 && dim != kUnsure) site.fail(fmt::format("a dimension of {}", dim));
    if (dim == kUnsure) dim = kUnknown;
  }
  site.set(0, type, std::move(out));
}

void non_zero_rule(Site& site) {
  if (const Shape* x = site.shape(0))
    site.set(0, DataType::i64, {static_cast<std::int64_t>(x->size()), kUnknown});
}

void non_max_suppression_rule(Site& site) { site.set(0, DataType::i64, {kUnknown, 3}); }

void grid_sample_rule(Site& site) {
  const Shape *x = site.shape(0), *grid = site.shape(1);
  if (!x || !grid) return;
  if (x->size() < 3 || grid->size() != x->size())
    site.fail(fmt::format("{} by {}", to_string(*x), to_string(*grid)));
  Shape out{(*x)[0], (*x)[1]};
  out.insert(out.end(), grid->begin() + 1, grid->end() - 1);
  site.set(0, site.type(0), std::move(out));
}

void random_rule(Site& site) { site.set(0, DataType::f32, site.node.integers("shape")); }

}  // namespace

std::span<const RuleEntry> selection_rules() {
  static const std::vector<RuleEntry> rules = [] {
    std::vector<RuleEntry> list{{"Gather", gather_rule},
                                {"GatherElements", gather_elements_rule},
                                {"GatherND", gather_nd_rule},
                                {"ArgMax", arg_rule},
                                {"ArgMin", arg_rule},
                                {"TopK", top_k_rule},
                                {"OneHot", one_hot_rule},
                                {"Shape", shape_rule},
                                {"Size", size_rule},
                                {"Range", range_rule},
                                {"ConstantOfShape", constant_of_shape_rule},
                                {"NonZero", non_zero_rule},
                                {"NonMaxSuppression", non_max_suppression_rule},
                                {"GridSample", grid_sample_rule},
                                {"RandomNormal", random_rule},
                                {"RandomUniform", random_rule}};
    for (std::string_view op : {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
                                "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"})
      list.push_back({op, reduce_rule});
    return list;
  }();
  return rules;
}

}  // namespace tailor::graph
