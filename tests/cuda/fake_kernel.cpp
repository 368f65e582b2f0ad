// make_cubin: the processor's compiler, in the folder where this library lies. launch_emulated: addresses become pointers, the
// emulation runs, the stream's clock goes on.
#include "tests/cuda/fake_kernel.h"

#include "tests/tune/emulated_gpu.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace fake {
namespace {

using tailor::cuda::Address;
using tailor::cuda::Status;
namespace fs = std::filesystem;

constexpr std::string_view kMagic = "FAKE CUBIN\n";
constexpr Status kInvalid = 1;

fs::path own_folder() {
  Dl_info info;
  if (::dladdr(reinterpret_cast<const void*>(&is_fake_cubin), &info) == 0) return fs::temp_directory_path();
  return fs::path(info.dli_fname).parent_path();
}

std::string defines_in(const std::string& text) {
  std::istringstream stream(text);
  std::string defines;
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string define, name, rest;
    long long value = 0;
    if (words >> define >> name >> value && define == "#define" && !(words >> rest)) defines += line + "\n";
  }
  return defines;
}

std::int64_t constant(const LoadedModule& module, const char* name) {
  const auto it = module.constants.find(name);
  return it == module.constants.end() ? 0 : it->second;
}

std::map<std::string, std::int64_t> constants_in(const std::string& defines) {
  std::map<std::string, std::int64_t> constants;
  std::istringstream stream(defines);
  std::string define, name;
  for (std::int64_t value = 0; stream >> define >> name >> value;) constants[name] = value;
  return constants;
}

std::string content_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::int64_t registers_of(const LoadedModule& module) {
  const std::int64_t threads = 32 * constant(module, "WM") * constant(module, "WN");
  return threads > 0 ? 40 + constant(module, "BM") * constant(module, "BN") / threads : 40;
}

std::string assembler_log(const LoadedModule& module) {
  const std::int64_t shared =
      constant(module, "SHARED_BYTES") <= 49152 ? constant(module, "SHARED_BYTES") : 0;
  auto kernel = [](const char* name, std::int64_t registers, std::int64_t bytes) {
    return std::string("ptxas info    : Compiling entry function '") + name + "' for 'sm_90a'\n" +
           "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n" + "ptxas info    : Used " +
           std::to_string(registers) + " registers, " + std::to_string(bytes) + " bytes smem\n";
  };
  std::string log = kernel("product", registers_of(module), shared);
  if (constant(module, "SPLIT") > 1) log += kernel("finish", 24, 0);
  return log;
}

constexpr const char* kShim = R"(#define EMULATED_TEXT
#include "tests/tune/emulated_cuda.h"
namespace text {
)";
constexpr const char* kProduct = R"(
}
extern "C" void product(const unsigned short* a, const unsigned short* b, const float* c, const unsigned short* d,
                        float* e, unsigned short* f) { text::product(a, b, c, d, e, f); }
)";
constexpr const char* kFinish = R"(
extern "C" void finish(const float* a, const float* b, const unsigned short* c, unsigned short* d) { text::finish(a, b, c, d); }
)";

std::int64_t up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

double block_us(const LoadedModule& m, const std::string& name, unsigned grid, int at_a_time) {
  if (name == "finish") return 0.5;
  const std::int64_t bm = constant(m, "BM"), bn = constant(m, "BN"), bk = constant(m, "BK");
  const std::int64_t steps = up(up(constant(m, "K"), bk), constant(m, "SPLIT"));
  const std::int64_t work = up(constant(m, "M"), bm) * up(constant(m, "N"), bn) * constant(m, "SPLIT");
  const double step = static_cast<double>(bm * bn * bk * at_a_time) / 1024 / 1980 +
                      0.35 / static_cast<double>(constant(m, "STAGES") - 1);
  return (1 + static_cast<double>(steps) * step) * static_cast<double>(up(work, grid));
}

// The launch and what it reads, by the contents that it was given.
std::string name_of(const LoadedFunction& function, unsigned grid, const std::vector<Address>& arguments) {
  std::ostringstream text;
  text << function.module << ' ' << function.name << ' ' << grid;
  for (Address address : arguments) {
    const auto [begin, version] = device().version(address);
    text << ' ' << address << ':' << begin << ':' << version;
  }
  return text.str();
}

