// Text -> checked list -> places of the tensors -> operations with addresses.
#include "runners/cuda/network.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::cuda {
namespace {

constexpr std::size_t kAlignment = 256;

std::size_t operands_wanted(const Layer& layer) {
  const bool two = has_post(layer, "add") || has_post(layer, "mul") || layer.kind == LayerKind::batched_gemm;
  return two ? 2 : 1;
}

NetworkLayer parse_one(const Json& json, bool tf32, std::size_t index) {
  Layer layer = parse_layer(text(json, "layer", "network"), tf32);
  serving::Wiring wiring = serving::read_wiring(json, index, operands_wanted(layer));
  return {std::move(wiring), std::move(layer)};
}

// Written once, and not after it was read.
void check_order(const NetworkText& network) {
  std::vector<bool> seen(static_cast<std::size_t>(network.tensors), false);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    for (int tensor : network.layers[i].inputs) seen[static_cast<std::size_t>(tensor)] = true;
    auto written = seen[static_cast<std::size_t>(network.layers[i].output)];
    if (written) serving::reject_listed("its output was read or written before", i);
    written = true;
  }
}

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// The most that any layer reads or writes of each.
std::vector<std::size_t> tensor_bytes(const NetworkText& network) {
  std::vector<std::size_t> bytes(static_cast<std::size_t>(network.tensors), 0);
  auto at_least = [&](int tensor, std::size_t need) {
    std::size_t& size = bytes[static_cast<std::size_t>(tensor)];
    size = std::max(size, aligned(need));
  };
  for (const NetworkLayer& l : network.layers) {
    const OperandSizes sizes = operand_sizes(l.layer);
    at_least(l.inputs[0], sizes.x), at_least(l.output, sizes.y);
    if (l.inputs.size() > 1)
      at_least(l.inputs[1], l.layer.kind == LayerKind::batched_gemm ? sizes.weights : sizes.residual);
  }
  return bytes;
}

// The smallest free buffer that is large enough, else the largest free one, made larger, else a new one.
class Places {
 public:
  explicit Places(TensorPlaces& places) : places_(places) {}
  int take(std::size_t bytes) {
    int best = -1;
    for (std::size_t i = 0; i < free_.size(); ++i) {
      if (!free_[i]) continue;
      const bool fits = places_.bytes[i] >= bytes;
      if (best < 0 || better(places_.bytes[i], fits, bytes, places_.bytes[static_cast<std::size_t>(best)]))
        best = static_cast<int>(i);
    }
    if (best < 0) best = static_cast<int>(free_.size()), free_.push_back(true), places_.bytes.push_back(0);
    auto at = static_cast<std::size_t>(best);
    free_[at] = false;
    places_.bytes[at] = std::max(places_.bytes[at], bytes);
    return best;
  }
  void give_back(int buffer) { free_[static_cast<std::size_t>(buffer)] = true; }

 private:
  static bool better(std::size_t size, bool fits, std::size_t wanted, std::size_t best) {
    if (best >= wanted) return fits && size < best;
    return size > best;
  }
  TensorPlaces& places_;
  std::vector<bool> free_;
};

}  // namespace

NetworkText parse_network(const Json& json, bool tf32) {
  NetworkText network;
  for (const Json& one : serving::listed_layers(json))
    network.layers.push_back(parse_one(one, tf32, network.layers.size()));
  network.tensors = serving::count_tensors(network.layers);
  check_order(network);
  return network;
}

TensorPlaces place_tensors(const NetworkText& network) {
  const std::vector<std::size_t> bytes = tensor_bytes(network);
  const std::vector<int> last = serving::last_reads(network.layers);
  TensorPlaces places;
  places.buffer_of.assign(bytes.size(), -1);
  Places buffers(places);
  auto place = [&](int tensor) {
    int& buffer = places.buffer_of[static_cast<std::size_t>(tensor)];
    if (buffer < 0) buffer = buffers.take(bytes[static_cast<std::size_t>(tensor)]);
    return buffer;
  };
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const NetworkLayer& layer = network.layers[i];
    for (int tensor : layer.inputs) place(tensor);
    place(layer.output);
    for (std::size_t k = 0; k < layer.inputs.size(); ++k) {
      const int tensor = layer.inputs[k];
      const bool twice = k > 0 && tensor == layer.inputs[0];
      if (!twice && last[static_cast<std::size_t>(tensor)] == static_cast<int>(i))
        buffers.give_back(place(tensor));
    }
  }
  return places;
}

Network::Network(Gpu& gpu, const NetworkText& text, std::uint64_t seed) {
  const TensorPlaces places = place_tensors(text);
  for (std::size_t bytes : places.bytes) {
    tensors_.emplace_back(gpu, bytes);
    fill(gpu, tensors_.back(), seed++);
  }
  std::size_t weights = 0;
  for (const NetworkLayer& l : text.layers) {
    lines_.push_back(l.layer.line);
    operations_.push_back(prepare(gpu, l.layer));
    weights += aligned(operations_.back().sizes.weights) + aligned(operations_.back().sizes.bias);
  }
  weights_ = Buffer(gpu, weights);
  fill(gpu, weights_, seed);
  std::size_t at = 0;
  auto tensor = [&](int number) {
    const int buffer = places.buffer_of[static_cast<std::size_t>(number)];
    return tensors_[static_cast<std::size_t>(buffer)].address();
  };
  for (std::size_t i = 0; i < text.layers.size(); ++i) {
    const NetworkLayer& l = text.layers[i];
    const OperandSizes& sizes = operations_[i].sizes;
    Operands o;
    o.x = tensor(l.inputs[0]), o.y = tensor(l.output);
    o.weights = weights_.address() + at, at += aligned(sizes.weights);
    if (sizes.bias > 0) o.bias = weights_.address() + at, at += aligned(sizes.bias);
    if (l.layer.kind == LayerKind::batched_gemm) o.weights = tensor(l.inputs[1]);
    if (sizes.residual > 0) o.residual = tensor(l.inputs.back());
    operands_.push_back(o);
  }
}

std::size_t Network::workspace() const {
  std::size_t most = 0;
  for (const Operation& operation : operations_) most = std::max(most, operation.workspace);
  return most;
}

void Network::enqueue() const {
  for (std::size_t i = 0; i < layers(); ++i) enqueue_layer(i);
}

}  // namespace tailor::cuda
