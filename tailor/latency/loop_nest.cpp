// A tiling's cost: what the array takes up of each tensor (tiles.h has tiles and the loops outside them), bytes per level,
// then energy and cycles.
#include "tailor/latency/loop_nest.h"

#include "tailor/base/error.h"
#include "tailor/latency/tiles.h"

#include <algorithm>

namespace tailor::latency {
namespace {

using device::Accelerator;
using device::Dataflow;
using device::Dimension;
using device::Memory;
using device::PerDimension;
using device::PerTensor;
using device::Tensor;

constexpr double kLargestExtent = 2147483648.0;

struct Spread {
  double related = 1, alike = 1;
};
Spread spread(const Tiling& tiling, Tensor tensor) {
  Spread result;
  for (Dimension d : device::kDimensions)
    (depends(tensor, d) ? result.related : result.alike) *= tiling.at(Level::array, d);
  return result;
}

bool is_window(Dimension d) { return d != Dimension::mb && d != Dimension::ic && d != Dimension::oc; }

// Elements that the array takes up: from the buffer (`sent`, in each of the alike PEs' place once) and in all related PEs.
struct Taken {
  double sent = 0, received = 0;
};

// One PE's inputs, with the sweep of the loop just outside its tile.
double swept(const Dataflow& flow, const LayerLoops& layer, Loops loops, const PerDimension<double>& tile) {
  const double whole = elements(layer, Tensor::inputs, tile);
  if (!flow.reuse_windows || loops.empty()) return loops.product() * whole;
  const Loop loop = loops.innermost();
  if (loop.level != Level::registers || !is_window(loop.dimension)) return loops.product() * whole;
  PerDimension<double> two = tile;
  two[loop.dimension] *= 2;
  loops.pop();
  return loops.product() * (whole + (loop.bound - 1) * (elements(layer, Tensor::inputs, two) - whole));
}

// The array's inputs where neighbours pass them on: each different one once, along the axes where they do.
double sent_once(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling, Loops loops,
                 PerDimension<double> tile) {
  const Passing passed = passing(a, layer, tiling);
  const PerDimension<double> sweeps = tap_sweeps(a.dataflow, tiling);
  for (double turns = sweeps[Dimension::kh] * sweeps[Dimension::kw]; turns > 1; loops.pop())
    turns /= loops.innermost().bound;
  double others = tiling.at(Level::array, Dimension::mb) * tiling.at(Level::array, Dimension::ic) *
                  tiling.at(Level::array, Dimension::kh) * tiling.at(Level::array, Dimension::kw);
  const auto spread_over = [&](Dimension pixel, Dimension tap, bool passes) {
    const double pes = tiling.at(Level::array, pixel);
    if (passes)
      tile[pixel] *= pes, tile[tap] *= sweeps[tap];
    else
      others *= pes * sweeps[tap];
  };
  spread_over(Dimension::oh, Dimension::kh, passed.down);
  spread_over(Dimension::ow, Dimension::kw, passed.across);
  return loops.product() * elements(layer, Tensor::inputs, tile) * others;
}

Taken taken(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling, Tensor tensor) {
  const Loops loops = loops_outside_registers(a.dataflow, tiling, tensor);
  const PerDimension<double> tile = register_extents(a.dataflow, tiling, tensor);
  const double related = spread(tiling, tensor).related;
  if (tensor != Tensor::inputs) {
    const double all = loops.product() * elements(layer, tensor, tile) * related;
    return {all, all};
  }
  const double all = swept(a.dataflow, layer, loops, tile) * related;
  if (!a.forward.carries[tensor]) return {all, all};
  return {std::min(all, sent_once(a, layer, tiling, loops, tile)), all};
}

// Inputs and weights. A factor of `groups` follows later.
void add_operand(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling, Tensor tensor,
                 NestCost& cost) {
  const double bytes = tensor == Tensor::inputs ? a.activations : a.weights;
  const Loops loops = loops_outside_buffer(a.dataflow, tiling, tensor);
  cost.dram[tensor] =
      loops.product() * elements(layer, tensor, buffer_extents(a.dataflow, tiling, tensor)) * bytes;
  const Taken elements_taken = taken(a, layer, tiling, tensor);
  const double alike = spread(tiling, tensor).alike;
  const bool multicast = a.multicast.carries[tensor];
  cost.buffer[tensor] = elements_taken.sent * bytes * (multicast ? 1 : alike);
  (multicast ? cost.multicast : cost.unicast)[tensor] = cost.buffer[tensor];
  cost.forward[tensor] = (elements_taken.received - elements_taken.sent) * bytes * alike;
  cost.registers[tensor] = elements_taken.received * bytes * alike;
}

void add_outputs(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling, NestCost& cost) {
  constexpr Tensor kOut = Tensor::outputs;
  const auto bytes = [&](double parts) { return parts > 1 ? a.partial_sums : a.activations; };
  const Loops far = loops_outside_buffer(a.dataflow, tiling, kOut);
  const double far_sums = far.product() / far.product_of(kOut);
  cost.dram[kOut] = far.product_of(kOut) * (2 * far_sums - 1) *
                    elements(layer, kOut, buffer_extents(a.dataflow, tiling, kOut)) * bytes(far_sums);
  const Loops near = loops_outside_registers(a.dataflow, tiling, kOut);
  const auto [related, alike] = spread(tiling, kOut);
  const double sums = near.product() / near.product_of(kOut);
  const double tiles =
      near.product_of(kOut) * related * elements(layer, kOut, register_extents(a.dataflow, tiling, kOut));
  const bool forwards = a.forward.carries[kOut];
  const double up = forwards ? sums : sums * alike;  // parts of a sum that reach the buffer
  cost.buffer[kOut] = tiles * (2 * up - 1) * bytes(up);
  cost.unicast[kOut] = tiles * up * bytes(up);
  cost.forward[kOut] = forwards ? tiles * sums * (alike - 1) * bytes(alike) : 0;
  cost.registers[kOut] = tiles * (2 * sums * alike - 1) * bytes(sums * alike);
}

void add_groups(const LayerLoops& layer, NestCost& cost) {
  for (PerTensor<double>* level :
       {&cost.dram, &cost.buffer, &cost.unicast, &cost.multicast, &cost.forward, &cost.registers})
    for (double& bytes : *level) bytes *= layer.groups;
}

void add_energy(const Accelerator& a, const LayerLoops& layer, NestCost& cost) {
  cost.macs = layer.macs();
  cost.mac_pj = cost.pj = cost.macs * a.mac_pj;
  for (Tensor t : device::kTensors) {
    cost.dram_pj[t] = cost.dram[t] * a.dram.pj_per_byte;
    cost.buffer_pj[t] = cost.buffer[t] * a.buffers[a.buffer_of[t]].pj_per_byte;
    cost.noc_pj[t] = cost.unicast[t] * a.unicast.pj_per_byte + cost.multicast[t] * a.multicast.pj_per_byte +
                     cost.forward[t] * a.forward.pj_per_byte;
    cost.registers_pj[t] = cost.registers[t] * a.registers[a.register_of[t]].pj_per_byte;
    cost.pj += cost.dram_pj[t] + cost.buffer_pj[t] + cost.noc_pj[t] + cost.registers_pj[t];
  }
}

double sum(const PerTensor<double>& bytes) {
  return bytes[Tensor::inputs] + bytes[Tensor::outputs] + bytes[Tensor::weights];
}

double time_of(double bytes, double bytes_per_cycle) {
  return bytes_per_cycle > 0 ? bytes / bytes_per_cycle : 0;
}

// The slowest of the memories, `copies` of each.
double slowest(const std::vector<Memory>& memories, const PerTensor<std::size_t>& where,
               const PerTensor<double>& bytes, double copies) {
  double most = 0;
  for (std::size_t i = 0; i < memories.size(); ++i) {
    double in_it = 0;
    for (Tensor t : device::kTensors)
      if (where[t] == i) in_it += bytes[t];
    most = std::max(most, time_of(in_it / copies, memories[i].bytes_per_cycle));
  }
  return most;
}

void add_cycles(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling, NestCost& cost) {
  double turns = layer.groups, covered = layer.groups;
  cost.active_pes = 1;
  for (Dimension d : device::kDimensions) {
    turns *= tiling.at(Level::dram, d) * tiling.at(Level::buffer, d) * tiling.at(Level::registers, d);
    covered *= tiling.covered(d);
    cost.active_pes *= tiling.at(Level::array, d);
  }
  cost.compute_cycles = turns;
  cost.dram_cycles = time_of(sum(cost.dram), a.dram.bytes_per_cycle);
  cost.buffer_cycles = slowest(a.buffers, a.buffer_of, cost.buffer, 1);
  cost.register_cycles = slowest(a.registers, a.register_of, cost.registers, cost.active_pes);
  cost.noc_cycles = std::max({time_of(sum(cost.unicast), a.unicast.bytes_per_cycle),
                              time_of(sum(cost.multicast), a.multicast.bytes_per_cycle),
                              time_of(sum(cost.forward), a.forward.bytes_per_cycle)});
  const std::array all = {cost.compute_cycles, cost.dram_cycles, cost.buffer_cycles, cost.noc_cycles,
                          cost.register_cycles};
  const auto most = std::max_element(all.begin(), all.end());
  cost.cycles = *most, cost.paced_by = static_cast<PacedBy>(most - all.begin());
  cost.utilisation = cost.macs / (cost.cycles * a.pes());
  cost.padding = 1 - cost.macs / covered;
}

}  // namespace

std::array<PerDimension<double>, 5> Tiling::filled() {
  std::array<PerDimension<double>, 5> ones;
  for (PerDimension<double>& level : ones) level.fill(1);
  return ones;
}

double Tiling::covered(Dimension d) const {
  double product = 1;
  for (const PerDimension<double>& level : bounds) product *= level[d];
  return product;
}

double LayerLoops::macs() const {
  double product = groups;
  for (double one : extent) product *= one;
  return product;
}

const char* name(PacedBy paced_by) {
  constexpr std::array names = {"compute", "dram", "buffer", "noc", "registers"};
  return names[static_cast<std::size_t>(paced_by)];
}

LayerLoops layer_loops(const Workload& w) {
  if (w.kind == Kind::conv_transpose)
    throw Error(Code::bad_value, "transposed convolutions have no loop nest here", to_string(w));
  LayerLoops layer;
  const auto positive = [&](std::int64_t size) {
    const double value = static_cast<double>(size);
    if (value < 1 || value > kLargestExtent)
      throw Error(Code::bad_value, "a size is below 1 or above 2^31", to_string(w));
    return value;
  };
  layer.groups = positive(w.g);
  layer.extent[Dimension::mb] = positive(w.mb);
  layer.extent[Dimension::ic] = positive(w.ic / w.g);
  layer.extent[Dimension::oc] = positive(w.oc / w.g);
  layer.extent[Dimension::oh] = positive(w.oh), layer.extent[Dimension::ow] = positive(w.ow);
  layer.extent[Dimension::kh] = positive(w.kh), layer.extent[Dimension::kw] = positive(w.kw);
  layer.stride_h = positive(w.sh), layer.stride_w = positive(w.sw);
  layer.dilation_h = positive(w.dh), layer.dilation_w = positive(w.dw);
  return layer;
}

NestCost nest_cost(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling) {
  NestCost cost;
  add_operand(a, layer, tiling, Tensor::inputs, cost);
  add_operand(a, layer, tiling, Tensor::weights, cost);
  add_outputs(a, layer, tiling, cost);
  add_groups(layer, cost);
  add_energy(a, layer, cost);
  add_cycles(a, layer, tiling, cost);
  return cost;
}

}  // namespace tailor::latency
