// tailor map on the platform cpu, and tailor platform, as their users start them.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::testing {
namespace {

// oneDNN and ONNX Runtime, or a message that one of them is missing.
#define TAILOR_NEEDS_BOTH(finished)                             \
  if ((finished).err.find("error[E6001]") != std::string::npos) \
  GTEST_SKIP() << "oneDNN or ONNX Runtime is missing: " << (finished).err

class MapTurns : public ::testing::Test {
 protected:
  void SetUp() override {
    model = write_small(folder.path(), "small.onnx", 40).string();
    data = write_array(folder.path(), "x.npy", {24, 3, 32, 32}).string();
  }
  std::vector<std::string> map(std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"map", model, "--platform", "cpu", "--calib", data, "--time", "0.2s"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  TemporaryFolder folder;
  std::string model, data;
};

void expect_valid(const std::string& schema, const Json& json) {
  for (const std::string& line : violations(document(run({"schema", schema})), json)) ADD_FAILURE() << line;
}

// What a mapping is said to cost is the sum of its ways and its conversions.
void expect_sum(const Json& json, const Json& mapping) {
  double sum = 0;
  for (std::size_t l = 0; l < json["layers"].size(); ++l)
    for (const Json& way : json["layers"][l]["ways"])
      if (way["name"] == mapping["ways"][l]) sum += way["us"].get<double>();
  for (const Json& conversion : mapping["conversions"]) sum += conversion["us"].get<double>();
  EXPECT_NEAR(mapping["predicted_us"].get<double>(), sum, 1e-6 * sum) << mapping["name"];
}

TEST_F(MapTurns, TheDocumentIsValidAndItsSumsAreRight) {
  const std::string out = (folder.path() / "mixed.onnx").string();
  const std::filesystem::path report = folder.path() / "page.html";
  const Finished finished = run(map({"--json", "-o", out, "--report", report.string()}));
  TAILOR_NEEDS_BOTH(finished);
  ASSERT_EQ(finished.exit, 0) << finished.err;
  const Json json = document(finished);
  EXPECT_NE(map_file(report).view().find("Precisions of "), std::string::npos);
  expect_valid("map-turns", json);
  for (const Json& mapping : json["baselines"]) expect_sum(json, mapping);
  expect_sum(json, json["chosen"]);
  EXPECT_EQ(json["baselines"][0]["name"], "all on f32");
  EXPECT_EQ(json["baselines"][0]["loss"], 0);
  for (const Json& baseline : json["baselines"])
    EXPECT_LE(json["front"][0]["planned_us"].get<double>(), baseline["planned_us"].get<double>() + 1e-9)
        << "nothing is cheaper than the cheapest";
  EXPECT_GT(json["chosen"]["measured_us"].get<double>(), 0);
  const Finished same =
      run({"verify", model, out, "--calib", data, "--time", "0.1s", "--max-noise", "90%", "--json"});
  EXPECT_EQ(document(same)["samples"][0]["samples"], 24) << same.err;
}

TEST_F(MapTurns, AnAccuracyThatMustStayChoosesF32OrSomethingAsGood) {
  const Finished finished = run(map({"--json", "--max-drop", "0"}));
  TAILOR_NEEDS_BOTH(finished);
  ASSERT_EQ(finished.exit, 0) << finished.err;
  const Json json = document(finished);
  EXPECT_LE(json["chosen"]["accuracy"]["drop_points"].get<double>(), 0);
  EXPECT_EQ(json["best_single"].is_string(), true) << "f32 loses nothing";
}

TEST_F(MapTurns, TextSaysWhatWasMeasured) {
  const Finished finished = run(map({"--pareto"}));
  TAILOR_NEEDS_BOTH(finished);
  ASSERT_EQ(finished.exit, 0) << finished.err;
  for (const char* words : {"measured by onednn 2.", "all on f32", "all on int8", "least latency", "chosen",
                            "predicted ms", "measured ms", "front", "units take turns"})
    EXPECT_NE(finished.out.find(words), std::string::npos) << words << "\n" << finished.out;
}

TEST_F(MapTurns, ABudgetThatCannotBeMetIsNoErrorOfUse) {
  const Finished finished = run(map({"--json", "--budget", "0.001us"}));
  TAILOR_NEEDS_BOTH(finished);
  EXPECT_EQ(finished.exit, 4) << finished.err;
  EXPECT_NE(finished.err.find("error[E4001]: the budget binds"), std::string::npos) << finished.err;
  const Json json = document(finished);
  expect_valid("map-turns", json);
  EXPECT_TRUE(json["chosen"].is_null());
}

TEST_F(MapTurns, MistakesHaveCodes) {
  auto expect = [&](std::vector<std::string> arguments, int exit, const std::string& words) {
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_NE(finished.err.find(words), std::string::npos) << finished.err;
  };
  expect({"map", model, "--platform", "cpu"}, 2, "give --calib");
  expect(map({"--objective", "energy"}), 2, "E2000");
  expect(map({"--recover", "bn"}), 2, "E2000");
  expect(map({"--split", (folder.path() / "s.onnx").string()}), 2, "-o writes the network");
  expect(map({"--quantised", (folder.path() / "s.onnx").string()}), 2, "-o writes the network");
  expect(map({"--time", "never"}), 2, "--time");
  write_file(folder.path() / "gone.toml", R"(schema = "tailor/platform/1"
name = "gone"
title = "a runner that is not there"
runner = "/nowhere/runner"
[[unit]]
name = "f32"
precision = "f32"
weights = ["f32"]
scale = "layer"
)");
  expect({"map", model, "--platform", (folder.path() / "gone.toml").string(), "--calib", data}, 6,
         "error[E600");
}

// A page that cannot be written is refused before anything is measured: no runner is needed to be told.
TEST_F(MapTurns, APageWithoutAFolderIsRefusedFirst) {
  const Finished f =
      run(map({"--report", (folder.path() / "nowhere" / "page.html").string(), "--runner", "false"}));
  EXPECT_EQ(f.exit, 8) << f.err;
  EXPECT_NE(f.err.find("nowhere"), std::string::npos) << f.err;
}

TEST_F(MapTurns, PlatformsAreListedAndShown) {
  const Json list = document(run({"platform", "list", "--json"}));
  expect_valid("platforms", list);
  const auto cpu = std::find_if(list["platforms"].begin(), list["platforms"].end(),
                                [](const Json& platform) { return platform["name"] == "cpu"; });
  ASSERT_NE(cpu, list["platforms"].end());
  EXPECT_EQ((*cpu)["how"], "measured");
  EXPECT_NE(run({"platform", "list"}).out.find("diana"), std::string::npos);
  EXPECT_NE(run({"platform", "show", "cpu"}).out.find("precision = \"i8\""), std::string::npos);
  EXPECT_EQ(run({"platform", "show", "nobody"}).exit, 2);
}

TEST_F(MapTurns, AUnitIsCalibratedFromTimings) {
  const std::string fitted = (folder.path() / "fitted.toml").string();
  const Finished finished = run({"platform", "calibrate", "diana", "--unit", "digital", "--layers", "12",
                                 "--rounds", "3", "-o", fitted, "--json"});
  TAILOR_NEEDS_BOTH(finished);
  ASSERT_EQ(finished.exit, 0) << finished.err;
  const Json json = document(finished);
  expect_valid("platform-calibrate", json);
  EXPECT_EQ(json["timings"].size(), 12u);
  EXPECT_EQ(json["held_out"]["layers"], 12);
  EXPECT_GE(json["held_out"]["most"].get<double>(), json["held_out"]["median"].get<double>());
  const Json shown = document(run({"platform", "show", fitted, "--json"}));
  EXPECT_EQ(shown["platforms"][0]["units"][0]["model"], "blocks");
  EXPECT_EQ(shown["platforms"][0]["units"][0]["parameters"]["outputs"], json["parameters"]["outputs"]);
  EXPECT_EQ(run({"map", model, "--platform", fitted}).exit, 0) << "it is a platform like any other";
}

TEST_F(MapTurns, WhatCannotBeCalibratedIsRefused) {
  EXPECT_NE(run({"platform", "calibrate", "cpu", "--unit", "int8"}).err.find("is measured"),
            std::string::npos);
  EXPECT_NE(run({"platform", "calibrate", "diana", "--unit", "digitel"}).err.find("E2001"),
            std::string::npos);
  EXPECT_EQ(run({"platform", "calibrate", "diana", "--unit", "digital", "--layers", "51"}).exit, 2);
  EXPECT_EQ(run({"platform", "calibrate", "diana", "--unit", "digital", "--precision", "f64"}).exit, 2);
}

}  // namespace
}  // namespace tailor::testing
