// Costs of loop nests: against the figures that the released program prints for its examples, against a walk through the
// loops, and what is wrong with a tiling.
#include "tailor/latency/loop_nest.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tests/latency/released_figures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>
#include <vector>

namespace tailor::latency {
namespace {

using device::Accelerator;
using device::Dimension;
using device::Tensor;

constexpr auto kIn = Tensor::inputs;

// "dram mb4 oc1 buffer ic3" -> bounds.
Tiling parse_tiling(const std::string& text) {
  Tiling tiling;
  Level level = Level::dram;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word == "dram") level = Level::dram;
    if (word == "buffer") level = Level::buffer;
    if (word == "array") level = Level::array;
    if (word == "registers") level = Level::registers;
    for (Dimension d : device::kDimensions)
      if (word.substr(0, 2) == device::name(d) && word.size() > 2 && std::isdigit(word[2]) != 0)
        tiling.at(level, d) = std::stod(word.substr(2));
  }
  return tiling;
}

struct Example {
  const Released& released;
  Accelerator accelerator;
  LayerLoops layer;
  Tiling tiling;
  NestCost cost;

  explicit Example(const Released& of)
      : released(of),
        accelerator(device::find_accelerator(of.accelerator)),
        layer(layer_loops(parse_workload(of.workload))),
        tiling(parse_tiling(of.tiling)),
        cost(nest_cost(accelerator, layer, tiling)) {}
  std::array<device::PerTensor<double>, 6> bytes() const {
    return {cost.dram, cost.buffer, cost.forward, cost.unicast, cost.multicast, cost.registers};
  }
  std::array<device::PerTensor<double>, 5> pj() const {
    device::PerTensor<double> third;
    third.fill(cost.mac_pj / 3);
    return {cost.dram_pj, cost.buffer_pj, cost.noc_pj, third, cost.registers_pj};
  }
  double turns(Level level, std::initializer_list<Dimension> dimensions) const {
    double product = 1;
    for (Dimension d : dimensions) product *= tiling.at(level, d);
    return product;
  }
};

template <std::size_t kRows>
void compare(const Example& example, const std::array<std::array<double, 3>, kRows>& released,
             const std::array<device::PerTensor<double>, kRows>& ours,
             std::initializer_list<std::size_t> unlike, int& equal, int& different) {
  for (std::size_t row = 0; row < kRows; ++row)
    for (Tensor t : device::kTensors) {
      const double theirs = released[row][static_cast<std::size_t>(t)];
      const bool expected = t == kIn && std::find(unlike.begin(), unlike.end(), row) != unlike.end();
      if (expected) {
        EXPECT_NE(theirs, ours[row][t]) << example.released.workload << " row " << row;
        ++different;
      } else {
        EXPECT_NEAR(theirs, ours[row][t], 1e-9 * std::abs(theirs))
            << example.released.accelerator << " " << example.released.workload << " row " << row << " "
            << device::name(t);
        ++equal;
      }
    }
}

// 430 of 495 figures are equal. The other 65 are what is taken of inputs out of the buffer, on Eyeriss and ShiDianNao:
// bytes of the buffer, the network and the registers, and their energy. The two tests below say what is wrong with them.
TEST(LoopNest, IsWhatTheReleasedProgramPrintsBesideItsSlidingWindows) {
  int equal = 0, different = 0;
  for (const Released& released : kReleased) {
    const Example example(released);
    const std::string name = released.accelerator;
    if (name == "i-flatcam") {
      compare(example, released.bytes, example.bytes(), {}, equal, different);
      compare(example, released.pj, example.pj(), {}, equal, different);
    } else if (name == "eyeriss") {
      compare(example, released.bytes, example.bytes(), {1, 4, 5}, equal, different);
      compare(example, released.pj, example.pj(), {1, 2, 4}, equal, different);
    } else {
      compare(example, released.bytes, example.bytes(), {1, 2, 4, 5}, equal, different);
      compare(example, released.pj, example.pj(), {1, 2, 4}, equal, different);
    }
  }
  EXPECT_EQ(equal, 430);
  EXPECT_EQ(different, 65);
}

// A sweep over ow loads kw columns first and then as many as the stride. The released program adds first load and
// increment at every one of the columns, and leaves the innermost DRAM loop (rows) out of the count.
TEST(LoopNest, EyerissLoadsTheFirstWindowOnce) {
  for (const Released& released : kReleased) {
    if (std::string(released.accelerator) != "eyeriss") continue;
    const Example e(released);
    using D = Dimension;
    const double elsewhere = e.turns(Level::dram, {D::mb, D::oc}) * e.turns(Level::buffer, {D::ic, D::oc}) *
                             e.turns(Level::registers, {D::mb, D::ic}) *
                             e.turns(Level::array, {D::oh, D::ic, D::kh}) * e.accelerator.activations;
    const double columns = e.tiling.at(Level::registers, D::ow), taps = e.layer.extent[D::kw];
    EXPECT_EQ(released.bytes[1][0], elsewhere * columns * (taps + e.layer.stride_w));
    EXPECT_EQ(e.cost.buffer[kIn], elsewhere * e.turns(Level::dram, {D::oh}) *
                                      (taps + (columns - 1) * std::min(taps, e.layer.stride_w)));
  }
  const Example first(kReleased[0]);
  EXPECT_EQ(kReleased[0].bytes[1][0], 4573800);
  EXPECT_EQ(first.cost.buffer[kIn], 10067904);
}

