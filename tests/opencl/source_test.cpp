// Texts of OpenCL kernels without OpenCL: what a space allows, what the first line promises, keys, and hostile texts.
#include "runners/opencl/kernel.h"
#include "tailor/base/error.h"
#include "tailor/tune/alone.h"
#include "tailor/tune/kernel_source.h"
#include "tailor/tune/product.h"
#include "tests/opencl/devices.h"
#include "tests/tune/spaces.h"

#include <nlohmann/json.hpp>

#include <set>

namespace tailor::tune {
namespace {

using opencl::Launch;
using opencl::LaunchPlan;
using testing::code_of;
using testing::processor;

latency::Workload workload(const std::string& text) { return latency::parse_workload(text); }

constexpr const char* kLayers[] = {
    "gemm_m37_k53_n71_f32+bias+relu",
    "gemm_m1_k100_n10_f32",
    "gemm_m768_k768_n768_f32",
    "conv_mb1_g1_ic5ih9iw11_oc7oh9ow11_kh3kw3_sh1sw1_ph1pw1_f32+bias+relu",
    "conv_mb2_g1_ic16ih12iw12_oc24oh6ow6_kh3kw3_sh2sw2_pt1pl1pb0pr0_f32+bn+add+relu",
    "conv_mb1_g1_ic32ih7iw7_oc16oh7ow7_kh1kw1_sh1sw1_ph0pw0_f32+bias"};

template <class Check>
void for_some(const OpenClDevice& device, Check check) {
  for (const char* layer : kLayers) {
    const latency::Workload w = workload(layer);
    ASSERT_EQ(no_opencl_kernel(w), "");
    const Space space = opencl_space(w, device);
    Random random(3);
    for (int i = 0; i < 100; ++i) {
      const Configuration c = space.sample(random);
      SCOPED_TRACE(std::string(layer) + " " + space.text(c));
      check(w, space, c);
    }
  }
}

TEST(OpenClSpace, KeepsToTheDevice) {
  for (const OpenClDevice& device : {processor(4), processor(16), testing::gpu()})
    for_some(device, [&](const latency::Workload& w, const Space& space, const Configuration& c) {
      auto value = [&](const char* name) { return setting(space, c, name); };
      EXPECT_LE(value("wm") * value("wn"), device.group);
      const std::int64_t registers = !device.processor ? 32 : device.vector_floats >= 16 ? 32 : 16;
      EXPECT_LE(value("mr") * value("nv") + value("nv") + 1, registers);
      const bool conv = w.kind == latency::Kind::conv;
      const std::int64_t staged = conv ? value("wn") * value("nv") * value("vl") : value("wm") * value("mr");
      EXPECT_LE(value("stage") * 4 * staged * value("kc"), device.local_bytes);
    });
}

TEST(OpenClSpace, IsLargeAndHasEveryParameter) {
  const Space space = opencl_space(workload(kLayers[2]), processor(16));
  EXPECT_GT(space.count(), 100000u);
  std::vector<std::string> names;
  for (const Parameter& parameter : space.parameters()) names.push_back(parameter.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"mr", "nv", "vl", "unroll", "wm", "wn", "stage", "kc", "order"}));
}

// The groups of the launch cover the result, and no group is empty.
TEST(OpenClSource, TheFirstLineCoversTheResultWithWholeGroups) {
  for_some(processor(16), [](const latency::Workload& w, const Space& space, const Configuration& c) {
    const std::string text = opencl_source(w, space, c);
    const LaunchPlan plan = opencl::launch_plan(text, "text");
    const Product p = product_of(w);
    const auto order = static_cast<std::size_t>(setting(space, c, "order"));
    const Launch& run = plan.run.back();
    ASSERT_EQ(run.kernel, "product");
    const auto tall = static_cast<std::int64_t>(run.global[order]) * setting(space, c, "mr"),
               wide = static_cast<std::int64_t>(run.global[1 - order]) * setting(space, c, "nv") *
                      setting(space, c, "vl");
    const std::int64_t group_rows = setting(space, c, "mr") * setting(space, c, "wm");
    EXPECT_GE(tall, p.m);
    EXPECT_LT(tall - p.m, group_rows);
    EXPECT_GE(wide, p.n);
    EXPECT_EQ(run.global[2], static_cast<std::size_t>(p.images));
    for (std::size_t d = 0; d < 3; ++d) EXPECT_EQ(run.global[d] % run.local[d], 0u);
    const bool conv = w.kind == latency::Kind::conv;
    EXPECT_EQ(plan.packed, static_cast<std::size_t>((conv ? tall : wide) * p.k));
    EXPECT_EQ(plan.run.size(), conv && w.kh > 1 ? 2u : 1u) << "a border needs a launch of its own";
    EXPECT_NE(text.find("__kernel"), std::string::npos);
  });
}

