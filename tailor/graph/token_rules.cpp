// The rules, in this order: operands side by side, sums over an axis, tokens moved, tokens picked and joined, the table.
#include "tailor/graph/token_rules.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace tailor::graph::tokens {
namespace {

int rank(const Shape& shape) { return static_cast<int>(shape.size()); }

bool alike(const TokenAxis& a, const TokenAxis& b) {
  return a.outer == b.outer && a.inner == b.inner && (a.tokens == b.tokens || *a.tokens == *b.tokens);
}

// Axis counted from the front; -1 if there is no such axis.
int wrapped(std::int64_t axis, int of_rank) {
  if (axis < 0) axis += of_rank;
  return axis >= 0 && axis < of_rank ? static_cast<int>(axis) : -1;
}

const TokenAxis* on_axis(const std::vector<TokenAxis>& axes, int axis) {
  for (const TokenAxis& t : axes)
    if (t.axis == axis) return &t;
  return nullptr;
}

std::string same(const Context& c) {
  c.set(c.in(0));
  return {};
}

std::string pointwise(const Context& c) {
  for (std::size_t i = 1; i < c.node.inputs.size(); ++i)
    if (!c.in(i).empty()) return "takes a parameter from the tokens";
  std::vector<TokenAxis> axes = c.in(0);
  for (TokenAxis& t : axes) t.weights = false;
  c.set(std::move(axes));
  return {};
}

// An operand beside tokens that lie on `axis` of the result: a token for a token, the same for all, or a constant that is
// cut with them.
std::string beside(const Context& c, std::size_t i, const TokenAxis& t) {
  const Shape& shape = c.shape(i);
  const int own = t.axis - (rank(c.out()) - rank(shape));
  if (own < 0 || shape[static_cast<std::size_t>(own)] == 1 || c.on(i, own)) return {};
  if (!literal(c.model.graph, c.uses, c.shapes, c.node.input(i)))
    return "joins the tokens with a value of all places that was made before them";
  if (!t.plain()) return "adds a constant to tokens that share an axis with something else";
  c.flow.constants.push_back({c.index, static_cast<int>(i), own, t});
  return {};
}

std::string elementwise(const Context& c) {
  std::vector<TokenAxis> axes;
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i)
    for (TokenAxis t : c.in(i)) {
      t.axis += rank(c.out()) - rank(c.shape(i)), t.weights = false;
      const TokenAxis* other = on_axis(axes, t.axis);
      if (other && !alike(*other, t)) return "joins different tokens";
      if (!other) axes.push_back(t);
    }
  for (const TokenAxis& t : axes)
    for (std::size_t i = 0; i < c.node.inputs.size(); ++i)
      if (!c.node.input(i).empty())
        if (std::string why = beside(c, i, t); !why.empty()) return why;
  c.set(std::move(axes));
  return {};
}

// Tokens on the axis that a product sums over: weights of a softmax times what they weigh.
std::string sums_over(const std::optional<TokenAxis>& a, const std::optional<TokenAxis>& b) {
  if (!a && !b) return {};
  if (!a || !b || !alike(*a, *b)) return "mixes the tokens by weights that belong to their places";
  return a->weights || b->weights ? "" : "sums over the tokens without a softmax";
}

std::string product(const Context& c) {
  const int a = rank(c.shape(0)), b = rank(c.shape(1)), to = rank(c.out());
  if (a < 2 || b < 2) return "multiplies by a vector";
  if (std::string why = sums_over(c.on(0, a - 1), c.on(1, b - 2)); !why.empty()) return why;
  std::vector<TokenAxis> axes;
  for (std::size_t i = 0; i < 2; ++i)
    for (TokenAxis t : c.in(i)) {
      const int own = rank(c.shape(i)), from_end = own - t.axis;
      if (from_end == (i == 0 ? 1 : 2)) continue;
      t.axis += to - own, t.weights = false;
      const TokenAxis* other = on_axis(axes, t.axis);
      if (other && !alike(*other, t)) return "joins different tokens";
      if (!other) axes.push_back(t);
      const Shape& beside = c.shape(1 - i);
      const int there = t.axis - (to - rank(beside));
      if (from_end > 2 && there >= 0 && beside[static_cast<std::size_t>(there)] != 1 && !c.on(1 - i, there))
        return "multiplies each place by weights of its own";
    }
  c.set(std::move(axes));
  return {};
}

