// The search for tilings against all tilings of small layers, and what follows for widths.
#include "tailor/latency/tilings.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <functional>
#include <limits>

namespace tailor::latency {
namespace {

using device::Accelerator;
using device::Dimension;

LayerLoops layer_of(const char* text) { return layer_loops(parse_workload(text)); }

using Value = std::pair<double, double>;
Value value_of(Objective objective, const NestCost& cost) {
  if (objective == Objective::latency) return {cost.cycles, cost.pj};
  if (objective == Objective::energy) return {cost.pj, cost.cycles};
  return {cost.cycles * cost.pj, cost.cycles};
}

// Every bound from 1 to the extent at every level but the outermost of each dimension, which covers the rest.
void every_tiling(const Accelerator& a, const LayerLoops& layer,
                  const std::function<void(const Tiling&)>& act) {
  Tiling tiling;
  const auto cut = [&](const auto& self, std::size_t i, std::size_t open) -> void {
    if (i == device::kDimensions.size()) return act(tiling);
    const Dimension d = device::kDimensions[i];
    const std::vector<Level> levels = levels_of(a.dataflow, d);
    if (levels.empty()) return self(self, i + 1, 0);
    const std::size_t level = levels.size() - 1 - open;
    if (level == 0) {
      tiling.at(levels[0], d) = 1;
      tiling.at(levels[0], d) = std::ceil(layer.extent[d] / tiling.covered(d));
      self(self, i + 1, 0);
      tiling.at(levels[0], d) = 1;
      return;
    }
    for (double b = 1; b <= layer.extent[d]; ++b) {
      tiling.at(levels[level], d) = b;
      self(self, i, open + 1);
    }
    tiling.at(levels[level], d) = 1;
  };
  cut(cut, 0, 0);
}

void expect_best(const Accelerator& a, const LayerLoops& layer) {
  constexpr std::array kObjectives = {Objective::latency, Objective::energy, Objective::product};
  constexpr double kFar = std::numeric_limits<double>::infinity();
  std::array<Value, 3> best;
  best.fill({kFar, kFar});
  every_tiling(a, layer, [&](const Tiling& tiling) {
    if (!misfits(a, layer, tiling).empty()) return;
    const NestCost cost = nest_cost(a, layer, tiling);
    for (std::size_t i = 0; i < 3; ++i) best[i] = std::min(best[i], value_of(kObjectives[i], cost));
  });
  for (std::size_t i = 0; i < 3; ++i) {
    const auto found = best_tiling(a, layer, kObjectives[i]);
    ASSERT_EQ(found.has_value(), best[i].first < kFar);
    if (!found) continue;
    EXPECT_TRUE(found->exact);
    EXPECT_TRUE(misfits(a, layer, found->tiling).empty());
    EXPECT_DOUBLE_EQ(value_of(kObjectives[i], found->cost).first, best[i].first);
    EXPECT_DOUBLE_EQ(value_of(kObjectives[i], found->cost).second, best[i].second);
  }
  const auto cycles = least_cycles(a, layer);
  EXPECT_EQ(cycles.value_or(kFar), best[0].first);
}

TEST(Tilings, TheBestOneIsFoundOnEyeriss) {
  const Accelerator a = device::find_accelerator("eyeriss");
  expect_best(a, layer_of("conv_mb1_g1_ic3ih8iw8_oc7oh6ow6_kh3kw3_sh1sw1_ph0pw0_i8"));
  expect_best(a, layer_of("conv_mb2_g1_ic7ih5iw5_oc5oh3ow3_kh1kw1_sh2sw2_ph0pw0_i8"));
}

TEST(Tilings, TheBestOneIsFoundWhereEverythingIsTight) {
  Random random(4);
  for (const char* name : {"eyeriss", "shidiannao", "i-flatcam"})
    for (int i = 0; i < 25; ++i) {
      Accelerator a = device::find_accelerator(name);
      a.rows = static_cast<double>(1 + random.below(4)), a.columns = static_cast<double>(1 + random.below(4));
      for (device::Memory& buffer : a.buffers) buffer.bytes = static_cast<double>(60 + random.below(300));
      for (device::Memory& registers : a.registers)
        registers.bytes = static_cast<double>(1 + random.below(40));
      if (random.below(2) == 0) a.dram.bytes_per_cycle = 0.5 + random.uniform(0, 4);
      if (random.below(2) == 0) a.multicast.bytes_per_cycle = 0.5 + random.uniform(0, 4);
      LayerLoops layer;
      for (Dimension d : device::kDimensions) layer.extent[d] = static_cast<double>(1 + random.below(4));
      layer.stride_h = static_cast<double>(1 + random.below(2)),
      layer.stride_w = static_cast<double>(1 + random.below(2));
      layer.dilation_h = static_cast<double>(1 + random.below(3));
      layer.dilation_w = static_cast<double>(1 + random.below(3));
      expect_best(a, layer);
    }
}

TEST(Tilings, TheSameEachTime) {
  const Accelerator a = device::find_accelerator("eyeriss");
  const LayerLoops layer = layer_of("conv_mb1_g1_ic64ih58iw58_oc64oh56ow56_kh3kw3_sh1sw1_ph0pw0_i8");
  const auto one = best_tiling(a, layer, Objective::product),
             other = best_tiling(a, layer, Objective::product);
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->tiling, other->tiling);
  EXPECT_EQ(one->looked_at, other->looked_at);
}

TEST(Tilings, NoWorseThanThePublishedOnes) {
  const Accelerator a = device::find_accelerator("eyeriss");
  const LayerLoops first = layer_of("conv_mb4_g1_ic3ih227iw227_oc96oh55ow55_kh11kw11_sh4sw4_ph0pw0_i8");
  const auto best = best_tiling(a, first, Objective::latency);
  ASSERT_TRUE(best);
  EXPECT_LE(best->cost.cycles, 2787840);
}

TEST(Tilings, SaysWhyNothingFits) {
  const Accelerator a = device::find_accelerator("i-flatcam");
  const LayerLoops large = layer_of("conv_mb1_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_i8");
  EXPECT_FALSE(best_tiling(a, large, Objective::latency));
  EXPECT_FALSE(least_cycles(a, large));
  EXPECT_EQ(why_nothing_fits(a, large),
            (std::vector<std::string>{"the buffer 'inputs' holds 40960 bytes, tiles take 215296"}));
  Accelerator none = a;
  none.dataflow.registers.loops = {Dimension::ic, Dimension::kw};
  none.dataflow.registers.refresh.fill(2);
  EXPECT_EQ(why_nothing_fits(none, layer_of("conv_mb1_g1_ic1ih4iw4_oc1oh2ow2_kh3kw3_sh1sw1_ph0pw0_i8")),
            (std::vector<std::string>{"the dataflow has no loop over kh"}));
}

// A wider layer is never faster: its tilings cover the narrower one. The steps are the array's.
TEST(Tilings, CyclesAreAStaircaseOfTheWidth) {
  const Accelerator a = device::find_accelerator("i-flatcam");
  double before = 0;
  for (std::int64_t width = 1; width <= 70; ++width) {
    Workload w = parse_workload("conv_mb1_g1_ic16ih8iw16_oc16oh8ow16_kh1kw1_sh1sw1_ph0pw0_i8");
    w.oc = width;
    const double cycles = least_cycles(a, layer_loops(w)).value();
    EXPECT_EQ(cycles > before, width % 16 == 1) << width;
    before = cycles;
  }
}

TEST(Tilings, ALimitIsSaid) {
  const Accelerator a = device::find_accelerator("eyeriss");
  const LayerLoops layer = layer_of("conv_mb1_g1_ic256ih14iw14_oc1024oh14ow14_kh1kw1_sh1sw1_ph0pw0_i8");
  const auto exact = best_tiling(a, layer, Objective::energy);
  const auto hurried = best_tiling(a, layer, Objective::energy, {.looked_at = 2000});
  const auto coarse = best_tiling(a, layer, Objective::energy, {.splits = 100});
  ASSERT_TRUE(exact && hurried && coarse);
  EXPECT_TRUE(exact->exact);
  EXPECT_FALSE(hurried->exact);
  EXPECT_FALSE(coarse->exact);
  EXPECT_GE(hurried->cost.pj, exact->cost.pj);
  EXPECT_GE(coarse->cost.pj, exact->cost.pj);
  EXPECT_TRUE(misfits(a, layer, hurried->tiling).empty());
}

TEST(Tilings, ObjectivesAreNamed) {
  EXPECT_EQ(parse_objective("product"), Objective::product);
  EXPECT_THROW(parse_objective("speed"), Error);
}

}  // namespace
}  // namespace tailor::latency
