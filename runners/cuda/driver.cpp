// Loading: the user's folders, then the dynamic linker's, then CUDA's usual place. Each symbol is looked up by name.
#include "runners/cuda/driver.h"

#include "tailor/base/error.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace tailor::cuda {
namespace {

constexpr const char* kDriverHelp =
    "libcuda.so.1 comes with NVIDIA's driver: nvidia-smi says whether that works";
constexpr const char* kToolkitHelp =
    "install it, or name its folder with TAILOR_CUDA_LIBRARIES (folders joined by ':'), for instance those "
    "of "
    "PyTorch's wheels: site-packages/nvidia/*/lib";
constexpr std::array kUsualFolders = {"/usr/local/cuda/lib64", "/usr/local/cuda/extras/CUPTI/lib64"};

// Libraries stay loaded until the program ends: CUDA's own destructors do not like less.
void* open(const std::string& file) { return ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL); }

std::string last_error() {
  const char* text = ::dlerror();
  return text ? text : "no reason given";
}

// The library and, beside it, the folder's other files of the same vendor are found through its own rpath.
void* open_in(const std::string& folder, const std::string& name, std::string& found) {
  std::filesystem::path path = std::filesystem::path(folder) / name;
  std::error_code none;
  if (!std::filesystem::exists(path, none)) return nullptr;
  void* handle = open(path.string());
  if (!handle)
    throw Error(Code::runtime_missing, fmt::format("{} cannot be loaded: {}", name, last_error()),
                path.string(), "the file is damaged, or lacks a library that it needs itself");
  found = path.string();
  return handle;
}

template <class F>
void find(F*& function, void* handle, const char* symbol, const std::string& file) {
  function = reinterpret_cast<F*>(::dlsym(handle, symbol));
  if (!function)
    throw Error(Code::runtime_missing, fmt::format("{} has no function {}", file, symbol), file,
                "a newer version of the library is needed");
}

}  // namespace

std::vector<std::string> split_folders(const std::string& text) {
  std::vector<std::string> folders;
  for (std::size_t at = 0; at <= text.size();) {
    std::size_t end = std::min(text.find(':', at), text.size());
    if (end > at) folders.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return folders;
}

void* Libraries::load(const std::string& library, const std::vector<std::string>& versions,
                      const char* help) {
  std::string names;
  for (const std::string& version : versions) {
    const std::string name = library + (version.empty() ? ".so" : ".so." + version);
    names += (names.empty() ? "" : ", ") + name;
    std::string file = name;
    void* handle = nullptr;
    for (const std::string& folder : folders_)
      if ((handle = open_in(folder, name, file))) break;
    if (!handle) handle = open(name);
    for (const char* folder : kUsualFolders)
      if (!handle) handle = open_in(folder, name, file);
    if (!handle) continue;
    loaded_.push_back({library, file, handle});
    return handle;
  }
  std::string looked = "the system's library folders";
  for (const char* folder : kUsualFolders) looked += std::string(", ") + folder;
  for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) looked = *folder + ", " + looked;
  throw Error(Code::runtime_missing, fmt::format("{} is missing; looked in {}", names, looked), library,
              help);
}

std::string Libraries::file_of(const std::string& library) const {
  for (const Loaded& loaded : loaded_)
    if (loaded.library == library) return loaded.file;
  return {};
}

#define TAILOR_CUDA_FIND(name, symbol, ...) find(table.name, handle, #symbol, loaded_.back().file);

const DriverFunctions& Libraries::driver() {
  if (driver_) return *driver_;
  DriverFunctions table;
  void* handle = load("libcuda", {"1"}, kDriverHelp);
  TAILOR_CUDA_DRIVER(TAILOR_CUDA_FIND)
  return driver_.emplace(table);
}

