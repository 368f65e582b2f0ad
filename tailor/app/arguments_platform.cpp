// The command line of platform: descriptions of systems on chip and accelerators, one whose costs are fitted to timings,
// and a network on an accelerator.
#include "tailor/app/arguments.h"
#include "tailor/app/platform.h"

#include <CLI/CLI.hpp>

// As in arguments.cpp: a specialisation must be the same wherever it is used.
template <>
constexpr const char* CLI::detail::type_name<std::filesystem::path>() {
  return "FILE";
}

namespace tailor::app {
namespace {

void add_predict(CLI::App& platform, Invocation& invocation) {
  auto [predict, p] = verb<PlatformPredictArguments>(
      platform, invocation, "predict",
      "cycles, energy and use of every layer on an accelerator, modelled from its description",
      platform_predict);
  predict->add_option("NAME", p->name, "accelerator: a name of platform list, or FILE.toml")->required();
  predict->add_option("MODEL", p->model, "ONNX file")->required();
  predict->add_option("--shape", p->shapes, kShapeHelp);
  predict
      ->add_option("--objective", p->objective,
                   "of the tilings that are searched for: latency, energy or product")
      ->capture_default_str();
  predict->add_option("--layer", p->layer, "only layers whose names have this part");
}

}  // namespace

void add_platform(CLI::App& app, Invocation& invocation) {
  CLI::App* platform = app.add_subcommand(
      "platform",
      "systems on chip that map knows, and accelerators: list, show, calibrate a unit, predict a network");
  platform->require_subcommand(1);
  verb<PlatformArguments>(*platform, invocation, "list", "the descriptions that come with the program",
                          platform_list);
  auto [show, s] =
      verb<PlatformArguments>(*platform, invocation, "show", "one description, as TOML", platform_show);
  show->add_option("NAME", s->name, "name or FILE.toml")->required();
  auto [calibrate, c] = verb<PlatformCalibrateArguments>(
      *platform, invocation, "calibrate",
      "the description with a unit's cost model fitted to at most 50 timings", platform_calibrate);
  calibrate->add_option("PLATFORM", c->platform, "name or FILE.toml; its costs are modelled")->required();
  calibrate->add_option("--unit", c->unit, "the unit whose cost model is replaced")->required();
  calibrate->add_option("--precision", c->precision, "what its layers are timed in: f32, bf16 or i8")
      ->capture_default_str();
  calibrate->add_option("--model", c->model,
                        "ONNX file whose layers are timed (default: layers drawn at random)");
  calibrate->add_option("--layers", c->layers, "how many, 10 to 50")->capture_default_str();
  calibrate->add_option("--rounds", c->rounds, "of timing")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  calibrate->add_option("--seed", c->seed, "of the layers that are drawn, and of the order")
      ->capture_default_str();
  calibrate->add_option("-o,--output", c->out, "file to write (default: stdout)");
  add_predict(*platform, invocation);
}

}  // namespace tailor::app
