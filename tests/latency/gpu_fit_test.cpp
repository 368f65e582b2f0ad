// Fits to a GPU that was measured: what made the times is found again, and what is no measurement is refused.
#include "tailor/latency/gpu_fit.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/base/random.h"
#include "tailor/latency/wave_model.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

namespace tailor::latency {
namespace {

// Times that a device of these numbers would give, `noise` apart from it.
std::vector<TimedStaircase> staircases(const device::Device& device, const char* precision, double noise) {
  Random random(11);
  std::vector<TimedStaircase> made;
  for (int size : {7, 14, 28, 56})
    for (int ic : {64, 192, 512}) {
      const Workload layer = parse_workload(fmt::format(
          "conv_mb8_g1_ic{0}ih{1}iw{1}_oc8oh{1}ow{1}_kh3kw3_sh1sw1_ph1pw1_{2}+bn+relu", ic, size, precision));
      TimedStaircase steps;
      for (std::int64_t oc = 64; oc <= 512; oc += 64) {
        Workload step = layer;
        step.oc = oc;
        steps.push_back(
            {step, model_layer(device, step, precision).us * (1 + noise * random.uniform(-1, 1)), {}});
      }
      made.push_back(std::move(steps));
    }
  return made;
}

TEST(GpuFit, FindsWhatMadeTheTimes) {
  const device::Device known = device::find_device("h200");
  device::Device made = known;
  made.launch_us = 1.5, made.work["f16"] = 2.2, made.work["bf16"] = 1.4;
  std::vector<TimedStaircase> timed = staircases(made, "f16", 0.01);
  for (TimedStaircase& steps : staircases(made, "bf16", 0.01)) timed.push_back(std::move(steps));
  const DeviceFit fit = fit_device(known, timed);
  EXPECT_NEAR(fit.device.launch_us, 1.5, 0.3);
  EXPECT_NEAR(fit.device.work.at("f16"), 2.2, 0.15);
  EXPECT_NEAR(fit.device.work.at("bf16"), 1.4, 0.1);
  ASSERT_EQ(fit.precisions.size(), 2u);
  EXPECT_EQ(fit.precisions[0].precision, "bf16");
  EXPECT_EQ(fit.precisions[0].layers, 96u);
  for (const PrecisionFit& p : fit.precisions) EXPECT_LT(p.error.median, 0.03) << p.precision;
  EXPECT_NEAR(fit.device.error.at("f16"), fit.precisions[1].error.median, 0.0005);
  EXPECT_GT(fit.named.pairs, 300);
  EXPECT_GT(fit.named.right, 0.98 * fit.named.pairs);
  // Nothing else of the description changes.
  device::Device rest = fit.device;
  rest.launch_us = known.launch_us, rest.work = known.work, rest.error = known.error;
  EXPECT_EQ(rest, known);
}

TEST(GpuFit, ErrorIsOfWhatWasLeftOut) {
  // Half of the staircases are three times as slow: neither half tells of the other, so no fit may look exact.
  const device::Device known = device::find_device("a100");
  std::vector<TimedStaircase> timed = staircases(known, "f16", 0);
  for (std::size_t i = 0; i < timed.size(); i += 2)
    for (TimedLayer& layer : timed[i]) layer.us *= 3;
  const DeviceFit fit = fit_device(known, timed);
  EXPECT_GT(fit.precisions.at(0).error.median, 0.4);
}

TEST(GpuFit, FewLayersOfAPrecisionAreLeftOut) {
  const device::Device known = device::find_device("a100");
  std::vector<TimedStaircase> timed = staircases(known, "f16", 0);
  timed.push_back(staircases(known, "bf16", 0).front());
  const DeviceFit fit = fit_device(known, timed);
  EXPECT_EQ(fit.left_out, std::vector<std::string>{"bf16"});
  EXPECT_EQ(fit.precisions.size(), 1u);
  EXPECT_FALSE(fit.device.work.contains("bf16"));
}

TEST(GpuFit, RefusesWhatIsNoMeasurement) {
  const device::Device known = device::find_device("a100");
  std::vector<TimedStaircase> timed = staircases(known, "f16", 0);
  EXPECT_THROW(fit_device(known, {}), Error);
  EXPECT_THROW(fit_device(known, std::span(timed).first(1)), Error);
  EXPECT_THROW(fit_device(device::find_device("p4"), timed), Error) << "it has no f16";
  for (double us : {0.0, -1.0, std::nan("")}) {
    timed[2][3].us = us;
    EXPECT_THROW(fit_device(known, timed), Error) << us;
  }
}

TEST(GpuFit, EndsAtCtrlC) {
  const device::Device known = device::find_device("a100");
  set_interrupted(true);
  EXPECT_THROW(fit_device(known, staircases(known, "f16", 0)), Error);
  set_interrupted(false);
}

TEST(GpuFit, KernelsByThemselves) {
  Random random(3);
  WaveFit made;
  made.overhead_us = 3, made.round_us = 1, made.per_k_us = 0.01, made.floor_us = 2;
  std::vector<TimedStaircase> timed(60);
  for (TimedStaircase& steps : timed)
    for (std::int64_t oc = 64; oc <= 256; oc += 64) {
      Workload w = parse_workload(fmt::format("gemm_m{}_k{}_n{}_f16", 128 * (1 + random.below(300)),
                                              64 * (1 + random.below(20)), oc));
      const std::int64_t blocks = w.mb / 128 * (oc / 64);
      const double us = predict(made, {{}, blocks, w.ic, bytes(w), 0}, 80);
      steps.push_back({w, us, {{"tile_kernel", blocks}}});
      if (oc == 64) steps.back().ran.push_back({"reduce", 1});  // did not run alone
      if (oc == 128) steps.back().ran.front().name = "other";
    }
  const std::vector<KernelFit> fits = fit_kernels(timed, 80, 60);
  ASSERT_EQ(fits.size(), 2u);
  EXPECT_EQ(fits[0].kernel, "tile_kernel");
  EXPECT_EQ(fits[0].launches, 120u);
  EXPECT_EQ(fits[1].launches, 60u);
  EXPECT_EQ(fits[0].type, graph::DataType::f16);
  EXPECT_LT(fits[0].waves.mean, 0.01);
  EXPECT_GT(fits[0].smooth.mean, 2 * fits[0].waves.mean);
  EXPECT_EQ(fit_kernels(timed, 80, 61).size(), 1u);
}

TEST(FasterNamedTest, CountsPairsThatAreFarEnoughApart) {
  const std::vector<double> measured = {10, 20, 15, 15.2}, modelled = {1, 3, 2, 4};
  const FasterNamed named = faster_named(measured, modelled, 1.2);
  EXPECT_EQ(named.pairs, 5) << "all but 15 and 15.2";
  EXPECT_EQ(named.right, 4) << "20 over 15.2 is said to be slower";
  EXPECT_EQ(named.wider_pairs, 2);
  EXPECT_EQ(named.wider_right, 1);
  FasterNamed twice = named;
  twice += named;
  EXPECT_EQ(twice.pairs, 10);
  EXPECT_EQ(faster_named({}, {}, 1.2).pairs, 0);
}

}  // namespace
}  // namespace tailor::latency
