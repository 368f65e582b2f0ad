// Two runs of one kind: the quantity that the kind is about, entry by entry, paired by name.
#include "tailor/base/error.h"
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace tailor::report {
namespace {

// One kind's entries by name, and its total.
struct Listing {
  std::string what, unit;  // "layer", "us"
  std::vector<std::pair<std::string, double>> entries;
  double total = 0;
  std::string total_name;
  std::map<std::string, double> standard = {};  // what an entry is where it is not listed
};

Listing layers_of(const Json& document, const std::string& place, bool modelled) {
  Listing listing{"layer", "us", {}, 0, modelled ? "Sum of layers" : "One run"};
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    const Json& from = modelled ? member(layers[i], "model", at) : layers[i];
    listing.entries.emplace_back(text(layers[i], "name", at), number(from, "us", at));
  }
  listing.total =
      modelled ? number(document, "total_us", place)
               : number(member(document, "totals", place), "network_us", member_place(place, "totals"));
  return listing;
}

Listing models_of(const Json& speed, const std::string& place) {
  Listing listing{"model", "us", {}, 0, "Last model"};
  const Json& models = list(speed, "models", place);
  for (std::size_t i = 0; i < models.size(); ++i) {
    const std::string at = item_place(place, "models", i);
    listing.total = number(member(models[i], "summary_us", at), "median", at);
    listing.entries.emplace_back(fmt::format("{}. {}", i + 1, text(models[i], "path", at)), listing.total);
  }
  return listing;
}

// Widths after. What a plan does not list has the width that it had.
Listing groups_of(const Json& plan, const std::string& at) {
  Listing listing{"channel group", "channels", {}, 0, "Latency, share of the original's"};
  const Json& groups = list(plan, "groups", at);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string group = item_place(at, "groups", i);
    listing.entries.emplace_back(text(groups[i], "layer", group),
                                 static_cast<double>(integer(groups[i], "after", group)));
    listing.standard[listing.entries.back().first] = static_cast<double>(integer(groups[i], "before", group));
  }
  listing.total = number(member(plan, "latency", at), "measured_ratio", member_place(at, "latency"));
  return listing;
}

Listing mappings_of(const Json& document, const std::string& place) {
  Listing listing{"mapping", "us", {}, 0, "Chosen mapping"};
  const Json& baselines = list(document, "baselines", place);
  for (std::size_t i = 0; i < baselines.size(); ++i) {
    const std::string at = item_place(place, "baselines", i);
    listing.entries.emplace_back(text(baselines[i], "name", at), number(baselines[i], "latency_us", at));
  }
  const Json& chosen = member(document, "chosen", place);
  if (chosen.is_null()) return listing;
  listing.total = number(chosen, "latency_us", member_place(place, "chosen"));
  listing.entries.emplace_back("chosen", listing.total);
  return listing;
}

// Operators at shares; the best kernel of ours.
Listing tasks_of(const Json& document, const std::string& place) {
  Listing listing{"operator", "us", {}, 0, "All operators, each with its best kernel"};
  const Json& tasks = list(document, "tasks", place);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::string at = item_place(place, "tasks", i);
    const Json& own = member(tasks[i], "own", at);
    if (own.is_null()) continue;
    listing.entries.emplace_back(
        fmt::format("{} at {}", text(tasks[i], "op", at), percent(number(tasks[i], "share", at))),
        number(own, "us", member_place(at, "own")));
    listing.total += listing.entries.back().second;
  }
  return listing;
}

// What the other run lists and this one leaves as it was.
void add_standard(Listing& listing, const Listing& other) {
  for (const auto& [name, value] : other.standard)
    if (!listing.standard.contains(name)) listing.entries.emplace_back(name, value);
}

Listing listing_of(const std::string& kind, const Json& document, const std::string& place) {
  if (kind == "analysis" || kind == "device-analysis") return layers_of(document, place, kind != "analysis");
  if (kind == "bench") return models_of(document, place);
  if (kind == "verify") return models_of(member(document, "speed", place), member_place(place, "speed"));
  if (kind == "optimize") return groups_of(member(document, "plan", place), member_place(place, "plan"));
  if (kind == "plan") return groups_of(document, place);
  if (kind == "tune") return tasks_of(document, place);
  return mappings_of(document, place);
}

