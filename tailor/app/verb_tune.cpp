// tailor tune MODEL and tune audit: operators tuned on this processor, and whether what was found still holds.
#include "tailor/app/tune.h"
#include "tailor/base/file.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/tune_model.h"
#include "tailor/tune/record_lock.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tailor::app {
namespace {

using pipeline::TunedTask;

void require(bool good, const char* option, const char* range) {
  if (!good) throw Error(Code::bad_value, fmt::format("{} must be {}", option, range), option);
}

void take(tune::TuneOptions& options, const TuneArguments& a, Progress& progress, double seconds) {
  require(a.jobs >= 1, "--jobs", "1 or more");
  require(a.samples >= 1 && a.samples <= 1000, "--samples", "1 to 1000");
  require(a.trials >= 0, "--trials", "0 or more");
  options.jobs = a.jobs, options.seconds = seconds, options.searcher = a.searcher;
  options.seed = a.seed, options.samples = a.samples;
  options.per_task.trials = static_cast<std::uint64_t>(a.trials);
  options.per_task.gain = parse_share(a.gain, "--gain");
  if (!a.no_library) options.onednn = a.onednn;
  options.on_status = [&progress, seconds](const tune::TuneOptions::Status& status) {
    progress.update(std::min(status.seconds, seconds), seconds,
                    fmt::format("{} trials, {}", status.trials, status.doing));
  };
}

// "opencl", "opencl:1": the device's number; nothing: kernels in C++.
std::optional<int> opencl_device(const TuneArguments& a) {
  constexpr std::string_view kOpenCl = "opencl";
  if (a.backend == "c++" && a.opencl.empty()) return std::nullopt;
  if (a.backend == "c++")
    throw Error(Code::usage, "--opencl names a library that nothing asks for", "--opencl",
                "add --backend opencl");
  if (a.backend == kOpenCl) return 0;
  int number = 0;
  const char* end = a.backend.data() + a.backend.size();
  if (a.backend.starts_with("opencl:"))
    if (auto [at, error] = std::from_chars(a.backend.data() + kOpenCl.size() + 1, end, number);
        error == std::errc{} && at == end && number >= 0)
      return number;
  throw Error(Code::unknown_name, fmt::format("there is no backend '{}'", a.backend), "--backend",
              "c++, opencl, opencl:1");
}

std::optional<tune::OpenClPlace> opencl_of(const TuneArguments& a) {
  const std::optional<int> number = opencl_device(a);
  if (!number) return std::nullopt;
  if (a.threads != 0)
    throw Error(Code::usage, "the whole of an OpenCL device is its compute units", "--threads",
                "leave --threads away");
  return tune::find_opencl(*number, a.opencl);
}

// What shares are parts of.
int whole_device(const TuneArguments& a, const std::optional<tune::OpenClPlace>& opencl) {
  if (opencl) return opencl->device.units;
  return a.threads > 0 ? a.threads : static_cast<int>(tune::usable_cores().size());
}

std::string time_of(const std::optional<tune::Standing>& standing) {
  return standing ? duration(standing->time_us()) : "-";
}

// "library 1.20x": the own kernel takes 1.20 times as long.
std::string use_text(const TunedTask& task) {
  const std::string choice = task.use_library() ? "library" : task.own ? "own" : "-";
  const std::optional<double> ratio = task.own_over_library();
  return ratio ? fmt::format("{} {:.2f}x", choice, *ratio) : choice;
}

std::string tune_text(const tune::TuneResult& result, const std::vector<TunedTask>& tasks,
                      const pipeline::TuningPlan& plan) {
  Table table({{"operator", Align::left, true},
               {"layers", Align::right},
               {"share", Align::right},
               {"trials", Align::right},
               {"own", Align::right},
               {"library", Align::right},
               {"use"},
               {"configuration", Align::left, true}});
  for (const TunedTask& task : tasks) {
    const tune::TaskResult& r = task.result;
    table.row({r.key.op, std::to_string(r.task.layers), fmt::format("{:.3g} %", 100 * r.task.share),
               fmt::format("{}", r.before + r.trials), time_of(task.own), time_of(task.library),
               use_text(task), task.own ? tune::to_string(task.own->configuration) : r.stopped});
  }
  std::string text = fmt::format(
      "{} trials in {:.0f} s ({:.1f} a minute), {} measured again because the core's speed changed\n",
      result.trials, result.seconds, 60 * static_cast<double>(result.trials) / std::max(result.seconds, 1e-9),
      result.repeated);
  for (const pipeline::LeftOut& left : plan.left_out)
    text += fmt::format("{} layer{} left out: {}\n", left.layers, left.layers == 1 ? "" : "s", left.reason);
  return text + table.text({}, output_width());
}

Json audit_json(const tune::Audit& audit) {
  Json entries = Json::array();
  for (const tune::Audit::Entry& entry : audit.entries)
    entries.push_back({{"configuration", entry.configuration},
                       {"recorded_us", entry.recorded_us},
                       {"now_us", std::isfinite(entry.now_us) ? Json(entry.now_us) : Json(nullptr)}});
  return {
      {"op", audit.key.op},
      {"share", audit.key.share},
      {"skipped", audit.skipped.empty() ? Json(nullptr) : Json(audit.skipped)},
      {"regret", audit.skipped.empty() && std::isfinite(audit.regret) ? Json(audit.regret) : Json(nullptr)},
      {"entries", std::move(entries)}};
}

std::string audit_text(const std::vector<tune::Audit>& audits, double limit) {
  Table table({{"operator", Align::left, true},
               {"share", Align::right},
               {"recorded", Align::right},
               {"now", Align::right},
               {"regret", Align::right},
               {"verdict", Align::left, true}});
  for (const tune::Audit& audit : audits) {
    std::vector<std::string> row = {audit.key.op, fmt::format("{:.3g} %", 100 * audit.key.share)};
    if (!audit.skipped.empty()) {
      row.insert(row.end(), {"", "", "", audit.skipped});
    } else {
      const tune::Audit::Entry& first = audit.entries.front();
      row.insert(row.end(),
                 {duration(first.recorded_us), std::isfinite(first.now_us) ? duration(first.now_us) : "-",
                  fmt::format("{:.1f} %", 100 * audit.regret), audit.regret <= limit ? "holds" : "changed"});
    }
    table.row(std::move(row));
  }
  return table.text({}, output_width());
}

}  // namespace

