// Text -> checked list -> places of the tensors -> operations with addresses.
#include "runners/cuda/network.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::cuda {
namespace {

constexpr std::size_t kMostLayers = 20000, kMostInputs = 2;
constexpr std::size_t kAlignment = 256;

[[noreturn]] void reject(const std::string& why, std::size_t layer) {
  throw Error(Code::bad_json, why, fmt::format("network, layer {}", layer));
}

int tensor_number(const Json& json, std::size_t layer) {
  const bool good = json.is_number_integer() && json.get<std::int64_t>() >= 0 &&
                    json.get<std::int64_t>() < static_cast<std::int64_t>(2 * kMostLayers);
  if (!good) reject("a tensor must be a small whole number", layer);
  return json.get<int>();
}

std::size_t operands_wanted(const Layer& layer) {
  const bool two = has_post(layer, "add") || has_post(layer, "mul") || layer.kind == LayerKind::batched_gemm;
  return two ? 2 : 1;
}

NetworkLayer parse_one(const Json& json, bool tf32, std::size_t index) {
  NetworkLayer made;
  made.layer = parse_layer(text(json, "layer", "network"), tf32);
  const Json& in = member(json, "in", "network");
  if (!in.is_array() || in.empty() || in.size() > kMostInputs)
    reject("\"in\" must be one or two tensors", index);
  for (const Json& one : in) made.inputs.push_back(tensor_number(one, index));
  made.output = tensor_number(member(json, "out", "network"), index);
  if (made.inputs.size() != operands_wanted(made.layer))
    reject(fmt::format("it reads {} tensors, \"in\" has {}", operands_wanted(made.layer), made.inputs.size()),
           index);
  return made;
}

// Written once, and not after it was read.
void check_order(const NetworkText& network) {
  std::vector<bool> seen(static_cast<std::size_t>(network.tensors), false);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    for (int tensor : network.layers[i].inputs) seen[static_cast<std::size_t>(tensor)] = true;
    auto written = seen[static_cast<std::size_t>(network.layers[i].output)];
    if (written) reject("its output was read or written before", i);
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

std::vector<int> last_reads(const NetworkText& network) {
  std::vector<int> last(static_cast<std::size_t>(network.tensors), -1);
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    for (int tensor : network.layers[i].inputs) last[static_cast<std::size_t>(tensor)] = static_cast<int>(i);
    // A result that nobody reads is kept to the end.
    last[static_cast<std::size_t>(network.layers[i].output)] = static_cast<int>(network.layers.size());
  }
  for (std::size_t i = 0; i < network.layers.size(); ++i)
    for (int tensor : network.layers[i].inputs) last[static_cast<std::size_t>(tensor)] = static_cast<int>(i);
  return last;
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
  const Json& list = member(json, "layers", "network");
  if (!list.is_array() || list.empty() || list.size() > kMostLayers)
    throw Error(Code::bad_json, fmt::format("\"layers\" must be an array of 1 to {}", kMostLayers),
                "network");
  NetworkText network;
  for (const Json& one : list) {
    network.layers.push_back(parse_one(one, tf32, network.layers.size()));
    for (int tensor : network.layers.back().inputs) network.tensors = std::max(network.tensors, tensor + 1);
    network.tensors = std::max(network.tensors, network.layers.back().output + 1);
  }
  check_order(network);
  return network;
}

TensorPlaces place_tensors(const NetworkText& network) {
  const std::vector<std::size_t> bytes = tensor_bytes(network);
  const std::vector<int> last = last_reads(network);
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
