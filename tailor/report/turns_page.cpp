// The page of tailor map on a measured platform: the precision of each layer, the network beside those of one precision,
// what handing over costs, and how far sums of parts are from whole networks.
#include "tailor/base/error.h"
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <numeric>

namespace tailor::report {
namespace {

std::string word(const Json& item, const std::string& at) {
  if (!item.is_string()) throw Error(Code::bad_json, "a text is missing", at);
  return item.get<std::string>();
}

bool was_measured(const Json& mapping) { return mapping.contains("measured_us"); }

Cell accuracy_of(const Json& mapping, const std::string& at) {
  if (!mapping.contains("accuracy")) return {"-"};
  const Json& accuracy = mapping["accuracy"];
  const std::string inner = member_place(at, "accuracy");
  const bool labelled = accuracy.contains("top1_percent");
  return number_cell(number(accuracy, labelled ? "top1_percent" : "agreement_percent", inner), 2,
                     labelled ? "% top-1" : "% agree");
}

Row network_row(std::string name, const Json& mapping, const std::string& at) {
  Row row{{name_cell(std::move(name)), number_cell(number(mapping, "predicted_us", at), 2)}, {}};
  if (was_measured(mapping)) {
    const double us = number(mapping, "measured_us", at);
    row.cells.push_back(number_cell(us, 2));
    row.cells.push_back({fmt::format("{:+.1f} %", 100 * (number(mapping, "predicted_us", at) / us - 1))});
    row.cells.push_back(
        ratio_cell(number(member(mapping, "to_first", at), "ratio", member_place(at, "to_first"))));
  } else {
    row.cells.insert(row.cells.end(), 3, Cell{"-"});
  }
  const double loss = number(mapping, "loss", at);
  row.cells.push_back({fmt::format("{:.4g}", loss), loss});
  row.cells.push_back(accuracy_of(mapping, at));
  return row;
}

Section networks_section(const Json& document, const std::string& place) {
  Section section{
      "Networks",
      "The one chosen, everything in one precision, and the front: by the times of its layers no other "
      "choice "
      "has less loss at the same time. Loss is the divergence of the network with one layer in another "
      "precision, added up over layers.",
      {"turnfront"}};
  Table table{"Networks",
              {{"network"},
               {"predicted us", true, "from its parts, timed in other networks in the same rounds"},
               {"measured us", true, "the median of whole runs"},
               {"off", true},
               {"time / first", true, "against everything in the first precision, interleaved"},
               {"loss", true},
               {"accuracy", true}},
              {}};
  const Json& chosen = member(document, "chosen", place);
  if (!chosen.is_null()) table.rows.push_back(network_row("chosen", chosen, member_place(place, "chosen")));
  for (const char* key : {"baselines", "front"}) {
    const Json& mappings = list(document, key, place);
    for (std::size_t i = 0; i < mappings.size(); ++i) {
      const std::string at = item_place(place, key, i);
      table.rows.push_back(network_row(
          key == std::string("front") ? fmt::format("front {}", i + 1) : text(mappings[i], "name", at),
          mappings[i], at));
    }
  }
  section.table = std::move(table);
  return section;
}

// The ways that any layer has, in the order in which they are met.
std::vector<std::string> way_names(const Json& document, const std::string& place) {
  std::vector<std::string> names;
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    for (const Json& way : list(layers[i], "ways", at))
      if (std::string name = text(way, "name", at);
          std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(std::move(name));
  }
  return names;
}

// The name of the way that layer i goes; "" where nothing was chosen.
std::string chosen_way(const Json& document, std::size_t i, const std::string& place) {
  const Json& chosen = member(document, "chosen", place);
  if (chosen.is_null()) return {};
  const std::string at = member_place(place, "chosen");
  const Json& ways = list(chosen, "ways", at);
  if (i >= ways.size()) throw Error(Code::bad_json, "ways are missing", at);
  return word(ways[i], at);
}

Cell time_of(const Json& layer, const std::string& way, const std::string& at) {
  for (const Json& one : list(layer, "ways", at))
    if (text(one, "name", at) == way) return number_cell(number(one, "us", at), 2);
  return {"-"};
}

Section layers_section(const Json& document, const std::string& place) {
  const std::vector<std::string> names = way_names(document, place);
  Section section{
      "A precision for each layer",
      "Times of each layer inside whole networks. Only one precision works at a time, so a layer goes to "
      "one as a whole; what it costs to hand values over is in the table of conversions.",
      {"turns"}};
  Table table{"Microseconds of each layer in each precision, and the one chosen", {{"layer"}}, {}};
  for (const std::string& name : names) table.columns.push_back({name + " us", true});
  table.columns.push_back({"chosen"});
  table.columns.push_back({"what it is"});
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    Row row{{name_cell(text(layers[i], "name", at))}, i};
    for (const std::string& name : names) row.cells.push_back(time_of(layers[i], name, at));
    row.cells.push_back({chosen_way(document, i, place)});
    row.cells.push_back(name_cell(text(layers[i], "layer", at)));
    table.rows.push_back(std::move(row));
  }
  section.table = std::move(table);
  return section;
}

Section conversions_section(const Json& chosen, const std::string& at) {
  Section section{"Conversions",
                  "Where a value is read in another format than it was made in, once for each format."};
  Table table{"Conversions of the chosen network",
              {{"value", true, "as the runner numbers it"}, {"from"}, {"to"}, {"conversion us", true}},
              {}};
  const Json& conversions = list(chosen, "conversions", at);
  for (std::size_t i = 0; i < conversions.size(); ++i) {
    const std::string inner = item_place(at, "conversions", i);
    table.rows.push_back({{number_cell(static_cast<double>(integer(conversions[i], "value", inner)), 0),
                           {text(conversions[i], "from", inner)},
                           {text(conversions[i], "to", inner)},
                           number_cell(number(conversions[i], "us", inner), 2)},
                          {}});
  }
  if (table.rows.empty()) section.note = "The chosen network converts nothing.";
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

Section additivity_section(const Json& document, const std::string& place) {
  Section section{
      "Sums of layers against whole networks",
      "Costs come from these networks, timed layer by layer. A sum that is not the whole is an error of "
      "every prediction above."};
  Table table{
      "Sums and wholes", {{"network"}, {"sum us", true}, {"whole us", true}, {"sum / whole", true}}, {}};
  const Json& networks = list(document, "additivity", place);
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const std::string at = item_place(place, "additivity", i);
    const double sum = number(networks[i], "summed_us", at), whole = number(networks[i], "measured_us", at);
    table.rows.push_back({{name_cell(text(networks[i], "name", at)),
                           number_cell(sum, 2),
                           number_cell(whole, 2),
                           {fmt::format("{:+.1f} %", 100 * (sum / whole - 1))}},
                          {}});
  }
  section.table = std::move(table);
  return section;
}

double conversions_us(const Json& chosen, const std::string& at) {
  double us = 0;
  for (const Json& conversion : list(chosen, "conversions", at)) us += number(conversion, "us", at);
  return us;
}

// "int8: 21 of 30 layers, 80 % of the time of all layers." for each way that is chosen, by time.
std::vector<std::string> share_lines(const Json& document, const std::string& place) {
  struct Share {
    int layers = 0;
    double us = 0;
  };
  std::map<std::string, Share> shares;
  double all = 0;
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string way = chosen_way(document, i, place);
    const double us = time_of(layers[i], way, item_place(place, "layers", i)).value.value_or(0);
    shares[way].layers += 1, shares[way].us += us, all += us;
  }
  std::vector<std::pair<std::string, Share>> sorted(shares.begin(), shares.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.us > b.second.us; });
  std::vector<std::string> lines;
  for (const auto& [way, share] : sorted)
    lines.push_back(fmt::format("{} of {} layers in {}, {} of the time of all layers.", share.layers,
                                layers.size(), way, percent(share_of(share.us, all))));
  return lines;
}

