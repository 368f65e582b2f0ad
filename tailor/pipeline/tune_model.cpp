#include "tailor/pipeline/tune_model.h"

#include "tailor/base/error.h"
#include "tailor/latency/extract.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace tailor::pipeline {
namespace {

using tune::Standing;
using tune::TaskResult;
using tune::TuneTask;

constexpr const char* kLibrary = "library";

int workers_of(double share, int threads, bool units) {
  const double workers = share * threads;
  if (!(share > 0 && share <= 1) || std::abs(workers - std::round(workers)) > 1e-6 || workers < 0.5)
    throw Error(Code::bad_value,
                fmt::format("{:g} % of {} {} is no whole number of them", 100 * share, threads,
                            units ? "compute units" : "threads"),
                "--share",
                units ? "give shares that are"
                      : "give shares that are, or say with --threads what the whole device is");
  return static_cast<int>(std::lround(workers));
}

bool is_library(const Standing& standing) {
  return standing.configuration.size() == 1 && standing.configuration.front().first == kLibrary;
}

Json standing_json(const std::optional<Standing>& standing) {
  if (!standing) return nullptr;
  return {{"configuration", tune::to_string(standing->configuration)},
          {"us", standing->time_us()},
          {"samples", standing->us.size()},
          {"tier", name(standing->tier)}};
}

}  // namespace

TuningPlan plan_tuning(const graph::Model& model, const graph::Shapes& shapes,
                       const std::vector<double>& shares, int threads, const tune::Backend& backend) {
  TuningPlan plan;
  plan.gpu = backend.halves;
  std::map<latency::Workload, int> layers;
  std::map<std::string, int> left_out;
  for (const latency::LayerWorkload& layer : latency::extract_workloads(model, shapes)) {
    latency::Workload w = layer.workload;
    const bool retyped = backend.halves && w.type == graph::DataType::f32;
    if (retyped) w.type = graph::DataType::f16;
    const std::string reason = backend.no_kernel(w);
    if (reason.empty()) ++layers[w], plan.retyped += retyped;
    if (!reason.empty()) ++left_out[reason];
  }
  for (const auto& [reason, count] : left_out) plan.left_out.push_back({reason, count});
  if (layers.empty())
    throw Error(Code::nothing_to_tune, "no layer that has a kernel to tune", "model",
                backend.halves ? "dense convolutions and products in f16 or f32 have one"
                               : "dense convolutions and products in f32 have one");
  for (double share : shares)
    for (const auto& [workload, count] : layers)
      plan.tasks.push_back({workload, share, workers_of(share, threads, backend.at_once), count});
  auto work = [](const TuneTask& task) {
    return static_cast<double>(latency::macs(task.workload)) * task.layers;
  };
  std::stable_sort(plan.tasks.begin(), plan.tasks.end(),
                   [&](const TuneTask& a, const TuneTask& b) { return work(a) > work(b); });
  return plan;
}

void time_library(const std::vector<TaskResult>& tasks, tune::RecordFile& file, runtime::Runner& runner) {
  const std::string library = fmt::format("{} {}", runner.hello().runtime, runner.hello().version);
  auto known = [&](const TaskResult& task) {
    return std::any_of(file.records().begin(), file.records().end(), [&](const tune::Record& record) {
      return record.key == task.key &&
             record.configuration.front() == std::pair<std::string, tune::Value>(kLibrary, library);
    });
  };
  std::vector<const TaskResult*> chosen;
  std::vector<runtime::Job> jobs;
  for (const TaskResult& task : tasks)
    if (task.task.workers == 1 && !known(task)) {
      chosen.push_back(&task);
      jobs.push_back({.workload = task.task.workload});
    }
  if (jobs.empty()) return;
  std::vector<runtime::Samples> samples = runner.time(jobs, {.threads = 1, .rounds = 20});
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    tune::Record record;
    record.key = chosen[i]->key, record.configuration = {{kLibrary, library}};
    record.us = std::move(samples[i].us), record.clock = samples[i].clock, record.neighbours = "idle";
    record.tier = tune::Tier::exclusive, record.when = tune::now_text(), record.message = samples[i].kernel;
    std::erase_if(record.us, [](double us) { return !(us > 0); });
    if (!record.us.empty()) file.append(record);
  }
}

