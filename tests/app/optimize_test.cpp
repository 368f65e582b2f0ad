// optimize and plan as a user runs them, on the demonstration network with few samples. Speed is not
// asserted: what is checked is that files, documents and exit codes agree with each other.
#include "tailor/base/file.h"
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>

namespace tailor::testing {
namespace {

const std::string kModel = std::string(TAILOR_SOURCE_DIR) + "/demo/shapes.onnx";

// `count` images of seeded noise in CIFAR's binary records.
std::filesystem::path images(TemporaryFolder& folder, int count) {
  std::string records;
  std::uint64_t state = 7;
  for (int i = 0; i < count * 3073; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    records += static_cast<char>(i % 3073 == 0 ? (state >> 40) % 10 : state >> 56);
  }
  std::filesystem::path path = folder.fresh(".bin");
  write_file(path, records);
  return path;
}

std::vector<std::string> small_search(const std::filesystem::path& calib, const std::filesystem::path& out) {
  return {"optimize",     kModel,
          "-o",           out.string(),
          "--calib",      calib.string(),
          "--rounds",     "1",
          "--widths",     "2",
          "--fit",        "48",
          "--judge",      "32",
          "--time",       "1s",
          "--profile",    (out.parent_path() / "profile.jsonl").string(),
          "--best-effort"};
}

// Whether noise made a smaller model look slower. Then nothing may have been written.
bool refused_as_slower(const Finished& finished, const std::filesystem::path& out) {
  if (finished.err.find("E4003") == std::string::npos) return false;
  EXPECT_EQ(finished.exit, 4) << finished.err;
  EXPECT_FALSE(std::filesystem::exists(out));
  return true;
}

TEST(Optimize, WritesAModelAPlanAndTheProofAndRepeatsThem) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::filesystem::path out = folder.path() / "fast.onnx";
  std::filesystem::path calib = images(folder, 120);
  std::vector<std::string> arguments = small_search(calib, out);
  arguments.insert(arguments.end(), {"--latency", "0.9x", "--json"});
  Finished finished = run(arguments);
  if (refused_as_slower(finished, out))
    GTEST_SKIP() << "SKIPPED: this machine is too noisy now: a smaller model was measured as slower";
  ASSERT_TRUE(finished.exit == 0 || finished.exit == 4)
      << finished.err;  // 4: a noisy machine missed the goal
  Json result = document(finished);
  for (const std::string& line : violations(document(run({"schema", "optimize"})), result))
    ADD_FAILURE() << line;
  ASSERT_EQ(result["written"], out.string());
  EXPECT_EQ(run({"inspect", out.string()}).exit, 0);

  std::string plan = (folder.path() / "fast.plan.json").string();
  Json shown = document(run({"plan", "show", plan, "--json"}));
  for (const std::string& line : violations(document(run({"schema", "plan"})), shown)) ADD_FAILURE() << line;
  EXPECT_EQ(shown, result["plan"]);
  EXPECT_FALSE(shown["groups"].empty() && shown["dropped"].empty() && shown["kernels"].empty());
  EXPECT_TRUE(document(run({"plan", "diff", plan, plan, "--json"}))["rows"].empty());

  std::filesystem::path again =
      folder.path() / "again.onnx";  // the plan carried out once more gives the same file
  arguments = {"optimize", kModel, "-o",     again.string(), "--calib", calib.string(), "--fit",        "48",
               "--judge",  "32",   "--time", "1s",           "--plan",  plan,           "--best-effort"};
  Finished repeated = run(arguments);
  if (refused_as_slower(repeated, again)) GTEST_SKIP() << "SKIPPED: too noisy to repeat the plan";
  EXPECT_EQ(repeated.exit, 0) << repeated.err;
  EXPECT_EQ(map_file(out).view(), map_file(again).view());
}

TEST(Optimize, KeepsBranchesAndKernelsIfTold) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::vector<std::string> arguments = small_search(images(folder, 120), folder.path() / "fast.onnx");
  arguments.insert(arguments.end(),
                   {"--latency", "0.5x", "--keep-branches", "--keep-kernels", "--dry-run", "--json"});
  Finished finished = run(arguments);
  if (refused_as_slower(finished, folder.path() / "fast.onnx")) GTEST_SKIP() << "SKIPPED: too noisy now";
  Json plan = document(finished)["plan"];
  EXPECT_FALSE(plan["groups"].empty());
  for (const char* member : {"dropped", "folded", "kernels"}) EXPECT_TRUE(plan[member].empty()) << member;
}

