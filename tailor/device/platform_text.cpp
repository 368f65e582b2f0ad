// A platform as TOML: what parse_platform reads, in the same order.
#include "tailor/device/platform.h"
#include "tailor/device/settings.h"

#include <fmt/format.h>

namespace tailor::device {
namespace {

std::string weights_text(const Unit& unit) {
  std::string names;
  for (const WeightFormat& format : unit.weights) names += (names.empty() ? "" : ", ") + quoted(format.name);
  const WeightFormat& first = unit.weights.front();
  return fmt::format("weights = [{}]\nscale = \"{}\"\n{}", names, first.per_channel ? "channel" : "layer",
                     first.power_of_two ? "power_of_two = true\n" : "");
}

std::string unit_text(const Unit& unit) {
  std::string text = fmt::format("\n[[unit]]\nname = {}\n", quoted(unit.name));
  if (!unit.precision.empty())
    return text + fmt::format("precision = {}\n", quoted(unit.precision)) + weights_text(unit);
  text += weights_text(unit);
  if (unit.computes == Computes::depthwise) text += "computes = \"depthwise\"\n";
  if (unit.power_mw >= 0) text += fmt::format("power_mw = {}\n", unit.power_mw);
  if (unit.idle_mw > 0) text += fmt::format("idle_mw = {}\n", unit.idle_mw);
  text += fmt::format("[unit.cost]\nmodel = {}\n", quoted(unit.model));
  for (const auto& [name, value] : unit.parameters) text += fmt::format("{} = {}\n", name, value);
  return text;
}

}  // namespace

std::string to_toml(const Platform& p) {
  std::string text =
      fmt::format("schema = \"tailor/platform/1\"\nname = {}\ntitle = {}\n", quoted(p.name), quoted(p.title));
  text += p.measured() ? fmt::format("runner = {}\n", quoted(p.runner))
                       : fmt::format("frequency_mhz = {}\n", p.frequency_mhz);
  if (p.activation_bits > 0) text += fmt::format("activation_bits = {}\n", p.activation_bits);
  for (const Unit& unit : p.units) text += unit_text(unit);
  for (const Together& together : p.together) {
    std::string names;
    for (int unit : together.units)
      names += (names.empty() ? "" : ", ") + quoted(p.units[static_cast<std::size_t>(unit)].name);
    text += fmt::format("\n[[together]]\nunits = [{}]\npower_mw = {}\n", names, together.power_mw);
  }
  const Transfer& t = p.transfer;
  if (t == Transfer{}) return text;
  return text + fmt::format("\n[transfer]\ncycles = {}\ncycles_per_byte = {}\nbytes = {}\npower_mw = {}\n",
                            t.cycles, t.cycles_per_byte, t.bytes, t.power_mw);
}

}  // namespace tailor::device
