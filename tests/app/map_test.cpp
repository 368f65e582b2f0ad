// tailor map as its users start it.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

#include <set>

namespace tailor::testing {
namespace {

class Map : public ::testing::Test {
 protected:
  void SetUp() override { model = write_small(folder.path(), "small.onnx", 40).string(); }
  TemporaryFolder folder;
  std::string model;
};

void expect_valid(const Json& json) {
  Json schema = document(run({"schema", "map"}));
  for (const std::string& line : violations(schema, json)) ADD_FAILURE() << line;
}

TEST_F(Map, TextShowsBaselinesLayersAndFront) {
  Finished finished = run({"map", model, "--platform", "diana", "--pareto"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  for (const char* words : {"all on digital", "all on analog", "first and last on digital, rest on analog",
                            "least latency", "chosen", "front", "modelled"})
    EXPECT_NE(finished.out.find(words), std::string::npos) << words << "\n" << finished.out;
}

TEST_F(Map, EveryPlatformHasAValidDocument) {
  for (const char* platform : {"diana", "darkside", "gap8", "mpic", "ne16"}) {
    Finished finished = run({"map", model, "--platform", platform, "--json"});
    EXPECT_EQ(finished.exit, 0) << finished.err;
    Json json = document(finished);
    ASSERT_TRUE(json.is_object());
    expect_valid(json);
    EXPECT_EQ(json["platform"], platform);
    for (const Json& layer : json["layers"])
      EXPECT_EQ(layer["assignment"].size(), layer["channels"].get<std::size_t>());
  }
}

TEST_F(Map, ABaselineIsChosenByItsName) {
  const Finished finished =
      run({"map", model, "--platform", "diana", "--baseline", "all on analog", "--json"});
  ASSERT_EQ(finished.exit, 0) << finished.err;
  const Json json = document(finished);
  expect_valid(json);
  EXPECT_EQ(json["chosen"]["name"], "all on analog");
  EXPECT_EQ(json["chosen"]["latency_us"], json["baselines"][1]["latency_us"]);
  for (const Json& layer : json["layers"])
    for (const Json& option : layer["assignment"]) EXPECT_EQ(option, 1);
  const Finished wrong = run({"map", model, "--platform", "diana", "--baseline", "all on analogue"});
  EXPECT_EQ(wrong.exit, 2);
  EXPECT_NE(wrong.err.find("did you mean 'all on analog'"), std::string::npos) << wrong.err;
  EXPECT_EQ(
      run({"map", model, "--platform", "diana", "--baseline", "all on analog", "--budget", "0.5x"}).exit, 2);
}

TEST_F(Map, ABudgetMayCountFromTheCheapest) {
  const Json json = document(run({"map", model, "--platform", "diana", "--budget", "1.3x-least", "--json"}));
  const double least = json["baselines"].back()["latency_us"], chosen = json["chosen"]["latency_us"];
  EXPECT_NEAR(json["budget"].get<double>(), 1.3 * least, 1e-6 * least);
  EXPECT_GE(chosen, least);
  EXPECT_LE(chosen, 1.3 * least * (1 + 1e-9));
  EXPECT_LT(json["chosen"]["loss"], json["baselines"].back()["loss"]);
  EXPECT_EQ(run({"map", model, "--platform", "diana", "--budget", "x-least"}).exit, 2);
}

// A mapping comes back from its document as it went there.
TEST_F(Map, AMappingIsTakenFromADocument) {
  const std::string mapping = folder.path() / "map.json", other = folder.path() / "other.json";
  for (const char* platform : {"diana", "darkside", "ne16"}) {
    const Finished first = run({"map", model, "--platform", platform, "--budget", "1.2x-least", "--json"});
    ASSERT_EQ(first.exit, 0) << first.err;
    write_file(mapping, first.out);
    const Finished second = run({"map", model, "--platform", platform, "--mapping", mapping, "--json"});
    ASSERT_EQ(second.exit, 0) << second.err;
    const Json a = document(first), b = document(second);
    EXPECT_EQ(a["layers"], b["layers"]);
    for (const char* key : {"latency_us", "energy_uj", "channels"})
      EXPECT_EQ(a["chosen"][key], b["chosen"][key]);
    EXPECT_NEAR(a["chosen"]["loss"].get<double>(), b["chosen"]["loss"].get<double>(), 1e-9);
  }
  Json changed = parse_json(run({"map", model, "--platform", "diana", "--json"}).out, "map.json");
  auto refused = [&](const Json& json, const char* platform) {
    write_file(other, to_line(json));
    const Finished finished = run({"map", model, "--platform", platform, "--mapping", other});
    EXPECT_NE(finished.err.find("error[E2107]"), std::string::npos) << finished.err;
    return finished.exit;
  };
  EXPECT_EQ(refused(changed, "darkside"), 2);
  changed["layers"][0]["assignment"].push_back(0);
  EXPECT_EQ(refused(changed, "diana"), 2);
  changed["layers"].erase(0);
  EXPECT_EQ(refused(changed, "diana"), 2);
}

TEST_F(Map, IsCarriedOutInEightBits) {
  const std::string data = write_array(folder.path(), "x.npy", {24, 3, 32, 32}).string(),
                    split = (folder.path() / "split.onnx").string(),
                    whole = (folder.path() / "whole.onnx").string();
  for (const char* platform : {"diana", "darkside"}) {
    const Finished finished = run({"map", model, "--platform", platform, "--calib", data, "--split", split,
                                   "--quantised", whole, "--json"});
    ASSERT_EQ(finished.exit, 0) << finished.err;
    const Json json = document(finished);
    expect_valid(json);
    EXPECT_TRUE(json["split"]["identical"].get<bool>());
    EXPECT_GE(json["split"]["nodes"].get<int>(), 2 * json["split"]["layers"].get<int>());
    const Finished same =
        run({"verify", whole, split, "--calib", data, "--time", "0.1s", "--max-noise", "90%", "--json"});
    EXPECT_EQ(document(same)["samples"][0]["max_difference"], 0) << same.err;
  }
  const std::string page = (folder.path() / "map.html").string();
  const Finished text =
      run({"map", model, "--platform", "diana", "--calib", data, "--split", split, "--report", page});
  EXPECT_NE(text.out.find("the same bits as unsplit"), std::string::npos) << text.out;
  EXPECT_NE(map_file(page).view().find("the same bits as unsplit"), std::string_view::npos);
}

TEST_F(Map, IsWrittenInPieces) {
  const std::string data = write_array(folder.path(), "x.npy", {24, 3, 32, 32}).string();
  const std::filesystem::path pieces = folder.path() / "pieces/";
  const Finished finished =
      run({"map", model, "--platform", "diana", "--calib", data, "--pieces", pieces.string()});
  ASSERT_EQ(finished.exit, 0) << finished.err;
  EXPECT_NE(finished.out.find("in 8 bits, activations in 7"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("wrote     " + pieces.string()), std::string::npos) << finished.out;
  const Json list = parse_json(std::string(map_file(pieces / "pieces.json").view()), "pieces.json");
  for (const std::string& line : violations(document(run({"schema", "unit-pieces"})), list))
    ADD_FAILURE() << line;
  EXPECT_EQ(list["platform"], "diana");
  std::set<std::string> known;
  for (const Json& input : list["inputs"]) known.insert(input.get<std::string>());
  for (const Json& piece : list["pieces"]) {
    EXPECT_TRUE(std::filesystem::exists(pieces / piece["file"].get<std::string>()));
    for (const Json& input : piece["inputs"]) EXPECT_TRUE(known.contains(input.get<std::string>())) << input;
    for (const Json& output : piece["outputs"]) known.insert(output.get<std::string>());
  }
  for (const Json& output : list["outputs"]) EXPECT_TRUE(known.contains(output.get<std::string>()));
  // Another mapping has fewer pieces: those of the first are gone, files of others stay.
  write_file(pieces / "mine.onnx", "not a piece");
  ASSERT_EQ(run({"map", model, "--platform", "diana", "--calib", data, "--baseline", "all on digital",
                 "--pieces", pieces.string()})
                .exit,
            0);
  std::set<std::string> there, listed = {"mine.onnx", "pieces.json"};
  for (const auto& entry : std::filesystem::directory_iterator(pieces)) there.insert(entry.path().filename());
  const Json fewer = parse_json(std::string(map_file(pieces / "pieces.json").view()), "pieces.json");
  for (const Json& piece : fewer["pieces"]) listed.insert(piece["file"].get<std::string>());
  EXPECT_EQ(there, listed);
  EXPECT_LT(listed.size() - 2, list["pieces"].size());
  write_file(folder.path() / "file", "no folder");
  const Finished refused = run(
      {"map", model, "--platform", "diana", "--calib", data, "--pieces", (folder.path() / "file").string()});
  EXPECT_EQ(refused.exit, 8) << refused.err;
  EXPECT_NE(refused.err.find("it is a file"), std::string::npos) << refused.err;
}

TEST_F(Map, EightBitsNeedSamplesAndPlatformsOfEightBits) {
  const std::string split = (folder.path() / "split.onnx").string();
  const Finished none = run({"map", model, "--platform", "diana", "--split", split});
  EXPECT_EQ(none.exit, 2);
  EXPECT_NE(none.err.find("give --calib"), std::string::npos) << none.err;
  EXPECT_EQ(run({"map", model, "--platform", "diana", "--quantised", split}).exit, 2);
  const std::string data = write_array(folder.path(), "x.npy", {24, 3, 32, 32}).string(),
                    rounded = (folder.path() / "rounded.onnx").string();
  write_file(folder.path() / "floats.toml", R"(schema = "tailor/platform/1"
name = "floats"
title = "one unit that computes in floats"
frequency_mhz = 100
[[unit]]
name = "cpu"
weights = ["f32"]
scale = "layer"
[unit.cost]
model = "pe_array"
channels = 16
columns = 16
bytes_per_cycle = 8
)");
  const Finished floats = run({"map", model, "--platform", (folder.path() / "floats.toml").string(),
                               "--calib", data, "--split", split, "-o", rounded});
  EXPECT_EQ(floats.exit, 2) << floats.err;
  EXPECT_NE(floats.err.find("keeps weights as f32"), std::string::npos) << floats.err;
  EXPECT_FALSE(std::filesystem::exists(rounded)) << "all of it or nothing";
  EXPECT_FALSE(std::filesystem::exists(split));
}

TEST_F(Map, ABudgetThatCannotBeMetIsNoErrorOfUse) {
  Finished finished = run({"map", model, "--platform", "diana", "--budget", "1us", "--json"});
  EXPECT_EQ(finished.exit, 4) << finished.err;
  EXPECT_NE(finished.err.find("error[E4001]: the budget binds"), std::string::npos) << finished.err;
  Json json = document(finished);
  expect_valid(json);
  EXPECT_TRUE(json["chosen"].is_null());
  EXPECT_FALSE(json["why"].get<std::string>().empty());
}

TEST_F(Map, BudgetsComeInUnits) {
  Json json = document(
      run({"map", model, "--platform", "diana", "--objective", "energy", "--budget", "0.9x", "--json"}));
  ASSERT_TRUE(json.is_object());
  EXPECT_LE(json["chosen"]["energy_uj"].get<double>(),
            0.9 * json["baselines"][0]["energy_uj"].get<double>() + 1e-9);
  EXPECT_EQ(run({"map", model, "--platform", "diana", "--objective", "energy", "--budget", "1J"}).exit, 0);
  EXPECT_EQ(run({"map", model, "--platform", "diana", "--objective", "energy", "--budget", "5ms"}).exit, 2);
  EXPECT_EQ(run({"map", model, "--platform", "diana", "--budget", "5uJ"}).exit, 2);
}

TEST_F(Map, MistakesHaveCodes) {
  auto expect = [&](std::vector<std::string> arguments, int exit, const char* code) {
    arguments.insert(arguments.begin(), {"map", model});
    Finished finished = run(arguments);
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_NE(finished.err.find(code), std::string::npos) << finished.err;
  };
  expect({"--platform", "dianna"}, 2, "E2108");
  expect({"--platform", "eyeriss"}, 2, "tailor platform predict eyeriss MODEL.onnx");
  expect({"--platform", "/nowhere.toml"}, 2, "E2101");
  expect({"--platform", "diana", "--objective", "speed"}, 2, "E2001");
  expect({"--platform", "gap8", "--objective", "energy"}, 2, "E2000");
  expect({"--platform", "diana", "--max-drop", "1"}, 2, "E2000");
  expect({"--platform", "diana", "--recover", "bn"}, 2, "E2000");
  expect({"--platform", "diana", "--recover", "lsq"}, 2, "E2000");
  expect({"--platform", "diana", "--recover", "all"}, 2, "E2001");
  expect({"--platform", "diana", "--limit", "-1"}, 2, "E2002");
  write_file(folder.path() / "bad.toml", "schema = 3");
  expect({"--platform", (folder.path() / "bad.toml").string()}, 2, "E2104");
}

TEST_F(Map, OutputIsTheRoundedModel) {
  TAILOR_NEEDS_RUNTIME();
  std::string out = (folder.path() / "out.onnx").string(), data = write_cifar(folder.path(), 32).string();
  Finished finished =
      run({"map", model, "--platform", "diana", "--eval", data, "--budget", "0.6x", "-o", out, "--json"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  Json mapped = document(finished);
  expect_valid(mapped);
  Json verified =
      document(run({"verify", model, out, "--eval", data, "--rounds", "7", "--max-noise", "10", "--json"}));
  ASSERT_TRUE(verified.is_object());
  EXPECT_NEAR(verified["samples"][0]["top1"]["agreement"].get<double>() * 100,
              mapped["chosen"]["accuracy"]["agreement_percent"].get<double>(), 1e-9);
}

}  // namespace
}  // namespace tailor::testing
