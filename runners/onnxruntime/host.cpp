#include "runners/onnxruntime/host.h"

#include <sched.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <sstream>
#include <utility>

namespace tailor::ort {
namespace {

struct Level {
  const char* flag;
  const char* isa;
};
// Widest first; names as oneDNN's where it has one.
constexpr std::array<Level, 10> kLevels = {{{"amx_int8", "avx512_core_amx"},
                                            {"avx512_bf16", "avx512_core_bf16"},
                                            {"avx512_vnni", "avx512_core_vnni"},
                                            {"avx512bw", "avx512_core"},
                                            {"avx_vnni", "avx2_vnni"},
                                            {"avx2", "avx2"},
                                            {"avx", "avx"},
                                            {"sse4_1", "sse41"},
                                            {"sve", "sve"},
                                            {"asimd", "neon"}}};

std::string widest(const std::string& flags) {
  for (const Level& level : kLevels)
    if ((" " + flags + " ").find(" " + std::string(level.flag) + " ") != std::string::npos) return level.isa;
  return "generic";
}

// First value of `key` in /proc/cpuinfo.
std::string cpuinfo(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    std::size_t colon = line.find(':');
    if (line.starts_with(key) && colon != std::string::npos && colon + 2 <= line.size())
      return line.substr(colon + 2);
  }
  return {};
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

Host this_host() {
  Host host;
  host.processor = cpuinfo("model name");
  if (host.processor.empty()) host.processor = cpuinfo("CPU part");
  std::string flags = cpuinfo("flags");
  host.isa = widest(flags.empty() ? cpuinfo("Features") : flags);
  host.cores = usable_cores();
  long l2 = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
  host.l2_bytes = l2 > 0 ? static_cast<std::size_t>(l2) : std::size_t{1} << 20;
  return host;
}

}  // namespace tailor::ort
