// tailor-runner-onednn through the protocol, as Tailor starts it.
#include "tailor/base/error.h"
#include "tailor/runtime/runner.h"
#include "tests/onednn/library.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tailor::onednn {
namespace {

runtime::Runner started() {
  runtime::RunnerOptions options;
  options.command = TAILOR_RUNNER_ONEDNN;
  return runtime::Runner(options);
}

constexpr const char* kNetwork =
    R"({"layers":[{"layer":"conv_mb1_g1_ic8ih6iw6_oc8oh6ow6_kh3kw3_sh1sw1_ph1pw1_f32+relu","in":[0],"out":1},
{"layer":"conv_mb1_g1_ic8ih6iw6_oc8oh6ow6_kh1kw1_sh1sw1_ph0pw0_f32+add","in":[1,0],"out":2}]})";

runtime::Job network_job() {
  runtime::Job job;
  job.network = kNetwork;
  return job;
}

template <class Act>
void expect_error(Code code, const std::string& words, Act act) {
  try {
    act();
    ADD_FAILURE() << "accepted: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE((std::string(error.what()) + error.place()).find(words), std::string::npos) << error.what();
  }
}

TEST(OneDnnRunner, SaysWhatItIs) {
  TAILOR_NEEDS_LIBRARY();
  runtime::Runner runner = started();
  EXPECT_EQ(runner.hello().runtime, "onednn");
  EXPECT_TRUE(runner.hello().version.starts_with("2."));
  EXPECT_TRUE(runner.hello().workloads);
}

TEST(OneDnnRunner, TimesWorkloadsAndNetworksInTheSameRounds) {
  TAILOR_NEEDS_LIBRARY();
  runtime::Runner runner = started();
  runtime::Job layer;
  layer.workload = latency::parse_workload("gemm_m4_k16_n8_f32+bias");
  runtime::TimingOptions options;
  options.rounds = 3, options.min_sample_us = 10;
  for (bool evict : {false, true}) {
    options.evict = evict;
    const std::vector<runtime::Samples> samples =
        runner.time(std::vector<runtime::Job>{layer, network_job()}, options);
    ASSERT_EQ(samples.size(), 2u);
    EXPECT_EQ(samples[0].us.size(), 3u);
    EXPECT_GT(samples[1].us[0], 0);
    EXPECT_EQ(samples[0].clock, "thread cpu");
    EXPECT_FALSE(samples[0].kernel.empty());
  }
}

TEST(OneDnnRunner, ProfilesNetworksLayerByLayerAndInTurns) {
  TAILOR_NEEDS_LIBRARY();
  runtime::Runner runner = started();
  runtime::TimingOptions options;
  options.rounds = 4;
  const runtime::InPlaceProfile profile = runner.profile(network_job(), options);
  ASSERT_EQ(profile.nodes.size(), 2u);
  EXPECT_EQ(profile.nodes[0].op, "conv");
  EXPECT_FALSE(profile.run_us.empty());
  EXPECT_EQ(profile.unprofiled_us.size(), 12u);
  const Json both =
      runner.ask({{"op", "profile"},
                  {"rounds", 2},
                  {"jobs", {{{"network", Json::parse(kNetwork)}}, {{"network", Json::parse(kNetwork)}}}}});
  ASSERT_EQ(both["profiles"].size(), 2u);
  EXPECT_EQ(both["profiles"][1]["nodes"].size(), 2u);
}

TEST(OneDnnRunner, RefusesByCodeAndGoesOn) {
  TAILOR_NEEDS_LIBRARY();
  runtime::Runner runner = started();
  runtime::TimingOptions options;
  options.rounds = 1, options.min_sample_us = 1;
  runtime::Job model;
  model.model = "nothing.onnx";
  expect_error(Code::runtime_refused, "reads no model files",
               [&] { runner.time(std::vector{model}, options); });
  expect_error(Code::runtime_refused, "does not compute results", [&] {
    runner.ask({{"op", "run"}, {"model", "x"}});
  });
  options.threads = 2;
  expect_error(Code::usage, "one thread", [&] { runner.time(std::vector{network_job()}, options); });
  options.threads = 1;
  runtime::Job bad;
  bad.network = R"({"layers":[{"layer":"pool_none_f32","in":[0],"out":1}]})";
  expect_error(Code::bad_value, "not a", [&] { runner.time(std::vector{bad}, options); });
  EXPECT_EQ(runner.time(std::vector{network_job()}, options).size(), 1u) << "it still answers";
}

TEST(OneDnnRunner, ALibraryThatIsNotThereIsAnAnswer) {
  runtime::RunnerOptions options;
  options.command = std::string(TAILOR_RUNNER_ONEDNN) + " --onednn /nowhere/libdnnl.so.2";
  expect_error(Code::runtime_missing, "/nowhere/libdnnl.so.2", [&] { runtime::Runner runner(options); });
}

}  // namespace
}  // namespace tailor::onednn
