// kernels/product.cu without a GPU: its very text, with its PTX emulated on a processor, computes what loops compute, and
// the emulation finds what is broken on purpose. Needs a C++ compiler, as tailor tune does.
#include "tests/tune/emulated_kernels.h"
#include "tests/tune/needs_fibers.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>

namespace tailor::tune {
namespace {

using testing::ComparedRun;
using testing::EmulatedKernels;
using testing::EmulatedText;
using testing::HalfLayer;

std::vector<EmulatedText> texts_of(const latency::Workload& w, const Space& space,
                                   const std::vector<Configuration>& configurations) {
  std::vector<EmulatedText> texts;
  for (const Configuration& c : configurations)
    texts.push_back({cuda_launch(w, space, c), cuda_source(w, space, c)});
  return texts;
}

// A number from the environment: TAILOR_SAMPLES=10 tries ten times as many configurations, TAILOR_SEED=2 others.
int asked(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::max(1, std::atoi(text)) : otherwise;
}

std::vector<Configuration> samples(const Space& space, int count, std::uint64_t seed) {
  Random random(seed + 1000 * static_cast<std::uint64_t>(asked("TAILOR_SEED", 0)));
  count *= asked("TAILOR_SAMPLES", 1);
  std::vector<Configuration> list;
  for (int i = 0; i < count; ++i) list.push_back(space.sample(random));
  return list;
}

// The configuration of these values, which the space must have.
Configuration of(const Space& space, const std::vector<std::int64_t>& values) {
  Configuration configuration;
  for (std::size_t p = 0; p < values.size(); ++p) configuration.push_back(*space.find(p, Value(values[p])));
  EXPECT_TRUE(space.allows(configuration)) << space.text(configuration);
  return configuration;
}

void expect_right(const std::string& layer, const Space& space,
                  const std::vector<Configuration>& configurations, bool at_once = false) {
  const latency::Workload w = latency::parse_workload(layer);
  const std::vector<EmulatedText> texts = texts_of(w, space, configurations);
  const EmulatedKernels kernels(texts);
  ASSERT_TRUE(kernels.good());
  const HalfLayer operands = testing::half_layer(w, 7);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const ComparedRun run = testing::run_emulated(kernels, i, texts[i].launch, operands, at_once);
    EXPECT_EQ(run.fault, "") << layer << ", " << space.text(configurations[i]);
    EXPECT_EQ(run.bank_conflicts, 0) << layer << ", " << space.text(configurations[i]);
    EXPECT_GT(run.products, 0);
  }
}

void try_some(const std::string& layer, int count, std::uint64_t seed = 1) {
  const latency::Workload w = latency::parse_workload(layer);
  ASSERT_EQ(no_cuda_kernel(w), "");
  const Space space = cuda_space(w, testing::small_gpu());
  expect_right(layer, space, samples(space, count, seed));
}

TEST(CudaKernels, ProductsComputeWhatLoopsCompute) {
  NEEDS_FIBERS();
  try_some("gemm_m37_k53_n71_f16+bias+relu", 5);
  try_some("gemm_m70_k88_n72_f16+bias", 5);
  try_some("gemm_m1_k100_n10_f16", 3);
}

TEST(CudaKernels, ConvolutionsComputeWhatLoopsCompute) {
  NEEDS_FIBERS();
  try_some("conv_mb2_g1_ic8ih9iw11_oc24oh9ow11_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu", 4);
  try_some("conv_mb1_g1_ic16ih12iw12_oc20oh6ow6_kh3kw3_sh2sw2_pt1pl1pb0pr0_f16+bias+add+clip", 4);
  try_some("conv_mb1_g1_ic6ih10iw9_oc9oh6ow5_kh3kw3_sh1sw1_dh2dw2_ph0pw0_f16+add", 3);
  try_some("conv_mb3_g1_ic40ih7iw7_oc33oh4ow4_kh1kw1_sh2sw2_ph0pw0_f16+bias", 3);
  try_some("conv_mb1_g1_ic3ih15iw13_oc16oh8ow7_kh7kw5_sh2sw2_pt3pl2pb3pr2_f16+bias+relu", 4);
}

// Tiles of the largest kinds, several in both directions, dealt out in every way.
TEST(CudaKernels, LargeTilesSplitsAndOrdersComputeWhatLoopsCompute) {
  NEEDS_FIBERS();
  const std::string layer = "gemm_m520_k72_n264_f16+bias+add+relu";
  const Space space = cuda_space(latency::parse_workload(layer), testing::small_gpu());
  // bm, bn, bk, stages, wm, wn, split_k, raster, persistent
  expect_right(layer, space,
               {of(space, {256, 128, 32, 3, 4, 2, 1, 2, 0}), of(space, {128, 256, 64, 2, 2, 4, 2, 4, 1}),
                of(space, {192, 64, 32, 4, 2, 2, 2, 2, 1}), of(space, {64, 64, 32, 3, 2, 2, 2, 8, 1}),
                of(space, {128, 32, 64, 3, 8, 1, 1, 4, 1})});
}

// Before compute capability 8 copies are loads and stores of the threads themselves.
TEST(CudaKernels, CopiesThatArriveAtOnceAreAsGood) {
  NEEDS_FIBERS();
  const std::string layer = "conv_mb2_g1_ic8ih9iw11_oc24oh9ow11_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu";
  const Space space = cuda_space(latency::parse_workload(layer), testing::small_gpu());
  expect_right(layer, space, samples(space, 3, 5), true);
}

struct Flaw {
  const char *what, *good, *bad;
};
constexpr Flaw kFlaws[] = {
    {"a wait too few", "settle<STAGES - 2>();", "settle<STAGES - 1>();"},
    {"no barrier in front of the tiles", "settle<STAGES - 2>();\n    __syncthreads();",
     "settle<STAGES - 2>();"},
    {"a stage that is still read", "int full = 0, empty = STAGES - 1;", "int full = 0, empty = 0;"},
    {"a row of the fragment", "n0 + j * 8 + lane % 4 * 2;", "n0 + j * 8 + lane / 4 * 2;"},
    {"left rows", "warp_m + i * 16 + row, k + column", "warp_m + i * 16 + column, k + row / 8 * 8"},
    {"no border below", "y < IH && x >= 0", "x >= 0"},
    {"the reduction's border", "(K % BK == 0 || k0 + row < K)", "true"},
    {"the columns' border", "if ((M % BM != 0 && m >= M) || (N % BN != 0 && n >= N)) return;",
     "if (M % BM != 0 && m >= M) return;"},
    {"a part too many", "work / (TILES_M * TILES_N)", "work / (TILES_M * TILES_N + 1)"},
    {"the order of tiles", "inside / high * BN", "inside / RASTER * BN"},
    {"the last tile's reader", "    __syncthreads();  // the next", "    // the next"},
    {"banks", "((column / 8) ^ (row / kAlike & kMask)) * 8", "column / 8 * 8"},
};

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << "the text has no longer: " << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

// What would pass every other test if the emulation were blind.
TEST(CudaKernels, WhatIsBrokenIsFound) {
  NEEDS_FIBERS();
  const latency::Workload w = latency::parse_workload(
      "conv_mb1_g1_ic16ih11iw13_oc72oh11ow13_kh3kw3_sh1sw1_ph1pw1_f16+bias");  // 143 x 72 x 144
  const Space space = cuda_space(w, testing::small_gpu());
  const Configuration c = of(space, {32, 64, 32, 3, 2, 2, 2, 4, 1});
  std::vector<EmulatedText> texts = texts_of(w, space, {c});
  const std::string good = texts.front().text;
  for (const Flaw& flaw : kFlaws)
    texts.push_back({texts.front().launch, replaced(good, flaw.good, flaw.bad)});
  const EmulatedKernels kernels(texts);
  ASSERT_TRUE(kernels.good());
  const HalfLayer operands = testing::half_layer(w, 3);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const ComparedRun run = testing::run_emulated(kernels, i, texts[i].launch, operands);
    const bool right = run.fault.empty() && run.bank_conflicts == 0;
    EXPECT_EQ(right, i == 0) << (i == 0 ? run.fault : kFlaws[i - 1].what);
  }
}

