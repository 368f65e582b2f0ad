// optimize and verify on a GPU that is not there: the fake device's clock decides, ONNX Runtime runs the samples.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/cuda/fake_runner.h"
#include "tests/testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::testing {
namespace {

namespace fs = std::filesystem;

const std::string kShapes = std::string(TAILOR_SOURCE_DIR) + "/demo/shapes.onnx";

void expect_valid(const char* schema, const Json& json) {
  for (const std::string& line : violations(document(run({"schema", schema})), json)) ADD_FAILURE() << line;
}

// A folder with a device of one multiprocessor, whose convolutions pay for input channels in pieces of eight and for output
// channels in tiles of 64: the same numbers every time.
struct OnGpu : ::testing::Test {
  Start start() const { return {.environment = {{"TAILOR_CACHE", (folder.path() / "cache").string()}}}; }
  fs::path out() const { return folder.path() / "fast.onnx"; }
  Finished optimize(const std::vector<std::string>& more, const std::string& model = kShapes) const {
    std::vector<std::string> words = {"optimize", model,
                                      "-o",       out().string(),
                                      "-d",       "cuda",
                                      "--runner", cuda.command(),
                                      "--calib",  write_cifar(folder.path(), 120).string(),
                                      "--rounds", "1",
                                      "--widths", "3",
                                      "--fit",    "48",
                                      "--judge",  "32",
                                      "--time",   "1s"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words, start());
  }
  TemporaryFolder folder;
  FakeCuda cuda{{.settings = "sms=1,channel_step=8,name=Fake Stairs"}};
};

TEST_F(OnGpu, ASearchEndsWithWidthsOnTheEdges) {
  TAILOR_NEEDS_RUNTIME();
  const Finished finished =
      optimize({"--latency", "0.8x", "--precision", "f16", "--keep-branches", "--free", "--json"});
  ASSERT_EQ(finished.exit, 0) << finished.err;
  const Json result = document(finished);
  expect_valid("optimize", result);
  ASSERT_FALSE(result["plan"]["groups"].empty());
  for (const Json& group : result["plan"]["groups"]) {
    EXPECT_EQ(group["after"].get<int>() % 8, 0) << group;
    EXPECT_TRUE(group["after"].get<int>() != group["before"].get<int>()) << group;
  }
  EXPECT_TRUE(result["plan"]["kernels"].empty()) << "kernels keep their taps on a GPU";
  EXPECT_NE(result["timed_on"].get<std::string>().find("Fake Stairs"), std::string::npos)
      << result["timed_on"];
  EXPECT_EQ(result["plan"]["runtime"], result["timed_on"]);
  EXPECT_EQ(result["plan"]["latency"]["how"], "measured");
  EXPECT_TRUE(result["devices"].empty());
  EXPECT_GT(result["timings"]["measured"].get<int>(), 20);

  EXPECT_EQ(result["free"]["how"], "measured");
  for (const Json& group : result["free"]["groups"])
    EXPECT_EQ(group["free_to"].get<int>() % 8, 0) << "up to the edge: " << group;

  const Json& speed = result["proof"]["speed"];
  EXPECT_EQ(speed["runtime"], "cuda");
  EXPECT_EQ(speed["processor"], "Fake Stairs");
  EXPECT_EQ(speed["precision"], "f16");
  EXPECT_EQ(speed["models"][1]["to_first"]["verdict"], "FASTER");
  EXPECT_LE(speed["models"][1]["to_first"]["ratio"].get<double>(), 0.8);
  EXPECT_EQ(result["proof"]["samples"][0]["by"].get<std::string>().find("onnxruntime"), 0u)
      << result["proof"];
  EXPECT_NE(finished.err.find("samples are run by onnxruntime"), std::string::npos) << finished.err;

  // The written file is as fast when it is asked about alone, and the journal knows its layers.
  const Json again =
      document(run({"verify", kShapes, out().string(), "-d", "cuda", "--precision", "f16", "--runner",
                    cuda.command(), "--latency", "0.8x", "--rounds", "9", "--json"},
                   start()));
  expect_valid("verify", again);
  EXPECT_EQ(again["outcome"], "PASS");
  EXPECT_NEAR(again["speed"]["models"][1]["to_first"]["ratio"].get<double>(),
              speed["models"][1]["to_first"]["ratio"].get<double>(), 1e-6);
  EXPECT_EQ(cuda.logged("misuse"), std::vector<std::string>{});
}

TEST_F(OnGpu, ASecondSearchFindsTheTimings) {
  TAILOR_NEEDS_RUNTIME();
  const std::string model = write_small(folder.path(), "small.onnx", 70).string();
  const std::vector<std::string> words = {"--latency", "0.9x", "--dry-run", "--best-effort", "--json"};
  const Json first = document(optimize(words, model)), second = document(optimize(words, model));
  EXPECT_GT(first["timings"]["measured"].get<int>(), 0);
  EXPECT_EQ(second["timings"]["measured"], 0);
  EXPECT_EQ(second["timings"]["known"], first["timings"]["measured"]);
  std::vector<std::string> fresh = words;
  fresh.push_back("--fresh");
  EXPECT_EQ(document(optimize(fresh, model))["timings"]["measured"], first["timings"]["measured"]);
}

// Eight input channels are read at a time and 64 outputs are made at a time: 18 channels go up to 24 for nothing.
TEST_F(OnGpu, AnalyzeListsWhatIsFree) {
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  std::vector<std::string> words = {"analyze", model, "-d", "cuda", "--free", "--runner", cuda.command()};
  const Finished text = run(words, start());
  ASSERT_EQ(text.exit, 0) << text.err;
  EXPECT_NE(text.out.find("free channels"), std::string::npos) << text.out;
  words.push_back("--json");
  const Json json = document(run(words, start()));
  expect_valid("gpu-analysis", json);
  ASSERT_FALSE(json["free"]["groups"].empty()) << json["free"];
  EXPECT_EQ(json["free"]["groups"][0]["width"], 18);
  EXPECT_EQ(json["free"]["groups"][0]["free_to"], 24);
  EXPECT_EQ(json["free"]["how"], "measured");
  EXPECT_FALSE(document(run({"analyze", model, "-d", "cuda", "--runner", cuda.command(), "--json"}, start()))
                   .contains("free"));
  EXPECT_EQ(run({"analyze", model, "--free"}).exit, 2);
}

TEST_F(OnGpu, AGoalInTime) {
  TAILOR_NEEDS_RUNTIME();
  const std::string model = write_small(folder.path(), "small.onnx", 70).string();
  const Finished finished = optimize({"--latency", "1s", "--dry-run"}, model);
  EXPECT_EQ(finished.exit, 0) << finished.err;
  EXPECT_NE(finished.err.find("the model is there already"), std::string::npos) << finished.err;
  EXPECT_NE(finished.out.find("speed on Fake Stairs"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("accuracy by onnxruntime"), std::string::npos) << finished.out;
}

// x -> Conv -> Softmax -> ... : the runner has no Softmax.
fs::path write_with_softmax(const fs::path& folder) {
  graph::Model model = small_model(16);
  model.graph.nodes.push_back({"Softmax", "", "soft", {"y"}, {"z"}});
  model.graph.outputs.front().name = "z";
  onnx::write(model, folder / "soft.onnx");
  return folder / "soft.onnx";
}

TEST_F(OnGpu, WhatItDoesNotComputeIsNamedBeforeTheWork) {
  TAILOR_NEEDS_RUNTIME();
  const std::string model = write_with_softmax(folder.path()).string();
  const Finished finished = optimize({"--latency", "0.8x"}, model);
  EXPECT_EQ(finished.exit, 6);
  EXPECT_NE(finished.err.find("E6003"), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find("1 Softmax"), std::string::npos) << finished.err;
  EXPECT_FALSE(fs::exists(out()));
  EXPECT_EQ(cuda.logged("calls"), std::vector<std::string>{}) << "nothing was run";
  const Finished verified = run({"verify", model, model, "-d", "cuda", "--runner", cuda.command()});
  EXPECT_EQ(verified.exit, 6);
  EXPECT_NE(verified.err.find("1 Softmax"), std::string::npos) << verified.err;
  // bench compares what is left, and says so.
  const Finished timed = run({"bench", model, "-d", "cuda", "--rounds", "6", "--runner", cuda.command()});
  EXPECT_NE(timed.err.find("its time lacks 1 Softmax"), std::string::npos) << timed.err;
}

TEST_F(OnGpu, WrongUsageIsRefused) {
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
           {"--latency", "0.8x", "--threads", "2"},
           {"--latency", "0.8x", "--precision", "f64"},
           {"--latency", "0.8x", "--keep-kernels"},
           {"--latency", "0.8x", "-d", "t4"},
           {"--latency", "0.8x", "-d", "cpu"},
           {"--latency", "0.8x", "--precision", "tf32"}})  // the command that is named lacks --tf32
    EXPECT_EQ(optimize(more).exit, 2) << more.back();
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  EXPECT_EQ(run({"verify", model, model, "-d", "t4"}).exit, 2);
  EXPECT_EQ(run({"verify", model, model, "--precision", "f16"}).exit, 2);
  EXPECT_EQ(run({"verify", model, model, "-d", "cuda", "--threads", "2"}).exit, 2);
}

