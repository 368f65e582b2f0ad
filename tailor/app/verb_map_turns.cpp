// tailor map on a measured platform: a precision per layer. What was found as text, then the verb.
#include "tailor/app/map.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/map_turns.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::app {
namespace {

using pipeline::MapTurns;
using pipeline::TurnMapping;

std::string head_text(const MapTurns& r) {
  std::string text =
      fmt::format("{}  {} layers on {} ({})\nmeasured by {} {}, {}, on {}: one thread, units take turns\n",
                  r.model.string(), r.network.problem.steps.size(), r.network.platform.name,
                  r.network.platform.title, r.runtime, r.version, r.isa, r.processor);
  for (const pipeline::Refusal& refusal : r.refusals)
    text += fmt::format("{}: refused for {} of {} layers ({})\n",
                        r.network.platform.units[static_cast<std::size_t>(refusal.unit)].name, refusal.layers,
                        refusal.of, refusal.why);
  if (r.weight_bits < 8)
    text +=
        fmt::format("weights in 8 bits keep {}: sums of two products of 8 bits saturate on this processor\n",
                    r.weight_bits);
  if (r.shortcuts > 0)
    text += fmt::format("{} padded shortcuts are measured, and written, as convolutions\n", r.shortcuts);
  if (!r.network.list.left_out.empty()) {
    text += "in no number (this runner does not compute them):";
    for (const auto& [op, count] : r.network.list.left_out) text += fmt::format(" {} {}", count, op);
    text += "\n";
  }
  if (r.costs.alone > 0)
    text +=
        fmt::format("{} of {} costs were met in no network and timed alone\n", r.costs.alone, r.costs.parts);
  return text + "loss: divergence of the network with one layer in another precision, measured, added up\n\n";
}

std::string additivity_text(const MapTurns& r) {
  Table table({{"measured layer by layer"},
               {"sum ms", Align::right},
               {"whole ms", Align::right},
               {"", Align::right}});
  for (const pipeline::Additivity& one : r.costs.networks)
    table.row({one.name, fmt::format("{:.4f}", one.summed_us / 1e3),
               fmt::format("{:.4f}", one.measured_us / 1e3),
               fmt::format("{:+.1f} %", 100 * (one.summed_us / one.measured_us - 1))});
  return table.text({}, output_width()) + "\n";
}

std::string accuracy_text(const TurnMapping& m) {
  if (!m.accuracy) return "";
  return fmt::format("{:.2f}", m.accuracy->top1 ? *m.accuracy->top1 : m.accuracy->agreement);
}

std::string certificate_text(const TurnMapping& m) {
  if (!m.certificate) return "";
  if (!m.certificate->optimal) return fmt::format("gap {:.2g} %", 100 * m.certificate->gap);
  return m.certificate->quantum_us > 0 ? fmt::format("optimal to {:.2g} us", m.certificate->quantum_us)
                                       : "optimal";
}

void add_row(Table& table, const std::string& name, const TurnMapping& m) {
  const bool measured = !m.us.empty();
  table.row({name, fmt::format("{:.4f}", m.predicted_us / 1e3),
             measured ? fmt::format("{:.4f}", m.measured_us() / 1e3) : "",
             measured ? fmt::format("{:+.1f} %", 100 * m.off()) : "",
             measured ? fmt::format("{:.3f}x", 1 / m.to_first.ratio) : "", fmt::format("{:.4g}", m.loss),
             accuracy_text(m), certificate_text(m)});
}

Table mapping_table(const MapTurns& r, const char* title) {
  const bool labels =
      !r.baselines.empty() && r.baselines.front().accuracy && r.baselines.front().accuracy->top1;
  return Table({{title},
                {"predicted ms", Align::right},
                {"measured ms", Align::right},
                {"off", Align::right},
                {"speed", Align::right},
                {"loss", Align::right},
                {labels ? "top-1 %" : "agree %", Align::right},
                {""}});
}

std::string comparison_text(const MapTurns& r) {
  Table table = mapping_table(r, "mapping");
  for (const TurnMapping& baseline : r.baselines) add_row(table, baseline.name, baseline);
  if (r.chosen) add_row(table, "chosen", *r.chosen);
  std::string text = table.text({}, output_width());
  const TurnMapping* best = r.best_single();
  if (!r.chosen || !best) return text + (best ? "" : "no single precision meets the goal\n");
  const runtime::Comparison c = r.against_best_single();
  return text +
         fmt::format(
             "chosen against {}, the fastest single precision that meets the goal: {:.3f}x as fast [{:.3f}, "
             "{:.3f}], {}\n",
             best->name, 1 / c.ratio, 1 / c.hi, 1 / c.lo, runtime::name(c.verdict));
}

std::string front_text(const MapTurns& r) {
  Table table = mapping_table(r, "front");
  for (std::size_t i = 0; i < r.front.size(); ++i) add_row(table, std::to_string(i + 1), r.front[i]);
  return "\n" + table.text({}, output_width());
}

// The chosen mapping, layer by layer: the time on each unit, and the way that was taken.
std::string layers_text(const MapTurns& r) {
  if (!r.chosen) return "";
  const pipeline::TurnNetwork& network = r.network;
  std::vector<Column> columns = {{"layer", Align::left, true}};
  for (const device::Unit& unit : network.platform.units)
    columns.push_back({unit.name + " us", Align::right});
  columns.push_back({"chosen"}), columns.push_back({"conversions behind it"});
  Table table(columns);
  const std::vector<plan::Conversion> conversions = plan::conversions(network.problem, r.chosen->choice);
  for (std::size_t s = 0; s < network.problem.steps.size(); ++s) {
    const plan::TurnStep& step = network.problem.steps[s];
    std::vector<std::string> cells = {step.name};
    for (int u = 0; u < network.given(); ++u) {
      auto way =
          std::find_if(step.ways.begin(), step.ways.end(), [&](const plan::Way& w) { return w.reads == u; });
      cells.push_back(way == step.ways.end() ? "-" : fmt::format("{:.1f}", way->cost));
    }
    cells.push_back(step.ways[static_cast<std::size_t>(r.chosen->choice[s])].name);
    std::string behind;
    for (const plan::Conversion& c : conversions)
      if (c.value == step.writes)
        behind +=
            fmt::format("{}to {} {:.1f} us", behind.empty() ? "" : ", ",
                        network.platform.units[static_cast<std::size_t>(c.to)].name,
                        network.problem.values[static_cast<std::size_t>(c.value)]
                            .conversion[static_cast<std::size_t>(c.from)][static_cast<std::size_t>(c.to)]);
    cells.push_back(behind);
    table.row(std::move(cells));
  }
  return "\n" + table.text({}, output_width());
}

// What is only for platforms whose units work side by side.
void check_arguments(const MapArguments& a) {
  auto refuse = [](bool given, const char* option, const char* instead) {
    if (given)
      throw Error(Code::usage, "this is for platforms whose units work side by side", option, instead);
  };
  refuse(!a.split.empty(), "--split", "-o writes the network with a precision per layer");
  refuse(!a.quantised.empty(), "--quantised", "-o writes the network with a precision per layer");
  refuse(!a.mapping.empty(), "--mapping", "give --max-drop or --budget");
  refuse(!a.baseline.empty(), "--baseline", "give --max-drop or --budget");
  refuse(a.budget.ends_with("least"), "--budget", "0.5x is that share of everything in f32");
  refuse(!a.trace.empty(), "--trace", "units that take turns have no schedule beside each other");
}

}  // namespace

int map_in_turns(const Global& global, const MapArguments& arguments, pipeline::MapOptions options) {
  check_arguments(arguments);
  const double seconds = parse_seconds(arguments.time, "--time");
  pipeline::MapTurnsResult done;
  {
    Progress progress("map");
    options.progress = [&](const std::string& phase, double share) {
      progress.update(100 * share, 100, phase);
    };
    done = pipeline::map_turns(arguments.model, options, seconds);
  }
  if (done.rounded && !arguments.out.empty()) onnx::write(*done.rounded, arguments.out);
  const MapTurns& result = done.result;
  const Json document = to_json(result);
  write_page(global, arguments.page, document);
  if (global.json)
    print_document(document);
  else
    print(head_text(result) + additivity_text(result) + comparison_text(result) +
          (arguments.pareto ? front_text(result) : std::string()) + layers_text(result));
  if (result.chosen) return 0;
  const Error missed(Code::goal_not_met, result.why, arguments.model.string(),
                     "relax the goal as the message says");
  print_error(global, missed);
  return exit_code(missed.code());
}

}  // namespace tailor::app
