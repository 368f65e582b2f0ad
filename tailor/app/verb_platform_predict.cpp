// tailor platform predict: the layers of a network on a described accelerator, as a table and its totals.
#include "tailor/app/analysis_text.h"
#include "tailor/app/platform.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/base/text.h"
#include "tailor/pipeline/accelerator_prediction.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::app {
namespace {

using pipeline::AcceleratorPrediction;
using pipeline::PredictedLayer;
using pipeline::WidthTread;

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string energy(double pj) {
  return pj < 1e9 ? fmt::format("{:.2f} uJ", pj * 1e-6) : fmt::format("{:.3f} mJ", pj * 1e-9);
}

std::string tread_text(const WidthTread& t) {
  return t.narrowest == t.widest ? std::to_string(t.widest) : fmt::format("{}..{}", t.narrowest, t.widest);
}

// "48 (-25.0 %)": what the next narrower width saves.
std::string next_text(const WidthTread& t) {
  return t.next ? fmt::format("{} (-{})", *t.next, percent(1 - t.next_cycles / t.cycles)) : "-";
}

std::vector<std::string> row_of(const AcceleratorPrediction& p, const PredictedLayer& layer, double most) {
  const latency::NestCost& c = layer.best->cost;
  return {layer.name,
          width_text(layer.workload),
          fmt::format("{:.0f}", c.cycles),
          percent(c.cycles / p.cycles()),
          bar_text(c.cycles, most, kBar),
          percent(c.utilisation),
          percent(c.padding),
          fmt::format("{:.2f}", c.pj * 1e-6),
          latency::name(c.paced_by),
          tread_text(*layer.tread),
          next_text(*layer.tread)};
}

std::string layer_table(const AcceleratorPrediction& p, std::size_t width) {
  Table table({{"layer", Align::left, true},
               {"width", Align::right},
               {"cycles", Align::right},
               {"share", Align::right},
               {""},
               {"PEs used", Align::right},
               {"padding", Align::right},
               {"uJ", Align::right},
               {"bound by"},
               {"same step", Align::right},
               {"next narrower", Align::right}});
  double most = 0;
  for (const PredictedLayer& layer : p.layers)
    if (layer.best) most = std::max(most, layer.best->cost.cycles);
  for (const PredictedLayer& layer : p.layers)
    if (layer.best) table.row(row_of(p, layer, most));
  return table.empty() ? "" : table.text({}, width);
}

std::string header_text(const AcceleratorPrediction& p) {
  const device::Accelerator& a = p.accelerator;
  const std::string clock = a.frequency_mhz > 0 ? fmt::format("{} MHz", a.frequency_mhz) : "clock not known";
  return fmt::format(
      "{} on {}, {}: MODELLED from its description, tilings of least {}; nothing was run or measured\n",
      p.model.string(), a.title, clock, p.objective == "product" ? "cycles x energy" : p.objective);
}

std::string totals_text(const AcceleratorPrediction& p) {
  const std::optional<double> us = p.us(p.cycles());
  std::string text = fmt::format("sum of layers     {:.0f} cycles{}, {}\n", p.cycles(),
                                 us ? ", " + duration(*us) : "", energy(p.pj()));
  text +=
      fmt::format("PEs used          {} of {:.0f} over all cycles\n",
                  percent(p.macs() / (std::max(p.cycles(), 1.0) * p.accelerator.pes())), p.accelerator.pes());
  if (p.other_nodes > 0)
    text += fmt::format("not counted       {} nodes that are no convolution or product with weights\n",
                        p.other_nodes);
  return text;
}

std::string refused_text(const AcceleratorPrediction& p, std::size_t width) {
  std::string text;
  for (const PredictedLayer& layer : p.layers)
    if (!layer.best)
      text += wrapped(fmt::format("refused           {}: {}\n", layer.name, fmt::join(layer.reasons, "; ")),
                      width, 18);
  const auto hurried = std::count_if(p.layers.begin(), p.layers.end(), [](const PredictedLayer& layer) {
    return layer.best && !layer.best->exact;
  });
  if (hurried > 0)
    text += fmt::format("not exhausted     the search of {} layers met its limit; better tilings may exist\n",
                        hurried);
  return text;
}

std::string text_of(const AcceleratorPrediction& p) {
  const std::size_t width = output_width();
  return wrapped(header_text(p), width, 2) + layer_table(p, width) + "\n" +
         wrapped(totals_text(p), width, 18) + refused_text(p, width);
}

}  // namespace

int platform_predict(const Global& global, const PlatformPredictArguments& arguments) {
  const device::Accelerator accelerator = device::find_accelerator(arguments.name);
  const pipeline::Subject subject =
      pipeline::read_subject(arguments.model, graph::parse_shape_overrides(arguments.shapes));
  pipeline::PredictionOptions options;
  options.objective = arguments.objective, options.layer = arguments.layer;
  AcceleratorPrediction prediction;
  {
    Progress progress("predict");
    options.progress = [&](double done) { progress.update(100 * done, 100, "layers"); };
    prediction = pipeline::predict_on(subject, accelerator, options);
  }
  global.json ? print_document(to_json(prediction)) : print(text_of(prediction));
  return 0;
}

}  // namespace tailor::app