std::vector<std::string> left_lines(const Json& document, const std::string& place) {
  std::vector<std::string> lines;
  const Json& refused = list(document, "refused", place);
  for (std::size_t i = 0; i < refused.size(); ++i) {
    const std::string at = item_place(place, "refused", i);
    lines.push_back(fmt::format("{} was refused for {} of {} layers ({}).", text(refused[i], "unit", at),
                                integer(refused[i], "layers", at), integer(refused[i], "of", at),
                                text(refused[i], "why", at)));
  }
  if (const std::int64_t bits = integer(document, "weight_bits", place); bits < 8)
    lines.push_back(
        fmt::format("Weights in 8 bits keep {}: sums of two products saturate on this processor.", bits));
  const Json& left_out = member(document, "left_out", place);
  if (!left_out.is_object() || left_out.empty()) return lines;
  std::string operators;
  for (const auto& [op, count] : left_out.items())
    operators += fmt::format("{}{} {}", operators.empty() ? "" : ", ", count.dump(), op);
  lines.push_back("In no number, because the runner does not compute them: " + operators + ".");
  return lines;
}

std::string off_line(const Json& chosen, const std::string& at) {
  if (!was_measured(chosen)) return {};
  return fmt::format("The prediction for the chosen network is {:+.1f} % from what was measured.",
                     100 * (number(chosen, "predicted_us", at) / number(chosen, "measured_us", at) - 1));
}

