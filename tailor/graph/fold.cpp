// Folding of shape arithmetic: small integer (and real) tensors are computed as far as their inputs are
// known. An integer element may be unsure; it spreads through arithmetic and is moved like any other. The
// output's dimensions come from the operator's shape rule, so the functions here only say which element goes
// where.
#include "tailor/base/error.h"
#include "tailor/graph/rules.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace tailor::graph {
namespace {

using Folded = std::unordered_map<std::size_t, Array>;

bool is_integer(DataType type) {
  return type == DataType::i64 || type == DataType::i32 || type == DataType::boolean ||
         type == DataType::u8 || type == DataType::i8;
}

std::size_t count_of(const Shape& dims) { return static_cast<std::size_t>(element_count(dims)); }

Array blank(const TensorType& like) {
  Array out{like.type, like.shape, is_real(like.type), {}, {}};
  out.real ? out.reals.resize(count_of(like.shape)) : out.ints.resize(count_of(like.shape));
  return out;
}

void copy_element(const Array& from, std::size_t i, Array& to, std::size_t o) {
  if (to.real)
    to.reals[o] = from.real ? from.reals[i] : static_cast<double>(from.ints[i]);
  else
    to.ints[o] = from.ints[i];
}

std::vector<std::size_t> strides(const Shape& dims) {
  std::vector<std::size_t> out(dims.size(), 1);
  for (std::size_t i = dims.size(); i-- > 1;) out[i - 1] = out[i] * static_cast<std::size_t>(dims[i]);
  return out;
}

// Calls visit(place in `dims`, flat index) for every element in order.
template <class Visit>
void each(const Shape& dims, Visit visit) {
  Shape at(dims.size(), 0);
  for (std::size_t flat = 0, total = count_of(dims); flat < total; ++flat) {
    visit(at, flat);
    for (std::size_t i = dims.size(); i-- > 0;) {
      if (++at[i] < dims[i]) break;
      at[i] = 0;
    }
  }
}

std::size_t flat_broadcast(const Shape& at, const Shape& dims) {
  std::size_t flat = 0, shift = at.size() - dims.size();
  for (std::size_t i = 0; i < dims.size(); ++i)
    flat =
        flat * static_cast<std::size_t>(dims[i]) + static_cast<std::size_t>(dims[i] == 1 ? 0 : at[shift + i]);
  return flat;
}

Array same_elements(const Array& x, const TensorType& out) {
  Array y = x;
  y.dims = out.shape;
  return y;
}

std::int64_t to_integer(double value, DataType type) {
  if (type == DataType::boolean) return value != 0;
  return std::abs(value) < 9e18 ? static_cast<std::int64_t>(value) : kUnsure;
}

Array cast(const Array& x, const TensorType& out) {
  Array y = blank(out);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (y.real || !x.real)
      copy_element(x, i, y, i);
    else
      y.ints[i] = to_integer(x.reals[i], out.type);
    if (!y.real && !x.real && out.type == DataType::boolean && x.ints[i] != kUnsure)
      y.ints[i] = x.ints[i] != 0;
  }
  return y;
}

Array broadcast_copy(const Array& x, const TensorType& out) {
  Array y = blank(out);
  each(out.shape, [&](const Shape& at, std::size_t o) { copy_element(x, flat_broadcast(at, x.dims), y, o); });
  return y;
}

