/// \file Models of old opsets in a newer one, as far as it takes to compute in integers.
#pragma once

#include "tailor/graph/model.h"

namespace tailor::rewrite {

/// The model in opset 10 at least, the first that has QLinearConv: Slice takes its bounds as inputs, Upsample becomes Resize; all
/// other operators that ONNX changed until then read the same or are refused. Models of 10 and more stay as they are.
/// O(nodes). @throws Error unsupported_opset naming a node that opset 10 reads differently
graph::Model at_least_opset_10(const graph::Model& model);

}  // namespace tailor::rewrite
