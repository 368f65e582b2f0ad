/// \file What a driver says about a GPU: the figures of one that is there, and the way to a description and back.
#pragma once

#include "tailor/base/json.h"
#include "tailor/device/device.h"

#include <cstdint>
#include <string>

namespace tailor::device {

/// Figures of CUDA's device attributes, in its units; 0: not said.
struct Facts {
  std::string name;
  int driver_version = 0;  // 12040: the CUDA version that the driver knows
  int major = 0, minor = 0;
  int multiprocessors = 0, warp = 32;
  int threads = 0, blocks = 0, registers = 0, shared_bytes = 0;  // of one multiprocessor
  int threads_per_block = 0, registers_per_block = 0, shared_per_block = 0, shared_opt_in = 0,
      shared_reserved = 0;
  int clock_khz = 0, memory_khz = 0, bus_bits = 0, l2_bytes = 0;
  int grid_x = 0, pci_device = 0, tcc = 0, cooperative = 0;
  std::int64_t memory_bytes = 0;
  int least_partition = 0,
      partition_alignment = 0;  // multiprocessors of a green context; 0: the driver has none
};

/// What occupancy needs; the peak in f32 and the bandwidth are what clock, lanes and bus give, or as little as a description
/// may state where the driver does not say (a Jetson's bus, newer drivers' clocks).
Device describe(const Facts& facts);
/// Of a description by text: for heuristics without a device.
Facts facts_of(const Device& device);

/// Members as `Facts` has them.
Json to_json(const Facts& facts);
/// @throws Error bad_json
Facts facts_from_json(const Json& json);

/// f32 multiply-accumulates per clock of one multiprocessor, by compute capability; 0 if unknown.
int lanes_of(int major, int minor);

}  // namespace tailor::device