// The array as a whole needs (P-1) stride + taps rows and columns of a channel, each input once. The released program
// counts the whole region as the first load and adds increments for taps that the region has already, forwards 2 P (kh kw
// + kh - 1 + kw - 1) whatever the array's other side is, and leaves the innermost DRAM loop (output channels) out of
// both.
TEST(LoopNest, ShiDianNaoSendsEachInputOnce) {
  using D = Dimension;
  for (const Released& released : kReleased) {
    if (std::string(released.accelerator) != "shidiannao") continue;
    const Example e(released);
    const double channels = e.turns(Level::registers, {D::ic}) * e.accelerator.activations *
                            e.turns(Level::buffer, {D::oc, D::oh, D::ow});
    const double side = e.tiling.at(Level::array, D::ow), taps = e.layer.extent[D::kw];
    const double region = (side - 1) * e.layer.stride_w + taps;
    EXPECT_EQ(released.bytes[1][0], channels * (region * region + 2 * (taps - 1) * region + taps * taps));
    EXPECT_EQ(released.bytes[2][0], channels * 2 * side * (taps * taps + 2 * (taps - 1)));
    const double all = channels * e.turns(Level::dram, {D::oc});
    EXPECT_EQ(e.cost.buffer[kIn], all * region * region);
    EXPECT_EQ(e.cost.multicast[kIn], e.cost.buffer[kIn]);
    EXPECT_EQ(e.cost.forward[kIn], all * (side * side * taps * taps - region * region));
    EXPECT_EQ(e.cost.registers[kIn], all * side * side * taps * taps) << "what is passed on is written too";
  }
}

// The released program's number of active PEs is always 1, so that its cycles are the MACs.
TEST(LoopNest, CyclesAreTurnsOfTheLoopsNotMultiplications) {
  const std::array<double, 5> released = {421660800, 895795200, 598081536, 448561152, 299040768};
  const std::array<double, 5> pes = {154, 270, 156, 156, 156};
  const std::array<double, 5> ours = {2787840, 3317760, 3863808, 2875392, 1916928};
  for (std::size_t i = 0; i < 5; ++i) {
    const Example e(kReleased[i]);
    EXPECT_EQ(e.layer.macs(), released[i]);
    EXPECT_EQ(e.cost.cycles, ours[i]);
    EXPECT_EQ(e.cost.active_pes, pes[i]);
    EXPECT_EQ(e.cost.paced_by, PacedBy::compute);
    EXPECT_NEAR(e.cost.utilisation, released[i] / (ours[i] * 168), 1e-12);
    EXPECT_NEAR(e.cost.padding, 1 - released[i] / (ours[i] * pes[i]), 1e-12);
  }
}

// The small Eyeriss-only predictor of the same authors: cycles = M3 M2 M0 C3 C2 C0 E3 F S, for output channels M, input
// channels C, rows E and columns F of the output, and S columns of the kernel; M1, C1 and E1 lie over the array.
TEST(LoopNest, CyclesAreThoseOfTheEyerissOnlyPredictor) {
  const Accelerator a = device::find_accelerator("eyeriss");
  const LayerLoops layer =
      layer_loops(parse_workload("conv_mb1_g1_ic64ih58iw58_oc96oh56ow56_kh3kw3_sh1sw1_ph0pw0_i8"));
  const double m3 = 2, m2 = 3, m1 = 4, m0 = 4, c2 = 8, c1 = 2, c0 = 4, e3 = 8, e1 = 7, f = 56, s = 3;
  Tiling tiling;
  tiling.at(Level::dram, Dimension::oc) = m3, tiling.at(Level::buffer, Dimension::oc) = m2;
  tiling.at(Level::array, Dimension::oc) = m1, tiling.at(Level::registers, Dimension::oc) = m0;
  tiling.at(Level::buffer, Dimension::ic) = c2, tiling.at(Level::array, Dimension::ic) = c1;
  tiling.at(Level::registers, Dimension::ic) = c0, tiling.at(Level::dram, Dimension::oh) = e3;
  tiling.at(Level::array, Dimension::oh) = e1, tiling.at(Level::array, Dimension::kh) = 3;
  tiling.at(Level::registers, Dimension::ow) = f, tiling.at(Level::registers, Dimension::kw) = s;
  const NestCost cost = nest_cost(a, layer, tiling);
  EXPECT_EQ(cost.compute_cycles, m3 * m2 * m0 * c2 * c0 * e3 * f * s);
  EXPECT_EQ(cost.padding, 0);
  EXPECT_EQ(cost.active_pes, m1 * c1 * e1 * 3) << "168: the whole array";
  EXPECT_EQ(misfits(a, layer, tiling), std::vector<std::string>{});
}