// "1.16x as fast [1.14, 1.18] as int8, the fastest precision for everything that meets the goal"
std::string against_text(const Json& document, const std::string& place) {
  const Json& ratio = member(document, "against_best_single", place);
  if (ratio.is_null()) return "where no single precision for everything meets the goal";
  const std::string at = member_place(place, "against_best_single");
  auto speed = [&](const char* key) {
    const double value = number(ratio, key, at);
    if (!(value > 0)) throw Error(Code::bad_json, "a ratio must be above 0", at);
    return 1 / value;
  };
  return fmt::format(
      "{:.2f}x as fast [{:.2f}, {:.2f}] as the fastest single precision that meets the goal ({}): {}",
      speed("ratio"), speed("hi"), speed("lo"), text(document, "best_single", place),
      text(ratio, "verdict", at));
}

std::string goal_text(const Json& document, const std::string& place) {
  if (const Json& budget = member(document, "budget_us", place); budget.is_number())
    return fmt::format("at most {}, least loss", console::duration(budget.get<double>()));
  if (const Json& drop = member(document, "max_drop_points", place); drop.is_number())
    return fmt::format("at most {:g} points lost, least time", drop.get<double>());
  return "least time";
}

void add_chosen(Content& content, const Json& document, const std::string& place) {
  const std::string at = member_place(place, "chosen");
  const Json& chosen = document["chosen"];
  const bool measured = was_measured(chosen);
  const double us = number(chosen, measured ? "measured_us" : "predicted_us", at);
  content.verdict = fmt::format("{} takes {} with a precision chosen for each layer, {}.",
                                file_name(text(document, "model", place)), console::duration(us),
                                against_text(document, place));
  content.cards.push_back({"chosen", console::duration(us), measured ? "measured as a whole" : "predicted"});
  if (const Cell accuracy = accuracy_of(chosen, at); accuracy.value)
    content.cards.push_back(
        {"accuracy", accuracy.text,
         fmt::format("{:.2f} points lost on {} samples of {}",
                     number(chosen["accuracy"], "drop_points", member_place(at, "accuracy")),
                     integer(chosen["accuracy"], "samples", member_place(at, "accuracy")),
                     file_name(text(chosen["accuracy"], "source", member_place(at, "accuracy"))))});
  const double handing = conversions_us(chosen, at);
  content.cards.push_back({"conversions", console::duration(handing),
                           fmt::format("{} of them", list(chosen, "conversions", at).size())});
  content.limits = share_lines(document, place);
  if (std::string line = off_line(chosen, at); !line.empty()) content.limits.push_back(std::move(line));
  content.sections = {layers_section(document, place), networks_section(document, place),
                      conversions_section(chosen, at), additivity_section(document, place)};
}

}  // namespace

Content turns_content(const Json& document, const std::string& place) {
  Content content{fmt::format("Precisions of {} on {}", text(document, "model", place),
                              text(document, "platform", place)),
                  "", "measured"};
  const Json& baselines = list(document, "baselines", place);
  if (!baselines.empty()) {
    const std::string at = item_place(place, "baselines", 0);
    const bool measured = was_measured(baselines[0]);
    content.cards.push_back(
        {text(baselines[0], "name", at),
         console::duration(number(baselines[0], measured ? "measured_us" : "predicted_us", at)),
         "everything in one precision"});
  }
  content.limits_title = "What it is made of";
  if (member(document, "chosen", place).is_null()) {
    content.verdict = "No choice of precisions meets the goal: " + text(document, "why", place) + ".";
    content.sections = {networks_section(document, place), layers_section(document, place),
                        additivity_section(document, place)};
  } else {
    add_chosen(content, document, place);
  }
  for (std::string& line : left_lines(document, place)) content.limits.push_back(std::move(line));
  content.method = {
      {"goal", goal_text(document, place)},
      {"measured by", fmt::format("{} {}, {}", text(document, "runtime", place),
                                  text(document, "version", place), text(document, "isa", place))},
      {"processor", text(document, "processor", place) + ", one thread"},
      {"costs",
       fmt::format("{} parts, {} of them met in no network and timed alone",
                   integer(document, "parts", place), integer(document, "parts_timed_alone", place))},
      {"padded shortcuts",
       fmt::format("{} measured, and written, as convolutions", integer(document, "shortcuts", place))}};
  return content;
}

}  // namespace tailor::report
