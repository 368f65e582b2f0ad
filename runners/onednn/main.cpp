// tailor-runner-onednn: answers the runner protocol (docs/runner-protocol.md) on stdin and stdout.
//   tailor-runner-onednn [--onednn FILE]
// The library is loaded when a request first needs it: a missing one is an answer, not a failure to start.
#include "runners/onednn/check.h"
#include "runners/onednn/timing.h"
#include "runners/serving/serve.h"
#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>

namespace tailor::onednn {
namespace {

constexpr int kProtocol = 1;
constexpr std::size_t kMostJobs = 4096;
constexpr const char* kClock = "thread cpu";
constexpr const char* kUsage =
    "usage: tailor-runner-onednn [--onednn FILE]\n"
    "Speaks the protocol of docs/runner-protocol.md on stdin and stdout.\n"
    "  --onednn FILE  libdnnl.so.2 to use (default: TAILOR_ONEDNN, then as the system finds it)\n";

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

class Service {
 public:
  explicit Service(std::string path) : path_(std::move(path)) {}

  Json answer(const Json& request, const serving::Progress& progress) {
    const std::string op = text(request, "op", "request");
    if (op == "hello") return hello();
    if (op == "time") return time(request, progress);
    if (op == "profile") return profile(request, progress);
    if (op == "run")
      throw Error(Code::runtime_refused, "this runner measures and does not compute results of models", "run",
                  "accuracy is judged with ONNX Runtime, the default runner");
    throw Error(Code::usage, fmt::format("unknown op \"{}\"", op.substr(0, 40)));
  }

 private:
  const Library& library() {
    if (!library_) library_ = std::make_unique<Library>(path_), weight_bits_ = weight_bits_of(*library_);
    return *library_;
  }

  Json hello() {
    const Library& f = library();
    return {{"protocol", kProtocol},
            {"runtime", "onednn"},
            {"version", f.version},
            {"isa", isa_name(f)},
            {"processor", processor_name()},
            {"library", f.file},
            {"cores", 1},
            {"clock", kClock},
            {"workloads", true},
            {"profiles", true},
            {"models", false},
            {"weight_bits", weight_bits_}};
  }

  NetworkText text_of(const Json& job) const {
    if (!job.is_object()) throw Error(Code::bad_json, "a job must be an object", "request");
    if (job.contains("network")) return parse_network(job["network"]);
    if (job.contains("workload")) return as_network(parse_layer(text(job, "workload", "job")));
    throw Error(Code::runtime_refused,
                "this runner reads no model files: it times workloads and lists of layers",
                job.value("model", ""));
  }

  // Every layer that was not seen yet is compared with loops first.
  void check(const Layer& layer) {
    auto [known, added] = errors_.try_emplace(layer.line, 0.0);
    if (added) try {
        known->second = checked_error(library(), layer, weight_bits_);
      } catch (const Error& error) {
        errors_.erase(known);
        throw Error(error.code(), error.what(), layer.line);
      }
    if (!(known->second <= 1))
      throw Error(
          Code::runtime_refused,
          fmt::format("the library computes this layer wrongly: {:.3g} times the error that is allowed",
                      known->second),
          layer.line);
  }

  std::vector<Network> networks(const Json& jobs, std::uint64_t seed) {
    if (!jobs.is_array() || jobs.size() > kMostJobs)
      throw Error(Code::usage, fmt::format("\"jobs\" must be an array of at most {}", kMostJobs));
    std::vector<Network> made;
    made.reserve(jobs.size());
    for (const Json& job : jobs) {
      const NetworkText text = text_of(job);
      library();
      for (const NetworkLayer& l : text.layers) check(l.layer);
      made.emplace_back(library(), text, weight_bits_, seed);
    }
    return made;
  }

  Json time(const Json& request, const serving::Progress& progress) {
    const Measurement how = parse_measurement(request);
    const std::vector<Network> jobs = networks(member(request, "jobs", "request"), how.seed);
    const std::vector<std::vector<double>> us = measure(jobs, how, progress);
    Json answers = Json::array();
    for (std::size_t i = 0; i < jobs.size(); ++i)
      answers.push_back(
          {{"us", us[i]}, {"clock", kClock}, {"kernel", jobs[i].layers() == 1 ? jobs[i].kernel(0) : ""}});
    return {{"jobs", std::move(answers)}, {"rounds", us.empty() ? 0 : us.front().size()}};
  }

  // One network as the protocol has it, or several ("jobs"), which take turns.
  Json profile(const Json& request, const serving::Progress& progress) {
    const Measurement how = parse_measurement(request);
    const bool several = request.contains("jobs");
    const Json jobs = several ? request["jobs"] : Json::array({member(request, "job", "request")});
    const std::vector<Network> list = networks(jobs, how.seed);
    const std::vector<InPlace> all = measure_in_place(list, how, progress);
    Json profiles = Json::array();
    for (std::size_t n = 0; n < list.size(); ++n) profiles.push_back(profile_json(list[n], all[n]));
    return several ? Json{{"profiles", std::move(profiles)}} : profiles.front();
  }

  static Json profile_json(const Network& network, const InPlace& times) {
    Json nodes = Json::array();
    for (std::size_t i = 0; i < network.layers(); ++i)
      nodes.push_back({{"name", network.line(i)},
                       {"op", network.line(i).substr(0, network.line(i).find('_'))},
                       {"us", times.layer_us[i]},
                       {"input_shapes", ""},
                       {"kernel", network.kernel(i)}});
    return {{"nodes", std::move(nodes)},
            {"run_us", times.run_us},
            {"unprofiled_us", times.untimed_us},
            {"round_us", times.round_us},
            {"clock", "wall"}};
  }

  std::string path_;
  std::unique_ptr<Library> library_;
  int weight_bits_ = 0;
  std::map<std::string, double> errors_;  // by line
};

}  // namespace
}  // namespace tailor::onednn

int main(int count, char** arguments) {
  const char* named = std::getenv("TAILOR_ONEDNN");
  std::string path = named ? named : "";
  if (count == 2 && std::string(arguments[1]) == "--help")
    return std::fputs(tailor::onednn::kUsage, stdout), 0;
  if (count == 3 && std::string(arguments[1]) == "--onednn")
    path = arguments[2];
  else if (count > 1)
    return std::fputs(tailor::onednn::kUsage, stderr), 2;
  tailor::onednn::Service service(path);
  return tailor::serving::serve(
      [&](const auto& request, const auto& progress) { return service.answer(request, progress); });
}
