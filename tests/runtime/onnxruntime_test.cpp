// The real runner on real models. Skipped, visibly, where the library or the models are absent.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/runtime/runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <optional>

namespace tailor::runtime {
namespace {

namespace fs = std::filesystem;

class OnnxRuntime : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      runner.emplace();
    } catch (const Error& error) {
      if (error.code() != Code::runtime_missing) throw;
      GTEST_SKIP() << "no ONNX Runtime: " << error.what();
    }
  }
  // ../shared/data/onnx beside the repository, or $TAILOR_TEST_DATA/onnx.
  static fs::path model(const char* name) {
    const char* set = std::getenv("TAILOR_TEST_DATA");
    fs::path folder = set ? fs::path(set) : fs::path(TAILOR_SOURCE_DIR) / "../shared/data";
    return folder / "onnx" / name;
  }
  Code code_of(const Job& job) {
    try {
      runner->time(std::vector{job}, {.rounds = 1});
    } catch (const Error& error) {
      return error.code();
    }
    return Code::bug;
  }
  std::optional<Runner> runner;
};

#define NEEDS(path) \
  if (!fs::exists(path)) GTEST_SKIP() << "real data not there: " << (path)

TEST_F(OnnxRuntime, SaysWhatItIs) {
  EXPECT_EQ(runner->hello().runtime, "onnxruntime");
  EXPECT_FALSE(runner->hello().version.empty());
  EXPECT_EQ(runner->hello().clock, "thread cpu");
  EXPECT_TRUE(runner->hello().profiles);
  EXPECT_GE(runner->hello().cores, 1);
  EXPECT_EQ(runner->context({.evict = true}).cache_mode, "evicted");
}

constexpr float kOfZeros[] = {3.2760458f,   -2.3189311f,  0.419073343f, 4.52021694f, -1.33856213f,
                              0.644851923f, 0.334887594f, -1.72883201f, 0.16667445f, -4.00550413f};
constexpr float kOfPattern[] = {5.57402945f,  3.26907849f, 10.3109226f,  -9.50255394f, -3.12506962f,
                                -12.4483385f, 12.106349f,  -10.2390811f, 2.95940757f,  1.14011288f};

TEST_F(OnnxRuntime, GoldenLogits) {
  auto path = model("resnet20_cifar10.onnx");
  NEEDS(path);
  std::vector<float> x(2 * 3072, 0.0f);
  for (int i = 0; i < 3072; ++i)
    x[static_cast<std::size_t>(3072 + i)] = static_cast<float>(i % 17) / 16 - 0.5f;
  auto outputs = runner->run(path, {{"input", graph::make_f32({2, 3, 32, 32}, x)}});
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs[0].first, "logits");
  EXPECT_EQ(outputs[0].second.dims, (graph::Shape{2, 10}));
  auto logits = outputs[0].second.values<float>();
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(logits[i], kOfZeros[i], 1e-4);
    EXPECT_NEAR(logits[10 + i], kOfPattern[i], 1e-4);
  }
}

// mnist-8 takes exactly one sample: seven chunks.
TEST_F(OnnxRuntime, ChunksAreJoined) {
  auto path = model("mnist-8.onnx");
  NEEDS(path);
  std::vector<float> x(7 * 784);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>((i * 37) % 255);
  auto together =
      runner->run(path, {{"Input3", graph::make_f32({7, 1, 28, 28}, x)}})[0].second.values<float>();
  ASSERT_EQ(together.size(), 70u);
  for (std::size_t n = 0; n < 7; ++n) {
    std::vector<float> one(x.begin() + static_cast<std::ptrdiff_t>(n * 784),
                           x.begin() + static_cast<std::ptrdiff_t>((n + 1) * 784));
    auto alone =
        runner->run(path, {{"Input3", graph::make_f32({1, 1, 28, 28}, one)}})[0].second.values<float>();
    EXPECT_TRUE(
        std::equal(alone.begin(), alone.end(), together.begin() + static_cast<std::ptrdiff_t>(n * 10)));
  }
}

TEST_F(OnnxRuntime, TimesSeveralModelsInRounds) {
  auto small = model("mnist-8.onnx"), large = model("resnet56_cifar10.onnx");
  NEEDS(large);
  std::vector<Job> jobs = {{small, {}, {}}, {large, {}, {}}};
  for (bool evict : {false, true}) {
    auto samples = runner->time(jobs, {.rounds = 3, .min_sample_us = 300, .evict = evict});
    ASSERT_EQ(samples.size(), 2u);
    for (const Samples& s : samples) {
      EXPECT_EQ(s.us.size(), 3u);
      EXPECT_EQ(s.clock, "thread cpu");
    }
    for (const Samples& s : samples) EXPECT_GT(*std::min_element(s.us.begin(), s.us.end()), 0);
  }
  EXPECT_EQ(runner->time(jobs, {.threads = 2, .rounds = 1, .min_sample_us = 100})[0].clock, "wall");
}

