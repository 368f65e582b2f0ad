// tailor devices fit: read -> fit_kernels and fit_device -> a table, a document, and the description that comes of it.
#include "tailor/app/app.h"
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/table.h"
#include "tailor/device/device.h"
#include "tailor/latency/gpu_fit.h"
#include "tailor/pipeline/gpu_results.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::app {
namespace {

using device::Device;
using latency::DeviceFit;
using latency::FitError;
using latency::KernelFit;
using pipeline::GpuResults;

// The description must be of the GPU that was measured: peaks and waves rest on its multiprocessors.
void check_likeness(const Device& device, const GpuResults& results) {
  if (device.sm.count == results.facts.multiprocessors) return;
  throw Error(
      Code::bad_value,
      fmt::format("{} has {} multiprocessors, '{}' by its description {}", results.facts.name,
                  results.facts.multiprocessors, device.name, device.sm.count),
      "--like",
      fmt::format("tailor devices new mine --like {} --multiprocessors {} -o mine.toml, and give that",
                  device.name, results.facts.multiprocessors));
}

std::size_t layers_of(const GpuResults& results) {
  std::size_t layers = 0;
  for (const latency::TimedStaircase& staircase : results.staircases) layers += staircase.size();
  return layers;
}

// As a table, which makes a name out of a file harmless.
std::string headline(const GpuResults& results) {
  Table line({{""}});
  line.row({fmt::format("{}: {} layers in {} staircases", results.facts.name, layers_of(results),
                        results.staircases.size())});
  return line.text();
}

std::string percent(double share) { return fmt::format("{:.1f}", 100 * share); }
std::string percent(const FitError& e) { return percent(e.mean) + " / " + percent(e.median); }

std::string kernels_text(const std::vector<KernelFit>& kernels) {
  if (kernels.empty()) return "No kernel ran alone for 40 layers: none is fitted by itself.\n";
  Table table({{"kernel", Align::left, true},
               {"type"},
               {"launches", Align::right},
               {"together, alone", Align::right},
               {"waves", Align::right},
               {"smooth", Align::right}});
  for (const KernelFit& k : kernels)
    table.row({k.kernel, std::string(graph::name(k.type)), std::to_string(k.launches),
               fmt::format("{}, {}", k.fit.resident, k.fit.lone), percent(k.waves), percent(k.smooth)});
  return table.text({}, 120) +
         "waves, smooth: error in % (mean / median) by rounds of blocks and by a line without stairs, of "
         "shapes that were left out of the fit\n";
}

std::string device_text(const DeviceFit& fit) {
  Table table({{"precision"}, {"layers", Align::right}, {"work", Align::right}, {"error", Align::right}});
  for (const latency::PrecisionFit& p : fit.precisions)
    table.row({p.precision, std::to_string(p.layers), fmt::format("{:.2f}", p.work), percent(p.error)});
  const latency::FasterNamed& n = fit.named;
  std::string text =
      table.text() +
      fmt::format(
          "error: % (mean / median) of layers whose kernel is not known, on the staircases that "
          "were left out; a launch costs {:.1f} us\n",
          fit.device.launch_us);
  for (const std::string& precision : fit.left_out)
    text += fmt::format("{}: fewer than 20 layers, too few for a fit\n", precision);
  if (n.pairs > 0)
    text += fmt::format("of {} pairs of widths 5 % or more apart the model names the faster in {} %", n.pairs,
                        percent(static_cast<double>(n.right) / n.pairs));
  if (n.wider_pairs > 0)
    text += fmt::format("; of the {} whose wider one is faster in {} %", n.wider_pairs,
                        percent(static_cast<double>(n.wider_right) / n.wider_pairs));
  return text + (n.pairs > 0 ? "\n" : "");
}

Json error_json(const FitError& e) { return {{"mean", e.mean}, {"median", e.median}}; }

Json kernel_json(const KernelFit& k) {
  return {{"kernel", k.kernel},
          {"type", graph::name(k.type)},
          {"launches", k.launches},
          {"resident", k.fit.resident},
          {"lone", k.fit.lone},
          {"floor_us", k.fit.floor_us},
          {"overhead_us", k.fit.overhead_us},
          {"round_us", k.fit.round_us},
          {"per_k_us", k.fit.per_k_us},
          {"per_byte_us", k.fit.per_byte_us},
          {"waves", error_json(k.waves)},
          {"smooth", error_json(k.smooth)}};
}

Json fit_json(const GpuResults& results, const std::vector<KernelFit>& kernels, const DeviceFit& fit) {
  Json json = {{"schema", "tailor/device-fit/1"},
               {"gpu", results.facts.name},
               {"version", results.version},
               {"layers", layers_of(results)},
               {"staircases", results.staircases.size()},
               {"launch_us", fit.device.launch_us},
               {"left_out", fit.left_out},
               {"kernels", Json::array()},
               {"precisions", Json::array()}};
  for (const KernelFit& k : kernels) json["kernels"].push_back(kernel_json(k));
  for (const latency::PrecisionFit& p : fit.precisions)
    json["precisions"].push_back(
        {{"precision", p.precision}, {"layers", p.layers}, {"work", p.work}, {"error", error_json(p.error)}});
  json["faster_named"] = {{"pairs", fit.named.pairs},
                          {"right", fit.named.right},
                          {"wider_pairs", fit.named.wider_pairs},
                          {"wider_right", fit.named.wider_right}};
  return json;
}

std::string toml_of(const Device& device, const DeviceFitArguments& a, const GpuResults& results) {
  // A name that a driver made up must not end the comment.
  const std::string measured = Json(results.facts.name).dump(-1, ' ', true, Json::error_handler_t::replace);
  return fmt::format(
             "# launch_us, work and error: tailor devices fit, {} layers measured on {}.\n# All else is "
             "that of {}.\n",
             layers_of(results), measured, device::find_device(a.like).name) +
         device::to_toml(device);
}

}  // namespace

int devices_fit(const Global& global, const DeviceFitArguments& a) {
  Device device = device::find_device(a.like);
  if (!a.name.empty()) device.name = a.name;
  const GpuResults results = pipeline::read_gpu_results(a.folder);
  check_likeness(device, results);
  const DeviceFit fit = latency::fit_device(device, results.staircases);
  const std::vector<KernelFit> kernels = latency::fit_kernels(results.staircases, device.sm.count);
  if (!a.out.empty()) {
    const std::string toml = toml_of(fit.device, a, results);
    device::parse_device(toml, "--name");  // its ranges
    write_file(a.out, toml);
  }
  if (global.json) return print_document(fit_json(results, kernels, fit)), 0;
  print(fmt::format("{}\n{}\n{}", headline(results), kernels_text(kernels), device_text(fit)));
  if (!a.out.empty())
    say(global, 0, fmt::format("wrote {}: tailor analyze -d {} MODEL", a.out.string(), a.out.string()));
  return 0;
}

}  // namespace tailor::app
