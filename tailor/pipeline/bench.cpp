// timing_jobs: model files -> jobs with shapes. bench: jobs -> samples of several processes -> intervals.
// JSON.
#include "tailor/pipeline/bench.h"

#include "tailor/base/error.h"
#include "tailor/onnx/onnx.h"
#include "tailor/runtime/apart.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <set>

namespace tailor::pipeline {
namespace {

using runtime::Comparison;

constexpr int kFewestRounds = 3, kMostRounds = 100000, kProcesses = 3;
constexpr double kMargin = 0.01, kTurn_s = 0.5;

bool has_input(const graph::Model& model, const std::string& name) {
  const auto& inputs = model.graph.inputs;
  return std::any_of(inputs.begin(), inputs.end(), [&](const auto& input) { return input.name == name; });
}

graph::ShapeOverrides of_model(const graph::Model& model, graph::ShapeOverrides overrides) {
  std::erase_if(overrides, [&](const auto& entry) { return !has_input(model, entry.first); });
  return overrides;
}

graph::Shape resolved(const graph::ValueInfo& input, const graph::Shapes& shapes, const std::string& place) {
  const graph::Shape* shape = shapes.shape(input.name);
  if (shape && graph::element_count(*shape) != graph::kUnknown) return *shape;
  std::string known = shape ? graph::to_string(*shape) : "?x?";
  throw Error(Code::shape_unknown, fmt::format("input '{}' has a free dimension: {}", input.name, known),
              place, fmt::format("give it with --shape {}:{}, a size for each '?'", input.name, known));
}

// Against its own median: the interval is that of the median.
Comparison alone(const std::vector<std::vector<double>>& parts, double median) {
  std::vector<std::vector<double>> constant;
  for (const auto& part : parts) constant.emplace_back(part.size(), median);
  return runtime::compare_apart(constant, parts, kMargin);
}

// A number of rounds is divided among the fewest processes; a time is filled with processes of half a second.
runtime::ApartOptions division(const BenchOptions& options) {
  runtime::ApartOptions how;
  how.timing.threads = options.threads, how.timing.seed = options.seed, how.processes = kProcesses;
  how.timing.rounds = (options.rounds + kProcesses - 1) / kProcesses;
  if (options.rounds > 0) return how;
  how.timing.rounds = kMostRounds, how.time_s = options.time_s, how.fewest_rounds = kFewestRounds;
  how.timing.time_limit_s = std::min(kTurn_s, options.time_s / kProcesses);
  return how;
}

void check(const BenchOptions& o) {
  auto require = [](bool good, const char* option, const char* range) {
    if (!good) throw Error(Code::bad_value, fmt::format("{} must be {}", option, range), option);
  };
  require(o.threads >= 1 && o.threads <= 1024, "--threads", "1 to 1024");
  require(o.time_s > 0 && o.time_s <= 86400, "--time", "more than 0 and at most 24 h");
  require(o.rounds >= 0 && o.rounds <= kMostRounds, "--rounds", "1 to 100000");
  require(o.max_noise > 0, "--max-noise", "more than 0 %");
}

Json shapes_json(const std::vector<std::pair<std::string, graph::Shape>>& inputs) {
  Json json = Json::object();
  for (const auto& [name, shape] : inputs) json[name] = shape;
  return json;
}

Json model_json(const BenchModel& model) {
  const runtime::Summary& s = model.summary;
  Json json = {{"path", model.path.string()}, {"inputs", shapes_json(model.inputs)}, {"n", s.n}};
  json["summary_us"] = {{"min", s.min},       {"p10", s.p10}, {"q1", s.q1},
                        {"median", s.median}, {"q3", s.q3},   {"max", s.max}};
  json["spread"] = s.spread();
  json["median_interval"] = {model.own.lo * s.median, model.own.hi * s.median};
  json["to_first"] = to_json(model.to_first);
  json["us"] = model.us;
  return json;
}

runtime::Verdict verdict_from(const std::string& text, const std::string& place) {
  using enum runtime::Verdict;
  for (runtime::Verdict verdict : {faster, same, slower, ambiguous})
    if (text == runtime::name(verdict)) return verdict;
  throw Error(Code::bad_json, fmt::format("'{}' is no verdict", text), place);
}

BenchModel model_from(const Json& json, const std::string& place) {
  BenchModel model;
  model.path = text(json, "path", place);
  for (const auto& [name, shape] : member(json, "inputs", place).items())
    model.inputs.emplace_back(name, shape.get<graph::Shape>());
  model.us = member(json, "us", place).get<std::vector<double>>();
  model.summary = runtime::summarize(model.us);
  auto own = member(json, "median_interval", place).get<std::array<double, 2>>();
  model.own = {1, own[0] / model.summary.median, own[1] / model.summary.median, runtime::Verdict::same};
  const Json& interval = member(json, "to_first", place);
  model.to_first = {number(interval, "ratio", place), number(interval, "lo", place),
                    number(interval, "hi", place), verdict_from(text(interval, "verdict", place), place)};
  return model;
}

}  // namespace

double BenchResult::noise() const {
  auto width = [](const BenchModel& m) { return m.to_first.hi - m.to_first.lo; };
  if (models.size() == 1) return models.front().own.hi - models.front().own.lo;
  double widest = 0;
  for (std::size_t i = 1; i < models.size(); ++i) widest = std::max(widest, width(models[i]));
  return widest;
}

runtime::Job timing_job(const std::filesystem::path& path, const graph::ShapeOverrides& overrides,
                        bool others) {
  graph::Model model = onnx::read(path);
  graph::Shapes shapes = graph::infer_shapes(model, others ? of_model(model, overrides) : overrides);
  runtime::Job job{path, {}, {}};
  for (const graph::ValueInfo& input : model.graph.inputs)
    job.inputs.emplace_back(input.name, resolved(input, shapes, path.string()));
  return job;
}

std::vector<runtime::Job> timing_jobs(const std::vector<std::filesystem::path>& models,
                                      const graph::ShapeOverrides& overrides) {
  if (models.size() == 1) return {timing_job(models.front(), overrides)};
  std::vector<runtime::Job> jobs;
  std::set<std::string> names;
  for (const auto& path : models) {
    jobs.push_back(timing_job(path, overrides, true));
    for (const auto& input : jobs.back().inputs) names.insert(input.first);
  }
  for (const auto& entry : overrides)
    if (!names.contains(entry.first))
      throw Error(Code::unknown_name, fmt::format("no model has an input '{}'", entry.first), "--shape",
                  fmt::format("inputs: {}", fmt::join(names, ", ")));
  return jobs;
}

BenchResult bench(const std::vector<runtime::Job>& jobs, const BenchOptions& options) {
  TAILOR_CHECK(!jobs.empty());
  check(options);
  runtime::RunnerOptions runner = options.runner;
  runner.on_progress = options.progress;
  runtime::TimedApart timed = runtime::time_apart(runner, jobs, division(options));
  const runtime::Hello& hello = timed.hello;
  BenchResult result{
      hello.runtime,     hello.version,     hello.isa, hello.processor,  timed.clock, options.threads,
      timed.processes(), options.max_noise, {},        options.precision};
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    BenchModel model{jobs[i].model, jobs[i].inputs, {}, {}, {}, {}};
    for (const auto& part : timed.us[i]) model.us.insert(model.us.end(), part.begin(), part.end());
    model.summary = runtime::summarize(model.us);
    model.own = alone(timed.us[i], model.summary.median);
    model.to_first = runtime::compare_apart(timed.us[0], timed.us[i], kMargin);
    result.models.push_back(std::move(model));
  }
  return result;
}

