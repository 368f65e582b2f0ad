// tailor tune --backend and tailor-runner-opencl as their users start them, with an OpenCL that is not there.
#include "tests/app/program.h"

#include "tailor/tune/records.h"
#include "tests/app/models.h"
#include "tests/app/schema_check.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>

namespace tailor::testing {
namespace {

// x 4x24 -> Gemm(32) -> Relu -> Gemm(10) -> y
std::filesystem::path write_products(const std::filesystem::path& folder) {
  graph::Model model;
  model.opsets = {{"", 13}};
  graph::Graph& g = model.graph;
  g.name = "products";
  g.nodes = {{"Gemm", "", "first", {"x", "w1", "b1"}, {"a"}},
             {"Relu", "", "relu", {"a"}, {"b"}},
             {"Gemm", "", "last", {"b", "w2"}, {"y"}}};
  g.initializers = {{"w1", random_weights({24, 32}, 1)},
                    {"b1", random_weights({32}, 2)},
                    {"w2", random_weights({32, 10}, 3)}};
  g.inputs = {{"x", graph::DataType::f32, graph::Shape{4, 24}}};
  g.outputs = {{"y", graph::DataType::f32, graph::Shape{4, 10}}};
  onnx::write(model, folder / "products.onnx");
  return folder / "products.onnx";
}

void expect_valid(const char* schema, const Json& json) {
  for (const std::string& line : violations(document(run({"schema", schema})), json)) ADD_FAILURE() << line;
}

class TuneOpenCl : public ::testing::Test {
 protected:
  std::vector<std::string> words(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"tune",      model, "--db",        db, "--trials", "1",
                                    "--samples", "1",   "--no-library"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  TemporaryFolder folder;
  const std::string model = write_products(folder.path()).string(), db = folder.fresh(".jsonl").string();
};

TEST_F(TuneOpenCl, AModelIsTunedOnSharesOfTheDevice) {
  const auto how =
      words({"--backend", "opencl", "--opencl", TAILOR_FAKE_OPENCL, "--share", "25,100", "--json"});
  Json json = document(run(how));
  expect_valid("tune", json);
  std::set<int> units;
  for (const Json& task : json["tasks"]) {
    units.insert(task["threads"].get<int>());
    EXPECT_EQ(task["use"], "own");
    EXPECT_EQ(task["own"]["tier"], "exclusive");
  }
  EXPECT_EQ(units, (std::set<int>{1, 4}));
  const tune::RecordFile file(db);
  for (const tune::Record& record : file.records()) expect_valid("trial", tune::to_json(record));
  Json audit = document(run({"tune", "audit", db, "--json"}));
  expect_valid("tune-audit", audit);
  for (const Json& group : audit["groups"])
    EXPECT_NE(group["skipped"].get<std::string>().find("recorded on OpenCL"), std::string::npos);
}

TEST_F(TuneOpenCl, ChoicesAreTimedAgainOnThePartOfTheDeviceThatTheyAreFor) {
  const std::vector<std::string> fake = {"--backend", "opencl", "--opencl", TAILOR_FAKE_OPENCL};
  std::vector<std::string> more = fake;
  more.insert(more.end(), {"--share", "25,100"});
  EXPECT_EQ(run(words(more)).exit, 0);
  std::vector<std::string> how = {"tune", "audit", db, "--max-regret", "10000%", "--json"};
  how.insert(how.end(), fake.begin(), fake.end());
  Json audit = document(run(how));
  expect_valid("tune-audit", audit);
  EXPECT_EQ(audit["holds"], true);
  EXPECT_EQ(audit["groups"].size(), 4u);
  for (const Json& group : audit["groups"]) {
    EXPECT_EQ(group["skipped"], nullptr) << group.dump();
    for (const Json& entry : group["entries"]) EXPECT_GT(entry["now_us"].get<double>(), 0);
  }
  how.insert(how.end(), {"--threads", "2"});
  EXPECT_NE(run(how).err.find("E2000"), std::string::npos);
}

TEST_F(TuneOpenCl, BothBackendsKeepTheirRecordsInOneFile) {
  EXPECT_EQ(run(words({"--backend", "opencl", "--opencl", TAILOR_FAKE_OPENCL})).exit, 0);
  EXPECT_EQ(run(words({"--threads", "1"})).exit, 0);
  std::set<std::string> devices;
  const tune::RecordFile file(db);
  for (const tune::Record& record : file.records()) devices.insert(record.key.device);
  EXPECT_EQ(devices.size(), 2u);
  Json again = document(run(words({"--threads", "1", "--json"})));
  for (const Json& task : again["tasks"]) EXPECT_EQ(task["trials_before"], 1) << "of its own backend only";
}

TEST_F(TuneOpenCl, WhatMakesNoSenseIsSaid) {
  const std::string fake = TAILOR_FAKE_OPENCL;
  for (const auto& [more, code] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--backend", "vulkan"}, "E2001"},
           {{"--backend", "cuda:x"}, "E2001"},
           {{"--backend", "opencl:x", "--opencl", fake}, "E2001"},
           {{"--backend", "opencl:-1", "--opencl", fake}, "E2001"},
           {{"--backend", "opencl:7", "--opencl", fake}, "E2001"},
           {{"--opencl", fake}, "E2000"},
           {{"--backend", "opencl", "--opencl", fake, "--threads", "4"}, "E2000"},
           {{"--backend", "opencl", "--opencl", fake, "--share", "30"}, "E2002"},
           {{"--backend", "opencl", "--opencl", fake, "--share", "100", "--jobs", "2"}, "E2002"},
           {{"--backend", "opencl", "--opencl", "/nowhere/libOpenCL.so.1"}, "E6001"}}) {
    const Finished f = run(words(more));
    EXPECT_NE(f.exit, 0);
    EXPECT_NE(f.err.find(code), std::string::npos) << code << ": " << f.err;
  }
}

TEST_F(TuneOpenCl, DoctorSaysWhatIsThere) {
  const Json json = document(run({"doctor", "--noise-test", "0s", "--json"}));
  bool told = false;
  for (const Json& finding : json["findings"])
    if (finding["what"] == "opencl") {
      told = true;
      EXPECT_TRUE(finding["state"] == "ok" || !finding["fix"].get<std::string>().empty());
    }
  EXPECT_TRUE(told);
}

}  // namespace
}  // namespace tailor::testing
