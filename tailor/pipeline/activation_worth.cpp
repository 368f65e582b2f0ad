// Per layer: mean_magnitude of its input, reading_norm of its weights, and their product added to the units.
#include "tailor/pipeline/activation_worth.h"

#include "tailor/rewrite/linear_layer.h"

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

// Mean |x| of every position of axis 1.
std::vector<double> mean_magnitude(const graph::Tensor& x) {
  const std::vector<float> values = x.values<float>();
  const auto samples = static_cast<std::size_t>(x.dims[0]), inputs = static_cast<std::size_t>(x.dims[1]);
  const std::size_t plane = values.size() / std::max<std::size_t>(samples * inputs, 1);
  std::vector<double> mean(inputs, 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) mean[i / plane % inputs] += std::abs(values[i]);
  for (double& m : mean) m /= static_cast<double>(samples * plane);
  return mean;
}

// Sum over outputs and taps of |W| for every input.
std::vector<double> reading_norm(const graph::Model& model, const rewrite::LinearLayer& layer) {
  const std::vector<float> w = rewrite::weights(model, layer);
  const auto inputs = static_cast<std::size_t>(layer.inputs);
  const std::size_t taps = w.size() / inputs / static_cast<std::size_t>(layer.outputs);
  std::vector<double> norm(inputs, 0.0);
  for (std::size_t i = 0; i < w.size(); ++i) norm[i / taps % inputs] += std::abs(w[i]);
  return norm;
}

// Unit of the group that each input of the layer belongs to; -1: of none. Empty: the layer does not read it.
std::vector<int> units_read(const Subject& present, int node, int group) {
  std::vector<int> units;
  for (const graph::LayerChannels& layer : present.channels.layers) {
    if (layer.node != node || !layer.in) continue;
    for (int atom : *layer.in) {
      graph::AtomPlace place = present.channels.atoms[static_cast<std::size_t>(atom)];
      units.push_back(place.group == group ? place.unit : -1);
    }
  }
  bool none = std::all_of(units.begin(), units.end(), [](int unit) { return unit < 0; });
  return none ? std::vector<int>{} : units;
}

}  // namespace

std::vector<double> activation_worth(const Subject& present, int group, rewrite::Activations& now) {
  std::vector<double> worth;
  for (const rewrite::LinearLayer& layer : rewrite::linear_layers(present.model, present.shapes)) {
    const std::vector<int> units = units_read(present, layer.node, group);
    if (units.empty()) continue;
    worth.resize(static_cast<std::size_t>(present.channels.groups[static_cast<std::size_t>(group)].width()));
    const std::vector<double> mean = mean_magnitude(now.get(present.model, {layer.x}).front()),
                              norm = reading_norm(present.model, layer);
    for (std::size_t i = 0; i < units.size(); ++i)
      if (units[i] >= 0) worth[static_cast<std::size_t>(units[i])] += mean[i] * norm[i];
  }
  return worth;
}

}  // namespace tailor::pipeline
