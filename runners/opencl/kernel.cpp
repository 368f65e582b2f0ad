// launch_plan reads the first line. Kernel: program, memory, steps; all that OpenCL refuses on the way is a Refused.
#include "runners/opencl/kernel.h"

#include "runners/opencl/clock.h"
#include "tailor/base/error.h"
#include "tailor/base/json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace tailor::opencl {
namespace {

constexpr std::string_view kMark = "// tailor ";
constexpr std::int64_t kMostFloats = std::int64_t{1} << 28, kMostItems = std::int64_t{1} << 31;
constexpr std::size_t kMostLaunches = 16, kMostDimensions = 3, kLongestLog = std::size_t{1} << 20;

std::int64_t bounded(const Json& json, std::int64_t low, std::int64_t high, const std::string& place) {
  if (!json.is_number_integer() || json.get<std::int64_t>() < low || json.get<std::int64_t>() > high)
    throw Error(Code::bad_json, fmt::format("a size must be {} to {}", low, high), place);
  return json.get<std::int64_t>();
}

std::vector<std::size_t> sizes_of(const Json& json, const std::string& place) {
  if (!json.is_array() || json.empty() || json.size() > kMostDimensions)
    throw Error(Code::bad_json, "a launch has one to three sizes", place);
  std::vector<std::size_t> sizes;
  for (const Json& size : json)
    sizes.push_back(static_cast<std::size_t>(bounded(size, 1, kMostItems, place)));
  return sizes;
}

std::vector<Launch> launches_of(const Json& json, const std::string& place) {
  if (!json.is_array() || json.size() > kMostLaunches)
    throw Error(Code::bad_json, fmt::format("launches must be a list of at most {}", kMostLaunches), place);
  std::vector<Launch> launches;
  for (const Json& one : json) {
    Launch launch;
    launch.kernel = text(one, "kernel", place), launch.global = sizes_of(member(one, "global", place), place);
    if (one.contains("local")) launch.local = sizes_of(one["local"], place);
    if (!launch.local.empty() && launch.local.size() != launch.global.size())
      throw Error(Code::bad_json, "\"local\" must be as long as \"global\"", place);
    launches.push_back(std::move(launch));
  }
  return launches;
}

// What failed on the way to or in a run.
template <class Action>
auto refusing(Action action) {
  try {
    return action();
  } catch (const CallFailed& failed) {
    throw Refused(failed.outcome(), failed.what());
  }
}

}  // namespace

LaunchPlan launch_plan(std::string_view text, const std::string& place) {
  const std::string_view line = text.substr(0, text.find('\n'));
  if (!line.starts_with(kMark))
    throw Error(Code::bad_json, fmt::format("its first line does not begin with \"{}\"", kMark), place);
  const Json json = parse_json(line.substr(kMark.size()), place);
  LaunchPlan plan;
  plan.packed = static_cast<std::size_t>(bounded(member(json, "packed", place), 0, kMostFloats, place));
  plan.scratch = static_cast<std::size_t>(bounded(member(json, "scratch", place), 0, kMostFloats, place));
  plan.prepare = launches_of(member(json, "prepare", place), place);
  plan.run = launches_of(member(json, "run", place), place);
  if (plan.run.empty()) throw Error(Code::bad_json, "\"run\" has no launch", place);
  return plan;
}

Kernel::Kernel(Part& part, const kernels::Layer& layer, const std::string& text, const std::string& place)
    : part_(part), library_(part.library()), outputs_(layer.expected.size()) {
  const LaunchPlan plan = launch_plan(text, place);
  try {
    refusing([&] {
      const double begin = wall_us();
      build(text);
      const std::vector<float> none;
      memory_[0] = memory(layer.input, layer.input.size());
      memory_[1] = memory(layer.weights, layer.weights.size()), memory_[2] = memory(none, plan.packed);
      memory_[3] = memory(layer.bias, layer.bias.size());
      memory_[4] = memory(layer.residual, layer.residual.size());
      memory_[5] = memory(none, plan.scratch), memory_[6] = memory(none, outputs_);
      prepare_ = steps(plan.prepare), run_ = steps(plan.run);
      for (const Step& step : prepare_) enqueue(step, nullptr);
      check(library_.finish(part_.queue()), "clFinish");
      // Drivers compile what is left at the first launch.
      run(1);
      compile_s_ = 1e-6 * (wall_us() - begin);
    });
  } catch (...) {
    release();
    throw;
  }
}

Kernel::~Kernel() { release(); }

void Kernel::release() {
  for (const std::vector<Step>* list : {&prepare_, &run_})
    for (const Step& step : *list) library_.release_kernel(step.kernel);
  for (MemoryId held : memory_)
    if (held) library_.release_memory(held);
  if (program_) library_.release_program(program_);
}

