// The command line of devices: descriptions of GPUs, read, made, or fitted to what was measured.
#include "tailor/app/arguments.h"

#include <CLI/CLI.hpp>

// As in arguments.cpp: a specialisation must be the same wherever it is used.
template <>
constexpr const char* CLI::detail::type_name<std::filesystem::path>() {
  return "FILE";
}

namespace tailor::app {
namespace {

void add_new(CLI::App& devices, Invocation& invocation) {
  auto [made, n] = verb<DeviceNewArguments>(
      devices, invocation, "new", "a description like another one, with other figures", devices_new);
  made->add_option("NAME", n->name, "of a-z, 0-9, _ and -")->required();
  made->add_option("--like", n->like, "the device that it is made from")->required();
  made->add_option("--title", n->title, "as people call it");
  made->add_option("--multiprocessors", n->multiprocessors, "peaks are scaled with them")
      ->check(CLI::Range(1, 4096));
  made->add_option("--clock-mhz", n->clock_mhz, "peaks are scaled with it")->check(CLI::Range(1.0, 1e5));
  made->add_option("--gbytes-per-s", n->gbytes_per_s, "bandwidth of the memory")->check(CLI::Range(0.1, 1e6));
  made->add_option("--gbytes", n->gbytes, "size of the memory")->check(CLI::Range(0.001, 1e6));
  made->add_option("-o,--output", n->out, "file to write (default: stdout)");
}

void add_fit(CLI::App& devices, Invocation& invocation) {
  auto [fit, f] = verb<DeviceFitArguments>(
      devices, invocation, "fit", "the wave model fitted to what scripts/gpu-check measured", devices_fit);
  fit->add_option("FOLDER", f->folder, "of gpu-check's results: device.json, staircases.jsonl, run.json")
      ->required();
  fit->add_option("--like", f->like, "the description of this GPU, with its peaks: a name or FILE.toml")
      ->required();
  fit->add_option("--name", f->name, "of a-z, 0-9, _ and - (default: that of --like)");
  fit->add_option("-o,--output", f->out, "TOML file to write: the description with the fitted numbers");
}

}  // namespace

void add_devices(CLI::App& app, Invocation& invocation) {
  CLI::App* devices = app.add_subcommand(
      "devices", "GPUs that are known by description: list, show, probe, make a new one, or fit one");
  devices->require_subcommand(1);
  verb<DeviceArguments>(*devices, invocation, "list", "the descriptions that come with the program",
                        devices_list);
  auto [show, s] =
      verb<DeviceArguments>(*devices, invocation, "show", "one description, as TOML", devices_show);
  show->add_option("NAME", s->name, "name or file")->required();
  auto [probe, p] = verb<DeviceProbeArguments>(
      *devices, invocation, "probe",
      "the description of the NVIDIA GPU that is there, as its driver gives it", devices_probe);
  probe->add_option("--name", p->name, "of a-z, 0-9, _ and - (default: made of the device's)");
  probe->add_option("-o,--output", p->out, "file to write (default: stdout)");
  add_new(*devices, invocation);
  add_fit(*devices, invocation);
}

}  // namespace tailor::app
