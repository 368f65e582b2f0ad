// Quantities of the verbs' own, as people write and read them; the common ones are in console/quantities.cpp.
#include "tailor/app/app.h"
#include "tailor/base/text.h"

#include <fmt/format.h>

namespace tailor::app {

LatencyLimit parse_latency(const std::string& text, const char* option) {
  if (text.ends_with('x')) return {.ratio = parse_factor(text, option)};
  if (text.ends_with('s')) return {.us = 1e6 * parse_seconds(text, option)};
  throw Error(Code::bad_value, fmt::format("'{}' is no value for {}", text, option), option,
              "write for instance 5ms, or 0.68x for a share of the original's latency");
}

runtime::Journal journal_of(bool fresh, bool resume) {
  if (fresh && resume)
    throw Error(Code::usage, "--fresh and --resume exclude each other", "command line",
                "--fresh measures all layers anew, --resume goes on from what the journal holds");
  return fresh ? runtime::Journal::fresh : resume ? runtime::Journal::resume : runtime::Journal::go_on;
}

graph::ShapeOverrides parse_shapes(const std::vector<std::string>& texts) {
  graph::ShapeOverrides overrides;
  for (const std::string& text : texts)
    if (!overrides.insert(graph::parse_shape_override(text)).second)
      throw Error(Code::bad_value, fmt::format("'{}' gives the shape of an input a second time", text),
                  "--shape");
  return overrides;
}

std::string shape_text(const graph::Shapes& shapes, const std::string& value) {
  const graph::Shape* shape = shapes.shape(value);
  return shape ? graph::to_string(*shape) : "?";
}

std::string with_notes(std::string_view table, const std::vector<std::string>& notes, std::size_t width) {
  std::string text;
  for (std::size_t row = 0; !table.empty(); ++row) {  // the first one holds the titles
    const std::size_t end = table.find('\n') + 1;
    text += table.substr(0, end);
    table.remove_prefix(end);
    if (row > 0 && !notes[row - 1].empty()) text += wrapped("    " + notes[row - 1], width, 4) + "\n";
  }
  return text;
}

std::string width_text(const latency::Workload& w) {
  return w.g > 1 && w.g == w.ic ? fmt::format("{} dw", w.ic) : fmt::format("{} > {}", w.ic, w.oc);
}

}  // namespace tailor::app
