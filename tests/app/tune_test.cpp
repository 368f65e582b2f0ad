// tailor tune show, merge, replay as their users start them.
#include "tailor/base/file.h"
#include "tailor/tune/kernel_source.h"
#include "tailor/tune/partition.h"
#include "tailor/tune/record_lock.h"
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

TEST_F(Tune, ShowSaysWhenToUseTheLibrary) {
  const std::string path = folder.fresh(".jsonl").string();
  tune::RecordFile file(path);
  file.append(record(5, 2));
  tune::Record library = record(5, 2);
  library.configuration = {{"library", std::string("onednn 2.6.3")}}, library.us = {80};
  Json before = document(run({"tune", "show", path, "--json"}));
  EXPECT_EQ(before["groups"][0]["use"], "own");
  EXPECT_TRUE(before["groups"][0]["own_over_library"].is_null());
  file.append(library);
  Json json = document(run({"tune", "show", path, "--json"}));
  expect_valid("tune-show", json);
  EXPECT_EQ(json["groups"][0]["use"], "library");
  EXPECT_EQ(json["groups"][0]["own_over_library"], 1.25);
  EXPECT_NE(run({"tune", "show", path}).out.find("library 1.25x"), std::string::npos);
}

// Three widths of a product on this processor's vectors, twice the width in twice the time.
TEST_F(Tune, AskAnswersOrSaysWhyNot) {
  const std::string path = folder.fresh(".jsonl").string();
  tune::RecordFile file(path);
  const tune::VectorUnit unit = tune::vector_unit();
  for (std::int64_t n : {96, 192, 384}) {
    const std::string op = "gemm_m64_k128_n" + std::to_string(n) + "_f32+bias";
    const tune::Space space = tune::kernel_space(latency::parse_workload(op), unit);
    for (std::uint64_t i = 0; i < space.count(); i += 13) {
      const auto list = tune::named(space, space.at(i));
      // Whole blocks of tiles that divide all widths: work is the same share of each.
      if (list[0].second != tune::Value(std::int64_t{4}) || list[1].second != tune::Value(std::int64_t{1}))
        continue;
      tune::Record r = record(1, 1, op);
      r.key.device = "a processor, " + unit.name, r.key.share = 1;
      r.configuration = list, r.us = {static_cast<double>(n)};
      file.append(r);
    }
  }
  Json json = document(run({"tune", "ask", path, "--op", "gemm_m64_k128_n192_f32+bias", "--op",
                            "gemm_m64_k128_n288_f32+bias", "--op", "gemm_m64_k128_n4096_f32+bias", "--op",
                            "gemm_m64_k128_n96_f32", "--threads", "1", "--json"}));
  expect_valid("tune-ask", json);
  ASSERT_EQ(json["answers"].size(), 4u);
  EXPECT_EQ(json["answers"][0]["ground"], "measured");
  EXPECT_EQ(json["answers"][0]["us"], 192);
  EXPECT_EQ(json["answers"][1]["ground"], "interpolated") << json["answers"][1]["reason"];
  EXPECT_NEAR(json["answers"][1]["us"].get<double>(), 288, 1e-6);
  EXPECT_EQ(json["answers"][1]["left_out"]["shapes"], 3);
  EXPECT_EQ(json["answers"][2]["ground"], "nearest");
  EXPECT_TRUE(json["answers"][2]["us"].is_null());
  EXPECT_EQ(json["answers"][3]["ground"], "rule");
  const Finished text = run({"tune", "ask", path, "--op", "gemm_m64_k128_n4096_f32+bias"});
  EXPECT_EQ(text.exit, 0) << text.err;
  EXPECT_NE(text.out.find("is beyond 2 times the measured ones (96 to 384)"), std::string::npos) << text.out;
}

// A document of tune with one operator of two layers: `us` of one at 25, 50 and 100 % of four threads.
std::string tuned(const TemporaryFolder& folder, const std::string& name, const std::vector<double>& us) {
  Json json = {
      {"schema", "tailor/tune/1"}, {"model", name}, {"tasks", Json::array()}, {"left_out", Json::array()}};
  const std::vector<double> shares = {0.25, 0.5, 1};
  for (std::size_t i = 0; i < us.size(); ++i)
    json["tasks"].push_back({{"op", "gemm"},
                             {"layers", 2},
                             {"share", shares[i]},
                             {"threads", static_cast<int>(4 * shares[i])},
                             {"own", {{"us", us[i]}}},
                             {"library", i == 0 ? Json({{"us", 0.9 * us[i]}}) : Json(nullptr)}});
  const std::filesystem::path path = folder.path() / (name + ".json");
  write_file(path, json.dump());
  return path.string();
}