std::string emulated(const LoadedFunction& function, const LoadedModule& module, unsigned grid,
                     unsigned threads, const std::vector<Address>& arguments) {
  namespace testing = tailor::testing;
  std::vector<std::byte*> p;
  std::vector<testing::Readable> readable;
  for (Address address : arguments) {
    p.push_back(device().contents(address));
    if (p.back()) readable.push_back({p.back(), device().memory[address]});
  }
  testing::EmulatedLaunch how;
  how.grid = grid, how.block = threads;
  how.shared_bytes = function.name == "product" ? constant(module, "SHARED_BYTES") : 0;
  void* entry = ::dlsym(module.library, function.name.c_str());
  auto halves = [&](std::size_t i) { return reinterpret_cast<std::uint16_t*>(p[i]); };
  auto floats = [&](std::size_t i) { return reinterpret_cast<float*>(p[i]); };
  if (function.name == "finish") {
    auto* finish =
        reinterpret_cast<void (*)(const float*, const float*, const std::uint16_t*, std::uint16_t*)>(entry);
    return testing::emulate(how, readable, [&] { finish(floats(0), floats(1), halves(2), halves(3)); }).fault;
  }
  auto* product = reinterpret_cast<void (*)(const std::uint16_t*, const std::uint16_t*, const float*,
                                            const std::uint16_t*, float*, std::uint16_t*)>(entry);
  return testing::emulate(how, readable,
                          [&] { product(halves(0), halves(1), floats(2), halves(3), floats(4), halves(5)); })
      .fault;
}

// What a launch may not be told.
bool sensible(const LoadedFunction& function, const LoadedModule& module, unsigned threads, unsigned shared) {
  if (static_cast<int>(shared) > function.dynamic_shared) return false;
  if (function.name == "finish") return threads == 256 && shared == 0;
  const std::int64_t bytes = constant(module, "SHARED_BYTES");
  return threads == 32 * constant(module, "WM") * constant(module, "WN") &&
         shared == (bytes > 49152 ? bytes : 0);
}

}  // namespace

bool is_fake_cubin(std::string_view image) { return image.starts_with(kMagic); }

bool load_cubin(std::string_view image, LoadedModule& module) {
  const std::string text(image.substr(kMagic.size()));
  const std::string library = text.substr(0, text.find('\n'));
  module.constants = constants_in(text.substr(std::min(text.size(), library.size() + 1)));
  module.library = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!module.library || !has_kernel(module, "product")) return false;
  auto* use = reinterpret_cast<void (*)(const emulated::Machine*)>(::dlsym(module.library, "use"));
  if (use) use(&tailor::testing::emulated_machine());
  return use != nullptr;
}

bool has_kernel(const LoadedModule& module, const std::string& name) {
  return ::dlsym(module.library, name.c_str()) != nullptr;
}

std::string make_cubin(const std::string& text, std::string& log) {
  static int next = 0;
  const std::string stem =
      (own_folder() / ("kernel" + std::to_string(::getpid()) + "-" + std::to_string(next++))).string();
  LoadedModule module;
  module.constants = constants_in(defines_in(text));
  std::ofstream(stem + ".cc") << kShim << text << kProduct << (constant(module, "SPLIT") > 1 ? kFinish : "");
  const std::string command = "${CXX:-c++} -std=c++17 -O1 -w -shared -fPIC -I'" TAILOR_SOURCE_DIR "' -o '" +
                              stem + ".so' '" + stem + ".cc' 2> '" + stem + ".log'";
  const bool good = std::system(command.c_str()) == 0;
  log = good ? assembler_log(module) : content_of(stem + ".log");
  for (const char* extension : {".cc", ".log"}) fs::remove(stem + extension);
  return good ? std::string(kMagic) + stem + ".so\n" + defines_in(text) : "";
}

int blocks_at_a_time(const LoadedModule& module, int threads, int dynamic_shared) {
  const std::int64_t bytes = std::max<std::int64_t>(dynamic_shared, constant(module, "SHARED_BYTES")) + 1024;
  return static_cast<int>(std::min({std::int64_t{32}, std::int64_t{2048} / threads,
                                    65536 / (registers_of(module) * threads), 233472 / bytes}));
}

Status launch_emulated(const LoadedFunction& function, unsigned grid, unsigned threads, unsigned shared,
                       tailor::cuda::Stream stream, void** arguments) {
  const LoadedModule& module = device().modules[function.module];
  if (!sensible(function, module, threads, shared))
    return device().misuse("a launch of another shape"), kInvalid;
  std::vector<Address> addresses;
  for (std::size_t i = 0; i < (function.name == "product" ? 6u : 4u); ++i)
    addresses.push_back(*static_cast<Address*>(arguments[i]));
  if (device().meant("hang", module))
    for (;;) ::pause();
  static std::set<std::string> computed;
  if (computed.insert(name_of(function, grid, addresses)).second) {
    const std::string fault = emulated(function, module, grid, threads, addresses);
    if (!fault.empty()) device().misuse(function.name + ": " + fault), device().lost = true;
    if (device().meant("wrong", module))
      *reinterpret_cast<std::uint16_t*>(device().contents(addresses.back())) = 0x7bff;
  }
  if (device().meant("fault", module)) device().lost = true;
  Kernel kernel;
  kernel.name = function.name;
  kernel.grid[0] = static_cast<int>(grid), kernel.block[0] = static_cast<int>(threads);
  kernel.per_multiprocessor = blocks_at_a_time(module, static_cast<int>(threads), static_cast<int>(shared));
  kernel.block_us = block_us(module, function.name, grid, kernel.per_multiprocessor);
  return device().launch(stream, kernel);
}

}  // namespace fake
