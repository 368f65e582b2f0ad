// tailor tune show, merge, replay as their users start them.
#include "tailor/base/file.h"
#include "tailor/tune/records.h"
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

class Tune : public ::testing::Test {
 protected:
  static tune::Record record(int tile, int unroll, const std::string& op = "gemm_m8_k8_n8_f32") {
    tune::Record r;
    r.key = {op, "f32", "row-major", "a processor", 0.5, "g++ 12", "abc"};
    r.configuration = {{"tile", std::int64_t{tile}}, {"unroll", std::int64_t{unroll}}};
    r.us = {100.0 + 3 * (tile - 5) * (tile - 5) + 7 * (unroll - 2) * (unroll - 2)};
    return r;
  }
  // tile 1..9, unroll 1..4
  std::string table(const std::string& op = "gemm_m8_k8_n8_f32") {
    const auto path = folder.fresh(".jsonl");
    tune::RecordFile file(path);
    for (int tile = 1; tile <= 9; ++tile)
      for (int unroll = 1; unroll <= 4; ++unroll) file.append(record(tile, unroll, op));
    return path.string();
  }
  TemporaryFolder folder;
};

void expect_valid(const std::string& name, const Json& json) {
  Json schema = document(run({"schema", name}));
  for (const std::string& line : violations(schema, json)) ADD_FAILURE() << line;
}

TEST_F(Tune, AFileWithoutRecordsIsAnError) {
  const std::string none = (folder.path() / "none.jsonl").string();
  write_file(none, "{\"x\":\n");
  for (const char* verb : {"show", "audit", "replay"}) {
    const Finished f = run({"tune", verb, none});
    EXPECT_EQ(f.exit, 2) << f.err;
    EXPECT_NE(f.err.find("holds no record"), std::string::npos) << f.err;
    EXPECT_NE(f.err.find("help:"), std::string::npos) << f.err;
  }
}

TEST_F(Tune, RecordsOfWhichNothingCanBeTimedDoNotHold) {
  const Finished f = run({"tune", "audit", table(), "--json"});
  EXPECT_EQ(f.exit, 4) << f.err;
  EXPECT_EQ(document(f)["holds"], false) << "all were skipped: another processor";
}

TEST_F(Tune, ShowNamesTheBest) {
  const std::string file = table();
  Finished text = run({"tune", "show", file});
  EXPECT_EQ(text.exit, 0) << text.err;
  EXPECT_NE(text.out.find("tile=5 unroll=2"), std::string::npos) << text.out;
  Json json = document(run({"tune", "show", file, "--top", "3", "--json"}));
  expect_valid("tune-show", json);
  EXPECT_EQ(json["groups"][0]["trials"], 36);
  EXPECT_EQ(json["groups"][0]["best"].size(), 3u);
  EXPECT_EQ(json["groups"][0]["best"][0]["us"], 100);
  expect_valid("trial", tune::to_json(record(1, 1)));
}

TEST_F(Tune, MergeLeavesDoublesOutAndWritesT4) {
  const std::string a = table(), b = table("conv"), out = folder.fresh(".jsonl").string(),
                    t4 = folder.fresh(".json").string();
  Json json = document(run({"tune", "merge", a, b, a, "-o", out, "--json"}));
  expect_valid("tune-merge", json);
  EXPECT_EQ(json["read"], 108);
  EXPECT_EQ(json["written"], 72);
  EXPECT_EQ(tune::RecordFile(out).records().size(), 72u);
  EXPECT_EQ(run({"tune", "merge", out, "-o", t4, "--t4"}).exit, 0);
  EXPECT_EQ(read_json(t4)["results"].size(), 72u);
}

TEST_F(Tune, ReplayComparesSearchers) {
  const std::string file = table();
  Json json = document(run({"tune", "replay", file, "--trials", "20", "--seeds", "5", "--json"}));
  expect_valid("tune-replay", json);
  EXPECT_EQ(json["configurations"], 36);
  EXPECT_EQ(json["best"], "tile=5 unroll=2");
  ASSERT_EQ(json["searchers"].size(), 3u);
  for (const Json& searcher : json["searchers"]) EXPECT_GE(searcher["medians"].back()["ratio"], 1);
  Finished with = run({"tune", "replay", file, "--trials", "3", "--prior", table(), "--searcher", "model"});
  EXPECT_EQ(with.exit, 0) << with.err;
  EXPECT_NE(with.out.find("1.000x"), std::string::npos) << with.out;
}

