// timing_jobs: model files -> jobs with shapes. bench: jobs -> samples, process by process -> intervals.
// JSON.
#include "tailor/pipeline/bench.h"

#include "tailor/base/error.h"
#include "tailor/onnx/onnx.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <set>

namespace tailor::pipeline {
namespace {

using runtime::Comparison;
using runtime::Samples;

constexpr int kFewestRounds = 7, kMostRounds = 100000, kProcesses = 3;
constexpr double kMargin = 0.01;

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

// Appends what one runner process measures.
void append(std::vector<Samples>& all, const std::vector<Samples>& more) {
  if (all.empty()) all.resize(more.size());
  for (std::size_t i = 0; i < more.size(); ++i) {
    all[i].us.insert(all[i].us.end(), more[i].us.begin(), more[i].us.end());
    all[i].clock = more[i].clock;
  }
}

std::vector<Samples> time_in_one_process(runtime::Runner& runner, const std::vector<runtime::Job>& jobs,
                                         const BenchOptions& options, int processes, std::uint64_t seed) {
  runtime::TimingOptions timing{.threads = options.threads, .rounds = options.rounds, .seed = seed};
  int fewest = (kFewestRounds + processes - 1) / processes;
  if (options.rounds == 0) timing.rounds = kMostRounds, timing.time_limit_s = options.time_s / processes;
  if (options.rounds > 0) timing.rounds = (options.rounds + processes - 1) / processes;
  std::vector<Samples> samples;
  append(samples, runner.time(jobs, timing));
  if (int missing = fewest - static_cast<int>(samples.front().us.size());
      options.rounds == 0 && missing > 0) {
    timing.rounds = missing, timing.time_limit_s = 0, timing.seed = ~seed;
    append(samples, runner.time(jobs, timing));
  }
  return samples;
}

// The pooled interval, widened to the medians of the processes.
Comparison across(const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b) {
  std::vector<double> all_a, all_b;
  for (const auto& part : a) all_a.insert(all_a.end(), part.begin(), part.end());
  for (const auto& part : b) all_b.insert(all_b.end(), part.begin(), part.end());
  Comparison pooled = runtime::compare(all_a, all_b, kMargin);
  if (a.size() == 1) return pooled;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double ratio = runtime::compare(a[i], b[i], kMargin).ratio;
    pooled.lo = std::min(pooled.lo, ratio), pooled.hi = std::max(pooled.hi, ratio);
  }
  if (all_a.size() >= 5) pooled.verdict = runtime::judge(pooled.lo, pooled.hi, kMargin);
  return pooled;
}

// Against its own median: the interval is that of the median.
Comparison alone(const std::vector<std::vector<double>>& parts, double median) {
  std::vector<std::vector<double>> constant;
  for (const auto& part : parts) constant.emplace_back(part.size(), median);
  return across(constant, parts);
}

struct Timing {
  std::vector<std::vector<std::vector<double>>> us;  // [model][process][round]
  runtime::Hello hello;
  std::string clock;
};

Timing time_all(const std::vector<runtime::Job>& jobs, const BenchOptions& options, int processes) {
  Timing timing;
  timing.us.resize(jobs.size());
  for (int p = 0; p < processes; ++p) {
    runtime::RunnerOptions how = options.runner;
    auto start = std::chrono::steady_clock::now();
    how.on_progress = [&, p, start](double done) {
      std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
      if (options.rounds == 0) done = std::min(1.0, spent.count() * processes / options.time_s);
      if (options.progress) options.progress((p + done) / processes);
    };
    runtime::Runner runner(how);
    timing.hello = runner.hello();
    std::uint64_t seed = options.seed + static_cast<std::uint64_t>(p);
    std::vector<Samples> samples = time_in_one_process(runner, jobs, options, processes, seed);
    for (std::size_t i = 0; i < jobs.size(); ++i) timing.us[i].push_back(samples[i].us);
    timing.clock = samples.front().clock;
  }
  return timing;
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
  int processes = options.threads > 1 ? kProcesses : 1;
  Timing timing = time_all(jobs, options, processes);
  const runtime::Hello& hello = timing.hello;
  BenchResult result{hello.runtime,   hello.version,     hello.isa,
                     hello.processor, timing.clock,      options.threads,
                     processes,       options.max_noise, {}};
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    BenchModel model{jobs[i].model, jobs[i].inputs, {}, {}, {}, {}};
    for (const auto& part : timing.us[i]) model.us.insert(model.us.end(), part.begin(), part.end());
    model.summary = runtime::summarize(model.us);
    model.own = alone(timing.us[i], model.summary.median);
    model.to_first = across(timing.us[0], timing.us[i]);
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
  for (const Json& model : member(json, "models", place)) result.models.push_back(model_from(model, place));
  return result;
} catch (const nlohmann::json::exception& error) {
  throw Error(Code::bad_json, error.what(), place);
}

}  // namespace tailor::pipeline
