// One function per request.
#include "runners/cuda/service.h"

#include "runners/cuda/compiler.h"
#include "runners/cuda/partition.h"
#include "runners/cuda/plan.h"
#include "runners/serving/serve.h"
#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::cuda {
namespace {

constexpr int kProtocol = 1;
constexpr const char* kClock = "gpu events";

std::string version_of(Libraries& libraries, const Facts& facts) {
  auto number = [](auto version) -> std::string {
    try {
      return fmt::format("{}", version());
    } catch (const Error&) {
      return "missing";
    }
  };
  return fmt::format("driver {}, cuDNN {}, cuBLASLt {}", facts.driver_version,
                     number([&] { return libraries.dnn().version(); }),
                     number([&] { return libraries.blas().version(); }));
}

Json kernels_json(const std::vector<KernelLaunch>& kernels) {
  Json list = Json::array();
  for (const KernelLaunch& kernel : kernels) list.push_back(to_json(kernel));
  return list;
}

Json samples_json(const JobSamples& samples) {
  const std::string kernel = samples.kernels.empty() ? samples.choice : to_string(samples.kernels);
  return {{"us", samples.us},         {"clock", kClock},
          {"kernel", kernel},         {"kernels", kernels_json(samples.kernels)},
          {"choice", samples.choice}, {"runs", samples.runs}};
}

// A kind of layer, as the protocol's profile wants an operator.
std::string operator_of(const std::string& line) { return line.substr(0, line.find('_')); }

int small_number(const Json& request, const char* key, int most) {
  const std::int64_t value = integer(request, key, "request");
  if (value < 1 || value > most)
    throw Error(Code::bad_value, fmt::format("\"{}\" must be in 1..{}, not {}", key, most, value), "request");
  return static_cast<int>(value);
}

}  // namespace

Service::Service(const ServiceOptions& options)
    : options_(options), libraries_(split_folders(options.folders)) {}

Gpu& Service::gpu() {
  if (!gpu_) gpu_ = std::make_unique<Gpu>(libraries_, options_.gpu);
  return *gpu_;
}

bool Service::traces() {
  if (!traces_) traces_ = can_trace(gpu(), why_not_);
  return *traces_;
}

Layer Service::layer_of(const Json& json) const {
  return parse_layer(json.get<std::string>(), options_.tf32);
}

Job Service::job_of(const Json& json) const {
  if (!json.is_object()) throw Error(Code::bad_json, "a job must be an object", "request");
  if (json.contains("network")) return parse_network(json["network"], options_.tf32);
  if (json.contains("workload")) return parse_layer(text(json, "workload", "job"), options_.tf32);
  throw Error(Code::runtime_refused,
              "this runner reads no model files: it times workloads and lists of layers",
              json.value("model", ""));
}

Json Service::answer(const Json& request, const Progress& progress) try {
  return answer_op(text(request, "op", "request"), request, progress);
} catch (const CallFailed& error) {
  throw serving::Failure(error.memory ? "memory" : "internal", error.what(), error.fatal);
}

Json Service::answer_op(const std::string& op, const Json& request, const Progress& progress) {
  if (op == "hello") return hello();
  if (op == "time") return time(request, progress);
  if (op == "profile") return profile(request, progress);
  if (op == "plan") return plan(request);
  if (op == "partitions") return partitions(request);
  if (op == "trials") return trials(request, progress);
  if (op == "compiler") return describe_compiler(libraries_);
  if (op == "compile") return compile(libraries_, request);
  if (op == "run")
    throw Error(Code::runtime_refused, "this runner measures and does not compute results", "run",
                "accuracy is judged with ONNX Runtime, the default runner");
  throw Error(Code::usage, fmt::format("unknown op \"{}\"", op.substr(0, 40)));
}

Json Service::hello() {
  const Facts& facts = gpu().facts();
  const bool traced = traces();
  return {{"protocol", kProtocol},
          {"runtime", "cuda"},
          {"version", version_of(libraries_, facts)},
          {"isa", fmt::format("sm_{}{}{}", facts.major, facts.minor, options_.tf32 ? " tf32" : "")},
          {"processor", facts.name},
          {"library", libraries_.file_of("libcudnn")},
          {"cores", facts.multiprocessors},
          {"clock", kClock},
          {"workloads", true},
          {"profiles", traced},
          {"models", false},
          {"tracing", traced ? "" : why_not_},
          {"device", device::to_json(facts)}};
}

Json Service::time(const Json& request, const Progress& progress) {
  const Measurement how = parse_measurement(request);
  const Json& jobs = member(request, "jobs", "request");
  if (!jobs.is_array()) throw Error(Code::usage, "\"jobs\" must be an array");
  std::vector<Job> list;
  for (const Json& job : jobs) list.push_back(job_of(job));
  Json answers = Json::array();
  std::size_t rounds = 0;
  for (const JobSamples& samples : measure(gpu(), list, how, traces(), progress)) {
    rounds = samples.us.size();
    answers.push_back(samples_json(samples));
  }
  return {{"jobs", std::move(answers)}, {"rounds", rounds}};
}

Json Service::profile(const Json& request, const Progress& progress) {
  const Measurement how = parse_measurement(request);
  const Job job = job_of(member(request, "job", "request"));
  if (!std::holds_alternative<NetworkText>(job))
    throw Error(Code::usage, "only a network can be profiled; a workload is timed");
  if (!traces())
    throw Error(Code::runtime_missing, why_not_, "libcupti", "layers alone are timed without it");
  const InPlace all = measure_in_place(gpu(), std::get<NetworkText>(job), how, progress);
  Json nodes = Json::array();
  for (const InPlace::LayerTimes& layer : all.layers)
    nodes.push_back({{"name", layer.line},
                     {"op", operator_of(layer.line)},
                     {"us", layer.us},
                     {"input_shapes", ""},
                     {"kernel", to_string(layer.kernels)},
                     {"kernels", kernels_json(layer.kernels)}});
  return {{"nodes", std::move(nodes)},
          {"run_us", all.traced_us},
          {"unprofiled_us", all.untraced_us},
          {"clock", kClock}};
}

Json Service::plan(const Json& request) {
  constexpr std::size_t kMostLayers = 10000;
  const Json& wanted = member(request, "workloads", "request");
  if (!wanted.is_array() || wanted.size() > kMostLayers)
    throw Error(Code::usage, fmt::format("\"workloads\" must be an array of at most {}", kMostLayers));
  const int most = request.contains("most") ? small_number(request, "most", 100) : 5;
  const Facts facts = request.contains("device") ? device::facts_from_json(request["device"]) : gpu().facts();
  Json plans = Json::array();
  for (const Json& line : wanted) {
    if (!line.is_string()) throw Error(Code::bad_json, "a workload must be a text", "request");
    plans.push_back(plan_described(libraries_, facts, layer_of(line), static_cast<std::size_t>(most)));
  }
  return {{"plans", std::move(plans)}};
}

Json Service::partitions(const Json& request) {
  const int least = small_number(request, "least", 4096);
  std::vector<Layer> layers;
  if (request.contains("workloads"))
    for (const Json& line : request["workloads"]) {
      if (!line.is_string()) throw Error(Code::bad_json, "a workload must be a text", "request");
      layers.push_back(layer_of(line));
    }
  return probe_partitions(gpu(), least, layers);
}

Json Service::trials(const Json& request, const Progress& progress) {
  if (!trials_) trials_ = std::make_unique<TrialBench>(gpu());
  return trials_->run(request, progress);
}

}  // namespace tailor::cuda
