// Quantities as people write and read them.
#include "tailor/app/app.h"
#include "tailor/base/text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <map>

namespace tailor::app {
namespace {

struct Unit {
  std::string_view suffix;
  double factor;
};

template <std::size_t N>
double parse(const std::string& text, const char* option, const std::array<Unit, N>& units,
             const char* example) {
  double value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view rest(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  for (const Unit& unit : units)
    if (failed == std::errc{} && std::isfinite(value) && value >= 0 && rest == unit.suffix)
      return value * unit.factor;
  throw Error(Code::bad_value, fmt::format("'{}' is no value for {}", text, option), option,
              fmt::format("write for instance {}", example));
}

}  // namespace

double parse_seconds(const std::string& text, const char* option) {
  constexpr std::array<Unit, 6> kUnits = {
      {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"m", 60}, {"h", 3600}}};
  return parse(text, option, kUnits, "3s or 500ms");
}

double parse_share(const std::string& text, const char* option) {
  constexpr std::array<Unit, 2> kUnits = {{{"", 1}, {"%", 0.01}}};
  return parse(text, option, kUnits, "2% or 0.02");
}

double parse_factor(const std::string& text, const char* option) {
  constexpr std::array<Unit, 2> kUnits = {{{"", 1}, {"x", 1}}};
  return parse(text, option, kUnits, "1.3x");
}

double parse_points(const std::string& text, const char* option) {
  constexpr std::array<Unit, 2> kUnits = {{{"", 1}, {"%", 1}}};
  return parse(text, option, kUnits, "0.5, in points (of a hundred)");
}

double parse_energy(const std::string& text, const char* option) {
  constexpr std::array<Unit, 4> kUnits = {{{"uJ", 1}, {"nJ", 1e-3}, {"mJ", 1e3}, {"J", 1e6}}};
  return parse(text, option, kUnits, "10uJ or 0.5mJ");
}

LatencyLimit parse_latency(const std::string& text, const char* option) {
  if (text.ends_with('x')) return {.ratio = parse_factor(text, option)};
  if (text.ends_with('s')) return {.us = 1e6 * parse_seconds(text, option)};
  throw Error(Code::bad_value, fmt::format("'{}' is no value for {}", text, option), option,
              "write for instance 5ms, or 0.68x for a share of the original's latency");
}

data::Preparation preparation_of(const PreparationArguments& a) {
  static const std::map<std::string, data::Resize> kWays = {
      {"", data::Resize::none}, {"stretch", data::Resize::stretch}, {"crop", data::Resize::crop}};
  auto way = kWays.find(a.resize);
  if (way == kWays.end())
    throw Error(Code::unknown_name, fmt::format("there is no way '{}' to resize", a.resize), "--resize",
                "write stretch or crop");
  if (a.scale < 0) throw Error(Code::bad_value, "--scale must be positive", "--scale");
  data::Preparation preparation;
  preparation.mean = a.mean, preparation.std = a.std, preparation.resize = way->second,
  preparation.bgr = a.bgr;
  if (a.scale > 0) preparation.scale = a.scale;
  return preparation;
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

std::string engineering(double number) {
  for (auto [unit, name] : {std::pair{1e9, "G"}, {1e6, "M"}, {1e3, "k"}})
    if (number >= unit) return fmt::format("{:.1f} {}", number / unit, name);
  return fmt::format("{:g}", number);
}

std::string duration(double us) {
  if (us < 1e3) return fmt::format("{:.1f} us", us);
  return us < 1e6 ? fmt::format("{:.3f} ms", us / 1e3) : fmt::format("{:.3f} s", us / 1e6);
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
