// Devices as functions from a layer to its time, then the mean of them as an oracle.
#include "tailor/pipeline/described.h"

#include "tailor/base/error.h"
#include "tailor/latency/extract.h"
#include "tailor/latency/tilings.h"
#include "tailor/latency/wave_model.h"
#include "tailor/pipeline/accelerator_prediction.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

namespace tailor::pipeline {
namespace {

using latency::Workload;

// The least cycles of layers that were asked for before: a search asks for the same shapes over and over.
class FastestTilings {
 public:
  explicit FastestTilings(device::Accelerator accelerator) : accelerator_(std::move(accelerator)) {}

  double us(const Workload& workload) {
    const Workload shape = shape_of(workload);
    auto known = cycles_.find(shape);
    if (known == cycles_.end())
      known = cycles_.emplace(shape, latency::least_cycles(accelerator_, latency::layer_loops(shape))).first;
    return known->second ? *known->second / accelerator_.frequency_mhz : kNever;
  }

 private:
  device::Accelerator accelerator_;
  std::map<Workload, std::optional<double>> cycles_;
};

// "a, b" of the texts that are there, each once.
template <class Targets, class Text>
std::string listed(const Targets& targets, Text text) {
  std::vector<std::string> once;
  for (const auto& target : targets)
    if (std::string word = text(target);
        !word.empty() && std::find(once.begin(), once.end(), word) == once.end())
      once.push_back(std::move(word));
  return fmt::format("{}", fmt::join(once, ", "));
}

}  // namespace

DescribedDevice described_gpu(device::Device device, const std::string& precision) {
  latency::check_precision(device, precision);
  const std::string name = device.name, title = device.title;
  return {name, title, "wave model", precision,
          [device = std::move(device), precision](const Workload& workload) {
            return latency::model_layer(device, workload, precision).us;
          }};
}

DescribedDevice described_accelerator(device::Accelerator accelerator) {
  if (!(accelerator.frequency_mhz > 0))
    throw Error(
        Code::bad_value,
        fmt::format("the clock of {} is not known, so its cycles have no time", accelerator.name),
        accelerator.name,
        fmt::format(
            "write its description to a file (tailor platform show {}), add frequency_mhz, and give the file",
            accelerator.name));
  const std::string name = accelerator.name, title = accelerator.title;
  auto tilings = std::make_shared<FastestTilings>(std::move(accelerator));
  return {name, title, "loop nests", "",
          [tilings](const Workload& workload) { return tilings->us(workload); }};
}

Described::Described(const std::vector<DescribedDevice>& devices, const Subject& original)
    : overrides_(original.overrides) {
  double mean = 0;
  for (const DescribedDevice& device : devices) {
    targets_.push_back({device, sum(device, original.model), 1});
    mean += targets_.back().original_us / static_cast<double>(devices.size());
  }
  if (!(mean > 0))
    throw Error(Code::nothing_to_change, "the model has no layer that a description prices",
                original.path.string(),
                "Conv, ConvTranspose, Gemm and MatMul with constant weights have prices");
  for (Target& target : targets_)
    target.weight = mean / target.original_us / static_cast<double>(devices.size());
}

double Described::sum(const DescribedDevice& device, const graph::Model& model) const {
  double us = 0;
  for (const latency::LayerWorkload& layer :
       latency::extract_workloads(model, graph::infer_shapes(model, overrides_))) {
    const double one = device.us(layer.workload);
    if (one >= kNever)
      throw Error(Code::runtime_refused,
                  fmt::format("{} cannot compute {}", device.title, to_string(layer.workload)),
                  model.graph.nodes[static_cast<std::size_t>(layer.node)].name,
                  fmt::format("tailor platform predict {} says why, layer by layer", device.name));
    us += one;
  }
  return us;
}

std::vector<latency::Estimate> Described::evaluate(std::span<const latency::Workload> workloads) {
  std::vector<latency::Estimate> estimates;
  for (const latency::Workload& workload : workloads) {
    double us = 0;
    for (const Target& t : targets_) us += t.weight * t.device.us(workload);
    estimates.push_back({{us}, {us}, {us}, How::modelled, {}});
  }
  return estimates;
}

latency::Context Described::context() const {
  return {models(), "1", listed(targets_, [](const Target& t) { return t.device.precision; }),
          text(),   1,   "modelled"};
}

double Described::ratio(const graph::Model& model) const {
  double mean = 0;
  for (const DeviceLatency& latency : latencies(model))
    mean += latency.ratio() / static_cast<double>(targets_.size());
  return mean;
}

std::vector<DeviceLatency> Described::latencies(const graph::Model& model) const {
  std::vector<DeviceLatency> list;
  for (const Target& t : targets_)
    list.push_back(
        {t.device.name, t.device.title, t.original_us, sum(t.device, model), {}, t.device.precision});
  return list;
}

std::string Described::models() const {
  return listed(targets_, [](const Target& t) { return t.device.model; });
}

std::string Described::text() const {
  const std::string precision = listed(targets_, [](const Target& t) { return t.device.precision; });
  std::string text;
  for (const Target& t : targets_) text += (text.empty() ? "" : ", ") + t.device.title;
  return precision.empty() ? text : text + ", " + precision;
}

}  // namespace tailor::pipeline
