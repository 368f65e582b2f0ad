/// \file Repair of several layers at a time, after the cascade.
#pragma once

#include "tailor/rewrite/repair.h"

#include <functional>

namespace tailor::rewrite {

struct JointRepairOptions {
  int layers = 2;  // of a region at most; depthwise ones come along
  int steps = 25;  // of its fit at most
  /// Samples of a region: as many as give each column of its widest layer so many positions, and no fewer than `least`.
  double positions = 450;
  int least = 768;
  double macs =
      2e10;  // multiply-accumulates of one pass over a region, which bounds how many samples are used
  std::uint64_t seed = 0;
  std::set<std::string> except = {};  // as in RepairOptions: goals of no region
  /// After each region: mean squared distance at its goal before and after, on samples that were held out.
  std::function<void(const std::string& goal, double before, double after)> on_region = {};
};

/// Every region of `pruned`, in topological order, fitted to what the original has at its goal (saliency/joint_fit.h),
/// from what the pruned network has at its inputs by then. Weights that do not bring the goal nearer on samples that the
/// fit has not seen are left as they are; so are those of a region of which too little is seen to fit it (fewer than eight
/// positions for a column). `wanted` and `present` as for repair(), and of the same samples.
graph::Model repair_jointly(const graph::Model& original, Activations& wanted, const graph::Model& pruned,
                            Activations& present, const KeptChannels& kept,
                            const graph::Shapes& pruned_shapes, const JointRepairOptions& options);

}  // namespace tailor::rewrite
