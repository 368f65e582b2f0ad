#include "tailor/pipeline/calibrate_unit.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/base/text.h"
#include "tailor/pipeline/layer_list.h"
#include "tailor/runtime/measure.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::pipeline {
namespace {

using latency::Kind;
using latency::Workload;

// Evenly on a logarithmic scale.
std::int64_t drawn(Random& random, double least, double most) {
  return std::llround(least * std::pow(most / least, random.uniform()));
}

Workload drawn_layer(Random& random, graph::DataType type) {
  Workload w;
  w.type = type;
  const std::size_t what = random.below(8);
  if (what == 0) {
    w.kind = Kind::gemm, w.mb = drawn(random, 1, 64), w.ic = drawn(random, 16, 1024),
    w.oc = drawn(random, 10, 1024);
    return w;
  }
  const bool depthwise = what <= 2, one = what == 3 || what == 4;
  w.ic = drawn(random, 8, 256), w.oc = depthwise ? w.ic : drawn(random, 8, 256);
  w.g = depthwise ? w.ic : 1;
  w.kh = w.kw = one ? 1 : 3, w.pt = w.pl = w.pb = w.pr = w.kh / 2;
  w.sh = w.sw = what == 1 || what == 7 ? 2 : 1;
  w.ih = w.iw = 2 * drawn(random, 3, 28);
  w.oh = w.ow = (w.ih + 2 * w.pt - w.kh) / w.sh + 1;
  return w;
}

// Different layers of the model, spread over it.
std::vector<Workload> layers_of(const std::filesystem::path& model, int most, graph::DataType type) {
  std::vector<Workload> all;
  for (const latency::LayerWorkload& layer : read_subject(model, {}).layers) {
    Workload w = layer.workload;
    w.type = type;
    if (w.kind != Kind::conv_transpose && std::find(all.begin(), all.end(), w) == all.end()) all.push_back(w);
  }
  std::vector<Workload> some;
  const std::size_t count = std::min(all.size(), static_cast<std::size_t>(most));
  for (std::size_t i = 0; i < count; ++i) some.push_back(all[i * all.size() / count]);
  return some;
}

device::Unit& unit_named(device::Platform& platform, const std::string& name) {
  std::vector<std::string> names;
  for (device::Unit& unit : platform.units) {
    if (unit.name == name) return unit;
    names.push_back(unit.name);
  }
  throw Error(Code::unknown_name,
              fmt::format("{} has no unit '{}'{}", platform.name, name, did_you_mean(name, names)), "--unit",
              fmt::format("there are {}", fmt::join(names, ", ")));
}

void check(const CalibrateOptions& options, const device::Platform& platform) {
  if (platform.measured())
    throw Error(Code::usage, fmt::format("{} is measured: it has no cost models to fit", platform.name),
                "PLATFORM", "tailor map measures it for each network");
  if (options.layers < 10 || options.layers > kMostCalibrationLayers)
    throw Error(Code::bad_value, fmt::format("--layers must be 10 to {}", kMostCalibrationLayers),
                "--layers");
}

// Whether the runner computes the layer.
bool computed(runtime::Runner& runner, const Workload& w) {
  runtime::TimingOptions once;
  once.rounds = 1, once.min_sample_us = 0;
  runtime::Job job;
  job.workload = w;
  try {
    runner.time(std::vector<runtime::Job>{job}, once);
    return true;
  } catch (const Error& error) {
    if (error.code() != Code::runtime_refused) throw;
    return false;
  }
}

std::vector<latency::LayerTiming> timed(runtime::Runner& runner, const std::vector<Workload>& layers,
                                        const CalibrateOptions& options) {
  std::vector<runtime::Job> jobs;
  for (const Workload& w : layers) {
    jobs.emplace_back();
    jobs.back().workload = w;
  }
  runtime::TimingOptions how;
  how.rounds = options.rounds, how.evict = true, how.seed = options.seed;
  const std::vector<runtime::Samples> samples = runner.time(jobs, how);
  std::vector<latency::LayerTiming> timings;
  for (std::size_t i = 0; i < layers.size(); ++i)
    timings.push_back({layers[i], runtime::summarize(samples[i].us).median});
  return timings;
}

Json error_json(const latency::RelativeError& error) {
  return {{"layers", error.layers}, {"median", error.median}, {"p90", error.p90}, {"most", error.most}};
}

}  // namespace

std::vector<Workload> drawn_layers(int count, graph::DataType type, std::uint64_t seed) {
  TAILOR_CHECK(count >= 1 && count <= kMostCalibrationLayers);
  Random random(seed);
  std::vector<Workload> layers;
  while (layers.size() < static_cast<std::size_t>(count)) {
    const Workload w = drawn_layer(random, type);
    if (std::find(layers.begin(), layers.end(), w) == layers.end()) layers.push_back(w);
  }
  return layers;
}

UnitCalibration calibrate_unit(const CalibrateOptions& options) {
  UnitCalibration result;
  result.platform = device::find_platform(options.platform);
  check(options, result.platform);
  device::Unit& unit = unit_named(result.platform, options.unit);
  const graph::DataType type = type_of_precision(options.precision);
  runtime::RunnerOptions how = options.runner;
  how.on_progress = options.progress;
  runtime::Runner runner(how);
  const runtime::Hello& hello = runner.hello();
  result.unit = unit.name, result.precision = options.precision;
  result.runtime = hello.runtime, result.version = hello.version, result.isa = hello.isa;
  result.processor = hello.processor;
  std::vector<Workload> layers = options.model.empty() ? drawn_layers(options.layers, type, options.seed)
                                                       : layers_of(options.model, options.layers, type);
  std::erase_if(layers, [&](const Workload& w) {
    if (computed(runner, w)) return false;
    result.refused.push_back(to_string(w));
    return true;
  });
  if (layers.size() < 10)
    throw Error(Code::bad_value,
                fmt::format("the runner computes {} of the layers in {}, ten are needed", layers.size(),
                            options.precision),
                "--precision", "another precision, or a model with more different layers");
  result.timings = timed(runner, layers, options);
  result.fit = latency::fit_unit(result.timings, result.platform.frequency_mhz);
  unit.model = "blocks", unit.parameters = result.fit.parameters;
  return result;
}

Json to_json(const UnitCalibration& c) {
  Json timings = Json::array();
  for (const latency::LayerTiming& timing : c.timings)
    timings.push_back(
        {{"workload", to_string(timing.workload)},
         {"us", timing.us},
         {"predicted_us", latency::predict_us(c.fit.parameters, timing.workload, c.platform.frequency_mhz)}});
  return {{"schema", "tailor/platform-calibrate/1"},
          {"platform", c.platform.name},
          {"unit", c.unit},
          {"precision", c.precision},
          {"runtime", c.runtime},
          {"version", c.version},
          {"isa", c.isa},
          {"processor", c.processor},
          {"model", "blocks"},
          {"parameters", c.fit.parameters},
          {"fitted", error_json(c.fit.fitted)},
          {"held_out", error_json(c.fit.held_out)},
          {"refused", c.refused},
          {"timings", std::move(timings)}};
}

}  // namespace tailor::pipeline
