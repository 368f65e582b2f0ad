// The driver's attributes, one by one, and cuDNN's own text for a device.
#include "runners/cuda/facts.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>

namespace tailor::cuda {
namespace {

struct Figure {
  int Facts::*member;
  Attribute attribute;
};
constexpr std::array<Figure, 21> kFigures = {{{&Facts::major, kCapabilityMajor},
                                              {&Facts::minor, kCapabilityMinor},
                                              {&Facts::multiprocessors, kMultiprocessors},
                                              {&Facts::warp, kWarpSize},
                                              {&Facts::threads, kThreadsPerMultiprocessor},
                                              {&Facts::blocks, kBlocksPerMultiprocessor},
                                              {&Facts::registers, kRegistersPerMultiprocessor},
                                              {&Facts::shared_bytes, kSharedPerMultiprocessor},
                                              {&Facts::threads_per_block, kMaxThreadsPerBlock},
                                              {&Facts::registers_per_block, kRegistersPerBlock},
                                              {&Facts::shared_per_block, kSharedPerBlock},
                                              {&Facts::shared_opt_in, kSharedPerBlockOptIn},
                                              {&Facts::shared_reserved, kReservedSharedPerBlock},
                                              {&Facts::clock_khz, kClockKHz},
                                              {&Facts::memory_khz, kMemoryClockKHz},
                                              {&Facts::bus_bits, kMemoryBusBits},
                                              {&Facts::l2_bytes, kL2Bytes},
                                              {&Facts::grid_x, kMaxGridX},
                                              {&Facts::pci_device, kPciDevice},
                                              {&Facts::tcc, kTccDriver},
                                              {&Facts::cooperative, kCooperativeLaunch}}};

// An attribute that a driver does not know (it is newer, or gone) stays 0.
void read_figures(const DriverFunctions& cu, DeviceNumber device, Facts& facts) {
  for (const Figure& figure : kFigures) {
    int value = 0;
    if (cu.device_attribute(&value, figure.attribute, device) == 0) facts.*figure.member = value;
  }
}

void read_partitions(Libraries& libraries, DeviceNumber device, Facts& facts) {
  const GreenFunctions* green = libraries.green();
  DeviceResource all;
  if (!green || green->resource(device, &all, kResourceSm) != 0) return;
  facts.least_partition = static_cast<int>(all.sm.least_partition);
  facts.partition_alignment = static_cast<int>(all.sm.alignment);
}

}  // namespace

Facts read_facts(Libraries& libraries, DeviceNumber device) {
  const DriverFunctions& cu = libraries.driver();
  Facts facts;
  std::array<char, 256> name{};
  std::size_t memory = 0;
  libraries.check(cu.device_name(name.data(), static_cast<int>(name.size()) - 1, device), "cuDeviceGetName");
  libraries.check(cu.device_memory(&memory, device), "cuDeviceTotalMem");
  libraries.check(cu.version(&facts.driver_version), "cuDriverGetVersion");
  facts.name = name.data();
  facts.memory_bytes = static_cast<std::int64_t>(memory);
  read_figures(cu, device, facts);
  read_partitions(libraries, device, facts);
  if (facts.multiprocessors < 1 || facts.threads < 32)
    throw Error(Code::runner_failed, "the driver does not say how many multiprocessors the device has",
                facts.name);
  return facts;
}

std::string dnn_device_text(const Facts& f) {
  const Json json = {{"maxGridSize", {f.grid_x, 65535, 65535}},
                     {"maxBlockSize", {1024, 1024, 64}},
                     {"regsPerBlock", f.registers_per_block},
                     {"multiProcessorCount", f.multiprocessors},
                     {"warpSize", f.warp},
                     {"maxSharedMemoryPerBlock", f.shared_per_block},
                     {"maxSharedMemoryPerBlockOptin", f.shared_opt_in},
                     {"reservedSharedMemoryPerBlock", f.shared_reserved},
                     {"maxRegistersPerSM", f.registers},
                     {"maxCtasPerSM", f.blocks},
                     {"maxThreadsPerBlock", f.threads_per_block},
                     {"maxThreadsPerSM", f.threads},
                     {"pciDeviceId", f.pci_device},
                     {"isTccDriver", f.tcc},
                     {"supportCoopLaunch", f.cooperative},
                     {"smClockRateKHz", f.clock_khz},
                     {"memClockRateKHz", f.memory_khz},
                     {"l2CacheSize", f.l2_bytes},
                     {"totalGlobalMem", f.memory_bytes},
                     {"cudaDeviceId", 0},
                     {"deviceVer", f.major * 100 + f.minor * 10},
                     {"driverVer", f.driver_version},
                     {"deviceName", f.name}};
  return to_line(json);
}

}  // namespace tailor::cuda