// What the first plan took away stays away.
TEST(Optimize, GoesOnFromAPlan) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::filesystem::path calib = images(folder, 120), first = folder.path() / "first.onnx",
                        second = folder.path() / "second.onnx", plan = folder.path() / "first.plan.json";
  std::vector<std::string> arguments = small_search(calib, first);
  arguments.insert(arguments.end(), {"--latency", "0.8x", "--joint", "0"});
  Finished finished = run(arguments);
  if (refused_as_slower(finished, first)) GTEST_SKIP() << "SKIPPED: too noisy now";
  ASSERT_TRUE(std::filesystem::exists(plan)) << finished.err;
  Json before = document(run({"plan", "show", plan.string(), "--json"}));
  arguments = small_search(calib, second);
  arguments.insert(arguments.end(), {"--latency", "0.5x", "--joint", "0", "--from", plan.string(), "--json"});
  finished = run(arguments);
  if (refused_as_slower(finished, second)) GTEST_SKIP() << "SKIPPED: too noisy now";
  EXPECT_NE(finished.err.find("stands at"), std::string::npos) << finished.err;
  Json after = document(finished)["plan"];
  for (const Json& name : before["dropped"])
    EXPECT_NE(std::find(after["dropped"].begin(), after["dropped"].end(), name), after["dropped"].end())
        << name;
  EXPECT_GE(
      after["groups"].size() + after["kernels"].size() + after["dropped"].size() + after["folded"].size(),
      1u);
  for (const Json& then : before["groups"])
    for (const Json& now : after["groups"])
      if (then["group"] == now["group"]) {
        EXPECT_LE(now["kept"].size(),
                  then["kept"].empty() ? then["before"].get<std::size_t>() : then["kept"].size());
      }
  arguments.insert(arguments.end(), {"--rule", "uniform"});
  EXPECT_EQ(run(arguments).exit, 2);
}

void expect_refused(std::vector<std::string> more, int code, const std::string& spelled) {
  TemporaryFolder folder;
  std::vector<std::string> arguments = {
      "optimize", kModel, "-o", (folder.path() / "o.onnx").string(), "--calib", images(folder, 12).string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  Finished finished = run(arguments);
  EXPECT_EQ(finished.exit, code) << finished.err;
  EXPECT_NE(finished.err.find(spelled), std::string::npos) << finished.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "o.onnx"));
}

// What pruning by FLOPs does, to compare with: the budget is counted, the time is measured all the same.
TEST(Optimize, BudgetsMultiplyAccumulatesForComparison) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::filesystem::path out = folder.path() / "fewer.onnx";
  std::vector<std::string> arguments = {
      "optimize", kModel, "-o",    out.string(), "--calib", images(folder, 120).string(),
      "--time",   "1s",   "--fit", "48",         "--judge", "32"};
  arguments.insert(arguments.end(),
                   {"--rule", "uniform", "--macs", "0.8x", "--criterion", "functionality", "--merge",
                    "--recover", "none", "--keep-streams", "--dry-run", "--json"});
  Finished finished = run(arguments);
  ASSERT_TRUE(finished.exit == 0 || finished.exit == 4) << finished.err;
  EXPECT_NE(finished.err.find("counted 0."), std::string::npos) << finished.err;
  Json result = document(finished);
  for (const std::string& line : violations(document(run({"schema", "optimize"})), result))
    ADD_FAILURE() << line;
  for (const std::string& line : violations(document(run({"schema", "plan"})), result["plan"]))
    ADD_FAILURE() << line;
  EXPECT_NE(result["plan"]["goal"].get<std::string>().find("multiply-accumulates"), std::string::npos);
  ASSERT_FALSE(result["plan"]["groups"].empty());
  for (const Json& group : result["plan"]["groups"]) {
    EXPECT_NE(group["layer"].get<std::string>().find("conv1"), std::string::npos)
        << "streams stay: " << group["layer"];
    EXPECT_EQ(group["merged"].size(), group["before"].get<std::size_t>() - group["kept"].size());
    for (const Json& heir : group["merged"]) {
      EXPECT_NE(heir["unit"], heir["into"]);
      EXPECT_LE(heir["unexplained"].get<double>(), 1);
    }
  }
  EXPECT_FALSE(std::filesystem::exists(out));
}

