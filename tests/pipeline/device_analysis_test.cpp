// A network on described devices: every layer is the wave model's, verdicts by construction, groups priced as wholes,
// and several devices as one oracle.
#include "tailor/pipeline/device_analysis.h"

#include "tailor/base/error.h"
#include "tailor/latency/tilings.h"
#include "tailor/latency/wave_model.h"
#include "tailor/pipeline/described.h"
#include "tests/app/models.h"
#include "tests/testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <numeric>

namespace tailor::pipeline {
namespace {

using device::find_device;

Subject small(int width, int batch = 1) {
  return make_subject(testing::with_free_batch(testing::small_model(width)), {{"x", {batch, 3, 32, 32}}});
}

latency::ModelledLayer layer(std::int64_t blocks, double launch, double compute, double memory) {
  latency::ModelledLayer m;
  m.waves = {blocks, 100};
  m.launch_us = launch, m.compute_us = compute, m.memory_us = memory,
  m.us = launch + std::max(compute, memory);
  return m;
}

TEST(DeviceVerdict, IsDecidedInOrder) {
  EXPECT_EQ(judge(layer(10, 5, 4, 1)), DeviceVerdict::launch);
  EXPECT_EQ(judge(layer(10, 1, 4, 5)), DeviceVerdict::memory);
  EXPECT_EQ(judge(layer(99, 1, 9, 5)), DeviceVerdict::sub_wave);
  EXPECT_EQ(judge(layer(101, 1, 9, 5)), DeviceVerdict::tail);
  EXPECT_EQ(judge(layer(100, 1, 9, 5)), DeviceVerdict::ok);
  latency::ModelledLayer m = layer(101, 1, 9, 5);
  m.kernel.shares = true;
  EXPECT_EQ(judge(m), DeviceVerdict::ok) << "shared reductions have no tail";
  m = layer(100, 1, 9, 5);
  m.tile_efficiency = 0.5;
  EXPECT_EQ(judge(m), DeviceVerdict::pad);
  m.tile_efficiency = 1, m.aligned = false;
  EXPECT_EQ(judge(m), DeviceVerdict::pad);
}

// 130 blocks on 100 multiprocessors pay two rounds, so 70 of 200 places are idle; a quarter of the rest is padding.
TEST(DeviceAnalysis, TimeIsAccountedFor) {
  latency::ModelledLayer m = layer(130, 3, 40, 1);
  m.us = 48, m.adding_us = 2, m.paid_rounds = 2, m.tile_efficiency = 0.75;
  const Spent parts = spent(m);
  EXPECT_DOUBLE_EQ(parts.idle_us, 40 * 0.35);
  EXPECT_DOUBLE_EQ(parts.padding_us, 40 * 0.65 * 0.25);
  EXPECT_DOUBLE_EQ(parts.work_us, 40 * 0.65 * 0.75);
  EXPECT_DOUBLE_EQ(parts.launch_us, 5);
  EXPECT_DOUBLE_EQ(parts.bytes_us, 3);
  for (const char* precision : {"f32", "f16"}) {
    DeviceAnalysisOptions options;
    options.precision = precision;
    for (const char* name : {"v100", "h100", "t4"})
      for (const DeviceLayer& l : analyze_on(small(130, 64), find_device(name), options).layers) {
        const Spent s = spent(l.model);
        EXPECT_NEAR(s.work_us + s.idle_us + s.padding_us + s.bytes_us + s.launch_us, l.model.us,
                    1e-9 * l.model.us);
        for (double part : {s.work_us, s.idle_us, s.padding_us, s.bytes_us, s.launch_us})
          EXPECT_GE(part, -1e-9);
      }
  }
}

TEST(DeviceAnalysis, LayersAreTheWaveModels) {
  const Subject subject = small(18);
  const device::Device v100 = find_device("v100");
  DeviceAnalysisOptions options;
  options.precision = "f16";
  const DeviceAnalysis analysis = analyze_on(subject, v100, options);
  ASSERT_EQ(analysis.layers.size(), 3u);
  double sum = 0, shares = 0;
  for (const DeviceLayer& l : analysis.layers) {
    EXPECT_EQ(l.model.us, latency::model_layer(v100, l.workload, "f16").us);
    EXPECT_FALSE(l.why.empty());
    sum += l.model.us, shares += l.share;
  }
  EXPECT_DOUBLE_EQ(analysis.total_us(), sum);
  EXPECT_NEAR(shares, 1, 1e-12);
  double verdicts = 0;
  for (DeviceVerdict verdict : kDeviceVerdicts) verdicts += analysis.us_of(verdict);
  EXPECT_NEAR(verdicts, sum, 1e-9);
}

// 18 channels on matrix units that load eight at a time: 16 saves what the padding of both layers costs.
TEST(DeviceAnalysis, GroupsArePricedWithAllTheirLayers) {
  Subject subject = small(18, 256);
  const device::Device a100 = find_device("a100");
  DeviceAnalysisOptions options;
  options.precision = "f16";
  const DeviceAnalysis analysis = analyze_on(subject, a100, options);
  ASSERT_FALSE(analysis.groups.empty());
  const GroupSweep& sweep = analysis.groups.front();
  EXPECT_EQ(sweep.width, 18);
  EXPECT_EQ(sweep.layers.size(), 2u);
  ASSERT_TRUE(sweep.down);
  EXPECT_EQ(sweep.down->width, 16);
  Subject at_16 = small(16, 256);
  const DeviceAnalysis other = analyze_on(at_16, a100, options);
  EXPECT_NEAR(analysis.total_us() - other.total_us(), sweep.down->saved_us, 1e-6);
}

TEST(DeviceAnalysis, StaircasesOverEveryAxis) {
  const Subject subject = small(48);
  for (const auto& [word, present] :
       std::vector<std::pair<const char*, std::int64_t>>{{"oc", 8}, {"ic", 48}, {"mb", 1}, {"sm", 40}}) {
    DeviceAnalysisOptions options;
    options.layer = "second", options.axis = parse_axis(word);
    const DeviceAnalysis analysis = analyze_on(subject, find_device("t4"), options);
    ASSERT_TRUE(analysis.picture);
    EXPECT_EQ(analysis.picture_axis, word);
    const auto& widths = analysis.picture->widths;
    auto at = std::find(widths.begin(), widths.end(), present);
    ASSERT_NE(at, widths.end()) << word;
    const double us = analysis.picture->latencies_us[static_cast<std::size_t>(at - widths.begin())];
    EXPECT_NEAR(us, analysis.layers[1].model.us, 1e-9) << word;
  }
  EXPECT_THROW(parse_axis("width"), Error);
}

TEST(DeviceAnalysis, UnknownLayersAndPrecisionsAreNamed) {
  DeviceAnalysisOptions options;
  options.layer = "secnod";
  try {
    analyze_on(small(8), find_device("t4"), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unknown_name);
    EXPECT_NE(std::string(error.what()).find("second"), std::string::npos);
  }
  options = {};
  options.precision = "bf16";
  EXPECT_THROW(analyze_on(small(8), find_device("t4"), options), Error);
}

TEST(DeviceAnalysis, RealModels) {
  const auto models = testing::real_models();
  if (models.empty()) GTEST_SKIP() << "no test data: set TAILOR_SHARED_DATA";
  int analysed = 0;
  for (const char* name : {"mobilenet_v2_1.0_224_imagenet", "resnet56_cifar10", "vit_cifar10_pgd_2_3_16"}) {
    const Subject subject = read_subject(testing::real_model(name), {});
    for (const char* gpu : {"nano", "t4", "h200", "mi210"}) {
      const device::Device device = find_device(gpu);
      const DeviceAnalysis analysis = analyze_on(subject, device, {});
      EXPECT_GT(analysis.total_us(), device.launch_us * static_cast<double>(analysis.layers.size()));
      ++analysed;
    }
  }
  EXPECT_EQ(analysed, 12);
}

TEST(Described, OneDeviceIsItsWaveModel) {
  const Subject subject = small(18);
  Described described({described_gpu(find_device("a100"), "f32")}, subject);
  latency::WaveModel model(find_device("a100"), "f32");
  std::vector<latency::Workload> workloads;
  for (const auto& l : subject.layers) workloads.push_back(l.workload);
  const auto a = described.evaluate(workloads), b = model.evaluate(workloads);
  for (std::size_t i = 0; i < workloads.size(); ++i) EXPECT_NEAR(a[i].value.value, b[i].value.value, 1e-9);
  EXPECT_DOUBLE_EQ(described.ratio(subject.model), 1);
}

// The oracle's sum over a model's layers, over the original's, is the mean of the devices' ratios.
TEST(Described, SeveralDevicesCountAlike) {
  const Subject subject = small(64), narrow = small(24);
  std::vector<DescribedDevice> devices;
  for (const char* name : {"nano", "h200", "t4"}) devices.push_back(described_gpu(find_device(name), "f32"));
  Described described(devices, subject);
  auto sum = [&](const Subject& s) {
    std::vector<latency::Workload> workloads;
    for (const auto& l : s.layers) workloads.push_back(l.workload);
    double us = 0;
    for (const auto& e : described.evaluate(workloads)) us += e.value.value;
    return us;
  };
  EXPECT_NEAR(sum(narrow) / sum(subject), described.ratio(narrow.model), 1e-9);
  const std::vector<DeviceLatency> latencies = described.latencies(narrow.model);
  ASSERT_EQ(latencies.size(), 3u);
  double mean = 0;
  for (const DeviceLatency& l : latencies) {
    EXPECT_GT(l.before_us, l.after_us) << l.device;
    mean += l.ratio() / 3;
  }
  EXPECT_NEAR(mean, described.ratio(narrow.model), 1e-12);
}

// The sum over layers of the fastest tilings; a GPU beside it counts alike.
TEST(Described, AnAcceleratorIsItsFastestTilings) {
  const Subject subject = small(40), narrow = small(24);
  const device::Accelerator eyeriss = device::find_accelerator("eyeriss");
  const DescribedDevice device = described_accelerator(eyeriss);
  Described alone({device}, subject);
  double cycles = 0;
  for (const auto& l : subject.layers)
    cycles += latency::least_cycles(eyeriss, latency::layer_loops(l.workload)).value();
  EXPECT_NEAR(alone.latencies(subject.model)[0].before_us, cycles / eyeriss.frequency_mhz, 1e-9 * cycles);
  EXPECT_LT(alone.ratio(narrow.model), 1);
  EXPECT_EQ(alone.models(), "loop nests");
  Described both({device, described_gpu(find_device("t4"), "f32")}, subject);
  EXPECT_NEAR(both.ratio(narrow.model),
              (alone.ratio(narrow.model) + both.latencies(narrow.model)[1].ratio()) / 2, 1e-12);
  EXPECT_EQ(both.models(), "loop nests, wave model");
}

TEST(Described, WhatAnAcceleratorCannotComputeIsRefused) {
  device::Accelerator tiny = device::find_accelerator("eyeriss");
  tiny.registers[0].bytes = 1;  // less than one activation
  const Subject subject = small(40);
  try {
    Described described({described_accelerator(tiny)}, subject);
    FAIL() << "nothing fits";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::runtime_refused);
  }
  tiny.frequency_mhz = 0;
  EXPECT_THROW(described_accelerator(tiny), Error);
}

}  // namespace
}  // namespace tailor::pipeline
