// tailor-runner-kernels: loads generated kernels, or oneDNN's, checks what they compute, times them and runs them beside
// those of other runners, as JSON lines on stdin and stdout (docs/runner-protocol.md, "kernels"). A kernel that crashes or hangs takes this process with it and nothing
// else. The real stdout is kept for answers.
#include "runners/kernels/kernel.h"
#include "runners/kernels/layer.h"
#include "runners/kernels/onednn.h"
#include "runners/kernels/recent_layers.h"
#include "runners/kernels/window.h"
#include "tailor/base/error.h"
#include "tailor/base/json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <new>
#include <optional>

namespace tailor::kernels {
namespace {

constexpr std::int64_t kMostWorkers = 1024, kMostSamples = 10000;
constexpr std::size_t kMostLoaded = 256;  // kernels that are kept for windows
constexpr double kWindowSampleUs = 100;   // a sample of a window lasts so long by repetition

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

// Of a kernel for any shape.
std::vector<std::int64_t> shape_in(const Json& request) {
  std::vector<std::int64_t> shape;
  if (!request.contains("shape")) return shape;
  const Json& list = request["shape"];
  if (!list.is_array() ||
      !std::all_of(list.begin(), list.end(), [](const Json& n) { return n.is_number_integer(); }))
    throw Error(Code::bad_value, "\"shape\" must be a list of whole numbers", "request");
  for (const Json& number : list) shape.push_back(number.get<std::int64_t>());
  return shape;
}

class Service {
 public:
  Json answer(const Json& request) {
    const std::string op = text(request, "op", "request");
    if (op == "hello") return hello(request);
    if (op == "time") return time(request);
    if (op == "sentinel") return {{"us", sentinel_.time_us()}};
    if (op == "load") return load(request);
    if (op == "window") return window(request);
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

  // A shared object, or oneDNN where the request names it.
  Kernel kernel_of(const Json& request, const Layer& layer, int at_once) {
    if (!request.contains("onednn"))
      return load_kernel(text(request, "library", "request"), layer, at_once, shape_in(request));
    if (at_once > 1) throw Error(Code::bad_value, "oneDNN is timed on one thread only", "workers");
    const std::string path = text(request, "onednn", "request");
    if (onednn_ && path != onednn_path_)
      throw Error(Code::bad_value, "this process has loaded another oneDNN", path);
    if (!onednn_) onednn_ = std::make_unique<OneDnn>(path), onednn_path_ = path;
    return onednn_->kernel(layer);
  }

  Json time(const Json& request) {
    const Layer& layer = layers_.of(text(request, "workload", "request"));
    const int workers = whole(request, "workers", 1, kMostWorkers),
              samples = whole(request, "samples", 1, kMostSamples);
    const double least_us = number(request, "min_sample_us", "request");
    const Kernel kernel = kernel_of(request, layer, request.contains("onednn") ? workers : 1);
    const double error = error_of(kernel, layer, workers);
    if (!(error <= kTolerance)) return wrong(error);
    time_us(kernel, workers, 1);
    const double once = std::max(0.05, time_us(kernel, workers, 1) * workers);
    const int repeats = static_cast<int>(std::clamp(std::ceil(least_us / once), 1.0, 1e6));
    Json us = Json::array();
    for (int i = 0; i < samples; ++i) us.push_back(time_us(kernel, workers, repeats));
    return {{"error", error}, {"right", true}, {"us", std::move(us)}, {"kernel", kernel.name}};
  }
  static Json wrong(double error) {
    return {{"error", std::isfinite(error) ? Json(error) : Json(nullptr)}, {"right", false}};
  }

  // Keeps a kernel, or a stressor, under a name for windows.
  Json load(const Json& request) {
    const std::string name = text(request, "name", "request");
    const int workers = whole(request, "workers", 1, CPU_SETSIZE);
    if (loaded_.size() >= kMostLoaded && !loaded_.contains(name))
      throw Error(Code::bad_value, fmt::format("more than {} kernels", kMostLoaded), "name");
    Loaded made;
    double error = 0;
    if (request.contains("stressor")) {
      made.kernel = make_stressor(text(request, "stressor", "request"), workers);
    } else {
      made.layer =
          std::make_unique<Layer>(make_layer(latency::parse_workload(text(request, "workload", "request"))));
      made.kernel = kernel_of(request, *made.layer, workers);
      error = error_of(made.kernel, *made.layer, workers);
      if (!(error <= kTolerance)) return wrong(error);
    }
    time_us(made.kernel, workers, 1);
    const double once = time_us(made.kernel, workers, 1);
    made.workers = workers;
    made.repeats = static_cast<int>(std::clamp(std::ceil(kWindowSampleUs / std::max(once, 0.05)), 1.0, 1e4));
    loaded_[name] = std::move(made);
    return {{"error", error}, {"right", true}, {"us", once}};
  }

  // What was loaded runs for a while on one thread per core.
  Json window(const Json& request) {
    const auto found = loaded_.find(text(request, "name", "request"));
    if (found == loaded_.end()) throw Error(Code::unknown_name, "nothing of that name was loaded", "name");
    const double seconds = number(request, "seconds", "request");
    if (!(seconds > 0 && seconds <= 60))
      throw Error(Code::bad_value, "\"seconds\" must be 0 to 60", "request");
    const Json& list = member(request, "cores", "request");
    std::vector<int> cores;
    for (const Json& core : list.is_array() ? list : Json::array()) {
      if (!core.is_number_integer() || core.get<std::int64_t>() < 0 ||
          core.get<std::int64_t>() >= CPU_SETSIZE)
        throw Error(Code::bad_value, "\"cores\" must hold numbers of cores", "request");
      cores.push_back(core.get<int>());
    }
    const Loaded& loaded = found->second;
    if (cores.size() != static_cast<std::size_t>(loaded.workers))
      throw Error(Code::bad_value, "as many cores as workers that were loaded", "cores");
    const Window window = run_window(loaded.kernel, cores, loaded.repeats, seconds);
    return {{"us", window.us}, {"begin_us", window.begin_us}, {"end_us", window.end_us}};
  }

  struct Loaded {
    std::unique_ptr<Layer> layer;  // none: a stressor
    Kernel kernel;                 // refers to the layer
    int workers = 1, repeats = 1;
  };
  RecentLayers layers_;
  std::unique_ptr<OneDnn> onednn_;  // outlives what was loaded
  std::string onednn_path_;
  std::map<std::string, Loaded> loaded_;
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
    const bool refused = error.code() == Code::runtime_refused || error.code() == Code::runtime_missing;
    answer.update(failure(refused ? "refused" : "usage", error.what()));
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
