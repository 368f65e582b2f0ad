// The page of tailor map: the mapping chosen, what each unit does when, what else there was.
#include "tailor/base/error.h"
#include "tailor/base/text.h"
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::report {
namespace {

Cell energy_cell(const Json& mapping, const std::string& at) {
  const Json& energy = member(mapping, "energy_uj", at);
  if (!energy.is_number()) return {"-"};
  return number_cell(energy.get<double>(), 3);
}

Cell accuracy_cell(const Json& mapping, const std::string& at) {
  if (!mapping.contains("accuracy") || mapping["accuracy"].is_null()) return {"-"};
  const Json& accuracy = mapping["accuracy"];
  const std::string inner = member_place(at, "accuracy");
  if (accuracy.contains("top1_percent"))
    return number_cell(number(accuracy, "top1_percent", inner), 2, "% top-1");
  return number_cell(number(accuracy, "agreement_percent", inner), 2, "% agree");
}

Row mapping_row(std::string name, const Json& mapping, const std::string& at) {
  const double loss = number(mapping, "loss", at);
  return {{name_cell(std::move(name)),
           number_cell(number(mapping, "latency_us", at), 2),
           energy_cell(mapping, at),
           {fmt::format("{:.4g}", loss), loss},
           accuracy_cell(mapping, at)},
          {}};
}

Section mappings_section(const Json& document, const std::string& place) {
  Section section{
      "Mappings",
      "The one chosen, simple ones beside it, and the front: no other mapping has less loss at the same "
      "cost. Loss: " +
          text(document, "loss", place) + ".",
      {"mappings"}};
  Table table{"Mappings", {{"mapping"}, {"us", true}, {"uJ", true}, {"loss", true}, {"accuracy", true}}, {}};
  const Json& chosen = member(document, "chosen", place);
  if (!chosen.is_null()) table.rows.push_back(mapping_row("chosen", chosen, member_place(place, "chosen")));
  const Json& baselines = list(document, "baselines", place);
  for (std::size_t i = 0; i < baselines.size(); ++i) {
    const std::string at = item_place(place, "baselines", i);
    table.rows.push_back(mapping_row(text(baselines[i], "name", at), baselines[i], at));
  }
  const Json& front = list(document, "front", place);
  for (std::size_t i = 0; i < front.size(); ++i)
    table.rows.push_back(
        mapping_row(fmt::format("front {}", i + 1), front[i], item_place(place, "front", i)));
  section.table = std::move(table);
  return section;
}

double item_number(const Json& array, std::size_t i, const std::string& at) {
  if (i >= array.size() || !array[i].is_number()) throw Error(Code::bad_json, "a number is missing", at);
  return array[i].get<double>();
}

Section layers_section(const Json& document, const std::string& place) {
  Section section{
      "Layers over the units",
      "Units of one layer work side by side; the next layer begins when the slowest has finished. Handing "
      "activations over between units is not drawn; it is in the latency above.",
      {"gantt"}};
  const Json& options = list(document, "options", place);
  const Json& units = list(document, "units", place);
  const Json& channels = list(member(document, "chosen", place), "channels", member_place(place, "chosen"));
  Table table{"Channels per unit and cycles that each takes", {{"layer"}, {"channels", true}}, {}};
  auto word = [](const Json& item) { return item.is_string() ? item.get<std::string>() : item.dump(); };
  for (const Json& option : options) table.columns.push_back({"channels on " + word(option), true});
  for (const Json& unit : units) table.columns.push_back({"cycles of " + word(unit), true});
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    Row row{{name_cell(text(layers[i], "name", at)),
             number_cell(static_cast<double>(integer(layers[i], "channels", at)), 0)},
            i};
    if (i >= channels.size() || !channels[i].is_array())
      throw Error(Code::bad_json, "channels are missing", at);
    for (std::size_t o = 0; o < options.size(); ++o)
      row.cells.push_back(number_cell(item_number(channels[i], o, at), 0));
    const Json& cycles = list(layers[i], "cycles", at);
    for (std::size_t u = 0; u < units.size(); ++u)
      row.cells.push_back(number_cell(item_number(cycles, u, at), 0));
    table.rows.push_back(std::move(row));
  }
  section.table = std::move(table);
  return section;
}

Section free_section(const Json& document, const std::string& place) {
  Section section{"Free channels",
                  "Channels that can go to the most precise unit without making the layer slower, "
                  "because another unit sets its pace."};
  Table table{"Free channels",
              {{"layer"}, {"free", true}, {"up to", true}, {"cycles there", true}, {"others take", true}},
              {}};
  const Json& free = list(document, "free", place);
  for (std::size_t i = 0; i < free.size(); ++i) {
    const std::string at = item_place(place, "free", i);
    table.rows.push_back({{name_cell(text(free[i], "layer", at)),
                           number_cell(static_cast<double>(integer(free[i], "channels", at)), 0),
                           number_cell(static_cast<double>(integer(free[i], "up_to", at)), 0),
                           number_cell(number(free[i], "cycles_there", at), 0),
                           number_cell(number(free[i], "cycles_of_the_slower", at), 0)},
                          {}});
  }
  if (table.rows.empty()) section.note = "No layer has any.";
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

// Cycles in which each unit works, of all in which any does.
std::vector<std::string> busy_lines(const Json& document, const std::string& place) {
  const Json &units = list(document, "units", place), &layers = list(document, "layers", place);
  std::vector<double> busy(units.size(), 0);
  double all = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    const Json& cycles = list(layers[i], "cycles", at);
    double most = 0;
    for (std::size_t u = 0; u < busy.size(); ++u) {
      const double c = item_number(cycles, u, at);
      busy[u] += c, most = std::max(most, c);
    }
    all += most;
  }
  std::vector<std::string> lines;
  for (std::size_t u = 0; u < busy.size(); ++u)
    lines.push_back(fmt::format("{} works {} of the time.",
                                units[u].is_string() ? units[u].get<std::string>() : "?",
                                percent(all > 0 ? busy[u] / all : 0)));
  return lines;
}

// "0.40 points lost on data.bin (500 samples)"; "" where no samples were run.
std::string drop_text(const Json& mapping, const std::string& at) {
  if (!mapping.contains("accuracy") || mapping["accuracy"].is_null()) return {};
  const Json& accuracy = mapping["accuracy"];
  const std::string inner = member_place(at, "accuracy");
  return fmt::format("{:.2f} points lost on {} samples of {}", number(accuracy, "drop_points", inner),
                     integer(accuracy, "samples", inner), file_name(text(accuracy, "source", inner)));
}

// How far from the best the choice can be.
std::string certificate_text(const Json& chosen, const std::string& at) {
  if (!chosen.contains("certificate")) return {};
  const std::string inner = member_place(at, "certificate");
  const Json& certificate = chosen["certificate"];
  if (boolean(certificate, "optimal", inner))
    return "No mapping of these options has less loss within the budget.";
  return fmt::format("Another mapping of these options has at most {} less loss within the budget.",
                     percent(number(certificate, "gap", inner), 1));
}

// Layers that are in no number, by name as far as a sentence holds them.
std::string elsewhere_text(const Json& document, const std::string& place) {
  constexpr std::size_t kNames = 6, kColumns = 60;
  const Json& layers = list(document, "elsewhere", place);
  if (layers.empty()) return {};
  std::string names;
  for (std::size_t i = 0; i < std::min(layers.size(), kNames); ++i)
    names += (i > 0 ? ", " : "") +
             (layers[i].is_string() ? shortened(layers[i].get<std::string>(), kColumns) : std::string("?"));
  return fmt::format("{} layer{} elsewhere and {} in no number: {}{}.", layers.size(),
                     layers.size() == 1 ? " runs" : "s run", layers.size() == 1 ? "is" : "are", names,
                     layers.size() > kNames ? ", ..." : "");
}

// The mapping carried out in 8 bits; "" where it was not asked for.
std::string split_text(const Json& document, const std::string& place) {
  if (!document.contains("split")) return {};
  const Json& split = document["split"];
  const std::string at = member_place(place, "split"), inner = member_place(at, "accuracy");
  return fmt::format(
      "As a network in 8 bits, {} layers are {} nodes, one per unit, with {} as unsplit on {} samples; "
      "{:.2f} points are "
      "lost against the original.",
      integer(split, "layers", at), integer(split, "nodes", at),
      boolean(split, "identical", at) ? "the same bits" : "other bits", integer(split, "samples", at),
      number(member(split, "accuracy", at), "drop_points", inner));
}

}  // namespace