Cell maybe(const double* value, int decimals) { return value ? number_cell(*value, decimals) : Cell{"-"}; }

// Names that occur several times are paired by order.
std::map<std::pair<std::string, int>, double> numbered(const Listing& listing) {
  std::map<std::pair<std::string, int>, double> found;
  std::map<std::string, int> seen;
  for (const auto& [name, value] : listing.entries) found[{name, seen[name]++}] = value;
  return found;
}

Row pair_row(const std::string& name, const double* before, const double* after, int decimals,
             std::size_t index) {
  Row row{{name_cell(name), maybe(before, decimals), maybe(after, decimals)}, index};
  const bool both = before && after;
  row.cells.push_back(both ? number_cell(*after - *before, decimals) : Cell{"-"});
  row.cells.push_back(both && *before > 0 ? number_cell(100 * (*after / *before - 1), 1) : Cell{"-"});
  return row;
}

Table pairs(const Listing& before, const Listing& after) {
  Table table{
      fmt::format("Every {}, in {}", before.what, before.unit),
      {{before.what}, {"first run", true}, {"second run", true}, {"difference", true}, {"change %", true}},
      {}};
  const auto a = numbered(before), b = numbered(after);
  const int decimals = before.unit == "us" ? 2 : 0;  // channels are whole
  std::map<std::string, int> seen;
  auto find = [](const auto& map, const auto& key) {
    const auto it = map.find(key);
    return it == map.end() ? nullptr : &it->second;
  };
  for (const auto& [name, value] : before.entries) {
    const std::pair key{name, seen[name]++};
    table.rows.push_back(pair_row(name, find(a, key), find(b, key), decimals, table.rows.size()));
  }
  seen.clear();
  for (const auto& [name, value] : after.entries)
    if (const std::pair key{name, seen[name]++}; !a.contains(key))
      table.rows.push_back(pair_row(name, nullptr, find(b, key), decimals, table.rows.size()));
  return table;
}

std::string total_text(const Listing& listing) {
  return listing.unit == "us" ? console::duration(listing.total) : fmt::format("{:.3f}x", listing.total);
}

}  // namespace

Content comparison_content(const Json& before, const std::string& name_before, const Json& after,
                           const std::string& name_after) {
  const std::string kind = kind_of(before, name_before);
  if (const std::string other = kind_of(after, name_after); other != kind)
    throw Error(Code::bad_json,
                fmt::format("a run of kind {} cannot be compared with one of kind {}", other, kind),
                name_after, "give two results of the same verb");
  Listing a = listing_of(kind, before, name_before), b = listing_of(kind, after, name_after);
  const Listing listed = a;
  add_standard(a, b), add_standard(b, listed);
  Content content{"Two runs", "",
                  kind == "device-analysis" || kind == "map" ? "modelled"
                  : kind == "plan"                           ? "as the plans say"
                                                             : "measured, in two runs"};
  content.verdict = a.total > 0
                        ? fmt::format("{}: {} in the first run, {} in the second ({:+.1f} %).", a.total_name,
                                      total_text(a), total_text(b), 100 * (b.total / a.total - 1))
                        : fmt::format("{}: {} in the second run.", a.total_name, total_text(b));
  content.cards = {{"first run", total_text(a), name_before}, {"second run", total_text(b), name_after}};
  content.limits_title = "What the difference holds";
  if (content.stamp.starts_with("measured") && kind != "optimize")
    content.limits = {
        "The two runs were not interleaved: what the machine did meanwhile is part of the difference. "
        "tailor bench times both models in the same rounds."};
  Section section{
      "Differences", fmt::format("Each {} of both runs, paired by its name.", a.what), {"difference"}};
  section.table = pairs(a, b);
  content.sections = {std::move(section)};
  content.method = {{"first run", name_before}, {"second run", name_after}, {"kind", kind}};
  return content;
}

}  // namespace tailor::report