// Widths as somebody else chose them: an odd number of channels inside two blocks.
TEST(Optimize, MakesGivenWidthsFit) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  const std::filesystem::path out = folder.path() / "fits.onnx", widths = folder.path() / "widths.json";
  write_file(widths, R"({"widths": {"/blocks/blocks.1/conv1/Conv": 29, "/blocks/blocks.3/conv1/Conv": 51}})");
  std::vector<std::string> arguments = {"optimize",  kModel,
                                        "-o",        out.string(),
                                        "--calib",   images(folder, 120).string(),
                                        "--time",    "1s",
                                        "--fit",     "48",
                                        "--judge",   "32",
                                        "--profile", (folder.path() / "profile.jsonl").string()};
  arguments.insert(arguments.end(), {"--widths-from", widths.string(), "--best-effort", "--json"});
  const Finished finished = run(arguments);
  if (refused_as_slower(finished, out)) GTEST_SKIP() << "SKIPPED: this machine is too noisy now";
  ASSERT_TRUE(finished.exit == 0 || finished.exit == 4) << finished.err;
  const Json result = document(finished);
  for (const std::string& line : violations(document(run({"schema", "optimize"})), result))
    ADD_FAILURE() << line;
  EXPECT_GT(result["given"]["ratio"].get<double>(), 0);
  EXPECT_GE(result["given"]["ratio"].get<double>(),
            result["plan"]["latency"]["predicted_ratio"].get<double>());
  EXPECT_NE(result["plan"]["goal"].get<std::string>().find("widths.json"), std::string::npos);
  const std::size_t moved =
      result["given"]["moved_down"].get<std::size_t>() + result["given"]["moved_up"].get<std::size_t>();
  EXPECT_LE(moved, 2u);
  for (const std::string bad : {R"({"widths": {"nowhere": 3}})", R"({"widths": {"/stem/Conv": 900}})"}) {
    write_file(widths, bad);
    EXPECT_EQ(run(arguments).exit, 3) << bad;
  }
  write_file(widths, R"({"widths": {"/stem/Conv": "many"}})");
  EXPECT_NE(run(arguments).exit, 0);
}

TEST(Optimize, WhatSaysNothingIsRefused) {
  expect_refused({"--macs", "0.5x", "--latency", "0.7x"}, 2, "E2000");
  expect_refused({"--macs", "1.5x"}, 2, "E2002");
  expect_refused({"--macs", "0.5x", "-d", "t4"}, 2, "E2000");
  expect_refused({"--latency", "0.7x", "--merge"}, 2, "E2000");
  expect_refused({"--latency", "0.7x", "--criterion", "luck"}, 2, "E2001");
  expect_refused({"--widths-from", "any.json", "--rounds", "2"}, 2, "E2000");
  expect_refused({"--widths-from", "any.json", "--keep-streams"}, 2, "E2000");
  expect_refused({"--widths-from", "none.json"}, 2, "E2101");
}

TEST(Optimize, ADryRunWritesNothing) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::filesystem::path out = folder.path() / "fast.onnx";
  std::vector<std::string> arguments = small_search(images(folder, 120), out);
  arguments.insert(arguments.end(), {"--latency", "0.9x", "--dry-run"});
  Finished finished = run(arguments);
  EXPECT_TRUE(finished.exit == 0 || finished.exit == 4) << finished.err;
  if (finished.err.find("E4003") == std::string::npos) {
    EXPECT_NE(finished.out.find("accuracy"), std::string::npos) << "it searched and verified all the same";
  }
  EXPECT_FALSE(std::filesystem::exists(out));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "fast.plan.json"));
}

// Without recovery, carrying out a plan is the surgery that plan apply does, byte by byte.
TEST(Optimize, WithoutRecoveryAPlanIsAppliedAsItIs) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::filesystem::path calib = images(folder, 120), out = folder.path() / "fast.onnx",
                        applied = folder.path() / "applied.onnx";
  std::vector<std::string> arguments = small_search(calib, out);
  arguments.insert(arguments.end(),
                   {"--latency", "0.9x", "--recover", "none", "--criterion", "activation", "--json"});
  Finished finished = run(arguments);
  if (refused_as_slower(finished, out)) GTEST_SKIP() << "SKIPPED: too noisy now";
  ASSERT_TRUE(finished.exit == 0 || finished.exit == 4) << finished.err;
  EXPECT_EQ(document(finished)["recover"]["method"], "none");
  EXPECT_GT(document(finished)["timings"]["measured"], 0);
  EXPECT_NE(finished.err.find("layer timings: 0 found"), std::string::npos) << finished.err;
  Finished again =
      run({"plan", "apply", (folder.path() / "fast.plan.json").string(), kModel, "-o", applied.string()});
  ASSERT_EQ(again.exit, 0) << again.err;
  EXPECT_EQ(map_file(out).view(), map_file(applied).view());
}

