// Every verb on its happy path: exit code, text, and a document that its schema allows.
#include "tailor/base/json.h"
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

const std::string kDemo = TAILOR_SOURCE_DIR "/demo/shapes.onnx";

void expect_valid(const Finished& finished) {
  Json json = document(finished);
  ASSERT_TRUE(json.is_object()) << finished.err;
  std::string name = json.value("schema", "none");
  ASSERT_TRUE(name.starts_with("tailor/") && name.ends_with("/1")) << name;
  Json schema = document(run({"schema", name.substr(7, name.size() - 9)}));
  for (const std::string& line : violations(schema, json)) ADD_FAILURE() << name << ": " << line;
}

void expect_done(const Finished& finished) {
  EXPECT_EQ(finished.exit, 0) << finished.err;
  EXPECT_EQ(finished.err.find("error["), std::string::npos) << finished.err;
  EXPECT_EQ(finished.err.find("LEFT BEHIND"), std::string::npos);
  EXPECT_EQ(finished.out.find('\033'), std::string::npos);
}

// Any noise is allowed: a busy machine passes too.
std::vector<std::string> calm(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--rounds", "9", "--max-noise", "1000000%"});
  return arguments;
}

class Verbs : public ::testing::Test {
 protected:
  std::string small(const std::string& name, int width, std::uint64_t seed = 1) {
    return write_small(folder.path(), name, width, seed).string();
  }
  TemporaryFolder folder;
};

TEST_F(Verbs, VersionNamesCompiler) {
  Finished finished = run({"--version"});
  expect_done(finished);
  EXPECT_TRUE(finished.out.starts_with("tailor ")) << finished.out;
  EXPECT_NE(finished.out.find("compiler"), std::string::npos);
}

TEST_F(Verbs, HelpIsAResult) {
  for (const char* verb : {"analyze", "doctor", "inspect", "bench", "verify", "explain", "schema"}) {
    Finished finished = run({verb, "--help"});
    expect_done(finished);
    EXPECT_NE(finished.out.find("Usage"), std::string::npos) << verb;
    EXPECT_TRUE(finished.err.empty()) << finished.err;
  }
  EXPECT_EQ(run({}).exit, 0);
}

