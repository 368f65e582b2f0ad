// tailor-runner-kernels: loads generated kernels, checks what they compute and times them, as JSON lines on stdin and
// stdout (docs/runner-protocol.md, "kernels"). A kernel that crashes or hangs takes this process with it and nothing
// else. The real stdout is kept for answers.
#include "runners/kernels/layer.h"
#include "tailor/base/error.h"
#include "tailor/base/json.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>
#include <new>
#include <optional>

namespace tailor::kernels {
namespace {

constexpr double kTolerance = 1e-5;  // of the sum of absolute products; rounding in f32 stays below it
constexpr std::int64_t kMostWorkers = 1024, kMostSamples = 10000;

double thread_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

// A shared object made of kernels/product.cc.
class Library {
 public:
  explicit Library(const std::string& path) : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (!handle_) throw Error(Code::runtime_refused, ::dlerror(), path);
    sizes = symbol<decltype(sizes)>("kernel_sizes", path);
    prepare = symbol<decltype(prepare)>("kernel_prepare", path);
    run = symbol<decltype(run)>("kernel_run", path);
  }
  ~Library() { ::dlclose(handle_); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

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

// A kernel with its memory, ready to run.
class Prepared {
 public:
  Prepared(const std::string& path, const Layer& layer) : library_(path), layer_(layer) {
    std::size_t packed = 0, scratch = 0;
    library_.sizes(&packed, &scratch);
    constexpr std::size_t kMost = std::size_t{1} << 30;
    if (packed > kMost || scratch > kMost)
      throw Error(Code::runtime_refused, "it wants more than 4 GiB", path);
    packed_.resize(packed), scratch_.resize(scratch), out_.resize(layer.expected.size());
    library_.prepare(layer.weights.data(), packed_.data());
  }
  void run(int worker, int workers) {
    library_.run(layer_.input.data(), packed_.data(), layer_.bias.data(), layer_.residual.data(), out_.data(),
                 scratch_.data(), worker, workers);
  }
  // Of all workers one after the other, beginning with nothing in the result.
  double error(int workers) {
    std::fill(out_.begin(), out_.end(), std::nanf(""));
    for (int worker = 0; worker < workers; ++worker) run(worker, workers);
    return largest_error(layer_, out_);
  }
  // CPU time of one run: with several workers that of the one who takes longest, each timed alone.
  double time_us(int workers, int repeats) {
    double longest = 0;
    for (int worker = 0; worker < workers; ++worker) {
      const double begin = thread_us();
      for (int i = 0; i < repeats; ++i) run(worker, workers);
      longest = std::max(longest, (thread_us() - begin) / repeats);
    }
    return longest;
  }

 private:
  Library library_;
  const Layer& layer_;
  std::vector<float> packed_, scratch_, out_;
};

// The kernel that never changes: products of 64 x 64 in the first cache, then one pass over 1 MiB. Its time says how
// fast this core is at the moment.
class Sentinel {
 public:
  Sentinel() : a_(64 * 64, 0.5f), b_(64 * 64, 0.25f), c_(64 * 64), stream_(std::size_t{1} << 18, 1.0f) {}
  double time_us() {
    double best = 1e300;
    for (int i = 0; i < 5; ++i) {
      const double begin = thread_us();
      run();
      best = std::min(best, thread_us() - begin);
    }
    return best;
  }

 private:
  void run() {
    for (std::size_t i = 0; i < 64; ++i)
      for (std::size_t k = 0; k < 64; ++k)
        for (std::size_t j = 0; j < 64; ++j) c_[i * 64 + j] += a_[i * 64 + k] * b_[k * 64 + j];
    float sum = 0;
    for (float value : stream_) sum += value;
    sink_ = sum + c_[17];
  }
  std::vector<float> a_, b_, c_, stream_;
  volatile float sink_ = 0;
};

int whole(const Json& request, const char* key, std::int64_t low, std::int64_t high) {
  const std::int64_t value = integer(request, key, "request");
  if (value < low || value > high)
    throw Error(Code::bad_value, fmt::format("\"{}\" must be {} to {}", key, low, high), "request");
  return static_cast<int>(value);
}

class Service {
 public:
  Json answer(const Json& request) {
    const std::string op = text(request, "op", "request");
    if (op == "hello") return hello(request);
    if (op == "time") return time(request);
    if (op == "sentinel") return {{"us", sentinel_.time_us()}};
    throw Error(Code::usage, fmt::format("unknown op \"{}\"", op.substr(0, 40)));
  }

 private:
  // Binds itself to one core where "cpu" names it.
  Json hello(const Json& request) {
    if (request.contains("cpu")) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(static_cast<std::size_t>(whole(request, "cpu", 0, CPU_SETSIZE - 1)), &set);
      if (::sched_setaffinity(0, sizeof set, &set) != 0)
        throw Error(Code::bad_value, "this process may not run on that core", "cpu");
    }
    return {{"protocol", 1}, {"runtime", "kernels"}, {"clock", "thread cpu"}};
  }

  const Layer& layer_of(const std::string& workload) {
    if (!layer_ || to_string(layer_->workload) != workload)
      layer_ = std::make_unique<Layer>(make_layer(latency::parse_workload(workload)));
    return *layer_;
  }

  Json time(const Json& request) {
    const Layer& layer = layer_of(text(request, "workload", "request"));
    const int workers = whole(request, "workers", 1, kMostWorkers),
              samples = whole(request, "samples", 1, kMostSamples);
    const double least_us = number(request, "min_sample_us", "request");
    Prepared kernel(text(request, "library", "request"), layer);
    const double error = kernel.error(workers);
    if (!(error <= kTolerance))
      return {{"error", std::isfinite(error) ? Json(error) : Json(nullptr)}, {"right", false}};
    kernel.time_us(workers, 1);
    const double once = std::max(0.05, kernel.time_us(workers, 1) * workers);
    const int repeats = static_cast<int>(std::clamp(std::ceil(least_us / once), 1.0, 1e6));
    Json us = Json::array();
    for (int i = 0; i < samples; ++i) us.push_back(kernel.time_us(workers, repeats));
    return {{"error", error}, {"right", true}, {"us", std::move(us)}};
  }

  std::unique_ptr<Layer> layer_;
  Sentinel sentinel_;
};

Json failure(const char* kind, const std::string& message) {
  return {{"ok", false}, {"kind", kind}, {"message", message}};
}

Json answer_safely(Service& service, const std::string& line) {
  Json answer = {{"id", nullptr}};
  try {
    const Json request = parse_json(line, "request");
    if (request.is_object() && request.contains("id")) answer["id"] = request["id"];
    if (!request.is_object()) throw Error(Code::usage, "a request must be an object");
    Json result = service.answer(request);
    answer["ok"] = true;
    answer.update(result);
  } catch (const Error& error) {
    answer.update(failure(error.code() == Code::runtime_refused ? "refused" : "usage", error.what()));
  } catch (const std::bad_alloc&) {
    answer.update(failure("memory", "out of memory"));
  } catch (const std::exception& error) {
    answer.update(failure("internal", error.what()));
  }
  return answer;
}

bool write_line(int fd, const Json& json) {
  const std::string line = to_line(json) + "\n";
  for (std::string_view rest = line; !rest.empty();) {
    const ssize_t n = ::write(fd, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

int serve_all() {
  const int answers = ::dup(STDOUT_FILENO);
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::signal(SIGPIPE, SIG_IGN);
  Service service;
  for (std::string line; std::getline(std::cin, line);)
    if (!line.empty() && !write_line(answers, answer_safely(service, line))) return 1;
  return 0;
}

}  // namespace
}  // namespace tailor::kernels

int main(int count, char** arguments) {
  if (count > 1) {
    fmt::print(stderr,
               "usage: tailor-runner-kernels\nSpeaks the protocol of docs/runner-protocol.md on stdin and "
               "stdout.\n");
    return std::string(arguments[1]) == "--help" ? 0 : 2;
  }
  return tailor::kernels::serve_all();
}
