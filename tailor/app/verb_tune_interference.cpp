// tailor tune interference: kernels of a model's layers, or of layers given as text, run beside each other on two sets of
// cores, and what each loses by that.
#include "tailor/app/tune.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/tune_model.h"
#include "tailor/tune/core_bench.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace tailor::app {
namespace {

using tune::CoreBench;
using tune::InterferenceCell;
using tune::InterferenceMatrix;
using tune::Rival;
using tune::Slowdown;

struct Layers {
  std::vector<std::pair<latency::Workload, int>> chosen;  // with how many there are
  int left_out = 0;                                       // that have no kernel, or are not among the chosen
};

Layers layers_of_model(const TuneInterferenceArguments& a) {
  const graph::Model model = onnx::read(a.layers.front());
  const graph::Shapes shapes = graph::infer_shapes(model, graph::parse_shape_overrides(a.shapes));
  const pipeline::TuningPlan plan = pipeline::plan_tuning(model, shapes, {1}, 1);
  Layers layers;
  for (const tune::TuneTask& task : plan.tasks)
    if (layers.chosen.size() < static_cast<std::size_t>(a.most))
      layers.chosen.emplace_back(task.workload, task.layers);
    else
      layers.left_out += task.layers;
  for (const pipeline::LeftOut& left : plan.left_out) layers.left_out += left.layers;
  return layers;
}

Layers layers_of(const TuneInterferenceArguments& a) {
  constexpr std::size_t kMostLayers = 32;
  if (a.layers.size() == 1 && a.layers.front().ends_with(".onnx")) return layers_of_model(a);
  if (a.layers.size() > kMostLayers)
    throw Error(Code::bad_value, fmt::format("more than {} layers", kMostLayers), "LAYERS",
                "every pair is measured: name those that run beside each other");
  std::map<latency::Workload, int> counted;
  for (const std::string& text : a.layers) {
    const latency::Workload workload = latency::parse_workload(text);
    if (const std::string reason = tune::no_kernel(workload); !reason.empty())
      throw Error(Code::nothing_to_tune, reason, text,
                  "dense convolutions and products in f32 have a kernel");
    ++counted[workload];
  }
  return {{counted.begin(), counted.end()}, 0};
}

std::array<double, 2> two_shares(const std::string& text) {
  const std::vector<double> shares = parse_shares(text);
  if (shares.size() != 2)
    throw Error(Code::bad_value, "--share must name the two parts", "--share", "for example --share 50,50");
  return {shares[0], shares[1]};
}

tune::InterferenceOptions options_of(const TuneInterferenceArguments& a, Progress& progress) {
  auto require = [](bool good, const char* option, const char* range) {
    if (!good) throw Error(Code::bad_value, fmt::format("{} must be {}", option, range), option);
  };
  require(a.rounds >= 1 && a.rounds <= 10000, "--rounds", "1 to 10000");
  require(a.most >= 1 && a.most <= 32, "--most", "1 to 32");
  tune::InterferenceOptions options{.rounds = a.rounds, .seed = a.seed};
  options.seconds = parse_seconds(a.time, "--time");
  options.drift = parse_share(a.max_drift, "--max-drift");
  options.on_progress = [&progress](double done) {
    progress.update(std::round(100 * done), 100, "pairs of kernels");
  };
  return options;
}

double window_of(const TuneInterferenceArguments& a) {
  const double seconds = parse_seconds(a.window, "--window");
  if (!(seconds >= 0.001 && seconds <= 10))
    throw Error(Code::bad_value, "--window must be 1ms to 10s", "--window");
  return seconds;
}

Json slowdown_json(const Slowdown& slowdown, int kept) {
  if (kept == 0) return nullptr;
  const runtime::Comparison& c = slowdown.over_alone;
  return {{"ratio", c.ratio},
          {"lo", c.lo},
          {"hi", c.hi},
          {"verdict", name(c.verdict)},
          {"alone_us", slowdown.alone_us},
          {"beside_us", slowdown.beside_us}};
}

Json rival_json(const Rival& rival) {
  Json parts = Json::array();
  for (const Rival::Choice& choice : rival.in)
    parts.push_back({{"configuration", choice.configuration}, {"tuned", choice.tuned}});
  return {{"name", rival.name},
          {"stressor", rival.layers == 0},
          {"layers", rival.layers},
          {"parts", std::move(parts)}};
}

struct Found {
  const TuneInterferenceArguments& arguments;
  std::array<tune::Partition, 2> parts;
  std::array<double, 2> shares;
  std::vector<Rival> rivals;
  InterferenceMatrix matrix;
  int left_out = 0;
};

Json number_or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json to_json(const Found& found) {
  Json json = {{"schema", "tailor/tune-interference/1"},
               {"layers", found.arguments.layers},
               {"clock", "thread cpu"},
               {"parts", Json::array()},
               {"kernels", Json::array()},
               {"left_out", found.left_out},
               {"rounds", found.matrix.rounds},
               {"seconds", found.matrix.seconds},
               {"largest", number_or_null(found.matrix.percentile(100))},
               {"p95", number_or_null(found.matrix.percentile(95))},
               {"cells", Json::array()}};
  for (std::size_t part = 0; part < 2; ++part)
    json["parts"].push_back({{"where", tune::to_string(found.parts[part])}, {"share", found.shares[part]}});
  for (const Rival& rival : found.rivals) json["kernels"].push_back(rival_json(rival));
  for (std::size_t a = 0; a < found.matrix.kernels; ++a)
    for (std::size_t b = 0; b < found.matrix.kernels; ++b) {
      const InterferenceCell& cell = found.matrix.at(a, b);
      json["cells"].push_back({{"first", a},
                               {"second", b},
                               {"kept", cell.kept},
                               {"thrown", cell.thrown},
                               {"first_slowdown", slowdown_json(cell.first, cell.kept)},
                               {"second_slowdown", slowdown_json(cell.second, cell.kept)}});
    }
  return json;
}

// One part's slowdowns: a row per kernel in it, a column per kernel beside.
std::string matrix_text(const Found& found, std::size_t part) {
  std::vector<Column> columns = {
      {"", Align::right},
      {fmt::format("in {}, beside", tune::to_string(found.parts[part])), Align::left, true}};
  for (std::size_t k = 0; k < found.rivals.size(); ++k)
    columns.push_back({std::to_string(k + 1), Align::right});
  Table table(columns);
  for (std::size_t own = 0; own < found.rivals.size(); ++own) {
    std::vector<std::string> row = {std::to_string(own + 1), found.rivals[own].name};
    for (std::size_t other = 0; other < found.rivals.size(); ++other) {
      const InterferenceCell& cell = part == 0 ? found.matrix.at(own, other) : found.matrix.at(other, own);
      const runtime::Comparison& c = (part == 0 ? cell.first : cell.second).over_alone;
      row.push_back(cell.kept == 0 ? "-"
                                   : fmt::format("{:.2f}{}", c.ratio,
                                                 c.verdict == runtime::Verdict::ambiguous ? "?" : ""));
    }
    table.row(std::move(row));
  }
  return table.text({}, output_width());
}

std::string largest_text(const Found& found) {
  std::string text;
  double largest = 0;
  for (std::size_t a = 0; a < found.matrix.kernels; ++a)
    for (std::size_t b = 0; b < found.matrix.kernels; ++b)
      for (std::size_t part = 0; part < 2; ++part) {
        const InterferenceCell& cell = found.matrix.at(a, b);
        const Slowdown& s = part == 0 ? cell.first : cell.second;
        if (cell.kept == 0 || s.over_alone.ratio <= largest) continue;
        largest = s.over_alone.ratio;
        text = fmt::format("largest: {} beside {}: {:.3f} ({:.3f} to {:.3f}, {})\n",
                           found.rivals[part == 0 ? a : b].name, found.rivals[part == 0 ? b : a].name,
                           s.over_alone.ratio, s.over_alone.lo, s.over_alone.hi, name(s.over_alone.verdict));
      }
  return text;
}

std::string interference_text(const Found& found) {
  int kept = 0, thrown = 0, untuned = 0;
  for (const InterferenceCell& cell : found.matrix.cells) kept += cell.kept, thrown += cell.thrown;
  for (const Rival& rival : found.rivals)
    untuned += rival.layers > 0 && !(rival.in[0].tuned && rival.in[1].tuned) ? 1 : 0;
  std::string text = fmt::format(
      "time beside over time alone; {} visits in {} rounds and {:.0f} s, {} more thrown away because "
      "the cores' speed changed; ?: the interval is neither within 2 % of 1 nor beyond it\n",
      kept, found.matrix.rounds, found.matrix.seconds, thrown);
  if (untuned > 0)
    text += fmt::format("not tuned for these shares (--db), so of usual configurations: {} of the kernels\n",
                        untuned);
  if (found.left_out > 0)
    text += fmt::format("left out of the model (--most, or no kernel): {} layers\n", found.left_out);
  text += matrix_text(found, 0) + matrix_text(found, 1) + largest_text(found);
  if (const std::optional<double> p95 = found.matrix.percentile(95))
    text += fmt::format("95 % of all are at most {:.3f} (tailor tune corun --stretch {:.2f}x)\n", *p95,
                        std::max(1.0, *p95));
  return text;
}

}  // namespace

