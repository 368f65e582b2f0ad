#include "tailor/pipeline/described.h"

#include "tailor/base/error.h"
#include "tailor/latency/extract.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::pipeline {

Described::Described(const std::vector<device::Device>& devices, const std::string& precision,
                     const Subject& original)
    : precision_(precision), overrides_(original.overrides) {
  double mean = 0;
  for (const device::Device& device : devices) {
    latency::check_precision(device, precision);
    targets_.push_back({device, sum(device, original.model), 1});
    mean += targets_.back().original_us / static_cast<double>(devices.size());
  }
  if (!(mean > 0))
    throw Error(Code::nothing_to_change, "the model has no layer that the wave model knows",
                original.path.string(),
                "it prices Conv, ConvTranspose, Gemm and MatMul with constant weights");
  for (Target& target : targets_)
    target.weight = mean / target.original_us / static_cast<double>(devices.size());
}

double Described::sum(const device::Device& device, const graph::Model& model) const {
  double us = 0;
  for (const latency::LayerWorkload& layer :
       latency::extract_workloads(model, graph::infer_shapes(model, overrides_)))
    us += latency::model_layer(device, layer.workload, precision_).us;
  return us;
}

std::vector<latency::Estimate> Described::evaluate(std::span<const latency::Workload> workloads) {
  std::vector<latency::Estimate> estimates;
  for (const latency::Workload& workload : workloads) {
    double us = 0;
    for (const Target& t : targets_) us += t.weight * latency::model_layer(t.device, workload, precision_).us;
    estimates.push_back({{us}, {us}, {us}, How::modelled, {}});
  }
  return estimates;
}

latency::Context Described::context() const { return {"wave model", "1", precision_, text(), 1, "modelled"}; }

double Described::ratio(const graph::Model& model) const {
  double mean = 0;
  for (const DeviceLatency& latency : latencies(model))
    mean += latency.ratio() / static_cast<double>(targets_.size());
  return mean;
}

std::vector<DeviceLatency> Described::latencies(const graph::Model& model) const {
  std::vector<DeviceLatency> list;
  for (const Target& t : targets_)
    list.push_back({t.device.name, t.device.title, t.original_us, sum(t.device, model), {}});
  return list;
}

std::string Described::text() const {
  std::string text;
  for (const Target& t : targets_) text += t.device.title + ", ";
  return text + precision_;
}

}  // namespace tailor::pipeline
