// tailor analyze -d DEVICE: the table of layers by the wave model, what limits them, the picture of a staircase.
#include "tailor/app/analysis_text.h"
#include "tailor/app/app.h"
#include "tailor/base/table.h"
#include "tailor/base/text.h"
#include "tailor/device/accelerator.h"
#include "tailor/pipeline/device_analysis.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::app {
namespace {

using pipeline::DeviceAnalysis;
using pipeline::DeviceLayer;
using pipeline::DeviceVerdict;

std::vector<std::string> row_of(const DeviceLayer& l, double most) {
  const latency::ModelledLayer& m = l.model;
  return {l.name,
          width_text(l.workload),
          fmt::format("{:.1f}", m.us),
          fmt::format("{:.1f} %", 100 * l.share),
          bar_text(m.us, most, kBar),
          latency::to_string(m.kernel),
          fmt::format("{:.2f}", m.waves.count()),
          fmt::format("{:.0f} %", 100 * m.waves.efficiency()),
          fmt::format("{:.0f} %", 100 * m.tile_efficiency),
          pipeline::name(l.verdict),
          step_text(l.down, 1),
          l.up ? std::to_string(l.up->width) : "-"};
}

std::string layer_table(const DeviceAnalysis& analysis, std::size_t rows, std::size_t width) {
  Table table({{"layer", Align::left, true},
               {"width", Align::right},
               {"us", Align::right},
               {"share", Align::right},
               {""},
               {"kernel"},
               {"waves", Align::right},
               {"full", Align::right},
               {"tiles", Align::right},
               {"verdict"},
               {"narrower (group)"},
               {"free up to"}});
  double longest = 0;
  for (const DeviceLayer& layer : analysis.layers) longest = std::max(longest, layer.model.us);
  std::vector<LayerRow> all;
  for (const DeviceLayer& layer : analysis.layers)
    all.push_back({layer.recoverable_us, layer.model.us, row_of(layer, longest), layer.why});
  return ranked_table(std::move(table), std::move(all), rows, width);
}

std::string header_text(const DeviceAnalysis& a) {
  const auto error = a.device.error.find(a.precision);
  const std::string known =
      error == a.device.error.end()
          ? "never fitted to timings of this device in this precision"
          : fmt::format("fitted; median error of single kernels {:.0f} %", 100 * error->second);
  return fmt::format("{} on {}, {}: MODELLED from its description, {}; nothing was run\n", a.model.string(),
                     a.device.title, a.precision, known);
}

std::string shares_text(const DeviceAnalysis& a) {
  std::string text;
  for (DeviceVerdict verdict : pipeline::kDeviceVerdicts) {
    const auto count = std::count_if(a.layers.begin(), a.layers.end(),
                                     [&](const DeviceLayer& l) { return l.verdict == verdict; });
    if (count == 0) continue;
    text += fmt::format("{}{} {} ({:.0f} %)", text.empty() ? "" : ", ", count, pipeline::name(verdict),
                        100 * a.us_of(verdict) / std::max(a.total_us(), 1e-9));
  }
  return text;
}

std::string totals_text(const DeviceAnalysis& a) {
  std::string text = fmt::format("sum of layers     {}\nverdicts          {}\nlever             {}\n",
                                 duration(a.total_us()), shares_text(a), pipeline::lever(a));
  const std::string edges = edges_text(a.groups);
  text += edges.empty()
              ? "recoverable       nothing: no width lies just past an edge\n"
              : fmt::format("recoverable       {} of {} ({:.0f} %), with {}\n", duration(a.recoverable_us()),
                            duration(a.total_us()), 100 * a.recoverable_us() / a.total_us(), edges);
  if (a.unpriced > 0)
    text +=
        fmt::format("not counted       {} nodes that are no layer: taken to be fused into one\n", a.unpriced);
  return text;
}

std::string picture_text(const DeviceAnalysis& a) {
  const latency::Staircase& s = *a.picture;
  const double most = *std::max_element(s.latencies_us.begin(), s.latencies_us.end());
  std::string text = fmt::format("\n{}: modelled time over {}\n", a.picture_layer, a.picture_axis);
  for (std::size_t i = 0; i < s.widths.size(); ++i) {
    const bool edge = std::any_of(s.edges.begin(), s.edges.end(),
                                  [&](const latency::Edge& e) { return i > 0 && e.next == s.widths[i]; });
    const auto length = static_cast<std::size_t>(40 * s.latencies_us[i] / most + 0.5);
    text += fmt::format("{:>6} {:>10} {}{}\n", s.widths[i], duration(s.latencies_us[i]),
                        std::string(length, '#'), edge ? "  <- edge" : "");
  }
  return text;
}

std::string text_of(const DeviceAnalysis& analysis, const AnalyzeArguments& arguments) {
  const std::size_t all = analysis.layers.size();
  const std::size_t rows = arguments.all ? all : std::min(all, static_cast<std::size_t>(arguments.top));
  constexpr std::size_t kTotals = 18;  // where their text begins
  const std::size_t width = output_width();
  std::string text = wrapped(header_text(analysis), width, 2) + layer_table(analysis, rows, width);
  if (rows < all) text += fmt::format("{} more layers: --all\n", all - rows);
  return text + "\n" + wrapped(totals_text(analysis), width, kTotals) +
         (analysis.free ? free_text(*analysis.free, width) : "") +
         (analysis.base ? base_text(*analysis.base, rows, width) : "") +
         (analysis.picture ? picture_text(analysis) : "");
}

}  // namespace

int analyze_described(const Global& global, const AnalyzeArguments& arguments) {
  const pipeline::Subject subject =
      pipeline::read_subject(arguments.model, graph::parse_shape_overrides(arguments.shapes));
  if (device::names_accelerator(arguments.device))
    throw Error(Code::usage,
                fmt::format("{} is no GPU but an accelerator with loops of its own", arguments.device),
                "--device", "tailor platform predict prices layers on it; optimize -d takes both");
  const device::Device device = device::find_device(arguments.device);
  pipeline::DeviceAnalysisOptions options;
  options.layer = arguments.layer, options.free = arguments.free, options.base = arguments.base;
  if (!arguments.precision.empty()) options.precision = arguments.precision;
  if (!arguments.over.empty()) options.axis = pipeline::parse_axis(arguments.over);
  const DeviceAnalysis analysis = pipeline::analyze_on(subject, device, options);
  const Json document = to_json(analysis);
  global.json ? print_document(document) : print(text_of(analysis, arguments));
  write_page(global, arguments.page, document), write_exports(global, arguments, document);
  return 0;
}

}  // namespace tailor::app
