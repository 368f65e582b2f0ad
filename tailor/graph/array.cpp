// Small tensors as arrays of 64-bit integers or doubles, and back: what folding computes with.
#include "tailor/graph/rules.h"

#include <algorithm>

namespace tailor::graph {
namespace {

template <class T>
Tensor packed(const Array& array) {
  std::vector<T> values;
  for (std::size_t i = 0; i < array.size(); ++i)
    values.push_back(array.real ? static_cast<T>(array.reals[i]) : static_cast<T>(array.ints[i]));
  return {array.type, array.dims, Bytes::own(std::move(values))};
}

}  // namespace

bool Array::sure() const { return std::find(ints.begin(), ints.end(), kUnsure) == ints.end(); }

bool is_real(DataType type) { return type == DataType::f32 || type == DataType::f64; }

std::optional<Array> to_array(const Tensor& tensor) {
  std::int64_t count = tensor.size();
  if (count < 0 || count > kMaxElements) return std::nullopt;
  Array out{tensor.type, tensor.dims, is_real(tensor.type), {}, {}};
  if (out.real && tensor.type == DataType::f64) {
    out.reals = tensor.values<double>();
  } else if (out.real) {
    auto values = tensor.values<float>();
    out.reals.assign(values.begin(), values.end());
  } else {
    auto values = as_integers(tensor);
    if (!values) return std::nullopt;
    out.ints = std::move(*values);
  }
  if (out.size() != static_cast<std::size_t>(count)) return std::nullopt;
  return out;
}

Tensor to_tensor(const Array& array) {
  switch (array.type) {
    case DataType::f32:
      return packed<float>(array);
    case DataType::f64:
      return packed<double>(array);
    case DataType::i64:
      return packed<std::int64_t>(array);
    case DataType::i32:
      return packed<std::int32_t>(array);
    case DataType::i8:
      return packed<std::int8_t>(array);
    default:
      return packed<std::uint8_t>(array);
  }
}

}  // namespace tailor::graph
