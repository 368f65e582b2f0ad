// Places that windows touch, extents, loops outside.
#include "tailor/latency/tiles.h"

#include <algorithm>
#include <limits>

namespace tailor::latency {
namespace {

using device::Accelerator;
using device::Dataflow;
using device::Dimension;
using device::PerDimension;
using device::PerTensor;
using device::Tensor;

double greatest_common_divisor(double a, double b) {
  while (b > 0) {
    const double rest = a - b * static_cast<double>(static_cast<std::int64_t>(a / b));
    a = b, b = rest;
  }
  return a;
}

// Different ones among outputs x taps places, as the header says.
double places(double outputs, double taps, double stride, double dilation) {
  const double divisor = greatest_common_divisor(stride, dilation);
  return outputs * taps -
         std::max(0.0, outputs - dilation / divisor) * std::max(0.0, taps - stride / divisor);
}

double rows_of(const LayerLoops& layer, double outputs, double taps) {
  return places(outputs, taps, layer.stride_h, layer.dilation_h);
}
double columns_of(const LayerLoops& layer, double outputs, double taps) {
  return places(outputs, taps, layer.stride_w, layer.dilation_w);
}

std::span<const Dimension> outside(const device::Order& order, Tensor tensor) {
  return std::span(order.loops).first(order.refresh[tensor]);
}

bool is_tap(Dimension d) { return d == Dimension::kh || d == Dimension::kw; }
bool is_pixel(Dimension d) { return d == Dimension::oh || d == Dimension::ow; }

// How many tiles of inputs the registers can hold beside the other tensors' tiles.
double room_for_inputs(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling) {
  const PerTensor<double> bytes = register_bytes(a, layer, tiling);
  const std::size_t file = a.register_of[Tensor::inputs];
  double room = a.registers[file].bytes;
  if (room == 0) return std::numeric_limits<double>::infinity();
  for (Tensor t : {Tensor::outputs, Tensor::weights})
    if (a.register_of[t] == file) room -= bytes[t];
  return room / bytes[Tensor::inputs];
}

}  // namespace

bool depends(Tensor tensor, Dimension d) {
  switch (tensor) {
    case Tensor::inputs:
      return d != Dimension::oc;
    case Tensor::outputs:
      return d == Dimension::mb || d == Dimension::oc || d == Dimension::oh || d == Dimension::ow;
    case Tensor::weights:
      break;
  }
  return d == Dimension::ic || d == Dimension::oc || d == Dimension::kh || d == Dimension::kw;
}

double elements(const LayerLoops& layer, Tensor tensor, const PerDimension<double>& e) {
  switch (tensor) {
    case Tensor::inputs:
      return e[Dimension::mb] * e[Dimension::ic] * rows_of(layer, e[Dimension::oh], e[Dimension::kh]) *
             columns_of(layer, e[Dimension::ow], e[Dimension::kw]);
    case Tensor::outputs:
      return e[Dimension::mb] * e[Dimension::oc] * e[Dimension::oh] * e[Dimension::ow];
    case Tensor::weights:
      break;
  }
  return e[Dimension::ic] * e[Dimension::oc] * e[Dimension::kh] * e[Dimension::kw];
}

PerDimension<double> register_extents(const Dataflow& flow, const Tiling& tiling, Tensor tensor) {
  PerDimension<double> extents = tiling.bounds[static_cast<std::size_t>(Level::inside)];
  const auto& loops = flow.registers.loops;
  for (std::size_t i = flow.registers.refresh[tensor]; i < loops.size(); ++i)
    extents[loops[i]] *= tiling.at(Level::registers, loops[i]);
  return extents;
}

PerDimension<double> buffer_extents(const Dataflow& flow, const Tiling& tiling, Tensor tensor) {
  PerDimension<double> extents = {};
  for (Dimension d : device::kDimensions)
    extents[d] = tiling.at(Level::inside, d) * tiling.at(Level::registers, d) * tiling.at(Level::array, d);
  const auto& loops = flow.buffer.loops;
  for (std::size_t i = flow.buffer.refresh[tensor]; i < loops.size(); ++i)
    extents[loops[i]] *= tiling.at(Level::buffer, loops[i]);
  return extents;
}

void Loops::add(Level level, std::span<const Dimension> dimensions, const Tiling& tiling) {
  for (Dimension d : dimensions)
    if (tiling.at(level, d) > 1) loops_[count_++] = {level, d, tiling.at(level, d)};
}

void Loops::down_to_related(Tensor tensor) {
  while (count_ > 0 && !depends(tensor, loops_[count_ - 1].dimension)) --count_;
}

double Loops::product() const {
  double turns = 1;
  for (std::size_t i = 0; i < count_; ++i) turns *= loops_[i].bound;
  return turns;
}

double Loops::product_of(Tensor tensor) const {
  double turns = 1;
  for (std::size_t i = 0; i < count_; ++i)
    if (depends(tensor, loops_[i].dimension)) turns *= loops_[i].bound;
  return turns;
}

Loops loops_outside_buffer(const Dataflow& flow, const Tiling& tiling, Tensor tensor) {
  Loops loops;
  loops.add(Level::dram, flow.dram, tiling);
  loops.add(Level::buffer, outside(flow.buffer, tensor), tiling);
  loops.down_to_related(tensor);
  return loops;
}

Loops loops_outside_registers(const Dataflow& flow, const Tiling& tiling, Tensor tensor) {
  Loops loops;
  loops.add(Level::dram, flow.dram, tiling);
  loops.add(Level::buffer, flow.buffer.loops, tiling);
  loops.add(Level::registers, outside(flow.registers, tensor), tiling);
  loops.down_to_related(tensor);
  return loops;
}

double bytes_of(const Accelerator& a, Tensor tensor, bool partial) {
  if (tensor == Tensor::weights) return a.weights;
  return tensor == Tensor::outputs && partial ? a.partial_sums : a.activations;
}

PerTensor<double> register_bytes(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling) {
  const double products =
      layer.extent[Dimension::ic] * layer.extent[Dimension::kh] * layer.extent[Dimension::kw];
  PerTensor<double> bytes;
  for (Tensor t : device::kTensors)
    bytes[t] = elements(layer, t, register_extents(a.dataflow, tiling, t)) * bytes_of(a, t, products > 1);
  return bytes;
}

double step_between(const LayerLoops& layer, Dimension d) {
  const bool rows = d == Dimension::oh || d == Dimension::kh;
  const double stride = rows ? layer.stride_h : layer.stride_w;
  const double dilation = rows ? layer.dilation_h : layer.dilation_w;
  return stride >= dilation && greatest_common_divisor(stride, dilation) == dilation ? stride / dilation : 0;
}

PerDimension<double> tap_sweeps(const Dataflow& flow, const Tiling& tiling) {
  PerDimension<double> sweeps = {};
  sweeps.fill(1);
  const auto listed = outside(flow.registers, Tensor::inputs);
  for (std::size_t i = listed.size(); i > 0 && is_tap(listed[i - 1]); --i)
    sweeps[listed[i - 1]] = tiling.at(Level::registers, listed[i - 1]);
  return sweeps;
}

Passing passing(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling) {
  const auto listed = outside(a.dataflow.registers, Tensor::inputs);
  if (!a.forward.carries[Tensor::inputs] || std::any_of(listed.begin(), listed.end(), is_pixel)) return {};
  Tiling cut = tiling;  // what is not yet cut takes no room
  cut.bounds[static_cast<std::size_t>(Level::inside)].fill(1);
  const PerDimension<double> sweeps = tap_sweeps(a.dataflow, tiling);
  const double row = sweeps[Dimension::kw], rows = sweeps[Dimension::kh];
  const auto can_keep = [&](double times) { return room_for_inputs(a, layer, cut) >= times; };
  const double across = step_between(layer, Dimension::ow), down = step_between(layer, Dimension::oh);
  return {across > 0 && tiling.at(Level::array, Dimension::ow) > 1 && can_keep(std::min(across, row)),
          down > 0 && tiling.at(Level::array, Dimension::oh) > 1 &&
              can_keep(rows > 1 ? row * std::min(down, rows) : 1)};
}

}  // namespace tailor::latency
