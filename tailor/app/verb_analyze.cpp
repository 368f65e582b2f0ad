// tailor analyze: the table of layers, the totals, the picture of a staircase.
#include "tailor/app/analysis_text.h"
#include "tailor/app/app.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/base/text.h"
#include "tailor/pipeline/analyze.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace tailor::app {
namespace {

using pipeline::Analysis;
using pipeline::AnalyzedLayer;
using pipeline::InPlace;

constexpr double kMostDifference = 0.05;  // of the layers' sum from the network

// The rate stands in the table already.
std::string note(const AnalyzedLayer& layer) {
  return layer.why == fmt::format("{:.0f} GFLOP/s", layer.gflops) ? std::string() : layer.why;
}

std::string layer_table(const Analysis& analysis, std::size_t rows, std::size_t width) {
  Table table({{"layer", Align::left, true},
               {"width", Align::right},
               {"us", Align::right},
               {"share", Align::right},
               {""},
               {"MMAC", Align::right},
               {"GFLOP/s", Align::right},
               {"recover", Align::right},
               {"verdict"},
               {"narrower (group)"},
               {"free up to"}});
  double longest = 0;
  for (const AnalyzedLayer& layer : analysis.layers) longest = std::max(longest, layer.us);
  std::vector<LayerRow> all;
  for (const AnalyzedLayer& l : analysis.layers)
    all.push_back(
        {l.recoverable_us,
         l.us,
         {l.name, width_text(l.workload), fmt::format("{:.1f}{}", l.us, l.in_place ? "" : "*"),
          fmt::format("{:.1f} %", 100 * l.share), bar_text(l.us, longest, kBar),
          fmt::format("{:.2f}", static_cast<double>(latency::macs(l.workload)) / 1e6),
          fmt::format("{:.0f}", l.gflops),
          l.recoverable_us == 0 ? "-" : fmt::format("{:.1f}", l.recoverable_us), pipeline::name(l.verdict),
          step_text(l.down, 0), l.up ? std::to_string(l.up->width) : "-"},
         note(l)});
  return ranked_table(std::move(table), std::move(all), rows, width);
}

// Nodes that are no layer, one row per operator.
std::string other_nodes(const InPlace& in_place) {
  std::map<std::pair<std::string, std::string>, std::pair<int, double>> sums;
  for (const pipeline::ExecutedNode& node : in_place.nodes) {
    if (node.layer >= 0) continue;
    auto& [count, us] = sums[{node.kind, node.op}];
    ++count, us += node.us;
  }
  Table table({{"other nodes"}, {"operator"}, {"count", Align::right}, {"us", Align::right}});
  for (const auto& [key, sum] : sums)
    table.row({key.first, key.second, std::to_string(sum.first), fmt::format("{:.1f}", sum.second)});
  return table.empty() ? "" : "\n" + table.text();
}

std::string kinds_text(const InPlace& in_place) {
  std::map<std::string, int> counts;
  for (const pipeline::ExecutedNode& node : in_place.nodes) ++counts[node.kind];
  std::string text;
  for (const auto& [kind, count] : counts)
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", count, kind, duration(in_place.us_of(kind)));
  return text;
}

std::string verdict_counts(const Analysis& analysis) {
  std::map<std::string, int> counts;
  for (const AnalyzedLayer& layer : analysis.layers) ++counts[pipeline::name(layer.verdict)];
  std::string text;
  for (const auto& [verdict, count] : counts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, verdict);
  return text;
}

std::string matched_text(const Analysis& analysis) {
  const InPlace& p = analysis.in_place;
  const int by_name = p.matched("name"), by_shape = p.matched("shape"), by_order = p.matched("order");
  return fmt::format("{} of {} layers found in the profile ({} by name, {} by shape, {} by order)",
                     by_name + by_shape + by_order, analysis.layers.size(), by_name, by_shape, by_order);
}

std::string totals_text(const Analysis& analysis) {
  const InPlace& p = analysis.in_place;
  std::string text = fmt::format(
      "network           {}  (unprofiled, {} runs)\n"
      "sum of nodes      {}  ({:+.1f} %); as the profiler reported them {} ({:+.1f} %)\n"
      "                  {:.2f} us per node taken off for the profiler's own cost and {:.2f} us for what the "
      "other "
      "half of the runs showed to be left\n"
      "                  {}\n"
      "matched           {}\n"
      "verdicts          {}\n",
      duration(p.network_us), p.unprofiled_runs, duration(p.sum_us), 100 * p.difference(),
      duration(p.reported_us), 100 * p.reported_difference(), p.profiler_node_us, p.node_us, kinds_text(p),
      matched_text(analysis), verdict_counts(analysis));
  if (analysis.shortcuts > 0)
    text += fmt::format(
        "layout            {} padded shortcuts leave the runtime's fast layout; as 1x1 convolutions: {:.3f}x "
        "(optimize does so)\n",
        analysis.shortcuts, analysis.shortcuts_ratio);
  const double share = p.network_us > 0 ? analysis.recoverable_us() / p.network_us : 0;
  const std::string edges = edges_text(analysis.groups);
  if (edges.empty()) return text + "recoverable       nothing: no width lies just past an edge\n";
  text += fmt::format(
      "recoverable       {} of {} ({:.1f} %), measured layer by layer: {} of {} groups have a width that "
      "does not "
      "fit ({})\n",
      duration(analysis.recoverable_us()), duration(p.network_us), 100 * share, analysis.misfits(),
      analysis.groups.size(), edges);
  if (analysis.free_us > 0)
    text += fmt::format("                  {} of it by wider widths alone, which lose no channel\n",
                        duration(analysis.free_us));
  return text;
}

// One bar per width; an edge shows as a line between two of them.
std::string picture_text(const Analysis& analysis) {
  const latency::Staircase& s = *analysis.picture;
  auto found = std::find_if(analysis.layers.begin(), analysis.layers.end(),
                            [&](const auto& layer) { return layer.name == analysis.picture_layer; });
  const std::int64_t present = found == analysis.layers.end() ? 0 : found->workload.oc;
  const double most = *std::max_element(s.latencies_us.begin(), s.latencies_us.end());
  std::string text = fmt::format("\n{}: time alone over its output width (noise {:.1f} %)\n",
                                 analysis.picture_layer, 100 * s.sigma);
  for (std::size_t i = 0; i < s.widths.size(); ++i) {
    const auto length = static_cast<std::size_t>(40 * s.latencies_us[i] / most + 0.5);
    const bool edge = std::any_of(s.edges.begin(), s.edges.end(),
                                  [&](const latency::Edge& e) { return e.last == s.widths[i]; });
    text += fmt::format("{:>6} {:>9.1f} us  {:<40}{}{}\n", s.widths[i], s.latencies_us[i],
                        std::string(length, '#'), edge ? "  edge" : "",
                        s.widths[i] == present ? "  <- present width" : "");
  }
  return text;
}

std::string header_text(const Analysis& analysis) {
  return fmt::format(
      "{}  {} layers  {} {}, {}, {} thread{}  {:.0f} GB/s streaming  {} sweeps of widths; layer "
      "timings: {} found, {} measured now\n",
      analysis.model.string(), analysis.layers.size(), analysis.runtime, analysis.version, analysis.isa,
      analysis.threads, analysis.threads == 1 ? "" : "s", analysis.streaming_gbytes, analysis.groups.size(),
      analysis.known, analysis.measured);
}

std::string text_of(const Analysis& analysis, const AnalyzeArguments& arguments) {
  const std::size_t all = analysis.layers.size();
  const std::size_t rows = arguments.all ? all : std::min(all, static_cast<std::size_t>(arguments.top));
  constexpr std::size_t kTotals = 18;  // where their text begins
  const std::size_t width = output_width();
  std::string text = wrapped(header_text(analysis), width, 2) + layer_table(analysis, rows, width);
  if (rows < all) text += fmt::format("{} more layers: --all\n", all - rows);
  if (arguments.all) text += other_nodes(analysis.in_place);
  return text + "\n" + wrapped(totals_text(analysis), width, kTotals) +
         (analysis.base ? base_text(*analysis.base, rows, width) : "") +
         (analysis.picture ? picture_text(analysis) : "");
}

void check(const AnalyzeArguments& arguments) {
  if (arguments.top < 0) throw Error(Code::bad_value, "--top must not be negative", "--top");
  if (arguments.threads < 1 || arguments.threads > 1024)
    throw Error(Code::bad_value, fmt::format("{} threads", arguments.threads), "--threads", "1 to 1024");
}

// What a GPU that is there does not do.
void check_gpu(const AnalyzeArguments& a) {
  auto refuse = [](const char* option, const char* why) {
    throw Error(Code::usage, why, option, "tailor analyze --help");
  };
  if (!a.layer.empty() || !a.over.empty())
    refuse("--layer, --over", "staircases of a layer are not drawn on a GPU");
  if (!a.base.empty()) refuse("--base", "for this processor and for described devices");
  if (a.threads != 1) refuse("--threads", "a GPU is measured with one thread");
}

// Options that only one half of analyze understands.
void check_half(const AnalyzeArguments& a) {
  if (a.device == "cuda") return check_gpu(a);
  const bool described = a.device != "cpu";
  auto refuse = [](const char* option, const char* why) {
    throw Error(Code::usage, why, option, "tailor analyze --help");
  };
  if (!described && !a.precision.empty()) refuse("--precision", "only for a GPU: the file says it here");
  if (!described && !a.over.empty())
    refuse("--over", "only for a described device: widths are measured here");
  if (described && (a.fresh || a.resume))
    refuse("--fresh, --resume", "nothing is measured for a described device");
  if (described && (a.threads != 1 || a.seed != 0))
    refuse("--threads, --seed", "nothing is measured for a described device");
  if (!described && a.free)
    refuse("--free", "for GPUs; on this processor the column \"free up to\" and tailor grow tell");
  if (!a.over.empty() && a.layer.empty()) refuse("--over", "needs --layer");
}

pipeline::AnalyzeOptions options_of(const Global& global, const AnalyzeArguments& arguments) {
  pipeline::AnalyzeOptions options;
  options.threads = arguments.threads, options.seed = arguments.seed;
  options.journal = journal_of(arguments.fresh, arguments.resume), options.layer = arguments.layer;
  options.runner = global.runner, options.base = arguments.base;
  return options;
}

// One line of progress per phase.
Analysis analyzed(const pipeline::Subject& subject, pipeline::AnalyzeOptions options) {
  std::optional<Progress> progress;
  std::string phase;
  options.progress = [&](const std::string& name, double done) {
    if (name != phase || !progress) progress.reset(), progress.emplace(name), phase = name;
    progress->update(100 * done, 100);
  };
  return pipeline::analyze(subject, options);
}

}  // namespace

int analyze(const Global& global, const AnalyzeArguments& arguments) {
  check(arguments);
  check_half(arguments);
  check_page(arguments.page), check_exports(arguments);
  if (arguments.device == "cuda") return analyze_on_gpu(global, arguments);
  if (arguments.device != "cpu") return analyze_described(global, arguments);
  const pipeline::Subject subject =
      pipeline::read_subject(arguments.model, graph::parse_shape_overrides(arguments.shapes));
  const Analysis analysis = analyzed(subject, options_of(global, arguments));
  const Json document = to_json(analysis);
  global.json ? print_document(document) : print(text_of(analysis, arguments));
  write_page(global, arguments.page, document), write_exports(global, arguments, document);
  const double difference = analysis.in_place.difference();
  if (std::abs(difference) <= kMostDifference) return 0;
  Error error(Code::not_trustworthy,
              fmt::format("the nodes add up to {:+.1f} % of the network; more than {:.0f} % means that the "
                          "profile was disturbed",
                          100 * difference, 100 * kMostDifference),
              arguments.model.string(), "run it again, and stop other programs meanwhile");
  print_error(global, error);
  return exit_code(error.code());
}

}  // namespace tailor::app