int tune_model(const Global& global, const TuneArguments& arguments) {
  if (arguments.model.empty())
    throw Error(Code::usage, "no model given", "command line",
                "tailor tune MODEL --db FILE, or tailor tune show FILE");
  if (arguments.db.empty())
    throw Error(Code::usage, "--db is missing", "--db", "name the file that keeps the records");
  require(arguments.threads >= 0 && arguments.threads <= 1024, "--threads", "0 to 1024");
  check_page(arguments.page);
  const double seconds = parse_seconds(arguments.time, "--time");
  tune::TuneOptions options;
  options.opencl = opencl_of(arguments);
  const graph::Model model = onnx::read(arguments.model);
  const graph::Shapes shapes = graph::infer_shapes(model, graph::parse_shape_overrides(arguments.shapes));
  const pipeline::TuningPlan plan = pipeline::plan_tuning(
      model, shapes, parse_shares(arguments.share), whole_device(arguments, options.opencl),
      options.opencl ? tune::opencl_backend(*options.opencl) : tune::Backend());
  const tune::RecordLock lock(arguments.db);
  tune::RecordFile file(arguments.db);
  if (file.damaged() > 0)
    say(global, 0, fmt::format("{}: {} damaged lines passed over", arguments.db.string(), file.damaged()));
  tune::TuneResult result;
  {
    Progress progress("tune");
    take(options, arguments, progress, seconds);
    result = tune::tune_kernels(plan.tasks, file, options);
  }
  if (!result.library.empty())
    say(global, 0, fmt::format("oneDNN has no time for some or all operators: {}", result.library));
  if (!arguments.no_library) {
    runtime::Runner runner(global.runner);
    pipeline::time_library(result.tasks, file, runner);
  }
  const std::vector<TunedTask> tasks = pipeline::judge(result.tasks, file);
  Json document = pipeline::to_json(result, tasks, plan);
  document["model"] = arguments.model.string(), document["file"] = arguments.db.string();
  if (global.json)
    print_document(document);
  else
    print(tune_text(result, tasks, plan));
  write_page(global, arguments.page, document);
  return 0;
}

int tune_audit(const Global& global, const TuneAuditArguments& arguments) {
  require(arguments.top >= 1 && arguments.top <= 100, "--top", "1 to 100");
  require(arguments.threads >= 0 && arguments.threads <= 1024, "--threads", "0 to 1024");
  const double limit = parse_share(arguments.max_regret, "--max-regret");
  const tune::RecordFile file = read_records(global, arguments.file);
  const std::vector<int> cores = tune::usable_cores();
  const int threads = arguments.threads > 0 ? arguments.threads : static_cast<int>(cores.size());
  tune::KernelRunner runner(cores.front());
  std::vector<tune::Audit> audits;
  for (const tune::RecordGroup& group : tune::group(file.records()))
    audits.push_back(tune::audit(group, arguments.top, threads, runner, {}));
  // What was skipped proves nothing, so a file of which nothing could be timed does not hold.
  const bool any =
      std::any_of(audits.begin(), audits.end(), [](const tune::Audit& a) { return a.skipped.empty(); });
  const bool holds = any && std::all_of(audits.begin(), audits.end(), [&](const tune::Audit& a) {
                       return !a.skipped.empty() || a.regret <= limit;
                     });
  if (global.json) {
    Json json = {{"schema", "tailor/tune-audit/1"},
                 {"file", arguments.file.string()},
                 {"holds", holds},
                 {"groups", Json::array()}};
    for (const tune::Audit& audit : audits) json["groups"].push_back(audit_json(audit));
    print_document(json);
  } else {
    print(audit_text(audits, limit));
  }
  return holds ? 0 : exit_code(Code::gate_failed);
}

}  // namespace tailor::app
