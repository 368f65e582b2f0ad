// tailor bench: the text of a comparison.
#include "tailor/app/app.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/bench.h"
#include "tailor/pipeline/gpu_target.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::app {
namespace {

std::string ratio_text(const runtime::Comparison& c) {
  return fmt::format("{:.3f}x [{:.3f}, {:.3f}]", c.ratio, c.lo, c.hi);
}

Table table_of(const pipeline::BenchResult& result) {
  bool several = result.models.size() > 1;
  Table table({{"model"},
               {"min", Align::right},
               {"p10", Align::right},
               {"median", Align::right},
               {"q3", Align::right},
               {"max", Align::right},
               {"spread", Align::right},
               {"n", Align::right},
               {several ? "time / first, 95 %" : ""},
               {""}});
  for (const pipeline::BenchModel& model : result.models) {
    const runtime::Summary& s = model.summary;
    bool first = &model == &result.models.front();
    table.row({model.path.string(), duration(s.min), duration(s.p10), duration(s.median), duration(s.q3),
               duration(s.max), fmt::format("{:.1f} %", 100 * s.spread()), std::to_string(s.n),
               !several ? ""
               : first  ? "1"
                        : ratio_text(model.to_first),
               first ? "" : runtime::name(model.to_first.verdict)});
  }
  return table;
}

// One sentence on a model against the first.
std::string sentence(const pipeline::BenchModel& model, const std::string& first) {
  const runtime::Comparison& c = model.to_first;
  switch (c.verdict) {
    case runtime::Verdict::faster:
      return fmt::format("{} is {:.2f}x as fast as {} [{:.2f}, {:.2f}]\n", model.path.string(), 1 / c.ratio,
                         first, 1 / c.hi, 1 / c.lo);
    case runtime::Verdict::slower:
      return fmt::format("{} takes {:.2f}x as long as {} [{:.2f}, {:.2f}]\n", model.path.string(), c.ratio,
                         first, c.lo, c.hi);
    case runtime::Verdict::same:
      return fmt::format("{} is as fast as {}, within 1 %\n", model.path.string(), first);
    case runtime::Verdict::ambiguous:
      break;
  }
  return fmt::format("{} against {}: a difference of 1 % can be neither shown nor ruled out\n",
                     model.path.string(), first);
}

std::string describe(const runtime::Job& job) {
  std::vector<std::string> inputs;
  for (const auto& [name, shape] : job.inputs) inputs.push_back(name + ":" + graph::to_string(shape));
  return fmt::format("{}: {}", job.model.string(), fmt::join(inputs, ", "));
}

}  // namespace

std::string device_text(const pipeline::BenchResult& r) {
  if (r.precision.empty())
    return fmt::format("{} {}, {}, {} thread{}", r.runtime, r.version, r.isa, r.threads,
                       r.threads == 1 ? "" : "s");
  return fmt::format("{} ({}), {}; {}", r.processor, r.isa, r.precision, r.version);
}

std::string bench_text(const pipeline::BenchResult& result) {
  std::string text = fmt::format("{}, {} clock, {} process{}, rounds interleaved\n", device_text(result),
                                 result.clock, result.processes, result.processes == 1 ? "" : "es") +
                     table_of(result).text();
  for (std::size_t i = 1; i < result.models.size(); ++i)
    text += sentence(result.models[i], result.models[0].path.string());
  return text;
}

pipeline::BenchOptions bench_options(const Global& global, const BenchArguments& arguments) {
  pipeline::BenchOptions options;
  options.threads = arguments.threads;
  options.rounds = arguments.rounds;
  options.seed = arguments.seed;
  options.time_s = parse_seconds(arguments.time, "--time");
  options.max_noise = parse_share(arguments.max_noise, "--max-noise");
  options.runner = global.runner;
  return options;
}

pipeline::GpuTarget gpu_target(const std::string& precision, int threads, pipeline::BenchOptions& bench) {
  if (threads != 1)
    throw Error(Code::usage, "a GPU's runner has no threads", "--threads", "leave it out with -d cuda");
  pipeline::GpuTarget target;
  if (!precision.empty()) target.precision = precision;
  pipeline::type_of_precision(target.precision);
  target.runner = bench.runner;
  bench.runner.command.clear();
  return target;
}

namespace {

// Models as lists of layers, which is what the runner for GPUs takes.
std::vector<runtime::Job> gpu_jobs(const Global& global, const BenchArguments& arguments) {
  std::vector<runtime::Job> jobs;
  for (const std::filesystem::path& model : arguments.models) {
    std::map<std::string, int> left_out;
    jobs.push_back(pipeline::network_job(model, graph::parse_shape_overrides(arguments.shapes),
                                         arguments.precision, &left_out));
    if (!left_out.empty())
      say(global, 0,
          fmt::format("{}: its time lacks {}, which the runner for GPUs does not compute", model.string(),
                      pipeline::left_out_text(left_out)));
  }
  return jobs;
}

std::vector<runtime::Job> jobs_of(const Global& global, const BenchArguments& arguments,
                                  pipeline::BenchOptions& options) {
  const bool gpu = arguments.device == "cuda";
  if (!gpu && arguments.device != "cpu")
    throw Error(Code::unknown_device,
                fmt::format("bench measures on cpu or cuda, not on '{}'", arguments.device), "--device",
                "described devices are modelled: tailor analyze -d GPU, tailor platform predict ACCELERATOR");
  if (!gpu && !arguments.precision.empty())
    throw Error(Code::usage, "only for a GPU: the file says it here", "--precision", "tailor bench --help");
  if (!gpu) return pipeline::timing_jobs(arguments.models, graph::parse_shape_overrides(arguments.shapes));
  options.runner = pipeline::gpu_runner(options.runner, arguments.precision);
  options.precision = arguments.precision.empty() ? "f32" : arguments.precision;
  return gpu_jobs(global, arguments);
}

}  // namespace

int bench(const Global& global, const BenchArguments& arguments) {
  pipeline::BenchOptions options = bench_options(global, arguments);
  check_page(arguments.page);
  const std::vector<runtime::Job> jobs = jobs_of(global, arguments, options);
  for (const runtime::Job& job : jobs) say(global, 1, describe(job));
  pipeline::BenchResult result;
  {
    Progress progress("bench");
    options.progress = [&](double done) { progress.update(100 * done, 100); };
    result = pipeline::bench(jobs, options);
  }
  const Json document = to_json(result);
  global.json ? print_document(document) : print(bench_text(result));
  write_page(global, arguments.page, document);
  if (result.trustworthy()) return 0;
  Error error(Code::not_trustworthy,
              fmt::format("the widest 95 % interval is {:.1f} %, and --max-noise allows {:.1f} %",
                          100 * result.noise(), 100 * result.max_noise),
              "", "give it more time (--time 30s), stop other programs, or allow more with --max-noise");
  print_error(global, error);
  return exit_code(error.code());
}

}  // namespace tailor::app