std::int64_t floor_mod(std::int64_t a, std::int64_t b) {
  if (b == 0 || b == -1) return b == 0 ? kUnsure : 0;
  std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

std::int64_t integer_result(std::string_view op, std::int64_t a, std::int64_t b) {
  if (a == kUnsure || b == kUnsure) return kUnsure;
  std::int64_t r = 0;
  if (op == "Add") return __builtin_add_overflow(a, b, &r) ? kUnsure : r;
  if (op == "Sub") return __builtin_sub_overflow(a, b, &r) ? kUnsure : r;
  if (op == "Mul") return __builtin_mul_overflow(a, b, &r) ? kUnsure : r;
  if (op == "Div") return b == 0 ? kUnsure : a / b;
  if (op == "Mod") return floor_mod(a, b);
  if (op == "Min") return std::min(a, b);
  if (op == "Max") return std::max(a, b);
  if (op == "Pow") return to_integer(std::pow(static_cast<double>(a), static_cast<double>(b)), DataType::i64);
  if (op == "And") return a && b;
  if (op == "Or") return a || b;
  return (a != 0) != (b != 0);  // Xor
}

double real_result(std::string_view op, double a, double b) {
  if (op == "Add") return a + b;
  if (op == "Sub") return a - b;
  if (op == "Mul") return a * b;
  if (op == "Div") return a / b;
  if (op == "Mod") return std::fmod(a, b);
  if (op == "Min") return std::min(a, b);
  if (op == "Max") return std::max(a, b);
  return std::pow(a, b);
}

bool compare(std::string_view op, auto a, auto b) {
  if (op == "Equal") return a == b;
  if (op == "Greater") return a > b;
  if (op == "Less") return a < b;
  return op == "GreaterOrEqual" ? a >= b : a <= b;
}

Array binary(std::string_view op, const Array& a, const Array& b, const TensorType& out) {
  Array y = blank(out);
  each(out.shape, [&](const Shape& at, std::size_t o) {
    std::size_t i = flat_broadcast(at, a.dims), j = flat_broadcast(at, b.dims);
    if (y.real)
      y.reals[o] = real_result(op, a.as_real(i), b.as_real(j));
    else
      y.ints[o] = a.real || b.real ? kUnsure : integer_result(op, a.ints[i], b.ints[j]);
    if (y.real && out.type == DataType::f32) y.reals[o] = static_cast<float>(y.reals[o]);
  });
  return y;
}

Array comparison(std::string_view op, const Array& a, const Array& b, const TensorType& out) {
  Array y = blank(out);
  each(out.shape, [&](const Shape& at, std::size_t o) {
    std::size_t i = flat_broadcast(at, a.dims), j = flat_broadcast(at, b.dims);
    if (a.real || b.real)
      y.ints[o] = compare(op, a.as_real(i), b.as_real(j));
    else if (a.ints[i] == kUnsure || b.ints[j] == kUnsure)
      y.ints[o] = kUnsure;
    else
      y.ints[o] = compare(op, a.ints[i], b.ints[j]);
  });
  return y;
}

double unary_result(std::string_view op, double x) {
  if (op == "Neg") return -x;
  if (op == "Abs") return std::abs(x);
  if (op == "Floor") return std::floor(x);
  if (op == "Ceil") return std::ceil(x);
  if (op == "Round") return std::nearbyint(x);
  if (op == "Sqrt") return std::sqrt(x);
  if (op == "Exp") return std::exp(x);
  if (op == "Log") return std::log(x);
  return 1 / x;  // Reciprocal
}

std::int64_t unary_result(std::string_view op, std::int64_t x) {
  if (x == kUnsure) return x;
  if (op == "Not") return x == 0;
  return op == "Neg" || (op == "Abs" && x < 0) ? -x : x;
}

Array unary(std::string_view op, Array x) {
  for (double& value : x.reals) value = unary_result(op, value);
  for (std::int64_t& value : x.ints) value = unary_result(op, value);
  return x;
}

std::optional<Array> gather(const Array& x, const Array& index, std::size_t axis, const TensorType& out) {
  Array y = blank(out);
  bool fits = true;
  auto step = strides(x.dims);
  each(out.shape, [&](const Shape& at, std::size_t o) {
    Shape inner(at.begin() + static_cast<std::ptrdiff_t>(axis),
                at.begin() + static_cast<std::ptrdiff_t>(axis + index.dims.size()));
    std::int64_t i = index.ints[flat_broadcast(inner, index.dims)];
    if (i != kUnsure && i < 0) i += x.dims[axis];
    if (i == kUnsure || i < 0 || i >= x.dims[axis]) return void(fits = false);
    std::size_t from = static_cast<std::size_t>(i) * step[axis];
    for (std::size_t d = 0; d < x.dims.size(); ++d)
      if (d != axis) from += step[d] * static_cast<std::size_t>(at[d < axis ? d : d - 1 + index.dims.size()]);
    copy_element(x, from, y, o);
  });
  return fits ? std::optional(std::move(y)) : std::nullopt;
}

std::optional<Array> concat(Site& site, std::size_t axis, const TensorType& out) {
  Array y = blank(out);
  std::int64_t done = 0;
  auto step = strides(out.shape);
  for (std::size_t i = 0; i < site.node.inputs.size(); ++i) {
    auto x = site.array(i);
    if (!x || x->real != y.real) return std::nullopt;
    each(x->dims, [&](const Shape& at, std::size_t from) {
      std::size_t to = static_cast<std::size_t>(done) * step[axis];
      for (std::size_t d = 0; d < at.size(); ++d) to += step[d] * static_cast<std::size_t>(at[d]);
      copy_element(*x, from, y, to);
    });
    done += x->dims[axis];
  }
  return y;
}

// `from` maps a place in the output to one in the input.
template <class From>
std::optional<Array> moved(const Array& x, const TensorType& out, From from) {
  Array y = blank(out);
  bool inside = true;
  auto step = strides(x.dims);
  each(out.shape, [&](const Shape& at, std::size_t o) {
    Shape place = from(at);
    std::size_t flat = 0;
    for (std::size_t d = 0; d < place.size(); ++d) flat += step[d] * static_cast<std::size_t>(place[d]);
    if (flat < x.size())
      copy_element(x, flat, y, o);
    else
      inside = false;
  });
  return inside ? std::optional(std::move(y)) : std::nullopt;
}

std::optional<Array> slice_elements(Site& site, const Array& x, const TensorType& out) {
  auto starts = site.list("starts", 1), axes = site.list("axes", 3), steps = site.list("steps", 4);
  if (!starts || !axes || !steps) return std::nullopt;
  Shape begin(x.dims.size(), 0), step(x.dims.size(), 1);
  for (std::size_t i = 0; i < starts->size(); ++i) {
    if (!axes->empty() && i >= axes->size()) return std::nullopt;
    std::size_t axis = site.axis(axes->empty() ? static_cast<std::int64_t>(i) : (*axes)[i], x.dims.size());
    std::int64_t dim = x.dims[axis], at = (*starts)[i];
    if (at == kUnsure || (!steps->empty() && i >= steps->size())) return std::nullopt;
    step[axis] = steps->empty() ? 1 : (*steps)[i];
    if (at < 0) at = at < -dim ? 0 : at + dim;
    begin[axis] = std::clamp<std::int64_t>(at, 0, std::max<std::int64_t>(dim - (step[axis] < 0), 0));
  }
  return moved(x, out, [&](const Shape& at) {
    Shape place = at;
    for (std::size_t d = 0; d < at.size(); ++d) place[d] = begin[d] + at[d] * step[d];
    return place;
  });
}

std::optional<Array> transposed(const Site& site, const Array& x, const TensorType& out) {
  auto perm = site.node.integers("perm");
  if (perm.empty())
    for (std::size_t i = x.dims.size(); i-- > 0;) perm.push_back(static_cast<std::int64_t>(i));
  return moved(x, out, [&](const Shape& at) {
    Shape place(at.size());
    for (std::size_t d = 0; d < at.size(); ++d) place[static_cast<std::size_t>(perm[d])] = at[d];
    return place;
  });
}

std::optional<Array> tiled(const Array& x, const TensorType& out) {
  return moved(x, out, [&](const Shape& at) {
    Shape place = at;
    for (std::size_t d = 0; d < at.size(); ++d) place[d] %= x.dims[d];
    return place;
  });
}

// All axes to one element: what shape arithmetic uses.
std::optional<Array> reduced(std::string_view op, const Array& x, const TensorType& out) {
  if (count_of(out.shape) != 1 || x.size() == 0) return std::nullopt;
  std::string_view step = op == "ReduceProd"  ? "Mul"
                          : op == "ReduceMax" ? "Max"
                          : op == "ReduceMin" ? "Min"
                                              : "Add";
  Array y = blank(out);
  copy_element(x, 0, y, 0);
  for (std::size_t i = 1; i < x.size(); ++i) {
    if (y.real)
      y.reals[0] = real_result(step, y.reals[0], x.as_real(i));
    else
      y.ints[0] = integer_result(step, y.ints[0], x.ints[i]);
  }
  return y;
}

std::optional<Array> chosen(Site& site, const TensorType& out) {
  auto condition = site.array(0), a = site.array(1), b = site.array(2);
  if (!condition || !a || !b || condition->real || !condition->sure()) return std::nullopt;
  Array y = blank(out);
  if (a->real != y.real || b->real != y.real) return std::nullopt;
  each(out.shape, [&](const Shape& at, std::size_t o) {
    const Array& from = condition->ints[flat_broadcast(at, condition->dims)] ? *a : *b;
    copy_element(from, flat_broadcast(at, from.dims), y, o);
  });
  return y;
}

std::optional<Array> filled(Site& site, const TensorType& out) {
  Array y = blank(out);
  const Tensor* value = site.node.find<Tensor>("value");
  if (!value) return y;
  auto element = to_array(*value);
  if (!element || element->size() != 1 || element->real != y.real) return std::nullopt;
  for (std::size_t o = 0; o < y.size(); ++o) copy_element(*element, 0, y, o);
  return y;
}

std::optional<Array> ranged(Site& site, const TensorType& out) {
  auto start = site.array(0), step = site.array(2);
  Array y = blank(out);
  if (!start || !step || start->size() != 1 || step->size() != 1 || start->real != y.real ||
      step->real != y.real)
    return std::nullopt;
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (y.real)
      y.reals[i] = start->reals[0] + static_cast<double>(i) * step->reals[0];
    else
      y.ints[i] = integer_result("Add", start->ints[0],
                                 integer_result("Mul", static_cast<std::int64_t>(i), step->ints[0]));
  }
  return y;
}

