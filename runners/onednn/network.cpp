// Text -> checked list -> places of the tensors -> operations with addresses.
#include "runners/onednn/network.h"

#include "runners/onednn/check.h"
#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace tailor::onednn {
namespace {

std::string optional_text(const Json& json, const char* key) {
  return json.contains(key) ? text(json, key, "network") : std::string();
}

NetworkLayer parse_one(const Json& json, std::size_t index) {
  Layer layer = parse_layer(
      text(json, "layer", "network"),
      {optional_text(json, "reads"), optional_text(json, "writes"), optional_text(json, "residual")});
  serving::Wiring wiring = serving::read_wiring(json, index, inputs_of(layer));
  return {std::move(wiring), std::move(layer)};
}

// Bytes of what a layer reads or writes there.
struct Use {
  Type type = Type::f32;
  std::int64_t elements = 0;
};
Use input_use(const NetworkLayer& l, std::size_t k) {
  return k == 0 ? Use{l.layer.reads, elements_read(l.layer)}
                : Use{l.layer.residual, elements_written(l.layer)};
}

// Written once, not after it was read, and read in the type that it was written in.
void check_order(const NetworkText& network) {
  std::vector<std::optional<Type>> known(static_cast<std::size_t>(network.tensors));
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const NetworkLayer& l = network.layers[i];
    for (std::size_t k = 0; k < l.inputs.size(); ++k) {
      std::optional<Type>& type = known[static_cast<std::size_t>(l.inputs[k])];
      const Type wanted = input_use(l, k).type;
      if (!type) type = wanted;
      if (*type != wanted)
        serving::reject_listed(
            fmt::format("it reads {} where tensor {} is {}", name(wanted), l.inputs[k], name(*type)), i);
    }
    std::optional<Type>& output = known[static_cast<std::size_t>(l.output)];
    if (output) serving::reject_listed("its output was read or written before", i);
    output = l.layer.writes;
  }
}

std::vector<std::size_t> tensor_bytes(const NetworkText& network) {
  std::vector<std::size_t> bytes(static_cast<std::size_t>(network.tensors), 0);
  auto at_least = [&](int tensor, Use use) {
    std::size_t& size = bytes[static_cast<std::size_t>(tensor)];
    size = std::max(size, static_cast<std::size_t>(use.elements) * size_of(use.type));
  };
  for (const NetworkLayer& l : network.layers) {
    for (std::size_t k = 0; k < l.inputs.size(); ++k) at_least(l.inputs[k], input_use(l, k));
    at_least(l.output, {l.layer.writes, elements_written(l.layer)});
  }
  return bytes;
}

// The smallest free buffer that is large enough, else a new one.
class Buffers {
 public:
  explicit Buffers(TensorPlaces& places) : places_(places) {}
  int take(std::size_t bytes) {
    int best = -1;
    for (std::size_t i = 0; i < free_.size(); ++i)
      if (free_[i] && places_.bytes[i] >= bytes &&
          (best < 0 || places_.bytes[i] < places_.bytes[static_cast<std::size_t>(best)]))
        best = static_cast<int>(i);
    if (best < 0)
      best = static_cast<int>(free_.size()), free_.push_back(true), places_.bytes.push_back(bytes);
    free_[static_cast<std::size_t>(best)] = false;
    return best;
  }
  // Never shared: what an input holds must still be there in the next run.
  int take_alone(std::size_t bytes) {
    free_.push_back(false), places_.bytes.push_back(bytes);
    return static_cast<int>(free_.size()) - 1;
  }
  void give_back(int buffer) { free_[static_cast<std::size_t>(buffer)] = true; }

 private:
  TensorPlaces& places_;
  std::vector<bool> free_;
};

std::vector<bool> written_tensors(const NetworkText& network) {
  std::vector<bool> written(static_cast<std::size_t>(network.tensors), false);
  for (const NetworkLayer& l : network.layers) written[static_cast<std::size_t>(l.output)] = true;
  return written;
}

