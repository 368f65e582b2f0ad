/// \file The peak of this process's memory, pages of mapped files included (Linux).
#pragma once

#include <cstddef>
#include <fstream>
#include <string>

namespace tailor::testing {

/// VmHWM in bytes; 0 where it is not known.
inline std::size_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
  return 0;
}

/// The peak becomes what is used now. False where the system does not allow it.
inline bool reset_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good() && peak_memory() > 0;
}

}  // namespace tailor::testing
