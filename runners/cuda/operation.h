/// \file A layer made ready: its library's descriptors, and a function that puts it on the device's stream.
#pragma once

#include "runners/cuda/gpu.h"
#include "runners/cuda/layer.h"

#include <functional>
#include <memory>
#include <string>

namespace tailor::cuda {

/// Where the operands of one run lie; 0 for those that the layer does not have.
struct Operands {
  Address x = 0, weights = 0, bias = 0, residual = 0, y = 0;
};

struct Operation {
  OperandSizes sizes;
  std::string library;  // "cuBLASLt", "cuDNN", "cuDNN + own", "own"
  std::string choice;   // what its heuristics say: tile, waves; may be empty
  std::size_t workspace = 0;
  /// Queues one run. May be called while a graph is captured: it neither allocates nor waits.
  /// @throws CallFailed
  std::function<void(const Operands&)> enqueue;
};

/// @throws Error runtime_refused: the library cannot compute this layer on this device; CallFailed
Operation prepare(Gpu& gpu, const Layer& layer);

Operation prepare_gemm(Gpu& gpu, const Layer& layer);
Operation prepare_convolution(Gpu& gpu, const Layer& layer);
Operation prepare_pooling(Gpu& gpu, const Layer& layer);
Operation prepare_elementwise(Gpu& gpu, const Layer& layer);

/// Kernels of this program that do `words` one after the other on n elements of y, which they read and write; an "add"
/// or "mul" reads `residual` too, a "bias" the bias by channel (the last dimension).
struct Elementwise {
  std::int64_t n = 0, channels = 1;
  graph::DataType type = graph::DataType::f32;
  Words words;
};
std::function<void(Address x, const Operands&)> elementwise(Gpu& gpu, const Elementwise& what);

}  // namespace tailor::cuda