TEST_F(Verbs, InspectShowsGroups) {
  Finished text = run({"inspect", small("a.onnx", 12), "--groups"});
  expect_done(text);
  EXPECT_NE(text.out.find("3 channel groups, 2 changeable"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("made by first"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("frozen: "), std::string::npos) << text.out;
}

TEST_F(Verbs, InspectCountsMacsAndParameters) {
  Finished finished = run({"--json", "inspect", small("a.onnx", 12)});
  expect_done(finished);
  expect_valid(finished);
  Json model = document(finished)["model"];
  EXPECT_EQ(model["macs"], 32 * 32 * 9 * (3 * 12 + 12 * 8) + 80);
  EXPECT_EQ(model["parameters"], 9 * (3 * 12 + 12 * 8) + 80);
}

TEST_F(Verbs, InspectFollowsShapeOverrides) {
  Finished finished = run({"inspect", small("a.onnx", 12), "--shape", "x:[1,3,32,32]", "--json"});
  expect_done(finished);
  expect_valid(finished);
}

TEST_F(Verbs, InspectSaysThatNothingCanBeChanged) {
  graph::Model model = small_model(8);
  model.graph.nodes = {{"Relu", "", "relu", {"x"}, {"y"}}};
  model.graph.initializers.clear();
  model.graph.outputs = {{"y", graph::DataType::f32, graph::Shape{1, 3, 32, 32}}};
  onnx::write(model, folder.path() / "plain.onnx");
  Finished finished = run({"inspect", (folder.path() / "plain.onnx").string()});
  expect_done(finished);
  EXPECT_NE(finished.out.find("0 channel groups"), std::string::npos) << finished.out;
}

TEST_F(Verbs, InspectReadsTheDemo) {
  Finished text = run({"inspect", kDemo});
  expect_done(text);
  EXPECT_NE(text.out.find("residual branches"), std::string::npos) << text.out;
  expect_valid(run({"inspect", kDemo, "--json"}));
}

TEST_F(Verbs, InspectTellsWhichWeightsCanChange) {
  Json weights = document(run({"inspect", small("a.onnx", 12), "--json"}))["weights"];
  EXPECT_EQ(weights["total"], 9 * (3 * 12 + 12 * 8) + 80);
  EXPECT_EQ(weights["changeable"], weights["total"]) << "the last layer's inputs can change";
  EXPECT_TRUE(weights["frozen"].empty());
}

TEST_F(Verbs, InspectTriesCuts) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished = run({"inspect", small("a.onnx", 12), "--cuts", "3", "--json"});
  expect_done(finished);
  expect_valid(finished);
  Json cuts = document(finished)["cuts"];
  EXPECT_EQ(cuts["trials"], 6);
  EXPECT_EQ(cuts["failed"], 0);
  EXPECT_EQ(cuts["telling"], 6);
  EXPECT_EQ(cuts["groups"].size(), 2u);
  Finished text = run({"inspect", small("a.onnx", 12), "--cuts", "1", "--groups"});
  expect_done(text);
  EXPECT_NE(text.out.find("cuts: 2 of 2 compute"), std::string::npos) << text.out;
}

TEST_F(Verbs, InspectNeedsSizesToTryCuts) {
  TAILOR_NEEDS_RUNTIME();
  graph::Model model = small_model(8);
  model.graph.inputs[0].shape = graph::Shape{1, 3, graph::kUnknown, graph::kUnknown};
  model.graph.inputs[0].symbols = {"", "", "h", "w"};
  std::string path = (folder.path() / "free.onnx").string();
  onnx::write(model, path);
  Finished refused = run({"inspect", path, "--cuts", "1"});
  EXPECT_EQ(refused.exit, 3) << refused.err;
  EXPECT_NE(refused.err.find("--shape x:"), std::string::npos) << refused.err;
  EXPECT_EQ(run({"inspect", path, "--cuts", "1", "--shape", "x:1x3x8x8"}).exit, 0);
  EXPECT_EQ(run({"inspect", path, "--cuts", "-1"}).exit, 2);
}

TEST_F(Verbs, CoverageIsATableOfModels) {
  TAILOR_NEEDS_RUNTIME();
  std::string a = small("a.onnx", 12), table = (folder.path() / "table").string();
  write_file(folder.path() / "b.onnx", "no model");
  std::string command =
      std::string("TAILOR=" TAILOR_PROGRAM " sh " TAILOR_SOURCE_DIR "/scripts/coverage -n 2 ") + a + " " +
      (folder.path() / "b.onnx").string() + " >" + table;
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::string text(map_file(table).view());
  EXPECT_NE(text.find("| a | 100.0 % of 1.3 k | 2 of 3 | 4 of 4 | "), std::string::npos) << text;
  EXPECT_NE(text.find("| b | refused: E3001"), std::string::npos) << text;
}

TEST_F(Verbs, InspectUnderstandsAllRealModelsButTwo) {
  TAILOR_NEEDS(shared_data() / "onnx");
  int understood = 0, refused = 0;
  for (const auto& path : real_models()) {
    Finished finished = run({"inspect", path.string(), "--json"});
    ASSERT_TRUE(finished.exit == 0 || finished.exit == 3) << path << finished.err;
    expect_valid(finished);
    ++(finished.exit == 0 ? understood : refused);
  }
  EXPECT_EQ(refused, 2);
  EXPECT_EQ(understood, 33);
}

TEST_F(Verbs, BenchComparesInRounds) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished = run(calm({"bench", small("a.onnx", 8), small("b.onnx", 64), "--json"}));
  expect_done(finished);
  expect_valid(finished);
  Json models = document(finished)["models"];
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0]["us"].size(), 9u);
  EXPECT_GT(models[1]["to_first"]["ratio"].get<double>(),
            0);  // the verdict is a matter of time: measure_test
}

TEST_F(Verbs, BenchOfOneModelHasNoRatio) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished = run(calm({"bench", kDemo}));
  expect_done(finished);
  EXPECT_EQ(finished.out.find("first"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("median"), std::string::npos);
}

