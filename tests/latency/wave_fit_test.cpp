// Fits: launches made from known numbers give those numbers back; and on the published timings the errors that the
// project promises (docs/results.md).
#include "tailor/latency/wave_fit.h"

#include "bench/neusight.h"
#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/latency/wave_model.h"
#include "tests/testing.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tailor::latency {
namespace {

KernelTiming random_launch(Random& random) {
  KernelTiming t{{128, 64},
                 1 + static_cast<std::int64_t>(random.below(3000)),
                 8 * (1 + static_cast<std::int64_t>(random.below(100))),
                 0,
                 0};
  t.bytes = t.blocks * (1000 + static_cast<std::int64_t>(random.below(50000)));
  return t;
}

TEST(WaveFit, FindsWhatMadeTheTimings) {
  for (auto [resident, lone] : {std::pair{1, 1}, std::pair{4, 2}}) {
    Random random(7);
    WaveFit made;
    made.floor_us = 9, made.overhead_us = 4, made.round_us = 1.5, made.per_k_us = 0.02,
    made.per_byte_us = 1e-6;
    made.resident = resident, made.lone = lone;
    std::vector<KernelTiming> timings;
    for (int i = 0; i < 400; ++i) {
      timings.push_back(random_launch(random));
      timings.back().us = predict(made, timings.back(), 80) * (1 + 0.002 * (random.uniform(0, 1) - 0.5));
    }
    const WaveFit fit = fit_waves(timings, 80);
    EXPECT_EQ(fit.resident, resident);
    EXPECT_EQ(fit.lone, lone);
    EXPECT_NEAR(fit.per_k_us, made.per_k_us, 0.0005);
    EXPECT_NEAR(fit.round_us, made.round_us, 0.1);
    EXPECT_LT(cross_validate(timings, 80).mean, 0.01);
    EXPECT_GT(cross_validate(timings, 80, true).mean, 2 * cross_validate(timings, 80).mean);
  }
}

TEST(WaveFit, OutliersDoNotMatter) {
  Random random(3);
  WaveFit made;
  made.overhead_us = 20, made.per_k_us = 0.1;
  std::vector<KernelTiming> timings;
  for (int i = 0; i < 300; ++i) {
    timings.push_back(random_launch(random));
    timings.back().us = predict(made, timings.back(), 40) * (i % 10 == 0 ? 5 : 1);
  }
  EXPECT_NEAR(fit_waves(timings, 40).per_k_us, made.per_k_us, 0.003);
}

TEST(WaveFit, WorkOfADevice) {
  const device::Device a100 = device::find_device("a100");
  Random random(5);
  std::vector<KernelTiming> timings;
  for (int i = 0; i < 200; ++i) {
    KernelTiming t = i % 10 ? random_launch(random) : KernelTiming{{128, 64}, 1, 8, 100, 0};
    t.us = 10 + vector_launch_us(a100, t.tile, t.blocks, t.k, t.bytes, 1.7);
    timings.push_back(t);
  }
  const WorkFit fit = fit_work(a100, timings);
  EXPECT_NEAR(fit.work, 1.7, 0.05);
  EXPECT_LT(fit.error.median, 0.03);
}

TEST(WaveFit, RefusesWhatIsNoMeasurement) {
  std::vector<KernelTiming> timings(30, KernelTiming{{64, 64}, 10, 64, 1000, 5});
  EXPECT_THROW(fit_waves(std::span(timings).first(5), 80), Error);
  for (double us : {0.0, -1.0, std::nan("")}) {
    timings[3].us = us;
    EXPECT_THROW(fit_waves(timings, 80), Error) << us;
    EXPECT_THROW(fit_work(device::find_device("t4"), timings), Error) << us;
  }
}

struct Promise {
  const char *gpu, *op, *kernel;
  double most;  // mean error, cross-validated
};

class NeuSight : public ::testing::TestWithParam<Promise> {};

TEST_P(NeuSight, StairsExplainAKernel) {
  const Promise& p = GetParam();
  std::string theirs;
  for (const auto& [name, file] : neusight::gpus())
    if (name == p.gpu) theirs = file;
  const std::filesystem::path path = neusight::file(testing::shared_data(), p.op, theirs);
  TAILOR_NEEDS(path);
  const auto all = neusight::read(path)[p.kernel];
  if (all.empty()) GTEST_SKIP() << "no program xz to read " << path;
  std::vector<KernelTiming> timings;  // wave_bench takes all of them
  for (std::size_t i = 0; i < all.size(); i += 1 + all.size() / 2000) timings.push_back(all[i]);
  const int sms = device::find_device(p.gpu).sm.count;
  const FitError stairs = cross_validate(timings, sms), smooth = cross_validate(timings, sms, true);
  EXPECT_LE(stairs.mean, p.most);
  EXPECT_LT(stairs.mean, smooth.mean);
}

INSTANTIATE_TEST_SUITE_P(Kernels, NeuSight,
                         ::testing::Values(Promise{"a100", "bmm", "ampere_sgemm_128x128_nn", 0.039},
                                           Promise{"a100", "linear", "ampere_sgemm_128x64_tn", 0.037},
                                           Promise{"p100", "bmm", "maxwell_sgemm_128x64_nn", 0.046},
                                           Promise{"v100", "bmm", "volta_sgemm_64x64_nn", 0.10}),
                         [](const auto& test) { return std::string(test.param.gpu) + "_" + test.param.op; });

}  // namespace
}  // namespace tailor::latency
