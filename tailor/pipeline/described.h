/// \file Latency on one GPU or several that are only described, as a search needs it: of layers, and of a whole
/// network over the original's.
#pragma once

#include "tailor/device/device.h"
#include "tailor/latency/oracle.h"
#include "tailor/latency/wave_model.h"
#include "tailor/pipeline/surgery.h"

#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// A network before and after, on one device.
struct DeviceLatency {
  std::string device, title;
  double before_us = 0, after_us = 0;  // sums of layers, modelled
  /// How much longer the choice for several devices takes here than the one for this device alone, at no more loss, among
  /// the candidates of the last round; absent for one device, and where no round of the exact planner chose.
  std::optional<double> regret = {};
  double ratio() const { return before_us > 0 ? after_us / before_us : 1; }
};

/// The wave model of several devices as one oracle: a layer's latency is the mean over the devices, each in the unit
/// in which the original takes as long on all of them. So the original's sum is the mean of its latencies, and one
/// widths' worth on each device counts alike. One device: the wave model itself.
class Described final : public latency::LatencyOracle {
 public:
  /// @throws Error bad_value if a device lacks the precision; nothing_to_change for a model without layers
  Described(const std::vector<device::Device>& devices, const std::string& precision,
            const Subject& original);

  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override;
  latency::Context context() const override;

  /// Mean over the devices of the model's latency over the original's. O(layers x kernels x devices).
  double ratio(const graph::Model& model) const;
  std::vector<DeviceLatency> latencies(const graph::Model& model) const;
  /// "NVIDIA Tesla T4, NVIDIA A100 PCIe 40 GB, f16"
  std::string text() const;

 private:
  struct Target {
    device::Device device;
    double original_us, weight;
  };
  double sum(const device::Device& device, const graph::Model& model) const;

  std::vector<Target> targets_;
  std::string precision_;
  graph::ShapeOverrides overrides_;
};

}  // namespace tailor::pipeline
