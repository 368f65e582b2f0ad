// tailor-runner-cuda: answers the runner protocol (docs/runner-protocol.md) on stdin and stdout.
//   tailor-runner-cuda [--libraries FOLDERS] [--gpu NUMBER] [--tf32]
// CUDA's libraries are loaded when a request first needs them: what is missing is an answer, not a failure to start.
#include "runners/cuda/service.h"
#include "runners/serving/serve.h"

#include <nlohmann/json.hpp>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr const char* kUsage =
    "usage: tailor-runner-cuda [--libraries FOLDERS] [--gpu NUMBER] [--tf32]\n"
    "Speaks the protocol of docs/runner-protocol.md on stdin and stdout.\n"
    "  --libraries FOLDERS  looked in first for libcuda, libcublasLt, libcudnn, libcupti, libnvrtc; joined "
    "by ':'\n"
    "                       (default: TAILOR_CUDA_LIBRARIES)\n"
    "  --gpu NUMBER         of the device, as nvidia-smi counts (default: 0)\n"
    "  --tf32               f32 products may be rounded to tf32\n";

bool read_number(const char* text, int& number) {
  const char* end = text + std::strlen(text);
  auto [at, error] = std::from_chars(text, end, number);
  return error == std::errc{} && at == end && number >= 0;
}

// false: the command line makes no sense.
bool read_arguments(int count, char** arguments, tailor::cuda::ServiceOptions& options) {
  if (const char* folders = std::getenv("TAILOR_CUDA_LIBRARIES")) options.folders = folders;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    const bool more = i + 1 < count;
    if (argument == "--libraries" && more)
      options.folders = arguments[++i];
    else if (argument == "--gpu" && more && read_number(arguments[i + 1], options.gpu))
      ++i;
    else if (argument == "--tf32")
      options.tf32 = true;
    else
      return false;
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  tailor::cuda::ServiceOptions options;
  if (count == 2 && std::string(arguments[1]) == "--help") return std::fputs(kUsage, stdout), 0;
  if (!read_arguments(count, arguments, options)) return std::fputs(kUsage, stderr), 2;
  tailor::cuda::Service service(options);
  return tailor::serving::serve(
      [&](const auto& request, const auto& progress) { return service.answer(request, progress); });
}
