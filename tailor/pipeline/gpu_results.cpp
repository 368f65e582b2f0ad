// read_gpu_results -> staircase (a line) -> layer_at (one width of it) -> ran (the kernels there).
#include "tailor/pipeline/gpu_results.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::pipeline {
namespace {

using latency::TimedLayer;
using latency::TimedStaircase;
using latency::Workload;

constexpr std::size_t kMostWidths = 4096, kMostLines = 100'000, kLongestLine = std::size_t{16} << 20;
constexpr std::int64_t kMostBlocks = std::int64_t{1} << 40;

[[noreturn]] void fail(const std::string& what, const std::string& place) {
  throw Error(Code::bad_json, what, place);
}

const Json& list(const Json& object, const char* key, std::size_t length, const std::string& place) {
  const Json& found = member(object, key, place);
  if (!found.is_array() || found.size() != length)
    fail(fmt::format("\"{}\" must be a list of {}, one for each width", key, length), place);
  return found;
}

Workload layer_of(const std::string& line, const std::string& place) {
  try {
    return latency::parse_workload(line);
  } catch (const Error& error) {
    fail(error.what(), place);
  }
}

// [name, grid, ...]: what else a kernel has is not needed here.
latency::RanKernel kernel_of(const Json& json, const std::string& place) {
  if (!json.is_array() || json.size() < 2 || !json[0].is_string() || !json[1].is_array())
    fail("\"kernels\" must hold lists that begin with a name and a grid", place);
  latency::RanKernel kernel{json[0].get<std::string>(), 1};
  for (const Json& extent : json[1]) {
    if (!extent.is_number_integer() || extent.get<std::int64_t>() < 1 ||
        extent.get<std::int64_t>() > kMostBlocks / kernel.blocks)
      fail("a grid must hold whole numbers above 0", place);
    kernel.blocks *= extent.get<std::int64_t>();
  }
  return kernel;
}

std::vector<latency::RanKernel> ran(const Json& json, const std::string& place) {
  if (!json.is_array()) fail("\"kernels\" must hold one list per width", place);
  std::vector<latency::RanKernel> kernels;
  for (const Json& kernel : json) kernels.push_back(kernel_of(kernel, place));
  return kernels;
}

std::int64_t width_of(const Json& json, std::int64_t above, const std::string& place) {
  constexpr std::int64_t kMostWidth = std::int64_t{1} << 24;
  if (!json.is_number_integer() || json.get<std::int64_t>() <= above || json.get<std::int64_t>() > kMostWidth)
    fail("\"widths\" must hold whole numbers that ascend", place);
  return json.get<std::int64_t>();
}

double time_of(const Json& json, const std::string& place) {
  if (!json.is_number() || !(json.get<double>() > 0) || !std::isfinite(json.get<double>()))
    fail("\"us\" must hold times above 0", place);
  return json.get<double>();
}

TimedStaircase staircase(const Json& json, const std::string& place) {
  const Workload layer = layer_of(text(json, "layer", place), place);
  const Json& widths = member(json, "widths", place);
  if (!widths.is_array() || widths.empty() || widths.size() > kMostWidths)
    fail(fmt::format("\"widths\" must be a list of 1 to {}", kMostWidths), place);
  const Json &us = list(json, "us", widths.size(), place),
             &kernels = list(json, "kernels", widths.size(), place);
  TimedStaircase steps;
  std::int64_t below = 0;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    TimedLayer step{layer, time_of(us[i], place), ran(kernels[i], place)};
    step.workload.oc = below = width_of(widths[i], below, place);
    steps.push_back(std::move(step));
  }
  return steps;
}

std::vector<TimedStaircase> read_staircases(const std::filesystem::path& path) {
  const Bytes file = map_file(path);
  std::vector<TimedStaircase> staircases;
  std::size_t line = 0;
  for (std::string_view rest = file.view(); !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string place = fmt::format("{} line {}", path.string(), ++line);
    if (end > kLongestLine || line > kMostLines) fail("more than gpu-check writes", place);
    if (end > 0) staircases.push_back(staircase(parse_json(rest.substr(0, end), place), place));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return staircases;
}

}  // namespace

GpuResults read_gpu_results(const std::filesystem::path& folder) {
  const Json run = read_json(folder / "run.json");
  return {device::facts_from_json(read_json(folder / "device.json")),
          text(run, "version", (folder / "run.json").string()), read_staircases(folder / "staircases.jsonl")};
}

}  // namespace tailor::pipeline