// Whether the sum may take the residual's place: nobody reads it later, in this run or the next.
bool in_place(const NetworkLayer& l, std::size_t index, const std::vector<int>& last,
              const std::vector<bool>& written) {
  if (l.layer.kind != LayerKind::convolution || l.inputs.size() < 2 || l.inputs[1] == l.inputs[0])
    return false;
  const auto residual = static_cast<std::size_t>(l.inputs[1]);
  return written[residual] && last[residual] == static_cast<int>(index);
}

}  // namespace

NetworkText parse_network(const Json& json) {
  NetworkText network;
  for (const Json& one : serving::listed_layers(json))
    network.layers.push_back(parse_one(one, network.layers.size()));
  network.tensors = serving::count_tensors(network.layers);
  check_order(network);
  return network;
}

NetworkText as_network(Layer layer) {
  NetworkText network;
  const auto inputs = static_cast<int>(inputs_of(layer));
  NetworkLayer one{{{}, inputs}, std::move(layer)};
  for (int i = 0; i < inputs; ++i) one.inputs.push_back(i);
  network.layers.push_back(std::move(one));
  network.tensors = inputs + 1;
  return network;
}

TensorPlaces place_tensors(const NetworkText& network) {
  const std::vector<std::size_t> bytes = tensor_bytes(network);
  const std::vector<int> last = serving::last_reads(network.layers);
  const std::vector<bool> written = written_tensors(network);
  TensorPlaces places;
  places.buffer_of.assign(bytes.size(), -1);
  Buffers buffers(places);
  auto place = [&](int tensor) -> int& { return places.buffer_of[static_cast<std::size_t>(tensor)]; };
  for (std::size_t i = 0; i < network.layers.size(); ++i) {
    const NetworkLayer& l = network.layers[i];
    for (int tensor : l.inputs)
      if (place(tensor) < 0) place(tensor) = buffers.take_alone(bytes[static_cast<std::size_t>(tensor)]);
    const bool shared = in_place(l, i, last, written);
    place(l.output) = shared ? place(l.inputs[1]) : buffers.take(bytes[static_cast<std::size_t>(l.output)]);
    for (std::size_t k = 0; k < l.inputs.size(); ++k) {
      const auto tensor = static_cast<std::size_t>(l.inputs[k]);
      const bool gone = k > 0 && (shared || l.inputs[k] == l.inputs[0]);
      if (!gone && written[tensor] && last[tensor] == static_cast<int>(i))
        buffers.give_back(place(l.inputs[k]));
    }
  }
  return places;
}

Network::Network(const Library& library, const NetworkText& text, int weight_bits, std::uint64_t seed)
    : library_(library), places_(place_tensors(text)) {
  for (std::size_t bytes : places_.bytes) buffers_.push_back(std::make_unique<Block>(bytes));
  auto address = [&](int number) { return const_cast<void*>(tensor(number)); };
  const std::vector<bool> written = written_tensors(text);
  for (const NetworkLayer& l : text.layers)
    for (std::size_t k = 0; k < l.inputs.size(); ++k) {
      const Use use = input_use(l, k);
      if (!written[static_cast<std::size_t>(l.inputs[k])])
        fill(use.type, use.elements, ++seed, address(l.inputs[k]));
    }
  for (const NetworkLayer& l : text.layers) try {
      const Parameters parameters = draw_parameters(l.layer, weight_bits, seed);
      lines_.push_back(l.layer.line);
      operations_.push_back(
          make_operation(library, l.layer, parameters,
                         {address(l.inputs.front()), l.inputs.size() > 1 ? address(l.inputs[1]) : nullptr,
                          address(l.output)},
                         weight_bits));
    } catch (const Error& error) {
      throw Error(error.code(), error.what(), l.layer.line);
    }
}

const void* Network::tensor(int number) const {
  const int buffer = places_.buffer_of[static_cast<std::size_t>(number)];
  return buffers_[static_cast<std::size_t>(buffer)]->data.get();
}

void Network::run() const {
  for (const Operation& operation : operations_) operation.run();
  library_.stream_wait(library_.stream);
}

}  // namespace tailor::onednn
