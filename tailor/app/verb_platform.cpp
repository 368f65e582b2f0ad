// tailor platform: the descriptions that come with the program, one of them, or one with a unit that was measured.
#include "tailor/app/platform.h"
#include "tailor/base/file.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/base/text.h"
#include "tailor/device/accelerator.h"
#include "tailor/device/platform.h"
#include "tailor/pipeline/calibrate_unit.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::app {
namespace {

using device::Platform;

std::string units_text(const Platform& platform) {
  std::vector<std::string> names;
  for (const device::Unit& unit : platform.units) names.push_back(unit.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Json platform_json(const Platform& platform) {
  Json units = Json::array();
  for (const device::Unit& unit : platform.units) {
    Json weights = Json::array();
    for (const device::WeightFormat& format : unit.weights) weights.push_back(format.name);
    Json json = {{"name", unit.name}, {"weights", std::move(weights)}};
    if (platform.measured())
      json["precision"] = unit.precision;
    else
      json["model"] = unit.model, json["parameters"] = unit.parameters;
    units.push_back(std::move(json));
  }
  return {{"name", platform.name},
          {"title", platform.title},
          {"how", platform.measured() ? "measured" : "modelled"},
          {"units", std::move(units)}};
}

Json accelerator_json(const device::Accelerator& a) {
  return {{"name", a.name},
          {"title", a.title},
          {"how", "modelled"},
          {"pes", a.pes()},
          {"frequency_mhz", a.frequency_mhz > 0 ? Json(a.frequency_mhz) : Json()}};
}

int print_platforms(Json platforms, Json accelerators) {
  print_document({{"schema", "tailor/platforms/1"},
                  {"platforms", std::move(platforms)},
                  {"accelerators", std::move(accelerators)}});
  return 0;
}

// Those that are built in.
std::vector<device::Accelerator> accelerators() {
  std::vector<device::Accelerator> all;
  for (const auto& [name, text] : device::accelerator_presets())
    all.push_back(device::find_accelerator(std::string(name)));
  return all;
}

std::string accelerator_table() {
  Table table({{"accelerator"}, {"PEs", Align::right}, {"costs"}, {"title"}});
  for (const device::Accelerator& a : accelerators())
    table.row({a.name, fmt::format("{:.0f}", a.pes()), "modelled", a.title});
  return table.text({}, output_width());
}

int show_accelerator(const Global& global, const std::string& name) {
  const device::Accelerator accelerator = device::find_accelerator(name);
  if (global.json) return print_platforms(Json::array(), Json::array({accelerator_json(accelerator)}));
  for (const auto& [known, text] : device::accelerator_presets())
    if (known == name) return print(std::string(text)), 0;
  print(device::to_toml(accelerator));
  return 0;
}

// @throws Error unknown_device that knows accelerators too
Platform shown_platform(const std::string& name) {
  const bool file = name.find('/') != std::string::npos || name.ends_with(".toml");
  std::vector<std::string> names;
  for (const auto* presets : {&device::presets(), &device::accelerator_presets()})
    for (const auto& [known, text] : *presets) names.emplace_back(known);
  if (!file && std::find(names.begin(), names.end(), name) == names.end())
    throw Error(Code::unknown_device,
                fmt::format("there is no platform or accelerator '{}'{}", name, did_you_mean(name, names)),
                "NAME", fmt::format("built in are {}; or give a file NAME.toml", fmt::join(names, ", ")));
  return device::find_platform(name);
}

std::string error_text(const char* name, const latency::RelativeError& error) {
  return fmt::format("{}: median {:.1f} %, nine of ten within {:.1f} %, most {:.1f} %\n", name,
                     100 * error.median, 100 * error.p90, 100 * error.most);
}

std::string summary(const pipeline::UnitCalibration& c) {
  std::string text = fmt::format("{} of {}: {} layers in {} by {} {}, {}, on {}\n", c.unit, c.platform.name,
                                 c.timings.size(), c.precision, c.runtime, c.version, c.isa, c.processor);
  if (!c.refused.empty())
    text += fmt::format("{} more are not computed by this runner, the first: {}\n", c.refused.size(),
                        c.refused.front());
  for (const auto& [name, value] : c.fit.parameters) text += fmt::format("  {} = {:.6g}\n", name, value);
  return text + error_text("error on the layers fitted", c.fit.fitted) +
         error_text("error on layers left out (five parts, each predicted from the rest)", c.fit.held_out);
}

std::string toml_of(const pipeline::UnitCalibration& c) {
  return fmt::format(
             "# {}: cost model fitted by tailor platform calibrate to {} layers in {} ({} {}, {}, {}).\n"
             "# Median error {:.1f} % on layers left out.\n",
             c.unit, c.timings.size(), c.precision, c.runtime, c.version, c.isa, c.processor,
             100 * c.fit.held_out.median) +
         device::to_toml(c.platform);
}

}  // namespace

int platform_list(const Global& global, const PlatformArguments&) {
  Json list = Json::array();
  Table table({{"platform"}, {"units"}, {"costs"}, {"title"}});
  for (const auto& [name, text] : device::presets()) {
    const Platform platform = device::find_platform(std::string(name));
    list.push_back(platform_json(platform));
    table.row(
        {platform.name, units_text(platform), platform.measured() ? "measured" : "modelled", platform.title});
  }
  if (global.json) {
    Json known = Json::array();
    for (const device::Accelerator& a : accelerators()) known.push_back(accelerator_json(a));
    return print_platforms(std::move(list), std::move(known));
  }
  print(table.text({}, output_width()) +
        "tailor platform show NAME prints a description; a changed copy is given to --platform by its "
        "path.\n\n" +
        accelerator_table() +
        "tailor platform predict NAME MODEL says what a network costs on one of these.\n");
  return 0;
}

int platform_show(const Global& global, const PlatformArguments& arguments) {
  if (device::names_accelerator(arguments.name)) return show_accelerator(global, arguments.name);
  const Platform platform = shown_platform(arguments.name);
  if (global.json) return print_platforms(Json::array({platform_json(platform)}), Json::array());
  for (const auto& [name, text] : device::presets())
    if (name == arguments.name) return print(std::string(text)), 0;
  print(device::to_toml(platform));
  return 0;
}

int platform_calibrate(const Global& global, const PlatformCalibrateArguments& arguments) {
  if (!arguments.out.empty()) check_target(arguments.out);
  pipeline::CalibrateOptions options;
  options.platform = arguments.platform, options.unit = arguments.unit, options.model = arguments.model;
  options.precision = arguments.precision, options.layers = arguments.layers,
  options.rounds = arguments.rounds;
  options.seed = arguments.seed, options.runner = global.runner;
  options.runner.program = "tailor-runner-onednn";
  pipeline::UnitCalibration calibration;
  {
    Progress progress("calibrate");
    options.progress = [&](double done) { progress.update(100 * done, 100, "times"); };
    calibration = pipeline::calibrate_unit(options);
  }
  const std::string toml = toml_of(calibration);
  device::parse_platform(toml, "the fitted description");  // its ranges
  if (!arguments.out.empty()) write_file(arguments.out, toml);
  if (global.json) return print_document(to_json(calibration)), 0;
  if (arguments.out.empty()) {
    say(global, 0, summary(calibration));
    print(toml);
  } else {
    print(summary(calibration) + fmt::format("wrote {}\n", arguments.out.string()));
  }
  return 0;
}

}  // namespace tailor::app
