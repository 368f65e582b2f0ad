// tailor place as its users start it.
#include "tailor/base/file.h"
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/running.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

class Place : public ::testing::Test {
 protected:
  // A row of operators, each 10 on a CPU and 1 on an accelerator.
  Json row(int operators) const {
    Json json = {{"maxFPGAs", 2},
                 {"maxCPUs", 1},
                 {"maxSizePerFPGA", 1e9},
                 {"nodes", Json::array()},
                 {"edges", Json::array()}};
    for (int v = 0; v < operators; ++v) {
      json["nodes"].push_back({{"id", v},
                               {"cpuLatency", 10},
                               {"fpgaLatency", 1},
                               {"size", 5},
                               {"supportedOnFpga", 1},
                               {"isBackwardNode", 0}});
      if (v > 0) json["edges"].push_back({{"sourceId", v - 1}, {"destId", v}, {"cost", 0.25}});
    }
    return json;
  }
  std::string file(const Json& json) {
    std::filesystem::path path = folder.fresh(".json");
    write_file(path, json.dump());
    return path.string();
  }
  TemporaryFolder folder;
};

void expect_valid(const Json& json) {
  Json schema = document(run({"schema", "place"}));
  for (const std::string& line : violations(schema, json)) ADD_FAILURE() << line;
}

TEST_F(Place, ThroughputOfARow) {
  std::string workload = file(row(8));
  Finished text = run({"place", workload});
  EXPECT_EQ(text.exit, 0) << text.err;
  for (const char* words : {"all on one device", "contiguous", "optimal", "accelerator 2", "CPU 1"})
    EXPECT_NE(text.out.find(words), std::string::npos) << text.out;
  Json json = document(run({"place", workload, "--json"}));
  expect_valid(json);
  EXPECT_EQ(json["contiguous"]["largest"], 4.25);
  EXPECT_EQ(json["optimal"], true);
  std::size_t nodes = 0;
  for (const Json& device : json["any"]["accelerators"]) nodes += device["nodes"].size();
  EXPECT_EQ(nodes + json["any"]["cpus"][0]["nodes"].size(), 8u);
}

TEST_F(Place, LatencyOfARow) {
  std::string workload = file(row(8));
  Json json = document(run({"place", workload, "--objective", "latency", "--json"}));
  expect_valid(json);
  EXPECT_EQ(json["any"]["largest"], 8) << "all on one accelerator: nothing is transferred";
  EXPECT_EQ(run({"place", workload, "--objective", "latency"}).exit, 0);
}

TEST_F(Place, DevicesCanBeChanged) {
  std::string workload = file(row(9));
  Json json = document(run({"place", workload, "--accelerators", "3", "--cpus", "0", "--json"}));
  EXPECT_EQ(json["contiguous"]["accelerators"].size(), 3u);
  EXPECT_EQ(json["contiguous"]["largest"], 3.5);
  EXPECT_EQ(run({"place", workload, "--cpus", "0", "--memory", "10"}).exit, 4);
}

TEST_F(Place, MistakesHaveCodes) {
  auto expect = [](const std::vector<std::string>& arguments, int exit, const char* code) {
    Finished finished = run(arguments);
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_NE(finished.err.find(code), std::string::npos) << finished.err;
    EXPECT_EQ(finished.out, "");
  };
  Json cycle = row(2);
  cycle["edges"].push_back({{"sourceId", 1}, {"destId", 0}, {"cost", 1}});
  expect({"place", file(cycle)}, 3, "E3204");
  expect({"place", file(Json(3))}, 2, "E2103");
  expect({"place", "/nowhere.json"}, 2, "E2101");
  expect({"place", file(row(2)), "--objective", "energy"}, 2, "E2001");
  expect({"place", file(row(2)), "--steps", "-1"}, 2, "E2002");
}

TEST_F(Place, LaysAModelOverCores) {
  TAILOR_NEEDS_RUNNER();
  const auto model = folder.fresh(".onnx"), stages = folder.fresh("");
  onnx::write(small_model(64), model);
  const Json json = document(run({"place", model.string(), "-o", stages.string(), "--json", "--quiet"}));
  for (const std::string& line : violations(document(run({"schema", "stages"})), json)) ADD_FAILURE() << line;
  ASSERT_EQ(json["stages"].size(), 2u);
  EXPECT_EQ(json["stages"][0]["inputs"], Json::array({"x"}));
  EXPECT_EQ(json["stages"][1]["outputs"], Json::array({"y"}));
  EXPECT_EQ(json["stages"][0]["outputs"], json["stages"][1]["inputs"]);
  for (const Json& stage : json["stages"]) EXPECT_NO_THROW(onnx::read(stage["file"].get<std::string>()));
  const Finished text = run({"place", model.string()});
  EXPECT_EQ(text.exit, 0) << text.err;
  for (const char* words : {"over 2 cores", "one core", "pipeline", "outputs   the same"})
    EXPECT_NE(text.out.find(words), std::string::npos) << text.out;
}

TEST_F(Place, MistakesAboutModelsHaveCodes) {
  const auto model = folder.fresh(".onnx"), taken = folder.fresh("");
  onnx::write(small_model(8), model);
  write_file(taken, "a file");
  const auto expect = [](const std::vector<std::string>& arguments, int exit, const char* code) {
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_NE(finished.err.find(code), std::string::npos) << finished.err;
    EXPECT_EQ(finished.out, "");
  };
  expect({"place", model.string(), "--stages", "1"}, 2, "E2002");
  expect({"place", model.string(), "--cpus", "2"}, 2, "E2000");
  expect({"place", model.string(), "--objective", "latency"}, 2, "E2000");
  expect({"place", "/nowhere.onnx"}, 2, "E2101");
  expect({"place", file(row(2)), "-o", "folder"}, 2, "E2000");
  expect({"place", file(row(2)), "--stages", "3"}, 2, "E2000");
  TAILOR_NEEDS_RUNNER();
  expect({"place", model.string(), "--stages", "60"}, 2, "E2002");
  expect({"place", model.string(), "-o", taken.string()}, 8, "E8002");
}

}  // namespace
}  // namespace tailor::testing
