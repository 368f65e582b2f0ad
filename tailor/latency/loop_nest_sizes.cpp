// What tiles take of buffers, registers and array, and the reasons why a tiling cannot run.
#include "tailor/latency/tiles.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::latency {
namespace {

using device::Accelerator;
using device::Dataflow;
using device::Dimension;
using device::Memory;
using device::PerTensor;
using device::Tensor;

// Whether a buffer gets sums in parts: over several turns of the loops, or from PEs that do not forward theirs.
bool in_parts(const Accelerator& a, const Tiling& tiling) {
  const Loops loops = loops_outside_registers(a.dataflow, tiling, Tensor::outputs);
  double alike = 1;
  for (Dimension d : {Dimension::ic, Dimension::kh, Dimension::kw}) alike *= tiling.at(Level::array, d);
  return loops.product() > loops.product_of(Tensor::outputs) ||
         (alike > 1 && !a.forward.carries[Tensor::outputs]);
}

template <class Holds>
void for_each_overfull(const std::vector<Memory>& memories, const PerTensor<std::size_t>& where,
                       const PerTensor<double>& bytes, Holds overfull) {
  for (std::size_t i = 0; i < memories.size(); ++i) {
    double taken = 0;
    for (Tensor t : device::kTensors)
      if (where[t] == i) taken += bytes[t];
    if (memories[i].bytes > 0 && taken > memories[i].bytes) overfull(memories[i], taken);
  }
}

bool has_loop(const Dataflow& flow, Level level, Dimension d) {
  const std::vector<Level> levels = levels_of(flow, d);
  return std::find(levels.begin(), levels.end(), level) != levels.end();
}

const char* name(Level level) {
  constexpr std::array names = {"dram", "buffer", "array", "registers", "inside"};
  return names[static_cast<std::size_t>(level)];
}

void add_uncovered(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling,
                   std::vector<std::string>& reasons) {
  for (Dimension d : device::kDimensions) {
    if (tiling.covered(d) < layer.extent[d])
      reasons.push_back(levels_of(a.dataflow, d).empty()
                            ? fmt::format("the dataflow has no loop over {}", device::name(d))
                            : fmt::format("loops over {} cover {:.0f} of {:.0f}", device::name(d),
                                          tiling.covered(d), layer.extent[d]));
    for (Level level : kLevels)
      if (tiling.at(level, d) > 1 && !has_loop(a.dataflow, level, d))
        reasons.push_back(
            fmt::format("the dataflow has no loop over {} at the level {}", device::name(d), name(level)));
  }
}

void add_overfull(const Accelerator& a, const NestSizes& sizes, std::vector<std::string>& reasons) {
  for_each_overfull(a.buffers, a.buffer_of, sizes.buffer, [&](const Memory& memory, double taken) {
    reasons.push_back(fmt::format("the buffer '{}' holds {:.0f} bytes, tiles take {:.0f}", memory.name,
                                  memory.bytes, taken));
  });
  for_each_overfull(a.registers, a.register_of, sizes.registers, [&](const Memory& memory, double taken) {
    reasons.push_back(fmt::format("the registers '{}' of a PE hold {:.0f} bytes, tiles take {:.0f}",
                                  memory.name, memory.bytes, taken));
  });
}

void add_unplaced(const Accelerator& a, const NestSizes& sizes, std::vector<std::string>& reasons) {
  if (sizes.rows > a.rows)
    reasons.push_back(
        fmt::format("the array has {:.0f} rows, loops over them take {:.0f}", a.rows, sizes.rows));
  if (sizes.columns > a.columns)
    reasons.push_back(
        fmt::format("the array has {:.0f} columns, loops over them take {:.0f}", a.columns, sizes.columns));
  if (sizes.pes > a.pes())
    reasons.push_back(fmt::format("the array has {:.0f} PEs, loops over it take {:.0f}", a.pes(), sizes.pes));
}

}  // namespace

NestSizes nest_sizes(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling) {
  const Dataflow& flow = a.dataflow;
  NestSizes sizes;
  const bool in_buffer = in_parts(a, tiling);
  for (Tensor t : device::kTensors)
    sizes.buffer[t] = elements(layer, t, buffer_extents(flow, tiling, t)) * bytes_of(a, t, in_buffer);
  sizes.registers = register_bytes(a, layer, tiling);
  for (Dimension d : flow.rows) sizes.rows *= tiling.at(Level::array, d);
  for (Dimension d : flow.columns) sizes.columns *= tiling.at(Level::array, d);
  for (Dimension d : device::kDimensions) sizes.pes *= tiling.at(Level::array, d);
  return sizes;
}

bool fits(const Accelerator& a, const NestSizes& sizes) {
  bool all = sizes.rows <= a.rows && sizes.columns <= a.columns && sizes.pes <= a.pes();
  const auto overfull = [&](const Memory&, double) { all = false; };
  for_each_overfull(a.buffers, a.buffer_of, sizes.buffer, overfull);
  for_each_overfull(a.registers, a.register_of, sizes.registers, overfull);
  return all;
}

std::vector<std::string> misfits(const Accelerator& a, const LayerLoops& layer, const Tiling& tiling) {
  std::vector<std::string> reasons;
  add_uncovered(a, layer, tiling, reasons);
  const NestSizes sizes = nest_sizes(a, layer, tiling);
  add_overfull(a, sizes, reasons);
  add_unplaced(a, sizes, reasons);
  return reasons;
}

std::vector<Level> levels_of(const Dataflow& flow, Dimension d) {
  const auto in = [&](const std::vector<Dimension>& loops) {
    return std::find(loops.begin(), loops.end(), d) != loops.end();
  };
  std::vector<Level> levels;
  if (in(flow.dram)) levels.push_back(Level::dram);
  if (in(flow.buffer.loops)) levels.push_back(Level::buffer);
  if (in(flow.rows) || in(flow.columns) || in(flow.array)) levels.push_back(Level::array);
  if (in(flow.registers.loops)) levels.push_back(Level::registers);
  return levels;
}

}  // namespace tailor::latency