TEST_F(Tune, CorunDividesTheDevice) {
  const std::string a = tuned(folder, "a", {400, 210, 110}), b = tuned(folder, "b", {100, 60, 50});
  Json json = document(run({"tune", "corun", a, b, "--json"}));
  expect_valid("tune-corun", json);
  EXPECT_EQ(json["plans"][0]["value_us"], 420) << "a on half of it; b on a quarter is fast enough";
  EXPECT_EQ(json["plans"][0]["used"], 0.75);
  EXPECT_EQ(json["plans"][0]["shares"][1]["us"], 180) << "the library's 90 us, twice";
  EXPECT_EQ(json["in_turn_us"], 320);
  EXPECT_EQ(json["equal_us"], 420);
  json = document(
      run({"tune", "corun", a, b, "--goal", "latency", "--weights", "1,10", "--stretch", "1.5x", "--json"}));
  EXPECT_EQ(json["plans"][0]["value_us"], 1.5 * 420 + 10 * 1.5 * 120);
  const std::string slow = folder.fresh(".json").string();
  const Json half = {{"ratio", 1.5}}, none = {{"ratio", 1.0}};
  write_file(
      slow,
      Json({{"schema", "tailor/tune-interference/1"},
            {"kernels", Json::array({{{"name", "gemm"}}, {{"name", "spin"}}})},
            {"cells",
             Json::array(
                 {{{"first", 0}, {"second", 0}, {"first_slowdown", half}, {"second_slowdown", none}}})}})
          .dump());
  json = document(run({"tune", "corun", a, b, "--interference", slow, "--json"}));
  expect_valid("tune-corun", json);
  EXPECT_EQ(json["networks"][0]["stretch"], 1.25) << "the mean of both parts";
  EXPECT_EQ(json["networks"][0]["interference_covers"], 1);
  EXPECT_EQ(json["plans"][0]["value_us"], 1.25 * 420);
  EXPECT_EQ(json["in_turn_us"], 320);
  const Finished text = run({"tune", "corun", a, b});
  EXPECT_NE(text.out.find("50 %: 420.0 us"), std::string::npos) << text.out;
}

TEST_F(Tune, InterferenceMeasuresEveryPair) {
  if (tune::usable_cores().size() != 2) GTEST_SKIP() << "written for two cores";
  const Finished f =
      run({"tune", "interference", "gemm_m32_k32_n32_f32", "gemm_m16_k64_n16_f32+bias", "--rounds", "6",
           "--window", "20ms", "--max-drift", "1000%", "--no-stressors", "--json"});
  ASSERT_EQ(f.exit, 0) << f.err;
  Json json = document(f);
  expect_valid("tune-interference", json);
  ASSERT_EQ(json["cells"].size(), 4u);
  EXPECT_EQ(json["kernels"].size(), 2u);
  EXPECT_EQ(json["parts"].size(), 2u);
  EXPECT_NE(json["parts"][0]["where"], json["parts"][1]["where"]);
  for (const Json& cell : json["cells"]) {
    EXPECT_LE(cell["kept"], 6);
    if (cell["kept"] == 0) continue;
    EXPECT_LE(cell["first_slowdown"]["lo"], cell["first_slowdown"]["ratio"]);
    EXPECT_GE(cell["first_slowdown"]["hi"], cell["first_slowdown"]["ratio"]);
  }
}

