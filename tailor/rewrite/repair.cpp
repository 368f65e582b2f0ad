// repair() walks the pruned model's linear layers. For each:
//   goal_of     the original's value at the layer's destination, cut to the channels that stay
//   pull_back   from there back to the layer's own output: minus the other operand, through the normalisation
//   accumulate  normal equations of (present input, wanted output)
//   refit       new weights; channels that the normalisation multiplies with (nearly) nothing keep theirs
#include "tailor/rewrite/repair.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/rewrite/goal.h"
#include "tailor/rewrite/tensors.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using graph::Tensor;

// A layer's destination on the sampled rows: what the original has there, what else flows into it, and
// between which bounds its readers look at it (Relu: from 0; Clip: both): outside only the side matters.
struct Goal {
  std::vector<float> wanted, other;  // rows x outputs; other empty without a sum
  std::vector<float> scale, offset;  // of the normalisation, 1 and 0 without
  Bounds bounds;
};

float at_destination(const Goal& g, std::size_t i, float y) {
  std::size_t c = i % g.scale.size();
  return g.scale[c] * y + g.offset[c] + (g.other.empty() ? 0 : g.other[i]);
}

// The layer's own wanted output.
std::vector<float> pull_back(const Goal& g) {
  std::vector<float> y = g.wanted;
  for (std::size_t i = 0; i < y.size(); ++i) {
    std::size_t c = i % g.scale.size();
    float scale = g.scale[c], rest = y[i] - g.offset[c] - (g.other.empty() ? 0 : g.other[i]);
    y[i] = std::abs(scale) > 1e-12f ? rest / scale : 0;
  }
  return y;
}

