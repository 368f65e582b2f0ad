// tailor analyze -d cuda: what ran on the GPU, layer by layer, with the waves that its kernels filled.
#include "tailor/app/analysis_text.h"
#include "tailor/app/app.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/base/text.h"
#include "tailor/pipeline/gpu_analysis.h"
#include "tailor/pipeline/gpu_target.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace tailor::app {
namespace {

using pipeline::DeviceVerdict;
using pipeline::GpuAnalysis;
using pipeline::GpuLayer;

std::string layer_table(const GpuAnalysis& analysis, std::size_t rows, std::size_t width) {
  Table table({{"layer", Align::left, true},
               {"us", Align::right},
               {"share", Align::right},
               {"waves", Align::right},
               {"verdict"},
               {"narrower (group)"},
               {"free up to"}});
  std::vector<LayerRow> all;
  for (const GpuLayer& l : analysis.layers)
    all.push_back({l.recoverable_us,
                   l.us,
                   {l.name, fmt::format("{:.1f}", l.us), fmt::format("{:.1f} %", 100 * l.share),
                    l.waves > 0 ? fmt::format("{:.2f}", l.waves) : "-", pipeline::name(l.verdict),
                    step_text(l.down, 1), l.up ? std::to_string(l.up->width) : "-"},
                   l.kernel});
  return ranked_table(std::move(table), std::move(all), rows, width);
}

std::string verdicts_text(const GpuAnalysis& a) {
  std::string text;
  for (DeviceVerdict verdict : pipeline::kDeviceVerdicts) {
    const auto count = std::count_if(a.layers.begin(), a.layers.end(),
                                     [&](const GpuLayer& l) { return l.verdict == verdict; });
    if (count == 0) continue;
    text += fmt::format("{}{} {} ({:.0f} %)", text.empty() ? "" : ", ", count, pipeline::name(verdict),
                        100 * a.us_of(verdict) / std::max(a.network_us, 1e-9));
  }
  return text;
}

std::string totals_text(const GpuAnalysis& a) {
  const double between = a.network_us - a.kernels_us;
  std::string text = fmt::format(
      "network           {}  (one CUDA graph, untraced)\nsum of kernels    {}; {} between them\nverdicts     "
      "     "
      "{}\n",
      duration(a.network_us), duration(a.kernels_us), duration(std::max(0.0, between)), verdicts_text(a));
  const std::string edges = edges_text(a.groups);
  if (a.groups.empty())
    text += "recoverable       unknown: no widths were swept\n";
  else if (edges.empty())
    text += "recoverable       nothing: no width lies just past an edge\n";
  else
    text += fmt::format("recoverable       {} of {} ({:.0f} %), measured layer by layer, with {}\n",
                        duration(a.recoverable_us()), duration(a.network_us),
                        100 * a.recoverable_us() / std::max(a.network_us, 1e-9), edges);
  if (!a.left_out.empty())
    text += fmt::format(
        "left out          {}: this runner does not compute them, and the network's time lacks them\n",
        pipeline::left_out_text(a.left_out));
  return text;
}

std::string text_of(const GpuAnalysis& a, const AnalyzeArguments& arguments) {
  const std::size_t all = a.layers.size();
  const std::size_t rows = arguments.all ? all : std::min(all, static_cast<std::size_t>(arguments.top));
  constexpr std::size_t kTotals = 18;  // where their text begins
  const std::size_t width = output_width();
  const std::string header =
      fmt::format("{} on {} ({}), {}: MEASURED, {}; layer timings: {} found, {} measured now\n",
                  a.model.string(), a.device, a.isa, a.precision, a.version, a.known, a.measured);
  std::string text = wrapped(header, width, 2) + layer_table(a, rows, width);
  if (rows < all) text += fmt::format("{} more layers: --all\n", all - rows);
  return text + "\n" + wrapped(totals_text(a), width, kTotals) + (a.free ? free_text(*a.free, width) : "");
}

}  // namespace

int analyze_on_gpu(const Global& global, const AnalyzeArguments& arguments) {
  const pipeline::Subject subject =
      pipeline::read_subject(arguments.model, graph::parse_shape_overrides(arguments.shapes));
  pipeline::GpuAnalysisOptions options;
  if (!arguments.precision.empty()) options.precision = arguments.precision;
  options.seed = arguments.seed, options.runner = global.runner, options.free = arguments.free;
  options.journal = journal_of(arguments.fresh, arguments.resume);
  std::optional<Progress> progress;
  std::string phase;
  options.progress = [&](const std::string& name, double done) {
    if (name != phase || !progress) progress.reset(), progress.emplace(name), phase = name;
    progress->update(100 * done, 100);
  };
  const GpuAnalysis analysis = pipeline::analyze_gpu(subject, options);
  progress.reset();
  const Json document = to_json(analysis);
  global.json ? print_document(document) : print(text_of(analysis, arguments));
  write_page(global, arguments.page, document), write_exports(global, arguments, document);
  return 0;
}

}  // namespace tailor::app
