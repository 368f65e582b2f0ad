// kernel_launch_plan: JSON to launches, with bounds. TunedKernel: layouts and types of the operands, the module, the grid of a
// persistent launch, the comparison with the loops.
#include "runners/cuda/tuned_kernel.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace tailor::cuda {
namespace {

using kernels::Layer;
using latency::Kind;
using Halves = std::vector<std::uint16_t>;

constexpr std::uint16_t kHalfNan = 0x7fff;
constexpr double kNoNumber = 1e30;

std::int64_t bounded(const Json& json, const char* key, std::int64_t least, std::int64_t most,
                     const std::string& place) {
  const std::int64_t value = integer(json, key, place);
  if (value < least || value > most)
    throw Error(Code::bad_json, fmt::format("\"{}\" is {}, not {} to {}", key, value, least, most), place);
  return value;
}

// The one number of "grid" or "block".
unsigned size_in(const Json& json, const char* key, std::int64_t most, const std::string& place) {
  const Json& list = member(json, key, place);
  if (!list.is_array() || list.size() != 1)
    throw Error(Code::bad_json, fmt::format("\"{}\" must be an array of one number", key), place);
  return static_cast<unsigned>(bounded(Json{{key, list[0]}}, key, 1, most, place));
}

// Elements of a tensor [images][channels][pixels] as f16, pixel by pixel.
Halves pixel_by_pixel(const std::vector<float>& values, std::int64_t images, std::int64_t channels) {
  Halves halves(values.size());
  const auto c = static_cast<std::size_t>(channels), n = static_cast<std::size_t>(images),
             pixels = values.size() / (c * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < c; ++k)
      for (std::size_t p = 0; p < pixels; ++p)
        halves[(i * pixels + p) * c + k] = kernels::half_bits(values[(i * c + k) * pixels + p]);
  return halves;
}

// [oc][ic][taps] -> [taps][ic][oc]
Halves by_taps(const std::vector<float>& values, std::int64_t outputs, std::int64_t inputs) {
  Halves halves(values.size());
  const auto n = static_cast<std::size_t>(outputs), c = static_cast<std::size_t>(inputs),
             taps = values.size() / (n * c);
  for (std::size_t o = 0; o < n; ++o)
    for (std::size_t i = 0; i < c; ++i)
      for (std::size_t t = 0; t < taps; ++t)
        halves[(t * c + i) * n + o] = kernels::half_bits(values[(o * c + i) * taps + t]);
  return halves;
}

Halves as_they_lie(const std::vector<float>& values) {
  Halves halves;
  halves.reserve(values.size());
  for (float value : values) halves.push_back(kernels::half_bits(value));
  return halves;
}

// Where the device has the output that the loops count as `at`.
std::size_t place_on_device(const latency::Workload& w, std::int64_t at) {
  if (w.kind == Kind::gemm) return static_cast<std::size_t>(at);
  const std::int64_t pixels = w.oh * w.ow, pixel = at % pixels, channel = at / pixels % w.oc,
                     image = at / (pixels * w.oc);
  return static_cast<std::size_t>((image * pixels + pixel) * w.oc + channel);
}

double largest_error(const Layer& layer, const Halves& out) {
  double largest = 0;
  for (std::size_t i = 0; i < layer.expected.size(); ++i) {
    const std::int64_t at = static_cast<std::int64_t>(i) * layer.stride;
    const double value = kernels::half_value(out[place_on_device(layer.workload, at)]);
    const double allowed = std::abs(layer.expected[i]) / 1024 + 1e-5 * layer.scale[i] + 1e-30;
    const double error = std::abs(value - layer.expected[i]) / allowed;
    if (!std::isfinite(error)) return kNoNumber;
    largest = std::max(largest, error);
  }
  return largest;
}

// What is no fault of the context is one of this kernel.
void check_kernel(Libraries& libraries, Status status, const char* call, const char* outcome) {
  try {
    libraries.check(status, call);
  } catch (const CallFailed& failed) {
    if (failed.fatal) throw;
    throw CannotRun(failed.memory ? "device_limit" : outcome, failed.what());
  }
}

}  // namespace

KernelLaunchPlan kernel_launch_plan(const Json& json, const std::string& place) {
  constexpr std::int64_t kMostFloats = std::int64_t{1} << 34, kMostGrid = (std::int64_t{1} << 31) - 1;
  KernelLaunchPlan plan;
  plan.workspace = static_cast<std::size_t>(bounded(json, "workspace", 0, kMostFloats, place));
  plan.persistent = boolean(json, "persistent", place);
  const Json& run = member(json, "run", place);
  if (!run.is_array() || run.empty() || run.size() > 2)
    throw Error(Code::bad_json, "\"run\" must be one or two launches", place);
  for (const Json& step : run) {
    KernelLaunchPlan::Launch launch;
    launch.kernel = text(step, "kernel", place);
    launch.grid = size_in(step, "grid", kMostGrid, place), launch.block = size_in(step, "block", 1024, place);
    launch.shared = static_cast<std::size_t>(bounded(step, "shared", 0, 1 << 20, place));
    if (launch.kernel != (plan.run.empty() ? "product" : "finish"))
      throw Error(Code::bad_json, "the launches are \"product\", then \"finish\"", place);
    plan.run.push_back(std::move(launch));
  }
  return plan;
}

