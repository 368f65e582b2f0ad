// Costs of random loop nests against a walk through their loops, turn by turn, with sets of elements.
#include "tailor/base/random.h"
#include "tailor/latency/loop_nest.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace tailor::latency {
namespace {

using device::Accelerator;
using device::Dimension;
using device::Order;
using device::PerDimension;
using device::Tensor;

using Element = std::array<std::int64_t, 4>;

struct Nest {
  Accelerator accelerator;
  LayerLoops layer;
  Tiling tiling;
};

bool has(Tensor tensor, Dimension d) {
  const bool is_pixel = d == Dimension::oh || d == Dimension::ow,
             is_tap = d == Dimension::kh || d == Dimension::kw;
  if (tensor == Tensor::inputs) return d != Dimension::oc;
  if (tensor == Tensor::weights) return d != Dimension::mb && !is_pixel;
  return d != Dimension::ic && !is_tap;
}

Nest random_nest(Random& random) {
  Nest nest;
  Accelerator& a = nest.accelerator;
  a.rows = a.columns = 100;
  a.buffers.resize(1), a.registers.resize(1);
  for (Tensor t : device::kTensors)
    a.multicast.carries[t] = t != Tensor::outputs, a.unicast.carries[t] = true;
  a.forward.carries[Tensor::outputs] = random.below(2) == 0;
  a.dataflow.reuse_windows = random.below(2) == 0;
  const auto order = [&](Level level) {
    Order result;
    std::vector<Dimension> all(device::kDimensions.begin(), device::kDimensions.end());
    random.shuffle(all);
    for (std::size_t i = 0; i < 4; ++i) {
      result.loops.push_back(all[i]);
      nest.tiling.at(level, all[i]) = static_cast<double>(1 + random.below(3));
    }
    for (Tensor t : device::kTensors) result.refresh[t] = random.below(result.loops.size() + 1);
    return result;
  };
  a.dataflow.dram = order(Level::dram).loops;
  a.dataflow.buffer = order(Level::buffer), a.dataflow.registers = order(Level::registers);
  a.dataflow.array.assign(device::kDimensions.begin(), device::kDimensions.end());
  for (int i = 0; i < 2; ++i) nest.tiling.at(Level::array, device::kDimensions[random.below(7)]) = 2;
  for (Dimension d : device::kDimensions) nest.layer.extent[d] = nest.tiling.covered(d);
  nest.layer.stride_h = static_cast<double>(1 + random.below(3));
  nest.layer.stride_w = static_cast<double>(1 + random.below(3));
  nest.layer.dilation_h = static_cast<double>(1 + random.below(3));
  nest.layer.dilation_w = static_cast<double>(1 + random.below(3));
  return nest;
}

// Loops outside a refresh point, and how far a turn of each moves its dimension.
struct Step {
  Dimension dimension;
  Level level;
  std::int64_t bound = 1, stride = 1;
};

std::vector<Step> steps(const Nest& nest, Tensor tensor, Level of) {
  const device::Dataflow& flow = nest.accelerator.dataflow;
  std::vector<Step> result;
  const auto add = [&](Level level, const std::vector<Dimension>& loops, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const Dimension d = loops[i];
      double stride = 1;  // everything further in
      for (Level inner : kLevels)
        if (inner > level) stride *= nest.tiling.at(inner, d);
      result.push_back(
          {d, level, static_cast<std::int64_t>(nest.tiling.at(level, d)), static_cast<std::int64_t>(stride)});
    }
  };
  add(Level::dram, flow.dram, flow.dram.size());
  if (of == Level::buffer) {
    add(Level::buffer, flow.buffer.loops, flow.buffer.refresh[tensor]);
    return result;
  }
  add(Level::buffer, flow.buffer.loops, flow.buffer.loops.size());
  add(Level::registers, flow.registers.loops, flow.registers.refresh[tensor]);
  return result;
}

// How many of each dimension a tile holds.
PerDimension<double> tile_of(const Nest& nest, Tensor tensor, Level of) {
  PerDimension<double> tile;
  for (Dimension d : device::kDimensions) {
    tile[d] =
        nest.tiling.at(Level::registers, d) * (of == Level::buffer ? nest.tiling.at(Level::array, d) : 1);
    if (of == Level::buffer) tile[d] *= nest.tiling.at(Level::buffer, d);
  }
  for (const Step& step : steps(nest, tensor, of))
    if (step.level == of) tile[step.dimension] /= nest.tiling.at(of, step.dimension);
  return tile;
}

