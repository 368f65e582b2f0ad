// Users and what they came for, each story with its evidence. Latencies are modelled wherever a measurement would make
// the outcome a matter of the machine; what is measured is only asked for what holds on any.
#include "tailor/base/file.h"
#include "tailor/tune/records.h"
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <tuple>

namespace tailor::testing {
namespace {

const std::string kDemo = TAILOR_SOURCE_DIR "/demo/shapes.onnx";
using Words = std::vector<std::string>;

Words operator+(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

void expect_valid(const char* schema, const Json& json) {
  for (const std::string& line : violations(document(run({"schema", schema})), json)) ADD_FAILURE() << line;
}

class Stories : public ::testing::Test {
 protected:
  std::string file(const std::string& name) const { return (folder.path() / name).string(); }
  std::string small(const std::string& name, int width) {
    return write_small(folder.path(), name, width).string();
  }
  Start alone() const { return {.environment = {{"TAILOR_CACHE", file("cache")}}}; }
  // A search on a described T4, with as little of everything as it takes.
  Words on_t4(const std::string& out, const Words& goal) {
    return Words{"optimize",
                 kDemo,
                 "-o",
                 file(out),
                 "-d",
                 "t4",
                 "--precision",
                 "f16",
                 "--shape",
                 "image:64x3x32x32",
                 "--calib",
                 write_cifar(folder.path(), 96).string(),
                 "--fit",
                 "48",
                 "--judge",
                 "32",
                 "--refit",
                 "48",
                 "--best-effort",
                 "--json"} +
           goal;
  }
  TemporaryFolder folder;
};

// 1. A detector on a board behind ssh: the line goes dead in the middle. That is exit 6, what was measured is kept, and
// the same command ends well when the board is back.
TEST_F(Stories, TheBoardGoesAway) {
  TAILOR_NEEDS_RUNTIME();
  const std::string runner =
      (std::filesystem::path(TAILOR_PROGRAM).parent_path() / "tailor-runner-onnxruntime").string();
  write_file(file("ssh"), "if [ -e " + file("down") +
                              " ]; then echo 'ssh: connection refused' >&2; exit 255; fi\n"
                              "touch " +
                              file("down") + "\nhead -n 1 | " + runner + "\n");
  const Words words = {"bench", small("a.onnx", 8), small("b.onnx", 16), "--rounds",
                       "9",     "--max-noise",      "1000000%"};
  const Finished lost = run(words + Words{"--runner", "sh " + file("ssh")}, alone());
  EXPECT_EQ(lost.exit, 6) << lost.err;
  EXPECT_NE(lost.err.find("error[E600"), std::string::npos) << lost.err;
  EXPECT_NE(lost.err.find("help: "), std::string::npos) << lost.err;
  EXPECT_EQ(lost.out, "");
  EXPECT_EQ(run(words + Words{"--runner", runner}, alone()).exit, 0);
}

// Six convolutions whose widths lie just past a step, or on it; the network of the CPU engineer.
graph::Model six(const std::vector<int>& widths) {
  using Integers = std::vector<std::int64_t>;
  graph::Model model = small_model(8);
  graph::Graph& g = model.graph;
  g.nodes.clear(), g.initializers.clear();
  std::string value = "x";
  int before = 3;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const std::string n = std::to_string(i);
    const std::int64_t stride = i % 2 == 0 ? 2 : 1;
    g.nodes.push_back({"Conv",
                       "",
                       "conv" + n,
                       {value, "w" + n},
                       {"c" + n},
                       {{"kernel_shape", {Integers{3, 3}}},
                        {"pads", {Integers{1, 1, 1, 1}}},
                        {"strides", {Integers{stride, stride}}}}});
    g.nodes.push_back({"Relu", "", "relu" + n, {"c" + n}, {"r" + n}});
    g.initializers["w" + n] = random_weights({widths[i], before, 3, 3}, i + 1);
    value = "r" + n, before = widths[i];
  }
  g.nodes.push_back({"GlobalAveragePool", "", "pool", {value}, {"p"}});
  g.nodes.push_back({"Flatten", "", "flat", {"p"}, {"f"}});
  g.nodes.push_back({"Gemm", "", "last", {"f", "wl"}, {"y"}});
  g.initializers["wl"] = random_weights({before, 10}, 9);
  g.inputs = {{"x", graph::DataType::f32, graph::Shape{1, 3, 56, 56}}};
  return model;
}

// 2. The CPU engineer: widths just past a step go down to it. The gate ends PASS, or AMBIGUOUS on a machine that is too
// busy to say; a network with fewer channels everywhere is never FAILed for being slower.
TEST_F(Stories, WidthsStepDown) {
  TAILOR_NEEDS_RUNTIME();
  onnx::write(six({34, 34, 66, 66, 130, 130}), file("base.onnx"));
  onnx::write(six({32, 32, 64, 64, 128, 128}), file("down.onnx"));
  const Finished f = run({"verify", file("base.onnx"), file("down.onnx"), "--min-speedup", "1.0x", "--time",
                          "4s", "--max-noise", "1000000%", "--json"});
  const Json json = document(f);
  expect_valid("verify", json);
  EXPECT_EQ(f.exit, json["outcome"] == "PASS" ? 0 : 5) << f.err;
  EXPECT_NE(json["outcome"], "FAIL") << json["gates"];
}

// 3. Pruned by another tool, and nothing got faster: analyze names widths that cost the same and are wider, and
// optimize --widths-from moves the given widths to the edges of their steps, at no more latency and no more loss.
TEST_F(Stories, PrunedElsewhere) {
  TAILOR_NEEDS_RUNTIME();
  const Json analysis = document(
      run({"analyze", kDemo, "-d", "t4", "--precision", "f16", "--shape", "image:64x3x32x32", "--json"}));
  int free = 0;
  for (const Json& group : analysis["groups"]) {
    if (group["up"].is_null()) continue;
    const auto us_at = [&](int width) {
      const auto at = std::find(group["widths"].begin(), group["widths"].end(), width);
      return group["us"][static_cast<std::size_t>(at - group["widths"].begin())].get<double>();
    };
    EXPECT_GT(group["up"]["width"], group["width"]);
    EXPECT_LE(us_at(group["up"]["width"]), 1.01 * us_at(group["width"])) << group["name"];
    ++free;
  }
  EXPECT_GT(free, 0) << "some group of the demonstration can be wider for nothing";
  write_file(file("widths.json"), R"({"widths": {"/stem/Conv": 17, "/blocks/blocks.3/conv1/Conv": 61}})");
  const Finished f = run(on_t4("fit.onnx", {"--widths-from", file("widths.json")}));
  ASSERT_TRUE(f.exit == 0 || f.exit == 4) << f.err;  // 4: the given widths are the fastest
  const Json json = document(f);
  expect_valid("optimize", json);
  EXPECT_LE(json["plan"]["latency"]["predicted_ratio"].get<double>(), json["given"]["ratio"].get<double>());
  EXPECT_EQ(f.exit == 0, json["goal_met"].get<bool>());
}

// 3. The same beside the network that it was made of: which layers gave up channels and stayed on their step. One picture on
// a large GPU does not fill it, so the first layer costs with 30 channels what it did with 34.
TEST_F(Stories, PrunedElsewhereBesideItsBase) {
  onnx::write(six({34, 34, 66, 66, 130, 130}), file("base.onnx"));
  onnx::write(six({30, 34, 66, 66, 130, 130}), file("pruned.onnx"));
  const Words words = {"analyze", file("pruned.onnx"), "--base", file("base.onnx"), "-d",
                       "t4",      "--precision",       "f16"};
  const Finished f = run(words + Words{"--json", "--report", file("page.html")});
  ASSERT_EQ(f.exit, 0) << f.err;
  const Json json = document(f), base = json["base"];
  expect_valid("device-analysis", json);
  ASSERT_EQ(base["layers"].size(), 7u);
  const Json& first = base["layers"][0];
  EXPECT_EQ(first["gained"], "nothing") << first;
  EXPECT_NEAR(first["macs_ratio"].get<double>(), 30.0 / 34, 1e-12);
  EXPECT_NEAR(first["after_us"].get<double>(), first["before_us"].get<double>(),
              0.02 * first["before_us"].get<double>());
  EXPECT_GE(first["step"]["widest"], 34) << "the step that it stayed on";
  EXPECT_EQ(base["layers"][3]["gained"], "same");
  const Finished text = run(words);
  EXPECT_NE(text.out.find("still on the step"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("12 % fewer multiply-accumulates"), std::string::npos) << text.out;
  EXPECT_NE(std::string(map_file(file("page.html")).view()).find("data-figure=\"base\""), std::string::npos);
  const Finished other = run({"analyze", file("pruned.onnx"), "--base", small("other.onnx", 8), "-d", "t4"});
  EXPECT_EQ(other.exit, 2);
  EXPECT_NE(other.err.find("error[E2001]"), std::string::npos) << other.err;
  EXPECT_NE(other.err.find("help: "), std::string::npos) << other.err;
}

// What a run came to, without where it wrote and what the clock said.
Json decisions(const Finished& finished) {
  const Json json = document(finished);
  return {json["plan"], json["rounds"], json["devices"], json["proof"]["samples"]};
}

// 4. The researcher: criteria at equal widths have equal latency, and the same seed gives the same numbers.
TEST_F(Stories, CriteriaAreComparedAtEqualWidths) {
  TAILOR_NEEDS_RUNTIME();
  std::vector<Json> plans;
  Words results;
  for (const std::string criterion : {"l1", "activation"}) {
    const Finished f =
        run(on_t4(criterion + ".onnx", {"--rule", "round:8", "--latency", "0.8x", "--criterion", criterion}));
    ASSERT_TRUE(f.exit == 0 || f.exit == 4) << f.err;
    write_file(file(criterion + ".json"), f.out);
    results.push_back(file(criterion + ".json"));
    plans.push_back(document(f)["plan"]);
    if (criterion != "l1") continue;
    const Finished again =
        run(on_t4("l1.onnx", {"--rule", "round:8", "--latency", "0.8x", "--criterion", "l1"}));
    EXPECT_EQ(decisions(again), decisions(f)) << "the same seed";
  }
  ASSERT_EQ(plans[0]["groups"].size(), plans[1]["groups"].size());
  for (std::size_t i = 0; i < plans[0]["groups"].size(); ++i)
    EXPECT_EQ(plans[0]["groups"][i]["after"], plans[1]["groups"][i]["after"]);
  EXPECT_EQ(plans[0]["latency"], plans[1]["latency"]);
  const Finished table = run(Words{"plan", "table"} + results);
  EXPECT_EQ(table.exit, 0) << table.err;
  EXPECT_EQ(std::count(table.out.begin(), table.out.end(), '\n') >= 4, true) << table.out;
  EXPECT_EQ(run({"report", results[0], results[1], "-o", file("two.html")}).exit, 0);
  // All of them as points of one page, each with its intervals.
  const Finished overlay = run(Words{"report"} + results + Words{results[0], "-o", file("three.html")});
  EXPECT_EQ(overlay.exit, 0) << overlay.err;
  EXPECT_NE(std::string(map_file(file("three.html")).view()).find("data-figure=\"outcomes\""),
            std::string::npos);
}

// 5. No GPU on the laptop: everything is stamped as modelled, in the text, the document and the page; waves are blocks
// over multiprocessors.
void expect_modelled(const Words& words, const std::string& page) {
  const Finished text = run(words);
  ASSERT_EQ(text.exit, 0) << text.err;
  EXPECT_NE(text.out.find("MODELLED"), std::string::npos) << text.out;
  const Json json = document(run(words + Words{"--json", "--report", page}));
  expect_valid("device-analysis", json);
  EXPECT_EQ(json["how"], "modelled");
  EXPECT_NE(std::string(map_file(page).view()).find("modelled: nothing was run"), std::string::npos);
  const double sms = json["device"]["multiprocessors"];
  EXPECT_EQ(sms, 132);
  for (const Json& layer : json["layers"])
    EXPECT_NEAR(layer["model"]["waves"].get<double>(), layer["model"]["blocks"].get<double>() / sms, 1e-9)
        << layer["name"];
}

TEST_F(Stories, NoGpuOnTheLaptop) {
  expect_modelled({"analyze", kDemo, "-d", "h200", "--precision", "f16", "--shape", "image:8x3x32x32"},
                  file("page.html"));
}

TEST_F(Stories, NoGpuOnTheLaptopForARealNetwork) {
  const auto model = real_model("mobilenet_v2_1.0_224_imagenet");
  TAILOR_NEEDS(model);
  expect_modelled({"analyze", model.string(), "-d", "h200", "--precision", "f16"}, file("page.html"));
}

// 6. One sample on a large GPU: the layers do not fill it once, and that is said instead of a promise. A goal that no
// width can reach ends with 4 and its reason, and no model is written.
TEST_F(Stories, OneSampleOnALargeGpu) {
  const Words words = {"analyze", small("small.onnx", 64), "-d", "h200", "--precision", "f16"};
  const Finished text = run(words);
  EXPECT_NE(text.out.find("width is the wrong lever"), std::string::npos) << text.out;
  EXPECT_NE(document(run(words + Words{"--json"}))["lever"].get<std::string>().find("a larger batch"),
            std::string::npos);
  TAILOR_NEEDS_RUNTIME();
  const Finished f = run({"optimize",    file("small.onnx"),
                          "-o",          file("fast.onnx"),
                          "-d",          "h200",
                          "--precision", "f16",
                          "--latency",   "0.3x",
                          "--calib",     write_cifar(folder.path(), 48).string(),
                          "--rounds",    "1",
                          "--fit",       "32",
                          "--judge",     "16",
                          "--refit",     "32"});
  EXPECT_EQ(f.exit, 4) << f.err;
  EXPECT_NE(f.err.find("error[E400"), std::string::npos) << f.err;
  EXPECT_NE(f.err.find("help: "), std::string::npos) << f.err;
  EXPECT_FALSE(std::filesystem::exists(file("fast.onnx")));
}

std::string whole_lines(const std::string& path) {
  const std::string text(map_file(path).view());
  return text.substr(0, text.rfind('\n') + 1);
}

// Moments at which a job is killed, in seconds: three, or as many as TAILOR_KILLS says (scripts/kill-check), spread over
// what a job does from its start to its trials by the golden ratio.
std::vector<double> moments() {
  const char* wanted = std::getenv("TAILOR_KILLS");
  if (!wanted) return {1.5, 2.2, 3.1};
  std::vector<double> seconds;
  for (int i = 0; i < std::clamp(std::atoi(wanted), 1, 1000); ++i)
    seconds.push_back(0.1 + 3 * std::fmod(0.6180339887 * (i + 1), 1.0));
  return seconds;
}

// 7. The tuning farm: jobs are killed at any moment and begun again. Nothing that was recorded is lost or changed, and no
// configuration is tried twice.
TEST_F(Stories, TuningIsKilledAndGoesOn) {
  const std::string model = small("small.onnx", 6), db = file("trials.jsonl");
  const Words words = {"tune",      model, "--db",   db,  "--threads", "2",   "--share",     "50,100",
                       "--samples", "1",   "--gain", "0", "--time",    "60s", "--no-library"};
  std::string before;
  for (const double seconds : moments()) {
    const Finished f = run(words, {.kill_after_s = seconds});
    EXPECT_EQ(f.exit, 128 + 9) << f.err;
    if (!std::filesystem::exists(db)) continue;
    const std::string now = whole_lines(db);
    EXPECT_TRUE(now.starts_with(before)) << "a record was lost or changed";
    before = now;
  }
  const Finished f = run(words + Words{"--trials", "4", "--json", "--report", file("page.html")});
  ASSERT_EQ(f.exit, 0) << f.err;
  EXPECT_TRUE(std::string(map_file(db).view()).starts_with(before));
  std::set<std::tuple<std::string, double, std::string>> tried;
  const tune::RecordFile records(db);
  for (const tune::Record& record : records.records())
    if (record.tier == tune::Tier::parallel) {
      EXPECT_TRUE(
          tried.emplace(record.key.op, record.key.share, tune::to_string(record.configuration)).second)
          << record.key.op << " twice: " << tune::to_string(record.configuration);
    }
  // What a choice for one share costs at the other is known of every operator, and nowhere better than what is best.
  const Json json = document(f);
  expect_valid("tune", json);
  for (const Json& task : json["tasks"]) {
    EXPECT_EQ(task["history"].size(),
              task["trials"].get<std::size_t>() + task["trials_before"].get<std::size_t>());
    ASSERT_EQ(task["at_shares"].size(), 2u);
    for (const Json& there : task["at_shares"]) EXPECT_TRUE(there["us"].is_number()) << task["op"] << there;
    EXPECT_EQ(task["at_shares"][task["share"] == 0.5 ? 0 : 1]["us"], task["own"]["us"]);
  }
  EXPECT_NE(std::string(map_file(file("page.html")).view()).find("data-figure=\"convergence\""),
            std::string::npos);
}

// 8. The architect of a chip: the exact mapping is never worse than any simple one within the budget; the trace opens.
TEST_F(Stories, MappingBeatsEverySimpleOne) {
  for (const std::string objective : {"latency", "energy"}) {
    const Finished f = run({"map", kDemo, "--platform", "diana", "--objective", objective, "--budget", "0.6x",
                            "--json", "--trace", file("trace.json"), "--report", file("page.html")});
    ASSERT_EQ(f.exit, 0) << f.err;
    const Json json = document(f);
    expect_valid("map", json);
    const char* cost = objective == "energy" ? "energy_uj" : "latency_us";
    EXPECT_LE(json["chosen"][cost].get<double>(), json["budget"].get<double>() * (1 + 1e-9));
    for (const Json& simple : json["baselines"])
      if (simple[cost].get<double>() <= json["budget"].get<double>()) {
        EXPECT_LE(json["chosen"]["loss"].get<double>(), simple["loss"].get<double>() * (1 + 1e-9))
            << simple["name"];
      }
    const Json trace = parse_json(map_file(file("trace.json")).view(), "trace");
    double end = 0;
    for (const Json& event : trace["traceEvents"])
      if (event["ph"] == "X") end = std::max(end, event["ts"].get<double>() + event["dur"].get<double>());
    EXPECT_NEAR(end, json["chosen"]["latency_us"].get<double>(), 1e-6 * end)
        << "this platform's hand-over is free";
  }
}

// 9. The owner of continuous integration: one document on stdout, an exit code per outcome, no colours in a file.
TEST_F(Stories, VerifyIsAGate) {
  TAILOR_NEEDS_RUNTIME();
  const std::string a = small("a.onnx", 8), b = small("b.onnx", 96),
                    data = write_cifar(folder.path(), 20).string();
  const Words common = {"verify", a, b, "--rounds", "11", "--json", "--color=auto"};
  const auto gate = [&](const Words& more, int exit, const char* outcome) {
    const Finished f = run(common + more);
    EXPECT_EQ(f.exit, exit) << f.err;
    EXPECT_EQ(f.out.find('\033'), std::string::npos);
    EXPECT_EQ(f.err.find('\033'), std::string::npos);
    const Json json = document(f);
    expect_valid("verify", json);
    EXPECT_EQ(json["outcome"], outcome);
  };
  gate({"--max-noise", "1000000%", "--min-speedup", "0.001x", "--eval", data, "--max-drop", "100"}, 0,
       "PASS");
  gate({"--max-noise", "1000000%", "--min-speedup", "1000x"}, 4, "FAIL");
  // Against itself the limit lies inside the interval, or noise puts it outside: the exit code says which.
  const Finished same = run({"verify", a, a, "--rounds", "11", "--min-speedup", "1.0x", "--json"});
  const std::string outcome = document(same)["outcome"];
  EXPECT_EQ(same.exit, outcome == "PASS" ? 0 : outcome == "FAIL" ? 4 : 5) << outcome << same.err;
}

// The negative story: an operator whose channels nobody follows is kept as it is, and the rest can be worked on. One of
// another domain is refused by name, for no runtime that is supported would run it.
TEST_F(Stories, UnknownOperatorsAreKept) {
  graph::Model model = small_model(24);
  model.graph.nodes[1] = {"Tan", "", "tangent", {"a"}, {"b"}};
  onnx::write(model, file("odd.onnx"));
  const Finished f = run({"inspect", file("odd.onnx"), "--groups"});
  EXPECT_EQ(f.exit, 0) << f.err;
  EXPECT_NE(f.out.find("frozen"), std::string::npos) << f.out;
  EXPECT_NE(f.out.find("tangent"), std::string::npos) << "the node that holds the channels is named\n"
                                                      << f.out;
  const Json json = document(run({"inspect", file("odd.onnx"), "--json"}));
  expect_valid("inspect", json);
  const Json known = document(run({"inspect", small("plain.onnx", 24), "--json"}));
  EXPECT_LT(json["weights"]["changeable"].get<int>(), known["weights"]["changeable"].get<int>());
  EXPECT_EQ(run({"analyze", file("odd.onnx"), "-d", "t4"}).exit, 0) << "everything else works";
  model.graph.nodes[1] = {"Swizzle", "my.company", "swizzle", {"a"}, {"b"}};
  model.opsets["my.company"] = 1;
  onnx::write(model, file("custom.onnx"));
  const Finished custom = run({"inspect", file("custom.onnx")});
  EXPECT_EQ(custom.exit, 3) << custom.err;
  for (const char* word : {"E3006", "Swizzle", "my.company", "node swizzle", "help: "})
    EXPECT_NE(custom.err.find(word), std::string::npos) << custom.err;
}

}  // namespace
}  // namespace tailor::testing
