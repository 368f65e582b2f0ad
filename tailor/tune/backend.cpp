#include "tailor/tune/backend.h"

#include <fmt/format.h>

#include <fstream>

namespace tailor::tune {
namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name"))
      if (const std::size_t at = line.find(": "); at != std::string::npos) return line.substr(at + 2);
  return "unknown processor";
}

}  // namespace

MachineClass class_of_this_machine(const CompilerOptions& compiler) {
  return {fmt::format("{}, {}", processor(), vector_unit().name),
          fmt::format("{}; {}", compiler_version(compiler), compiler.flags), kernel_hash()};
}

Backend::Backend(const CompilerOptions& compiler)
    : machine([compiler] { return class_of_this_machine(compiler); }),
      no_kernel(tune::no_kernel),
      space([](const latency::Workload& w, int) { return kernel_space(w, vector_unit()); }),
      source([](const latency::Workload& w, const Space& of, const Configuration& configuration) {
        return kernel_source(w, vector_unit(), of, configuration);
      }),
      shapeless([](const latency::Workload& w, const Space& of, const Configuration& configuration) {
        return shapeless_kernel(w, vector_unit(), of, configuration);
      }),
      compile([compiler](const std::string& text, const std::filesystem::path& file) {
        return compile_kernel(text, file, compiler);
      }) {}

Partition occupied(const Backend& backend, const Partition& partition, int workers) {
  const auto count =
      backend.at_once ? std::min(static_cast<std::size_t>(workers), partition.cores.size()) : 1;
  return {{partition.cores.begin(), partition.cores.begin() + static_cast<std::ptrdiff_t>(count)}};
}

}  // namespace tailor::tune