void Kernel::build(const std::string& text) {
  Status status = 0;
  const char* begin = text.c_str();
  const std::size_t length = text.size();
  program_ = library_.make_program(part_.context(), 1, &begin, &length, &status);
  check(status, "clCreateProgramWithSource");
  const DeviceId device = part_.device();
  status = library_.build(program_, 1, &device, "", nullptr, nullptr);
  if (status == 0) return;
  std::size_t bytes = 0;
  library_.build_info(program_, device, kBuildLog, 0, nullptr, &bytes);
  std::string log(std::min(bytes, kLongestLog), '\0');
  if (!log.empty() && library_.build_info(program_, device, kBuildLog, log.size(), log.data(), nullptr) != 0)
    log.clear();
  log.resize(std::min(log.find('\0'), log.size()));
  throw Refused(CallFailed("", status).outcome(), fmt::format("clBuildProgram answers {}: {}", status, log));
}

// At least one float, since there is no empty memory.
MemoryId Kernel::memory(const std::vector<float>& values, std::size_t floats) {
  Status status = 0;
  const std::size_t bytes = sizeof(float) * std::max<std::size_t>(floats, 1);
  MemoryId made = library_.make_memory(part_.context(), kReadWrite, bytes, nullptr, &status);
  check(status, "clCreateBuffer");
  if (!values.empty())
    status = library_.write(part_.queue(), made, kBlocking, 0, sizeof(float) * values.size(), values.data(),
                            0, nullptr, nullptr);
  if (status != 0) library_.release_memory(made);
  check(status, "clEnqueueWriteBuffer");
  return made;
}

std::vector<Kernel::Step> Kernel::steps(const std::vector<Launch>& launches) {
  std::vector<Step> made;
  for (const Launch& launch : launches) {
    Status status = 0;
    Step step;
    step.kernel = library_.make_kernel(program_, launch.kernel.c_str(), &status), step.launch = launch;
    if (status == 0)
      for (std::uint32_t i = 0; i < memory_.size() && status == 0; ++i)
        status = library_.argument(step.kernel, i, sizeof memory_[i], &memory_[i]);
    made.push_back(std::move(step));
    if (status == 0) continue;
    for (const Step& each : made)
      if (each.kernel) library_.release_kernel(each.kernel);
    throw CallFailed("clCreateKernel or clSetKernelArg of " + launch.kernel, status);
  }
  return made;
}

void Kernel::enqueue(const Step& step, EventId* event) {
  const Launch& l = step.launch;
  check(library_.launch(part_.queue(), step.kernel, static_cast<std::uint32_t>(l.global.size()), nullptr,
                        l.global.data(), l.local.empty() ? nullptr : l.local.data(), 0, nullptr, event),
        "clEnqueueNDRangeKernel");
}

void Kernel::run(int repeats) {
  refusing([&] {
    for (int i = 0; i < repeats; ++i)
      for (const Step& step : run_) enqueue(step, nullptr);
    check(library_.finish(part_.queue()), "clFinish");
  });
}

std::vector<float> Kernel::result() {
  return refusing([&] {
    std::vector<float> out(outputs_, std::nanf(""));
    const std::size_t bytes = sizeof(float) * out.size();
    check(library_.write(part_.queue(), memory_[6], kBlocking, 0, bytes, out.data(), 0, nullptr, nullptr),
          "clEnqueueWriteBuffer");
    run(1);
    check(library_.read(part_.queue(), memory_[6], kBlocking, 0, bytes, out.data(), 0, nullptr, nullptr),
          "clEnqueueReadBuffer");
    return out;
  });
}

// Begin to end of each launch on the device's own clock.
double Kernel::device_us(int repeats) {
  double us = 0;
  for (int i = 0; i < repeats; ++i)
    for (const Step& step : run_) {
      EventId event = nullptr;
      enqueue(step, &event);
      Status status = library_.finish(part_.queue());
      std::uint64_t began = 0, ended = 0;
      if (status == 0) status = library_.event_times(event, kBegan, sizeof began, &began, nullptr);
      if (status == 0) status = library_.event_times(event, kEnded, sizeof ended, &ended, nullptr);
      library_.release_event(event);
      check(status, "clGetEventProfilingInfo");
      us += 1e-3 * static_cast<double>(ended - began);
    }
  return us / repeats;
}

double Kernel::time_us(int repeats) {
  if (!part_.processor()) return refusing([&] { return device_us(repeats); });
  const ThreadTimes before = thread_times();
  run(repeats);
  return busiest(before, thread_times()).us / repeats;
}

}  // namespace tailor::opencl
