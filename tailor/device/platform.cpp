// A platform out of TOML: Table (typed access that names the line and knows which keys were asked for), then
// one function per table of the file, then the checks that need all of it.
#include "tailor/device/platform.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/text.h"

#include <fmt/format.h>

// Last of the libraries: it changes what assertions do.
#include "tailor/device/toml.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

namespace tailor::device {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;
constexpr std::size_t kMostUnits = 8;
constexpr double kLargest = 1e15;  // of any number in a description
constexpr double kSmallestSize = 1e-3;

// One table of the file. Keys that nobody asked for are refused at the end.
class Table {
 public:
  Table(const toml::table& table, std::string place, std::string name)
      : table_(table), place_(std::move(place)), name_(std::move(name)) {}

  [[noreturn]] void fail(const std::string& why, const toml::node* node = nullptr) const {
    auto line = (node ? node->source() : table_.source()).begin.line;
    throw Error(Code::bad_toml, name_.empty() ? why : fmt::format("{}: {}", name_, why),
                line ? fmt::format("{}:{}", place_, line) : place_,
                "docs/verbs.md describes platforms; the built-in ones are examples");
  }

  const toml::node* find(std::string_view key) {
    asked_.insert(std::string(key));
    return table_.get(key);
  }
  const toml::node& need(std::string_view key) {
    const toml::node* node = find(key);
    if (!node) fail(fmt::format("'{}' is missing", key));
    return *node;
  }
  std::string text(std::string_view key) {
    const toml::node& node = need(key);
    auto value = node.value<std::string>();
    if (!node.is_string() || value->empty()) fail(fmt::format("'{}' is no text", key), &node);
    return *value;
  }
  // A finite number of at least `least`.
  double number(std::string_view key, std::optional<double> otherwise, double least) {
    const toml::node* node = otherwise ? find(key) : &need(key);
    if (!node) return *otherwise;
    auto value = node->value<double>();
    if (!node->is_number() || !value || !(*value >= least) || *value > kLargest)
      fail(fmt::format("'{}' is no number of {:g} to {:g}", key, least, kLargest), node);
    return *value;
  }
  bool flag(std::string_view key) {
    const toml::node* node = find(key);
    if (!node) return false;
    if (!node->is_boolean()) fail(fmt::format("'{}' is neither true nor false", key), node);
    return *node->value<bool>();
  }
  std::vector<std::string> texts(std::string_view key) {
    const toml::node& node = need(key);
    const toml::array* array = node.as_array();
    if (!array || array->empty()) fail(fmt::format("'{}' is no list of texts", key), &node);
    std::vector<std::string> list;
    for (const toml::node& entry : *array) {
      if (!entry.is_string()) fail(fmt::format("'{}' is no list of texts", key), &entry);
      list.push_back(*entry.value<std::string>());
    }
    return list;
  }
  Table table(std::string_view key, const toml::node& node) const {
    if (!node.is_table()) fail(fmt::format("'{}' is no table", key), &node);
    return {*node.as_table(), place_, name_.empty() ? std::string(key) : fmt::format("{}, {}", name_, key)};
  }
  // [[key]] tables; none if the key is absent.
  std::vector<Table> tables(std::string_view key) {
    std::vector<Table> list;
    const toml::node* node = find(key);
    if (!node) return list;
    if (!node->is_array()) fail(fmt::format("'{}' must be written as [[{}]]", key, key), node);
    for (const toml::node& entry : *node->as_array())
      list.push_back(table(fmt::format("{} {}", key, list.size() + 1), entry));
    return list;
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> list;
    for (const auto& [key, node] : table_) list.emplace_back(key.str());
    return list;
  }
  void done() const {
    for (const auto& [key, node] : table_)
      if (std::string name(key.str()); !asked_.contains(name))
        fail(fmt::format("unknown key '{}'{}", name, did_you_mean(name, {asked_.begin(), asked_.end()})),
             &node);
  }