TEST_F(Tune, AModelsOperatorsAreTunedAndTheRunGoesOn) {
  const std::string model = write_small(folder.path(), "small.onnx", 6).string(),
                    db = folder.fresh(".jsonl").string();
  const std::vector<std::string> words = {"tune",      model,     "--db",         db,         "--threads",
                                          "2",         "--share", "50,100",       "--trials", "2",
                                          "--samples", "2",       "--no-library", "--json"};
  Json json = document(run(words));
  expect_valid("tune", json);
  ASSERT_EQ(json["tasks"].size(), 6u) << "three layers at two shares";
  for (const Json& task : json["tasks"]) {
    EXPECT_GE(task["trials"], 2);
    EXPECT_EQ(task["use"], "own");
    EXPECT_EQ(task["own"]["tier"], "exclusive");
  }
  Json again = document(run(words));
  for (const Json& task : again["tasks"]) EXPECT_GE(task["trials_before"], 2);
  Json audit = document(run({"tune", "audit", db, "--threads", "2", "--max-regret", "10000%", "--json"}));
  expect_valid("tune-audit", audit);
  EXPECT_EQ(audit["groups"].size(), 6u);
  EXPECT_EQ(audit["holds"], true);
}

TEST_F(Tune, TheLibraryStandsBeside) {
  TAILOR_NEEDS_RUNTIME();
  const std::string model = write_small(folder.path(), "small.onnx", 6).string(),
                    db = folder.fresh(".jsonl").string();
  Json json = document(
      run({"tune", model, "--db", db, "--threads", "1", "--trials", "1", "--samples", "1", "--json"}));
  expect_valid("tune", json);
  for (const Json& task : json["tasks"]) {
    ASSERT_TRUE(task["library"].is_object());
    EXPECT_EQ(task["use"], task["library"]["us"] < task["own"]["us"] ? "library" : "own");
  }
}

TEST_F(Tune, CtrlCKeepsTheRecords) {
  const std::string model = write_small(folder.path(), "small.onnx", 6).string(),
                    db = folder.fresh(".jsonl").string();
  Finished finished =
      run({"tune", model, "--db", db, "--time", "60s", "--gain", "0"}, {.interrupt_after_s = 6});
  EXPECT_EQ(finished.exit, 130) << finished.err;
  EXPECT_EQ(finished.err.find("LEFT BEHIND"), std::string::npos) << finished.err;
  EXPECT_EQ(tune::RecordFile(db).damaged(), 0);
}

TEST_F(Tune, MistakesHaveCodes) {
  auto expect = [](const std::vector<std::string>& arguments, int exit, const char* code) {
    Finished finished = run(arguments);
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_NE(finished.err.find(code), std::string::npos) << finished.err;
    EXPECT_EQ(finished.out, "");
  };
  const std::string good = table(), bad = folder.fresh(".jsonl").string(),
                    cache = folder.fresh(".json").string();
  const std::string two = folder.fresh(".jsonl").string();
  write_file(bad, "{\"schema\":\"tailor/trial/1\"}\n");
  write_file(cache, "{\"cache\":{}}");
  run({"tune", "merge", good, table("conv"), "-o", two});
  expect({"tune", "show", "/nowhere.jsonl"}, 2, "E2101");
  expect({"tune", "show", bad}, 2, "E2103");
  expect({"tune", "show", good, "--top", "0"}, 2, "E2002");
  expect({"tune", "replay", cache}, 2, "E2103");
  expect({"tune", "replay", good, "--searcher", "gradient"}, 2, "E2001");
  expect({"tune", "replay", good, "--trials", "0"}, 2, "E2002");
  expect({"tune", "replay", two}, 2, "E2000");
  expect({"tune", "replay", two, "--op", "softmax"}, 2, "E2001");
  const std::string model = write_small(folder.path(), "small.onnx", 6).string();
  expect({"tune"}, 2, "E2000");
  expect({"tune", model}, 2, "E2000");
  expect({"tune", "/nowhere.onnx", "--db", good}, 2, "E2101");
  expect({"tune", model, "--db", good, "--threads", "2", "--share", "30"}, 2, "E2002");
  expect({"tune", model, "--db", good, "--threads", "2", "--share", "120"}, 2, "E2002");
  expect({"tune", model, "--db", good, "--jobs", "5000"}, 2, "E2002");
  expect({"tune", model, "--db", good, "--searcher", "gradient"}, 2, "E2001");
  expect({"tune", model, "--db", bad}, 2, "E2103");
  expect({"tune", "merge", good, "-o", "/nowhere/out.jsonl"}, 8, "E8002");
}

}  // namespace
}  // namespace tailor::testing
