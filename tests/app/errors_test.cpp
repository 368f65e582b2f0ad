// What goes wrong, and how it is said: exit code, error code, the place, nothing on stdout, nothing left
// behind.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

namespace tailor::testing {
namespace {

class Errors : public ::testing::Test {
 protected:
  void SetUp() override { model = write_small(folder.path(), "a.onnx", 8).string(); }

  std::string file(const std::string& name, std::string_view content) {
    std::ofstream(folder.path() / name, std::ios::binary) << content;
    return (folder.path() / name).string();
  }
  TemporaryFolder folder;
  std::string model;
};

// The error as text and, with --json, as one document of its schema.
void expect_error(std::vector<std::string> arguments, int exit, const std::string& code,
                  const std::string& words = {}, const Start& start = {}) {
  Finished text = run(arguments, start);
  EXPECT_EQ(text.exit, exit) << text.err;
  EXPECT_TRUE(text.err.find("error[" + code + "]: ") != std::string::npos) << text.err;
  EXPECT_TRUE(text.err.find(words) != std::string::npos) << text.err;
  EXPECT_EQ(text.err.find('\033'), std::string::npos);
  EXPECT_EQ(text.err.find("LEFT BEHIND"), std::string::npos);
  EXPECT_EQ(text.out, "");
  arguments.push_back("--json");
  Finished json = run(arguments, start);
  EXPECT_EQ(json.exit, exit);
  Json error = document(json), schema = document(run({"schema", "error"}));
  ASSERT_TRUE(error.is_object());
  EXPECT_EQ(error["code"], code);
  EXPECT_EQ(error["exit"], exit);
  for (const std::string& line : violations(schema, error)) ADD_FAILURE() << line;
}

TEST_F(Errors, AVerbOfTwoWordsNamesThem) {
  expect_error({"devices"}, 2, "E2000", "one of list, show, probe, new");
  expect_error({"plan"}, 2, "E2000", "one of show, table, diff, apply");
}

TEST_F(Errors, AWorkloadThatIsNoneSaysWhatOneIs) {
  expect_error({"place", file("empty.json", "")}, 2, "E2103", "help: give a workload");
  expect_error({"place", file("other.json", "{\"a\": 1}")}, 2, "E2103", "help: give a workload");
}

TEST_F(Errors, UnknownVerbsAndOptionsAreGuessed) {
  expect_error({"inspct", model}, 2, "E2001", "did you mean 'inspect'?");
  expect_error({"inspect", model, "--grups"}, 2, "E2001", "did you mean '--groups'?");
  expect_error({"bench", model, "--thread=2"}, 2, "E2001", "did you mean '--threads'?");
  expect_error({"schema", "bensh"}, 2, "E2001", "did you mean 'bench'?");
  expect_error({"explain", "E9999"}, 2, "E2001", "E9999");
}

TEST_F(Errors, Usage) {
  expect_error({"inspect"}, 2, "E2000", "MODEL");
  expect_error({"inspect", model, model}, 2, "E2000");
  expect_error({"verify", model}, 2, "E2000");
  expect_error({"bench", model, "--threads", "many"}, 2, "E2002", "--threads");
  expect_error({"bench", model, "--threads", "0"}, 2, "E2002", "--threads");
  expect_error({"bench", model, "--time", "soon"}, 2, "E2002", "--time");
  expect_error({"bench", model, "--max-noise", "-1%"}, 2, "E2002", "--max-noise");
  expect_error({"verify", model, model, "--latency", "5"}, 2, "E2002", "--latency");
  expect_error({"verify", model, model, "--max-drop", "0.5"}, 2, "E2000", "--eval");
  expect_error({"verify", model, model, "--max-drop", "-1"}, 2, "E2002", "for instance 0.5");
  expect_error({"doctor", "--noise-test", "1h"}, 2, "E2002", "--noise-test");
}

TEST_F(Errors, FilesThatAreNoModels) {
  expect_error({"inspect", "/nowhere/a.onnx"}, 2, "E2101", "/nowhere/a.onnx");
  expect_error({"inspect", folder.path().string()}, 2, "E2101", folder.path().string());
  expect_error({"inspect", file("empty.onnx", "")}, 2, "E2102", "empty.onnx");
  expect_error({"inspect", file("text.onnx", "This is a text, and no model.\n")}, 3, "E3001", "text.onnx");
  std::string whole(map_file(model).view());
  for (std::size_t part : {whole.size() / 4, whole.size() / 2, whole.size() - 3}) {
    Finished finished = run({"inspect", file("cut.onnx", std::string_view(whole).substr(0, part))});
    EXPECT_EQ(finished.exit, 3) << part << finished.err;
    EXPECT_NE(finished.err.find("cut.onnx"), std::string::npos) << finished.err;
  }
}

TEST_F(Errors, WeightsThatAreNotFinite) {
  graph::Model broken = small_model(8);
  std::vector<float> values = broken.graph.initializers.at("w2").values<float>();
  values[5] = std::numeric_limits<float>::quiet_NaN();
  broken.graph.initializers.at("w2") = graph::make_f32({8, 8, 3, 3}, values);
  onnx::write(broken, folder.path() / "nan.onnx");
  expect_error({"inspect", (folder.path() / "nan.onnx").string()}, 3, "E3009", "second");
}

TEST_F(Errors, ShapesThatDoNotFit) {
  expect_error({"inspect", model, "--shape", "x:1x4x32x32"}, 3, "E3101");
  expect_error({"inspect", model, "--shape", "image:1x3x32x32"}, 2, "E2001", "x");
  expect_error({"inspect", model, "--shape", "x:big"}, 2, "E2002", "--shape");
  expect_error({"inspect", model, "--shape", "x:1x3x32x32", "--shape", "x:1x3x32x32"}, 2, "E2002");
  expect_error({"bench", model, model, "--shape", "image:1x3x32x32"}, 2, "E2001", "inputs: x");
}

TEST_F(Errors, FreeDimensionsMustBeGivenForTiming) {
  graph::Model free = small_model(8);
  free.graph.inputs[0].shape = graph::Shape{graph::kUnknown, 3, graph::kUnknown, graph::kUnknown};
  onnx::write(free, folder.path() / "free.onnx");
  expect_error({"bench", (folder.path() / "free.onnx").string()}, 3, "E3102", "--shape x:1x3x?x?");
}

TEST_F(Errors, ModelsWithDifferentInterfaces) {
  graph::Model other = small_model(8);
  other.graph.nodes.back().outputs = {"z"};
  other.graph.outputs[0].name = "z";
  onnx::write(other, folder.path() / "other.onnx");
  expect_error({"verify", model, (folder.path() / "other.onnx").string()}, 3, "E3101", "differ");
}

TEST_F(Errors, NetworksInIntegersHaveNoPrices) {
  TAILOR_NEEDS_RUNTIME();
  const std::filesystem::path quantised = real_model("shufflenet-v2-12-int8");
  TAILOR_NEEDS(quantised);
  const std::string samples = write_array(folder.path(), "samples.npy", {40, 3, 224, 224}).string(),
                    out = (folder.path() / "out.onnx").string();
  expect_error({"optimize", quantised.string(), "-o", out, "--latency", "0.8x", "--calib", samples}, 3,
               "E3201", "56 QLinearConv");
}

TEST_F(Errors, DataThatCannotBeUsed) {
  TAILOR_NEEDS_RUNTIME();
  std::string wrong = write_array(folder.path(), "wrong.npy", {4, 3, 16, 16}).string();
  std::string plain = write_array(folder.path(), "plain.npy", {4, 3, 32, 32}).string();
  expect_error({"verify", model, model, "--calib", wrong}, 2, "E2106", "3x16x16");
  expect_error({"verify", model, model, "--calib", "/nowhere.npz"}, 2, "E2101", "/nowhere.npz");
  expect_error({"verify", model, model, "--calib", file("x.npz", "no archive")}, 2, "E2105", "x.npz");
  expect_error({"verify", model, model, "--eval", plain, "--max-drop", "1"}, 2, "E2105", "labels");
}

TEST_F(Errors, MissingRuntime) {
  Start start{.environment = {{"TAILOR_ORT_LIBRARY", "/nowhere/libonnxruntime.so"}}};
  expect_error({"bench", model}, 6, "E6001", "/nowhere/libonnxruntime.so", start);
  Finished doctor = run({"doctor", "--json"}, start);
  EXPECT_EQ(doctor.exit, 6);
  EXPECT_EQ(document(doctor)["usable"], false);
  EXPECT_NE(doctor.err.find("error[E6001]"), std::string::npos) << doctor.err;
  EXPECT_EQ(run({"--version"}, start).exit, 0);
}

TEST_F(Errors, RunnerThatIsNone) {
  expect_error({"bench", model, "--runner", "echo hello"}, 6, "E6002");
  expect_error({"bench", model, "--runner", "exit 3"}, 6, "E6002");
}

TEST_F(Errors, FullDisk) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  for (std::vector<std::string> arguments :
       {std::vector<std::string>{"inspect", model}, {"inspect", model, "--json"}}) {
    Finished finished = run(arguments, {.stdout_file = "/dev/full"});
    EXPECT_EQ(finished.exit, 8);
    EXPECT_NE(finished.err.find("error[E8002]"), std::string::npos) << finished.err;
  }
}

TEST_F(Errors, FileSizeLimit) {
  TAILOR_NEEDS_RUNTIME();
  std::string data = write_array(folder.path(), "x.npy", {64, 3, 32, 32}).string();
  Finished finished = run({"verify", model, model, "--calib", data}, {.file_limit = 20000});
  EXPECT_EQ(finished.exit, 8) << finished.err;
  EXPECT_NE(finished.err.find("error[E8002]"), std::string::npos) << finished.err;
}

TEST_F(Errors, InterruptLeavesNothing) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished = run({"bench", model, "--time", "100s"}, {.interrupt_after_s = 1});
  EXPECT_EQ(finished.exit, 130) << finished.err;
  EXPECT_EQ(finished.out, "");
  EXPECT_EQ(finished.err.find("LEFT BEHIND"), std::string::npos) << finished.err;
  Finished json = run({"bench", model, "--time", "100s", "--json"}, {.interrupt_after_s = 1});
  EXPECT_EQ(document(json)["exit"], 130);
}

