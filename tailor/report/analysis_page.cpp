// The page of tailor analyze, measured: totals, what each layer could give back, every executed node.
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>

namespace tailor::report {
namespace {

// Verdict -> what to say of layers with it, when they are the most of what does not fit.
const std::map<std::string, std::string, std::less<>>& meanings() {
  static const std::map<std::string, std::string, std::less<>> list = {
      {"fallback", "their input width keeps them off the runtime's fast path"},
      {"launch",
       "starting them costs as much as their work: fewer or larger layers help, other widths do not"},
      {"pad", "their width lies inside a step: they pay for channels that they do not have"},
      {"memory",
       "they move bytes as fast as the processor streams them: a smaller precision or fusion helps, "
       "narrower layers help only by their smaller tensors"},
      {"ok", "they run as fast as their work allows: only less work makes them faster"}};
  return list;
}

struct Totals {
  double network = 0, recoverable = 0, free = 0;  // free: by wider widths alone
};

Totals totals_of(const Json& document, const std::string& place) {
  const Json& json = member(document, "totals", place);
  const std::string at = member_place(place, "totals");
  Totals totals{number(json, "network_us", at), number(json, "recoverable_us", at), 0};
  if (json.contains("free_us")) totals.free = number(json, "free_us", at);  // absent in documents of before
  return totals;
}

// What is executed beside the layers: "Besides layers: reorder 3 %, pooling 2 % of the time."
std::string besides(const Json& document, const std::string& place, double network_us) {
  const std::string at = member_place(place, "totals");
  std::string parts;
  for (const auto& [kind, us] : member(member(document, "totals", place), "us_by_kind", at).items())
    if (kind != "layer" && us.is_number() && share_of(us.get<double>(), network_us) >= 0.005)
      parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", kind,
                           percent(share_of(us.get<double>(), network_us)));
  return parts.empty() ? parts : fmt::format("Nodes that are no layer take time too: {}.", parts);
}

// Padded shortcuts leave the runtime's fast layout; "" where there are none.
std::string shortcuts_text(const Json& document, const std::string& place) {
  if (!document.contains("shortcuts")) return {};  // documents of before
  const std::string at = member_place(place, "shortcuts");
  const auto padded = integer(document["shortcuts"], "padded", at);
  if (padded == 0) return {};
  return fmt::format(
      "{} padded shortcuts leave the runtime's fast layout; as convolutions the network takes "
      "{:.3f}x of its time, and tailor optimize makes them so where that is faster.",
      padded, number(document["shortcuts"], "ratio", at));
}

constexpr double kMostDifference =
    0.05;  // of the nodes' sum from the network, beyond which the profile was disturbed

double difference_of(const Json& document, const std::string& place) {
  return number(member(document, "in_place", place), "difference", member_place(place, "in_place"));
}

// What most of the time is, what else takes time, and whether to believe it.
std::vector<std::string> limits_of(const Json& document, const std::string& place, const Totals& totals) {
  std::vector<std::string> lines = verdict_sentences(document, place, totals.network, meanings());
  lines.resize(std::min<std::size_t>(lines.size(), 3));
  for (std::string line : {besides(document, place, totals.network), shortcuts_text(document, place)})
    if (!line.empty()) lines.push_back(std::move(line));
  if (const double difference = difference_of(document, place); std::abs(difference) > kMostDifference)
    lines.push_back(
        fmt::format("The nodes add up to {:+.1f} % of the network, so something disturbed the "
                    "profile: run it again, and stop other programs meanwhile.",
                    100 * difference));
  return lines;
}

std::vector<std::pair<std::string, std::string>> next_of(const std::string& model, const Totals& totals) {
  const double share = share_of(totals.recoverable, totals.network);
  if (share < 0.02)
    return {{fmt::format("tailor optimize {} -o faster.onnx --speedup max --max-drop 0.5 --calib DATA",
                         shell_word(model)),
             "no width lies just past an edge, so time has to be bought with channels: this finds how much "
             "half a "
             "point of accuracy buys"}};
  return {{fmt::format("tailor optimize {} -o faster.onnx --latency {:.2f}x --calib DATA", shell_word(model),
                       1 - share),
           "writes a model with widths that fit, and proves its speed and its accuracy"}};
}

Row layer_row(const Json& layer, const std::string& at, std::size_t index) {
  return {{name_cell(text(layer, "name", at)),
           {width_text(text(layer, "workload", at))},
           number_cell(number(layer, "us", at), 1),
           number_cell(100 * number(layer, "share", at), 1),
           number_cell(number(layer, "macs", at) / 1e6, 2),
           number_cell(number(layer, "gflops", at), 0),
           number_cell(number(layer, "gbytes", at), 1),
           number_cell(number(layer, "recoverable_us", at), 1),
           {text(layer, "verdict", at)},
           {text(layer, "how", at)},
           step_cell(layer, "down", at),
           step_cell(layer, "up", at),
           {text(layer, "why", at)}},
          index};
}

Section layers_section(const Json& document, const std::string& place) {
  Section section{
      "Layers",
      "What each layer takes in the running network, and what comes back if all channel groups whose width "
      "does not fit get one that does. Select a layer to see its staircase.",
      {"recoverable", "stairs", "roofline"}};
  Table table{
      "Layers in the model's order",
      {{"layer"},
       {"width", false, "channels in > out"},
       {"us", true, "in the running network"},
       {"share %", true},
       {"MMAC", true},
       {"GFLOP/s", true},
       {"GB/s", true},
       {"recoverable us", true},
       {"verdict"},
       {"timed", false, "in the running network; or alone, where the profile does not show the layer"},
       {"narrower", true, "widest narrower width of the group that surely saves 2 %"},
       {"free up to", true, "widest width of the group that costs at most 1 % more"},
       {"why"}},
      {}};
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i)
    table.rows.push_back(layer_row(layers[i], item_place(place, "layers", i), i));
  section.table = std::move(table);
  return section;
}