// The row behind an odd one is not its neighbour's: infinity times the zeros of the border would be no number.
TEST(CudaKernels, InfinitiesStayInTheirRows) {
  NEEDS_FIBERS();
  const latency::Workload w = latency::parse_workload("gemm_m5_k40_n64_f16");
  const Space space = cuda_space(w, testing::small_gpu());
  std::vector<EmulatedText> texts = texts_of(w, space, {of(space, {32, 64, 32, 2, 2, 2, 1, 1, 0})});
  texts.push_back({texts.front().launch, replaced(texts.front().text, "(K % BK == 0 || k < K)", "true")});
  const EmulatedKernels kernels(texts);
  ASSERT_TRUE(kernels.good());
  HalfLayer operands = testing::half_layer(w, 3);
  for (std::size_t k = 0; k < 40; ++k) operands.input[2 * 40 + k] = 0x7c00;
  for (std::size_t n = 0; n < 64; ++n) operands.expected[2 * 64 + n] = std::nan("");
  EXPECT_EQ(testing::run_emulated(kernels, 0, texts[0].launch, operands).fault, "");
  EXPECT_NE(testing::run_emulated(kernels, 1, texts[1].launch, operands).fault, "");
}

// What the text does before compute capability 8: the registers of m16n8k16 are those of two m16n8k8 (PTX ISA, figures of
// both).
TEST(EmulatedGpu, TwoProductsOfHalfDepthAreOne) {
  NEEDS_FIBERS();
  Random random(9);
  struct Lane {
    std::uint16_t left[8], right[4];
    float sum[4] = {};
  };
  std::vector<Lane> lanes(32);
  for (Lane& lane : lanes) {
    for (std::uint16_t& value : lane.left) value = testing::half_of(static_cast<float>(random.normal()));
    for (std::uint16_t& value : lane.right) value = testing::half_of(static_cast<float>(random.normal()));
  }
  float expected[16][8] = {};
  for (int half = 0; half < 2; ++half) {
    float left[16][8], right[8][8];
    for (int l = 0; l < 32; ++l)
      for (int i = 0; i < 4; ++i) {
        const Lane& lane = lanes[static_cast<std::size_t>(l)];
        left[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2] = testing::float_of(lane.left[half * 4 + i]);
        if (i < 2) right[l % 4 * 2 + i][l / 4] = testing::float_of(lane.right[half * 2 + i]);
      }
    for (int m = 0; m < 16; ++m)
      for (int n = 0; n < 8; ++n)
        for (int k = 0; k < 8; ++k) expected[m][n] += left[m][k] * right[k][n];
  }
  const emulated::Machine& machine = testing::emulated_machine();
  const testing::Emulated ran = testing::emulate({}, {}, [&] {
    Lane& lane = lanes[machine.thread->x];
    auto pair = [](const std::uint16_t* at) { return at[0] | static_cast<unsigned>(at[1]) << 16; };
    const unsigned left[4] = {pair(lane.left), pair(lane.left + 2), pair(lane.left + 4), pair(lane.left + 6)};
    machine.multiply_add(lane.sum, left, pair(lane.right), pair(lane.right + 2));
  });
  EXPECT_EQ(ran.fault, "");
  for (int l = 0; l < 32; ++l)
    for (int i = 0; i < 4; ++i)
      EXPECT_FLOAT_EQ(lanes[static_cast<std::size_t>(l)].sum[i],
                      expected[l / 4 + i / 2 * 8][l % 4 * 2 + i % 2]);
}

