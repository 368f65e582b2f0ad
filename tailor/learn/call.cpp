#include "tailor/learn/call.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <map>

namespace tailor::learn {
namespace {

template <class T>
std::vector<T> elements(const at::Tensor& tensor, at::ScalarType type) {
  at::Tensor dense = tensor.detach().to(type).contiguous();
  const T* first = dense.data_ptr<T>();
  return {first, first + dense.numel()};
}

std::string place(const graph::Node& node) { return fmt::format("node {} ({})", node.label(), node.op); }

}  // namespace

const at::Tensor& Call::in(std::size_t input) const {
  if (!has(input)) fail(fmt::format("input {} is missing", input));
  return values_[static_cast<std::size_t>(inputs_[input])];
}

std::vector<std::int64_t> Call::integers(std::size_t input) const {
  return elements<std::int64_t>(in(input), at::kLong);
}

std::vector<double> Call::reals(std::size_t input) const { return elements<double>(in(input), at::kDouble); }

std::optional<std::vector<std::int64_t>> Call::list(std::string_view attribute, std::size_t input) const {
  if (node.find<std::vector<std::int64_t>>(attribute)) return node.integers(attribute);
  if (has(input)) return integers(input);
  return std::nullopt;
}

std::vector<std::int64_t> Call::each(std::string_view attribute, std::size_t count,
                                     std::int64_t otherwise) const {
  std::vector<std::int64_t> values = node.integers(attribute);
  if (values.empty()) values.assign(count, otherwise);
  if (values.size() != count)
    fail(fmt::format("{} has {} elements where {} are needed", attribute, values.size(), count));
  return values;
}

std::int64_t Call::axis(std::int64_t axis, std::int64_t rank) const {
  if (axis < -rank || axis >= rank) fail(fmt::format("axis {} of a value of rank {}", axis, rank));
  return axis < 0 ? axis + rank : axis;
}

void Call::set(at::Tensor value, std::size_t output) {
  if (wants(output)) values_[static_cast<std::size_t>(outputs_[output])] = std::move(value);
}

void Call::fail(const std::string& what) const { throw Error(Code::bad_model, what, place(node)); }

void Call::refuse(const std::string& what) const {
  throw Error(Code::not_trainable, what, place(node),
              "export the model without it; training knows the usual forms");
}

Operator find_operator(std::string_view domain, std::string_view op) {
  static const std::map<std::string_view, Operator> all = [] {
    std::map<std::string_view, Operator> table;
    for (auto list : {elementwise_operators(), layer_operators(), window_operators(), layout_operators(),
                      select_operators(), resize_operators()})
      for (const OperatorEntry& entry : list) table.emplace(entry.op, entry.run);
    return table;
  }();
  if (!domain.empty()) return nullptr;
  auto at = all.find(op);
  return at == all.end() ? nullptr : at->second;
}

}  // namespace tailor::learn