// Most examples are larger than the hardware that they came with.
TEST(LoopNest, SaysWhichExamplesDoNotFitTheirHardware) {
  const auto reasons = [](std::size_t i) {
    const Example e(kReleased[i]);
    return misfits(e.accelerator, e.layer, e.tiling);
  };
  using Reasons = std::vector<std::string>;
  EXPECT_EQ(reasons(1), (Reasons{"the buffer 'buffer' holds 131072 bytes, tiles take 143812",
                                 "the array has 168 PEs, loops over it take 270"}));
  EXPECT_EQ(reasons(2).size(), 3u) << "inputs and weights of registers, and the buffer";
  EXPECT_EQ(reasons(3), (Reasons{"the buffer 'buffer' holds 131072 bytes, tiles take 140592"}));
  std::vector<std::size_t> fitting;
  for (std::size_t i = 0; i < kReleased.size(); ++i)
    if (reasons(i).empty()) fitting.push_back(i);
  EXPECT_EQ(fitting, (std::vector<std::size_t>{0}));
  EXPECT_EQ(reasons(12), (Reasons{"the array has 16 rows, loops over them take 64"}));
}

TEST(LoopNest, SaysWhatIsWrongWithATiling) {
  const Accelerator a = device::find_accelerator("i-flatcam");
  const LayerLoops layer =
      layer_loops(parse_workload("conv_mb1_g1_ic16ih24iw40_oc32oh24ow40_kh1kw1_sh1sw1_ph0pw0_i8"));
  const Tiling good = parse_tiling("buffer oc2 oh24 ow3 array ow16 oc16 registers ic16");
  EXPECT_TRUE(misfits(a, layer, good).empty());
  Tiling bad = good;
  bad.at(Level::buffer, Dimension::ow) = 2;
  bad.at(Level::dram, Dimension::ic) = 2;
  bad.at(Level::array, Dimension::oc) = 17;
  EXPECT_EQ(misfits(a, layer, bad),
            (std::vector<std::string>{"the dataflow has no loop over ic at the level dram",
                                      "loops over ow cover 32 of 40",
                                      "the array has 16 rows, loops over them take 17",
                                      "the array has 256 PEs, loops over it take 272"}));
  EXPECT_THROW(layer_loops(parse_workload("deconv_mb1_g1_ic4ih4iw4_oc4oh8ow8_kh2kw2_sh2sw2_ph0pw0_f32")),
               Error);
}

TEST(LoopNest, GroupsComeOneAfterTheOther) {
  const Accelerator a = device::find_accelerator("i-flatcam");
  const Tiling tiling = parse_tiling("buffer oh8 ow1 array ow8 registers kh3 kw3");
  const auto cost = [&](const char* text) { return nest_cost(a, layer_loops(parse_workload(text)), tiling); };
  const NestCost one = cost("conv_mb1_g1_ic1ih8iw8_oc1oh8ow8_kh3kw3_sh1sw1_ph1pw1_i8");
  const NestCost all = cost("conv_mb1_g5_ic5ih8iw8_oc5oh8ow8_kh3kw3_sh1sw1_ph1pw1_i8");
  EXPECT_EQ(all.cycles, 5 * one.cycles);
  EXPECT_NEAR(all.pj, 5 * one.pj, 1e-6);
  EXPECT_EQ(all.utilisation, one.utilisation);
}

TEST(LoopNest, TheSlowestPartSetsThePace) {
  Accelerator a = device::find_accelerator("i-flatcam");
  const LayerLoops layer =
      layer_loops(parse_workload("conv_mb1_g1_ic16ih8iw8_oc16oh8ow8_kh1kw1_sh1sw1_ph0pw0_i8"));
  const Tiling tiling = parse_tiling("buffer oh8 array ow8 oc16 registers ic16");
  EXPECT_EQ(nest_cost(a, layer, tiling).paced_by, PacedBy::compute);
  a.dram.bytes_per_cycle = 0.5;
  const NestCost slow = nest_cost(a, layer, tiling);
  EXPECT_EQ(slow.paced_by, PacedBy::dram);
  EXPECT_EQ(slow.cycles, (16 * 64 + 16 * 64 + 256) / 0.5);
  a.multicast.bytes_per_cycle = 0.001;
  EXPECT_EQ(nest_cost(a, layer, tiling).paced_by, PacedBy::noc);
  a.buffers[2].bytes_per_cycle = 1e-5;
  EXPECT_EQ(nest_cost(a, layer, tiling).paced_by, PacedBy::buffer);
  a.registers[0].bytes_per_cycle = 1e-9;
  EXPECT_EQ(nest_cost(a, layer, tiling).paced_by, PacedBy::registers);
}

}  // namespace
}  // namespace tailor::latency
