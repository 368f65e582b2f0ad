// What a network that was made smaller elsewhere got for it, layer by layer (analyze --base).
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::report {
namespace {

// "26 % fewer", "3 % more"
std::string change_text(double ratio) {
  const double change = 100 * (ratio - 1);
  return fmt::format("{:.0f} % {}", std::abs(change), change > 0.5 ? "more" : "fewer");
}

Row row_of(const Json& layer, const std::string& at) {
  const double before = number(layer, "before_us", at), after = number(layer, "after_us", at);
  Row row{
      {name_cell(text(layer, "name", at)),
       {fmt::format("{} to {}", width_text(text(layer, "before", at)), width_text(text(layer, "after", at)))},
       number_cell(100 * (number(layer, "macs_ratio", at) - 1), 1),
       number_cell(100 * (share_of(after, before) - 1), 1),
       number_cell(before, 2),
       number_cell(after, 2),
       {text(layer, "gained", at)},
       {text(layer, "why", at)}},
      {}};
  if (const auto index = integer(layer, "layer", at); index >= 0) row.layer = static_cast<std::size_t>(index);
  return row;
}

std::size_t count_of(const Json& layers, const char* gained) {
  std::size_t count = 0;
  for (const Json& layer : layers)
    count += layer.is_object() && layer.contains("gained") && layer["gained"] == gained;
  return count;
}

}  // namespace

std::string base_text(const Json& document, const std::string& place) {
  if (!document.is_object() || !document.contains("base")) return {};
  const Json& base = document["base"];
  const std::string at = member_place(place, "base");
  const Json& layers = list(base, "layers", at);
  const std::size_t nothing = count_of(layers, "nothing") + count_of(layers, "slower"),
                    all = layers.size() - count_of(layers, "same");
  const double ratio = number(base, "network_ratio", at), change = 100 * (ratio - 1);
  return fmt::format(
      "Against {} it has {} multiply-accumulates and takes {:.1f} % {} time ({}); {} of {} layers "
      "that became smaller are not surely faster.",
      file_name(text(base, "model", at)), change_text(number(base, "macs_ratio", at)), std::abs(change),
      change > 0 ? "more" : "less", text(base, "how", at), nothing, all);
}

void add_base(Content& content, const Json& document, const std::string& place) {
  if (!document.is_object() || !document.contains("base")) return;  // only --base asks for it
  const Json& base = document["base"];
  const std::string at = member_place(place, "base");
  Section section{
      "Against " + file_name(text(base, "model", at)),
      fmt::format("Each layer alone, beside the one that it was made of ({}). A layer that stays on "
                  "its step gives up channels for nothing: go down to the next step, or back up to "
                  "the end of this one.",
                  text(base, "how", at)),
      {"base"}};
  if (const auto unpaired = integer(base, "unpaired", at); unpaired > 0)
    section.note +=
        fmt::format(" {} layers are not compared: they are not in both, or cannot be timed alone.", unpaired);
  Table table{
      "What each layer got for what it gave up",
      {{"layer"},
       {"channels", false, "in > out, before and now"},
       {"MACs %", true, "change of the multiply-accumulates"},
       {"time %", true, "change of the layer's time"},
       {"before us", true},
       {"now us", true},
       {"paid", false, "paid, partly (less than half), nothing, slower; same: it did not become smaller"},
       {"why"}},
      {}};
  const Json& layers = list(base, "layers", at);
  for (std::size_t i = 0; i < layers.size(); ++i)
    table.rows.push_back(row_of(layers[i], item_place(at, "layers", i)));
  section.table = std::move(table);
  content.sections.push_back(std::move(section));
}

}  // namespace tailor::report
