// What the first rank, the others and a shard do; options checked, results printed.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/console/shares.h"
#include "tailor/farm/ranks.h"
#include "tailor/graph/overrides.h"
#include "tailor/launcher/launcher.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/tune_model.h"
#include "tailor/tune/partition.h"
#include "tailor/tune/record_lock.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>

namespace tailor::launcher {
namespace {

using farm::Master;
using pipeline::TunedTask;

void require(bool good, const char* option, const char* range) {
  if (!good) throw Error(Code::bad_value, fmt::format("{} must be {}", option, range), option);
}

farm::FarmOptions options_of(const FarmArguments& a) {
  require(a.samples >= 1 && a.samples <= 1000, "--samples", "1 to 1000");
  require(a.trials >= 0, "--trials", "0 or more");
  require(a.threads >= 0 && a.threads <= 1024, "--threads", "0 to 1024");
  farm::FarmOptions options{.seconds = console::parse_seconds(a.time, "--time"),
                            .trials = static_cast<std::uint64_t>(a.trials),
                            .gain = console::parse_share(a.gain, "--gain"),
                            .searcher = a.searcher,
                            .seed = a.seed,
                            .samples = a.samples};
  options.silence_s = console::parse_seconds(a.silence, "--silence");
  require(options.silence_s > 0, "--silence", "above 0");
  if (!a.no_library) options.onednn = a.onednn;
  return options;
}

// What the first rank and a shard work on.
struct Work {
  pipeline::TuningPlan plan;
  std::vector<farm::Portion> portions;
  farm::FarmOptions options;
};

Work work_of(const FarmArguments& a, const farm::Shard& shard) {
  Work work{{}, {}, options_of(a)};
  const int threads = a.threads > 0 ? a.threads : static_cast<int>(tune::usable_cores().size());
  const std::vector<double> shares = console::parse_shares(a.share);
  const graph::Model model = onnx::read(a.model);
  const graph::Shapes shapes = graph::infer_shapes(model, graph::parse_shape_overrides(a.shapes));
  work.plan = pipeline::plan_tuning(model, shapes, shares, threads);
  work.portions = farm::portions_of(work.plan.tasks, shard);
  // A part cannot say who the finalists of the whole are.
  if (shard.count > 1) work.options.finalists = 0;
  return work;
}

std::string time_of(const std::optional<tune::Standing>& standing) {
  return standing ? console::duration(standing->time_us()) : "-";
}

std::string text_of(const tune::TuneResult& result, const std::vector<TunedTask>& tasks) {
  Table table({{"operator", Align::left, true},
               {"share", Align::right},
               {"device", Align::left, true},
               {"trials", Align::right},
               {"own", Align::right},
               {"library", Align::right},
               {"configuration", Align::left, true}});
  for (const TunedTask& task : tasks) {
    const tune::TaskResult& r = task.result;
    table.row({r.key.op, fmt::format("{:.3g} %", 100 * r.task.share), r.key.device,
               fmt::format("{}", r.before + r.trials), time_of(task.own), time_of(task.library),
               task.own ? tune::to_string(task.own->configuration) : r.stopped});
  }
  return fmt::format(
             "{} trials in {:.0f} s ({:.1f} a minute), {} measured again because a core's speed changed\n",
             result.trials, result.seconds,
             60 * static_cast<double>(result.trials) / std::max(result.seconds, 1e-9), result.repeated) +
         table.text({}, console::output_width());
}

// The document is tune's: whoever reads that reads this.
void print_result(const Voice& voice, const FarmArguments& a, const Work& work, const tune::RecordFile& file,
                  const tune::TuneResult& result) {
  const std::vector<TunedTask> tasks = pipeline::judge(result.tasks, file);
  if (!voice.json) return console::print(text_of(result, tasks));
  Json document = pipeline::to_json(result, tasks, work.plan);
  document["model"] = a.model.string(), document["file"] = a.db.string();
  console::print_document(document);
}

using Drive = std::function<double(Master&, const std::function<void(const farm::FarmStatus&)>&)>;

// The master's whole life but for how its letters travel. Returns the exit code.
int direct(const Voice& voice, const FarmArguments& a, const farm::Shard& shard, int workers,
           const Drive& drive, bool& lost) {
  const Work work = work_of(a, shard);
  const tune::RecordLock lock(a.db);
  tune::RecordFile file(a.db);
  if (file.damaged() > 0)
    console::say(voice, 0, fmt::format("{}: {} damaged lines passed over", a.db.string(), file.damaged()));
  Master master(work.portions, file, work.options, workers);
  double seconds = 0;
  {
    Progress progress("farm");
    auto show = [&](const farm::FarmStatus& status) {
      for (const std::string& remark : status.remarks) console::say(voice, 0, remark);
      progress.update(std::min(status.seconds, work.options.seconds), work.options.seconds,
                      fmt::format("{} trials", status.trials));
    };
    seconds = drive(master, show);
  }
  lost = !master.lost().empty();
  const tune::TuneResult result = master.result(seconds);
  const std::string unfinished = master.unfinished(seconds);
  if (!result.library.empty())
    console::say(voice, 0, fmt::format("oneDNN has no time for some or all operators: {}", result.library));
  if (!unfinished.empty() && result.trials == 0)
    throw Error(Code::runner_failed, fmt::format("nobody measures: {}", unfinished), a.db.string());
  print_result(voice, a, work, file, result);
  if (unfinished.empty()) return 0;
  const Error error(Code::partial, fmt::format("no worker is left: {}", unfinished), a.db.string(),
                    "the same command goes on from the records");
  return console::print_error(voice, error), exit_code(error.code());
}

// The first rank of a job; whatever goes wrong ends all.
int lead(const Voice& voice, const FarmArguments& a, farm::Ranks& ranks) {
  int code = 0;
  bool lost = false;
  try {
    auto drive = [&](Master& master, const auto& show) { return run_master(master, ranks.post(), show); };
    code = direct(voice, a, {}, ranks.size() - 1, drive, lost);
  } catch (const Error& error) {
    ranks.abort(console::report(voice, error));
  } catch (const std::exception& error) {
    ranks.abort(console::report(voice, Error(Code::bug, error.what())));
  }
  // Who was lost may never leave: nobody waits for him.
  if (lost) ranks.abort(code == 0 ? exit_code(Code::partial) : code);
  return code;
}

// Any other rank. What it cannot tell the master ends all.
void follow(farm::Ranks& ranks) {
  try {
    farm::run_worker({}, ranks.post());
  } catch (const Error& error) {
    ranks.abort(exit_code(error.code()));
  } catch (const std::exception& error) {
    console::print_error({}, Error(Code::bug, error.what()));
    ranks.abort(exit_code(Code::bug));
  }
}

}  // namespace

int run_shard(const Voice& voice, const FarmArguments& arguments) {
  const farm::Shard shard = farm::parse_shard(arguments.shard);
  require(arguments.jobs >= 1, "--jobs", "1 or more");
  tune::split_cores(tune::usable_cores(), arguments.jobs);  // says so if there are not so many
  auto drive = [&](Master& master, const auto& show) {
    return farm::run_here(master, arguments.jobs, {}, show);
  };
  bool lost = false;
  return direct(voice, arguments, shard, arguments.jobs, drive, lost);
}

int run_ranks(const Voice& voice, const FarmArguments& arguments) {
  if (arguments.jobs != 1)
    throw Error(Code::usage, "--jobs is for a shard", "--jobs", "mpirun -n says how many ranks there are");
  options_of(arguments);  // before anybody is waited for
  farm::Ranks ranks;
  if (ranks.size() < 2) {
    ranks.leave();
    throw Error(Code::usage, "one rank alone has nobody to measure", "mpirun",
                "mpirun -n 3 tailor-farm ..., or --shard 1/1 without MPI");
  }
  int code = 0;
  if (ranks.rank() == 0)
    code = lead(voice, arguments, ranks);
  else
    follow(ranks);
  ranks.leave();
  return code;
}

}  // namespace tailor::launcher