TEST_F(OnnxRuntime, ProfilesNodesInPlace) {
  auto path = model("resnet20_cifar10.onnx");
  NEEDS(path);
  InPlaceProfile profile = runner->profile({path, {}, {}}, {.rounds = 5});
  EXPECT_GT(profile.nodes.size(), 20u);
  EXPECT_FALSE(profile.unprofiled_us.empty());
  EXPECT_EQ(profile.unprofiled_us.size(), profile.run_us.size());
  EXPECT_GE(profile.inside_share, 0);  // measured: a slow build or a busy machine may make it anything
  EXPECT_LE(profile.inside_share, 1);
  std::size_t convs = 0;
  for (const NodeTime& node : profile.nodes) convs += node.op == "Conv";
  EXPECT_EQ(convs, 19u);
}

TEST_F(OnnxRuntime, TimesEveryKindOfWorkload) {
  const char* texts[] = {"conv_mb1_g1_ic16ih8iw8_oc32oh8ow8_kh3kw3_sh1sw1_ph1pw1_f32+bias+add+relu",
                         "conv_mb2_g16_ic16ih8iw8_oc16oh4ow4_kh3kw3_sh2sw2_pt0pl0pb1pr1_f32+bn+clip",
                         "conv_mb1_g1_ic3ih9iw9_oc5oh5ow5_kh3kw3_sh1sw1_dh2dw2_ph0pw0_f32+sigmoid",
                         "deconv_mb1_g1_ic8ih4iw4_oc6oh8ow8_kh3kw3_sh2sw2_ph1pw1_f32+bias+leakyrelu",
                         "gemm_m3_k8_n5_f32+bias+tanh",
                         "gemm_m3_k8_n5_f32+add+bias+hardswish"};
  std::vector<Job> jobs;
  for (const char* text : texts) jobs.push_back({.workload = latency::parse_workload(text)});
  for (const Samples& s : runner->time(jobs, {.rounds = 2, .min_sample_us = 50, .evict = true})) {
    EXPECT_EQ(s.us.size(), 2u);
    EXPECT_FALSE(s.kernel.empty());
  }
  EXPECT_EQ(code_of({.workload = latency::parse_workload("gemm_m3_k8_n5_i8")}), Code::runtime_refused);
  EXPECT_EQ(code_of({.workload = latency::parse_workload("gemm_m3_k8_n5_f32+swizzle")}),
            Code::runtime_refused);
}

TEST_F(OnnxRuntime, BadJobsAreErrorsAndTheRunnerLivesOn) {
  auto refused = model("espcn_x3_subpixel_quant.onnx"), free = model("silero_vad.onnx"),
       good = model("mnist-8.onnx");
  NEEDS(refused);
  EXPECT_EQ(code_of({refused, {}, {}}), Code::runtime_refused);
  EXPECT_EQ(code_of({"/no/such/model.onnx", {}, {}}), Code::file_missing);
  EXPECT_EQ(code_of({free, {}, {}}), Code::shape_unknown);
  EXPECT_EQ(code_of({good, {{"Input3", {1, 1, 28, 27}}}, {}}), Code::bad_shape);
  EXPECT_EQ(code_of({good, {{"nope", {1}}}, {}}), Code::unknown_name);
  EXPECT_EQ(runner->time(std::vector<Job>{{good, {}, {}}}, {.rounds = 2}).size(), 1u);
}

TEST_F(OnnxRuntime, DataThatDoNotFitAreNamed) {
  auto path = model("mnist-8.onnx");
  NEEDS(path);
  try {
    runner->run(path, {{"Input3", graph::make_f32({2, 1, 28, 27}, std::vector<float>(2 * 28 * 27))}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::dataset_mismatch);
    EXPECT_NE(std::string(error.what()).find("1x1x28x28"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("2x1x28x27"), std::string::npos) << error.what();
  }
}

TEST(MissingLibrary, IsSaid) {
  RunnerOptions options;
  options.library = "/no/such/libonnxruntime.so";
  try {
    Runner runner(options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::runtime_missing) << error.what();
    EXPECT_NE(error.help().find("get-onnxruntime"), std::string::npos);
  }
}

}  // namespace
}  // namespace tailor::runtime