Array shape_elements(Site& site, const Shape& x) {
  auto rank = static_cast<std::int64_t>(x.size());
  std::int64_t start = std::clamp(site.node.integer("start", 0), -rank, rank);
  Array y = blank(site.outputs.at(0));
  for (std::size_t i = 0; i < y.ints.size(); ++i) {
    std::int64_t dim = x[static_cast<std::size_t>(start < 0 ? start + rank : start) + i];
    y.ints[i] = dim < 0 ? kUnsure : dim;
  }
  return y;
}

std::optional<Array> indices_of_nonzero(const Array& x) {
  std::vector<Shape> found;
  each(x.dims, [&](const Shape& at, std::size_t i) {
    if (x.as_real(i) != 0) found.push_back(at);
  });
  Array y{DataType::i64,
          {static_cast<std::int64_t>(x.dims.size()), static_cast<std::int64_t>(found.size())},
          false,
          {},
          {}};
  for (std::size_t d = 0; d < x.dims.size(); ++d)
    for (const Shape& at : found) y.ints.push_back(at[d]);
  return y;
}

bool among(std::string_view op, std::initializer_list<std::string_view> ops) {
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

// Operators whose single input is an array.
std::optional<Array> fold_one(Site& site, const Array& x, const TensorType& out) {
  std::string_view op = site.node.op;
  bool same_type = x.type == out.type;
  if (among(op, {"Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten"}) &&
      x.size() == count_of(out.shape))
    return same_elements(x, out);
  if (op == "Cast") return cast(x, out);
  if (!same_type) return std::nullopt;
  if (op == "Expand") return broadcast_copy(x, out);
  if (op == "Tile") return tiled(x, out);
  if (op == "Transpose") return transposed(site, x, out);
  if (op == "Slice") return slice_elements(site, x, out);
  if (among(op, {"ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin"})) return reduced(op, x, out);
  if (among(op, {"Neg", "Abs", "Not"}) ||
      (x.real && among(op, {"Floor", "Ceil", "Round", "Sqrt", "Exp", "Log", "Reciprocal"})))
    return unary(op, x);
  return std::nullopt;
}

std::optional<Array> fold_two(Site& site, const Array& a, const Array& b, const TensorType& out) {
  std::string_view op = site.node.op;
  if (op == "Gather")
    return b.real ? std::nullopt : gather(a, b, site.axis(site.node.integer("axis", 0), a.dims.size()), out);
  if (site.node.inputs.size() != 2) return std::nullopt;
  if (among(op, {"Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Pow", "And", "Or", "Xor"}) &&
      a.real == is_real(out.type))
    return binary(op, a, b, out);
  if (among(op, {"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"}))
    return comparison(op, a, b, out);
  return std::nullopt;
}

std::optional<Array> fold_made(Site& site, const TensorType& out) {
  const std::string& op = site.node.op;
  if (op == "ConstantOfShape") return filled(site, out);
  if (op == "Range") return ranged(site, out);
  if (op == "Where") return chosen(site, out);
  if (op == "Concat") return concat(site, site.axis(site.node.integer("axis", 0), out.shape.size()), out);
  if (op == "Shape")
    if (const Shape* x = site.shape(0)) return shape_elements(site, *x);
  if (op == "Size")
    if (const Shape* x = site.shape(0)) {
      std::int64_t count = element_count(*x);
      return Array{DataType::i64, {}, false, {count < 0 ? kUnsure : count}, {}};
    }
  return std::nullopt;
}

void fold_split(Site& site, const Array& x, Folded& out) {
  std::size_t axis = site.axis(site.node.integer("axis", 0), x.dims.size());
  std::int64_t done = 0;
  for (std::size_t i = 0; i < site.node.outputs.size(); ++i) {
    const TensorType& part = site.outputs.at(i);
    if (part.type != x.type || element_count(part.shape) < 0) return;
    auto value = moved(x, part, [&](Shape at) {
      at[axis] += done;
      return at;
    });
    if (!value) return;
    out.emplace(i, std::move(*value));
    done += part.shape[axis];
  }
}

bool foldable(const TensorType& type) {
  std::int64_t count = element_count(type.shape);
  return count >= 0 && count <= kMaxElements && (is_real(type.type) || is_integer(type.type));
}

std::optional<Array> fold_single(Site& site, const TensorType& out) {
  if (!foldable(out)) return std::nullopt;
  if (auto made = fold_made(site, out)) return made;
  auto a = site.array(0);
  if (!a) return std::nullopt;
  if (auto b = site.has(1) ? site.array(1) : std::nullopt)
    if (auto two = fold_two(site, *a, *b, out)) return two;
  return fold_one(site, *a, out);
}

}  // namespace

std::unordered_map<std::size_t, Array> fold(Site& site) {
  Folded out;
  if (site.node.op == "Split" && site.outputs.size() == site.node.outputs.size()) {
    if (auto x = site.array(0)) fold_split(site, *x, out);
  } else if (site.node.op == "NonZero") {
    auto x = site.array(0);
    if (x && x->sure() && !x->dims.empty()) out.emplace(0, *indices_of_nonzero(*x));
  } else if (auto type = site.outputs.find(0); type != site.outputs.end() && site.node.outputs.size() == 1) {
    if (auto value = fold_single(site, type->second)) out.emplace(0, std::move(*value));
  }
  return out;
}

}  // namespace tailor::graph
