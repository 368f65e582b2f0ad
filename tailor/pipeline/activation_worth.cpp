// Per layer: mean_magnitude of its input, reading_norm of its weights, and their product added to the units.
#include "tailor/pipeline/activation_worth.h"

#include "tailor/pipeline/readers.h"

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

}  // namespace

std::vector<double> activation_worth(const Subject& present, int group, rewrite::Activations& now) {
  std::vector<double> worth;
  for (const Reader& reader : readers_of(present, group)) {
    worth.resize(reader.inputs.size());
    const graph::Tensor x = now.get(present.model, {reader.layer.x}).front();
    const std::vector<double> mean = mean_magnitude(rewrite::channels_first(reader.layer, x)),
                              norm = reading_norm(present.model, reader.layer);
    for (std::size_t unit = 0; unit < worth.size(); ++unit)
      for (int i : reader.inputs[unit])
        worth[unit] += mean[static_cast<std::size_t>(i)] * norm[static_cast<std::size_t>(i)];
  }
  return worth;
}

}  // namespace tailor::pipeline