std::string gemm(const Context& c) {
  const int rows = c.node.integer("transA", 0) ? 1 : 0;
  if (!c.in(1).empty() || !c.in(2).empty()) return "takes its weights from the tokens";
  std::vector<TokenAxis> axes = c.in(0);
  if (axes.size() != 1 || axes[0].axis != rows)
    return "mixes the tokens by weights that belong to their places";
  axes[0].axis = 0, axes[0].weights = false;
  if (!c.node.input(2).empty() && rank(c.shape(2)) == 2 && c.shape(2)[0] != 1)
    return "adds a bias to each place";
  c.set(std::move(axes));
  return {};
}

// 1x1, one place at a time.
std::string convolution(const Context& c) {
  const Shape& kernel = c.shape(1);
  auto all = [&](const char* name, std::int64_t value) {
    const std::vector<std::int64_t> list = c.node.integers(name);
    return std::all_of(list.begin(), list.end(), [&](std::int64_t v) { return v == value; });
  };
  if (kernel.size() < 3) return "has no kernel";
  const bool one = std::all_of(kernel.begin() + 2, kernel.end(), [](std::int64_t k) { return k == 1; });
  if (!one || !all("strides", 1) || !all("pads", 0)) return "mixes neighbouring tokens";
  for (const TokenAxis& t : c.in(0))
    if (t.axis == 1) return "mixes the tokens by weights that belong to their places";
  return pointwise(c);
}

std::string softmax(const Context& c) {
  const int of_rank = rank(c.out()), axis = wrapped(c.node.integer("axis", c.opset < 13 ? 1 : -1), of_rank),
            last = c.opset < 13 ? of_rank - 1 : axis;
  std::vector<TokenAxis> axes = c.in(0);
  for (TokenAxis& t : axes) {
    t.weights = false;
    if (t.axis < axis || t.axis > last) continue;
    if (axis != last || !t.plain() || c.node.op != "Softmax")
      return "normalises over tokens and something else";
    t.weights = true;
    c.flow.attentions.push_back(c.index);
  }
  c.set(std::move(axes));
  return {};
}

// Each token by itself, if tokens lie on none of the axes from `first` to `last`.
std::string normalise(const Context& c, int first, int last) {
  for (const TokenAxis& t : c.in(0))
    if (t.axis >= first && t.axis <= last) return "normalises over the tokens";
  return pointwise(c);
}

std::string layer_normalisation(const Context& c) {
  const int of_rank = rank(c.out());
  return normalise(c, wrapped(c.node.integer("axis", -1), of_rank), of_rank - 1);
}

std::string batch_normalisation(const Context& c) { return normalise(c, 1, 1); }

// Tokens that are left on the axes that stay.
std::string without(const Context& c, const std::set<int>& gone, bool stay_as_one) {
  const bool any_subset = c.node.op == "ReduceMean" || c.node.op == "ReduceMax" || c.node.op == "ReduceMin" ||
                          c.node.op.starts_with("Global");
  std::vector<TokenAxis> axes;
  for (TokenAxis t : c.in(0)) {
    if (gone.contains(t.axis)) {
      if (!any_subset) return "depends on how many tokens there are";
      continue;
    }
    if (!stay_as_one)
      t.axis -= static_cast<int>(std::count_if(gone.begin(), gone.end(), [&](int a) { return a < t.axis; }));
    t.weights = false;
    axes.push_back(t);
  }
  c.set(std::move(axes));
  return {};
}

std::string reduce(const Context& c) {
  const int of_rank = rank(c.shape(0));
  std::vector<std::int64_t> list = c.node.integers("axes");
  if (!c.node.input(1).empty()) {
    const auto given = c.integers(1);
    if (!given) return "reduces computed axes";
    list = *given;
  }
  if (list.empty() && c.node.integer("noop_with_empty_axes", 0)) return pointwise(c);
  std::set<int> gone;
  for (std::int64_t axis : list) gone.insert(wrapped(axis, of_rank));
  for (int axis = 0; list.empty() && axis < of_rank; ++axis) gone.insert(axis);
  return without(c, gone, c.node.integer("keepdims", 1) != 0);
}

std::string pool_all(const Context& c) {
  std::set<int> gone;
  for (int axis = 2; axis < rank(c.shape(0)); ++axis) gone.insert(axis);
  return without(c, gone, true);
}

std::string transpose(const Context& c) {
  std::vector<TokenAxis> axes = c.in(0);
  const int of_rank = rank(c.out());
  std::vector<std::int64_t> order = c.node.integers("perm");
  if (order.empty())
    for (int i = of_rank; i-- > 0;) order.push_back(i);
  for (TokenAxis& t : axes) {
    const auto at = std::find(order.begin(), order.end(), t.axis);
    if (at == order.end()) return "is transposed in a way that does not fit its rank";
    t.axis = static_cast<int>(at - order.begin());
  }
  c.set(std::move(axes));
  return {};
}