TEST_F(Verbs, VerboseGoesToStderr) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished = run(calm({"-v", "bench", small("a.onnx", 8), "--json"}));
  EXPECT_EQ(finished.exit, 0);
  EXPECT_NE(finished.err.find("x:1x3x32x32"), std::string::npos) << finished.err;
  EXPECT_TRUE(document(finished).is_object());
  EXPECT_EQ(run(calm({"-v", "-q", "bench", small("a.onnx", 8)})).err, "");
}

TEST_F(Verbs, BenchOfSeveralThreadsTakesThreeProcesses) {
  TAILOR_NEEDS_RUNTIME();
  Json json = document(run(calm({"bench", small("a.onnx", 8), "--threads", "2", "--json"})));
  EXPECT_GE(json["processes"], 3);
  EXPECT_EQ(json["models"][0]["us"].size(), 9u);
  EXPECT_EQ(json["clock"], "wall");
}

TEST_F(Verbs, BenchThatIsTooNoisyHasItsOwnExitCode) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished =
      run({"bench", small("a.onnx", 8), small("b.onnx", 9), "--rounds", "5", "--max-noise", "0.0000001%"});
  EXPECT_EQ(finished.exit, 5);
  EXPECT_NE(finished.err.find("error[E5001]"), std::string::npos) << finished.err;
  EXPECT_NE(finished.out.find("median"), std::string::npos) << "the result is printed all the same";
}

TEST_F(Verbs, VerifyOnLabelledSamples) {
  TAILOR_NEEDS_RUNTIME();
  std::string a = small("a.onnx", 8), data = write_cifar(folder.path(), 40).string();
  Finished finished = run(calm({"verify", a, a, "--eval", data, "--max-drop", "0.5", "--min-speedup", "0.01x",
                                "--latency", "100s", "--json"}));
  expect_done(finished);
  expect_valid(finished);
  Json json = document(finished);
  EXPECT_EQ(json["outcome"], "PASS");
  EXPECT_EQ(json["samples"][0]["samples"], 40);
  EXPECT_EQ(json["samples"][0]["top1"]["agree"], 40);
  EXPECT_EQ(json["samples"][0]["labelled"]["n"], 40);
  EXPECT_EQ(json["gates"].size(), 3u);
}

TEST_F(Verbs, VerifyWithoutDataDrawsRandomInputs) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished = run(calm({"verify", small("a.onnx", 8), small("b.onnx", 8, 5)}));
  expect_done(finished);
  EXPECT_NE(finished.out.find("random inputs"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("no gates given"), std::string::npos) << finished.out;
}

TEST_F(Verbs, VerifyFailsAGate) {
  TAILOR_NEEDS_RUNTIME();
  std::string a = small("a.onnx", 8), array = write_array(folder.path(), "x.npy", {6, 3, 32, 32}).string();
  Finished finished =
      run(calm({"verify", a, small("b.onnx", 64), "--calib", array, "--min-speedup", "1000x", "--json"}));
  EXPECT_EQ(finished.exit, 4);
  EXPECT_NE(finished.err.find("error[E4002]"), std::string::npos) << finished.err;
  expect_valid(finished);
  EXPECT_EQ(document(finished)["outcome"], "FAIL");
}

TEST_F(Verbs, ExplainAndSchema) {
  Finished finished = run({"explain", "E3009"});
  expect_done(finished);
  EXPECT_TRUE(finished.out.starts_with("E3009: ")) << finished.out;
  EXPECT_EQ(document(run({"explain", "3009", "--json"}))["exit"], 3);
  for (std::string name : {"analysis", "bench", "doctor", "error", "inspect", "verify"})
    EXPECT_EQ(document(run({"schema", name}))["$id"], "tailor/" + name + "/1");
}

TEST_F(Verbs, DoctorTellsWhatIsThere) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished = run({"doctor", "--noise-test", "100ms", "--json"},
                          {.environment = {{"TAILOR_CACHE", folder.path().string()}}});
  expect_done(finished);
  expect_valid(finished);
  EXPECT_EQ(document(finished)["usable"], true);
}

}  // namespace
}  // namespace tailor::testing
