#include "tailor/pipeline/gpu_target.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

namespace tailor::pipeline {
namespace {

void require_layers(const LayerList& list, const std::string& place) {
  if (list.layers.empty())
    throw Error(Code::nothing_to_change, "the model has no layer that a GPU's runner computes", place);
}

}  // namespace

std::vector<latency::Estimate> Retyped::evaluate(std::span<const latency::Workload> workloads) {
  std::vector<latency::Workload> typed(workloads.begin(), workloads.end());
  for (latency::Workload& w : typed) w.type = type_;
  return inner_.evaluate(typed);
}

runtime::RunnerOptions gpu_runner(runtime::RunnerOptions options, const std::string& precision) {
  options.program = "tailor-runner-cuda";
  options.arguments = precision == "tf32" ? "--tf32" : "";
  return options;
}

void check_gpu_runner(const runtime::Hello& hello, const std::string& precision) {
  if (hello.runtime != "cuda")
    throw Error(Code::usage, fmt::format("the runner is {}'s and no GPU's", hello.runtime), "--runner",
                "tailor-runner-cuda, or leave --device cuda away");
  const bool tf32 = hello.isa.ends_with(" tf32");
  if (tf32 != (precision == "tf32"))
    throw Error(Code::usage,
                tf32 ? "this runner rounds f32 to tf32" : "this runner does not round f32 to tf32",
                "--runner", tf32 ? "leave --tf32 away from its command" : "add --tf32 to its command");
}

std::string left_out_text(const std::map<std::string, int>& left_out) {
  std::string text;
  for (const auto& [op, count] : left_out)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, op);
  return text;
}

runtime::Job network_job(const std::filesystem::path& model, const graph::ShapeOverrides& overrides,
                         const std::string& precision, std::map<std::string, int>* left_out) {
  const LayerList list = layer_list(read_subject(model, overrides), type_of_precision(precision));
  require_layers(list, model.string());
  if (left_out) *left_out = list.left_out;
  return {.model = model, .network = list.to_line()};
}

runtime::Job whole_network_job(const Subject& subject, const std::string& precision) {
  const LayerList list = layer_list(subject, type_of_precision(precision));
  if (!list.left_out.empty())
    throw Error(
        Code::runtime_refused,
        fmt::format("the runner for GPUs does not compute {}, so the network cannot be timed as a whole",
                    left_out_text(list.left_out)),
        subject.path.string(),
        "tailor analyze -d cuda times the rest of it; optimize -d NAME searches on a description");
  require_layers(list, subject.path.string());
  return {.model = subject.path, .network = list.to_line()};
}

runtime::Job whole_network_job(const std::filesystem::path& model, const graph::ShapeOverrides& overrides,
                               const std::string& precision) {
  return whole_network_job(read_subject(model, overrides), precision);
}

}  // namespace tailor::pipeline
