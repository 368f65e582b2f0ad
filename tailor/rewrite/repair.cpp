// repair() walks the pruned model's linear layers. For each:
//   goal_of      the original's value at the layer's destination, cut to the channels that stay
//   pull_back    from the destination back to the layer's own output: minus the other operand, through the
//   normalisation accumulate   normal equations of (present input, wanted output) refit        new weights;
//   channels that the normalisation multiplies with (nearly) nothing keep theirs
#include "tailor/rewrite/repair.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/tensors.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Tensor;

Tensor goal_of(const Model& original, Activations& wanted, const KeptChannels& kept,
               const std::string& name) {
  Tensor goal = wanted.get(original, {name}).front();
  auto it = kept.find(name);
  return it == kept.end() ? goal : take(goal, 1, it->second);
}

// The wanted output of the layer itself, as floats in the goal's layout.
Tensor pull_back(const Model& pruned, const Destination& to, const Tensor& goal, const Tensor* other) {
  std::vector<float> y = goal.values<float>();
  if (other) {
    std::vector<float> o = other->values<float>();
    TAILOR_CHECK(o.size() == y.size());
    for (std::size_t i = 0; i < y.size(); ++i) y[i] -= o[i];
  }
  if (to.normalisation >= 0) {
    Affine a = affine(pruned, pruned.graph.nodes[to.normalisation]);
    std::size_t channels = a.scale.size(), samples = static_cast<std::size_t>(goal.dims[0]),
                plane = y.size() / (channels * samples);
    for (std::size_t i = 0; i < channels * samples; ++i) {
      float scale = a.scale[i % channels], offset = a.offset[i % channels];
      float inverse = std::abs(scale) > 1e-12f ? 1.0f / scale : 0.0f;
      for (std::size_t p = 0; p < plane; ++p) y[i * plane + p] = (y[i * plane + p] - offset) * inverse;
    }
  }
  return graph::make_f32(goal.dims, std::move(y));
}

std::vector<bool> dead_outputs(const Model& pruned, const LinearLayer& layer) {
  std::vector<bool> dead(static_cast<std::size_t>(layer.outputs), false);
  if (layer.destination.normalisation < 0) return dead;
  Affine a = affine(pruned, pruned.graph.nodes[layer.destination.normalisation]);
  float largest = 0;
  for (float s : a.scale) largest = std::max(largest, std::abs(s));
  for (std::size_t c = 0; c < dead.size(); ++c) dead[c] = std::abs(a.scale[c]) < 1e-5f * largest;
  return dead;
}

void refit(Model& pruned, const LinearLayer& layer, const saliency::NormalEquations& equations,
           double ridge) {
  std::vector<float> before = weights(pruned, layer);
  std::vector<int> all(static_cast<std::size_t>(layer.inputs));
  std::iota(all.begin(), all.end(), 0);
  saliency::Fit fit = saliency::fit(equations, all, ridge, before);
  std::vector<bool> dead = dead_outputs(pruned, layer);
  std::size_t row = before.size() / dead.size();
  for (std::size_t o = 0; o < dead.size(); ++o) {
    if (!dead[o]) continue;
    std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(o * row), row,
                fit.weights.begin() + static_cast<std::ptrdiff_t>(o * row));
    fit.intercept[o] = 0;
  }
  set_weights(pruned, layer, std::move(fit.weights), fit.intercept);
}

struct Moments {
  std::vector<float> mean, variance;
};

Moments moments(const Tensor& x) {
  std::vector<float> values = x.values<float>();
  auto samples = static_cast<std::size_t>(x.dims[0]), channels = static_cast<std::size_t>(x.dims[1]);
  std::size_t plane = values.size() / (samples * channels);
  std::vector<double> sum(channels), square(channels);
  for (std::size_t i = 0; i < samples * channels; ++i)
    for (std::size_t p = 0; p < plane; ++p) {
      double v = values[i * plane + p];
      sum[i % channels] += v, square[i % channels] += v * v;
    }
  Moments m;
  double count = static_cast<double>(samples * plane);
  for (std::size_t c = 0; c < channels; ++c) {
    double mean = sum[c] / count;
    m.mean.push_back(static_cast<float>(mean));
    m.variance.push_back(static_cast<float>(std::max(0.0, square[c] / count - mean * mean)));
  }
  return m;
}

}  // namespace

KeptChannels kept_channels(const graph::Channels& channels, const std::vector<bool>& keep) {
  KeptChannels kept;
  for (const auto& [key, label] : channels.values) {
    if (key.second != 1) continue;
    std::vector<int> positions;
    for (std::size_t i = 0; i < label->size(); ++i)
      if (keep[(*label)[i]]) positions.push_back(static_cast<int>(i));
    if (positions.size() != label->size()) kept[key.first] = std::move(positions);
  }
  return kept;
}

Repaired repair(const Model& original, Activations& wanted, const Model& pruned, Activations& present,
                const KeptChannels& kept, const graph::Shapes& pruned_shapes, const RepairOptions& options) {
  Repaired result{pruned, {}};
  for (const LinearLayer& layer : linear_layers(pruned, pruned_shapes)) {
    if (options.only && !options.only->contains(layer.y)) continue;
    const Destination& to = layer.destination;
    std::vector<std::string> names = {layer.x};
    if (to.sum >= 0) names.push_back(to.other);
    std::vector<Tensor> now = present.get(result.model, names);
    Tensor y = pull_back(result.model, to, goal_of(original, wanted, kept, to.goal),
                         to.sum >= 0 ? &now[1] : nullptr);
    saliency::NormalEquations equations(layer.inputs, layer.geometry.taps(), layer.outputs);
    saliency::accumulate(equations, layer.geometry, now[0], y, options.positions, options.seed);
    refit(result.model, layer, equations, options.ridge);
    result.equations.emplace(layer.y, std::move(equations));
  }
  return result;
}

Model reestimate_normalisation(const Model& pruned, Activations& present) {
  Model result = pruned;
  for (std::size_t i = 0; i < result.graph.nodes.size(); ++i) {
    if (result.graph.nodes[i].op != "BatchNormalization") continue;
    Moments m = moments(present.get(result, {result.graph.nodes[i].input(0)}).front());
    auto channels = static_cast<std::int64_t>(m.mean.size());
    set_operand(result, static_cast<int>(i), 3, graph::make_f32({channels}, std::move(m.mean)));
    set_operand(result, static_cast<int>(i), 4, graph::make_f32({channels}, std::move(m.variance)));
  }
  return result;
}

}  // namespace tailor::rewrite
