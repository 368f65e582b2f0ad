#include "tailor/learn/aten.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <cstring>

namespace tailor::learn {
namespace {

using graph::DataType;

graph::DataType data_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return DataType::f32;
    case at::kDouble:
      return DataType::f64;
    case at::kLong:
      return DataType::i64;
    case at::kInt:
      return DataType::i32;
    case at::kByte:
      return DataType::u8;
    case at::kChar:
      return DataType::i8;
    default:
      TAILOR_CHECK(type == at::kBool);
      return DataType::boolean;
  }
}

at::Tensor filled(const graph::Tensor& tensor, at::ScalarType type, const void* from, std::size_t bytes) {
  at::Tensor result = at::empty(tensor.dims, at::TensorOptions(type));
  TAILOR_CHECK(result.nbytes() == bytes);
  if (bytes > 0) std::memcpy(result.data_ptr(), from, bytes);
  return result;
}

}  // namespace

at::ScalarType scalar_type(DataType type, at::ScalarType real) {
  switch (type) {
    case DataType::f32:
    case DataType::f64:
    case DataType::f16:
    case DataType::bf16:
      return real;
    case DataType::i64:
      return at::kLong;
    case DataType::i32:
      return at::kInt;
    case DataType::u8:
      return at::kByte;
    case DataType::i8:
      return at::kChar;
    case DataType::boolean:
      return at::kBool;
    default:
      throw Error(Code::not_trainable,
                  fmt::format("tensors of type {} cannot be trained on", graph::name(type)));
  }
}

at::Tensor to_aten(const graph::Tensor& tensor, at::ScalarType real) {
  at::ScalarType type = scalar_type(tensor.type, real), own = type;
  if (tensor.type == DataType::f32) own = at::kFloat;
  if (tensor.type == DataType::f64) own = at::kDouble;
  if (tensor.type != DataType::f16 && tensor.type != DataType::bf16)
    return filled(tensor, own, tensor.data.data(), tensor.data.size()).to(type);
  std::vector<float> values = *graph::as_floats(tensor);
  return filled(tensor, at::kFloat, values.data(), values.size() * sizeof(float)).to(real);
}

graph::Tensor from_aten(const at::Tensor& tensor) {
  at::Tensor dense = tensor.detach().to(at::kCPU).contiguous();
  std::vector<std::byte> bytes(dense.nbytes());
  if (!bytes.empty()) std::memcpy(bytes.data(), dense.data_ptr(), bytes.size());
  return {data_type(dense.scalar_type()), dense.sizes().vec(), Bytes::own(std::move(bytes))};
}

}  // namespace tailor::learn