TEST_F(OnGpu, WithoutADeviceNothingIsBegun) {
  TAILOR_NEEDS_RUNTIME();
  FakeCuda none({.settings = "sms=0"});
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  const Finished finished =
      run({"optimize", model, "-o", out().string(), "-d", "cuda", "--runner", none.command(), "--latency",
           "0.8x", "--calib", write_cifar(folder.path(), 60).string()},
          start());
  EXPECT_EQ(finished.exit, 6);
  EXPECT_NE(finished.err.find("E6001"), std::string::npos) << finished.err;
  const Finished verified = run({"verify", model, model, "-d", "cuda", "--runner", none.command()}, start());
  EXPECT_EQ(verified.exit, 6);
  EXPECT_NE(verified.err.find("E6001"), std::string::npos) << verified.err;
}

TEST_F(OnGpu, VerifySaysWhoMeasuredWhat) {
  TAILOR_NEEDS_RUNTIME();
  const std::string a = write_small(folder.path(), "a.onnx", 640).string(),
                    b = write_small(folder.path(), "b.onnx", 64).string();
  const Finished finished = run(
      {"verify", a, b, "-d", "cuda", "--rounds", "9", "--min-speedup", "1.2x", "--runner", cuda.command()});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  for (const char* word :
       {"PASS", "speed was measured on Fake Stairs, layers in f32", "come from onnxruntime"})
    EXPECT_NE(finished.out.find(word), std::string::npos) << word << "\n" << finished.out;
  const Finished slower = run(
      {"verify", b, a, "-d", "cuda", "--rounds", "9", "--min-speedup", "1.2x", "--runner", cuda.command()});
  EXPECT_EQ(slower.exit, 4) << slower.out;
}

}  // namespace
}  // namespace tailor::testing