// The axis of `to` on which all tokens lie after a Reshape of `from`.
std::optional<TokenAxis> placed(TokenAxis t, const Shape& from, const Shape& to) {
  std::int64_t below = t.inner;  // elements from a token to the next
  for (std::size_t a = static_cast<std::size_t>(t.axis) + 1; a < from.size(); ++a) below *= from[a];
  const std::int64_t span = below * static_cast<std::int64_t>(t.tokens->size());
  std::int64_t at = 1;
  for (int a = rank(to); a-- > 0;) {
    const std::int64_t next = at * to[static_cast<std::size_t>(a)];
    if (at <= below && next >= span) {
      if (below % at != 0 || next % span != 0) return std::nullopt;
      t.axis = a, t.inner = below / at, t.outer = next / span;
      return t;
    }
    at = next;
  }
  return std::nullopt;
}

std::string reshape(const Context& c) {
  if (element_count(c.shape(0)) <= 0 || element_count(c.out()) <= 0)
    return "reshapes a value of unknown size";
  std::vector<TokenAxis> axes;
  for (const TokenAxis& t : c.in(0)) {
    const auto there = placed(t, c.shape(0), c.out());
    if (!there) return "lays the tokens out in rows";
    axes.push_back(*there);
  }
  c.set(std::move(axes));
  return {};
}

std::string expand(const Context& c) {
  std::vector<TokenAxis> axes = c.in(0);
  for (TokenAxis& t : axes) t.axis += rank(c.out()) - rank(c.shape(0));
  c.set(std::move(axes));
  return {};
}

std::string gather(const Context& c) {
  if (!c.in(1).empty()) return "looks tokens up in a table";
  const int axis = wrapped(c.node.integer("axis", 0), rank(c.shape(0))), index_rank = rank(c.shape(1));
  const auto indices = c.integers(1);
  std::vector<TokenAxis> axes;
  for (TokenAxis t : c.in(0)) {
    if (t.axis != axis) {
      if (t.axis > axis) t.axis += index_rank - 1;
      axes.push_back(t);
      continue;
    }
    if (!indices || !t.plain() || index_rank > 1) return "picks tokens by computed places";
    auto picked = std::make_shared<std::vector<int>>();
    for (std::int64_t i : *indices) {
      const int place = wrapped(i, static_cast<int>(t.tokens->size()));
      if (place < 0) return "picks a token that is not there";
      picked->push_back((*t.tokens)[static_cast<std::size_t>(place)]);
    }
    if (picked->empty()) return "picks no token";
    t.tokens = picked;
    if (picked->size() > 1)
      axes.push_back(t);
    else if (picked->front() >= 0)
      c.flow.needed.insert(picked->front());
  }
  c.set(std::move(axes));
  return {};
}

// The places of a Slice, or all; an obstacle where nobody knows.
std::string slice(const Context& c) {
  const int of_rank = rank(c.shape(0));
  const bool axes_known = c.node.attributes.contains("starts") || c.node.input(3).empty() || c.integers(3);
  if (!axes_known) return "picks tokens by computed places";
  std::vector<TokenAxis> axes;
  for (TokenAxis t : c.in(0)) {
    const auto at = static_cast<std::size_t>(t.axis);
    const auto range = slice_range(c.model.graph, c.uses, c.shapes, c.node, t.axis, of_rank, c.shape(0)[at]);
    if (!range && c.shape(0)[at] == c.out()[at]) {
      axes.push_back(t);
      continue;
    }
    if (!range || !t.plain() || range->start >= range->end) return "picks tokens by computed places";
    auto picked =
        std::make_shared<std::vector<int>>(t.tokens->begin() + range->start, t.tokens->begin() + range->end);
    if (picked->size() > 1)
      t.tokens = picked, axes.push_back(t);
    else if (picked->front() >= 0)
      c.flow.needed.insert(picked->front());
  }
  c.set(std::move(axes));
  return {};
}

std::string split(const Context& c) {
  const int axis = wrapped(c.node.integer("axis", 0), rank(c.shape(0)));
  if (c.on(0, axis)) return "splits the tokens";
  for (std::size_t i = 0; i < c.node.outputs.size(); ++i) c.set(c.in(0), i);
  return {};
}

