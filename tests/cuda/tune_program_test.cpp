// tailor tune --backend cuda as its users start it, on the fake device.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/cuda/fake_runner.h"
#include "tests/tune/needs_fibers.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <set>

namespace tailor::testing {
namespace {

using Words = std::vector<std::string>;

struct CudaTune {
  Finished run(const Words& more, double kill_after_s = 0, double interrupt_after_s = 0) const {
    Words words = {"tune", model, "--db", db, "--backend", "cuda", "--shape", "x:1x3x32x32"};
    words.insert(words.end(), more.begin(), more.end());
    Start start;
    start.environment = {{"TAILOR_CUDA_LIBRARIES", cuda.folder().string()}, {"FAKE_CUDA", settings}};
    start.kill_after_s = kill_after_s, start.interrupt_after_s = interrupt_after_s;
    return testing::run(words, start);
  }
  std::vector<Json> records() const {
    std::vector<Json> list;
    std::ifstream file(db);
    for (std::string line; std::getline(file, line);) list.push_back(parse_json(line, db));
    return list;
  }

  FakeCuda cuda;
  TemporaryFolder folder;
  std::string settings = {};
  std::string model = write_small(folder.path(), "small.onnx", 16).string(),
              db = (folder.path() / "records.jsonl").string();
};

TEST(CudaTune, PrintsWhatItsSchemaSays) {
  NEEDS_FIBERS();
  const CudaTune tune;
  const Json json =
      document(tune.run({"--share", "6,100", "--trials", "4", "--samples", "2", "--time", "5m", "--json"}));
  for (const std::string& line : violations(document(run({"schema", "tune"})), json)) ADD_FAILURE() << line;
  EXPECT_EQ(json["retyped"], 3);
  ASSERT_EQ(json["tasks"].size(), 6u) << json;
  for (const Json& task : json["tasks"]) {
    EXPECT_NE(task["op"].get<std::string>().find("_f16"), std::string::npos);
    EXPECT_TRUE(task["threads"] == 8 || task["threads"] == 132) << task["threads"];
    EXPECT_NEAR(task["share"].get<double>(), task["threads"].get<double>() / 132, 1e-12);
    EXPECT_EQ(task["trials"], 4);
    EXPECT_EQ(task["own"]["tier"], "exclusive") << task;
    EXPECT_EQ(task["use"], "own");
  }
  // What reads records reads these.
  EXPECT_EQ(document(run({"tune", "show", tune.db, "--json"}))["groups"].size(), 6u);
  const std::string merged = (tune.folder.path() / "merged.jsonl").string();
  EXPECT_EQ(run({"tune", "merge", tune.db, tune.db, "-o", merged}).exit, 0);
  EXPECT_EQ(document(run({"tune", "show", merged, "--json"}))["groups"].size(), 6u);
  const Finished audit = run({"tune", "audit", tune.db, "--backend", "cuda"});
  EXPECT_EQ(audit.exit, 2) << audit.err;
  EXPECT_NE(audit.err.find("\n  help: "), std::string::npos) << audit.err;
  const Finished ask = run({"tune", "ask", tune.db, "--op", "gemm_m8_k8_n8_f32"});
  EXPECT_EQ(ask.exit, 2) << ask.err;
  EXPECT_NE(ask.err.find("CUDA: Fake GPU"), std::string::npos) << ask.err;
}

TEST(CudaTune, SaysWhatItDid) {
  NEEDS_FIBERS();
  const CudaTune tune;
  const std::string page = (tune.folder.path() / "page.html").string();
  const Finished f =
      tune.run({"--share", "12", "--jobs", "2", "--trials", "2", "--samples", "2", "--report", page});
  EXPECT_EQ(f.exit, 0) << f.err;
  EXPECT_NE(f.out.find("3 layers in f32 tuned as f16"), std::string::npos) << f.out;
  EXPECT_NE(f.out.find("12.1 %"), std::string::npos) << "16 of 132 multiprocessors: " << f.out;
  EXPECT_TRUE(std::filesystem::exists(page));
  std::set<std::string> places;
  for (const Json& record : tune.records()) places.insert(record["partition"]);
  EXPECT_EQ(places, (std::set<std::string>{"sm 16, share 0", "sm 16, share 1"}));
  const std::string op = tune.records().front()["key"]["op"];
  const Finished replay = run({"tune", "replay", tune.db, "--op", op, "--trials", "2", "--seeds", "2"});
  EXPECT_EQ(replay.exit, 0) << replay.err;
}

TEST(CudaTune, KilledItGoesOnAndTriesNothingTwice) {
  NEEDS_FIBERS();
  const CudaTune tune;
  tune.run({"--share", "6", "--jobs", "3", "--trials", "30", "--samples", "2"}, 6);
  const std::size_t before = tune.records().size();
  const Finished f = tune.run({"--share", "6", "--jobs", "3", "--trials", "3", "--samples", "2"});
  EXPECT_EQ(f.exit, 0) << f.err;
  EXPECT_GT(before, 0u) << "killed before the first record: a slower machine wants a later kill";
  EXPECT_GT(tune.records().size(), before);
  std::set<std::string> tried;
  for (const Json& record : tune.records())
    if (record["tier"] == "parallel") {
      EXPECT_TRUE(tried.insert(record["key"].dump() + record["configuration"].dump()).second) << record;
    }
}

TEST(CudaTune, CtrlCEndsItAndKeepsItsRecords) {
  NEEDS_FIBERS();
  const CudaTune tune;
  const Finished f = tune.run({"--share", "6", "--jobs", "3", "--samples", "2"}, 0, 6);
  EXPECT_EQ(f.exit, 130) << f.err;
  EXPECT_FALSE(tune.records().empty()) << "ended before the first record: a slower machine wants more time";
}

TEST(CudaTune, WithoutADriverItSaysWhatToDo) {
  const FakeCuda broken({.broken = {"libcuda.so.1"}});
  const CudaTune tune;
  const Finished f = run({"tune", tune.model, "--db", tune.db, "--backend", "cuda"},
                         {.environment = {{"TAILOR_CUDA_LIBRARIES", broken.folder().string()}}});
  EXPECT_EQ(f.exit, 6) << f.err;
  EXPECT_NE(f.err.find("E6001"), std::string::npos) << f.err;
  EXPECT_NE(f.err.find("libcuda.so.1"), std::string::npos) << f.err;
  EXPECT_NE(f.err.find("\n  help: "), std::string::npos) << f.err;
}

TEST(CudaTune, WhatMakesNoSenseIsSaid) {
  const CudaTune tune;
  for (const auto& [more, code] :
       std::vector<std::pair<Words, std::string>>{{{"--threads", "4"}, "E2000"},
                                                  {{"--onednn", "x.so"}, "E2000"},
                                                  {{"--opencl", "x.so"}, "E2000"},
                                                  {{"--jobs", "0"}, "E2002"},
                                                  {{"--jobs", "2", "--share", "100"}, "E2002"},
                                                  {{"--share", "0"}, "E2002"}}) {
    const Finished f = tune.run(more);
    EXPECT_EQ(f.exit, 2) << more.front() << f.err;
    EXPECT_NE(f.err.find(code), std::string::npos) << more.front() << f.err;
  }
  EXPECT_NE(run({"tune", tune.model, "--db", tune.db, "--backend", "cuda:x"}).err.find("E2001"),
            std::string::npos);
  EXPECT_TRUE(tune.records().empty());
}

}  // namespace
}  // namespace tailor::testing
