// tailor map: layers split over the units of a platform. The tables first, then the words of the command line.
#include "tailor/app/map.h"
#include "tailor/app/model_folder.h"
#include "tailor/base/file.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/unit_pieces.h"
#include "tailor/pipeline/unit_split.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <optional>
#include <set>

namespace tailor::app {
namespace {

using pipeline::MapResult;
using pipeline::NamedMapping;

std::string energy_text(const plan::Mapping& mapping) {
  return mapping.energy_uj >= 0 ? fmt::format("{:.3f}", mapping.energy_uj) : "-";
}

std::string accuracy_text(const NamedMapping& named) {
  if (!named.accuracy) return "";
  return named.accuracy->top1 ? fmt::format("{:.2f}", *named.accuracy->top1)
                              : fmt::format("{:.2f}", named.accuracy->agreement);
}

std::string certificate_text(const NamedMapping& named) {
  if (!named.certificate) return "";
  const plan::Certificate& c = *named.certificate;
  if (!c.optimal) return fmt::format("gap {:.2g} %", 100 * c.gap);
  return c.quantum_us > 0 ? fmt::format("optimal to {:.2g}", c.quantum_us) : "optimal";
}

bool with_accuracy(const MapResult& result) {
  return std::any_of(result.baselines.begin(), result.baselines.end(),
                     [](const NamedMapping& m) { return m.accuracy.has_value(); });
}

const char* accuracy_title(const MapResult& result) {
  if (!with_accuracy(result)) return "";
  return result.baselines.front().accuracy->top1 ? "top-1 %" : "agree %";
}

void add_row(Table& table, const std::string& name, const NamedMapping& named) {
  table.row({name, fmt::format("{:.4f}", named.mapping.latency_us / 1e3), energy_text(named.mapping),
             fmt::format("{:.4g}", named.mapping.loss), accuracy_text(named), certificate_text(named)});
}

Table mapping_table(const MapResult& result, const char* title) {
  return Table({{title},
                {"ms", Align::right},
                {"uJ", Align::right},
                {"loss", Align::right},
                {accuracy_title(result), Align::right},
                {""}});
}

std::string comparison_text(const MapResult& result) {
  Table table = mapping_table(result, "mapping");
  for (const NamedMapping& baseline : result.baselines) add_row(table, baseline.name, baseline);
  if (result.chosen) add_row(table, "chosen", *result.chosen);
  return table.text({}, output_width());
}

std::string front_text(const MapResult& result) {
  Table table = mapping_table(result, "front");
  for (std::size_t i = 0; i < result.front.size(); ++i)
    add_row(table, std::to_string(i + 1), result.front[i]);
  return table.text({}, output_width());
}

// The chosen mapping, layer by layer.
std::string layers_text(const MapResult& result) {
  std::vector<Column> columns = {{"layer", Align::left, true}, {"channels", Align::right}};
  for (latency::UnitChoice choice : latency::unit_choices(result.platform))
    columns.push_back({latency::name(result.platform, choice), Align::right});
  columns.push_back({"cycles per unit", Align::right});
  Table table(columns);
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    const plan::Split& split = result.chosen->mapping.splits[l];
    std::vector<std::string> cells = {result.layers[l].layer.name,
                                      std::to_string(result.layers[l].layer.workload.oc)};
    for (int count : split.counts) cells.push_back(count ? std::to_string(count) : "-");
    std::vector<std::string> cycles;
    for (double c : split.unit_cycles) cycles.push_back(c > 0 ? fmt::format("{:.0f}", c) : "-");
    cells.push_back(fmt::format("{}", fmt::join(cycles, " | ")));
    table.row(std::move(cells));
  }
  return table.text({}, output_width());
}

std::string free_text(const MapResult& result) {
  if (result.free.empty()) return "";
  std::vector<latency::UnitChoice> choices = latency::unit_choices(result.platform);
  std::string name = latency::name(result.platform,
                                   choices[static_cast<std::size_t>(plan::precise_choice(result.platform))]);
  Table table({{"free channels on " + name, Align::left, true},
               {"free", Align::right},
               {"of", Align::right},
               {"cycles there"},
               {"one more"},
               {"others take"}});
  for (const pipeline::FreeLayer& f : result.free) {
    const plan::LayerToMap& layer = result.layers[static_cast<std::size_t>(f.layer)].layer;
    table.row({layer.name, std::to_string(f.free.most - f.free.least), std::to_string(layer.workload.oc),
               fmt::format("{:.0f}", f.free.at_most),
               f.free.next < latency::kCannot ? fmt::format("{:.0f}", f.free.next) : "-",
               fmt::format("{:.0f}", f.free.limit)});
  }
  return "\n" + table.text({}, output_width());
}

// What the accuracies are of, where there are any.
std::string activations_text(const MapResult& result) {
  const int bits = result.platform.activation_bits;
  if (!with_accuracy(result)) return "";
  if (bits == 0) return "activations: in floats\n";
  return result.ranges.empty()
             ? fmt::format("activations: in floats; --calib would give the ranges of their {} bits\n", bits)
             : fmt::format("activations: rounded to {} bits over their range on --calib\n", bits);
}

std::string head_text(const MapResult& result) {
  std::string text = fmt::format(
      "{}  {} layers on {} ({}), {} MHz\nmodelled by the platform's cost models; {} other nodes are in no "
      "number\n",
      result.model.string(), result.layers.size(), result.platform.name, result.platform.title,
      result.platform.frequency_mhz, result.other_nodes);
  if (!result.elsewhere.empty())
    text += fmt::format(
        "{} layers run elsewhere and are in no number (no unit computes them, or their weights are no "
        "f32): {}\n",
        result.elsewhere.size(), fmt::join(result.elsewhere, ", "));
  text += result.measured_loss
              ? "loss: divergence of the network with one layer rounded, measured, added up\n"
              : "loss: share of the weights' energy that rounding takes, added up over layers\n";
  text += activations_text(result);
  if (result.recover == pipeline::Recover::bn)
    text += "recover: statistics of BatchNormalization moved as far as rounding moves them on --calib\n";
  if (result.step > 1)
    text += fmt::format("numbers of channels are multiples of {} in the largest layers: not exact there\n",
                        result.step);
  return text + "\n";
}

void set_goals(pipeline::MapOptions& options, const MapArguments& a) {
  if (a.objective != "latency" && a.objective != "energy")
    throw Error(Code::unknown_name, fmt::format("there is no objective '{}'", a.objective), "--objective",
                "write latency or energy");
  options.objective = a.objective == "latency" ? plan::Objective::latency : plan::Objective::energy;
  if (!a.max_drop.empty()) options.max_drop = parse_points(a.max_drop, "--max-drop");
  if (a.budget.empty()) return;
  constexpr std::string_view kLeast = "x-least";
  if (a.budget.ends_with(kLeast)) {
    options.budget_over_least =
        parse_factor(a.budget.substr(0, a.budget.size() - kLeast.size() + 1), "--budget");
  } else if (a.budget.ends_with('x')) {
    options.budget_ratio = parse_factor(a.budget, "--budget");
  } else if (options.objective == plan::Objective::latency) {
    options.budget = parse_latency(a.budget, "--budget").us;
  } else {
    options.budget = parse_energy(a.budget, "--budget");
  }
}

void check_numbers(const MapArguments& a) {
  if (a.limit < 0) throw Error(Code::bad_value, "--limit must be positive", "--limit");
  if (a.calib_limit < 1) throw Error(Code::bad_value, "--calib-limit must be positive", "--calib-limit");
  if (a.threads < 1 || a.threads > 1024)
    throw Error(Code::bad_value, "--threads must be 1 to 1024", "--threads");
}

pipeline::MapOptions options_of(const Global& global, const MapArguments& a) {
  check_numbers(a);
  pipeline::MapOptions options;
  options.platform = a.platform;
  set_goals(options, a);
  options.calib = a.calib, options.eval = a.eval, options.mapping = a.mapping;
  options.baseline = a.baseline;
  options.calib_limit = a.calib_limit, options.recover = pipeline::parse_recover(a.recover);
  options.samples.preparation = preparation_of(a.preparation);
  options.samples.label_offset = a.label_offset, options.samples.limit = a.limit;
  options.samples.overrides = graph::parse_shape_overrides(a.shapes);
  options.samples.bench.threads = a.threads;
  options.samples.bench.runner = global.runner;
  return options;
}

bool in_8_bits(const MapArguments& a) {
  return !(a.split.empty() && a.quantised.empty() && a.pieces.empty());
}

// What is asked of the chosen mapping, before minutes are spent.
void check_targets(const MapArguments& a) {
  for (const std::filesystem::path& target : {a.out, a.split, a.quantised})
    if (!target.empty()) check_target(target);
  if (!a.pieces.empty()) check_folder(a.pieces);
  if (a.calib.empty() && in_8_bits(a))
    throw Error(Code::usage, "a network in 8 bits needs samples for the ranges of its activations",
                !a.split.empty()    ? "--split"
                : !a.pieces.empty() ? "--pieces"
                                    : "--quantised",
                "give --calib");
}

std::string list_text(const char* what, const std::vector<std::string>& names) {
  return names.empty() ? "" : fmt::format("{}: {}\n", what, fmt::join(names, ", "));
}

std::string split_text(const pipeline::UnitSplit& s) {
  std::string text = fmt::format(
      "\nin 8 bits{}: {}\nsplit: {} layers as {} nodes, {} channel groups reordered, {} outputs put in order "
      "by a "
      "Gather; {} on {} samples\n",
      s.activation_bits < 8 ? fmt::format(", activations in {}", s.activation_bits) : std::string(),
      s.accuracy.top1 ? fmt::format("top-1 {:.2f} -> {:.2f} %", *s.accuracy.top1_before, *s.accuracy.top1)
                      : fmt::format("{:.2f} % of the answers as before", s.accuracy.agreement),
      s.layers, s.nodes, s.reordered, s.gathers,
      s.identical()
          ? std::string("the same bits as unsplit")
          : fmt::format("NOT the same bits as unsplit (largest difference {:.2g}: some sums are in floats)",
                        s.difference),
      s.samples);
  return text + list_text("weights stay f32", s.in_floats) + list_text("stay one node", s.unsplit);
}

// Letters, digits, points and dashes of a name, for a file.
std::string file_name(const std::string& name) {
  std::string text;
  for (const char c : name.substr(0, 80))
    text += std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' ? c : '_';
  return text;
}

constexpr const char* kPieces = "pieces.json";

// The files that an earlier run listed in the folder: names of its own making, whatever the list says.
std::set<std::string> listed_before(const std::filesystem::path& folder) try {
  std::set<std::string> files;
  if (!std::filesystem::exists(folder / kPieces)) return files;
  const Json json = read_json(folder / kPieces, "tailor/unit-pieces/1");
  for (const Json& piece : member(json, "pieces", kPieces))
    if (const std::string file = text(piece, "file", kPieces);
        file.find('/') == std::string::npos && file.ends_with(".onnx"))
      files.insert(file);
  return files;
} catch (const Error&) {
  return {};  // somebody else's file: nothing of it is ours
}

// 001.LAYER.UNIT.onnx, ... in the order in which they run; pieces.json is written last, and what only the one before listed
// goes.
void write_pieces(const pipeline::UnitSplit& split, const std::string& platform,
                  const graph::ShapeOverrides& overrides, const std::filesystem::path& folder) {
  const pipeline::Subject subject = pipeline::make_subject(split.split, overrides);
  const std::vector<pipeline::UnitPiece> pieces = pipeline::unit_pieces(subject, split.parts);
  std::vector<std::string> files;
  std::vector<graph::Model> models;
  for (const pipeline::UnitPiece& piece : pieces) {
    const std::string what =
        piece.unit.empty() ? "host" : file_name(piece.layer) + "." + file_name(piece.unit);
    files.push_back(fmt::format("{:03}.{}.onnx", files.size() + 1, what));
    models.push_back(piece.model);
  }
  std::set<std::string> stale = listed_before(folder);
  write_models(folder, files, models, kPieces);
  write_file(folder / kPieces, pipeline::pieces_json(subject, platform, pieces, files).dump(1) + "\n");
  for (const std::string& file : files) stale.erase(file);
  std::error_code ignored;
  for (const std::string& file : stale) std::filesystem::remove(folder / file, ignored);
}

// Writes what was asked for, once all of it is there.
std::optional<pipeline::UnitSplit> carry_out(const MapArguments& a, const pipeline::MapOptions& options,
                                             const MapResult& result) {
  if (!result.chosen || (a.out.empty() && !in_8_bits(a))) return std::nullopt;
  const pipeline::Subject subject = pipeline::read_subject(a.model, options.samples.overrides);
  const plan::Mapping& mapping = result.chosen->mapping;
  std::optional<pipeline::UnitSplit> split;
  if (in_8_bits(a)) split = pipeline::split_over_units(subject, result, mapping, options);
  if (!a.out.empty()) onnx::write(pipeline::deployed_model(subject, result, mapping, options), a.out);
  if (!a.split.empty()) onnx::write(split->split, a.split);
  if (!a.quantised.empty()) onnx::write(split->whole, a.quantised);
  if (!a.pieces.empty()) write_pieces(*split, result.platform.name, options.samples.overrides, a.pieces);
  return split;
}

std::string written_text(const MapArguments& a) {
  std::string text;
  for (const std::filesystem::path& path : {a.out, a.split, a.quantised, a.pieces})
    if (!path.empty()) text += fmt::format("wrote     {}\n", path.string());
  return text;
}

}  // namespace

