/// \file Shape inference and folding of shape arithmetic, by own rules for the operators that real models
/// use.
///
/// libonnx's inference is not used: its schemas end at opset 17 and it misreads later ones (axes as inputs).
#pragma once

#include "tailor/graph/model.h"

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace tailor::graph {

struct TensorType {
  DataType type = DataType::undefined;
  Shape shape;  // kUnknown where nobody can know
};

/// What is known about the values of a model.
struct Shapes {
  std::unordered_map<std::string, TensorType> types;  // absent: not even the rank is known
  std::unordered_map<std::string, Tensor>
      constants;                   // initializers, Constant nodes and all that follows from them
  std::vector<std::string> notes;  // nodes whose outputs stayed unknown, and why; one line each

  const TensorType* find(const std::string& value) const;
  /// Shape of a value; an empty optional when the rank is unknown.
  const Shape* shape(const std::string& value) const;
  const Tensor* constant(const std::string& value) const;
};

/// Sizes that the user gives: per input, whole shapes (`--shape NAME:1x3x32x32`).
using ShapeOverrides = std::map<std::string, Shape>;

/// Types and shapes of every value, given the inputs' shapes. Free dimensions: a leading one (or one named
/// like a batch: N, batch, batch_size ...) becomes `batch` (kUnknown leaves it free); other free ones stay
/// unknown unless overridden. Two free dimensions of one symbol become equal. Constants are folded as far as
/// they follow (Shape, Gather, Concat, Slice, arithmetic ...; results above 64 KiB are not kept). Values in the bodies of
/// If, Loop and Scan have the names of the laid open graph (bodies.h); contradictions in there are notes, since a body may
/// be there for other sizes. What a loop carries has a shape if every round keeps it; a body that cannot be laid open gives
/// what is declared. Time O(nodes + folded elements), seven times that at most where loops change shapes.
/// @throws Error bad_shape where declared or overridden shapes contradict the operators, with the node;
///         unknown_name for an override of no input, listing the inputs.
Shapes infer_shapes(const Model& model, const ShapeOverrides& overrides = {}, std::int64_t batch = 1);

/// Parses "NAME:1x3x32x32" or "NAME:[1,3,32,32]", split at the last colon. @throws Error bad_value
std::pair<std::string, Shape> parse_shape_override(const std::string& text);

/// Multiply-accumulates of one node at these shapes (Conv, ConvTranspose, Gemm, MatMul, LSTM, GRU, RNN
/// and their fused and quantised variants; other operators: 0); -1 if a shape is unknown.
std::int64_t multiply_accumulates(const Node& node, const Shapes& shapes);

}  // namespace tailor::graph
