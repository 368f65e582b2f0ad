// Texts of CUDA kernels without CUDA: what a space allows, what the first line promises, and what has no kernel.
#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/tune/cuda_source.h"
#include "tailor/tune/product.h"
#include "tests/tune/spaces.h"

#include <nlohmann/json.hpp>

#include <set>

namespace tailor::tune {
namespace {

using testing::code_of;

latency::Workload workload(const std::string& text) { return latency::parse_workload(text); }

constexpr const char* kLayers[] = {"gemm_m4096_k4096_n4096_f16+bias",
                                   "gemm_m1_k1_n1_f16",
                                   "gemm_m37_k53_n71_f16+bias+relu",
                                   "conv_mb8_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu",
                                   "conv_mb1_g1_ic3ih224iw224_oc64oh112ow112_kh7kw7_sh2sw2_ph3pw3_f16+bias",
                                   "conv_mb8_g1_ic256ih56iw56_oc512oh28ow28_kh1kw1_sh2sw2_ph0pw0_f16+bias"};
constexpr const char* kDevices[] = {"t4", "a100", "rtx3090", "l4", "orin", "h200", "b200"};

template <class Check>
void for_some(Check check) {
  Random random(3);
  for (const char* device : kDevices)
    for (const char* layer : kLayers) {
      const device::Device gpu = device::find_device(device);
      const latency::Workload w = workload(layer);
      ASSERT_EQ(no_cuda_kernel(w), "") << layer;
      const Space space = cuda_space(w, gpu);
      for (int i = 0; i < 40; ++i) {
        const Configuration c = space.sample(random);
        SCOPED_TRACE(std::string(device) + " " + layer + " " + space.text(c));
        check(gpu, w, space, c);
      }
    }
}

TEST(CudaSpace, KeepsToTheDeviceAndTheLayer) {
  for_some(
      [](const device::Device& gpu, const latency::Workload&, const Space& space, const Configuration& c) {
        const CudaLaunch l = cuda_launch(workload(kLayers[0]), space, c);
        EXPECT_LE(l.shared_bytes, gpu.sm.shared_bytes_per_block);
        EXPECT_TRUE(l.threads == 128 || l.threads == 256);
        EXPECT_EQ(l.bm % (16 * l.wm), 0);
        EXPECT_EQ(l.bn % (16 * l.wn), 0);
        EXPECT_LE(l.bm * l.bn / l.threads, 128) << "sums of a thread";
      });
}

// No part of the reduction is empty, no row of tiles is dealt out that there is not, a persistent launch has tiles to spare.
TEST(CudaSpace, HasNothingForNothing) {
  for_some(
      [](const device::Device& gpu, const latency::Workload& w, const Space& space, const Configuration& c) {
        const CudaLaunch l = cuda_launch(w, space, c);
        EXPECT_GE(l.steps(), l.split);
        EXPECT_GE(l.tiles_m, l.raster);
        EXPECT_TRUE(l.stages == 2 || l.stages - 1 <= l.steps());
        EXPECT_TRUE(!l.persistent || l.blocks() > gpu.sm.count);
        EXPECT_TRUE(l.bm <= 32 || l.bm < 2 * l.m);
        EXPECT_TRUE(l.bn <= 64 || l.bn < 2 * l.n);
      });
}

TEST(CudaSpace, HasUsualConfigurations) {
  auto usual = [](const char* layer, const char* device) {
    const device::Device gpu = device::find_device(device);
    const Space space = cuda_space(workload(layer), gpu);
    return space.text(usual_cuda_configuration(workload(layer), space, gpu));
  };
  EXPECT_EQ(usual(kLayers[0], "h200"),
            "bm=128 bn=128 bk=64 stages=3 wm=2 wn=4 split_k=1 raster=1 persistent=0");
  EXPECT_EQ(usual(kLayers[0], "t4"), "bm=128 bn=128 bk=64 stages=2 wm=2 wn=4 split_k=1 raster=1 persistent=0")
      << "64 KiB of shared memory";
  EXPECT_EQ(usual(kLayers[1], "h200"),
            "bm=16 bn=64 bk=32 stages=2 wm=1 wn=4 split_k=1 raster=1 persistent=0");
}

// The launches cover the result, the constants are those of the launch, and equal configurations have equal texts.
TEST(CudaSource, TheFirstLineSaysHowItIsLaunched) {
  for_some([](const device::Device&, const latency::Workload& w, const Space& space, const Configuration& c) {
    const std::string text = cuda_source(w, space, c);
    const CudaLaunch l = cuda_launch(w, space, c);
    ASSERT_TRUE(text.starts_with("// tailor {"));
    const Json first = parse_json(text.substr(10, text.find('\n') - 10), "first line");
    EXPECT_EQ(first["persistent"], l.persistent);
    EXPECT_EQ(first["workspace"], l.split > 1 ? l.split * l.m * l.n : 0);
    ASSERT_EQ(first["run"].size(), l.split > 1 ? 2u : 1u);
    const Json& product = first["run"][0];
    EXPECT_EQ(product["kernel"], "product");
    EXPECT_EQ(product["grid"][0], (l.m + l.bm - 1) / l.bm * ((l.n + l.bn - 1) / l.bn) * l.split);
    EXPECT_EQ(product["block"][0], 32 * l.wm * l.wn);
    EXPECT_EQ(product["shared"], l.shared_bytes > 48 * 1024 ? l.shared_bytes : 0);
    EXPECT_NE(text.find(fmt::format("#define SHARED_BYTES {}\n", l.shared_bytes)), std::string::npos);
    EXPECT_EQ(text, cuda_source(w, space, c));
  });
}

TEST(CudaSource, WhatHasNoKernelSaysWhy) {
  auto reason = [](const char* text) { return no_cuda_kernel(workload(text)); };
  EXPECT_EQ(reason("gemm_m8_k8_n8_f32"), "not f16");
  EXPECT_EQ(reason("gemm_m8_k8_n8_i8"), "not f16");
  EXPECT_EQ(reason("gemm_m8_k8_n8_f16+sigmoid"), "followed by 'sigmoid'");
  EXPECT_EQ(reason("conv_mb1_g8_ic8ih8iw8_oc8oh8ow8_kh3kw3_sh1sw1_ph1pw1_f16"), "grouped convolution");
  EXPECT_EQ(reason("deconv_mb1_g1_ic8ih8iw8_oc8oh8ow8_kh3kw3_sh1sw1_ph1pw1_f16"), "transposed convolution");
  EXPECT_EQ(reason("conv_mb1_g1_ic8ih8iw8_oc8oh9ow8_kh3kw3_sh1sw1_ph1pw1_f16"), "windows beyond the image");
  EXPECT_EQ(reason("gemm_m16777216_k16777216_n16777216_f16"), "tensors of more than 2^30 elements");
  EXPECT_EQ(reason("conv_mb16777216_g1_ic16777216ih16777216iw16777216_oc16777216oh16777216ow16777216_"
                   "kh16777216kw16777216_sh1sw1_ph0pw0_f16"),
            "tensors of more than 2^30 elements");
}

TEST(CudaSource, ArchitecturesWithoutTheseTensorCoresAreRefused) {
  auto of = [](const char* device) { return cuda_architecture(device::find_device(device)); };
  EXPECT_EQ(of("t4"), "sm_75");
  EXPECT_EQ(of("a100"), "sm_80");
  EXPECT_EQ(of("rtx3090"), "sm_86");
  EXPECT_EQ(of("h200"), "sm_90a");
  EXPECT_EQ(of("b200"), "sm_100");
  for (const char* device : {"v100", "p100", "nano", "mi300x"})
    EXPECT_EQ(code_of([&] { of(device); }), Code::bad_value) << device;
}

}  // namespace
}  // namespace tailor::tune
