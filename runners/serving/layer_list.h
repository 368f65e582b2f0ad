/// \file Lists of layers as runners execute them (docs/runner-protocol.md): what is common to all that read them, whatever a
/// layer is to each: sizes in letters and numbers, and which tensors a layer reads and writes.
#pragma once

#include "tailor/base/json.h"
#include "tailor/latency/workload.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::serving {

using Size = std::int64_t latency::Workload::*;
/// "ih" of "ih56".
struct Letters {
  std::string_view letters;
  Size size;
};

/// @throws Error bad_value at the line: "not a layer: why"
[[noreturn]] void not_a_layer(const std::string& line, const std::string& why);
/// @throws Error runtime_refused at the line
[[noreturn]] void refuse_layer(const std::string& line, const std::string& why);

/// The pieces between, one more than there are of `at`.
std::vector<std::string> split(std::string_view text, char at);
/// Reads groups such as "c64ih56iw56" into sizes: mb, ih, iw, oh, ow, kh, kw, sh, sw, ph, pw and what the runner adds.
/// @param own names of which one begins another: the longer first @param most largest size
/// @throws Error bad_value at the line
void read_sizes(std::span<const std::string> groups, std::span<const Letters> own, std::int64_t most,
                latency::Workload& sizes, const std::string& line);

/// The tensors of a layer: x, then its second operand; what it writes.
struct Wiring {
  std::vector<int> inputs;
  int output = 0;
};

/// The member "layers": 1 to 20000. @throws Error bad_json
const Json& listed_layers(const Json& network);
/// "in" and "out" of the layer of that index. @param reads how many tensors it has to read @throws Error bad_json
Wiring read_wiring(const Json& layer, std::size_t index, std::size_t reads);
/// @throws Error bad_json for that layer
[[noreturn]] void reject_listed(const std::string& why, std::size_t index);

/// One more than the largest number of a tensor. @param layers have the members of Wiring
template <class Layers>
int count_tensors(const Layers& layers) {
  int tensors = 0;
  for (const auto& layer : layers) {
    for (int tensor : layer.inputs) tensors = tensors > tensor ? tensors : tensor + 1;
    tensors = tensors > layer.output ? tensors : layer.output + 1;
  }
  return tensors;
}

/// By tensor, the layer after which nobody needs it: the last that reads it; as many as there are layers for results that
/// nobody reads; -1 for numbers that are not in the list.
template <class Layers>
std::vector<int> last_reads(const Layers& layers) {
  std::vector<int> last(static_cast<std::size_t>(count_tensors(layers)), -1);
  for (const auto& layer : layers)
    last[static_cast<std::size_t>(layer.output)] = static_cast<int>(layers.size());
  int index = 0;
  for (const auto& layer : layers) {
    for (int tensor : layer.inputs) last[static_cast<std::size_t>(tensor)] = index;
    ++index;
  }
  return last;
}

}  // namespace tailor::serving