Content map_content(const Json& document, const std::string& place) {
  const std::string model = text(document, "model", place), platform = text(document, "platform", place);
  const Json& chosen = member(document, "chosen", place);
  const Json& baselines = list(document, "baselines", place);
  Content content{fmt::format("Mapping of {} over {}", model, platform), "",
                  "modelled: nothing was run on the platform"};
  if (!baselines.empty()) {
    const std::string at = item_place(place, "baselines", 0);
    content.cards.push_back({text(baselines[0], "name", at),
                             console::duration(number(baselines[0], "latency_us", at)),
                             "the most precise simple mapping"});
  }
  if (chosen.is_null()) {
    content.verdict = "No mapping meets the goal: " + text(document, "why", place) + ".";
    content.limits = {text(document, "why", place) + "."};
    content.sections = {mappings_section(document, place)};
  } else {
    const std::string at = member_place(place, "chosen");
    const double us = number(chosen, "latency_us", at);
    content.verdict =
        fmt::format("{} would take {} on {}, as it is described, with its layers split over the units",
                    file_name(model), console::duration(us), platform);
    if (!baselines.empty() && us > 0) {
      const double first = number(baselines[0], "latency_us", item_place(place, "baselines", 0));
      content.verdict +=
          fmt::format(", {:.2f}x as fast as {}", first / us, text(baselines[0], "name", place));
    }
    content.verdict += ".";
    content.cards.push_back({"chosen", console::duration(us), "of the mapping below"});
    const Cell energy = energy_cell(chosen, at);
    if (energy.value) content.cards.push_back({"energy", energy.text + " uJ", "of the chosen mapping"});
    if (const std::string drop = drop_text(chosen, at); !drop.empty())
      content.cards.push_back({"accuracy", accuracy_cell(chosen, at).text, drop});
    content.limits = busy_lines(document, place);
    for (std::string line :
         {certificate_text(chosen, at), split_text(document, place), elsewhere_text(document, place)})
      if (!line.empty()) content.limits.push_back(std::move(line));
    content.sections = {layers_section(document, place), mappings_section(document, place),
                        free_section(document, place)};
  }
  content.method = {
      {"platform", fmt::format("{}, {:g} MHz", platform, number(document, "frequency_mhz", place))},
      {"objective", text(document, "objective", place)},
      {"loss", text(document, "loss", place)},
      {"exact", boolean(document, "exact", place) ? "every split was looked at"
                                                  : "channel numbers were thinned in the largest layers"},
      {"statistics", document.contains("recover") && document["recover"] == "bn"
                         ? "of BatchNormalization estimated again for what is compared"
                         : "as in the model"},
      {"in no number",
       fmt::format("{} other nodes, {} layers that run elsewhere", integer(document, "other_nodes", place),
                   list(document, "elsewhere", place).size())}};
  return content;
}

}  // namespace tailor::report