int map(const Global& global, const MapArguments& arguments) {
  pipeline::MapOptions options = options_of(global, arguments);
  if (!arguments.out.empty()) check_target(arguments.out);
  check_page(arguments.page);
  if (device::find_platform(options.platform).measured()) return map_in_turns(global, arguments, options);
  check_targets(arguments);
  check_trace(arguments.trace);
  MapResult result;
  std::optional<pipeline::UnitSplit> split;
  {
    Progress progress("map");
    options.progress = [&](const std::string& phase, double done) {
      progress.update(100 * done, 100, phase);
    };
    result = pipeline::map_model(arguments.model, options);
    split = carry_out(arguments, options, result);
  }
  Json document = to_json(result);
  if (split) document["split"] = to_json(*split);
  if (global.json) {
    print_document(document);
  } else {
    print(head_text(result) + comparison_text(result) +
          (arguments.pareto ? "\n" + front_text(result) : std::string()) +
          (result.chosen ? "\n" + layers_text(result) : std::string()) + free_text(result) +
          (split ? split_text(*split) : std::string()) +
          (result.chosen ? written_text(arguments) : std::string()));
  }
  write_page(global, arguments.page, document);
  if (result.chosen) write_trace(global, arguments.trace, document);
  if (result.chosen) return 0;
  Error missed(Code::goal_not_met, result.why, arguments.model.string(),
               "relax the goal as the message says");
  print_error(global, missed);
  return exit_code(missed.code());
}

}  // namespace tailor::app