// A barrier that half a block comes to, a warp that falls apart, an address beyond the tensors.
TEST(EmulatedGpu, FaultsAreTold) {
  NEEDS_FIBERS();
  const emulated::Machine& machine = testing::emulated_machine();
  auto fault = [&](const std::function<void()>& thread) {
    testing::EmulatedLaunch launch;
    launch.block = 64, launch.shared_bytes = 256;
    const std::uint16_t little[8] = {};
    return testing::emulate(launch, {{little, sizeof little}}, [&] { thread(); }).fault;
  };
  EXPECT_EQ(fault([&] { machine.barrier(); }), "");
  EXPECT_NE(fault([&] {
              if (machine.thread->x < 32) machine.barrier();
            }),
            "");
  float sum[4] = {};
  const unsigned left[4] = {};
  EXPECT_NE(fault([&] {
              if (machine.thread->x % 2) machine.multiply_add(sum, left, 0, 0);
            }),
            "");
  static const std::uint16_t elsewhere[8] = {};
  EXPECT_NE(fault([&] { machine.bring(machine.shared(256), elsewhere, 16, true); }), "");
  unsigned to[4];
  EXPECT_NE(fault([&] { machine.load(to, static_cast<char*>(machine.shared(256)) + 8, false); }), "");
  EXPECT_NE(fault([&] { machine.load(to, static_cast<char*>(machine.shared(256)) + 256, false); }), "");
}

TEST(EmulatedHalves, AreThoseOfIeee) {
  using testing::float_of, testing::half_of;
  for (unsigned bits = 0; bits < 0x7c00; ++bits)
    ASSERT_EQ(half_of(float_of(static_cast<std::uint16_t>(bits))), bits);
  EXPECT_EQ(half_of(1.0f), 0x3c00);
  EXPECT_EQ(half_of(-2.0f), 0xc000);
  EXPECT_EQ(half_of(1.0f + 0x1p-11f), 0x3c00) << "ties to even";
  EXPECT_EQ(half_of(1.0f + 3 * 0x1p-11f), 0x3c02);
  EXPECT_EQ(half_of(65519.0f), 0x7bff);
  EXPECT_EQ(half_of(65520.0f), 0x7c00);
  EXPECT_EQ(half_of(0x1p-25f), 0x0000) << "ties to even";
  EXPECT_EQ(half_of(0x1.8p-25f), 0x0001);
  EXPECT_EQ(half_of(0x1p-14f - 0x1p-26f), 0x0400) << "up into the normal numbers";
}

}  // namespace
}  // namespace tailor::tune