int tune_interference(const Global& global, const TuneInterferenceArguments& arguments) {
  check_page(arguments.page);
  Progress progress("interference");
  const tune::InterferenceOptions options = options_of(arguments, progress);
  const double window = window_of(arguments);
  const std::array<double, 2> shares = two_shares(arguments.share);
  const std::array<tune::Partition, 2> parts = tune::two_parts(tune::usable_cores(), shares);
  const Layers layers = layers_of(arguments);
  std::vector<tune::Record> records;
  if (!arguments.db.empty()) records = read_records(global, arguments.db).records();
  CoreBench bench(parts, shares);
  for (const auto& [workload, count] : layers.chosen) bench.add(workload, count, records);
  if (!arguments.no_stressors)
    for (const char* stressor : tune::kStressors) bench.add_stressor(stressor);
  const Found found{arguments,
                    parts,
                    shares,
                    bench.rivals(),
                    tune::measure_interference(bench.rivals().size(), bench.bench(window), options),
                    layers.left_out};
  if (!found.matrix.percentile(100))
    throw Error(Code::not_trustworthy, "no pair has five visits in which the cores' speed held",
                "interference", "more --rounds or --time, a quieter machine, or a larger --max-drift");
  const Json document = to_json(found);
  if (global.json)
    print_document(document);
  else
    print(interference_text(found));
  write_page(global, arguments.page, document);
  return 0;
}

}  // namespace tailor::app
