#include "runners/serving/layer_list.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace tailor::serving {
namespace {

constexpr std::size_t kMostLayers = 20000, kMostInputs = 2, kShown = 200;

int tensor_number(const Json& json, std::size_t layer) {
  const bool good = json.is_number_integer() && json.get<std::int64_t>() >= 0 &&
                    json.get<std::int64_t>() < static_cast<std::int64_t>(2 * kMostLayers);
  if (!good) reject_listed("a tensor must be a small whole number", layer);
  return json.get<int>();
}

using latency::Workload;
// What every runner knows; all of two letters, so none hides one of a runner's own.
constexpr std::array<Letters, 11> kCommon = {{{"mb", &Workload::mb},
                                              {"ih", &Workload::ih},
                                              {"iw", &Workload::iw},
                                              {"oh", &Workload::oh},
                                              {"ow", &Workload::ow},
                                              {"kh", &Workload::kh},
                                              {"kw", &Workload::kw},
                                              {"sh", &Workload::sh},
                                              {"sw", &Workload::sw},
                                              {"ph", &Workload::pt},
                                              {"pw", &Workload::pl}}};

// Takes a name with its number off the front, if one of `names` stands there.
bool take_size(std::string_view& rest, std::span<const Letters> names, std::int64_t most, Workload& sizes) {
  for (const Letters& name : names) {
    if (!rest.starts_with(name.letters)) continue;
    const char* from = rest.data() + name.letters.size();
    std::int64_t value = -1;
    auto [end, error] = std::from_chars(from, rest.data() + rest.size(), value);
    if (error != std::errc{} || value < 0 || value > most) continue;
    sizes.*name.size = value;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return true;
  }
  return false;
}

}  // namespace

void not_a_layer(const std::string& line, const std::string& why) {
  throw Error(Code::bad_value, fmt::format("not a layer: {}", why), line.substr(0, kShown));
}

void refuse_layer(const std::string& line, const std::string& why) {
  throw Error(Code::runtime_refused, why, line.substr(0, kShown));
}

void reject_listed(const std::string& why, std::size_t index) {
  throw Error(Code::bad_json, why, fmt::format("network, layer {}", index));
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find(at, from), text.size());
    parts.emplace_back(text.substr(from, end - from));
    from = end + 1;
  }
  return parts;
}

void read_sizes(std::span<const std::string> groups, std::span<const Letters> own, std::int64_t most,
                Workload& sizes, const std::string& line) {
  for (const std::string& group : groups) {
    if (group.empty()) not_a_layer(line, "an empty group");
    for (std::string_view rest = group; !rest.empty();)
      if (!take_size(rest, kCommon, most, sizes) && !take_size(rest, own, most, sizes))
        not_a_layer(line, fmt::format("unknown field at '{}'", rest.substr(0, 20)));
  }
}

const Json& listed_layers(const Json& network) {
  const Json& list = member(network, "layers", "network");
  if (!list.is_array() || list.empty() || list.size() > kMostLayers)
    throw Error(Code::bad_json, fmt::format("\"layers\" must be an array of 1 to {}", kMostLayers),
                "network");
  return list;
}

Wiring read_wiring(const Json& layer, std::size_t index, std::size_t reads) {
  const Json& in = member(layer, "in", "network");
  if (!in.is_array() || in.empty() || in.size() > kMostInputs)
    reject_listed("\"in\" must be one or two tensors", index);
  Wiring wiring;
  for (const Json& one : in) wiring.inputs.push_back(tensor_number(one, index));
  wiring.output = tensor_number(member(layer, "out", "network"), index);
  if (wiring.inputs.size() != reads)
    reject_listed(fmt::format("it reads {} tensors, \"in\" has {}", reads, wiring.inputs.size()), index);
  return wiring;
}

}  // namespace tailor::serving
