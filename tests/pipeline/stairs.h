// A small network on a made staircase: what searches are tested on without timing anything.
#pragma once

#include "tailor/pipeline/rounds.h"
#include "tests/rewrite/graphs.h"

namespace tailor::pipeline::testing {

using namespace tailor::testing;

// A layer costs as many steps of eight channels as its output has.
inline double stairs(const latency::Workload& w) {
  return static_cast<double>((w.oc + 7) / 8 * (w.ic + 7) / 8 * w.oh * w.ow);
}

class Stairs final : public latency::LatencyOracle {
 public:
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override {
    std::vector<latency::Estimate> estimates;
    for (const latency::Workload& w : workloads)
      estimates.push_back({{stairs(w)}, {stairs(w)}, {stairs(w)}, How::modelled, ""});
    return estimates;
  }
  latency::Context context() const override { return {"stairs", "1", "none", "none", 1, "none"}; }
};

inline double cost(const graph::Model& model) {
  double sum = 0;
  for (const latency::LayerWorkload& layer : latency::extract_workloads(model, graph::infer_shapes(model)))
    sum += stairs(layer.workload);
  return sum;
}

struct Given {
  Subject subject =
      make_subject(graph_of({"Conv x 24x3x3x3 24 -> a | pads=[1,1,1,1]", "Relu a -> r",
                             "Conv r 40x24x3x3 40 -> b | pads=[1,1,1,1]", "Relu b -> s",
                             "GlobalAveragePool s -> p", "Flatten p -> f", "Gemm f 40x10 10 -> y"},
                            {1, 3, 8, 8}),
                   {});
  Calibration calibration;
  RoundOptions options;
  Stairs oracle;
  LatencyBook book{oracle};

  Given() {
    calibration.fit = random_inputs(subject.model, subject.shapes, 1, 24);
    calibration.judge = random_inputs(subject.model, subject.shapes, 2, 16);
    calibration.memory = std::size_t{1} << 30;
    const double whole = cost(subject.model);
    options.yardstick = {[whole](const graph::Model& model) { return cost(model) / whole; }, "counted",
                         "steps"};
  }
  int group(const char* value) const {
    return subject.channels.atoms[static_cast<std::size_t>(subject.channels.find(value, 1)->front())].group;
  }
};

}  // namespace tailor::pipeline::testing