// A copy of the program alone in its folder finds no tailor-learn beside it.
TEST_F(Errors, TheTrainingProgramMayBeMissing) {
  std::string copy = (folder.path() / "tailor").string(), err = folder.fresh(".err").string();
  std::filesystem::copy_file(TAILOR_PROGRAM, copy);
  for (const char* verb : {"train", "finetune", "--json distill", "-q evaluate"}) {
    int status =
        std::system((copy + " " + verb + " " + model + " --data x 2> " + err + " > " + err + ".out").c_str());
    EXPECT_EQ(WEXITSTATUS(status), 6) << verb;
    std::string text(map_file(err).view());
    EXPECT_NE(text.find("error[E6101]"), std::string::npos) << text;
    EXPECT_NE(text.find("make learn"), std::string::npos) << text;
  }
}

TEST_F(Errors, ColourOnlyWhenAskedFor) {
  EXPECT_EQ(run({"inspect", "/nowhere"}).err.find('\033'), std::string::npos);
  EXPECT_NE(run({"inspect", "/nowhere", "--color=always"}).err.find('\033'), std::string::npos);
}

TEST_F(Errors, NamesOfModelsCannotDriveTheTerminal) {
  graph::Model evil = small_model(8);
  evil.graph.nodes[0].name = "\033[2Jfirst\nline";
  onnx::write(evil, folder.path() / "evil.onnx");
  Finished finished = run({"inspect", (folder.path() / "evil.onnx").string(), "--groups"});
  EXPECT_EQ(finished.exit, 0);
  EXPECT_EQ(finished.out.find('\033'), std::string::npos);
}

}  // namespace
}  // namespace tailor::testing
