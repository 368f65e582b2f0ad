/// \file libtorch's tensors, and the ways between them and the graph's. Private to the module; the only header that
/// includes libtorch, of which it takes the tensors and their gradients (ATen) and not the modules: half the compile time.
#pragma once

#include "tailor/graph/model.h"

#include <ATen/ATen.h>

namespace tailor::learn {

/// A copy on the processor. Floating tensors become `real`; integers and booleans keep their type.
/// @throws Error not_trainable for strings, complex numbers and types of 8 bits and less that float
at::Tensor to_aten(const graph::Tensor& tensor, at::ScalarType real);

/// A dense copy. @pre f32, f64, i64, i32, u8, i8 or boolean
graph::Tensor from_aten(const at::Tensor& tensor);

/// libtorch's type for an ONNX one; floating types become `real`. @throws Error not_trainable
at::ScalarType scalar_type(graph::DataType type, at::ScalarType real);

}  // namespace tailor::learn
