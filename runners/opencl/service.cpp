// open: library, device, and which of its compute units are ours. time: a kernel's text, checked, then timed in a part
// of so many units; what goes wrong with the kernel is an answer with its outcome.
#include "runners/opencl/service.h"

#include "runners/opencl/beside.h"
#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace tailor::opencl {
namespace {

constexpr std::int64_t kMostUnits = 1 << 20, kMostSamples = 10000, kMostRounds = 1000;
constexpr std::size_t kLongestText = std::size_t{16} << 20, kMostKept = 8;
constexpr double kLongestWindow = 10;  // seconds

// The kernel that never changes: products of 64 x 64 in the first cache, then one pass over 1 MiB, by one work-item.
constexpr const char* kSentinel =
    R"(// tailor {"packed": 0, "scratch": 0, "prepare": [], "run": [{"kernel": "sentinel", "global": [1], "local": [1]}]}
__kernel void sentinel(__global const float* input, __global const float* weights, __global float* packed,
                       __global const float* bias, __global const float* residual, __global float* scratch,
                       __global float* out) {
  for (int i = 0; i < 64; ++i)
    for (int k = 0; k < 64; ++k)
      for (int j = 0; j < 64; j += 8)
        vstore8(vload8(0, out + i * 64 + j) * 0.5f + input[i * 64 + k] * vload8(0, input + k * 64 + j), 0, out + i * 64 + j);
  float8 sum = 0;
  for (int i = 0; i < 1 << 18; i += 8) sum += vload8(0, weights + i);
  out[17] += sum.s0 + sum.s1 + sum.s2 + sum.s3 + sum.s4 + sum.s5 + sum.s6 + sum.s7;
}
)";

int whole(const Json& request, const char* key, std::int64_t low, std::int64_t high) {
  const std::int64_t value = integer(request, key, "request");
  if (value < low || value > high)
    throw Error(Code::bad_value, fmt::format("\"{}\" must be {} to {}", key, low, high), "request");
  return static_cast<int>(value);
}

std::string text_of(const std::string& file) {
  const Bytes bytes = map_file(file);
  if (bytes.size() > kLongestText) throw Error(Code::bad_value, "it is longer than 16 MiB", file);
  return std::string(bytes.view());
}

// PoCL's version goes on, behind two spaces, with how it was built.
std::string front(const std::string& version) { return version.substr(0, version.find("  ")); }

Json outcome(const std::string& name, const std::string& message) {
  return {{"right", false}, {"outcome", name}, {"message", message}};
}

Json wrong(double error) {
  Json answer = outcome("wrong_result", "");
  answer["error"] = std::isfinite(error) ? Json(error) : Json(nullptr);
  return answer;
}

}  // namespace

Json Service::answer(const Json& request) {
  const std::string op = text(request, "op", "request");
  open();
  if (op == "hello") return hello();
  if (op == "sentinel") return sentinel();
  if (op == "time") return time(request);
  if (op == "partitions") return partitions(request);
  throw Error(Code::usage, fmt::format("unknown op \"{}\"", op.substr(0, 40)));
}

void Service::open() {
  if (library_) return;
  // PoCL: worker i of the device runs on core i, so compute units of several runners are different cores.
  ::setenv("POCL_AFFINITY", "1", 1);
  // PoCL keeps what it compiled; of kernels that are tried once that is in vain.
  ::setenv("POCL_KERNEL_CACHE", "0", 0);
  if (!options_.cache.empty()) ::setenv("POCL_CACHE_DIR", options_.cache.c_str(), 1);
  auto library = std::make_unique<Library>(options_.library);
  const std::vector<Device> devices = find_devices(*library);
  devices_ = devices.size();
  if (static_cast<std::size_t>(options_.device) >= devices.size())
    throw Error(Code::unknown_name,
                fmt::format("there is no device {} of {}", options_.device, devices.size()), library->file,
                "they are counted from 0: --backend opencl:0 (tailor), --device 0 (this runner)");
  device_ = devices[static_cast<std::size_t>(options_.device)];
  if (options_.units == 0) options_.units = device_.units - options_.first;
  if (options_.units < 1 || options_.first + options_.units > device_.units)
    throw Error(Code::bad_value, fmt::format("it has {} compute units", device_.units), device_.name);
  library_ = std::move(library);
}

// The first units of ours.
Part& Service::part(int units) {
  if (units > options_.units)
    throw Error(Code::bad_value, fmt::format("only {} compute units are this runner's", options_.units),
                "workers");
  std::unique_ptr<Part>& held = parts_[units];
  if (!held) held = part_of(*library_, device_, options_.first, units);
  return *held;
}