Buffer TunedKernel::upload(const void* from, std::size_t bytes) {
  if (bytes == 0) return {};
  Buffer buffer(gpu_, bytes);
  gpu_.libraries().check(gpu_.libraries().driver().to_device(buffer.address(), from, bytes), "cuMemcpyHtoD");
  return buffer;
}

void TunedKernel::load(const std::string& cubin) {
  Libraries& libraries = gpu_.libraries();
  check_kernel(libraries, libraries.driver().load_module(&module_, cubin.c_str()), "cuModuleLoadData",
               "invalid");
}

TunedKernel::TunedKernel(Gpu& gpu, const Layer& layer, const std::string& cubin, const KernelLaunchPlan& plan,
                         int multiprocessors)
    : gpu_(gpu) {
  const latency::Workload& w = layer.workload;
  TAILOR_CHECK(w.type == graph::DataType::f16);
  const bool conv = w.kind == Kind::conv;
  auto put = [this](const Halves& halves) {
    return upload(halves.data(), halves.size() * sizeof(std::uint16_t));
  };
  try {
    input_ = put(conv ? pixel_by_pixel(layer.input, w.mb, w.ic) : as_they_lie(layer.input));
    weights_ = put(conv ? by_taps(layer.weights, w.oc, w.ic) : as_they_lie(layer.weights));
    bias_ = upload(layer.bias.data(), layer.bias.size() * sizeof(float));
    if (!layer.residual.empty())
      residual_ = put(conv ? pixel_by_pixel(layer.residual, w.mb, w.oc) : as_they_lie(layer.residual));
    partial_ = Buffer(gpu, plan.workspace * sizeof(float));
    out_ = Buffer(gpu, static_cast<std::size_t>(layer.outputs) * sizeof(std::uint16_t));
    load(cubin);
    for (const KernelLaunchPlan::Launch& launch : plan.run)
      add_step(launch, plan.persistent, multiprocessors);
  } catch (const CallFailed& failed) {
    if (module_) gpu_.libraries().driver().unload_module(module_);
    if (failed.memory && !failed.fatal) throw CannotRun("device_limit", failed.what());
    throw;
  } catch (...) {
    if (module_) gpu_.libraries().driver().unload_module(module_);
    throw;
  }
}

TunedKernel::~TunedKernel() { gpu_.libraries().driver().unload_module(module_); }

void TunedKernel::add_step(const KernelLaunchPlan::Launch& launch, bool persistent, int multiprocessors) {
  Libraries& libraries = gpu_.libraries();
  const DriverFunctions& cu = libraries.driver();
  Step step;
  step.launch = launch;
  const bool product = launch.kernel == "product";
  step.arguments = product ? std::vector<Address>{input_.address(),    weights_.address(), bias_.address(),
                                                  residual_.address(), partial_.address(), out_.address()}
                           : std::vector<Address>{partial_.address(), bias_.address(), residual_.address(),
                                                  out_.address()};
  check_kernel(libraries, cu.function(&step.function, module_, launch.kernel.c_str()), "cuModuleGetFunction",
               "invalid");
  if (launch.shared > 0)
    check_kernel(libraries,
                 cu.set_function(step.function, kMostDynamicShared, static_cast<int>(launch.shared)),
                 "cuFuncSetAttribute", "device_limit");
  int blocks = 0;
  check_kernel(libraries, cu.occupancy(&blocks, step.function, static_cast<int>(launch.block), launch.shared),
               "cuOccupancyMaxActiveBlocksPerMultiprocessor", "device_limit");
  if (blocks < 1) throw CannotRun("device_limit", "a multiprocessor has no room for one block");
  if (persistent && product)
    step.launch.grid = std::min(launch.grid, static_cast<unsigned>(blocks * multiprocessors));
  steps_.push_back(std::move(step));
}

void TunedKernel::enqueue(Stream stream) const {
  Libraries& libraries = gpu_.libraries();
  for (const Step& step : steps_) {
    std::array<Address, 6> values{};
    std::array<void*, 6> pointers{};
    for (std::size_t i = 0; i < step.arguments.size(); ++i)
      values[i] = step.arguments[i], pointers[i] = &values[i];
    libraries.check(libraries.driver().launch(step.function, step.launch.grid, 1, 1, step.launch.block, 1, 1,
                                              static_cast<unsigned>(step.launch.shared), stream,
                                              pointers.data(), nullptr),
                    "cuLaunchKernel");
  }
}

double TunedKernel::error(Stream stream, const Layer& layer) {
  Libraries& libraries = gpu_.libraries();
  Halves out(out_.size() / sizeof(std::uint16_t), kHalfNan);
  libraries.check(libraries.driver().to_device(out_.address(), out.data(), out_.size()), "cuMemcpyHtoD");
  enqueue(stream);
  gpu_.synchronize();
  libraries.check(libraries.driver().to_host(out.data(), out_.address(), out_.size()), "cuMemcpyDtoH");
  return largest_error(layer, out);
}

}  // namespace tailor::cuda