TEST(OpenClSource, ConfigurationsHaveTextsOfTheirOwn) {
  const latency::Workload w = workload(kLayers[0]);
  const Space space = opencl_space(w, processor(16));
  Random random(5);
  std::set<Configuration> configurations;
  std::set<std::string> texts;
  for (int i = 0; i < 200; ++i) {
    const Configuration c = space.sample(random);
    configurations.insert(c), texts.insert(opencl_source(w, space, c));
  }
  EXPECT_EQ(texts.size(), configurations.size());
}

TEST(OpenClSource, WhatHasNoKernelSaysWhy) {
  EXPECT_EQ(no_opencl_kernel(workload("gemm_m8_k8_n8_f32+bias+sigmoid")), "followed by 'sigmoid'");
  EXPECT_EQ(no_opencl_kernel(workload("gemm_m16384_k16384_n8_f32")), "tensors of more than 2^28 elements");
}

// Records of both backends lie in one file: a key must tell them apart by itself.
TEST(OpenClKeys, AreNobodyElses) {
  OpenClPlace place;
  place.device = processor(16), place.clock = "thread cpu";
  const TuneTask task{workload(kLayers[0]), 0.5, 1, 1};
  const RecordKey here = key_of(task, opencl_backend(place).machine());
  const RecordKey other = key_of(task, Backend().machine());
  EXPECT_EQ(here.op, other.op);
  EXPECT_NE(here.device, other.device);
  EXPECT_NE(here.versions, other.versions);
  EXPECT_NE(here.source, other.source);
  EXPECT_EQ(here.source, opencl_hash());
  auto changed = [&](auto change) {
    OpenClPlace there = place;
    change(there.device);
    return key_of(task, opencl_backend(there).machine());
  };
  EXPECT_NE(here, changed([](OpenClDevice& d) { d.units *= 2; })) << "half of it is another share";
  EXPECT_NE(here, changed([](OpenClDevice& d) { d.driver += "1"; }));
  EXPECT_NE(here, changed([](OpenClDevice& d) { d.name += "1"; }));
}

TEST(OpenClDeviceText, WhatNoDeviceSaysIsRefused) {
  const Json good = {
      {"name", "x"}, {"platform", "p"},   {"version", "OpenCL 3.0"}, {"driver", "1"}, {"processor", true},
      {"units", 2},  {"by_counts", true}, {"vector_floats", 16},     {"group", 64},   {"local_bytes", 1024}};
  EXPECT_EQ(opencl_device_from(good, "hello").units, 2);
  for (const auto& [key, value] : std::vector<std::pair<const char*, Json>>{{"units", 0},
                                                                            {"units", "two"},
                                                                            {"units", 1e30},
                                                                            {"group", -1},
                                                                            {"vector_floats", 4096},
                                                                            {"name", 3},
                                                                            {"processor", 1}}) {
    Json bad = good;
    bad[key] = value;
    EXPECT_EQ(code_of([&] { opencl_device_from(bad, "hello"); }), Code::bad_json) << key;
  }
}

TEST(LaunchPlan, HostileFirstLinesAreRefused) {
  const std::string launch = R"({"kernel":"a","global":[4],"local":[2]})";
  auto plan = [](const std::string& json) {
    return opencl::launch_plan("// tailor " + json + "\nrest", "text");
  };
  auto with = [&](const std::string& run) {
    return R"({"packed":1,"scratch":0,"prepare":[],"run":[)" + run + "]}";
  };
  EXPECT_EQ(plan(with(launch)).run.front().local.front(), 2u);
  for (const std::string& bad :
       {with(""), with("3"), with(R"({"kernel":"a","global":[]})"),
        with(R"({"kernel":"a","global":[1,1,1,1]})"), with(R"({"kernel":"a","global":[0]})"),
        with(R"({"kernel":"a","global":[-4]})"), with(R"({"kernel":"a","global":[99999999999]})"),
        with(R"({"kernel":"a","global":[4],"local":[2,2]})"), with(R"({"kernel":7,"global":[4]})"),
        with(R"({"global":[4]})"), std::string("[]"), std::string("{"),
        std::string(R"({"packed":1e12,"scratch":0,"prepare":[],"run":[]})"),
        std::string(R"({"packed":999999999,"scratch":0,"prepare":[],"run":[{"kernel":"a","global":[4]}]})")})
    EXPECT_EQ(code_of([&] { plan(bad); }), Code::bad_json) << bad;
  EXPECT_EQ(code_of([] { opencl::launch_plan("__kernel void a() {}", "text"); }), Code::bad_json);
  EXPECT_EQ(code_of([] { opencl::launch_plan("", "text"); }), Code::bad_json);
  std::string many = launch;
  for (int i = 0; i < 20; ++i) many += "," + launch;
  EXPECT_EQ(code_of([&] { plan(with(many)); }), Code::bad_json);
}

}  // namespace
}  // namespace tailor::tune
