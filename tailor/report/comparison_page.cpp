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
#include <set>

namespace tailor::report {
namespace {

// One kind's entries by name, and its total.
struct Listing {
  std::string what, unit;  // "layer", "us"
  std::vector<std::pair<std::string, double>> entries;
  double total = 0;
  std::string total_name;
  std::string note = {};     // what else of the total a reader wants to know
  std::string subject = {};  // what was looked at, where two runs may differ by it: the model, the device
  std::map<std::string, double> standard = {};  // what an entry is where it is not listed
};

// Times of layers, whichever of the three analyses they are of.
void add_layers(Listing& listing, const Json& document, const std::string& place, bool modelled) {
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    const Json& from = modelled ? member(layers[i], "model", at) : layers[i];
    listing.entries.emplace_back(text(layers[i], "name", at), number(from, "us", at));
  }
}

Listing analysis_of(const Json& document, const std::string& place) {
  Listing listing{"layer", "us", {}, 0, "One run"};
  add_layers(listing, document, place, false);
  listing.total = number(member(document, "totals", place), "network_us", member_place(place, "totals"));
  listing.subject =
      fmt::format("{} on {}, {} threads",
                  file_name(text(member(document, "model", place), "path", member_place(place, "model"))),
                  text(document, "processor", place), integer(document, "threads", place));
  return listing;
}

Listing device_analysis_of(const Json& document, const std::string& place) {
  Listing listing{"layer", "us", {}, 0, "Sum of layers"};
  add_layers(listing, document, place, true);
  listing.total = number(document, "total_us", place);
  listing.subject =
      fmt::format("{} on {} in {}", file_name(text(document, "model", place)),
                  text(member(document, "device", place), "title", member_place(place, "device")),
                  text(document, "precision", place));
  return listing;
}

Listing gpu_analysis_of(const Json& document, const std::string& place) {
  Listing listing{"layer", "us", {}, 0, "One run"};
  add_layers(listing, document, place, false);
  listing.total = number(document, "network_us", place);
  listing.subject = fmt::format("{} on {} in {}", file_name(text(document, "model", place)),
                                text(document, "device", place), text(document, "precision", place));
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
  listing.note = fmt::format("loss {:.3g}", number(plan, "loss", at));
  const std::string model = member_place(at, "model");
  listing.subject =
      fmt::format("{} with {}", text(member(plan, "model", at), "path", model), text(plan, "runtime", at));
  return listing;
}

// What was proven in the end stands for what the search measured on its way.
Listing result_of(const Json& document, const std::string& place) {
  Listing listing = groups_of(member(document, "plan", place), member_place(place, "plan"));
  const std::string proof = member_place(place, "proof"), speed = member_place(proof, "speed");
  const Json& models = list(member(member(document, "proof", place), "speed", proof), "models", speed);
  if (models.size() != 2) return listing;
  const std::string second = item_place(speed, "models", 1);
  listing.total = number(member(models[1], "to_first", second), "ratio", member_place(second, "to_first"));
  return listing;
}

// Of a measured platform what was measured, or else predicted from measured parts.
double mapping_us(const Json& mapping, const std::string& at) {
  for (const char* key : {"measured_us", "predicted_us"})
    if (mapping.contains(key)) return number(mapping, key, at);
  return number(mapping, "latency_us", at);
}

Listing mappings_of(const Json& document, const std::string& place) {
  Listing listing{"mapping", "us", {}, 0, "Chosen mapping"};
  listing.subject =
      fmt::format("{} over {}", file_name(text(document, "model", place)), text(document, "platform", place));
  const Json& baselines = list(document, "baselines", place);
  for (std::size_t i = 0; i < baselines.size(); ++i) {
    const std::string at = item_place(place, "baselines", i);
    listing.entries.emplace_back(text(baselines[i], "name", at), mapping_us(baselines[i], at));
  }
  const Json& chosen = member(document, "chosen", place);
  if (chosen.is_null()) return listing;
  listing.total = mapping_us(chosen, member_place(place, "chosen"));
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

// Clusters of each group.
Listing clusters_of(const Json& document, const std::string& place) {
  Listing listing{"channel group", "clusters", {}, 0, "All groups"};
  listing.subject = text(document, "model", place);
  const Json& groups = list(document, "groups", place);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string at = item_place(place, "groups", i);
    std::set<std::string> clusters;
    for (const Json& cluster : list(groups[i], "clusters", at)) clusters.insert(cluster.dump());
    listing.entries.emplace_back(text(groups[i], "name", at), static_cast<double>(clusters.size()));
    listing.total += static_cast<double>(clusters.size());
  }
  return listing;
}

// The time of each kernel beside each other one, in both parts.
Listing neighbours_of(const Json& document, const std::string& place) {
  Listing listing{"pair", "us", {}, 0, "All kernels beside each other"};
  const Json &cells = list(document, "cells", place), &kernels = list(document, "kernels", place);
  auto name = [&](const Json& cell, const char* key, const std::string& at) {
    const std::int64_t index = integer(cell, key, at);
    if (index < 0 || static_cast<std::size_t>(index) >= kernels.size())
      throw Error(Code::bad_json, fmt::format("\"{}\" is no kernel's number", key), at);
    return text(kernels[static_cast<std::size_t>(index)], "name", member_place(place, "kernels"));
  };
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string at = item_place(place, "cells", i);
    const std::string first = name(cells[i], "first", at), second = name(cells[i], "second", at);
    for (const char* key : {"first_slowdown", "second_slowdown"}) {
      const Json& slowdown = member(cells[i], key, at);
      if (slowdown.is_null()) continue;
      const bool of_first = key[0] == 'f';
      listing.entries.emplace_back(fmt::format("{} beside {}, {} part", of_first ? first : second,
                                               of_first ? second : first, of_first ? "first" : "second"),
                                   number(slowdown, "beside_us", member_place(at, key)));
      listing.total += listing.entries.back().second;
    }
  }
  return listing;
}