// Tokens one behind the other; what holds none stays.
std::string concat(const Context& c) {
  const int axis = wrapped(c.node.integer("axis", 0), rank(c.out()));
  auto joined = std::make_shared<std::vector<int>>();
  bool along = false;
  if (axis < 0 || c.out()[static_cast<std::size_t>(axis)] > kMostTokens) return "joins more than tokens";
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
    if (rank(c.shape(i)) != rank(c.out())) return "joins values of different rank";
    const auto t = c.on(i, axis);
    const std::int64_t size = c.shape(i)[static_cast<std::size_t>(axis)];
    if (size < 0 || size > kMostTokens) return "joins more than tokens";
    if (t && !t->plain()) return "joins tokens that share an axis with something else";
    along = along || t;
    if (t)
      joined->insert(joined->end(), t->tokens->begin(), t->tokens->end());
    else
      joined->resize(joined->size() + static_cast<std::size_t>(size), -1);
  }
  std::vector<TokenAxis> axes;
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i)
    for (TokenAxis t : c.in(i))
      if (t.weights = false; t.axis != axis && !on_axis(axes, t.axis)) axes.push_back(t);
  for (const TokenAxis& t : axes)
    for (std::size_t i = 0; i < c.node.inputs.size(); ++i)
      if (const auto own = c.on(i, t.axis); !own || !alike(*own, t))
        return "joins the tokens with a value of all places that was made before them";
  if (along) axes.push_back({axis, 1, 1, joined, false});
  c.set(std::move(axes));
  return {};
}

std::vector<std::int64_t> axes_of(const Context& c) {
  std::vector<std::int64_t> list = c.node.integers("axes");
  if (const auto given = c.integers(1); given && !c.node.input(1).empty()) list = *given;
  return list;
}

std::string unsqueeze(const Context& c) {
  std::set<int> made;
  for (std::int64_t axis : axes_of(c)) made.insert(wrapped(axis, rank(c.out())));
  if (rank(c.out()) != rank(c.shape(0)) + static_cast<int>(made.size())) return "gets computed axes";
  std::vector<TokenAxis> axes = c.in(0);
  for (TokenAxis& t : axes)
    for (int axis : made) t.axis += axis <= t.axis;
  c.set(std::move(axes));
  return {};
}

std::string squeeze(const Context& c) {
  std::set<int> gone;
  for (std::int64_t axis : axes_of(c)) gone.insert(wrapped(axis, rank(c.shape(0))));
  for (int axis = 0; gone.empty() && axis < rank(c.shape(0)); ++axis)
    if (c.shape(0)[static_cast<std::size_t>(axis)] == 1) gone.insert(axis);
  if (rank(c.out()) != rank(c.shape(0)) - static_cast<int>(gone.size())) return "loses computed axes";
  return without(c, gone, false);
}

const std::unordered_map<std::string_view, Rule>& table() {
  static const std::unordered_map<std::string_view, Rule> rules = [] {
    std::unordered_map<std::string_view, Rule> list;
    for (const char* op : {"Identity", "Dropout", "Cast"}) list[op] = same;
    for (const char* op : {"Relu",     "LeakyRelu",   "Elu",       "Celu", "Selu",       "ThresholdedRelu",
                           "Sigmoid",  "HardSigmoid", "HardSwish", "Mish", "Tanh",       "Gelu",
                           "Erf",      "Exp",         "Log",       "Sqrt", "Reciprocal", "Neg",
                           "Abs",      "Sign",        "Floor",     "Ceil", "Round",      "Softplus",
                           "Softsign", "Sin",         "Cos",       "Not",  "IsNaN",      "IsInf",
                           "Clip"})
      list[op] = pointwise;
    for (const char* op :
         {"Add",   "Sub",   "Mul", "Div", "Pow", "Sum",   "Mean", "Min",         "Max",     "Mod",
          "PRelu", "Where", "And", "Or",  "Xor", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"})
      list[op] = elementwise;
    for (const char* op : {"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceSumSquare", "ReduceL1",
                           "ReduceL2", "ReduceProd", "ReduceLogSumExp"})
      list[op] = reduce;
    list.insert({{"MatMul", product},
                 {"Gemm", gemm},
                 {"Conv", convolution},
                 {"Softmax", softmax},
                 {"LogSoftmax", softmax},
                 {"LayerNormalization", layer_normalisation},
                 {"BatchNormalization", batch_normalisation},
                 {"GlobalAveragePool", pool_all},
                 {"GlobalMaxPool", pool_all},
                 {"Transpose", transpose},
                 {"Reshape", reshape},
                 {"Flatten", reshape},
                 {"Expand", expand},
                 {"Gather", gather},
                 {"Slice", slice},
                 {"Split", split},
                 {"Concat", concat},
                 {"Unsqueeze", unsqueeze},
                 {"Squeeze", squeeze}});
    return list;
  }();
  return rules;
}

}  // namespace

Rule find_rule(std::string_view op) {
  const auto it = table().find(op);
  return it == table().end() ? nullptr : it->second;
}

}  // namespace tailor::graph::tokens