TEST_F(Tune, HostileResultsAreRefused) {
  const std::string good = tuned(folder, "good", {400, 210, 110});
  const Json json = read_json(good);
  auto refused = [&](const std::function<void(Json&)>& spoil) {
    Json bad = json;
    spoil(bad);
    const std::filesystem::path path = folder.fresh(".json");
    write_file(path, bad.dump());
    const Finished f = run({"tune", "corun", good, path.string()});
    EXPECT_EQ(f.out, "");
    EXPECT_EQ(f.exit, 2) << f.err;
    return f.err.substr(0, 12);
  };
  EXPECT_EQ(refused([](Json& j) { j["schema"] = "tailor/tune/9"; }), "error[E2103]");
  EXPECT_EQ(refused([](Json& j) { j["tasks"] = Json::array(); }), "error[E2103]");
  EXPECT_EQ(refused([](Json& j) { j["tasks"] = 7; }), "error[E2103]");
  EXPECT_EQ(refused([](Json& j) { j["left_out"] = Json::array({1}); }), "error[E2103]");
  for (const auto& [key, value] : json["tasks"][0].items()) {
    EXPECT_EQ(refused([&key = key](Json& j) { j["tasks"][0].erase(key); }), "error[E2103]") << key;
    EXPECT_EQ(refused([&key = key](Json& j) { j["tasks"][0][key] = Json::array(); }), "error[E2103]") << key;
  }
  for (const Json& bad : {Json(0), Json(-1), Json(1e308), Json(1.5)})
    EXPECT_EQ(refused([&](Json& j) { j["tasks"][0]["share"] = bad; }), "error[E2103]") << bad;
  EXPECT_EQ(refused([](Json& j) { j["tasks"][0]["layers"] = 1e15; }), "error[E2103]");
  EXPECT_EQ(refused([](Json& j) { j["tasks"][0]["own"]["us"] = -1; }), "error[E2103]");
  EXPECT_EQ(refused([](Json& j) { j["tasks"][0]["threads"] = 3; }), "error[E2103]") << "12 threads, then 4";
  EXPECT_EQ(refused([](Json& j) {
              for (Json& task : j["tasks"]) task["threads"] = 2 * task["threads"].get<int>();
            }),
            "error[E2002]")
      << "another device";
  EXPECT_EQ(refused([](Json& j) {
              for (Json& task : j["tasks"]) task["own"] = task["library"] = nullptr;
            }),
            "error[E2002]")
      << "no time at all";
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

TEST_F(Tune, TwoRunsDoNotWriteOneFile) {
  const std::string model = write_small(folder.path(), "small.onnx", 6).string(), db = table();
  const Bytes before = map_file(db);
  const tune::RecordLock lock(db);
  const Finished finished = run({"tune", model, "--db", db, "--time", "1s"});
  EXPECT_EQ(finished.exit, 8) << finished.err;
  EXPECT_NE(finished.err.find("error[E8002]: another tuning run"), std::string::npos) << finished.err;
  EXPECT_EQ(map_file(db).view(), before.view());
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
  const std::string layer = "gemm_m8_k8_n8_f32";
  expect({"tune", "ask", "/nowhere.jsonl", "--op", layer}, 2, "E2101");
  expect({"tune", "ask", good, "--op", "softmax"}, 2, "E2002");
  expect({"tune", "ask", good, "--op", "gemm_m8_k8_n8_f16"}, 3, "E3205");
  expect({"tune", "ask", good, "--op", layer}, 2, "E2001");
  expect({"tune", "ask", good, "--op", layer, "--max-error", "much"}, 2, "E2002");
  expect({"tune", "interference", layer, "--share", "50"}, 2, "E2002");
  expect({"tune", "interference", layer, "--share", "33,50"}, 2, "E2002");
  expect({"tune", "interference", layer, "--rounds", "0"}, 2, "E2002");
  expect({"tune", "interference", layer, "--window", "1h"}, 2, "E2002");
  expect({"tune", "interference", "/nowhere.onnx", "--share", "100,100"}, 2, "E2002");
  const std::string wide = tuned(folder, "wide", {}), a = tuned(folder, "a", {40, 20, 10});
  expect({"tune", "corun", a}, 2, "E2000");
  expect({"tune", "corun", a, wide}, 2, "E2103");
  expect({"tune", "corun", a, "/nowhere.json"}, 2, "E2101");
  expect({"tune", "corun", a, a, "--goal", "energy"}, 2, "E2001");
  expect({"tune", "corun", a, a, "--weights", "1"}, 2, "E2002");
  expect({"tune", "corun", a, a, "--stretch", "0.5x"}, 2, "E2002");
  expect({"tune", "corun", a, a, a, a, a}, 4, "E4001");
  const std::string slow = folder.fresh(".json").string();
  write_file(slow, R"({"schema": "tailor/tune-interference/1", "kernels": [], "cells": []})");
  expect({"tune", "corun", a, a, "--interference", slow}, 2, "E2002");
  expect({"tune", "corun", a, a, a, "--interference", slow}, 2, "E2000");
  expect({"tune", "corun", a, a, "--interference", a}, 2, "E2103");
  write_file(
      slow,
      R"({"schema": "tailor/tune-interference/1", "kernels": [], "cells": [{"first": 0, "second": 1}]})");
  expect({"tune", "corun", a, a, "--interference", slow}, 2, "E2103");
}

}  // namespace
}  // namespace tailor::testing