 private:
  const toml::table& table_;
  std::string place_, name_;
  std::set<std::string> asked_;
};

const CostKind* find_kind(std::string_view name) {
  for (const CostKind& kind : cost_kinds())
    if (kind.name == name) return &kind;
  return nullptr;
}

void read_cost(Table& unit, Unit& result) {
  Table cost = unit.table("cost", unit.need("cost"));
  result.model = cost.text("model");
  const CostKind* kind = find_kind(result.model);
  std::vector<std::string> names;
  for (const CostKind& known : cost_kinds()) names.emplace_back(known.name);
  if (!kind)
    cost.fail(fmt::format("there is no cost model '{}'{}; there are {}", result.model,
                          did_you_mean(result.model, names), fmt::join(names, ", ")));
  for (std::string_view size : kind->sizes)
    result.parameters[std::string(size)] = cost.number(size, std::nullopt, kSmallestSize);
  for (std::string_view cycles : kind->cycles)
    result.parameters[std::string(cycles)] = cost.number(cycles, std::nullopt, 0);
  cost.done();
}

void read_weights(Table& unit, Unit& result) {
  std::string scale = unit.text("scale");
  if (scale != "layer" && scale != "channel") unit.fail("'scale' is neither \"layer\" nor \"channel\"");
  bool per_channel = scale == "channel", power_of_two = unit.flag("power_of_two");
  for (const std::string& name : unit.texts("weights")) {
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
Unit read_measured(Table unit) {
  Unit result;
  result.name = unit.text("name");
  result.precision = unit.text("precision");
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

Unit read_unit(Table unit) {
  Unit result;
  result.name = unit.text("name");
  if (const toml::node* computes = unit.find("computes")) {
    std::string word = unit.text("computes");
    if (word != "layer" && word != "depthwise")
      unit.fail("'computes' is neither \"layer\" nor \"depthwise\"", computes);
    result.computes = word == "layer" ? Computes::layer : Computes::depthwise;
  }
  read_weights(unit, result);
  result.power_mw = unit.number("power_mw", -1.0, 0);
  result.idle_mw = unit.number("idle_mw", 0.0, 0);
  read_cost(unit, result);
  unit.done();
  return result;
}

int index_of(const Platform& platform, const std::string& name) {
  for (std::size_t i = 0; i < platform.units.size(); ++i)
    if (platform.units[i].name == name) return static_cast<int>(i);
  return -1;
}

Together read_together(Table table, const Platform& platform) {
  Together result;
  for (const std::string& name : table.texts("units")) {
    int unit = index_of(platform, name);
    if (unit < 0) table.fail(fmt::format("there is no unit '{}'", name));
    result.units.push_back(unit);
  }
  std::sort(result.units.begin(), result.units.end());
  if (std::adjacent_find(result.units.begin(), result.units.end()) != result.units.end())
    table.fail("a unit is named twice");
  result.power_mw = table.number("power_mw", std::nullopt, 0);
  table.done();
  return result;
}

Transfer read_transfer(Table table) {
  Transfer result;
  result.cycles = table.number("cycles", 0.0, 0);
  result.cycles_per_byte = table.number("cycles_per_byte", 0.0, 0);
  result.bytes = table.number("bytes", 1.0, 0);
  result.power_mw = table.number("power_mw", 0.0, 0);
  table.done();
  return result;
}

// One of them keeps everything as it is, and none twice: a mapping is a precision per layer.
void check_precisions(const Platform& platform, const Table& root) {
  std::set<std::string> seen;
  for (const Unit& unit : platform.units)
    if (!seen.insert(unit.precision).second)
      root.fail(fmt::format("two units compute in {}", unit.precision));
  if (!seen.contains("f32")) root.fail("no unit computes in f32, which every layer can");
}

Platform read(Table root) {
  if (root.text("schema") != "tailor/platform/1") root.fail("'schema' is not \"tailor/platform/1\"");
  Platform platform;
  platform.name = root.text("name");
  platform.title = root.text("title");
  if (root.find("runner")) platform.runner = root.text("runner");
  const bool measured = platform.measured();
  if (!measured) platform.frequency_mhz = root.number("frequency_mhz", std::nullopt, 1e-3);
  for (Table& unit : root.tables("unit")) {
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
  for (Table& together : root.tables("together"))
    platform.together.push_back(read_together(together, platform));
  if (const toml::node* transfer = root.find("transfer"))
    platform.transfer = read_transfer(root.table("transfer", *transfer));
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
  try {
    toml::table table = toml::parse(toml, std::string_view(place));
    return read(Table(table, place, {}));
  } catch (const toml::parse_error& error) {
    throw Error(Code::bad_toml, std::string(error.description()),
                fmt::format("{}:{}", place, error.source().begin.line));
  } catch (const std::logic_error& error) {
    throw Error(Code::bad_toml, error.what(), place);
  }
}

Platform read_platform(const std::filesystem::path& path) {
  Bytes bytes = map_file(path);
  if (bytes.size() > kLargestFile)
    throw Error(Code::bad_toml, "a description of more than 1 MiB", path.string());
  return parse_platform(bytes.view(), path.string());
}

Platform find_platform(const std::string& name) {
  if (name.find('/') != std::string::npos || name.ends_with(".toml")) return read_platform(name);
  std::vector<std::string> names;
  for (const auto& [known, toml] : presets()) {
    if (known == name) return parse_platform(toml, fmt::format("built-in platform {}", name));
    names.emplace_back(known);
  }
  throw Error(Code::unknown_device,
              fmt::format("there is no platform '{}'{}", name, did_you_mean(name, names)), "--platform",
              fmt::format("built in are {}; or give a file NAME.toml", fmt::join(names, ", ")));
}

}  // namespace tailor::device
