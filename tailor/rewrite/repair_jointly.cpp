// repair_jointly: region by region in topological order: values at its inputs, wanted ones at its goal, the fit, the
// weights; what is known behind them is forgotten.
#include "tailor/rewrite/repair_jointly.h"

#include "tailor/base/interrupt.h"
#include "tailor/rewrite/goal.h"
#include "tailor/rewrite/region.h"
#include "tailor/saliency/joint_fit.h"

#include <algorithm>
#include <set>

namespace tailor::rewrite {
namespace {

// Samples that give each column of every layer so many positions.
double samples_for(const Region& region, double positions) {
  double samples = 2;
  for (const saliency::Step& step : region.tape.steps)
    if (step.layer >= 0) {
      int columns = region.tape.layers[static_cast<std::size_t>(step.layer)].columns();
      samples = std::max(
          samples, positions * columns / region.tape.values[static_cast<std::size_t>(step.out)].plane());
    }
  return samples;
}

// Samples that a region is fitted to; 0 where it would learn them by heart.
int samples(const Region& region, const JointRepairOptions& options, std::int64_t all) {
  constexpr double kFew = 8;
  double wanted = std::max(samples_for(region, options.positions), static_cast<double>(options.least)),
         used =
             std::min({wanted, options.macs / std::max(1.0, region.tape.macs()), static_cast<double>(all)});
  return used < samples_for(region, kFew) ? 0 : static_cast<int>(used);
}

std::set<int> nodes_of(const Region& region) {
  std::set<int> nodes;
  for (const LinearLayer& layer : region.layers) nodes.insert(layer.node);
  return nodes;
}

}  // namespace

graph::Model repair_jointly(const graph::Model& original, Activations& wanted, const graph::Model& pruned,
                            Activations& present, const KeptChannels& kept,
                            const graph::Shapes& pruned_shapes, const JointRepairOptions& options) {
  graph::Model model = pruned;
  const std::map<int, LinearLayer> layers = layers_by_node(model, pruned_shapes);
  for (const auto& [node, layer] : layers) {
    throw_if_interrupted();
    std::optional<Region> region = region_before(model, pruned_shapes, layers, layer, options.layers);
    if (!region || options.except.contains(region->goal)) continue;
    Bounds bounds = bounds_of_readers(model, region->goal);
    saliency::Wanted w{present.get(model, region->inputs), goal_of(original, wanted, kept, region->goal),
                       bounds.low, bounds.high};
    saliency::JointOptions how;
    how.steps = options.steps, how.seed = options.seed, how.stop = interrupted;
    how.samples = samples(*region, options, w.goal.dims[0]);
    if (how.samples < 2) continue;
    saliency::JointFit fit = saliency::fit_jointly(region->tape, w, tape_weights(model, *region), how);
    throw_if_interrupted();
    if (options.on_region) options.on_region(region->goal, fit.before, fit.after);
    if (!(fit.after < fit.before)) continue;
    set_tape_weights(model, *region, fit.weights);
    present.forget(model, nodes_of(*region));
  }
  return model;
}

}  // namespace tailor::rewrite
