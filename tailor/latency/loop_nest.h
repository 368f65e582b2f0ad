/// \file What a convolution costs on a described accelerator when its loops are cut in a given way: bytes, energy and
/// cycles.
///
/// The equations are those of DNN-Chip Predictor (Zhao et al., arXiv:2002.11270), in our words. A tensor's tile at a
/// level is the part of it that the loops inside its refresh point touch (device/accelerator.h). It is loaded once for
/// every turn of the loops outside, down to the innermost of them that the tensor depends on; loops further in leave it
/// as it is, and that is reuse. Loops over the array are factors: `related` PEs need different parts of the tensor,
/// `alike` PEs the same.
///   loads    = product of the temporal loops outside, as said       (loops of one turn are no loops)
///   DRAM     = loads(buffer) x tile(buffer)
///   buffer   = loads(registers) x tile(registers) x related         (x alike, where the network does not multicast)
///   registers= loads(registers) x tile(registers) x related x alike
/// Outputs are sums over ic, kh and kw. Where R turns of such loops lie outside the refresh point, a sum goes up R times
/// and comes back R - 1 times; every one of these 2R - 1 is of partial sums:
///   buffer   = turns x tile x related x (2R - 1)                    (2 R alike - 1, where PEs do not forward sums)
///   registers= turns x tile x related x (2 R alike - 1);  unicast = turns x tile x related x R
///   forward  = turns x tile x related x R x (alike - 1)
/// (what comes back is in the buffer's bytes and not in the network's, as in the published figures).
///
/// Inputs overlap from window to window. Of a x b places (a outputs a stride apart, b taps a dilation apart), ab -
/// (a-d)(b-s) are different, where d and s are dilation and stride over their greatest common divisor and negative
/// factors are 0: a tile holds these. With `reuse_windows`, the loop over oh, ow, kh or kw just outside the tile of a PE
/// is a sweep: it loads the first tile whole and then what is new in each next one, tile(two turns) - tile(one turn).
/// Where PEs forward inputs, the array as a whole is what sweeps over the loops kh and kw that the dataflow lists just
/// outside the tile: the buffer sends each different input once, neighbours pass on the rest. That needs room: a PE keeps
/// an input until its neighbour's turn, along a row as many tiles as the stride, down a column as many rows of taps.
/// Along an axis without that room every PE takes its own. Nothing is passed on where the dilation does not divide the
/// stride: neighbours share nothing then.
///
/// Cycles = max(product of all temporal loops, bytes over bandwidth of DRAM, buffers, network, registers): transfers and
/// arithmetic overlap fully. Loops that reach over the layer's edge cost their full time: utilisation = MACs / (cycles x
/// PEs). Groups are computed one after the other. Zeros of padding are moved like other inputs. Not modelled: bank
/// conflicts, double buffers (a tile takes its size once), the time to fill the array, leakage, sparsity.
#pragma once

#include "tailor/device/accelerator.h"
#include "tailor/latency/workload.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace tailor::latency {

/// Where the loops over a dimension lie, from the outside in. `inside` is no level of hardware: what the innermost loops
/// take at once. It is 1 in every tiling; searches set it to a whole dimension that they have not yet cut, for a lower
/// bound.
enum class Level { dram, buffer, array, registers, inside };
inline constexpr std::array kLevels = {Level::dram, Level::buffer, Level::array, Level::registers};

/// Bounds of all loops; a dimension that has no loop at a level has 1 there.
struct Tiling {
  std::array<device::PerDimension<double>, 5> bounds = filled();  // by Level; whole numbers

  double& at(Level level, device::Dimension d) { return bounds[static_cast<std::size_t>(level)][d]; }
  double at(Level level, device::Dimension d) const { return bounds[static_cast<std::size_t>(level)][d]; }
  /// Product of the levels: what the loops cover.
  double covered(device::Dimension d) const;
  friend bool operator==(const Tiling&, const Tiling&) = default;

 private:
  static std::array<device::PerDimension<double>, 5> filled();
};

/// A layer as loops: one of its groups.
struct LayerLoops {
  device::PerDimension<double> extent = {};
  double groups = 1;
  double stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  double macs() const;  // of all groups
};
/// @throws Error bad_value for a transposed convolution, and for sizes below 1 or above 2^31
LayerLoops layer_loops(const Workload& workload);

/// What sets the pace.
enum class PacedBy { compute, dram, buffer, noc, registers };
const char* name(PacedBy paced_by);

struct NestCost {
  device::PerTensor<double> dram = {}, buffer = {}, unicast = {}, multicast = {}, forward = {},
                            registers = {};  // bytes
  device::PerTensor<double> dram_pj = {}, buffer_pj = {}, noc_pj = {}, registers_pj = {};
  double macs = 0, mac_pj = 0;  // of the layer; PEs beyond its edge are taken to be still
  double pj = 0;                // of all of these
  double compute_cycles = 0, dram_cycles = 0, buffer_cycles = 0, noc_cycles = 0, register_cycles = 0;
  double cycles = 0;  // the largest
  PacedBy paced_by = PacedBy::compute;
  double active_pes = 0;   // under a loop of the array
  double utilisation = 0;  // MACs over cycles x PEs
  double padding = 0;      // share of the active PEs' turns that reach over the layer's edge
};
/// O(loops of the dataflow), a fraction of a microsecond; nothing is allocated. Never decreasing in any bound.
NestCost nest_cost(const device::Accelerator& accelerator, const LayerLoops& layer, const Tiling& tiling);

/// Bytes that tiles take.
struct NestSizes {
  device::PerTensor<double> buffer = {}, registers = {};  // the latter in each PE
  double rows = 1, columns = 1, pes = 1;                  // loops over the array's axes, and all its loops
};
NestSizes nest_sizes(const device::Accelerator& accelerator, const LayerLoops& layer, const Tiling& tiling);
/// Whether buffers, registers and array hold these. O(1)
bool fits(const device::Accelerator& accelerator, const NestSizes& sizes);

/// Every reason why the tiling cannot run, a sentence without a full stop each: loops that do not cover the layer, loops
/// that the dataflow does not have, tiles larger than their memory, more loops over the array than PEs. Empty: it can.
std::vector<std::string> misfits(const device::Accelerator& accelerator, const LayerLoops& layer,
                                 const Tiling& tiling);

/// Levels at which the dataflow has a loop over the dimension, outermost first.
std::vector<Level> levels_of(const device::Dataflow& dataflow, device::Dimension dimension);

}  // namespace tailor::latency