TEST(Optimize, SaysThatThereIsNothingToReestimate) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::vector<std::string> arguments = small_search(images(folder, 120), folder.path() / "fast.onnx");
  arguments[1] = write_small(folder.path(), "folded.onnx", 18).string();
  arguments.insert(arguments.end(), {"--latency", "0.9x", "--recover", "bn", "--dry-run"});
  Finished finished = run(arguments);
  EXPECT_NE(finished.err.find("nothing to re-estimate"), std::string::npos) << finished.err;
}

TEST(Optimize, EndsAtCtrlCAndLeavesNothing) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::filesystem::create_directory(folder.path() / "out");
  std::vector<std::string> arguments = small_search(images(folder, 120), folder.path() / "out" / "o.onnx");
  arguments.insert(arguments.end(), {"--latency", "0.5x"});
  Finished stopped = run(arguments, {.interrupt_after_s = 3});
  EXPECT_EQ(stopped.exit, 130) << stopped.err;
  EXPECT_EQ(stopped.err.find("LEFT BEHIND"), std::string::npos) << stopped.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "out" / "o.onnx"));
}

TEST(Optimize, NeedsExactlyOneGoal) {
  expect_refused({}, 2, "E2000");
  expect_refused({"--latency", "0.7x", "--speedup", "2x"}, 2, "E2000");
}

TEST(Optimize, SaysWhyThereAreNoTokens) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::vector<std::string> arguments = small_search(images(folder, 120), folder.path() / "fast.onnx");
  arguments.insert(arguments.end(), {"--macs", "0.99x", "--tokens", "--keep-branches", "--keep-kernels",
                                     "--joint", "0", "--dry-run", "--json"});
  const Finished finished = run(arguments);
  EXPECT_NE(finished.err.find("--tokens: none can be left out: no attention"), std::string::npos)
      << finished.err;
  EXPECT_TRUE(document(finished)["plan"]["tokens"].empty());
}

TEST(Optimize, APlanLeavesNothingToSearch) {
  expect_refused({"--plan", "p.json", "--rounds", "2"}, 2, "E2000");
  expect_refused({"--plan", "p.json", "--widths", "3"}, 2, "E2000");
  expect_refused({"--plan", "p.json", "--criterion", "l1"}, 2, "E2000");
  expect_refused({"--plan", "p.json", "--tokens"}, 2, "E2000");
}

TEST(Optimize, RefusesWhatCannotBe) {
  expect_refused({"--latency", "0.7x", "--device", "h2000"}, 2, "E2108");
  expect_refused({"--latency", "1.7x"}, 2, "E2002");
  expect_refused({"--latency", "fast"}, 2, "E2002");
  expect_refused({"--latency", "0.7x", "--criterion", "luck"}, 2, "E2001");
  expect_refused({"--widths-from", "any.json", "--rounds", "2"}, 2, "E2000");
  expect_refused({"--widths-from", "any.json", "--keep-streams"}, 2, "E2000");
  expect_refused({"--widths-from", "none.json"}, 2, "E2101");
  expect_refused({"--latency", "0.7x", "--recover", "luck"}, 2, "E2001");
  expect_refused({"--latency", "0.7x", "--joint", "17"}, 2, "E2002");
  expect_refused({"--latency", "0.7x", "--joint", "1"}, 2, "E2002");
  expect_refused({"--latency", "0.7x", "--joint", "2", "--recover", "bn"}, 2, "E2000");
  expect_refused({"--latency", "0.7x", "--tokens", "--rule", "uniform"}, 2, "E2000");
  expect_refused({"--latency", "0.7x", "--tokens", "-d", "cuda"}, 2, "E2000");
  expect_refused({"--latency", "0.7x", "--fresh", "--resume"}, 2, "E2000");
  expect_refused({"--plan", "p.json", "--resume"}, 2, "E2000");
  expect_refused({"--latency", "0.7x", "--mean", "1,2"}, 2, "E2");
}

TEST(Optimize, ResumesOnlyWhatWasBegun) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  expect_refused({"--latency", "0.7x", "--resume", "--profile", (folder.path() / "p.jsonl").string()}, 2,
                 "E2109");
}

TEST(Optimize, ATargetThatCannotBeWrittenIsFoundFirst) {
  TemporaryFolder folder;
  std::string calib = images(folder, 12).string();
  for (const std::string& target : {folder.path().string(), (folder.path() / "no" / "o.onnx").string()}) {
    Finished finished = run({"optimize", kModel, "-o", target, "--latency", "0.9x", "--calib", calib});
    EXPECT_EQ(finished.exit, 8) << finished.err;
    EXPECT_NE(finished.err.find("E8002"), std::string::npos) << finished.err;
    EXPECT_EQ(finished.err.find("round 1"), std::string::npos) << finished.err;
  }
}

