// The wave model: its arithmetic by hand, what must hold of any device and layer, and published times that it was not
// fitted on.
#include "tailor/latency/wave_model.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace tailor::latency {
namespace {

using device::Device;
using device::find_device;
using device::known_devices;

Workload gemm(std::int64_t m, std::int64_t n, std::int64_t k) {
  Workload w;
  w.kind = Kind::gemm, w.mb = m, w.oc = n, w.ic = k;
  return w;
}

Workload conv(std::int64_t mb, std::int64_t ic, std::int64_t oc, std::int64_t size, std::int64_t kernel,
              std::int64_t g = 1) {
  Workload w;
  w.mb = mb, w.g = g, w.ic = ic, w.oc = oc, w.ih = w.iw = w.oh = w.ow = size, w.kh = w.kw = kernel;
  w.pt = w.pl = w.pb = w.pr = kernel / 2;
  return w;
}

TEST(WaveModel, ConvolutionsAreProducts) {
  const Product dense = product_of(conv(32, 64, 128, 28, 3));
  EXPECT_EQ(dense.groups, 1);
  EXPECT_EQ(dense.m, 32 * 784);
  EXPECT_EQ(dense.n, 128);
  EXPECT_EQ(dense.k, 576);
  const Product grouped = product_of(conv(1, 64, 128, 7, 1, 4));
  EXPECT_EQ(grouped.groups, 4);
  EXPECT_EQ(grouped.n, 32);
  EXPECT_EQ(grouped.k, 16);
  Workload up = conv(2, 16, 8, 14, 2);
  up.kind = Kind::conv_transpose, up.ih = up.iw = 7;
  EXPECT_EQ(product_of(up).m, 2 * 49);
  EXPECT_EQ(product_of(up).n, 8 * 4);
  EXPECT_EQ(product_of(up).k, 16);
}

// 2304 x 1536 x 4096 on an A100, f32: 216 blocks of 128 x 128 on 108 multiprocessors are two rounds.
TEST(WaveModel, ByHand) {
  Device a100 = find_device("a100");
  a100.work["f32"] = 1, a100.launch_us = 5;
  const ModelledLayer layer =
      model_layer(a100, gemm(2304, 1536, 4096), "f32", {GpuKernel::Path::vector, {128, 128}});
  EXPECT_EQ(layer.waves.blocks, 216);
  EXPECT_EQ(layer.rounds, 2);
  const double compute = 2 * 2.0 * 128 * 128 * 4096 / (19.5e6 / 108) * (1 + 8 * 2 / 128.0);
  const double memory = 1.4 * 4 * (2304.0 * 4096 + 1536.0 * 4096 + 2304.0 * 1536) / 1555e3;
  EXPECT_NEAR(layer.compute_us, compute, 1e-6 * compute);
  EXPECT_NEAR(layer.memory_us, memory, 0.02 * memory);  // the workload may count a bias
  EXPECT_NEAR(layer.us, 5 + std::cbrt(std::pow(layer.compute_us, 3) + std::pow(layer.memory_us, 3)), 1e-6);
  EXPECT_EQ(layer.operand_us, 0);
}

Workload random_layer(Random& random) {
  auto up_to = [&](std::size_t most) { return static_cast<std::int64_t>(1 + random.below(most)); };
  if (random.below(3) == 0) return gemm(up_to(4000), up_to(4000), up_to(4000));
  const std::int64_t g = random.below(4) == 0 ? up_to(64) : 1;
  return conv(up_to(64), g * up_to(64), g * up_to(64), up_to(56), random.below(2) ? 3 : 1, g);
}

TEST(WaveModel, HoldsForEveryDeviceAndLayer) {
  Random random(11);
  for (const Device& device : known_devices())
    for (const auto& [precision, tflops] : device.peak_tflops)
      for (int i = 0; i < 40; ++i) {
        const Workload w = random_layer(random);
        const ModelledLayer best = model_layer(device, w, precision);
        ASSERT_TRUE(std::isfinite(best.us) && best.us >= device.launch_us) << device.name << to_string(w);
        for (const GpuKernel& kernel : plausible_kernels(device, w, precision)) {
          const ModelledLayer layer = model_layer(device, w, precision, kernel);
          ASSERT_GE(layer.us, best.us);
          ASSERT_GE(layer.rounds * device.sm.count, layer.waves.blocks);
          ASSERT_LE(layer.tile_efficiency, 1);
          // No kernel computes faster than the peak.
          const double least = 2.0 * static_cast<double>(macs(w)) / (tflops * 1e6);
          const double work = device.work.contains(precision) ? device.work.at(precision) : 1;
          if (kernel.path != GpuKernel::Path::direct) {
            ASSERT_GE(layer.compute_us, least * std::min(work, 1.0) * 0.999);
          }
        }
      }
}

// With one kernel the latency is a staircase in the width: it never falls, and is flat inside a tile.
TEST(WaveModel, OneKernelIsAStaircase) {
  const Device v100 = find_device("v100");
  const GpuKernel kernel{GpuKernel::Path::vector, {128, 64}};
  double before = 0;
  int steps = 0;
  for (std::int64_t n = 1; n <= 1024; ++n) {
    const double us = model_layer(v100, conv(8, 64, n, 28, 3), "f32", kernel).compute_us;
    ASSERT_GE(us, before);
    if (us > before) {
      ++steps;
      EXPECT_EQ((n - 1) % 64, 0) << n;
    }
    before = us;
  }
  EXPECT_GT(steps, 4);
}

TEST(WaveModel, UnalignedChannelsCostOnMatrixUnits) {
  const Device a100 = find_device("a100");
  const ModelledLayer aligned = model_layer(a100, gemm(4096, 1024, 1024), "f16"),
                      odd = model_layer(a100, gemm(4096, 1023, 1023), "f16");
  EXPECT_TRUE(aligned.aligned);
  EXPECT_FALSE(odd.aligned);
  EXPECT_GT(odd.us, aligned.us);
  EXPECT_TRUE(model_layer(a100, gemm(4096, 1023, 1023), "f32").aligned);  // lanes do not mind
}

TEST(WaveModel, SharedReductionsHaveNoTail) {
  const Workload w = gemm(128 * 134, 128, 8192);  // 134 tiles of 128 x 128 on 132 multiprocessors
  GpuKernel kernel{GpuKernel::Path::matrix, {128, 128}};
  const Device h200 = find_device("h200");
  const double tail = model_layer(h200, w, "f16", kernel).compute_us;
  kernel.shares = true;
  const double shared = model_layer(h200, w, "f16", kernel).compute_us;
  EXPECT_NEAR(tail / shared, 2.0 * 132 / 134, 1e-9);
}

TEST(WaveModel, LayersThatDoNotFillTheDeviceOnceSplitTheirReduction) {
  const Device a100 = find_device("a100");
  EXPECT_GT(model_layer(a100, conv(1, 512, 512, 7, 3), "f32").kernel.split, 1);
  EXPECT_EQ(model_layer(a100, conv(64, 512, 512, 28, 3), "f32").kernel.split, 1);
  EXPECT_EQ(to_string(model_layer(a100, conv(1, 96, 96, 56, 3, 96), "f32").kernel), "direct");
}

TEST(WaveModel, RefusesPrecisionsThatTheDeviceLacks) {
  try {
    WaveModel model(find_device("t4"), "bf16");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_value);
    EXPECT_NE(error.help().find("i8"), std::string::npos);
  }
}

