// tailor-runner-opencl: answers the runner protocol (docs/runner-protocol.md) on stdin and stdout.
//   tailor-runner-opencl [--opencl FILE] [--device NUMBER] [--first UNIT] [--units COUNT] [--cache FOLDER]
// OpenCL is loaded when a request first needs it: what is missing is an answer, not a failure to start. A kernel that
// crashes or hangs takes this process with it and nothing else.
#include "runners/opencl/service.h"
#include "runners/serving/serve.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

namespace {

constexpr const char* kUsage =
    "usage: tailor-runner-opencl [--opencl FILE] [--device NUMBER] [--first UNIT] [--units COUNT] [--cache "
    "FOLDER]\n"
    "Speaks the protocol of docs/runner-protocol.md on stdin and stdout.\n"
    "  --opencl FILE    OpenCL's loader (default: libOpenCL.so.1, as the system finds it)\n"
    "  --device NUMBER  in the order of the loader (default: 0)\n"
    "  --first UNIT     first compute unit of the device that this runner may use (default: 0)\n"
    "  --units COUNT    how many compute units it may use (default: all behind the first)\n"
    "  --cache FOLDER   where PoCL may write while it compiles (default: its own folder)\n";

bool read_number(const char* text, int& number) {
  constexpr int kMost = 1 << 20;
  const char* end = text + std::strlen(text);
  auto [at, error] = std::from_chars(text, end, number);
  return error == std::errc{} && at == end && number >= 0 && number <= kMost;
}

// false: the command line makes no sense.
bool read_arguments(int count, char** arguments, tailor::opencl::ServiceOptions& options) {
  for (int i = 1; i < count; i += 2) {
    const std::string argument = arguments[i];
    if (i + 1 == count) return false;
    int* number = argument == "--device"  ? &options.device
                  : argument == "--first" ? &options.first
                  : argument == "--units" ? &options.units
                                          : nullptr;
    if (argument == "--opencl")
      options.library = arguments[i + 1];
    else if (argument == "--cache")
      options.cache = arguments[i + 1];
    else if (!number || !read_number(arguments[i + 1], *number))
      return false;
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  tailor::opencl::ServiceOptions options;
  if (count == 2 && std::string(arguments[1]) == "--help") return std::fputs(kUsage, stdout), 0;
  if (!read_arguments(count, arguments, options)) return std::fputs(kUsage, stderr), 2;
  tailor::opencl::Service service(options);
  return tailor::serving::serve([&](const auto& request, const auto&) { return service.answer(request); });
}
