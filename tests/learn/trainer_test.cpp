// tailor train, finetune, distill and evaluate as their users start them, and killed at random moments.
#include "tailor/base/json.h"
#include "tailor/base/random.h"
#include "tailor/onnx/onnx.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/learn/graphs.h"
#include "tests/testing.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace tailor::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

class Trainer : public ::testing::Test {
 protected:
  Trainer() {
    fs::create_directory(folder.path() / "test");
    data = write_colours(folder.path(), 200, 3), eval = write_colours(folder.path() / "test", 100, 4);
    onnx::write(small_classifier(), model);
  }
  Words finetune(const std::string& out, const Words& more = {}, const char* epochs = "4",
                 const char* rate = "0.1") const {
    Words words = {"finetune", model, "-o",       folder.path() / out,
                   "--data",   data,  "--epochs", epochs,
                   "--batch",  "20",  "--rate",   rate,
                   "--crop",   "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::string bytes(const std::string& name) const {
    return std::string(map_file(folder.path() / name).view());
  }

  TemporaryFolder folder;
  std::string model = folder.path() / "model.onnx", data, eval;
};

void expect_valid(const Finished& finished) {
  Json json = document(finished);
  ASSERT_TRUE(json.is_object()) << finished.err;
  std::string name = json.value("schema", "none");
  Json schema = document(run({"schema", name.substr(7, name.size() - 9)}));
  for (const std::string& line : violations(schema, json)) ADD_FAILURE() << name << ": " << line;
}

void expect_error(const Finished& finished, int exit, const std::string& code, const std::string& words) {
  EXPECT_EQ(finished.exit, exit) << finished.err;
  EXPECT_NE(finished.err.find("error[" + code + "]"), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find(words), std::string::npos) << finished.err;
  EXPECT_EQ(finished.out, "");
}

TEST_F(Trainer, FinetunesAndEvaluates) {
  Finished text = run(finetune("out.onnx", {"--eval", eval, "--curve", folder.path() / "curve.csv"}));
  EXPECT_EQ(text.exit, 0) << text.err;
  EXPECT_NE(text.out.find("accuracy  top-1 "), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("4 epochs of 200 samples, 40 steps"), std::string::npos) << text.out;
  EXPECT_EQ(text.err.find("LEFT BEHIND"), std::string::npos) << text.err;
  EXPECT_FALSE(fs::exists(folder.path() / "out.onnx.checkpoint"));
  EXPECT_EQ(bytes("curve.csv").substr(0, 10), "epoch,step");
  Finished before = run({"evaluate", model, "--data", eval, "--json"});
  Finished after = run({"evaluate", folder.path() / "out.onnx", "--data", eval, "--json"});
  expect_valid(before), expect_valid(after);
  EXPECT_GT(document(after)["top1"], 0.95);
  EXPECT_LT(document(before)["top1"], 0.6);
  EXPECT_EQ(document(after)["samples"], 100);
}

TEST_F(Trainer, DistillsWithoutLabels) {
  ASSERT_EQ(run(finetune("teacher.onnx")).exit, 0);
  fs::remove(folder.path() / "colours-labels-idx1-ubyte");
  onnx::write(small_classifier(50), model);
  Finished finished = run({"--json",
                           "distill",
                           folder.path() / "teacher.onnx",
                           model,
                           "-o",
                           folder.path() / "student.onnx",
                           "--data",
                           data,
                           "--eval",
                           eval,
                           "--epochs",
                           "6",
                           "--batch",
                           "20",
                           "--rate",
                           "0.1",
                           "--rule",
                           "sgd",
                           "--statistics",
                           "batch",
                           "--temperature",
                           "2"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  expect_valid(finished);
  Json json = document(finished);
  EXPECT_EQ(json["verb"], "distill");
  EXPECT_GT(json["evaluation"]["after"]["top1"], 0.85);
  EXPECT_GT(json["evaluation"]["original"]["top1"], 0.95);
  EXPECT_EQ(json["curve"].size(), 6u);
}

// What fails before training fails with its code: g++ 12 once freed a model twice here.
TEST_F(Trainer, RefusesSamplesToJudgeByThatHaveNoLabels) {
  fs::remove(folder.path() / "test" / "colours-labels-idx1-ubyte");
  expect_error(run(finetune("out.onnx", {"--eval", eval})), 2, "E2106", "no labels");
  EXPECT_FALSE(fs::exists(folder.path() / "out.onnx"));
}

// DIANA with activations in floats.
std::string float_platform(const std::filesystem::path& folder) {
  std::string toml = run({"platform", "show", "diana"}).out;
  const std::size_t at = toml.find("activation_bits"), end = toml.find('\n', at);
  EXPECT_NE(at, std::string::npos) << toml;
  write_file(folder / "floats.toml", toml.erase(at, end + 1 - at));
  return folder / "floats.toml";
}

// A mapping is made, weights are trained for it, and it is carried out with them: what training says of them is what comes out.
TEST_F(Trainer, TrainsForAMapping) {
  const std::string mapping = folder.path() / "map.json", tuned = folder.path() / "tuned.onnx",
                    platform = float_platform(folder.path());
  ASSERT_EQ(run(finetune("float.onnx")).exit, 0);
  model = folder.path() / "float.onnx";
  const Finished mapped = run({"map", model, "--platform", platform, "--objective", "energy", "--json"});
  ASSERT_EQ(mapped.exit, 0) << mapped.err;
  expect_valid(mapped);
  write_file(mapping, mapped.out);
  const Finished trained = run(finetune("tuned.onnx", {"--mapping", mapping, "--eval", eval, "--json"}));
  ASSERT_EQ(trained.exit, 0) << trained.err;
  expect_valid(trained);
  const Json evaluation = document(trained)["evaluation"];
  EXPECT_GT(evaluation["unrounded"]["top1"], 0.95);
  EXPECT_LE(evaluation["before"]["loss"], 5) << "of a network in ternary weights";
  EXPECT_LT(evaluation["after"]["loss"], evaluation["before"]["loss"]);
  EXPECT_GE(evaluation["after"]["top1"], evaluation["before"]["top1"]);
  EXPECT_TRUE(document(trained)["activation_bits"].is_null());
  const Finished again = run({"map", tuned, "--platform", platform, "--objective", "energy", "--mapping",
                              mapping, "--eval", eval, "--json"});
  ASSERT_EQ(again.exit, 0) << again.err;
  expect_valid(again);
  EXPECT_EQ(document(again)["chosen"]["channels"], document(mapped)["chosen"]["channels"]);
  EXPECT_EQ(document(again)["chosen"]["energy_uj"], document(mapped)["chosen"]["energy_uj"]);
  EXPECT_NEAR(document(again)["chosen"]["accuracy"]["top1_percent"].get<double>(),
              100 * evaluation["after"]["top1"].get<double>(), 1e-9);
}

// With the bits that DIANA's activations have: in training, in what it says, and in what `map` says afterwards.
TEST_F(Trainer, TrainsBesideRoundedActivations) {
  const std::string mapping = folder.path() / "map.json", tuned = folder.path() / "tuned.onnx";
  const Finished mapped = run({"map", model, "--platform", "diana", "--json"});
  ASSERT_EQ(mapped.exit, 0) << mapped.err;
  EXPECT_EQ(document(mapped)["activation_bits"], 7);
  EXPECT_EQ(document(mapped)["activations_rounded"], false) << "no samples";
  write_file(mapping, mapped.out);
  const Finished trained = run(finetune("tuned.onnx", {"--mapping", mapping, "--eval", eval, "--json"}));
  ASSERT_EQ(trained.exit, 0) << trained.err;
  expect_valid(trained);
  EXPECT_EQ(document(trained)["activation_bits"], 7);
  const Finished again = run(
      {"map", tuned, "--platform", "diana", "--mapping", mapping, "--calib", data, "--eval", eval, "--json"});
  ASSERT_EQ(again.exit, 0) << again.err;
  expect_valid(again);
  EXPECT_EQ(document(again)["activations_rounded"], true);
  EXPECT_NEAR(document(again)["chosen"]["accuracy"]["top1_percent"].get<double>(),
              100 * document(trained)["evaluation"]["after"]["top1"].get<double>(), 3);
  Json other = document(mapped);
  other["activation_bits"] = 70;
  write_file(mapping, to_line(other));
  expect_error(run(finetune("tuned.onnx", {"--mapping", mapping})), 2, "E2103", "activation_bits");
}

// Outputs of all layers that a mapping gives to its second unit.
int on_the_second(const Json& mapping) {
  int channels = 0;
  for (const Json& layer : mapping["chosen"]["channels"]) channels += layer[1].get<int>();
  return channels;
}

// What the search decided is a document of `map`: training goes on with it, and where cost counts more, more channels go to the
// unit whose cost grows less with each. (Layers as small as these cost least in one piece on the other one: the search sees
// slopes, not steps.)
TEST_F(Trainer, LearnsAMapping) {
  const std::string mapping = folder.path() / "map.json";
  auto assign = [&](const char* strength, const char* more) {
    Words words =
        finetune("searched.onnx", {"--platform", "diana", "--objective", "energy", "--strength", strength,
                                   "--share-rate", "0.1", "--mapping-output", mapping, more});
    words[0] = "assign";
    return run(words);
  };
  const Finished cheap = assign("50", "--json");
  ASSERT_EQ(cheap.exit, 0) << cheap.err;
  expect_valid(cheap);
  const Json found = document(cheap)["decided"];
  EXPECT_EQ(found, parse_json(std::string(map_file(mapping).view()), "map.json"));
  const Finished tuned =
      run({"finetune", folder.path() / "searched.onnx", "-o", folder.path() / "tuned.onnx", "--mapping",
           mapping, "--data", data, "--epochs", "1", "--batch", "20", "--json"});
  EXPECT_EQ(tuned.exit, 0) << tuned.err;
  const Finished precise = assign("0", "--color=never");
  ASSERT_EQ(precise.exit, 0) << precise.err;
  EXPECT_NE(precise.out.find("channels on analog"), std::string::npos) << precise.out;
  const Json dear = parse_json(std::string(map_file(mapping).view()), "map.json");
  EXPECT_GT(on_the_second(found), on_the_second(dear) + 3);
  expect_error(assign("-1", "--color=never"), 2, "E2002", "--strength");
}

// Groups go to one unit together: nothing to search, but `map` plans such layers.
TEST_F(Trainer, DoesNotSearchLayersThatCannotBeSplit) {
  graph::Model grouped = small_classifier();
  grouped.graph.nodes[3].attributes["group"] = {std::int64_t{2}};
  grouped.graph.initializers.at("w2") = drawn({6, 3, 3, 3}, 2);
  onnx::write(grouped, model);
  Words words = finetune("out.onnx", {"--platform", "diana", "--mapping-output", folder.path() / "map.json"});
  words[0] = "assign";
  expect_error(run(words), 3, "E3301", "conv2");
  EXPECT_FALSE(fs::exists(folder.path() / "map.json"));
  EXPECT_EQ(run({"map", model, "--platform", "diana"}).exit, 0);
}

TEST_F(Trainer, RefusesMappingsOfOtherModels) {
  const std::string mapping = folder.path() / "map.json";
  auto with = [&](const std::string& text) {
    write_file(mapping, text);
    return run(finetune("out.onnx", {"--mapping", mapping}));
  };
  expect_error(with("{}"), 2, "E2103", "schema");
  Json json = document(run({"map", model, "--platform", "diana", "--json"}));
  Json other = json;
  other["layers"][0]["name"] = "elsewhere";
  expect_error(with(to_line(other)), 2, "E2107", "2 of the 3 layers");
  other = json, other["layers"][0]["assignment"].push_back(0);
  expect_error(with(to_line(other)), 2, "E2107", "channels");
  other = json, other["layers"][0]["assignment"][0] = 2;
  expect_error(with(to_line(other)), 2, "E2103", "ways");
  other = json, other["chosen"] = nullptr;
  expect_error(with(to_line(other)), 2, "E2103", "no mapping");
  other = json, other["ways"][0]["weights"] = "int99";
  expect_error(with(to_line(other)), 2, "E2103", "int99");
  EXPECT_FALSE(fs::exists(folder.path() / "out.onnx"));
}

TEST_F(Trainer, TakesGradientsThatOptimizeReads) {
  const std::string worth = folder.path() / "worth.json";
  Finished finished = run({"worth", model, "-o", worth, "--data", data, "--limit", "40", "--json"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  expect_valid(finished);
  EXPECT_EQ(document(finished)["labels"], "given");
  EXPECT_EQ(document(finished)["samples"], 40);
  EXPECT_EQ(parse_json(bytes("worth.json"), worth), document(finished));
  onnx::write(small_classifier(9), folder.path() / "other.onnx");
  Finished other =
      run({"optimize", folder.path() / "other.onnx", "-o", folder.path() / "out.onnx", "--calib", data,
           "--rule", "uniform", "--macs", "0.8x", "--criterion", "fisher", "--gradients", worth});
  expect_error(other, 2, "E2106", "of another model");
  expect_error(run({"worth", model, "-o", worth, "--data", data, "--label-offset", "9"}), 2, "E2106",
               "classes");
}

TEST_F(Trainer, DrawsPatternsThatOptimizeAndReportRead) {
  const std::string out = folder.path() / "patterns", file = out + "/patterns.json";
  Finished finished =
      run({"patterns", model, "-o", out, "--data", data, "--limit", "40", "--steps", "8", "--json"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  expect_valid(finished);
  const Json found = document(finished);
  EXPECT_EQ(parse_json(bytes("patterns/patterns.json"), file), found);
  ASSERT_EQ(found["layers"].size(), 2u);
  EXPECT_EQ(found["samples"], 40);
  EXPECT_EQ(found["groups"][0]["clusters"].size(), 6u);
  for (const Json& layer : found["layers"]) {
    EXPECT_EQ(layer["filters"].size(), 6u);
    EXPECT_EQ(bytes("patterns/" + layer["sheet"].get<std::string>()).substr(1, 3), "PNG");
    for (const Json& filter : layer["filters"]) EXPECT_GT(filter["reached"], filter["start"]);
  }
  const std::string page = folder.path() / "page.html", fast = folder.path() / "fast.onnx";
  EXPECT_EQ(run({"report", file, "-o", page}).exit, 0);
  EXPECT_NE(bytes("page.html").find(found["layers"][1]["filters"][5]["picture"].get<std::string>()),
            std::string::npos);
  const Words optimize = {"optimize", model,     "-o",      fast,   "--calib",      data,
                          "--rule",   "uniform", "--macs",  "0.8x", "--fit",        "64",
                          "--refit",  "64",      "--judge", "32",   "--best-effort"};
  auto with = [&](Words more) {
    more.insert(more.begin(), optimize.begin(), optimize.end());
    return run(more);
  };
  expect_error(with({"--patterns", file}), 2, "E2000", "--patterns says nothing here");
  expect_error(with({"--criterion", "functionality", "--patterns", data}), 2, "E2103", "");
  onnx::write(small_classifier(9), model);
  expect_error(with({"--criterion", "functionality", "--patterns", file}), 2, "E2106", "of another model");
}

TEST_F(Trainer, PatternsSayWhatIsWrong) {
  const std::string out = folder.path() / "patterns";
  auto with = [&](Words more) {
    const Words begin = {"patterns", model, "-o", out};
    more.insert(more.begin(), begin.begin(), begin.end());
    return run(more);
  };
  expect_error(with({"--layer", "conv3"}), 2, "E2001", "did you mean 'conv1'");
  expect_error(with({"--steps", "0"}), 2, "E2002", "--steps");
  expect_error(with({"--similar", "2"}), 2, "E2002", "--similar");
  expect_error(with({"--setps", "2"}), 2, "E2001", "--steps");
  write_file(folder.path() / "file", "no folder");
  expect_error(run({"patterns", model, "-o", folder.path() / "file"}), 8, "E8002", "folder");
  graph::Model flat = small_classifier();
  flat.graph.inputs[0].shape = graph::Shape{1, 3, graph::kUnknown, graph::kUnknown};
  onnx::write(flat, model);
  expect_error(with({}), 3, "E3102", "--data");
  Finished finished = with({"--data", data, "--layer", "conv1", "--steps", "2"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  EXPECT_NE(finished.out.find("layer     conv1: 6 filters"), std::string::npos) << finished.out;
}

TEST_F(Trainer, TrainsAnew) {
  Finished finished = run({"train", model, "-o", folder.path() / "out.onnx", "--data", data, "--eval", eval,
                           "--epochs", "4", "--batch", "20", "--rule", "adamw", "--rate", "0.02", "--json"});
  EXPECT_EQ(finished.exit, 0) << finished.err;
  expect_valid(finished);
  EXPECT_GT(document(finished)["evaluation"]["after"]["top1"], 0.9);
}

TEST_F(Trainer, SaysWhatIsWrong) {
  expect_error(run({"finetune", model}), 2, "E2000", "--output");
  expect_error(run(finetune("out.onnx", {"--epoch", "3"})), 2, "E2001", "did you mean '--epochs'");
  expect_error(run(finetune("out.onnx", {"--rule", "adam"})), 2, "E2002", "--rule");
  expect_error(run(finetune("out.onnx", {"--decay", "-1"})), 2, "E2002", "--decay");
  expect_error(run(finetune("out.onnx", {"--threads", "-1"})), 2, "E2002", "--threads");
  expect_error(run(finetune("out.onnx", {"--resume"})), 2, "E2109", "out.onnx.checkpoint");
  expect_error(run(finetune("nowhere/out.onnx")), 8, "E8002", "nowhere");
  expect_error(run(finetune("out.onnx", {"--label-offset", "7"})), 2, "E2106",
               "none of the model's 4 classes");
  expect_error(run(finetune("out.onnx", {}, "4", "1e30")), 4, "E4101", "loss");
  expect_error(run({"evaluate", data, "--data", data}), 3, "E3001", "colours");
  EXPECT_FALSE(fs::exists(folder.path() / "out.onnx"));
}

TEST_F(Trainer, HelpIsAResult) {
  for (const char* verb : {"train", "finetune", "distill", "assign", "evaluate", "worth", "search"}) {
    Finished finished = run({verb, "--help"});
    EXPECT_EQ(finished.exit, 0);
    EXPECT_NE(finished.out.find("Usage: tailor " + std::string(verb)), std::string::npos) << finished.out;
  }
}

// Starts the program and kills it, as a crash of the machine would, after `seconds`; true if it had ended by itself.
bool killed_after(const Words& words, double seconds) {
  pid_t child = ::fork();
  if (child == 0) {
    int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, STDOUT_FILENO), ::dup2(nowhere, STDERR_FILENO);
    std::vector<char*> pointers;
    Words own = words;
    own.insert(own.begin(), TAILOR_PROGRAM);
    for (std::string& word : own) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    ::execv(TAILOR_PROGRAM, pointers.data());
    ::_exit(127);
  }
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// 20 kills, wherever they fall: in the start, in a step, while a checkpoint is written.
TEST_F(Trainer, KilledAtRandomMomentsEndsWithTheSameBits) {
  Words more = {"--ema", "0.9", "--mixup", "0.2", "--checkpoint-every", "0s", "--threads", "1"};
  auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run(finetune("whole.onnx", more, "40")).exit, 0);
  std::chrono::duration<double> whole = std::chrono::steady_clock::now() - start;
  Random random(static_cast<std::uint64_t>(::getpid()));
  bool done = false;
  int kills = 0;
  for (; kills < 20 && !done; ++kills) {
    Words words = finetune("pieces.onnx", more, "40");
    if (fs::exists(folder.path() / "pieces.onnx.checkpoint")) words.push_back("--resume");
    done = killed_after(words, random.uniform(0.1, 0.5) * whole.count());
  }
  Words last = finetune("pieces.onnx", more, "40");
  if (fs::exists(folder.path() / "pieces.onnx.checkpoint")) last.push_back("--resume");
  if (!done) {
    Finished finished = run(last);
    ASSERT_EQ(finished.exit, 0) << finished.err;
  }
  RecordProperty("kills", kills);
  EXPECT_GE(kills, 1);
  EXPECT_EQ(bytes("pieces.onnx"), bytes("whole.onnx"));
}

}  // namespace
}  // namespace tailor::testing
