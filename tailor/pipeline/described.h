/// \file Latency on one device or several that are only described, as a search needs it: of layers, and of a whole
/// network over the original's.
#pragma once

#include "tailor/device/accelerator.h"
#include "tailor/device/device.h"
#include "tailor/latency/oracle.h"
#include "tailor/pipeline/surgery.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// A device as its description and a model of it say.
struct DescribedDevice {
  std::string name, title;
  std::string model;                                   // "wave model", "loop nests"
  std::string precision = {};                          // "" where the description says it
  std::function<double(const latency::Workload&)> us;  // of one layer
};
/// A GPU by the wave model (latency/wave_model.h). @throws Error bad_value if it lacks the precision
DescribedDevice described_gpu(device::Device device, const std::string& precision);
/// An accelerator, every layer in its fastest tiling (latency/tilings.h), which is searched for once per shape. A layer that it
/// cannot compute takes kNever. @throws Error bad_value if its clock is not known
DescribedDevice described_accelerator(device::Accelerator accelerator);
inline constexpr double kNever = 1e15;  // microseconds

/// A network before and after, on one device.
struct DeviceLatency {
  std::string device, title;
  double before_us = 0, after_us = 0;  // sums of layers, modelled
  /// How much longer the choice for several devices takes here than the one for this device alone, at no more loss, among
  /// the candidates of the last round; absent for one device, and where no round of the exact planner chose.
  std::optional<double> regret = {};
  std::string precision = {};  // as the device's
  double ratio() const { return before_us > 0 ? after_us / before_us : 1; }
};

/// The models of several devices as one oracle: a layer's latency is the mean over the devices, each in the unit
/// in which the original takes as long on all of them. So the original's sum is the mean of its latencies, and one
/// widths' worth on each device counts alike. One device: its model itself.
class Described final : public latency::LatencyOracle {
 public:
  /// @throws Error nothing_to_change for a model without layers; runtime_refused if a device cannot compute one
  Described(const std::vector<DescribedDevice>& devices, const Subject& original);

  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override;
  latency::Context context() const override;

  /// Mean over the devices of the model's latency over the original's. O(layers x devices) of their models.
  double ratio(const graph::Model& model) const;
  std::vector<DeviceLatency> latencies(const graph::Model& model) const;
  /// "wave model", or all models of the devices: "wave model, loop nests"
  std::string models() const;
  /// "NVIDIA Tesla T4, NVIDIA A100 PCIe 40 GB, f16"
  std::string text() const;

 private:
  struct Target {
    DescribedDevice device;
    double original_us, weight;
  };
  double sum(const DescribedDevice& device, const graph::Model& model) const;

  std::vector<Target> targets_;
  graph::ShapeOverrides overrides_;
};

}  // namespace tailor::pipeline
