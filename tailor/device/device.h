/// \file A GPU as a description: what the wave model has to know of it, in a text file that people can read,
/// compare and change.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::device {

/// Multiprocessors (NVIDIA) or compute units (AMD): all alike, each with its own registers and shared memory.
struct Multiprocessors {
  int count = 0;
  int lanes = 0;      // f32 multiply-accumulates per clock of one
  int threads = 0;    // resident at most
  int blocks = 0;     // resident at most
  int warp = 32;      // threads that run together
  int registers = 0;  // of 32 bits
  int registers_per_block = 0;
  std::int64_t shared_bytes = 0, shared_bytes_per_block = 0, shared_bytes_reserved = 0;

  friend bool operator==(const Multiprocessors&, const Multiprocessors&) = default;
};

struct Device {
  std::string name;          // short, as on the command line
  std::string title;         // as people call it
  std::string vendor;        // "nvidia" or "amd"
  std::string architecture;  // compute capability "8.0", or "gfx90a"
  double clock_mhz = 0;
  double launch_us = 0;  // per kernel of a network, queued one behind the other
  Multiprocessors sm;
  double gbytes_per_s = 0, gbytes = 0, l2_mbytes = 0;
  std::map<std::string, double> peak_tflops;  // by precision: f32, tf32, f16, bf16, i8; dense
  /// Time of the multiply-accumulates over what they would take at the peak, by precision, where it was fitted.
  std::map<std::string, double> work;
  /// Median of |relative error| of the model on the timings of that fit.
  std::map<std::string, double> error;

  /// Major and minor compute capability; 0, 0 for other vendors' names.
  std::pair<int, int> capability() const;
  friend bool operator==(const Device&, const Device&) = default;
};

/// Reads schema "tailor/device/1". Every figure is checked for its range, unknown keys are refused.
/// @throws Error bad_toml with `place` and the line or key
Device parse_device(std::string_view toml, const std::string& place);
/// parse_device(to_toml(d), ...) == d.
std::string to_toml(const Device& device);

/// The descriptions that come with the program, by name.
const std::vector<Device>& known_devices();
/// By name, or from a file if `name` has a dot or a slash. @throws Error unknown_device with the nearest names,
/// file_missing, bad_toml
Device find_device(const std::string& name);

/// Texts of devices/*.toml, embedded by the build.
const std::vector<std::pair<std::string_view, std::string_view>>& device_texts();

}  // namespace tailor::device