TEST(WaveModel, IsAnOracle) {
  WaveModel model(find_device("a100"), "f32");
  const std::vector<Workload> workloads = {gemm(512, 512, 512), gemm(1024, 512, 512)};
  const std::vector<Estimate> estimates = model.evaluate(workloads);
  ASSERT_EQ(estimates.size(), 2u);
  for (const Estimate& e : estimates) {
    EXPECT_EQ(e.how, How::modelled);
    EXPECT_FALSE(e.kernel.empty());
    EXPECT_LE(e.lo, e.value);
    EXPECT_LE(e.value, e.hi);
  }
  EXPECT_LT(estimates[0].value, estimates[1].value);
}

// f16 products on an A100 as measured by others (LLMCompass, ISCA 2024): m, n, k, ms. The constants of matrix units are
// assumed, not fitted on these. (Its products that are bound by memory are left out: the card may be the 80 GB one.)
TEST(WaveModel, HalfPrecisionProductsOfAnA100) {
  struct Row {
    std::int64_t m, n, k;
    double ms;
  };
  std::vector<double> errors;
  Device a100 = find_device("a100");
  a100.launch_us = 28;  // these are single operators of a framework: the smallest takes 29.6 us
  for (const Row& row : std::vector<Row>{{256, 12288, 12288, 0.3185},
                                         {1024, 12288, 12288, 1.1990},
                                         {4096, 12288, 12288, 4.4576},
                                         {16384, 12288, 12288, 17.03},
                                         {8192, 256, 256, 0.0356},
                                         {8192, 512, 512, 0.0471},
                                         {8192, 1024, 1024, 0.0927},
                                         {8192, 2048, 2048, 0.2818},
                                         {8192, 4096, 4096, 1.0210},
                                         {8192, 8192, 8192, 3.9614},
                                         {8192, 16384, 16384, 15.0087}}) {
    const double us = model_layer(a100, gemm(row.m, row.n, row.k), "f16").us;
    errors.push_back(std::abs(us - 1e3 * row.ms) / (1e3 * row.ms));
    EXPECT_LT(errors.back(), 0.25) << row.m << " " << row.n << ": " << us << " us, measured " << 1e3 * row.ms;
  }
  std::nth_element(errors.begin(), errors.begin() + 5, errors.end());
  EXPECT_LT(errors[5], 0.12);
}

}  // namespace
}  // namespace tailor::latency