namespace {

using Rankings = std::map<tune::RecordKey, std::vector<Standing>>;

// What the searcher saw: what the finalists did alone came afterwards.
std::vector<TunedTask::Tried> history_of(const tune::RecordKey& key, const tune::RecordFile& file) {
  std::vector<TunedTask::Tried> history;
  for (const tune::Record& record : file.records())
    if (record.key == key && record.tier == tune::Tier::parallel)
      history.push_back({record.outcome, record.outcome == tune::Outcome::ok ? record.time_us() : 0});
  return history;
}

// The best configuration of a task at every share of its operator.
std::vector<TunedTask::Elsewhere> across_shares(const TunedTask& tuned, const std::vector<TaskResult>& tasks,
                                                const Rankings& rankings) {
  std::vector<TunedTask::Elsewhere> list;
  for (const TaskResult& other : tasks) {
    const tune::RecordKey& key = tuned.result.key;
    if (other.key.op != key.op || other.key.device != key.device || other.key.versions != key.versions)
      continue;
    list.push_back({other.task.share});
    const auto ranking = rankings.find(other.key);
    if (!tuned.own || ranking == rankings.end()) continue;
    for (const Standing& standing : ranking->second)
      if (standing.tier == tune::Tier::exclusive && standing.configuration == tuned.own->configuration)
        list.back().us = standing.time_us();
  }
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.share < b.share; });
  return list;
}

Json history_json(const TunedTask& task) {
  Json list = Json::array();
  for (const TunedTask::Tried& tried : task.history)
    list.push_back({{"outcome", name(tried.outcome)}, {"us", tried.us > 0 ? Json(tried.us) : Json(nullptr)}});
  return list;
}

Json shares_json(const TunedTask& task) {
  Json list = Json::array();
  for (const TunedTask::Elsewhere& there : task.at_shares)
    list.push_back({{"share", there.share}, {"us", there.us ? Json(*there.us) : Json(nullptr)}});
  return list;
}

}  // namespace

std::vector<TunedTask> judge(const std::vector<TaskResult>& tasks, const tune::RecordFile& file) {
  Rankings rankings;
  for (const tune::RecordGroup& group : tune::group(file.records()))
    rankings[group.key] = tune::ranking(group);
  std::vector<TunedTask> judged;
  for (const TaskResult& task : tasks) {
    TunedTask tuned{task, std::nullopt, std::nullopt, {}, {}};
    for (const Standing& standing : rankings[task.key]) {
      std::optional<Standing>& kind = is_library(standing) ? tuned.library : tuned.own;
      if (!kind) kind = standing;
    }
    tuned.history = history_of(task.key, file);
    tuned.at_shares = across_shares(tuned, tasks, rankings);
    judged.push_back(std::move(tuned));
  }
  return judged;
}

Json to_json(const tune::TuneResult& result, const std::vector<TunedTask>& tasks, const TuningPlan& plan) {
  Json json = {{"schema", "tailor/tune/1"},
               {"seconds", result.seconds},
               {"trials", result.trials},
               {"repeated", result.repeated},
               {"compile_seconds", result.compile_seconds},
               {"measure_seconds", result.measure_seconds},
               {"retyped", plan.retyped},
               {"library_missing", result.library.empty() ? Json(nullptr) : Json(result.library)},
               {"tasks", Json::array()},
               {"left_out", Json::array()}};
  for (const TunedTask& task : tasks) {
    const TaskResult& r = task.result;
    json["tasks"].push_back(
        {{"op", r.key.op},
         {"layers", r.task.layers},
         {"share", r.task.share},
         {"threads", r.task.workers},
         {"device", r.key.device},
         {"trials", r.trials},
         {"trials_before", r.before},
         {"stopped", r.stopped},
         {"gain_left", r.gain_left ? Json(*r.gain_left) : Json(nullptr)},
         {"own", standing_json(task.own)},
         {"library", standing_json(task.library)},
         {"use", task.use_library() ? "library"
                 : task.own         ? "own"
                                    : "none"},
         {"own_over_library", task.own_over_library() ? Json(*task.own_over_library()) : Json(nullptr)},
         {"history", history_json(task)},
         {"at_shares", shares_json(task)}});
  }
  for (const LeftOut& left : plan.left_out)
    json["left_out"].push_back({{"reason", left.reason}, {"layers", left.layers}});
  return json;
}

}  // namespace tailor::pipeline