std::set<Element> elements_of(const Nest& nest, Tensor tensor, const PerDimension<std::int64_t>& from,
                              const PerDimension<double>& tile) {
  std::set<Element> found;
  PerDimension<std::int64_t> at = from;
  const auto visit = [&](const auto& self, std::size_t i) -> void {
    if (i == device::kDimensions.size()) {
      using D = Dimension;
      const auto sh = static_cast<std::int64_t>(nest.layer.stride_h),
                 sw = static_cast<std::int64_t>(nest.layer.stride_w),
                 dh = static_cast<std::int64_t>(nest.layer.dilation_h),
                 dw = static_cast<std::int64_t>(nest.layer.dilation_w);
      if (tensor == Tensor::inputs)
        found.insert(
            {at[D::mb], at[D::ic], at[D::oh] * sh + at[D::kh] * dh, at[D::ow] * sw + at[D::kw] * dw});
      else if (tensor == Tensor::outputs)
        found.insert({at[D::mb], at[D::oc], at[D::oh], at[D::ow]});
      else
        found.insert({at[D::oc], at[D::ic], at[D::kh], at[D::kw]});
      return;
    }
    const Dimension d = device::kDimensions[i];
    const auto count = has(tensor, d) ? static_cast<std::int64_t>(tile[d]) : 1;
    for (std::int64_t k = 0; k < count; ++k) at[d] = from[d] + k, self(self, i + 1);
    at[d] = from[d];
  };
  visit(visit, 0);
  return found;
}

struct Walked {
  double loaded = 0;             // elements, each time that a tile comes
  double visits = 0, tiles = 0;  // elements of tiles that come, and of different ones
};

// The innermost loop of several turns that the tensor has, if a PE sweeps over it.
std::size_t sweep_of(const Nest& nest, Tensor tensor, Level of, const std::vector<Step>& all) {
  for (std::size_t i = all.size(); i-- > 0;) {
    if (all[i].bound == 1 || !has(tensor, all[i].dimension)) continue;
    const Dimension d = all[i].dimension;
    const bool window = d != Dimension::mb && d != Dimension::ic && d != Dimension::oc;
    const bool sweeps = nest.accelerator.dataflow.reuse_windows && tensor == Tensor::inputs &&
                        of == Level::registers && window && all[i].level == Level::registers;
    return sweeps ? i : all.size();
  }
  return all.size();
}

Walked walk(const Nest& nest, Tensor tensor, Level of) {
  const std::vector<Step> all = steps(nest, tensor, of);
  const PerDimension<double> tile = tile_of(nest, tensor, of);
  const std::size_t sweep = sweep_of(nest, tensor, of, all);
  Walked result;
  std::vector<std::int64_t> turn(all.size(), 0), last;
  std::set<std::vector<std::int64_t>> seen;
  std::set<Element> held;
  for (bool more = true; more;) {
    PerDimension<std::int64_t> from = {};
    std::vector<std::int64_t> place;
    for (std::size_t i = 0; i < all.size(); ++i) {
      from[all[i].dimension] += turn[i] * all[i].stride;
      if (has(tensor, all[i].dimension)) place.push_back(turn[i]);
    }
    if (last.empty() || place != last || place.empty()) {
      const bool first_ever = result.visits == 0;
      if (!place.empty() || first_ever) {
        const std::set<Element> now = elements_of(nest, tensor, from, tile);
        const auto count = static_cast<double>(now.size());
        double fresh = count;
        if (sweep < all.size() && turn[sweep] > 0) {
          fresh = 0;
          for (const Element& element : now) fresh += held.contains(element) ? 0 : 1;
        }
        result.loaded += fresh, result.visits += count;
        if (seen.insert(place).second) result.tiles += count;
        held = now;
      }
      last = place;
    }
    more = false;
    for (std::size_t i = all.size(); i-- > 0 && !more;) {
      if (++turn[i] < all[i].bound)
        more = true;
      else
        turn[i] = 0;
    }
  }
  return result;
}

