// tailor platform predict, and what platform list and show know of accelerators, as their users start them.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

class PlatformPredict : public ::testing::Test {
 protected:
  void SetUp() override { model = write_small(folder.path(), "small.onnx", 40).string(); }
  TemporaryFolder folder;
  std::string model;
};

void expect_valid(const std::string& schema, const Json& json) {
  for (const std::string& line : violations(document(run({"schema", schema})), json)) ADD_FAILURE() << line;
}

// first: 3 -> 40 channels, second: 40 -> 8, last: 8 -> 10.
TEST_F(PlatformPredict, TheDocumentIsValidAndItsSumsAreRight) {
  for (const char* accelerator : {"eyeriss", "shidiannao", "i-flatcam"})
    for (const char* objective : {"latency", "energy", "product"}) {
      const Finished finished =
          run({"platform", "predict", accelerator, model, "--objective", objective, "--json"});
      ASSERT_EQ(finished.exit, 0) << finished.err;
      const Json json = document(finished);
      expect_valid("accelerator-prediction", json);
      ASSERT_EQ(json["layers"].size(), 3u);
      double cycles = 0, pj = 0;
      for (const Json& layer : json["layers"]) {
        if (layer["cost"].is_null()) continue;
        cycles += layer["cost"]["cycles"].get<double>(), pj += layer["cost"]["pj"].get<double>();
        EXPECT_LE(layer["cost"]["utilisation"].get<double>(), 1);
        EXPECT_LE(layer["widths"]["cycles"], layer["cost"]["cycles"]);
        EXPECT_TRUE(layer["exact"].get<bool>());
      }
      EXPECT_DOUBLE_EQ(json["cycles"].get<double>(), cycles);
      EXPECT_DOUBLE_EQ(json["pj"].get<double>(), pj);
      EXPECT_EQ(json["refused"], std::string(accelerator) == "i-flatcam" ? 1 : 0)
          << "40 KiB of inputs in the second";
      EXPECT_EQ(json["other_nodes"], 3);
    }
}

TEST_F(PlatformPredict, StepsAreThoseOfTheArray) {
  const Json json = document(run({"platform", "predict", "i-flatcam", model, "--layer", "first", "--json"}));
  ASSERT_EQ(json["layers"].size(), 1u);
  const Json& layer =
      json["layers"][0];  // 16 rows compute output channels: 40 take three turns, as 33 to 48 do
  EXPECT_EQ(layer["widths"]["narrowest"], 33);
  EXPECT_EQ(layer["widths"]["widest"], 48);
  EXPECT_EQ(layer["widths"]["next"], 32);
  EXPECT_NEAR(layer["widths"]["next_cycles"].get<double>() / layer["widths"]["cycles"].get<double>(), 2.0 / 3,
              1e-9);
  EXPECT_TRUE(json["us"].is_null()) << "its clock is not known";
}

TEST_F(PlatformPredict, TextSaysThatItIsModelled) {
  const Finished finished = run({"platform", "predict", "eyeriss", model});
  ASSERT_EQ(finished.exit, 0) << finished.err;
  for (const char* words : {"MODELLED", "nothing was run or measured", "Eyeriss", "PEs used", "same step",
                            "next narrower", "compute", "sum of layers", "3 nodes that are no convolution"})
    EXPECT_NE(finished.out.find(words), std::string::npos) << words << "\n" << finished.out;
}

TEST_F(PlatformPredict, LayersThatDoNotFitSayWhy) {
  std::string toml = run({"platform", "show", "eyeriss"}).out;
  const std::string bytes = "bytes = 448";
  toml.replace(toml.find(bytes), bytes.size(), "bytes = 1");
  const auto path = folder.path() / "tight.toml";
  write_file(path, toml);
  const Finished finished = run({"platform", "predict", path.string(), model});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  EXPECT_NE(finished.out.find("refused           first"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("the registers 'weights' of a PE hold 1 bytes, tiles take 2"),
            std::string::npos)
      << finished.out;
  const Json json = document(run({"platform", "predict", path.string(), model, "--json"}));
  expect_valid("accelerator-prediction", json);
  EXPECT_EQ(json["refused"], 3);
  EXPECT_TRUE(json["layers"][0]["cost"].is_null());
}

TEST_F(PlatformPredict, ListAndShowKnowAccelerators) {
  const Json list = document(run({"platform", "list", "--json"}));
  expect_valid("platforms", list);
  EXPECT_EQ(list["accelerators"].size(), 3u);
  EXPECT_NE(run({"platform", "list"}).out.find("eyeriss"), std::string::npos);
  const std::string text = run({"platform", "show", "eyeriss"}).out;
  EXPECT_NE(text.find("refresh inputs"), std::string::npos);
  write_file(folder.path() / "mine.toml", text);
  const Json shown = document(run({"platform", "show", (folder.path() / "mine.toml").string(), "--json"}));
  expect_valid("platforms", shown);
  EXPECT_EQ(shown["accelerators"][0]["pes"], 168);
}

TEST_F(PlatformPredict, MistakesHaveCodes) {
  auto expect = [&](std::vector<std::string> arguments, int exit, const std::string& words) {
    arguments.insert(arguments.begin(), "platform");
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_NE(finished.err.find(words), std::string::npos) << finished.err;
  };
  expect({"predict", "eyeris", model}, 2, "E2108");
  expect({"predict", "eyeris", model}, 2, "did you mean 'eyeriss'");
  expect({"predict", "/nowhere.toml", model}, 2, "E2101");
  expect({"predict", "eyeriss", "/nowhere.onnx"}, 2, "E2101");
  expect({"predict", "eyeriss", model, "--objective", "speed"}, 2, "E2001");
  expect({"predict", "eyeriss", model, "--layer", "frist"}, 2, "did you mean 'first'");
  expect({"predict", "eyeriss"}, 2, "E2000");
  expect({"show", "eyeris"}, 2, "there is no platform or accelerator 'eyeris'");
  write_file(folder.path() / "bad.toml", "schema = \"tailor/accelerator/1\"\nname = 1\n");
  expect({"predict", (folder.path() / "bad.toml").string(), model}, 2, "E2104");
  expect({"show", (folder.path() / "bad.toml").string()}, 2, "bad.toml:2");
}

}  // namespace
}  // namespace tailor::testing