// Finalists meet several times, so the last ones are kept.
Kernel& Service::kernel(int units, const kernels::Layer& layer, const std::string& file) {
  std::string text = text_of(file), workload = to_string(layer.workload);
  auto known = std::find_if(made_.begin(), made_.end(), [&](const Made& made) {
    return made.units == units && made.workload == workload && made.text == text;
  });
  if (known == made_.end()) {
    if (made_.size() >= kMostKept) made_.pop_back();
    auto kernel = std::make_unique<Kernel>(part(units), layer, text, file);
    known = made_.insert(made_.end(), {units, std::move(workload), std::move(text), std::move(kernel)});
  }
  std::rotate(made_.begin(), known, known + 1);
  return *made_.front().kernel;
}

Json Service::hello() {
  return {{"protocol", 1},
          {"runtime", "opencl"},
          {"version", fmt::format("{}, driver {}", front(device_.version), device_.driver)},
          {"isa", ""},
          {"processor", device_.name},
          {"cores", device_.units},
          {"library", library_->file},
          {"clock", device_.processor ? "thread cpu" : "device"},
          {"models", false},
          {"workloads", false},
          {"profiles", false},
          {"devices", devices_},
          {"opencl",
           {{"name", device_.name},
            {"platform", device_.platform},
            {"version", device_.version},
            {"driver", device_.driver},
            {"processor", device_.processor},
            {"by_counts", device_.by_counts},
            {"units", device_.units},
            {"vector_floats", device_.vector_floats},
            {"local_bytes", device_.local_bytes},
            {"group", device_.group}}}};
}

Json Service::sentinel() try {
  if (!sentinel_) {
    sentinel_layer_ = kernels::Layer{};
    sentinel_layer_->input.assign(64 * 64, 0.5f), sentinel_layer_->weights.assign(std::size_t{1} << 18, 1.0f);
    sentinel_layer_->expected.resize(64 * 64);
    sentinel_ = std::make_unique<Kernel>(part(device_.by_counts ? 1 : options_.units), *sentinel_layer_,
                                         kSentinel, "sentinel");
  }
  double best = INFINITY;
  for (int i = 0; i < 5; ++i) best = std::min(best, sentinel_->time_us(1));
  return {{"us", best}};
} catch (const Refused& refused) {
  throw Error(Code::runtime_refused, refused.what(), "sentinel");
}

Json Service::time(const Json& request) try {
  const kernels::Layer& layer = layers_.of(text(request, "workload", "request"));
  const int units = whole(request, "workers", 1, kMostUnits),
            samples = whole(request, "samples", 1, kMostSamples);
  const double least_us = number(request, "min_sample_us", "request");
  const std::string file = text(request, "library", "request");
  Kernel& kernel = this->kernel(units, layer, file);
  const double error = largest_error(layer, kernel.result());
  if (!(error <= kernels::kTolerance)) return wrong(error);
  const double once = std::max(0.05, kernel.time_us(1));
  const int repeats = static_cast<int>(std::clamp(std::ceil(least_us / once), 1.0, 1e5));
  Json us = Json::array();
  for (int i = 0; i < samples; ++i) us.push_back(kernel.time_us(repeats));
  return {{"error", error}, {"right", true}, {"us", std::move(us)}, {"compile_s", kernel.compile_s()}};
} catch (const Refused& refused) {
  return outcome(refused.outcome(), refused.what());
} catch (const CallFailed& failed) {
  return outcome(failed.outcome(), failed.what());
}

// The device in parts of `workers` units, all out of one split.
Json Service::partitions(const Json& request) try {
  const kernels::Layer& layer = layers_.of(text(request, "workload", "request"));
  const int units = whole(request, "workers", 1, device_.units),
            rounds = whole(request, "rounds", 1, kMostRounds);
  const double seconds = number(request, "seconds", "request");
  if (!(seconds > 0 && seconds <= kLongestWindow))
    throw Error(Code::bad_value, fmt::format("\"seconds\" must be above 0, at most {}", kLongestWindow),
                "request");
  const std::string file = text(request, "library", "request");
  const std::vector<int> counts(static_cast<std::size_t>(device_.units / units), units);
  const std::vector<std::unique_ptr<Part>> parts = split(*library_, device_, counts);
  std::vector<std::unique_ptr<Kernel>> list;
  for (const auto& part : parts) {
    list.push_back(std::make_unique<Kernel>(*part, layer, text_of(file), file));
    const double error = largest_error(layer, list.back()->result());
    if (!(error <= kernels::kTolerance)) return wrong(error);
  }
  const Beside beside = run_beside(list, device_.processor, rounds, seconds);
  return {{"right", true},
          {"units", counts},
          {"alone_us", beside.alone_us},
          {"beside_us", beside.beside_us},
          {"alone_cpu_us", beside.alone_cpu_us},
          {"beside_cpu_us", beside.beside_cpu_us},
          {"threads", beside.threads},
          {"throughput", beside.throughput}};
} catch (const Refused& refused) {
  return outcome(refused.outcome(), refused.what());
} catch (const CallFailed& failed) {
  return outcome(failed.outcome(), failed.what());
}

}  // namespace tailor::opencl
