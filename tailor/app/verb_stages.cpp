// tailor place MODEL.onnx: a network in stages over cores. The stages first, then what they do together.
#include "tailor/app/app.h"
#include "tailor/app/model_folder.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/stages.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::app {
namespace {

using pipeline::Stage;
using pipeline::Staging;

std::string describe(const Staging& staging) {
  Table table({{"stage"},
               {"operators", Align::right},
               {"expected", Align::right},
               {"measured", Align::right},
               {"hands on", Align::right}});
  for (std::size_t s = 0; s < staging.plan.stages.size(); ++s) {
    const Stage& stage = staging.plan.stages[s];
    table.row({std::to_string(s + 1), std::to_string(stage.nodes.size()), duration(stage.expected_us),
               duration(staging.times.busy_us[s]), engineering(static_cast<double>(stage.bytes_out)) + "B"});
  }
  const pipeline::PipelineTimes& t = staging.times;
  const double expected = staging.plan.expected_us();
  std::string text = table.text({}, output_width()) + "\n";
  text += fmt::format("one core  {} a sample\n", duration(t.whole_us));
  text += fmt::format("pipeline  {} a sample: {:.2f}x as many; expected {} ({:+.1f} %){}\n", duration(t.us),
                      t.gain(), duration(expected), 100 * (t.us / expected - 1),
                      staging.plan.optimal ? ", no other parts are expected to be faster" : "");
  text += fmt::format("outputs   the same up to {:.2g} of their magnitude\n", t.difference);
  if (!t.pinned)
    text +=
        "note      fewer cores than stages, or none could be claimed: stages share cores, and the gain is "
        "not that of a machine with enough\n";
  return text;
}

// stage-1.onnx, stage-2.onnx, ...
std::vector<std::string> write_stages(const Staging& staging, const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (std::size_t i = 1; i <= staging.models.size(); ++i) names.push_back(fmt::format("stage-{}.onnx", i));
  return write_models(folder, names, staging.models);
}

void check_arguments(const PlaceArguments& a) {
  if (a.accelerators >= 0 || a.cpus >= 0 || a.memory >= 0)
    throw Error(Code::usage, "--accelerators, --cpus and --memory are of workload files", a.workload.string(),
                "a model is laid over cores: --stages says how many");
  if (a.objective != "throughput")
    throw Error(
        Code::usage, "stages of a model are laid out for throughput", "--objective",
        "one sample alone goes through all stages one after the other: a pipeline does not make it faster");
  if (a.stages < 2 || a.stages > 64) throw Error(Code::bad_value, "--stages must be in 2..64", "--stages");
}

}  // namespace

int place_model(const Global& global, const PlaceArguments& arguments) {
  check_arguments(arguments);
  const pipeline::Subject subject =
      pipeline::read_subject(arguments.workload, graph::parse_shape_overrides(arguments.shapes));
  runtime::Runner runner(global.runner);
  pipeline::StagingOptions options;
  options.stages = arguments.stages, options.seed = arguments.seed;
  options.say = [&](const std::string& line) {
    if (!global.quiet) fmt::print(stderr, "  {}\n", line);
  };
  const Staging staging = pipeline::stage_network(runner, subject, options);
  std::vector<std::string> files;
  if (!arguments.out.empty()) files = write_stages(staging, arguments.out);
  if (global.json) {
    print_document(pipeline::stages_json(subject, staging, files));
    return 0;
  }
  print(fmt::format("{} over {} cores\n\n", arguments.workload.string(), arguments.stages) +
        describe(staging));
  for (const std::string& file : files) print(fmt::format("wrote     {}\n", file));
  return 0;
}

}  // namespace tailor::app
