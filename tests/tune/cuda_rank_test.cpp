// The model that ranks CUDA kernels: its arithmetic by hand, what must not change its mind, and who is compiled. Nothing
// here says that a GPU agrees.
#include "tailor/tune/cuda_rank.h"

#include "tailor/base/error.h"
#include "tailor/tune/product.h"
#include "tests/tune/spaces.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::tune {
namespace {

using testing::code_of;

latency::Workload workload(const std::string& text) { return latency::parse_workload(text); }
const latency::Workload kSquare = workload("gemm_m4096_k4096_n4096_f16+bias");

CudaLaunch launch_of(const latency::Workload& w, const device::Device& gpu,
                     const std::vector<std::int64_t>& values) {
  const Space space = cuda_space(w, gpu);
  Configuration configuration;
  for (std::size_t p = 0; p < values.size(); ++p) configuration.push_back(*space.find(p, Value(values[p])));
  EXPECT_TRUE(space.allows(configuration)) << space.text(configuration);
  return cuda_launch(w, space, configuration);
}

TEST(CudaEstimate, CountsBlocksAndWaves) {
  const device::Device h200 = device::find_device("h200");
  const CudaLaunch l = launch_of(kSquare, h200, {128, 128, 64, 3, 2, 4, 1, 1, 0});
  EXPECT_EQ(l.shared_bytes, 2 * 256 * 64 * 3);
  const CudaEstimate e = estimate_cuda(h200, kSquare, l, 128, 132);
  EXPECT_EQ(e.occupancy.blocks, 2) << "65536 registers of 128 x 256; 228 KiB of 97 would be 2 as well";
  EXPECT_EQ(e.blocks, 32 * 32);
  EXPECT_EQ(e.capacity, 264);
  EXPECT_EQ(e.waves, 4);
  EXPECT_NEAR(e.tail, 1 - 1024.0 / (4 * 264), 1e-12);
  EXPECT_EQ(e.tile_efficiency, 1);
}

// A wave of one block on one multiprocessor, term by term.
TEST(CudaEstimate, IsTheArithmeticOfItsDescription) {
  const device::Device h200 = device::find_device("h200");
  const latency::Workload w = workload("gemm_m128_k256_n128_f16");
  const CudaLaunch l = launch_of(w, h200, {128, 128, 64, 3, 2, 4, 1, 1, 0});
  const CudaEstimate e = estimate_cuda(h200, w, l, 128, 132);
  auto joined = [](std::initializer_list<double> parts) {
    double sum = 0;
    for (double part : parts) sum += part * part * part;
    return std::cbrt(sum);
  };
  const double rate = 0.629 * 989e12 / (132 * 1980e6);
  const double step = joined({2.0 * 128 * 128 * 64 / rate, 8.0 * (64 + 32) * 64 * 2 / 128,
                              256.0 * 64 * 2 / 64, 256.0 * 64 / 8 / 8, 700 / 2.0});
  const double compute = (700 + 4 * step + 128.0 * 128 * 2 / 64) / 1980;
  const double memory = 1.4 * 2 * (128 * 256 + 256 * 128 + 128 * 128) / 4800e3;
  EXPECT_NEAR(e.compute_us, compute, 1e-9);
  EXPECT_NEAR(e.memory_us, memory, 1e-9);
  EXPECT_NEAR(e.us, 3 + joined({compute, memory}), 1e-9);
}

TEST(CudaEstimate, FewerMultiprocessorsAreNeverFaster) {
  const device::Device h200 = device::find_device("h200");
  const Space space = cuda_space(kSquare, h200);
  Random random(5);
  for (int i = 0; i < 50; ++i) {
    const CudaLaunch l = cuda_launch(kSquare, space, space.sample(random));
    double before = HUGE_VAL;
    for (int sms : {1, 8, 33, 66, 131, 132}) {
      const CudaEstimate e = estimate_cuda(h200, kSquare, l, guessed_registers(l), sms);
      if (e.occupancy.blocks == 0) break;
      EXPECT_LE(e.compute_us, before * (1 + 1e-12)) << sms;
      EXPECT_EQ(e.waves, (e.blocks + e.capacity - 1) / e.capacity);
      EXPECT_GE(e.tail, 0);
      EXPECT_LT(e.tail, 1);
      before = e.compute_us;
    }
  }
}

// Rows of an odd length are moved element by element.
TEST(CudaEstimate, OddRowsCost) {
  const device::Device h200 = device::find_device("h200");
  auto of = [&](const char* layer) {
    const latency::Workload w = workload(layer);
    return estimate_cuda(h200, w, launch_of(w, h200, {128, 64, 64, 3, 2, 2, 1, 1, 0}), 128, 132);
  };
  const CudaEstimate odd = of("gemm_m4096_k4095_n4096_f16"), even = of("gemm_m4096_k4096_n4096_f16");
  EXPECT_EQ(odd.pace, Pace::pieces);
  EXPECT_GT(odd.compute_us, 1.3 * even.compute_us);
}

TEST(CudaEstimate, WhatDoesNotFitHasNoTime) {
  const device::Device h200 = device::find_device("h200");
  CudaLaunch l = launch_of(kSquare, h200, {128, 128, 64, 3, 2, 4, 1, 1, 0});
  l.shared_bytes = 300 << 10;
  const CudaEstimate e = estimate_cuda(h200, kSquare, l, 128, 132);
  EXPECT_EQ(e.occupancy.blocks, 0);
  EXPECT_EQ(e.us, 0);
}

TEST(CudaEstimate, SharesThatAreNoneAreRefused) {
  const device::Device h200 = device::find_device("h200");
  const CudaLaunch l = launch_of(kSquare, h200, {128, 128, 64, 3, 2, 4, 1, 1, 0});
  for (int sms : {-1, 0, 133})
    EXPECT_EQ(code_of([&] { estimate_cuda(h200, kSquare, l, 128, sms); }), Code::bad_value);
  device::Device silent = h200;
  silent.peak_tflops.erase("f16");
  EXPECT_EQ(code_of([&] { estimate_cuda(silent, kSquare, l, 128, 132); }), Code::bad_value);
}

// A reduction that is long and an output that is small: parts are blocks for multiprocessors that idle otherwise.
TEST(CudaEstimate, SplitsPayWhereBlocksAreFew) {
  const device::Device h200 = device::find_device("h200");
  auto us = [&](const latency::Workload& w, std::int64_t split) {
    return estimate_cuda(h200, w, launch_of(w, h200, {64, 64, 64, 3, 2, 2, split, 1, 0}), 80, 132).us;
  };
  const latency::Workload deep = workload("gemm_m64_k65536_n64_f16");
  EXPECT_LT(us(deep, 8), us(deep, 1) / 3);
  EXPECT_GT(us(kSquare, 8), us(kSquare, 1));
}

TEST(CudaChoice, HoldsTheUsualOneAndNoneTwice) {
  const device::Device h200 = device::find_device("h200");
  const latency::Workload w =
      workload("conv_mb8_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu");
  const Space space = cuda_space(w, h200);
  const std::vector<Configuration> chosen = chosen_to_compile(w, space, h200, 132, 20);
  EXPECT_EQ(chosen.size(), 20u);
  EXPECT_EQ(chosen.front(), usual_cuda_configuration(w, space, h200));
  std::set<Configuration> bodies;
  for (std::size_t i = 1; i < chosen.size(); ++i) {
    EXPECT_TRUE(space.allows(chosen[i]));
    Configuration body = chosen[i];
    body.resize(7);
    EXPECT_TRUE(bodies.insert(body).second) << space.text(chosen[i]);
  }
  const latency::Workload little = workload("gemm_m1_k8_n8_f16");
  const Space all = cuda_space(little, h200);
  EXPECT_EQ(chosen_to_compile(little, all, h200, 132, 0).size(), all.count());
}

}  // namespace
}  // namespace tailor::tune