Json to_json(const Comparison& c) {
  return {{"ratio", c.ratio}, {"lo", c.lo}, {"hi", c.hi}, {"verdict", runtime::name(c.verdict)}};
}

Json to_json(const BenchResult& result) {
  Json json = {
      {"schema", "tailor/bench/1"}, {"runtime", result.runtime},          {"version", result.version},
      {"isa", result.isa},          {"processor", result.processor},      {"threads", result.threads},
      {"clock", result.clock},      {"processes", result.processes},      {"max_noise", result.max_noise},
      {"noise", result.noise()},    {"trustworthy", result.trustworthy()}};
  if (!result.precision.empty()) json["precision"] = result.precision;
  json["models"] = Json::array();
  for (const BenchModel& model : result.models) json["models"].push_back(model_json(model));
  return json;
}

BenchResult bench_from_json(const Json& json, const std::string& place) try {
  BenchResult result{text(json, "runtime", place),
                     text(json, "version", place),
                     text(json, "isa", place),
                     text(json, "processor", place),
                     text(json, "clock", place),
                     static_cast<int>(integer(json, "threads", place)),
                     static_cast<int>(integer(json, "processes", place)),
                     number(json, "max_noise", place),
                     {}};
  if (json.contains("precision")) result.precision = text(json, "precision", place);
  for (const Json& model : member(json, "models", place)) result.models.push_back(model_from(model, place));
  return result;
} catch (const nlohmann::json::exception& error) {
  throw Error(Code::bad_json, error.what(), place);
}

}  // namespace tailor::pipeline
