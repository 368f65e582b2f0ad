#include "tailor/pipeline/counted.h"

#include "tailor/latency/extract.h"

namespace tailor::pipeline {

std::vector<latency::Estimate> Counted::evaluate(std::span<const latency::Workload> workloads) {
  std::vector<latency::Estimate> estimates;
  for (const latency::Workload& workload : workloads) {
    const double millions = static_cast<double>(latency::macs(workload)) / 1e6;
    estimates.push_back({{millions}, {millions}, {millions}, How::modelled, {}});
  }
  return estimates;
}

latency::Context Counted::context() const {
  return {"multiply-accumulates", "1", "any", "any", 1, "counted"};
}

double count_macs(const graph::Model& model, const graph::ShapeOverrides& overrides) {
  double sum = 0;
  for (const latency::LayerWorkload& layer :
       latency::extract_workloads(model, graph::infer_shapes(model, overrides)))
    sum += static_cast<double>(latency::macs(layer.workload));
  return sum;
}

}  // namespace tailor::pipeline
