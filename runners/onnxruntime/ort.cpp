// Finding and loading the library, the environment with its log, and errors.
#include "runners/onnxruntime/ort.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>
#include <vector>

namespace tailor::ort {
namespace {

constexpr std::uint32_t kApiVersion = 15;  // all slots above exist then
constexpr int kLogErrors = 3;
constexpr const char* kFileName = "libonnxruntime.so.1";

// What the runtime logged since the last failed call. It may log from its own threads.
struct Log {
  std::mutex mutex;
  std::string text;
} log;

void keep_log(void*, int, const char*, const char*, const char*, const char* message) {
  std::lock_guard lock(log.mutex);
  if (log.text.size() < 4000) log.text += fmt::format("\n{}", message ? message : "");
}

std::string taken_log() {
  std::lock_guard lock(log.mutex);
  return std::exchange(log.text, {});
}

struct EntryPoints {
  void (*const* (*get_api)(std::uint32_t))();
  const char* (*get_version)();
};

std::vector<std::string> candidates(const std::string& library) {
  const char* set = std::getenv("TAILOR_ORT_LIBRARY");
  if (!library.empty()) return {library};
  if (set && *set) return {set};
  std::vector<std::string> list = {std::string(TAILOR_SOURCE_DIR "/deps/onnxruntime/") + kFileName};
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) list.push_back((self.parent_path().parent_path() / "lib" / kFileName).string());
  list.push_back(kFileName);
  return list;
}

std::string file_of(void* address, const std::string& otherwise) {
  Dl_info info{};
  return ::dladdr(address, &info) && info.dli_fname ? info.dli_fname : otherwise;
}

void* open_first(const std::vector<std::string>& names) {
  std::string tried;
  for (const std::string& name : names) {
    if (void* library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    tried += fmt::format("\n  {}", ::dlerror());
  }
  throw Error(Code::runtime_missing, "no ONNX Runtime library could be loaded; tried" + tried, "",
              "run scripts/get-onnxruntime, or name the library with --ort-library or TAILOR_ORT_LIBRARY");
}

// Official builds since 1.29 tell their maker about every model (its name, hashes, shapes) unless told not to
// before they are loaded, and leave files in the temporary folder.
void forbid_telemetry() { ::setenv("ORT_DISABLE_TELEMETRY", "1", 1); }

}  // namespace

Api::Api(const std::string& library) {
  forbid_telemetry();
  void* handle = open_first(candidates(library));
  void* symbol = ::dlsym(handle, "OrtGetApiBase");
  if (!symbol)
    throw Error(Code::runtime_missing, "the library is no ONNX Runtime (no OrtGetApiBase)", library);
  const auto* base = reinterpret_cast<const EntryPoints* (*)()>(symbol)();
  version_ = base->get_version();
  library_ = file_of(symbol, library);
  table_ = base->get_api(kApiVersion);
  if (!table_)
    throw Error(Code::runtime_missing,
                fmt::format("ONNX Runtime {} is older than 1.{}", version_, kApiVersion), library_);
  call(slot::create_env_with_logger, &keep_log, nullptr, kLogErrors, "tailor", &env_);
  call(slot::get_default_allocator, &allocator_);
}

std::string Api::take(char* text) const {
  std::string copy = text ? text : "";
  call(slot::allocator_free, allocator_, static_cast<void*>(text));
  return copy;
}

void Api::refuse(Status* status) const {
  std::string message = function(slot::get_error_message)(status);
  function(slot::release_status)(status);
  std::string logged = taken_log();
  if (logged.find(message) != std::string::npos) message.clear();
  if (message.empty() && !logged.empty()) logged.erase(0, 1);
  throw Error(Code::runtime_refused, message + logged);
}

}  // namespace tailor::ort