Section nodes_section(const Json& document, const std::string& place) {
  Section section{"What was executed", "Every node as the runtime ran it after its own fusions, in order."};
  Table table{"Executed nodes", {{"node"}, {"operator"}, {"kind"}, {"us", true}}, {}};
  const Json& profile = member(document, "in_place", place);
  const std::string at = member_place(place, "in_place");
  const Json& nodes = list(profile, "nodes", at);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string node = item_place(at, "nodes", i);
    table.rows.push_back({{name_cell(text(nodes[i], "name", node)),
                           {text(nodes[i], "op", node)},
                           {text(nodes[i], "kind", node)},
                           number_cell(number(nodes[i], "us", node), 2)},
                          {}});
  }
  section.table = std::move(table);
  return section;
}

std::string verdict_of(const std::string& model, const Totals& totals) {
  const double share = share_of(totals.recoverable, totals.network);
  const std::string time = fmt::format("{} takes {}", file_name(model), console::duration(totals.network));
  if (share < 0.005) return fmt::format("{}; {}.", time, kNothingBack);
  const std::string free = share_of(totals.free, totals.network) < 0.005
                               ? std::string()
                               : ", " + console::duration(totals.free) + " without losing a channel";
  return fmt::format("{}; {} of it ({}) would come back with widths that fit this processor{}.", time,
                     console::duration(totals.recoverable), percent(share), free);
}

}  // namespace

Content analysis_content(const Json& document, const std::string& place) {
  const Totals totals = totals_of(document, place);
  const std::string model = text(member(document, "model", place), "path", member_place(place, "model"));
  const Json& in_place = member(document, "in_place", place);
  const std::string at = member_place(place, "in_place");
  const bool disturbed = std::abs(difference_of(document, place)) > kMostDifference;
  Content content{"Analysis of " + model, verdict_of(model, totals),
                  disturbed ? "measured, disturbed" : "measured"};
  content.cards = {
      {"one run takes", console::duration(totals.network),
       fmt::format("{} runs without the profiler", integer(in_place, "unprofiled_runs", at))},
      {"recoverable", console::duration(totals.recoverable),
       percent(share_of(totals.recoverable, totals.network), 1) + " of the time, layer by layer"},
      {"with widths that fit", console::duration(totals.network - totals.recoverable),
       "expected, not yet measured as a whole"},
      {"layers", std::to_string(list(document, "layers", place).size()),
       fmt::format("nodes add up to {:+.1f} % of the network", 100 * number(in_place, "difference", at))}};
  content.limits = limits_of(document, place, totals);
  content.next = next_of(model, totals);
  if (std::string base = base_text(document, place); !base.empty())
    content.limits.insert(content.limits.begin(), std::move(base));
  content.sections = {layers_section(document, place)};
  add_base(content, document, place);
  add_groups(content, document, place, true);
  content.sections.push_back(nodes_section(document, place));
  content.method = {
      {"runtime", text(document, "runtime", place) + " " + text(document, "version", place)},
      {"processor", text(document, "processor", place) + ", " + text(document, "isa", place)},
      {"threads", std::to_string(integer(document, "threads", place))},
      {"streaming", fmt::format("{:.0f} GB/s", number(document, "streaming_gbytes", place))},
      {"layer timings", fmt::format("{} measured, {} found", integer(document, "measured", place),
                                    integer(document, "known", place))}};
  return content;
}

}  // namespace tailor::report
