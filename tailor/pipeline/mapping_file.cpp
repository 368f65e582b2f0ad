#include "tailor/pipeline/mapping_file.h"

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/latency/platform_cost.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::pipeline {
namespace {

constexpr const char* kNextStep = "`tailor map MODEL --platform ... --json` writes such a document";

const Json& list(const Json& object, const char* key, const std::string& place) {
  const Json& value = member(object, key, place);
  if (!value.is_array()) throw Error(Code::bad_json, fmt::format("'{}' is no list", key), place, kNextStep);
  return value;
}

device::WeightFormat format_from(const Json& json, const std::string& place) {
  device::WeightFormat format;
  try {
    format = device::parse_weight_format(text(json, "weights", place));
  } catch (const Error& error) {
    if (error.code() != Code::bad_value) throw;
    throw Error(Code::bad_json, error.what(), place, kNextStep);
  }
  format.per_channel = boolean(json, "scale_per_channel", place);
  format.power_of_two = boolean(json, "power_of_two", place);
  return format;
}

void read_ways(const Json& json, const std::string& place, MappingFile& file) {
  for (const Json& way : list(json, "ways", place)) {
    const std::string here = fmt::format("{}: ways[{}]", place, file.ways.size());
    file.ways.push_back({format_from(way, here), boolean(way, "own_input", here)});
  }
}

// Documents of versions that rounded no activations say nothing.
int read_activation_bits(const Json& json, const std::string& place) {
  const auto bits = json.find("activation_bits");
  if (bits == json.end() || bits->is_null()) return 0;
  if (!bits->is_number_integer() || *bits < 2 || *bits > 8)
    throw Error(Code::bad_json, "'activation_bits' is no number from 2 to 8", place, kNextStep);
  return bits->get<int>();
}

std::vector<int> read_assignment(const Json& layer, std::size_t ways, const std::string& place) {
  std::vector<int> assignment;
  for (const Json& option : list(layer, "assignment", place)) {
    if (!option.is_number_integer() || option < 0 || option >= ways)
      throw Error(Code::bad_json, fmt::format("an entry of 'assignment' is none of the {} ways", ways), place,
                  kNextStep);
    assignment.push_back(option.get<int>());
  }
  return assignment;
}

}  // namespace

MappingFile read_mapping(const std::filesystem::path& path) {
  const std::string place = path.string();
  const Json json = read_json(path, "tailor/map/1");
  MappingFile file;
  file.path = path, file.platform = text(json, "platform", place);
  file.activation_bits = read_activation_bits(json, place);
  if (member(json, "chosen", place).is_null())
    throw Error(Code::bad_json, "the document holds no mapping: none met its goal", place, kNextStep);
  read_ways(json, place, file);
  for (const Json& layer : list(json, "layers", place)) {
    const std::string name = text(layer, "name", place);
    if (!file.layers
             .emplace(name, read_assignment(layer, file.ways.size(), fmt::format("{}: {}", place, name)))
             .second)
      throw Error(Code::bad_json, fmt::format("the layer '{}' is listed twice", name), place, kNextStep);
  }
  return file;
}

std::vector<saliency::Keeping> keepings(const device::Platform& platform) {
  std::vector<saliency::Keeping> ways;
  for (latency::UnitChoice choice : latency::unit_choices(platform)) {
    const device::Unit& unit = platform.units[static_cast<std::size_t>(choice.unit)];
    ways.push_back({unit.weights[static_cast<std::size_t>(choice.format)],
                    unit.computes == device::Computes::depthwise});
  }
  return ways;
}

std::vector<saliency::Keeping> keepings_of_layer(std::vector<saliency::Keeping> ways, std::int64_t g) {
  for (saliency::Keeping& way : ways) way.own_input = way.own_input && g == 1;
  return ways;
}

}  // namespace tailor::pipeline
