// tailor tune MODEL: operators tuned on this processor, by OpenCL, or in shares of a GPU.
#include "tailor/app/tune.h"
#include "tailor/base/file.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/tune_model.h"
#include "tailor/tune/cuda_tuner.h"
#include "tailor/tune/record_lock.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace tailor::app {
namespace {

using pipeline::TunedTask;

void require(bool good, const char* option, const char* range) {
  if (!good) throw Error(Code::bad_value, fmt::format("{} must be {}", option, range), option);
}

void take(tune::TuneOptions& options, const TuneArguments& a, Progress& progress, double seconds) {
  require(a.jobs.value_or(1) >= 1, "--jobs", "1 or more");
  require(a.samples >= 1 && a.samples <= 1000, "--samples", "1 to 1000");
  require(a.trials >= 0, "--trials", "0 or more");
  options.jobs = a.jobs.value_or(options.cuda ? 0 : 1), options.seconds = seconds,
  options.searcher = a.searcher;
  options.seed = a.seed, options.samples = a.samples;
  options.per_task.trials = static_cast<std::uint64_t>(a.trials);
  options.per_task.gain = parse_share(a.gain, "--gain");
  if (!a.no_library && !options.cuda) options.onednn = a.onednn;
  options.on_status = [&progress, seconds](const tune::TuneOptions::Status& status) {
    progress.update(std::min(status.seconds, seconds), seconds,
                    fmt::format("{} trials, {}", status.trials, status.doing));
  };
}

// What kernels are made of, and of what shares are.
struct Workshop {
  tune::Backend backend;
  int whole = 1;  // threads, compute units or multiprocessors
  std::vector<double> shares;
};

Workshop workshop_of(const Global& global, const TuneArguments& a, tune::TuneOptions& options) {
  Workshop shop;
  shop.shares = parse_shares(a.share);
  if (const std::optional<int> gpu = cuda_number(a.backend, a.threads)) {
    if (!a.onednn.empty() || !a.backend.opencl.empty())
      throw Error(Code::usage, "no library is timed beside CUDA kernels",
                  a.onednn.empty() ? "--opencl" : "--onednn", "leave it away");
    options.cuda = tune::find_cuda(*gpu, global.runner.command);
    for (double& share : shop.shares) share = tune::cuda_share(*options.cuda, share);
    std::sort(shop.shares.begin(), shop.shares.end());
    shop.shares.erase(std::unique(shop.shares.begin(), shop.shares.end()), shop.shares.end());
    shop.backend = tune::cuda_backend(*options.cuda), shop.whole = options.cuda->device.sm.count;
    return shop;
  }
  options.opencl = opencl_of(a.backend, a.threads);
  if (options.opencl) shop.backend = tune::opencl_backend(*options.opencl);
  shop.whole = whole_device(options.opencl, a.threads);
  return shop;
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
      "{} trials in {:.0f} s ({:.1f} a minute), {} measured again because the {}'s speed changed\n",
      result.trials, result.seconds, 60 * static_cast<double>(result.trials) / std::max(result.seconds, 1e-9),
      result.repeated, plan.gpu ? "GPU" : "core");
  if (plan.retyped > 0)
    text += fmt::format("{} layer{} in f32 tuned as f16\n", plan.retyped, plan.retyped == 1 ? "" : "s");
  for (const pipeline::LeftOut& left : plan.left_out)
    text += fmt::format("{} layer{} left out: {}\n", left.layers, left.layers == 1 ? "" : "s", left.reason);
  return text + table.text({}, output_width());
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
  const graph::Model model = onnx::read(arguments.model);
  const graph::Shapes shapes = graph::infer_shapes(model, graph::parse_shape_overrides(arguments.shapes));
  const Workshop shop = workshop_of(global, arguments, options);
  const pipeline::TuningPlan plan =
      pipeline::plan_tuning(model, shapes, shop.shares, shop.whole, shop.backend);
  const tune::RecordLock lock(arguments.db);
  tune::RecordFile file(arguments.db);
  if (file.damaged() > 0)
    say(global, 0, fmt::format("{}: {} damaged lines passed over", arguments.db.string(), file.damaged()));
  tune::TuneResult result;
  {
    Progress progress("tune");
    take(options, arguments, progress, seconds);
    result = options.cuda ? tune::tune_on_cuda(plan.tasks, file, options)
                          : tune::tune_kernels(plan.tasks, file, options);
  }
  if (!result.library.empty())
    say(global, 0, fmt::format("oneDNN has no time for some or all operators: {}", result.library));
  if (!arguments.no_library && !options.cuda) {
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

}  // namespace tailor::app
