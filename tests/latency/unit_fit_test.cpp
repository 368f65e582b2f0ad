// A unit out of timings: what made them is found again, noise is told as error, and layers left out are predicted.
#include "tailor/latency/unit_fit.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/device/platform.h"
#include "tailor/latency/platform_cost.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tailor::latency {
namespace {

Workload random_layer(Random& random) {
  Workload w;
  const bool depthwise = random.below(4) == 0;
  w.ic = 1 + static_cast<std::int64_t>(random.below(100));
  w.oc = depthwise ? w.ic : 1 + static_cast<std::int64_t>(random.below(100));
  w.g = depthwise ? w.ic : 1;
  w.ih = w.iw = w.oh = w.ow = 4 + static_cast<std::int64_t>(random.below(40));
  w.kh = w.kw = depthwise || random.below(2) ? 3 : 1;
  w.pt = w.pl = w.pb = w.pr = w.kh / 2;
  return w;
}

std::vector<LayerTiming> timings_by(const std::map<std::string, double>& parameters, double noise,
                                    std::uint64_t seed) {
  Random random(seed);
  std::vector<LayerTiming> list;
  for (int i = 0; i < 50; ++i) {
    const Workload w = random_layer(random);
    list.push_back({w, predict_us(parameters, w, 1000) * (1 + noise * random.normal())});
  }
  return list;
}

const std::map<std::string, double> kMade = {{"outputs", 16},
                                             {"inputs", 4},
                                             {"start", 2000},
                                             {"macs_per_cycle", 24},
                                             {"depthwise_macs_per_cycle", 3},
                                             {"elements_per_cycle", 2}};

TEST(UnitFit, FindsWhatMadeTheTimes) {
  const UnitFit fit = fit_unit(timings_by(kMade, 0, 1), 1000);
  for (const auto& [name, value] : kMade) EXPECT_NEAR(fit.parameters.at(name), value, 1e-6 * value) << name;
  EXPECT_LT(fit.held_out.most, 1e-6);
  EXPECT_EQ(fit.held_out.layers, 50u);
}

TEST(UnitFit, TellsTheErrorOfLayersLeftOut) {
  const UnitFit fit = fit_unit(timings_by(kMade, 0.05, 2), 1000);
  EXPECT_GT(fit.held_out.median, 0.01);
  EXPECT_LT(fit.held_out.median, 0.10);
  EXPECT_GE(fit.held_out.median, fit.fitted.median);
}

TEST(UnitFit, OneBadTimingDoesNotBendTheRest) {
  std::vector<LayerTiming> timings = timings_by(kMade, 0, 3);
  timings[7].us *= 10;
  const UnitFit fit = fit_unit(timings, 1000);
  EXPECT_LT(fit.fitted.median, 0.03);
  EXPECT_GT(fit.fitted.most, 0.5);
}

TEST(UnitFit, WhatIsNeverUsedCostsNothing) {
  std::map<std::string, double> made = kMade;
  made["start"] = 0, made["elements_per_cycle"] = 1e12;
  const UnitFit fit = fit_unit(timings_by(made, 0, 4), 1000);
  EXPECT_NEAR(fit.parameters.at("start"), 0, 1e-3);
  EXPECT_GT(fit.parameters.at("elements_per_cycle"), 1e6);
}

TEST(UnitFit, TooFewOrImpossibleTimesAreRefused) {
  std::vector<LayerTiming> timings = timings_by(kMade, 0, 5);
  timings.resize(9);
  EXPECT_THROW(fit_unit(timings, 1000), Error);
  timings = timings_by(kMade, 0, 5);
  timings[3].us = 0;
  EXPECT_THROW(fit_unit(timings, 1000), Error);
}

// The fitted numbers are those of the cost model that a platform then has.
TEST(UnitFit, ThePlatformsModelIsWhatWasFitted) {
  device::Platform platform;
  platform.frequency_mhz = 1000;
  platform.units.push_back({"u", "blocks", kMade, "", {{"int8", 8}}});
  Random random(6);
  for (int i = 0; i < 100; ++i) {
    const Workload w = random_layer(random);
    EXPECT_DOUBLE_EQ(cycles(platform, {0, 0}, w, w.oc) / 1000, predict_us(kMade, w, 1000)) << to_string(w);
  }
  const device::Platform again = device::parse_platform(
      "schema = \"tailor/platform/1\"\nname = \"x\"\ntitle = \"t\"\nfrequency_mhz = 1000\n[[unit]]\nname = "
      "\"u\"\nweights "
      "= [\"int8\"]\nscale = \"layer\"\n[unit.cost]\nmodel = \"blocks\"\noutputs = 16\ninputs = 4\nstart = "
      "2000\nmacs_per_cycle = 24\ndepthwise_macs_per_cycle = 3\nelements_per_cycle = 2\n",
      "test");
  EXPECT_EQ(again.units[0].parameters, kMade);
}

}  // namespace
}  // namespace tailor::latency
