// tailor devices fit: on times that the model itself made, on damaged files, and on every GPU in bench/results.
#include "tailor/device/facts.h"
#include "tailor/latency/wave_model.h"
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fstream>

namespace tailor::testing {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLayer = "conv_mb8_g1_ic{}ih14iw14_oc64oh14ow14_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu";

Json staircase(const device::Device& device, int ic) {
  const latency::Workload layer = latency::parse_workload(fmt::format(fmt::runtime(kLayer), ic));
  Json line = {{"name", "conv"},      {"layer", latency::to_string(layer)},
               {"width", 64},         {"widths", Json::array()},
               {"us", Json::array()}, {"kernels", Json::array()}};
  for (std::int64_t oc = 64; oc <= 640; oc += 64) {
    latency::Workload step = layer;
    step.oc = oc;
    const latency::ModelledLayer modelled = latency::model_layer(device, step, "f16");
    line["widths"].push_back(oc);
    line["us"].push_back(modelled.us);
    const Json ran =
        Json::array({"kernel " + to_string(modelled.kernel), Json::array({modelled.waves.blocks, 1, 1}),
                     Json::array({128, 1, 1}), 64, 0, 1.5});
    line["kernels"].push_back(Json::array({ran}));
  }
  return line;
}

struct DevicesFit : ::testing::Test {
  DevicesFit() {
    device::Device h200 = device::find_device("h200");
    h200.work["f16"] = 1.7;
    write("device.json", device::to_json(device::facts_of(h200)).dump());
    write("run.json", R"({"version": "CUDA 13, cuDNN 9"})");
    for (int ic : {64, 128, 256, 320, 512}) lines += staircase(h200, ic).dump() + "\n";
    write("staircases.jsonl", lines);
  }
  void write(const char* name, const std::string& text) {
    std::ofstream(folder.path() / name, std::ios::trunc) << text;
  }
  Finished fit(std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"devices", "fit", folder.path().string(), "--like", "h200"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  // With the first line of the file changed.
  void expect_refused(const std::function<void(Json&)>& change, const std::string& word) {
    Json line = parse_json(lines.substr(0, lines.find('\n')), "line");
    change(line);
    write("staircases.jsonl", line.dump() + "\n" + lines);
    const Finished finished = fit();
    EXPECT_EQ(finished.exit, 2) << word;
    EXPECT_NE(finished.err.find("staircases.jsonl line 1"), std::string::npos) << finished.err;
    EXPECT_NE(finished.err.find(word), std::string::npos) << finished.err;
  }
  TemporaryFolder folder;
  std::string lines;
};

TEST_F(DevicesFit, DocumentTableAndDescription) {
  const std::string toml = (folder.path() / "fitted.toml").string();
  const Json json = document(fit({"-o", toml, "--name", "mine", "--json"}));
  for (const std::string& line : violations(document(run({"schema", "device-fit"})), json))
    ADD_FAILURE() << line;
  EXPECT_EQ(json["layers"], 50);
  ASSERT_EQ(json["precisions"].size(), 1u);
  EXPECT_NEAR(json["precisions"][0]["work"].get<double>(), 1.7, 0.1);
  const device::Device fitted = device::find_device(toml);
  EXPECT_EQ(fitted.name, "mine");
  EXPECT_EQ(fitted.work.at("f16"), json["precisions"][0]["work"].get<double>());
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  const Json analysis = document(run({"analyze", model, "-d", toml, "--precision", "f16", "--json"}));
  EXPECT_NEAR(analysis["median_error"].get<double>(), json["precisions"][0]["error"]["median"].get<double>(),
              0.0005);
  const Finished table = fit();
  ASSERT_EQ(table.exit, 0) << table.err;
  for (const char* word : {"50 layers in 5 staircases", "precision", "f16", "names the faster"})
    EXPECT_NE(table.out.find(word), std::string::npos) << word << "\n" << table.out;
}

TEST_F(DevicesFit, ANameCannotWriteToTheTerminalOrTheDescription) {
  Json facts = device::to_json(device::facts_of(device::find_device("h200")));
  facts["name"] = "GPU\x1b[31m\nwork = 0";
  write("device.json", facts.dump());
  const std::string toml = (folder.path() / "fitted.toml").string();
  const Finished finished = fit({"-o", toml});
  ASSERT_EQ(finished.exit, 0) << finished.err;
  EXPECT_EQ(finished.out.find('\x1b'), std::string::npos) << finished.out;
  EXPECT_EQ(device::find_device(toml).name, "h200");
}

TEST_F(DevicesFit, AnotherGpuIsRefused) {
  const Finished other = run({"devices", "fit", folder.path().string(), "--like", "a100"});
  EXPECT_EQ(other.exit, 2);
  EXPECT_NE(other.err.find("132 multiprocessors"), std::string::npos) << other.err;
  EXPECT_NE(other.err.find("tailor devices new"), std::string::npos) << other.err;
}

TEST_F(DevicesFit, DamagedFilesAreRefused) {
  expect_refused([](Json& line) { line.erase("us"); }, "us");
  expect_refused([](Json& line) { line["us"].erase(0); }, "list of 10");
  expect_refused([](Json& line) { line["us"][3] = -1; }, "above 0");
  expect_refused([](Json& line) { line["us"][3] = "fast"; }, "above 0");
  expect_refused([](Json& line) { line["widths"][1] = 64; }, "ascend");
  expect_refused([](Json& line) { line["widths"][1] = 1e30; }, "ascend");
  expect_refused([](Json& line) { line["layer"] = "pool"; }, "not a workload");
  expect_refused([](Json& line) { line["kernels"][0] = 3; }, "kernels");
  expect_refused([](Json& line) { line["kernels"][0][0] = Json::array({"name"}); }, "grid");
  expect_refused([](Json& line) { line["kernels"][0][0][1] = {1 << 30, 1 << 30, 1 << 30}; }, "grid");
  expect_refused([](Json& line) { line["kernels"][0][0][1] = {0, 1, 1}; }, "grid");
  expect_refused([](Json& line) { line = Json::array(); }, "object");
  write("staircases.jsonl", "{\n");
  EXPECT_NE(fit().err.find("line 1"), std::string::npos);
  write("staircases.jsonl", "");
  EXPECT_NE(fit().err.find("too few"), std::string::npos) << fit().err;
  fs::remove(folder.path() / "device.json");
  EXPECT_EQ(fit().exit, 2);
}

// What was measured on GPUs stays true of the model as it is now: the bar is that of the project for known kernels.
TEST(GpuResults, KernelsThatWereMeasuredAreExplained) {
  const fs::path results = fs::path(TAILOR_SOURCE_DIR) / "bench" / "results";
  std::size_t gpus = 0;
  for (const auto& entry : fs::exists(results) ? fs::directory_iterator(results) : fs::directory_iterator()) {
    if (!fs::exists(entry.path() / "staircases.jsonl")) continue;
    ++gpus;
    const Json facts = read_json(entry.path() / "device.json");
    for (const device::Device& device : device::known_devices()) {
      if (device.sm.count != facts["multiprocessors"]) continue;
      const Json json =
          document(run({"devices", "fit", entry.path().string(), "--like", device.name, "--json"}));
      for (const Json& kernel : json["kernels"])
        EXPECT_LT(kernel["waves"]["median"].get<double>(), 0.05) << entry.path() << kernel;
      break;
    }
  }
  if (gpus == 0) GTEST_SKIP() << "no GPU has been measured: bench/results holds none";
}

}  // namespace
}  // namespace tailor::testing
