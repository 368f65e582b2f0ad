// fit_kernels: launches by kernel and type, then wave_fit.h. fit_device: Numbers (what a launch costs, work of each
// precision) are searched on every few layers (launch) and on all (work); thrice, since halves judge each other.
#include "tailor/latency/gpu_fit.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/latency/wave_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

namespace tailor::latency {
namespace {

using device::Device;
using Layers = std::vector<const TimedLayer*>;

KernelTiming timing_of(const TimedLayer& layer) {
  return {{}, layer.ran.front().blocks, product_of(layer.workload).k, bytes(layer.workload), layer.us};
}

std::string precision_of(const TimedLayer& layer) { return std::string(graph::name(layer.workload.type)); }

enum class Part { all, even, odd };
// By precision, of all staircases or of every other one of a precision.
std::map<std::string, Layers> by_precision(std::span<const TimedStaircase> staircases,
                                           Part part = Part::all) {
  std::map<std::string, Layers> layers;
  std::map<std::string, std::size_t> seen;
  for (const TimedStaircase& staircase : staircases) {
    if (staircase.empty()) continue;
    const std::size_t turn = seen[precision_of(staircase.front())]++ % 2;
    if (part == Part::even && turn == 1) continue;
    if (part == Part::odd && turn == 0) continue;
    for (const TimedLayer& layer : staircase) layers[precision_of(layer)].push_back(&layer);
  }
  return layers;
}

constexpr std::size_t kFewest = 20;  // layers for a fit

void check(const Device& device, const std::map<std::string, Layers>& layers) {
  bool enough = false;
  for (const auto& [precision, list] : layers) {
    check_precision(device, precision);
    enough = enough || list.size() >= kFewest;
    for (const TimedLayer* layer : list)
      if (!(layer->us > 0) || !std::isfinite(layer->us))
        throw Error(Code::bad_value, fmt::format("{} us for {}", layer->us, to_string(layer->workload)),
                    "staircases");
  }
  if (!enough)
    throw Error(Code::bad_value, fmt::format("fewer than {} layers are too few for a fit", kFewest),
                "staircases");
}

// Figures that people read and compare.
double rounded(double value, double parts) { return std::round(value * parts) / parts; }

double error_of(const Device& device, const std::string& precision, const TimedLayer& layer) {
  return std::abs(model_layer(device, layer.workload, precision).us - layer.us) / layer.us;
}

// Layers of which another kernel makes nonsense of the model count as one of that sort.
double bounded_error(const Device& device, const std::string& precision, const Layers& layers) {
  double sum = 0;
  for (const TimedLayer* layer : layers) sum += std::min(1.0, error_of(device, precision, *layer));
  return sum / static_cast<double>(layers.size());
}

// Sets the work of least error and returns that error: coarse steps, then fine ones around the best.
double fit_work(Device& device, const std::string& precision, const Layers& layers) {
  constexpr double kLeast = 0.5, kMost = 12, kCoarse = 1.15, kFine = 1.02;
  double least = std::numeric_limits<double>::infinity(), best = 1;
  auto search = [&](double from, double to, double step) {
    for (double work = from; work <= to; work *= step) {
      throw_if_interrupted();
      device.work[precision] = work;
      if (const double error = bounded_error(device, precision, layers); error < least)
        least = error, best = work;
    }
  };
  search(kLeast, kMost, kCoarse);
  search(best / kCoarse, best * kCoarse, kFine);
  device.work[precision] = rounded(best, 1000);
  return least;
}

double fit_all_work(Device& device, const std::map<std::string, Layers>& layers) {
  double sum = 0;
  for (const auto& [precision, list] : layers) sum += fit_work(device, precision, list);
  return sum;
}

Layers thinned(const Layers& layers, std::size_t most) {
  const std::size_t step = (layers.size() + most - 1) / most;
  Layers some;
  for (std::size_t i = 0; i < layers.size(); i += step) some.push_back(layers[i]);
  return some;
}

Device fitted(Device device, const std::map<std::string, Layers>& layers) {
  constexpr double kLeast = 0.4, kMost = 20, kStep = 1.25;
  constexpr std::size_t kEnough = 200;
  std::map<std::string, Layers> few;
  for (const auto& [precision, list] : layers) few[precision] = thinned(list, kEnough);
  double least = std::numeric_limits<double>::infinity(), best = device.launch_us;
  for (device.launch_us = kLeast; device.launch_us <= kMost; device.launch_us *= kStep)
    if (const double error = fit_all_work(device, few); error < least) least = error, best = device.launch_us;
  device.launch_us = rounded(best, 100);
  fit_all_work(device, layers);
  return device;
}

FitError summary(std::vector<double> errors) {
  if (errors.empty()) return {};
  double sum = 0;
  for (double error : errors) sum += error;
  const auto middle = errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2);
  std::nth_element(errors.begin(), middle, errors.end());
  return {sum / static_cast<double>(errors.size()), *middle};
}

// Errors of either half of the staircases under the fit to the other one.
std::map<std::string, FitError> halves(const Device& device, std::span<const TimedStaircase> staircases) {
  std::map<std::string, std::vector<double>> errors;
  for (auto [learned, judge] : {std::pair{Part::even, Part::odd}, std::pair{Part::odd, Part::even}}) {
    const Device judged = fitted(device, by_precision(staircases, learned));
    for (const auto& [precision, list] : by_precision(staircases, judge))
      for (const TimedLayer* layer : list) errors[precision].push_back(error_of(judged, precision, *layer));
  }
  std::map<std::string, FitError> summaries;
  for (auto& [precision, list] : errors) summaries[precision] = summary(std::move(list));
  return summaries;
}

FasterNamed named(const Device& device, std::span<const TimedStaircase> staircases) {
  constexpr double kApart = 1.05;
  FasterNamed all;
  for (const TimedStaircase& staircase : staircases) {
    std::vector<double> measured, modelled;
    for (const TimedLayer& layer : staircase) {
      measured.push_back(layer.us);
      modelled.push_back(model_layer(device, layer.workload, precision_of(layer)).us);
    }
    all += faster_named(measured, modelled, kApart);
  }
  return all;
}

}  // namespace

