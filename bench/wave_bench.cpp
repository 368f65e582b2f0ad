// wave_bench DATA: how well the wave model explains the kernel timings in DATA/gpu/neusight, as Markdown tables: one
// kernel at a time, five-fold cross-validated, beside a smooth line; one number per device (what devices/*.toml hold as
// `work` and `error`); and a device that was not among those fitted.
#include "bench/miopen.h"
#include "bench/neusight.h"
#include "tailor/base/error.h"
#include "tailor/device/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace {

using namespace tailor;
using latency::FitError;
using latency::KernelTiming;
using latency::WorkFit;
using Timings = std::vector<KernelTiming>;

std::string percent(const FitError& e) {
  return fmt::format("{:.1f} / {:.1f}", 100 * e.mean, 100 * e.median);
}

Timings all_of(const std::filesystem::path& path) {
  Timings all;
  for (const auto& [kernel, timings] : neusight::read(path))
    all.insert(all.end(), timings.begin(), timings.end());
  return all;
}

void kernels(const std::filesystem::path& data) {
  fmt::print(
      "| GPU | product | kernel | launches | smooth | waves | together, alone "
      "|\n|---|---|---|---|---|---|---|\n");
  for (const auto& [name, theirs] : neusight::gpus())
    for (const char* op : {"bmm", "linear"})
      for (const auto& [kernel, timings] : neusight::read(neusight::file(data, op, theirs))) {
        if (timings.size() < 500) continue;
        const int sms = device::find_device(name).sm.count;
        const latency::WaveFit whole = latency::fit_waves(timings, sms);
        fmt::print("| {} | {} | {} | {} | {} | {} | {}, {} |\n", name, op, kernel, timings.size(),
                   percent(latency::cross_validate(timings, sms, true)),
                   percent(latency::cross_validate(timings, sms)), whole.resident, whole.lone);
      }
}

// Every tenth launch, for choices that take many fits.
Timings thinned(const Timings& timings) {
  Timings some;
  for (std::size_t i = 0; i < timings.size(); i += 10) some.push_back(timings[i]);
  return some;
}

// The constants of the form from the four GPUs that are not asked about: least mean error, each with its own work.
latency::WaveForm form_without_a100(const std::filesystem::path& data) {
  std::vector<std::pair<device::Device, Timings>> learned;
  for (const auto& [name, theirs] : neusight::gpus())
    for (const char* op : {"bmm", "linear"})
      if (name != "a100")
        learned.emplace_back(device::find_device(name), thinned(all_of(neusight::file(data, op, theirs))));
  latency::WaveForm best;
  double least = 1e9;
  for (double operands : {0.0, 4.0, 8.0})
    for (double memory : {0.8, 1.0, 1.2, 1.4})
      for (double exponent : {1.0, 1.5, 2.0, 3.0, 4.0}) {
        double sum = 0;
        for (const auto& [gpu, timings] : learned)
          sum += latency::fit_work(gpu, timings, {operands, memory, exponent}).error.median;
        if (sum < least) least = sum, best = {operands, memory, exponent};
      }
  fmt::print(
      "\nForm of least error on p4, p100, v100, t4: operands {}, memory {}, exponent {} (mean of medians "
      "{:.1f} %)\n",
      best.operands, best.memory, best.exponent, 100 * least / static_cast<double>(learned.size()));
  return best;
}

// Work of a device that nobody measured: the geometric mean of the data centre cards that keep their clock.
WorkFit transferred(const std::map<std::string, WorkFit>& fits) {
  WorkFit fit;
  fit.form = fits.at("v100").form;
  fit.work = std::sqrt(fits.at("p100").work * fits.at("v100").work);
  std::vector<double> floors;
  for (const auto& [name, own] : fits)
    if (name != "a100") floors.push_back(own.floor_us);
  std::sort(floors.begin(), floors.end());
  fit.floor_us = (floors[1] + floors[2]) / 2, fit.overhead_us = 0.8 * fit.floor_us;
  return fit;
}

void devices(const std::filesystem::path& data, const latency::WaveForm& form) {
  for (const char* op : {"bmm", "linear"}) {
    fmt::print("\n| GPU | {} launches | work | error |\n|---|---|---|---|\n", op);
    std::map<std::string, WorkFit> fits;
    for (const auto& [name, theirs] : neusight::gpus()) {
      const Timings timings = all_of(neusight::file(data, op, theirs));
      fits[name] = latency::fit_work(device::find_device(name), timings, form);
      fmt::print("| {} | {} | {:.2f} | {} |\n", name, timings.size(), fits[name].work,
                 percent(fits[name].error));
    }
    const Timings a100 = all_of(neusight::file(data, op, "NVIDIA_A100-PCIE-40GB"));
    const WorkFit fit = transferred(fits);
    fmt::print("| a100, not fitted | {} | {:.2f} | {} |\n", a100.size(), fit.work,
               percent(latency::error_of(device::find_device("a100"), fit, a100)));
  }
}

void both(const std::filesystem::path& data) {
  fmt::print("\n| GPU | all launches | work | error |\n|---|---|---|---|\n");
  for (const auto& [name, theirs] : neusight::gpus()) {
    Timings timings = all_of(neusight::file(data, "bmm", theirs)),
            more = all_of(neusight::file(data, "linear", theirs));
    // As many of each: they are of different kernels.
    std::size_t step = std::max<std::size_t>(1, timings.size() / std::max<std::size_t>(1, more.size()));
    for (std::size_t i = 0; i < timings.size(); i += step) more.push_back(timings[i]);
    const WorkFit fit = latency::fit_work(device::find_device(name), more);
    fmt::print("| {} | {} | {:.2f} | {} |\n", name, more.size(), fit.work, percent(fit.error));
  }
}

void widths(const std::filesystem::path& data) {
  fmt::print(
      "\n| GPU | pairs of widths | faster one named | pairs whose wider one is faster | named |\n"
      "|---|---|---|---|---|\n");
  for (const miopen::Gpu& gpu : miopen::gpus()) {
    const auto families = miopen::read(data / "gpu" / "miopen" / (std::string(gpu.file) + "_fwd.tsv.xz"));
    const latency::FasterNamed n = miopen::compare(miopen::describe(gpu), families);
    fmt::print("| {} | {} | {:.1f} % | {} | {:.1f} % |\n", gpu.title, n.pairs,
               100.0 * n.right / std::max(1, n.pairs), n.wider_pairs,
               100.0 * n.wider_right / std::max(1, n.wider_pairs));
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    fmt::print(stderr, "usage: wave_bench DATA (the folder that holds gpu/neusight)\n");
    return 2;
  }
  try {
    kernels(arguments[1]);
    devices(arguments[1], form_without_a100(arguments[1]));
    both(arguments[1]);
    widths(arguments[1]);
  } catch (const Error& error) {
    fmt::print(stderr, "wave_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