const BlasFunctions& Libraries::blas() {
  if (blas_) return *blas_;
  BlasFunctions table;
  void* handle = load("libcublasLt", {"13", "12"}, kToolkitHelp);
  TAILOR_CUDA_BLAS(TAILOR_CUDA_FIND)
  find(table.version, handle, "cublasLtGetVersion", loaded_.back().file);
  return blas_.emplace(table);
}

const DnnFunctions& Libraries::dnn() {
  if (dnn_) return *dnn_;
  DnnFunctions table;
  void* handle = load("libcudnn", {"9"}, kToolkitHelp);
  TAILOR_CUDA_DNN(TAILOR_CUDA_FIND)
  find(table.version, handle, "cudnnGetVersion", loaded_.back().file);
  find(table.error_text, handle, "cudnnGetErrorString", loaded_.back().file);
  find(table.last_error, handle, "cudnnGetLastErrorString", loaded_.back().file);
  return dnn_.emplace(table);
}

const CuptiFunctions& Libraries::cupti() {
  if (cupti_) return *cupti_;
  CuptiFunctions table;
  void* handle = load("libcupti", {"13", "12"}, kToolkitHelp);
  TAILOR_CUDA_CUPTI(TAILOR_CUDA_FIND)
  return cupti_.emplace(table);
}

const NvrtcFunctions& Libraries::nvrtc() {
  if (nvrtc_) return *nvrtc_;
  NvrtcFunctions table;
  void* handle = load("libnvrtc", {"13", "12", "11.2", ""}, kToolkitHelp);
  TAILOR_CUDA_NVRTC(TAILOR_CUDA_FIND)
  find(table.error_text, handle, "nvrtcGetErrorString", loaded_.back().file);
  return nvrtc_.emplace(table);
}
#undef TAILOR_CUDA_FIND

const GreenFunctions* Libraries::green() {
  if (green_) return &*green_;
  driver();
  void* handle = nullptr;
  for (const Loaded& loaded : loaded_)
    if (loaded.library == "libcuda") handle = loaded.handle;
  GreenFunctions table;
  bool all = true;
#define TAILOR_CUDA_MAYBE(name, symbol, ...)                                     \
  table.name = reinterpret_cast<decltype(table.name)>(::dlsym(handle, #symbol)); \
  all = all && table.name;
  TAILOR_CUDA_GREEN(TAILOR_CUDA_MAYBE)
#undef TAILOR_CUDA_MAYBE
  return all ? &green_.emplace(table) : nullptr;
}

void Libraries::check(Status status, const char* call) {
  if (status == 0) return;
  const char* text = nullptr;
  if (!driver_ || driver_->error_text(status, &text) != 0 || !text) text = "unknown error";
  throw CallFailed(fmt::format("{}: {} ({})", call, text, status), status == kOutOfMemory,
                   status >= kFirstFatal && status <= kLastFatal);
}

void Libraries::check_blas(Status status, const char* call) const {
  constexpr Status kAllocation = 3, kExecution = 13;
  if (status == 0) return;
  throw CallFailed(fmt::format("{}: cuBLAS status {}", call, status), status == kAllocation,
                   status == kExecution);
}

void Libraries::check_dnn(Status status, const char* call) const {
  if (status == 0) return;
  std::array<char, 512> reason{};
  const char* text = dnn_ ? dnn_->error_text(status) : nullptr;
  if (dnn_) dnn_->last_error(reason.data(), reason.size() - 1);
  constexpr Status kExecution = 5000;
  throw CallFailed(fmt::format("{}: {} ({}) {}", call, text ? text : "unknown error", status, reason.data()),
                   status == kDnnDeviceMemory, status >= kExecution);
}

void Libraries::check_nvrtc(Status status, const char* call) const {
  if (status == 0) return;
  const char* text = nvrtc_ ? nvrtc_->error_text(status) : nullptr;
  throw CallFailed(fmt::format("{}: {} ({})", call, text ? text : "unknown error", status),
                   status == kNvrtcOutOfMemory, false);
}

}  // namespace tailor::cuda
