// tailor-runner-onnxruntime: answers the runner protocol (docs/runner-protocol.md) on stdin and stdout.
//   tailor-runner-onnxruntime [--library FILE]
// The library is loaded at the first request: if it is missing, that is an answer.
#include "runners/onnxruntime/evaluate.h"
#include "runners/onnxruntime/host.h"
#include "runners/onnxruntime/layer.h"
#include "runners/onnxruntime/pipelined.h"
#include "runners/onnxruntime/profile.h"
#include "runners/onnxruntime/session.h"
#include "runners/onnxruntime/timing.h"
#include "runners/onnxruntime/trace.h"
#include "runners/serving/serve.h"
#include "tailor/base/file.h"
#include "tailor/latency/workload.h"
#include "tailor/onnx/onnx.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <optional>

namespace tailor::ort {
namespace {

constexpr int kProtocol = 1;
constexpr std::size_t kMostStages = 64;

class Service {
 public:
  explicit Service(std::string library) : library_(std::move(library)) {}

  Json answer(const Json& request, const Progress& progress) {
    std::string op = text(request, "op", "request");
    if (op == "hello") return hello();
    if (op == "time") return time(request, progress);
    if (op == "run") return evaluate(models(), request, progress);
    if (op == "profile") return profile(request, progress);
    if (op == "pipeline") return pipeline(request, progress);
    throw Error(Code::usage, fmt::format("unknown op \"{}\"", op.substr(0, 40)));
  }

 private:
  const Api& api() {
    if (!api_) api_.emplace(library_);
    return *api_;
  }
  ModelCache& models() {
    if (!models_) models_.emplace(api());
    return *models_;
  }

  Json hello() {
    Host host = this_host();
    return {{"protocol", kProtocol},       {"runtime", "onnxruntime"},
            {"version", api().version()},  {"isa", host.isa},
            {"processor", host.processor}, {"library", api().library()},
            {"cores", host.cores},         {"clock", StopWatch::of_threads(1).name()},
            {"workloads", true},           {"profiles", true}};
  }

  // Found once.
  const ProfilerCost& cost_of_profiler() {
    if (!cost_of_profiler_) cost_of_profiler_ = profiler_cost(api());
    return *cost_of_profiler_;
  }
  static Json shapes_of(const Json& job) { return job.contains("inputs") ? job["inputs"] : Json(); }

  TimedJob prepare(const Json& job, const Measurement& how) {
    if (job.contains("workload")) {
      auto workload = latency::parse_workload(text(job, "workload", "job"));
      TemporaryFolder folder(true);
      auto file = folder.fresh(".onnx");
      onnx::write(layer_model(workload, how.seed), file);
      auto trace = std::make_shared<TracedModel>(api(), file, how.threads, cost_of_profiler().node_us);
      auto model = trace->model();
      return {Prepared(model, random_inputs(*model, resolve_shapes(*model, Json()), how.seed)), trace};
    }
    auto model = models().get(text(job, "model", "job"), Loading{how.threads});
    return {Prepared(model, random_inputs(*model, resolve_shapes(*model, shapes_of(job)), how.seed))};
  }

  Json time(const Json& request, const Progress& progress) {
    Measurement how = parse_measurement(request);
    const Json& jobs = member(request, "jobs", "request");
    if (!jobs.is_array()) throw Error(Code::usage, "\"jobs\" must be an array");
    std::vector<TimedJob> prepared;
    for (const Json& job : jobs) {
      prepared.push_back(prepare(job, how));
      progress(0);
    }
    Json list = Json::array();
    std::size_t rounds = 0;
    for (const JobSamples& samples : measure(prepared, how, progress)) {
      rounds = samples.us.size();
      list.push_back({{"us", samples.us}, {"clock", samples.clock}, {"kernel", samples.kernel}});
    }
    return {{"jobs", std::move(list)}, {"rounds", rounds}};
  }

  Json profile(const Json& request, const Progress& progress) {
    const Json& job = member(request, "job", "request");
    return profile_in_place(models(), cost_of_profiler().inside_share, text(job, "model", "job"),
                            shapes_of(job), parse_measurement(request), progress);
  }

  static int count(const Json& request, const char* key, int otherwise, int least, int most) {
    if (!request.contains(key)) return otherwise;
    const std::int64_t value = integer(request, key, "request");
    if (value < least || value > most)
      throw Error(Code::usage, fmt::format("\"{}\" must be in {}..{}", key, least, most));
    return static_cast<int>(value);
  }

  Json pipeline(const Json& request, const Progress& progress) {
    const Json& stages = member(request, "stages", "request");
    if (!stages.is_array() || stages.empty() || stages.size() > kMostStages)
      throw Error(Code::usage,
                  fmt::format("\"stages\" must be an array of 1 to {} model files", kMostStages));
    Pipelining what;
    for (const Json& stage : stages) {
      if (!stage.is_string()) throw Error(Code::usage, "a stage must be a model file");
      what.stages.push_back(stage.get<std::string>());
    }
    what.whole = text(request, "whole", "request");
    what.samples = count(request, "samples", what.samples, 2 * static_cast<int>(stages.size()), 1000000);
    what.rounds = count(request, "rounds", what.rounds, 1, 1000000);
    what.seed = parse_measurement(request).seed;
    const Pipelined p = run_pipelined(models(), what, shapes_of(request), progress);
    return {{"us", p.us},
            {"whole_us", p.whole_us},
            {"busy_us", p.busy_us},
            {"difference", p.difference},
            {"pinned", p.pinned}};
  }

  std::string library_;
  std::optional<Api> api_;
  std::optional<ModelCache> models_;
  std::optional<ProfilerCost> cost_of_profiler_;
};

}  // namespace
}  // namespace tailor::ort

int main(int count, char** arguments) {
  std::string library;
  for (int i = 1; i < count; ++i) {
    std::string argument = arguments[i];
    if (argument == "--library" && i + 1 < count) {
      library = arguments[++i];
    } else {
      fmt::print(stderr,
                 "usage: tailor-runner-onnxruntime [--library FILE]\nSpeaks the protocol of "
                 "docs/runner-protocol.md on "
                 "stdin and stdout.\n");
      return argument == "--help" ? 0 : 2;
    }
  }
  tailor::ort::Service service(library);
  return tailor::serving::serve(
      [&](const auto& request, const auto& progress) { return service.answer(request, progress); });
}
