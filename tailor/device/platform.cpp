// A platform out of TOML: one function per table of the file, then the checks that need all of it.
#include "tailor/device/platform.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"
#include "tailor/device/accelerator.h"
#include "tailor/device/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

namespace tailor::device {
namespace {

constexpr std::size_t kMostUnits = 8;
constexpr double kLargest = 1e15;  // of any number in a description
constexpr const char* kHelp = "docs/verbs.md describes platforms; the built-in ones are examples";
constexpr double kSmallestSize = 1e-3;
constexpr int kFewestBits = 2, kMostBits = 8;  // of activations

const CostKind* find_kind(std::string_view name) {
  for (const CostKind& kind : cost_kinds())
    if (kind.name == name) return &kind;
  return nullptr;
}

void read_cost(Settings& unit, Unit& result) {
  Settings cost = unit.need_table("cost");
  result.model = cost.need_text("model");
  const CostKind* kind = find_kind(result.model);
  std::vector<std::string> names;
  for (const CostKind& known : cost_kinds()) names.emplace_back(known.name);
  if (!kind)
    cost.fail(fmt::format("there is no cost model '{}'{}; there are {}", result.model,
                          did_you_mean(result.model, names), fmt::join(names, ", ")));
  for (std::string_view size : kind->sizes)
    result.parameters[std::string(size)] = cost.need_number(std::string(size), kSmallestSize, kLargest);
  for (std::string_view cycles : kind->cycles)
    result.parameters[std::string(cycles)] = cost.need_number(std::string(cycles), 0, kLargest);
  cost.done();
}

void read_weights(Settings& unit, Unit& result) {
  std::string scale = unit.need_text("scale");
  if (scale != "layer" && scale != "channel") unit.fail("'scale' is neither \"layer\" nor \"channel\"");
  bool per_channel = scale == "channel", power_of_two = unit.flag("power_of_two").value_or(false);
  for (const std::string& name : unit.need_texts("weights")) {
    WeightFormat format;
    try {
      format = parse_weight_format(name);
    } catch (const Error& error) {
      unit.fail(error.what());
    }
    format.per_channel = per_channel, format.power_of_two = power_of_two;
    for (const WeightFormat& other : result.weights)
      if (other.name == name) unit.fail(fmt::format("'{}' stands in 'weights' twice", name));
    result.weights.push_back(format);
  }
  if (result.weights.size() > 8) unit.fail("more than 8 formats of weights");
}

// A precision that a runner measures.
Unit read_measured(Settings unit) {
  Unit result;
  result.name = unit.need_text("name");
  result.precision = unit.need_text("precision");
  const std::vector<std::string> known = {"f32", "bf16", "i8"};
  if (std::find(known.begin(), known.end(), result.precision) == known.end())
    unit.fail(fmt::format("'precision' is none of {}", fmt::join(known, ", ")));
  read_weights(unit, result);
  const WeightFormat& format = result.weights.front();
  if (result.weights.size() > 1) unit.fail("a measured unit keeps weights in one format");
  const bool levels = format.name != "f32" && format.name != "bf16";
  if (result.precision == "i8" ? !levels || format.bits > 8 : format.name != result.precision)
    unit.fail(
        fmt::format("a unit that computes in {} does not keep weights in {}", result.precision, format.name));
  unit.done();
  return result;
}

Unit read_unit(Settings unit) {
  Unit result;
  result.name = unit.need_text("name");
  const std::string computes = unit.text("computes").value_or("layer");
  if (computes != "layer" && computes != "depthwise")
    unit.fail("'computes' is neither \"layer\" nor \"depthwise\"", "computes");
  result.computes = computes == "layer" ? Computes::layer : Computes::depthwise;
  read_weights(unit, result);
  result.power_mw = unit.number("power_mw", 0, kLargest).value_or(-1);
  result.idle_mw = unit.number("idle_mw", 0, kLargest).value_or(0);
  read_cost(unit, result);
  unit.done();
  return result;
}

int index_of(const Platform& platform, const std::string& name) {
  for (std::size_t i = 0; i < platform.units.size(); ++i)
    if (platform.units[i].name == name) return static_cast<int>(i);
  return -1;
}

Together read_together(Settings table, const Platform& platform) {
  Together result;
  for (const std::string& name : table.need_texts("units")) {
    int unit = index_of(platform, name);
    if (unit < 0) table.fail(fmt::format("there is no unit '{}'", name));
    result.units.push_back(unit);
  }
  std::sort(result.units.begin(), result.units.end());
  if (std::adjacent_find(result.units.begin(), result.units.end()) != result.units.end())
    table.fail("a unit is named twice");
  result.power_mw = table.need_number("power_mw", 0, kLargest);
  table.done();
  return result;
}

Transfer read_transfer(Settings table) {
  Transfer result;
  result.cycles = table.number("cycles", 0, kLargest).value_or(0);
  result.cycles_per_byte = table.number("cycles_per_byte", 0, kLargest).value_or(0);
  result.bytes = table.number("bytes", 0, kLargest).value_or(1);
  result.power_mw = table.number("power_mw", 0, kLargest).value_or(0);
  table.done();
  return result;
}

// One of them keeps everything as it is, and none twice: a mapping is a precision per layer.
void check_precisions(const Platform& platform, const Settings& root) {
  std::set<std::string> seen;
  for (const Unit& unit : platform.units)
    if (!seen.insert(unit.precision).second)
      root.fail(fmt::format("two units compute in {}", unit.precision));
  if (!seen.contains("f32")) root.fail("no unit computes in f32, which every layer can");
}

Platform read(Settings root) {
  if (root.need_text("schema") != "tailor/platform/1") root.fail("'schema' is not \"tailor/platform/1\"");
  Platform platform;
  platform.name = root.need_text("name");
  platform.title = root.need_text("title");
  platform.runner = root.text("runner").value_or("");
  const bool measured = platform.measured();
  if (!measured) {
    platform.frequency_mhz = root.need_number("frequency_mhz", 1e-3, kLargest);
    platform.activation_bits =
        static_cast<int>(root.integer("activation_bits", kFewestBits, kMostBits).value_or(0));
  }
  for (Settings& unit : root.tables("unit")) {
    platform.units.push_back(measured ? read_measured(unit) : read_unit(unit));
    const std::string& name = platform.units.back().name;
    if (index_of(platform, name) + 1 != static_cast<int>(platform.units.size()))
      unit.fail(fmt::format("two units are called '{}'", name));
  }
  if (platform.units.empty() || platform.units.size() > kMostUnits)
    root.fail(fmt::format("1 to {} units are possible", kMostUnits));
  if (measured) {
    check_precisions(platform, root);
    root.done();
    return platform;
  }
  for (Settings& together : root.tables("together"))
    platform.together.push_back(read_together(together, platform));
  if (std::optional<Settings> transfer = root.table("transfer"))
    platform.transfer = read_transfer(*std::move(transfer));
  root.done();
  return platform;
}

}  // namespace

bool Platform::knows_power() const {
  return std::all_of(units.begin(), units.end(), [](const Unit& unit) { return unit.power_mw >= 0; });
}

const std::vector<CostKind>& cost_kinds() {
  static const std::vector<CostKind> kinds = {
      {"pe_array", {"channels", "columns", "bytes_per_cycle"}, {}},
      {"analog_array",
       {"rows", "columns", "block", "least_channels", "most_copies"},
       {"operation", "weight_row"}},
      {"cluster",
       {"tile_x", "tile_y", "channels", "vector", "linear_inputs"},
       {"patch", "product", "overhead", "depthwise_product"}},
      {"depthwise_engine", {"channels"}, {"setup", "row", "pixel"}},
      {"ne16",
       {"tile", "inputs", "outputs", "depthwise_outputs"},
       {"load_3x3", "load_1x1", "start", "multiply", "end", "normalise", "store"}},
      {"macs_per_cycle",
       {"activation_bits", "a2_int2", "a2_int4", "a2_int8", "a4_int2", "a4_int4", "a4_int8", "a8_int2",
        "a8_int4", "a8_int8"},
       {}},
      {"blocks",
       {"outputs", "inputs", "macs_per_cycle", "depthwise_macs_per_cycle", "elements_per_cycle"},
       {"start"}},
  };
  return kinds;
}

WeightFormat parse_weight_format(std::string_view name) {
  if (name == "f32") return {"f32", 32};
  if (name == "bf16") return {"bf16", 16};
  if (name == "ternary") return {"ternary", 2};
  int bits = 0;
  if (name.starts_with("int")) {
    auto [end, error] = std::from_chars(name.data() + 3, name.data() + name.size(), bits);
    if (error == std::errc{} && end == name.data() + name.size() && bits >= 2 && bits <= 16)
      return {std::string(name), bits};
  }
  throw Error(Code::bad_value, fmt::format("there is no format of weights '{}'", name), {},
              "there are f32, bf16, ternary, and int2 to int16");
}

Platform parse_platform(std::string_view toml, const std::string& place) {
  return read(parse_settings(toml, place, kHelp));
}

Platform read_platform(const std::filesystem::path& path) { return read(read_settings(path, kHelp)); }

Platform find_platform(const std::string& name) {
  if (name.find('/') != std::string::npos || name.ends_with(".toml")) return read_platform(name);
  std::vector<std::string> names;
  for (const auto& [known, toml] : presets()) {
    if (known == name) return parse_platform(toml, fmt::format("built-in platform {}", name));
    names.emplace_back(known);
  }
  if (names_accelerator(name))
    throw Error(Code::unknown_device,
                fmt::format("{} is one accelerator, not a platform of several units", name), "platform",
                fmt::format("tailor platform predict {} MODEL.onnx says what a network costs there", name));
  throw Error(Code::unknown_device,
              fmt::format("there is no platform '{}'{}", name, did_you_mean(name, names)), "platform",
              fmt::format("built in are {}; or give a file NAME.toml", fmt::join(names, ", ")));
}

}  // namespace tailor::device
