// One table ties each figure to its name in JSON.
#include "tailor/device/facts.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace tailor::device {
namespace {

struct Figure {
  const char* key;
  int Facts::*member;
};
constexpr std::array<Figure, 20> kFigures = {{{"major", &Facts::major},
                                              {"minor", &Facts::minor},
                                              {"multiprocessors", &Facts::multiprocessors},
                                              {"warp", &Facts::warp},
                                              {"threads", &Facts::threads},
                                              {"blocks", &Facts::blocks},
                                              {"registers", &Facts::registers},
                                              {"shared_bytes", &Facts::shared_bytes},
                                              {"threads_per_block", &Facts::threads_per_block},
                                              {"registers_per_block", &Facts::registers_per_block},
                                              {"shared_per_block", &Facts::shared_per_block},
                                              {"shared_opt_in", &Facts::shared_opt_in},
                                              {"shared_reserved", &Facts::shared_reserved},
                                              {"clock_khz", &Facts::clock_khz},
                                              {"memory_khz", &Facts::memory_khz},
                                              {"bus_bits", &Facts::bus_bits},
                                              {"l2_bytes", &Facts::l2_bytes},
                                              {"grid_x", &Facts::grid_x},
                                              {"pci_device", &Facts::pci_device},
                                              {"tcc", &Facts::tcc}}};

double at_least(double value, double least) { return std::max(value, least); }

// Only what a name of TOML may hold.
std::string short_name(const std::string& title) {
  std::string name;
  for (char c : title) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    const bool kept = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (kept) name += c;
    if (!kept && !name.empty() && name.back() != '-') name += '-';
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "gpu" : name;
}

}  // namespace

int lanes_of(int major, int minor) {
  switch (major) {
    case 5:
      return 128;
    case 6:
      return minor == 0 ? 64 : 128;
    case 7:
      return 64;
    case 8:
      return minor == 0 ? 64 : 128;
    default:
      return major >= 9 ? 128 : 0;
  }
}

Device describe(const Facts& f) {
  Device d;
  d.name = short_name(f.name), d.title = f.name.empty() ? "GPU" : f.name, d.vendor = "nvidia";
  d.architecture = fmt::format("{}.{}", f.major, f.minor);
  d.clock_mhz = at_least(f.clock_khz / 1e3, 1), d.launch_us = 3;
  d.sm = {f.multiprocessors,
          std::max(1, lanes_of(f.major, f.minor)),
          f.threads,
          std::max(1, f.blocks),
          std::max(1, f.warp),
          std::max(1, f.registers),
          std::max(1, f.registers_per_block),
          f.shared_bytes,
          std::max(f.shared_opt_in, f.shared_per_block),
          f.shared_reserved};
  // Two transfers per clock of the memory's bus.
  d.gbytes_per_s = at_least(2.0 * f.memory_khz * f.bus_bits / 8 / 1e6, 1);
  d.gbytes = at_least(static_cast<double>(f.memory_bytes) / 1e9, 0.001);
  d.l2_mbytes = f.l2_bytes / 1048576.0;
  d.peak_tflops["f32"] = at_least(2e-6 * d.sm.count * d.sm.lanes * d.clock_mhz, 1e-6);
  return d;
}

Json to_json(const Facts& facts) {
  Json json = {{"name", facts.name},
               {"driver_version", facts.driver_version},
               {"memory_bytes", facts.memory_bytes},
               {"cooperative", facts.cooperative},
               {"least_partition", facts.least_partition},
               {"partition_alignment", facts.partition_alignment}};
  for (const Figure& figure : kFigures) json[figure.key] = facts.*figure.member;
  return json;
}

Facts facts_from_json(const Json& json) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  auto small = [&](const char* key) {
    std::int64_t value = integer(json, key, "device");
    if (value < 0 || value >= kMost)
      throw Error(Code::bad_json, fmt::format("\"{}\" is {}", key, value), "device");
    return static_cast<int>(value);
  };
  Facts facts;
  facts.name = text(json, "name", "device"), facts.memory_bytes = integer(json, "memory_bytes", "device");
  facts.driver_version = small("driver_version"), facts.cooperative = small("cooperative");
  facts.least_partition = small("least_partition"), facts.partition_alignment = small("partition_alignment");
  for (const Figure& figure : kFigures) facts.*figure.member = small(figure.key);
  if (facts.multiprocessors < 1 || facts.threads < 32)
    throw Error(Code::bad_json, "a device needs multiprocessors and threads", "device");
  return facts;
}

Facts facts_of(const Device& d) {
  Facts f;
  f.name = d.title, f.driver_version = 13000;
  f.major = d.capability().first, f.minor = d.capability().second;
  f.multiprocessors = d.sm.count, f.warp = d.sm.warp, f.threads = d.sm.threads, f.blocks = d.sm.blocks;
  f.registers = d.sm.registers, f.registers_per_block = d.sm.registers_per_block;
  f.shared_bytes = static_cast<int>(d.sm.shared_bytes);
  f.shared_opt_in = static_cast<int>(d.sm.shared_bytes_per_block), f.shared_per_block = 49152;
  f.shared_reserved = static_cast<int>(d.sm.shared_bytes_reserved);
  f.threads_per_block = 1024, f.clock_khz = static_cast<int>(d.clock_mhz * 1e3);
  f.memory_khz = 1000000, f.bus_bits = static_cast<int>(d.gbytes_per_s * 4);
  f.l2_bytes = static_cast<int>(d.l2_mbytes * 1048576), f.grid_x = 2147483647, f.cooperative = 1;
  f.memory_bytes = static_cast<std::int64_t>(d.gbytes * 1e9);
  return f;
}

}  // namespace tailor::device
