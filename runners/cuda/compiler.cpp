// kernels_in_log: one pass over the log's lines. compile: a program that is destroyed whatever happens, its log, its facts.
#include "runners/cuda/compiler.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>

namespace tailor::cuda {
namespace {

constexpr std::size_t kLongestText = std::size_t{16} << 20, kLongestLog = std::size_t{1} << 20;
constexpr std::size_t kMostKernels = 64, kMostWords = 4000;

// The number in front of `words` in a line: "128" of "Used 128 registers, used 1 barriers" for " registers".
std::optional<std::int64_t> number_before(std::string_view line, std::string_view words) {
  const std::size_t at = line.find(words);
  if (at == std::string_view::npos) return std::nullopt;
  std::size_t begin = at;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') --begin;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(line.data() + begin, line.data() + at, number);
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (error != std::errc{} || end != line.data() + at || number > kMost) return std::nullopt;
  return number;
}

// What stands in quotes behind `words`.
std::optional<std::string> name_behind(std::string_view line, std::string_view words) {
  const std::size_t at = line.find(words);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view rest = line.substr(at + words.size());
  const std::size_t end = rest.find('\'');
  return end == std::string_view::npos ? std::nullopt : std::optional(std::string(rest.substr(0, end)));
}

void read_line(std::string_view line, KernelFacts& kernel) {
  auto read = [&](std::string_view words, std::int64_t& to) {
    if (const auto number = number_before(line, words)) to = *number;
  };
  std::int64_t registers = kernel.registers;
  read(" registers", registers);
  kernel.registers = static_cast<int>(registers);
  read(" bytes smem", kernel.shared_bytes);
  read(" bytes stack frame", kernel.stack_bytes);
  read(" bytes spill stores", kernel.spill_stores);
  read(" bytes spill loads", kernel.spill_loads);
}

Json to_json(const KernelFacts& kernel) {
  return {{"name", kernel.name},
          {"registers", kernel.registers},
          {"shared_bytes", kernel.shared_bytes},
          {"stack_bytes", kernel.stack_bytes},
          {"spill_stores", kernel.spill_stores},
          {"spill_loads", kernel.spill_loads}};
}

// "sm_" and two or three digits, with a letter behind where it is a family's or a device's own.
bool is_architecture(std::string_view name) {
  if (!name.starts_with("sm_")) return false;
  name.remove_prefix(3);
  if (name.ends_with('a') || name.ends_with('f')) name.remove_suffix(1);
  return name.size() >= 2 && name.size() <= 3 &&
         name.find_first_not_of("0123456789") == std::string_view::npos;
}

class CompiledProgram {
 public:
  CompiledProgram(Libraries& libraries, const std::string& text, const std::string& architecture)
      : libraries_(libraries), nvrtc_(libraries.nvrtc()) {
    libraries.check_nvrtc(nvrtc_.create(&program_, text.c_str(), "kernel.cu", 0, nullptr, nullptr),
                          "nvrtcCreateProgram");
    const std::string target = "--gpu-architecture=" + architecture;
    const std::array options = {target.c_str(), "--std=c++17", "--ptxas-options=-v", "--disable-warnings"};
    status_ = nvrtc_.compile(program_, static_cast<int>(options.size()), options.data());
  }
  ~CompiledProgram() { nvrtc_.destroy(&program_); }
  CompiledProgram(const CompiledProgram&) = delete;
  CompiledProgram& operator=(const CompiledProgram&) = delete;

  Status status() const { return status_; }
  std::string log() const {
    std::size_t size = 0;
    libraries_.check_nvrtc(nvrtc_.log_size(program_, &size), "nvrtcGetProgramLogSize");
    if (size > kLongestLog) return "its log is longer than 1 MiB";
    std::string text(size + 1, '\0');
    libraries_.check_nvrtc(nvrtc_.log(program_, text.data()), "nvrtcGetProgramLog");
    return text.substr(0, text.find('\0'));
  }
  std::size_t cubin_bytes() const {
    std::size_t size = 0;
    libraries_.check_nvrtc(nvrtc_.cubin_size(program_, &size), "nvrtcGetCUBINSize");
    return size;
  }
  std::string cubin() const {
    std::string bytes(cubin_bytes(), '\0');
    libraries_.check_nvrtc(nvrtc_.cubin(program_, bytes.data()), "nvrtcGetCUBIN");
    return bytes;
  }

 private:
  Libraries& libraries_;
  const NvrtcFunctions& nvrtc_;
  Program program_ = nullptr;
  Status status_ = 0;
};

std::string version_of(Libraries& libraries) {
  int major = 0, minor = 0;
  libraries.check_nvrtc(libraries.nvrtc().version(&major, &minor), "nvrtcVersion");
  return fmt::format("{}.{}", major, minor);
}

Json kernels_json(const std::string& log) {
  Json kernels = Json::array();
  for (const KernelFacts& kernel : kernels_in_log(log)) kernels.push_back(to_json(kernel));
  return kernels;
}

}  // namespace

std::vector<KernelFacts> kernels_in_log(std::string_view log) {
  std::vector<KernelFacts> kernels;
  while (!log.empty()) {
    const std::string_view line = log.substr(0, log.find('\n'));
    log.remove_prefix(std::min(line.size() + 1, log.size()));
    if (auto name = name_behind(line, "Compiling entry function '")) {
      if (kernels.size() == kMostKernels) break;
      kernels.push_back({std::move(*name)});
    } else if (!kernels.empty()) {
      read_line(line, kernels.back());
    }
  }
  return kernels;
}

Json describe_compiler(Libraries& libraries) {
  const NvrtcFunctions& nvrtc = libraries.nvrtc();
  int count = 0;
  libraries.check_nvrtc(nvrtc.count_architectures(&count), "nvrtcGetNumSupportedArchs");
  std::vector<int> numbers(static_cast<std::size_t>(std::clamp(count, 0, 1000)));
  if (!numbers.empty()) libraries.check_nvrtc(nvrtc.architectures(numbers.data()), "nvrtcGetSupportedArchs");
  return {{"version", version_of(libraries)},
          {"library", libraries.file_of("libnvrtc")},
          {"architectures", std::move(numbers)}};
}

Json compile(Libraries& libraries, const Json& request) {
  const std::string source = text(request, "text", "request"),
                    architecture = text(request, "architecture", "request");
  if (source.size() > kLongestText) throw Error(Code::bad_value, "it is longer than 16 MiB", "text");
  if (!is_architecture(architecture))
    throw Error(Code::bad_value, fmt::format("'{}' is no architecture", architecture.substr(0, 40)),
                "architecture", "sm_80, sm_90a, ...");
  const auto start = std::chrono::steady_clock::now();
  const CompiledProgram program(libraries, source, architecture);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  if (program.status() == kNvrtcInvalidOption)
    throw Error(Code::runtime_refused,
                fmt::format("NVRTC {} does not compile for {}", version_of(libraries), architecture),
                libraries.file_of("libnvrtc"), "sm_90a needs CUDA 12 or newer, sm_100 CUDA 12.8");
  const std::string log = program.log();
  if (program.status() == kNvrtcCompilation)
    return {{"outcome", "compile"}, {"message", log.substr(0, kMostWords)}, {"seconds", spent.count()}};
  libraries.check_nvrtc(program.status(), "nvrtcCompileProgram");
  if (request.contains("file")) write_file(text(request, "file", "request"), program.cubin());
  return {{"outcome", "ok"},
          {"seconds", spent.count()},
          {"cubin_bytes", program.cubin_bytes()},
          {"kernels", kernels_json(log)}};
}

}  // namespace tailor::cuda
