// Quantities of the verbs' own, as people write and read them; the common ones are in console/quantities.cpp.
#include "tailor/app/app.h"

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

std::string shape_text(const graph::Shapes& shapes, const std::string& value) {
  const graph::Shape* shape = shapes.shape(value);
  return shape ? graph::to_string(*shape) : "?";
}

}  // namespace tailor::app
