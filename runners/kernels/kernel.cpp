#include "runners/kernels/kernel.h"

#include "tailor/base/error.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

namespace tailor::kernels {
namespace {

// A shared object made of kernels/product.cc.
class Library {
 public:
  explicit Library(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (!handle_) throw Error(Code::runtime_refused, ::dlerror(), path);
    shape = reinterpret_cast<decltype(shape)>(::dlsym(handle_, "kernel_shape"));  // not of every kernel
    sizes = symbol<decltype(sizes)>("kernel_sizes", path);
    prepare = symbol<decltype(prepare)>("kernel_prepare", path);
    run = symbol<decltype(run)>("kernel_run", path);
  }
  ~Library() { ::dlclose(handle_); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  int (*shape)(const std::ptrdiff_t*, std::size_t) = nullptr;
  void (*sizes)(std::size_t*, std::size_t*) = nullptr;
  void (*prepare)(const float*, float*) = nullptr;
  void (*run)(const float*, const float*, const float*, const float*, float*, float*, int, int) = nullptr;

 private:
  template <class Function>
  Function symbol(const char* name, const std::string& path) {
    void* found = ::dlsym(handle_, name);
    if (!found) throw Error(Code::runtime_refused, fmt::format("it does not export {}", name), path);
    return reinterpret_cast<Function>(found);
  }
  void* handle_;
};

// What a generated kernel works on.
struct Memory {
  Library library;
  std::vector<float> packed, scratch;
  std::size_t scratch_of_one = 0, at_once = 1;

  explicit Memory(const std::string& path) : library(path) {}
};

void set_shape(const Library& library, const std::vector<std::int64_t>& shape, const std::string& path) {
  const std::vector<std::ptrdiff_t> numbers(shape.begin(), shape.end());
  if (library.shape ? library.shape(numbers.data(), numbers.size()) != 1 : !shape.empty())
    throw Error(Code::runtime_refused, fmt::format("it does not take {} numbers for its shape", shape.size()),
                path);
}

}  // namespace

Kernel load_kernel(const std::string& path, const Layer& layer, int at_once,
                   const std::vector<std::int64_t>& shape) {
  TAILOR_CHECK(at_once >= 1);
  auto memory = std::make_shared<Memory>(path);
  set_shape(memory->library, shape, path);
  std::size_t packed = 0;
  memory->library.sizes(&packed, &memory->scratch_of_one);
  memory->at_once = static_cast<std::size_t>(at_once);
  constexpr std::size_t kMost = std::size_t{1} << 30;
  if (packed > kMost || memory->scratch_of_one > kMost / memory->at_once)
    throw Error(Code::runtime_refused, "it wants more than 4 GiB", path);
  memory->packed.resize(packed), memory->scratch.resize(memory->scratch_of_one * memory->at_once);
  memory->library.prepare(layer.weights.data(), memory->packed.data());
  auto out = std::make_shared<std::vector<float>>(layer.expected.size());
  auto run = [memory, out, &layer](int worker, int workers) {
    float* scratch = memory->scratch.data() +
                     memory->scratch_of_one * (static_cast<std::size_t>(worker) % memory->at_once);
    memory->library.run(layer.input.data(), memory->packed.data(), layer.bias.data(), layer.residual.data(),
                        out->data(), scratch, worker, workers);
  };
  return {run, out};
}

double error_of(const Kernel& kernel, const Layer& layer, int workers) {
  std::fill(kernel.out->begin(), kernel.out->end(), std::nanf(""));
  for (int worker = 0; worker < workers; ++worker) kernel.run(worker, workers);
  return largest_error(layer, *kernel.out);
}

double thread_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

double time_us(const Kernel& kernel, int workers, int repeats) {
  double longest = 0;
  for (int worker = 0; worker < workers; ++worker) {
    const double begin = thread_us();
    for (int i = 0; i < repeats; ++i) kernel.run(worker, workers);
    longest = std::max(longest, (thread_us() - begin) / repeats);
  }
  return longest;
}

}  // namespace tailor::kernels
