// Quantities as people write and read them.
#include "tailor/console/console.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <map>

namespace tailor::console {
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

std::string engineering(double number) {
  for (auto [unit, name] : {std::pair{1e9, "G"}, {1e6, "M"}, {1e3, "k"}})
    if (number >= unit) return fmt::format("{:.1f} {}", number / unit, name);
  return fmt::format("{:g}", number);
}

std::string duration(double us) {
  if (us < 1e3) return fmt::format("{:.1f} us", us);
  return us < 1e6 ? fmt::format("{:.3f} ms", us / 1e3) : fmt::format("{:.3f} s", us / 1e6);
}

}  // namespace tailor::console
