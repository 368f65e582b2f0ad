// Channels that cost nothing (--free of analyze and optimize), and the channel groups with their staircases.
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::report {
namespace {

// The layer that a row about a group selects: the first of its layers.
std::optional<std::size_t> first_layer(const Json& layers) {
  if (!layers.is_array() || layers.empty() || !layers[0].is_number_integer() || layers[0] < 0)
    return std::nullopt;
  return layers[0].get<std::size_t>();
}

std::map<std::string, std::size_t> first_layers(const Json& document) {
  std::map<std::string, std::size_t> found;
  if (!document.contains("groups") || !document["groups"].is_array()) return found;
  for (const Json& group : document["groups"]) {
    if (!group.is_object() || !group.contains("layers") || !group.contains("name")) continue;
    const auto layer = first_layer(group["layers"]);
    if (layer && group["name"].is_string()) found.emplace(group["name"].get<std::string>(), *layer);
  }
  return found;
}

std::optional<std::size_t> layer_of(const std::map<std::string, std::size_t>& layers,
                                    const std::string& group) {
  const auto found = layers.find(group);
  return found == layers.end() ? std::nullopt : std::optional(found->second);
}

Cell whole_cell(const Json& object, const char* key, const std::string& at) {
  return number_cell(static_cast<double>(integer(object, key, at)), 0);
}

Row free_row(const Json& group, const std::string& at, const std::map<std::string, std::size_t>& layers) {
  const std::string name = text(group, "group", at);
  const double us = number(group, "us", at), free_us = number(group, "free_us", at);
  return {{name_cell(name), whole_cell(group, "width", at), whole_cell(group, "free_to", at),
           whole_cell(group, "together", at), whole_cell(group, "layers", at), number_cell(us, 2),
           number_cell(free_us, 2), number_cell(100 * (share_of(free_us, us) - 1), 1)},
          layer_of(layers, name)};
}

std::string free_note(const Json& free, const std::string& at) {
  const double us = number(free, "us", at), together = number(free, "together_us", at);
  const auto asked = integer(free, "asked", at), stuck = integer(free, "stuck", at);
  const std::size_t groups = list(free, "groups", at).size();
  std::string note =
      groups == 0
          ? std::string("No group can be wider for nothing")
          : fmt::format(
                "{} of {} groups that can grow could be wider for nothing; all of them at once change "
                "the time of the layers by {:+.1f} %",
                groups, asked, 100 * (share_of(together, us) - 1));
  note += fmt::format(" ({}). What costs less than {} of the time of a group's layers counts as nothing.",
                      text(free, "how", at), percent(number(free, "most_cost", at)));
  if (stuck > 0)
    note += fmt::format(" {} group{} cannot grow and {} not asked about.", stuck, stuck == 1 ? "" : "s",
                        stuck == 1 ? "was" : "were");
  return note;
}

// "24: 10.2, 26: 10.3": a staircase for those who do not see the chart.
std::string points_text(const Json& group, const std::string& at) {
  const Json &widths = list(group, "widths", at), &us = list(group, "us", at);
  std::string line;
  for (std::size_t i = 0; i < std::min(widths.size(), us.size()); ++i)
    if (widths[i].is_number_integer() && us[i].is_number())
      line += fmt::format("{}{}: {:.4g}", line.empty() ? "" : ", ", widths[i].get<std::int64_t>(),
                          us[i].get<double>());
  return line;
}

// The time at the present width.
Cell present_cell(const Json& group, const std::string& at) {
  const Json &widths = list(group, "widths", at), &us = list(group, "us", at);
  const Json& width = member(group, "width", at);
  const auto found = std::find(widths.begin(), widths.end(), width);
  const auto i = static_cast<std::size_t>(found - widths.begin());
  return i < us.size() && us[i].is_number() ? number_cell(us[i].get<double>(), 2) : Cell{"-"};
}

Row group_row(const Json& group, const std::string& at, bool wider) {
  const Json& layers = list(group, "layers", at);
  Row row{{name_cell(text(group, "name", at)), whole_cell(group, "width", at),
           number_cell(static_cast<double>(layers.size()), 0), present_cell(group, at),
           step_cell(group, "edge", at)},
          {}};
  if (wider) row.cells.push_back(step_cell(group, "wider", at));
  row.cells.push_back(step_cell(group, "down", at));
  row.cells.push_back(step_cell(group, "up", at));
  row.cells.push_back({points_text(group, at)});
  row.layer = first_layer(layers);
  return row;
}

}  // namespace

void add_free(Content& content, const Json& document, const std::string& place) {
  if (!document.is_object() || !document.contains("free")) return;  // only --free asks for it
  const Json& free = document["free"];
  const std::string at = member_place(place, "free");
  Section section{"Channels that cost nothing", free_note(free, at), {"free"}};
  Table table{"Groups that could be wider for nothing",
              {{"group"},
               {"width", true},
               {"free up to", true, "widest width that costs nothing, all other groups as they are"},
               {"with the others", true, "width that it can have while the others are wider too"},
               {"layers", true, "that make or read the group's channels"},
               {"their us", true},
               {"us when free", true, "of the same layers at the width before"},
               {"change %", true}},
              {}};
  const std::map<std::string, std::size_t> layers = first_layers(document);
  const Json& groups = list(free, "groups", at);
  for (std::size_t i = 0; i < groups.size(); ++i)
    table.rows.push_back(free_row(groups[i], item_place(at, "groups", i), layers));
  if (table.rows.empty()) section.figures.clear();
  if (!table.rows.empty()) section.table = std::move(table);
  content.sections.push_back(std::move(section));
}

void add_groups(Content& content, const Json& document, const std::string& place, bool wider) {
  const Json& groups = list(document, "groups", place);
  if (groups.empty()) return;
  Section section{
      "Channel groups",
      "A width is shared by all layers of its group. What the staircases above draw, in numbers."};
  Table table{"Groups, their widths and what neighbours would cost",
              {{"group"},
               {"width", true},
               {"layers", true},
               {"us", true, "of all its layers, at the present width"},
               {"back to the edge", true, "where the present width lies just past one"}},
              {}};
  if (wider) table.columns.push_back({"wider and faster", true, "the fastest of the wider widths"});
  for (const Column& column :
       {Column{"narrower", true, "widest narrower width that surely saves 2 %"},
        Column{"free up to", true, "widest width that costs at most 1 % more"}, Column{"width: us"}})
    table.columns.push_back(column);
  for (std::size_t i = 0; i < groups.size(); ++i)
    table.rows.push_back(group_row(groups[i], item_place(place, "groups", i), wider));
  section.table = std::move(table);
  content.sections.push_back(std::move(section));
}

}  // namespace tailor::report
