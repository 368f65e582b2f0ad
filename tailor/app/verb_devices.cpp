// tailor devices: the descriptions that come with the program, one of them, or a new one made from it.
#include "tailor/app/app.h"
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/table.h"
#include "tailor/device/device.h"
#include "tailor/device/facts.h"
#include "tailor/pipeline/gpu_target.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::app {
namespace {

using device::Device;

std::string tflops(const Device& d, const char* precision) {
  auto it = d.peak_tflops.find(precision);
  return it == d.peak_tflops.end() ? "-" : fmt::format("{:g}", it->second);
}

Json device_json(const Device& d) {
  return {{"name", d.name},
          {"title", d.title},
          {"vendor", d.vendor},
          {"architecture", d.architecture},
          {"multiprocessors", d.sm.count},
          {"clock_mhz", d.clock_mhz},
          {"gbytes_per_s", d.gbytes_per_s},
          {"peak_tflops", d.peak_tflops},
          {"work", d.work},
          {"median_error", d.error}};
}

std::string fitted(const Device& d) {
  auto it = d.error.find("f32");
  return it == d.error.end() ? "no" : fmt::format("f32, {:.0f} %", 100 * it->second);
}

std::string table_text() {
  Table table({{"device"},
               {"title"},
               {"SMs", Align::right},
               {"MHz", Align::right},
               {"GB/s", Align::right},
               {"f32", Align::right},
               {"f16", Align::right},
               {"i8", Align::right},
               {"fitted (median error)"}});
  for (const Device& d : device::known_devices())
    table.row({d.name, d.title, std::to_string(d.sm.count), fmt::format("{:g}", d.clock_mhz),
               fmt::format("{:g}", d.gbytes_per_s), tflops(d, "f32"), tflops(d, "f16"), tflops(d, "i8"),
               fitted(d)});
  return table.text() +
         "f32, f16, i8: peak TFLOP/s. tailor devices show NAME prints a description; a changed copy is "
         "given to -d by its path.\n";
}

std::string text_of(const std::string& name) {
  for (const auto& [known, text] : device::device_texts())
    if (known == name) return std::string(text);
  return device::to_toml(device::find_device(name));
}

// Arithmetic follows multiprocessors and clock where it is not given itself.
void scale(Device& d, const DeviceNewArguments& a) {
  const double before = d.sm.count * d.clock_mhz;
  if (a.multiprocessors > 0) d.sm.count = a.multiprocessors;
  if (a.clock_mhz > 0) d.clock_mhz = a.clock_mhz;
  for (auto& [precision, peak] : d.peak_tflops) peak *= d.sm.count * d.clock_mhz / before;
  if (a.gbytes_per_s > 0) d.gbytes_per_s = a.gbytes_per_s;
  if (a.gbytes > 0) d.gbytes = a.gbytes;
}

// A description that was made, printed or written.
int deliver(const Global& global, const std::string& text, const std::filesystem::path& out) {
  device::parse_device(text, "the new description");  // its ranges
  if (out.empty()) return print(text), 0;
  write_file(out, text);
  if (!global.quiet)
    say(global, 0, fmt::format("wrote {}: tailor analyze -d {} MODEL", out.string(), out.string()));
  return 0;
}

}  // namespace

int devices_list(const Global& global, const DeviceArguments&) {
  if (!global.json) return print(table_text()), 0;
  Json json = {{"schema", "tailor/devices/1"}, {"devices", Json::array()}};
  for (const Device& d : device::known_devices()) json["devices"].push_back(device_json(d));
  print_document(json);
  return 0;
}

int devices_show(const Global& global, const DeviceArguments& arguments) {
  if (!global.json) return print(text_of(arguments.name)), 0;
  Json json = {{"schema", "tailor/devices/1"}, {"devices", Json::array()}};
  json["devices"].push_back(device_json(device::find_device(arguments.name)));
  print_document(json);
  return 0;
}

int devices_probe(const Global& global, const DeviceProbeArguments& arguments) {
  runtime::Runner runner(pipeline::gpu_runner(global.runner, "f32"));
  const Json hello = runner.ask({{"op", "hello"}});
  if (!hello.contains("device"))
    throw Error(Code::usage, fmt::format("the runner of {} describes no device", runner.hello().runtime),
                "--runner", "tailor-runner-cuda does");
  Device d = device::describe(device::facts_from_json(hello["device"]));
  if (!arguments.name.empty()) d.name = arguments.name;
  const std::string text =
      fmt::format(
          "# Read from the driver by tailor devices probe ({}). Not read, but assumed: launch_us, and the "
          "peaks,\n"
          "# of which f32 follows from clock and lanes; those of matrix units are to be added from the data "
          "sheet.\n",
          runner.hello().version) +
      device::to_toml(d);
  return deliver(global, text, arguments.out);
}

int devices_new(const Global& global, const DeviceNewArguments& arguments) {
  Device d = device::find_device(arguments.like);
  d.name = arguments.name;
  d.title = arguments.title.empty() ? fmt::format("{}, like {}", arguments.name, d.title) : arguments.title;
  d.work.clear(), d.error.clear();  // what was fitted on another device is no measurement of this one
  scale(d, arguments);
  const std::string text =
      fmt::format("# Made by tailor devices new --like {}; check each figure against the data sheet.\n",
                  arguments.like) +
      device::to_toml(d);
  return deliver(global, text, arguments.out);
}

}  // namespace tailor::app
