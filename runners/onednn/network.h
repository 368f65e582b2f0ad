/// \file A network as this runner executes it: a list of layers with the type of every tensor, on one thread.
#pragma once

#include "runners/onednn/operation.h"
#include "runners/serving/layer_list.h"
#include "tailor/base/json.h"

#include <memory>
#include <string>
#include <vector>

namespace tailor::onednn {

/// Its tensors: tensors: x; then the residual.
struct NetworkLayer : serving::Wiring {
  Layer layer;
};
struct NetworkText {
  std::vector<NetworkLayer> layers;
  int tensors = 0;
};

/// {"layers": [{"layer": text, "in": [tensor, ...], "out": tensor, "reads": type, "writes": type, "residual":
/// type}, ...]}, the types as parse_layer: at most 20000 layers; a tensor is written once, by an earlier layer than those that read it, or by none
/// (then it is an input); all that read it read the type that was written.
/// @throws Error bad_json, bad_value; as parse_layer
NetworkText parse_network(const Json& json);
/// A layer alone.
NetworkText as_network(Layer layer);

/// Which of few buffers each tensor lies in. One that is read for the last time leaves its buffer to later ones, and a
/// residual that nobody reads any more leaves it to the sum.
struct TensorPlaces {
  std::vector<int> buffer_of;      // by tensor
  std::vector<std::size_t> bytes;  // by buffer
};
TensorPlaces place_tensors(const NetworkText& network);

/// Everything made ready.
class Network {
 public:
  /// @param weight_bits as weight_bits_of
  /// @throws Error runtime_refused with the layer's text as its place: the library has nothing for it
  Network(const Library& library, const NetworkText& text, int weight_bits, std::uint64_t seed);

  std::size_t layers() const { return operations_.size(); }
  const std::string& line(std::size_t i) const { return lines_[i]; }
  const std::string& kernel(std::size_t i) const { return operations_[i].kernel; }
  /// Where a tensor lies: what a run left there, unless a later tensor took the place.
  const void* tensor(int number) const;
  void run_layer(std::size_t i) const { operations_[i].run(); }
  void run() const;

 private:
  const Library& library_;
  std::vector<std::string> lines_;
  std::vector<Operation> operations_;
  std::vector<std::unique_ptr<Block>> buffers_;
  TensorPlaces places_;
};

}  // namespace tailor::onednn