double over_array(const Nest& nest, Tensor tensor, bool related) {
  double product = 1;
  for (Dimension d : device::kDimensions)
    if (has(tensor, d) == related) product *= nest.tiling.at(Level::array, d);
  return product;
}

TEST(LoopNest, InputsAndWeightsAreLoadedAsAWalkLoadsThem) {
  Random random(1);
  for (int i = 0; i < 150; ++i) {
    const Nest nest = random_nest(random);
    const NestCost cost = nest_cost(nest.accelerator, nest.layer, nest.tiling);
    for (Tensor t : {Tensor::inputs, Tensor::weights}) {
      const double sent = walk(nest, t, Level::registers).loaded * over_array(nest, t, true);
      EXPECT_EQ(cost.dram[t], walk(nest, t, Level::buffer).loaded) << i << device::name(t);
      EXPECT_EQ(cost.buffer[t], sent) << i << device::name(t);
      EXPECT_EQ(cost.multicast[t], sent) << i << device::name(t);
      EXPECT_EQ(cost.registers[t], sent * over_array(nest, t, false)) << i << device::name(t);
    }
  }
}

TEST(LoopNest, PartialSumsComeBackAsAWalkBringsThem) {
  Random random(2);
  constexpr Tensor kOut = Tensor::outputs;
  for (int i = 0; i < 150; ++i) {
    const Nest nest = random_nest(random);
    const NestCost cost = nest_cost(nest.accelerator, nest.layer, nest.tiling);
    const Walked far = walk(nest, kOut, Level::buffer), near = walk(nest, kOut, Level::registers);
    const double related = over_array(nest, kOut, true), alike = over_array(nest, kOut, false);
    EXPECT_EQ(cost.dram[kOut], 2 * far.visits - far.tiles) << i;
    EXPECT_EQ(cost.registers[kOut], (2 * near.visits * alike - near.tiles) * related) << i;
    const double up = nest.accelerator.forward.carries[kOut] ? near.visits : near.visits * alike;
    EXPECT_EQ(cost.buffer[kOut], (2 * up - near.tiles) * related) << i;
    EXPECT_EQ(cost.unicast[kOut], up * related) << i;
    EXPECT_EQ(cost.forward[kOut], (near.visits * alike - up) * related) << i;
  }
}

// The array of ShiDianNao: every PE needs an element per tap; different ones are sent, the others come from neighbours.
TEST(LoopNest, NeighboursPassOnWhatTheArrayHas) {
  Random random(3);
  const Accelerator a = device::find_accelerator("shidiannao");
  for (int i = 0; i < 50; ++i) {
    const auto any = [&] { return static_cast<std::int64_t>(1 + random.below(5)); };
    const std::int64_t rows = any(), columns = any(), kh = any(), kw = any(), sh = any(), sw = any();
    LayerLoops layer;
    layer.extent.fill(1);
    layer.stride_h = static_cast<double>(sh), layer.stride_w = static_cast<double>(sw);
    Tiling tiling;
    tiling.at(Level::array, Dimension::oh) = static_cast<double>(rows);
    tiling.at(Level::array, Dimension::ow) = static_cast<double>(columns);
    tiling.at(Level::registers, Dimension::kh) = static_cast<double>(kh);
    tiling.at(Level::registers, Dimension::kw) = static_cast<double>(kw);
    std::set<std::pair<std::int64_t, std::int64_t>> region;
    for (std::int64_t y = 0; y < rows; ++y)
      for (std::int64_t x = 0; x < columns; ++x)
        for (std::int64_t r = 0; r < kh; ++r)
          for (std::int64_t s = 0; s < kw; ++s) region.emplace(y * sh + r, x * sw + s);
    const NestCost cost = nest_cost(a, layer, tiling);
    if (rows * columns == 1) continue;  // no neighbours
    const auto all = static_cast<double>(2 * rows * columns * kh * kw);
    EXPECT_EQ(cost.buffer[Tensor::inputs], 2 * static_cast<double>(region.size()));
    EXPECT_EQ(cost.registers[Tensor::inputs], all);
    EXPECT_EQ(cost.forward[Tensor::inputs], all - cost.buffer[Tensor::inputs]);
  }
}

}  // namespace
}  // namespace tailor::latency