std::vector<KernelFit> fit_kernels(std::span<const TimedStaircase> staircases, int multiprocessors,
                                   std::size_t least) {
  std::map<std::pair<std::string, graph::DataType>, std::vector<KernelTiming>> launches;
  for (const TimedStaircase& staircase : staircases)
    for (const TimedLayer& layer : staircase)
      if (layer.ran.size() == 1)
        launches[{layer.ran.front().name, layer.workload.type}].push_back(timing_of(layer));
  std::vector<KernelFit> fits;
  for (const auto& [key, timings] : launches)
    if (timings.size() >= least)
      fits.push_back({key.first, key.second, timings.size(), fit_waves(timings, multiprocessors),
                      cross_validate(timings, multiprocessors),
                      cross_validate(timings, multiprocessors, true)});
  std::stable_sort(fits.begin(), fits.end(),
                   [](const KernelFit& a, const KernelFit& b) { return a.launches > b.launches; });
  return fits;
}

FasterNamed& FasterNamed::operator+=(const FasterNamed& other) {
  right += other.right, pairs += other.pairs;
  wider_right += other.wider_right, wider_pairs += other.wider_pairs;
  return *this;
}

FasterNamed faster_named(std::span<const double> measured, std::span<const double> modelled, double least) {
  TAILOR_CHECK(measured.size() == modelled.size());
  FasterNamed named;
  for (std::size_t narrow = 0; narrow < measured.size(); ++narrow)
    for (std::size_t wide = narrow + 1; wide < measured.size(); ++wide) {
      const bool wider = measured[narrow] >= least * measured[wide];
      if (!wider && measured[wide] < least * measured[narrow]) continue;
      const bool right = wider ? modelled[wide] < modelled[narrow] : modelled[narrow] < modelled[wide];
      ++named.pairs, named.right += right;
      if (wider) ++named.wider_pairs, named.wider_right += right;
    }
  return named;
}

DeviceFit fit_device(const Device& device, std::span<const TimedStaircase> staircases) {
  std::map<std::string, Layers> layers = by_precision(staircases);
  check(device, layers);
  DeviceFit fit;
  for (const auto& [precision, list] : layers)
    if (list.size() < kFewest) fit.left_out.push_back(precision);
  for (const std::string& precision : fit.left_out) layers.erase(precision);
  fit.device = fitted(device, layers);
  const std::map<std::string, FitError> errors = halves(device, staircases);
  for (const auto& [precision, list] : layers) {
    fit.precisions.push_back({precision, list.size(), fit.device.work.at(precision), errors.at(precision)});
    fit.device.error[precision] = rounded(errors.at(precision).median, 1000);
  }
  fit.named = named(fit.device, staircases);
  return fit;
}

}  // namespace tailor::latency
