/// \file A network as this runner executes it: a list of layers and the tensors that they pass on. No ONNX: Tailor makes
/// the list out of a model (tailor/pipeline/layer_list.h).
#pragma once

#include "runners/cuda/operation.h"
#include "runners/serving/layer_list.h"
#include "tailor/base/json.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::cuda {

/// Its tensors: tensors: x; then the residual, or the second operand of a batched product.
struct NetworkLayer : serving::Wiring {
  Layer layer;
};
struct NetworkText {
  std::vector<NetworkLayer> layers;
  int tensors = 0;
};

/// {"layers": [{"layer": text, "in": [tensor, ...], "out": tensor}, ...]}: at most 20000 layers; a tensor is written once,
/// by an earlier layer than those that read it, or by none (then it is an input).
/// @throws Error bad_json, bad_value; as parse_layer
NetworkText parse_network(const Json& json, bool tf32);

/// Which of few buffers each tensor lies in: one that is read for the last time leaves its buffer to later ones.
struct TensorPlaces {
  std::vector<int> buffer_of;      // by tensor
  std::vector<std::size_t> bytes;  // by buffer
};
/// O(layers x buffers).
TensorPlaces place_tensors(const NetworkText& network);

/// Everything made ready: memory, weights, one operation per layer.
class Network {
 public:
  /// @throws CallFailed, Error runtime_refused with the layer's text as its place
  Network(Gpu& gpu, const NetworkText& text, std::uint64_t seed);

  std::size_t layers() const { return operations_.size(); }
  const std::string& line(std::size_t i) const { return lines_[i]; }
  const Operation& operation(std::size_t i) const { return operations_[i]; }
  /// Scratch memory of the layer that needs most.
  std::size_t workspace() const;
  void enqueue_layer(std::size_t i) const { operations_[i].enqueue(operands_[i]); }
  void enqueue() const;

 private:
  std::vector<std::string> lines_;
  std::vector<Operation> operations_;
  std::vector<Operands> operands_;
  std::vector<Buffer> tensors_;
  Buffer weights_;
};

}  // namespace tailor::cuda
