// modelled_layers -> sweeps of the groups (analyze_widths.cpp, with the wave model as oracle) -> verdicts in words ->
// the picture.
#include "tailor/pipeline/device_analysis.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>

namespace tailor::pipeline {
namespace {

using latency::ModelledLayer;
using latency::Workload;

constexpr double kIdle = 0.15;  // of the waves, or of the tiles, from which on it is worth a word

double arithmetic_us(const ModelledLayer& m) { return std::max(m.compute_us, m.operand_us); }

std::string waves_text(const ModelledLayer& m) {
  return fmt::format("{} blocks of {} on {} multiprocessors: {:.2f} waves", m.waves.blocks,
                     latency::to_string(m.kernel), m.waves.capacity, m.waves.count());
}

std::string pad_text(const DeviceLayer& l, const ModelledLayer& m) {
  if (!m.aligned)
    return fmt::format("{} > {} channels do not fill 16 bytes: padded and copied", l.workload.ic,
                       l.workload.oc);
  return fmt::format("{:.0f} % of the {} tiles is padding", 100 * (1 - m.tile_efficiency),
                     latency::to_string(m.kernel));
}

std::string why(const DeviceLayer& l) {
  const ModelledLayer& m = l.model;
  switch (l.verdict) {
    case DeviceVerdict::launch:
      return fmt::format("{:.1f} of {:.1f} us is the launch", m.launch_us, m.us);
    case DeviceVerdict::memory:
      return fmt::format("moving its bytes takes {:.1f} us, its arithmetic {:.1f}", m.memory_us,
                         arithmetic_us(m));
    case DeviceVerdict::sub_wave:
      return waves_text(m) + "; width is the wrong lever, batch or a split of the reduction the right one";
    case DeviceVerdict::tail:
      return fmt::format("{}, {} paid: {:.0f} % idle", waves_text(m), m.waves.paid(),
                         100 * (1 - m.waves.efficiency()));
    case DeviceVerdict::pad:
      return pad_text(l, m);
    case DeviceVerdict::ok:
      break;
  }
  return waves_text(m);
}

std::string group_of(const Subject& subject, const LayerWidths& widths) {
  return widths.out.empty() ? std::string() : subject.channels.groups[widths.out.front().first].name;
}

std::vector<DeviceLayer> modelled_layers(const Subject& subject, const device::Device& device,
                                         const std::string& precision) {
  std::vector<DeviceLayer> layers;
  for (const LayerWidths& widths : layer_widths(subject)) {
    const graph::Node& node = subject.model.graph.nodes[widths.node];
    DeviceLayer layer{node.name.empty() ? node.output(0) : node.name, node.op, widths.workload,
                      group_of(subject, widths), latency::model_layer(device, widths.workload, precision)};
    layer.verdict = judge(layer.model);
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<std::string> names_of(const std::vector<DeviceLayer>& layers) {
  std::vector<std::string> names;
  for (const DeviceLayer& layer : layers) names.push_back(layer.name);
  return names;
}

// The layer and the device with another value on the axis.
using Changed = std::function<std::pair<device::Device, Workload>(std::int64_t)>;

Workload with_inputs(const Workload& workload, std::int64_t channels) {
  Workload w = workload;
  if (w.g > 1 && w.g == w.ic) return with_outputs(w, channels);
  w.ic = channels * w.g;
  return w;
}

Workload with_batch(const Workload& workload, std::int64_t batch) {
  Workload w = workload;
  w.mb = batch;
  return w;
}

struct Walk {
  std::int64_t present = 1;
  Changed changed;
};

Walk walk(const device::Device& device, const Workload& w, Axis axis) {
  const bool depthwise = w.g > 1 && w.g == w.ic;
  switch (axis) {
    case Axis::inputs:
      return {w.ic / (depthwise ? 1 : w.g),
              [=](std::int64_t v) { return std::pair(device, with_inputs(w, v)); }};
    case Axis::batch:
      return {w.mb, [=](std::int64_t v) { return std::pair(device, with_batch(w, v)); }};
    case Axis::multiprocessors:
      return {device.sm.count, [=](std::int64_t v) {
                device::Device part = device;  // its arithmetic shrinks with it, its memory stays
                part.sm.count = static_cast<int>(v);
                for (auto& [precision, tflops] : part.peak_tflops)
                  tflops *= static_cast<double>(v) / device.sm.count;
                return std::pair(part, w);
              }};
    case Axis::outputs:
      break;
  }
  const std::int64_t unit = depthwise ? 1 : w.g;
  return {depthwise ? w.ic : w.oc, [=](std::int64_t v) {
            return std::pair(device, with_outputs(w, std::max(unit, v / unit * unit)));
          }};
}

// From half to one and a half of the present value, about forty; from 1 on where that is less than forty.
std::vector<std::int64_t> values_around(std::int64_t present, Axis axis) {
  std::int64_t step = 1;
  while (present / step > 40) step *= 2;
  std::set<std::int64_t> values = {present};
  const bool whole = axis == Axis::multiprocessors;
  const std::int64_t from = whole || present < 20 ? step : std::max(step, present / 2 / step * step);
  const std::int64_t to = whole ? present : std::max<std::int64_t>(present + present / 2, 40 * step);
  for (std::int64_t v = from; v <= to && values.size() < 80; v += step) values.insert(v);
  return {values.begin(), values.end()};
}

latency::Staircase staircase(const device::Device& device, const std::string& precision, const Workload& w,
                             Axis axis) {
  const Walk walked = walk(device, w, axis);
  const std::vector<std::int64_t> values = values_around(walked.present, axis);
  std::vector<double> us;
  for (std::int64_t value : values) {
    const auto [changed, workload] = walked.changed(value);
    us.push_back(latency::model_layer(changed, workload, precision).us);
  }
  return latency::find_staircase(values, us);
}

constexpr std::array<std::pair<Axis, const char*>, 4> kAxes = {
    {{Axis::outputs, "oc"}, {Axis::inputs, "ic"}, {Axis::batch, "mb"}, {Axis::multiprocessors, "sm"}}};

const char* name(Axis axis) { return kAxes[static_cast<std::size_t>(axis)].second; }

int nodes_beside_layers(const Subject& subject) {
  const std::set<std::string> free = {"Constant", "Identity",  "Reshape", "Flatten",
                                      "Squeeze",  "Unsqueeze", "Dropout"};
  const auto& nodes = subject.model.graph.nodes;
  const auto priced = static_cast<std::ptrdiff_t>(subject.layers.size());
  return static_cast<int>(
      std::count_if(nodes.begin(), nodes.end(), [&](const graph::Node& n) { return !free.contains(n.op); }) -
      priced);
}

}  // namespace

const char* name(DeviceVerdict verdict) {
  constexpr std::array names = {"launch", "memory", "sub-wave", "tail", "pad", "ok"};
  return names[static_cast<std::size_t>(verdict)];
}

DeviceVerdict judge(const ModelledLayer& m) {
  if (2 * m.launch_us >= m.us) return DeviceVerdict::launch;
  if (m.memory_us > arithmetic_us(m)) return DeviceVerdict::memory;
  if (m.waves.blocks < m.waves.capacity) return DeviceVerdict::sub_wave;
  if (!m.kernel.shares && 1 - m.waves.efficiency() >= kIdle) return DeviceVerdict::tail;
  if (1 - m.tile_efficiency >= kIdle || !m.aligned) return DeviceVerdict::pad;
  return DeviceVerdict::ok;
}

Axis parse_axis(const std::string& text) {
  for (const auto& [axis, word] : kAxes)
    if (text == word) return axis;
  throw Error(Code::unknown_name, fmt::format("there is no axis '{}'", text), "--over",
              "oc (output width), ic (input width), mb (batch) or sm (multiprocessors)");
}

Spent spent(const ModelledLayer& m) {
  const double working = m.paid_rounds > 0 ? std::min(1.0, m.waves.count() / m.paid_rounds) : 1;
  const double busy = m.compute_us * working;
  return {busy * m.tile_efficiency, m.compute_us - busy, busy * (1 - m.tile_efficiency),
          m.us - m.launch_us - m.adding_us - m.compute_us, m.launch_us + m.adding_us};
}

std::string lever(const DeviceAnalysis& a) {
  const double total = std::max(a.total_us(), 1e-9);
  const double narrow = (a.us_of(DeviceVerdict::sub_wave) + a.us_of(DeviceVerdict::launch)) / total;
  const double bytes = a.us_of(DeviceVerdict::memory) / total;
  if (narrow >= 0.35)
    return fmt::format(
        "{:.0f} % of the time is in layers that do not fill the device once: width is the wrong lever; "
        "a larger batch, a split of the reduction, or sharing the device is the right one",
        100 * narrow);
  if (bytes >= 0.5)
    return fmt::format(
        "{:.0f} % of the time moves bytes: a smaller precision or fused layers win more than widths",
        100 * bytes);
  return "widths are the right lever";
}

double DeviceAnalysis::total_us() const {
  double sum = 0;
  for (const DeviceLayer& layer : layers) sum += layer.model.us;
  return sum;
}

double DeviceAnalysis::us_of(DeviceVerdict verdict) const {
  double sum = 0;
  for (const DeviceLayer& layer : layers) sum += layer.verdict == verdict ? layer.model.us : 0;
  return sum;
}

double DeviceAnalysis::recoverable_us() const {
  double sum = 0;
  for (const DeviceLayer& layer : layers) sum += layer.recoverable_us;
  return sum;
}

DeviceAnalysis analyze_on(const Subject& subject, const device::Device& device,
                          const DeviceAnalysisOptions& options) {
  latency::WaveModel oracle(device, options.precision);
  DeviceAnalysis analysis{device, options.precision, subject.path, subject.sha256()};
  analysis.layers = modelled_layers(subject, device, options.precision);
  const std::vector<double> scale(analysis.layers.size(), 1.0);
  analysis.groups = sweep_groups(subject, oracle, scale);
  const std::vector<double> savings = joint_savings(subject, oracle, scale, fitting_widths(analysis.groups));
  const double total = analysis.total_us();
  std::map<std::string, const GroupSweep*> by_name;
  for (const GroupSweep& sweep : analysis.groups) by_name.emplace(sweep.name, &sweep);
  for (std::size_t i = 0; i < analysis.layers.size(); ++i) {
    DeviceLayer& layer = analysis.layers[i];
    layer.share = total > 0 ? layer.model.us / total : 0, layer.why = why(layer),
    layer.recoverable_us = savings[i];
    const auto sweep = by_name.find(layer.out_group);
    if (sweep != by_name.end()) layer.down = sweep->second->down, layer.up = sweep->second->up;
  }
  analysis.unpriced = nodes_beside_layers(subject);
  LatencyBook book(oracle);
  if (options.free) analysis.free = free_channels(subject, book, How::modelled);
  if (const std::optional<Subject> base = base_of(subject, options.base))
    analysis.base = compare_with_base(*base, subject, oracle, How::modelled);
  if (options.layer.empty()) return analysis;
  const DeviceLayer& layer =
      analysis.layers[static_cast<std::size_t>(find_layer(names_of(analysis.layers), options.layer))];
  analysis.picture_layer = layer.name, analysis.picture_axis = name(options.axis);
  analysis.picture = staircase(device, options.precision, layer.workload, options.axis);
  return analysis;
}

}  // namespace tailor::pipeline