Goal goal(const Model& pruned, const LinearLayer& layer, const saliency::Patches& patches,
          const Tensor& wanted, const Tensor* other) {
  Goal g;
  g.wanted = saliency::sample_outputs(patches, wanted);
  if (other) g.other = saliency::sample_outputs(patches, *other);
  Affine a{std::vector<float>(static_cast<std::size_t>(layer.outputs), 1.0f),
           std::vector<float>(static_cast<std::size_t>(layer.outputs), 0.0f)};
  if (layer.destination.normalisation >= 0)
    a = affine(pruned, pruned.graph.nodes[layer.destination.normalisation]);
  if (layer.destination.bias >= 0) a.offset = added_bias(pruned, layer);
  g.scale = std::move(a.scale), g.offset = std::move(a.offset);
  g.bounds = bounds_of_readers(pruned, layer.destination.goal);
  return g;
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

// Best fit of all inputs. Behind a Relu the wanted values below zero are relaxed: where both the original and
// the fit are negative, the fit is right as it is; so beyond both ends of a Clip (nonlinear reconstruction, Zhang et al., arXiv:1505.06798,
// by alternation).
saliency::Fit fit_goal(const saliency::NormalEquations& equations, const saliency::Patches& patches,
                       const Goal& g, const std::vector<float>& prior, const RepairOptions& options) {
  std::vector<int> all(static_cast<std::size_t>(equations.inputs));
  std::iota(all.begin(), all.end(), 0);
  saliency::Fit fit = saliency::fit(equations, all, options.ridge, prior);
  if (!g.bounds.any() || options.rectify == 0) return fit;
  saliency::NormalEquations relaxed = equations;
  std::vector<float> wanted = pull_back(g);
  for (int i = 0; i < options.rectify; ++i) {
    std::vector<float> now = saliency::predict(patches, fit), target = wanted;
    for (std::size_t k = 0; k < target.size(); ++k)
      if (g.bounds.beyond(g.wanted[k], at_destination(g, k, now[k]))) target[k] = now[k];
    saliency::replace_outputs(relaxed, patches, target);
    fit = saliency::fit(relaxed, all, options.ridge, prior);
  }
  return fit;
}

void refit(Model& pruned, const LinearLayer& layer, saliency::Fit fit) {
  std::vector<float> before = weights(pruned, layer);
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

// A layer's input, the other operand of its sum and its goal, on all samples.
struct Sampled {
  Tensor x;
  const Tensor* other;
  Tensor wanted;

  int plane(std::size_t axis) const {
    return axis < wanted.dims.size() ? static_cast<int>(wanted.dims[axis]) : 1;
  }
};

saliency::NormalEquations refit_dense(Model& pruned, const LinearLayer& layer, const Sampled& s,
                                      const RepairOptions& options) {
  saliency::Patches patches =
      saliency::sample_patches(layer.geometry, s.x, s.plane(2), s.plane(3), options.positions, options.seed);
  Goal g = goal(pruned, layer, patches, s.wanted, s.other);
  saliency::NormalEquations equations(layer.inputs, layer.geometry.taps(), layer.outputs);
  equations.intercept = layer.takes_intercept();
  std::vector<float> wanted_rows = pull_back(g), prior = weights(pruned, layer);
  saliency::accumulate(equations, patches, wanted_rows);
  if (saliency::few(patches))
    equations.ridge = saliency::held_out_ridge(equations, patches, wanted_rows, options.ridge, prior);
  if (options.refit) refit(pruned, layer, fit_goal(equations, patches, g, prior, options));
  return equations;
}

// One channel of a goal of several.
Goal channel_of(const Goal& all, std::size_t channel) {
  std::size_t channels = all.scale.size();
  auto column = [&](const std::vector<float>& rows) {
    std::vector<float> values;
    for (std::size_t i = channel; i < rows.size(); i += channels) values.push_back(rows[i]);
    return values;
  };
  return {column(all.wanted), column(all.other), {all.scale[channel]}, {all.offset[channel]}, all.bounds};
}

// Every channel by itself: taps and an intercept.
void refit_depthwise(Model& pruned, const LinearLayer& layer, const Sampled& s,
                     const RepairOptions& options) {
  if (!options.refit) return;
  std::vector<float> prior = weights(pruned, layer);
  auto taps = static_cast<std::ptrdiff_t>(layer.geometry.taps());
  saliency::Fit all;
  std::optional<Goal> goals;
  for (int c = 0; c < layer.outputs; ++c) {
    saliency::Patches patches = saliency::sample_patches(layer.geometry, take(s.x, 1, {c}), s.plane(2),
                                                         s.plane(3), options.positions, options.seed);
    if (!goals) goals = goal(pruned, layer, patches, s.wanted, s.other);
    Goal g = channel_of(*goals, static_cast<std::size_t>(c));
    saliency::NormalEquations equations(1, layer.geometry.taps(), 1);
    saliency::accumulate(equations, patches, pull_back(g));
    std::vector<float> own(prior.begin() + c * taps, prior.begin() + (c + 1) * taps);
    saliency::Fit fit = fit_goal(equations, patches, g, own, options);
    all.weights.insert(all.weights.end(), fit.weights.begin(), fit.weights.end());
    all.intercept.push_back(fit.intercept.front());
  }
  refit(pruned, layer, std::move(all));
}

// Dense and depthwise ones in topological order.
std::vector<LinearLayer> layers_to_repair(const Model& pruned, const graph::Shapes& shapes,
                                          const RepairOptions& options) {
  std::vector<LinearLayer> layers = linear_layers(pruned, shapes), more = depthwise_layers(pruned, shapes);
  layers.insert(layers.end(), more.begin(), more.end());
  std::sort(layers.begin(), layers.end(),
            [](const LinearLayer& a, const LinearLayer& b) { return a.node < b.node; });
  if (options.only)
    std::erase_if(layers, [&](const LinearLayer& layer) { return !options.only->contains(layer.y); });
  std::erase_if(layers, [&](const LinearLayer& layer) {
    return options.except.contains(layer.y) || options.except.contains(layer.destination.goal);
  });
  return layers;
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

Tensor goal_of(const Model& original, Activations& wanted, const KeptChannels& kept,
               const std::string& name) {
  Tensor goal = wanted.get(original, {name}).front();
  std::map<int, std::vector<int>> positions;
  for (auto it = kept.lower_bound({name, 0}); it != kept.end() && it->first.first == name; ++it)
    positions[it->first.second] = it->second;
  return positions.empty() ? goal : take(goal, positions);
}

KeptChannels kept_channels(const graph::Channels& channels, const std::vector<bool>& keep) {
  KeptChannels kept;
  for (const auto& [key, label] : channels.values) {
    std::vector<int> positions;
    for (std::size_t i = 0; i < label->size(); ++i)
      if (keep[(*label)[i]]) positions.push_back(static_cast<int>(i));
    if (positions.size() != label->size()) kept[key] = std::move(positions);
  }
  return kept;
}

std::size_t place_in_original(const KeptChannels& kept, const std::string& value, int axis, std::size_t i) {
  auto it = kept.find({value, axis});
  return it == kept.end() ? i : static_cast<std::size_t>(it->second.at(i));
}

Repaired repair(const Model& original, Activations& wanted, const Model& pruned, Activations& present,
                const KeptChannels& kept, const graph::Shapes& pruned_shapes, const RepairOptions& options) {
  Repaired result{pruned, {}};
  for (const LinearLayer& layer : layers_to_repair(pruned, pruned_shapes, options)) {
    throw_if_interrupted();
    const Destination& to = layer.destination;
    std::vector<std::string> names = {layer.x};
    if (to.sum >= 0) names.push_back(to.other);
    std::vector<Tensor> now = present.get(result.model, names);
    for (Tensor& value : now) value = channels_first(layer, value);
    Sampled sampled{now[0], to.sum >= 0 ? &now[1] : nullptr,
                    channels_first(layer, goal_of(original, wanted, kept, to.goal))};
    if (layer.depthwise)
      refit_depthwise(result.model, layer, sampled, options);
    else
      result.equations.emplace(layer.y, refit_dense(result.model, layer, sampled, options));
  }
  return result;
}

Model reestimate_normalisation(const Model& pruned, Activations& present) {
  Model result = pruned;
  for (std::size_t i = 0; i < result.graph.nodes.size(); ++i) {
    if (result.graph.nodes[i].op != "BatchNormalization") continue;
    throw_if_interrupted();
    Moments m = moments(present.get(result, {result.graph.nodes[i].input(0)}).front());
    auto channels = static_cast<std::int64_t>(m.mean.size());
    set_operand(result, static_cast<int>(i), 3, graph::make_f32({channels}, std::move(m.mean)));
    set_operand(result, static_cast<int>(i), 4, graph::make_f32({channels}, std::move(m.variance)));
  }
  return result;
}

}  // namespace tailor::rewrite
