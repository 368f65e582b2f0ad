/// \file How much of a model's weights can be cut, and why the rest cannot.
#pragma once

#include "tailor/pipeline/surgery.h"

#include <cstdint>
#include <map>
#include <string>

namespace tailor::pipeline {

/// Elements of the weight tensors of layers (Conv, ConvTranspose, Gemm, MatMul, LSTM, GRU, RNN, their fused and
/// quantised variants), layers in bodies of control flow included; biases and scales are left out.
struct Coverage {
  std::int64_t weights = 0;
  std::int64_t changeable = 0;                 // an input or output axis belongs to a changeable group
  std::map<std::string, std::int64_t> frozen;  // reason -> elements; all reasons together: the rest

  double share() const {
    return weights == 0 ? 0 : static_cast<double>(changeable) / static_cast<double>(weights);
  }
};

/// A tensor that several layers read counts once, and is changeable if one of them makes it so.
/// O(nodes + bindings).
Coverage coverage(const Subject& subject);

}  // namespace tailor::pipeline
