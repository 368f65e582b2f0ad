// What all rules share: the Site's answers, arithmetic on dimensions, broadcasting, and the table that finds
// a rule.
#include "tailor/graph/rules.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::graph {
namespace {

using Table = std::unordered_map<std::string_view, Rule>;

Table make_table(std::initializer_list<std::span<const RuleEntry>> families) {
  Table table;
  for (auto family : families)
    for (const RuleEntry& entry : family) table.emplace(entry.op, entry.rule);
  return table;
}

std::int64_t broadcast_dim(const Site& site, std::int64_t a, std::int64_t b, const Shape& left,
                           const Shape& right) {
  if (a == b || b == 1) return a;
  if (a == 1) return b;
  if (a == kUnknown) return b;
  if (b == kUnknown) return a;
  site.fail(fmt::format("{} and {} cannot be broadcast to one shape", to_string(left), to_string(right)));
}

}  // namespace

const Shape* Site::shape(std::size_t input) {
  const Shape* found = known_.shapes.shape(node.input(input));
  if (!found) note(fmt::format("the shape of its input '{}' is unknown", node.input(input)));
  return found;
}

DataType Site::type(std::size_t input) const {
  const TensorType* found = known_.shapes.find(node.input(input));
  return found ? found->type : DataType::undefined;
}

std::optional<Array> Site::array(std::size_t input) const {
  const std::string& name = node.input(input);
  if (auto at = known_.partial.find(name); at != known_.partial.end()) return at->second;
  const Tensor* tensor = known_.shapes.constant(name);
  return tensor ? to_array(*tensor) : std::nullopt;
}

std::optional<std::vector<std::int64_t>> Site::integers(std::size_t input) const {
  auto found = array(input);
  if (!found || found->real) return std::nullopt;
  return std::move(found->ints);
}

std::optional<std::vector<double>> Site::reals(std::size_t input) const {
  auto found = array(input);
  if (!found || !found->real) return std::nullopt;
  return std::move(found->reals);
}

std::optional<std::vector<std::int64_t>> Site::list(std::string_view attribute, std::size_t input) const {
  if (const auto* values = node.find<std::vector<std::int64_t>>(attribute)) return *values;
  if (!has(input)) return std::vector<std::int64_t>{};
  return integers(input);
}

std::vector<std::int64_t> Site::attribute(std::string_view name, std::size_t count, std::int64_t otherwise,
                                          std::int64_t lo, std::int64_t hi) const {
  const auto* values = node.find<std::vector<std::int64_t>>(name);
  if (!values || values->empty()) return std::vector<std::int64_t>(count, otherwise);
  if (values->size() != count)
    fail(fmt::format("'{}' has {} elements where {} are needed", name, values->size(), count));
  for (std::int64_t value : *values)
    if (value < lo || value > hi) fail(fmt::format("'{}' has the element {}", name, value));
  return *values;
}

void Site::set(std::size_t output, DataType kind, Shape shape) {
  for (std::int64_t dim : shape)
    if (dim < kUnknown || dim > kMaxDimension)
      fail(fmt::format("its output would have a dimension of {}", dim));
  outputs[output] = {kind, std::move(shape)};
}

void Site::note(std::string reason) {
  if (why.empty()) why = std::move(reason);
}

void Site::fail(const std::string& what) const {
  throw Error(Code::bad_shape, fmt::format("{}: {}", node.op, what), "node " + node.label(),
              "check the shapes given with --shape, and that the model was exported whole");
}

std::size_t Site::axis(std::int64_t axis, std::size_t rank) const {
  auto count = static_cast<std::int64_t>(rank);
  if (axis < -count || axis >= count) fail(fmt::format("axis {} of a value with {} dimensions", axis, rank));
  return static_cast<std::size_t>(axis < 0 ? axis + count : axis);
}

std::int64_t plus(std::int64_t a, std::int64_t b) { return a < 0 || b < 0 ? kUnknown : a + b; }

std::int64_t times(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) return kUnknown;
  return product;
}

Shape broadcast(const Site& site, const Shape& a, const Shape& b) {
  const Shape &longer = a.size() >= b.size() ? a : b, &shorter = a.size() >= b.size() ? b : a;
  Shape out = longer;
  std::size_t shift = longer.size() - shorter.size();
  for (std::size_t i = 0; i < shorter.size(); ++i)
    out[shift + i] = broadcast_dim(site, longer[shift + i], shorter[i], a, b);
  return out;
}

std::optional<std::int64_t> agree(std::int64_t a, std::int64_t b) {
  if (a == kUnknown) return b;
  if (b == kUnknown || a == b) return a;
  return std::nullopt;
}

Rule find_rule(std::string_view domain, std::string_view op) {
  static const Table plain =
      make_table({elementwise_rules(), window_rules(), product_rules(), layout_rules(), selection_rules()});
  static const Table microsoft = make_table({microsoft_rules()});
  if (!domain.empty() && domain != "com.microsoft") return nullptr;
  const Table& table = domain.empty() ? plain : microsoft;
  auto found = table.find(op);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace tailor::graph
