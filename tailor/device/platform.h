/// \file The units of a system on chip that can compute a layer together, described in TOML.
///
/// A platform is a value that a person can read, fill in and compare: units with a cost model (kind and
/// parameters; tailor/latency/platform_cost.h evaluates it), the formats in which each unit keeps weights,
/// power, and what it costs to hand activations from one unit to another. The precisions of a processor are units too:
/// those are measured by a runner. devices/platforms/*.toml are built
/// in. Splitting the channels of a layer over such units: ODiMO (arXiv:2306.05060, 2409.18566).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::device {

/// How a unit keeps weights. Symmetric around zero: intN has the levels -(2^(N-1)-1) .. 2^(N-1)-1, ternary
/// has -1, 0, 1, f32 is exact, bf16 has 8 bits of mantissa and no scale.
struct WeightFormat {
  std::string name;           // "f32", "bf16", "ternary", "int2" ... "int16"
  int bits = 32;              // 2 for ternary
  bool per_channel = false;   // one scale for each output channel; else one for the layer
  bool power_of_two = false;  // scales are powers of two
  friend bool operator==(const WeightFormat&, const WeightFormat&) = default;
};

/// What a channel becomes on a unit.
enum class Computes {
  layer,      // what the layer says
  depthwise,  // its own input channel alone: a convolution becomes a depthwise one there
};

struct Unit {
  std::string name;
  std::string model;                         // kind of cost model, one of cost_kinds(); empty: it is measured
  std::map<std::string, double> parameters;  // of the cost model: exactly those of its kind
  std::string precision;                     // of a measured unit: "f32", "bf16" or "i8"
  std::vector<WeightFormat> weights;         // at least one; the first is the most precise
  Computes computes = Computes::layer;
  double power_mw = -1;  // while it works; < 0: not known
  double idle_mw = 0;    // while it waits for another unit
  friend bool operator==(const Unit&, const Unit&) = default;
};

/// Power while exactly these units work, where it is not the sum of theirs.
struct Together {
  std::vector<int> units;  // indices, increasing
  double power_mw = 0;
  friend bool operator==(const Together&, const Together&) = default;
};

/// Price of activations that another unit made. All zero: units share their memory.
struct Transfer {
  double cycles = 0;           // whenever a unit reads what another one has written
  double cycles_per_byte = 0;  // of the activations that it reads from others
  double bytes = 1;            // per activation
  double power_mw = 0;         // meanwhile
  bool free() const { return cycles == 0 && cycles_per_byte == 0; }
  friend bool operator==(const Transfer&, const Transfer&) = default;
};

struct Platform {
  std::string name;   // "diana"
  std::string title;  // one line for people
  /// If not empty, units are precisions of one processor: this runner measures them ("onednn", or a shell command), and
  /// they take turns. Else their cost models say what they cost, and they work side by side.
  std::string runner;
  double frequency_mhz = 0;  // 0: measured
  int activation_bits = 0;   // of what layers read and give, 2..8; 0: not stated
  std::vector<Unit> units;   // 1..8
  std::vector<Together> together;
  Transfer transfer;

  bool measured() const { return !runner.empty(); }
  /// Whether every unit states its power.
  bool knows_power() const;
  friend bool operator==(const Platform&, const Platform&) = default;
};

/// A kind of cost model and the parameters that it takes, all of them numbers and all of them needed.
struct CostKind {
  std::string_view name;
  std::vector<std::string_view> sizes;   // above 0: something is divided by them
  std::vector<std::string_view> cycles;  // 0 or more
};
const std::vector<CostKind>& cost_kinds();

/// @param place names the text in messages
/// @throws Error bad_toml: syntax, a missing or unknown key, a value out of range; the line is in the place
Platform parse_platform(std::string_view toml, const std::string& place);
/// @throws Error file_missing, bad_toml (also for more than 1 MiB)
Platform read_platform(const std::filesystem::path& path);

/// parse_platform(to_toml(p), ...) == p.
std::string to_toml(const Platform& platform);

/// Name and TOML text of every platform that is built in, sorted by name.
const std::vector<std::pair<std::string_view, std::string_view>>& presets();
/// A built-in platform by its name, or a file: a name with a '/' or with ".toml" at its end.
/// @throws Error unknown_device naming those that are built in; as read_platform
Platform find_platform(const std::string& name);

/// "int8", "ternary", "bf16", "f32" -> format with one scale per layer. @throws Error bad_value
WeightFormat parse_weight_format(std::string_view name);

}  // namespace tailor::device
