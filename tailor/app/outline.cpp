#include "tailor/app/outline.h"

#include "tailor/device/device.h"
#include "tailor/device/platform.h"

namespace tailor::app {
namespace {

void add_values(console::VerbOutline& outline) {
  std::vector<std::string> devices, platforms;
  for (const device::Device& device : device::known_devices()) devices.push_back(device.name);
  for (const auto& [name, text] : device::presets()) platforms.emplace_back(name);
  for (console::OptionOutline& option : outline.options)
    for (const std::string& name : option.names)
      if (name == "--device" || name == "--like" || name == "--platform")
        option.values = name == "--platform" ? platforms : devices;
  for (console::OptionOutline& option : outline.options)
    if (option.names.back() == "--device") option.values.insert(option.values.begin(), "cpu");
  for (console::VerbOutline& verb : outline.verbs) add_values(verb);
}

}  // namespace

void add_headings(CLI::App& app) {
  console::head_verbs(
      app, {{"Look", {"doctor", "inspect", "analyze", "devices", "platform"}},
            {"Compare", {"bench", "verify", "evaluate", "report"}},
            {"Change",
             {"optimize", "plan", "grow", "distill", "finetune", "train", "worth", "patterns", "search"}},
            {"Fit to other hardware", {"map", "place", "tune"}},
            {"About the program", {"explain", "schema", "completion", "man"}}});
  console::head_options(
      app, "optimize",
      {{"Goal: exactly one", {"--latency", "--speedup", "--macs", "--widths-from", "--as-fast-as", "--plan"}},
       {"Samples",
        {"--calib", "--eval", "--mean", "--std", "--scale", "--resize", "--bgr", "--label-offset", "--fit",
         "--refit", "--judge", "--no-augment"}},
       {"What may change",
        {"--rule", "--criterion", "--gradients", "--patterns", "--recover", "--joint", "--rounds", "--widths",
         "--keep-branches", "--keep-kernels", "--keep-streams", "--tokens", "--merge", "--from"}},
       {"Measuring",
        {"--device", "--precision", "--shape", "--threads", "--time", "--profile", "--fresh", "--resume",
         "--seed"}}});
}

console::VerbOutline outline_of(const CLI::App& app) {
  console::VerbOutline outline = console::outline_of(app);
  add_values(outline);
  return outline;
}

}  // namespace tailor::app