// What the other run lists and this one leaves as it was.
void add_standard(Listing& listing, const Listing& other) {
  for (const auto& [name, value] : other.standard)
    if (!listing.standard.contains(name)) listing.entries.emplace_back(name, value);
}

Listing listing_of(const std::string& kind, const Json& document, const std::string& place) {
  if (kind == "analysis") return analysis_of(document, place);
  if (kind == "device-analysis") return device_analysis_of(document, place);
  if (kind == "gpu-analysis") return gpu_analysis_of(document, place);
  if (kind == "bench") return models_of(document, place);
  if (kind == "verify") return models_of(member(document, "speed", place), member_place(place, "speed"));
  if (kind == "optimize") return result_of(document, place);
  if (kind == "plan") return groups_of(document, place);
  if (kind == "tune") return tasks_of(document, place);
  if (kind == "patterns") return clusters_of(document, place);
  if (kind == "tune-interference") return neighbours_of(document, place);
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
  if (listing.unit == "clusters") return fmt::format("{:.0f} clusters", listing.total);
  return listing.unit == "us" ? console::duration(listing.total) : fmt::format("{:.3f}x", listing.total);
}

bool modelled(const std::string& kind, const Json& document) {
  if (kind != "optimize") return kind == "device-analysis" || kind == "map";
  return document.contains("devices") && document["devices"].is_array() && !document["devices"].empty();
}

std::string stamp_of(const std::string& kind, const Json& before, const Json& after) {
  if (kind == "plan") return "as the plans say";
  if (kind == "patterns") return "computed";
  const bool first = modelled(kind, before), second = modelled(kind, after);
  if (first != second) return first ? "modelled, then measured" : "measured, then modelled";
  return first ? "modelled" : "measured, in two runs";
}

std::string verdict_of(const Listing& a, const Listing& b) {
  if (!(a.total > 0)) return fmt::format("{}: {} in the second run.", a.total_name, total_text(b));
  const double change = 100 * (b.total / a.total - 1);
  const std::string words = std::abs(change) < 0.05
                                ? "no change"
                                : fmt::format("{:.1f} % {}", std::abs(change), change < 0 ? "less" : "more");
  return fmt::format("{}: {} in the first run, {} in the second, {}.", a.total_name, total_text(a),
                     total_text(b), words);
}

// What besides the subject of the comparison the difference may come from.
std::vector<std::string> caveats(const std::string& kind, const std::string& stamp, const Listing& a,
                                 const Listing& b) {
  std::vector<std::string> lines;
  if (a.subject != b.subject)
    lines.push_back(fmt::format("The first run is of {}; the second of {}.", a.subject, b.subject));
  if (kind == "optimize" && stamp.starts_with("measured"))
    lines.push_back(
        "Each run timed its result and its original in the same rounds, so the shares can be compared.");
  else if (stamp.starts_with("measured"))
    lines.push_back(
        "The two runs were not interleaved: what the machine did meanwhile is part of the difference. tailor "
        "bench times both models in the same rounds.");
  else if (stamp == "modelled")
    lines.push_back("Nothing was run: the difference is that of two models of the hardware's time.");
  return lines;
}

Card card_of(const char* label, const Listing& listing, const std::string& name) {
  return {label, total_text(listing),
          listing.note.empty() ? name : fmt::format("{}; {}", name, listing.note)};
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
  Content content{"Two runs", verdict_of(a, b), stamp_of(kind, before, after)};
  content.cards = {card_of("first run", a, name_before), card_of("second run", b, name_after)};
  content.limits_title = "What the difference holds";
  content.limits = caveats(kind, content.stamp, a, b);
  Section section{
      "Differences", fmt::format("Each {} of both runs, paired by its name.", a.what), {"difference"}};
  section.table = pairs(a, b);
  content.sections = {std::move(section)};
  if (kind == "optimize") {
    Section outcomes = outcomes_section({{name_before, before}, {name_after, after}});
    for (Row& row : outcomes.table->rows) row.layer.reset();  // channel groups are what is selected here
    content.sections.insert(content.sections.begin(), std::move(outcomes));
  }
  content.method = {{"first run", name_before}, {"second run", name_after}, {"kind", kind}};
  return content;
}

}  // namespace tailor::report
