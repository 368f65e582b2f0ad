/// \file Tiles of a loop nest and the loops outside them: the parts of which loop_nest.h makes costs and sizes. Private.
#pragma once

#include "tailor/latency/loop_nest.h"

#include <array>
#include <cstddef>
#include <span>

namespace tailor::latency {

/// Whether the tensor has this dimension: inputs have all but oc.
bool depends(device::Tensor tensor, device::Dimension d);

/// Elements of the part of a tensor that loops of these extents touch.
double elements(const LayerLoops& layer, device::Tensor tensor, const device::PerDimension<double>& extents);

/// What a PE touches inside the tensor's refresh point, and what the array touches inside that of the buffer.
device::PerDimension<double> register_extents(const device::Dataflow& flow, const Tiling& tiling,
                                              device::Tensor tensor);
device::PerDimension<double> buffer_extents(const device::Dataflow& flow, const Tiling& tiling,
                                            device::Tensor tensor);

struct Loop {
  Level level = Level::dram;
  device::Dimension dimension = device::Dimension::mb;
  double bound = 1;
};

/// Temporal loops of more than one turn, outermost first, down to the innermost one that the tensor depends on.
class Loops {
 public:
  bool empty() const { return count_ == 0; }
  const Loop& innermost() const { return loops_[count_ - 1]; }
  void pop() { --count_; }
  double product() const;
  double product_of(device::Tensor tensor) const;  // of those that the tensor depends on

 private:
  friend Loops loops_outside_buffer(const device::Dataflow&, const Tiling&, device::Tensor);
  friend Loops loops_outside_registers(const device::Dataflow&, const Tiling&, device::Tensor);
  void add(Level level, std::span<const device::Dimension> dimensions, const Tiling& tiling);
  void down_to_related(device::Tensor tensor);

  std::array<Loop, 3 * device::kDimensions.size()> loops_;
  std::size_t count_ = 0;
};
Loops loops_outside_buffer(const device::Dataflow& flow, const Tiling& tiling, device::Tensor tensor);
Loops loops_outside_registers(const device::Dataflow& flow, const Tiling& tiling, device::Tensor tensor);

/// Of an element; `partial`: outputs are sums that are not finished.
double bytes_of(const device::Accelerator& accelerator, device::Tensor tensor, bool partial);
/// Bytes of the tiles in a PE.
device::PerTensor<double> register_bytes(const device::Accelerator& accelerator, const LayerLoops& layer,
                                         const Tiling& tiling);

/// How many taps lie between the same input in neighbouring windows, along the axis of oh and kh or that of ow and kw:
/// the stride; over the dilation if that divides it. 0 otherwise: neighbouring windows share nothing.
double step_between(const LayerLoops& layer, device::Dimension d);
/// Bounds of the loops over kh and kw that the dataflow lists just outside the inputs' tile: the array sweeps over them.
/// 1 of the other dimensions.
device::PerDimension<double> tap_sweeps(const device::Dataflow& flow, const Tiling& tiling);
/// Along which axes of the output neighbours pass inputs on: those that lie over the array, if a PE's registers can keep
/// an input until the neighbour needs it. That is after as many taps as the stride across, after as many rows of taps
/// down.
struct Passing {
  bool across = false, down = false;  // ow, oh
};
Passing passing(const device::Accelerator& accelerator, const LayerLoops& layer, const Tiling& tiling);

}  // namespace tailor::latency