TEST(Optimize, ARuleNeedsALatency) {
  expect_refused({"--speedup", "max", "--rule", "uniform"}, 2, "E2000");
  expect_refused({"--plan", "any.json", "--rule", "uniform"}, 2, "E2000");
  expect_refused({"--plan", "any.json", "--rule", "exact"}, 2, "E2000");
  expect_refused({"--latency", "0.7x", "--rule", "luck"}, 2, "E2001");
  for (const char* rule : {"round:", "round:0", "round:-8", "round:8x", "round:99999999999"})
    expect_refused({"--latency", "0.7x", "--rule", rule}, 2, "E2002");
  expect_refused({"--latency", "0.7x", "--as-fast-as", "any.json"}, 2, "E2000");
  expect_refused({"--as-fast-as", "any.json"}, 2, "E2101");
}

void expect_schema(const std::string& name, const Json& json) {
  for (const std::string& line : violations(document(run({"schema", name})), json)) ADD_FAILURE() << line;
}

TEST(Optimize, ARuleGoesTheSameWay) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  std::filesystem::path out = folder.path() / "fast.onnx";
  std::vector<std::string> arguments = small_search(images(folder, 120), out);
  arguments.insert(arguments.end(), {"--rule", "round:8", "--latency", "0.9x", "--json"});
  Finished finished = run(arguments);
  if (refused_as_slower(finished, out)) GTEST_SKIP() << "SKIPPED: this machine is too noisy now";
  ASSERT_TRUE(finished.exit == 0 || finished.exit == 4) << finished.err;
  Json result = document(finished);
  expect_schema("optimize", result);
  expect_schema("plan", result["plan"]);
  EXPECT_EQ(result["plan"]["rule"], "round:8");
  EXPECT_EQ(result["plan"]["certificate"]["optimal"], false);
  for (const Json& group : result["plan"]["groups"]) EXPECT_EQ(group["after"].get<int>() % 8, 0) << group;
  EXPECT_EQ(run({"inspect", out.string()}).exit, 0);
  Finished shown = run({"plan", "show", (folder.path() / "fast.plan.json").string()});
  EXPECT_NE(shown.out.find("rule round:8"), std::string::npos) << shown.out;
  EXPECT_EQ(shown.out.find("last choice"), std::string::npos) << "no certificate: " << shown.out;

  std::string kept = (folder.path() / "result.json").string();
  write_file(kept, finished.out);
  Finished table = run({"plan", "table", kept, kept});
  EXPECT_EQ(table.exit, 0) << table.err;
  EXPECT_EQ(std::count(table.out.begin(), table.out.end(), '\n'), 4) << table.out;
  Json rows = document(run({"plan", "table", kept, "--json"}));
  expect_schema("plan-table", rows);
  EXPECT_EQ(rows["rows"][0]["reached"]["ratio"], result["proof"]["speed"]["models"][1]["to_first"]["ratio"]);
  EXPECT_EQ(rows["rows"][0]["measure"], "top-1");
  result["plan"]["model"]["sha256"] = "00";
  write_file(kept, result.dump());
  expect_refused({"--as-fast-as", kept}, 2, "E2107");
}

TEST(Plan, OfAnotherModelIsRefused) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  Json plan =
      Json::parse(R"({"schema":"tailor/plan/1","model":{"path":"x.onnx","sha256":"00"},"runtime":"","goal":"",
    "latency":{"predicted_ratio":1,"measured_ratio":1},"loss":0,"loss_before_repair":0,"certificate":{"optimal":true,"quantum_us":0,"loss_bound":0,"gap":0},
    "rounds":0,"candidates":0,"dropped":[],"groups":[]})");
  std::filesystem::path path = folder.fresh(".json");
  write_file(path, plan.dump());
  expect_refused({"--plan", path.string()}, 2, "E2107");
  EXPECT_EQ(run({"plan", "show", path.string()}).exit, 0);
  write_file(path, "{\"schema\": \"tailor/plan/2\"}");
  EXPECT_EQ(run({"plan", "show", path.string()}).exit, 2);
  write_file(path, "no plan at all");
  EXPECT_NE(run({"plan", "show", path.string()}).err.find("help: give a plan"), std::string::npos);
}

}  // namespace
}  // namespace tailor::testing
