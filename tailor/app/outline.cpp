#include "tailor/app/outline.h"

#include "tailor/app/app.h"
#include "tailor/device/accelerator.h"
#include "tailor/device/device.h"
#include "tailor/device/platform.h"

namespace tailor::app {
namespace {

using Names = std::vector<std::string>;

template <class List>
Names keys(const List& list) {
  Names names;
  for (const auto& [name, text] : list) names.emplace_back(name);
  return names;
}

Names joined(Names first, const Names& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// What is known by name; each found once.
struct Known {
  Names devices = names_of(device::known_devices()), platforms = keys(device::presets()),
        accelerators = keys(device::accelerator_presets());

  static Names names_of(const std::vector<device::Device>& devices) {
    Names names;
    for (const device::Device& device : devices) names.push_back(device.name);
    return names;
  }
  // A device of optimize, analyze, bench or verify.
  Names places() const { return joined({"cpu", "cuda"}, joined(devices, accelerators)); }
};

void add_values(console::OptionOutline& option, const Known& known) {
  for (const std::string& name : option.names) {
    if (name == "--device") option.values = known.places();
    if (name == "--like") option.values = known.devices;
    if (name == "--platform") option.values = known.platforms;
  }
}

void add_words(console::VerbOutline& verb, const std::string& path, const Known& known) {
  if (path == "tailor devices show") verb.words = known.devices;
  if (path == "tailor platform show") verb.words = joined(known.platforms, known.accelerators);
  if (path == "tailor platform predict") verb.words = known.accelerators;
  if (path == "tailor schema") verb.words = keys(schemas());
  if (path == "tailor completion") verb.words = console::completed_shells();
}

void add_values(console::VerbOutline& outline, const std::string& before, const Known& known) {
  const std::string path = before.empty() ? outline.name : before + " " + outline.name;
  add_words(outline, path, known);
  for (console::OptionOutline& option : outline.options) add_values(option, known);
  for (console::VerbOutline& verb : outline.verbs) add_values(verb, path, known);
}

}  // namespace

void add_headings(CLI::App& app) {
  console::head_verbs(
      app, {{"Look", {"doctor", "inspect", "analyze", "devices", "platform"}},
            {"Compare", {"bench", "verify", "evaluate", "report"}},
            {"Change",
             {"optimize", "plan", "grow", "distill", "finetune", "train", "worth", "patterns", "search"}},
            {"Fit to other hardware", {"map", "assign", "place", "tune"}},
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
  add_values(outline, "", {});
  return outline;
}

}  // namespace tailor::app
