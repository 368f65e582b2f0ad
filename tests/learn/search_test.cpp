// tailor search as its users start it: spaces that are wrong, a whole run, and one that is killed again and again.
#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/base/random.h"
#include "tailor/onnx/onnx.h"
#include "tailor/trainer/search_file.h"
#include "tailor/trainer/search_journal.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/learn/graphs.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <map>
#include <sstream>

namespace tailor::testing {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;
using trainer::Strategy;

const std::string kGoal = "model = 'net.onnx'\n[goal]\nlatency = '0.6x'\n";

trainer::SearchFile parsed(const std::string& toml) {
  return trainer::parse_search_file(toml, "folder/space.toml");
}

TEST(SearchFile, HoldsWhatIsWritten) {
  const trainer::SearchFile f = parsed(
      "model = 'net.onnx'\nseed = 3\n[widths]\nfrom = 0.5\nstep = 2\n[[group]]\nname = 'a'\nwidths = [4, 8]\n"
      "[[group]]\nname = 'b'\nstep = 4\n[[group]]\nname = 'c'\nkeep = true\n[depth]\nblocks = ['sum']\n"
      "[kernels]\nsizes = [1, 3]\nlayers = ['d']\n[goal]\nmacs = '0.5x'\nthreads = 2\ncompare = ['macs', "
      "'tail-free']\n[accuracy]\nheld_out = 10\nstatistics = 20\npoints = 5\nrounds = 1\n[supernet]\n"
      "epochs = 7\nstart = 'random'\nrandom = 1\ntemperature = 2\nrule = 'adamw'\nflip = true\ncrop = 2\n"
      "[finalists]\nepochs = 2\nstart = 'random'\nschedule = 'step'\nrate = 0.02\n");
  EXPECT_EQ(f.model, "folder/net.onnx");
  EXPECT_EQ(f.space.widths.from, 0.5);
  ASSERT_EQ(f.space.groups.size(), 3u);
  EXPECT_EQ(f.space.groups[0].widths, (std::vector<int>{4, 8}));
  EXPECT_EQ(f.space.groups[1].from, 0.5);
  EXPECT_EQ(f.space.groups[1].step, 4);
  EXPECT_TRUE(f.space.groups[2].keep);
  EXPECT_EQ(f.space.branches, Words{"sum"});
  EXPECT_EQ(f.space.kernels, (std::vector<int>{1, 3}));
  EXPECT_EQ(f.goal.macs, 0.5);
  EXPECT_EQ(f.threads, 2);
  EXPECT_EQ(f.strategies, (std::vector<Strategy>{Strategy::tail_free, Strategy::macs}));
  EXPECT_EQ(f.held_out, 10);
  EXPECT_EQ(f.supernet.epochs, 7);
  EXPECT_TRUE(f.anew);
  EXPECT_EQ(f.supernet.rule, learn::Rule::adamw);
  EXPECT_TRUE(f.supernet.augmentation.flip);
  EXPECT_EQ(f.finalists.schedule.curve, learn::Curve::step);
  EXPECT_FALSE(f.inherit);
  EXPECT_EQ(f.finalists.seed, 3u);
}

TEST(SearchFile, HasDefaults) {
  const trainer::SearchFile f = parsed(kGoal);
  EXPECT_EQ(f.goal.ratio, 0.6);
  EXPECT_EQ(f.strategies.size(), 3u);
  EXPECT_TRUE(f.inherit);
  EXPECT_EQ(parsed("model = 'n'\n[goal]\nlatency = '300us'").goal.latency_us, 300.0);
}

TEST(SearchFile, NamesTheLineOfWhatIsWrong) {
  const std::vector<std::pair<std::string, int>> wrong = {
      {"[goal]\nlatency = '0.6x'", 0},
      {"model = 'n'", 0},
      {"model = 3\n[goal]\nlatency = '0.6x'", 1},
      {"model = 'n'\n[goal]\nlatency = '0.6x'\nmacs = '0.5x'", 2},
      {"model = 'n'\n[goal]\nlatency = 'soon'", 3},
      {"model = 'n'\n[goal]\nlatency = '2x'", 2},
      {"model = 'n'\n[goal]\nmacs = '0.5x'\ncompare = ['tail-free']", 4},
      {kGoal + "compare = ['both']", 4},
      {kGoal + "compare = ['macs', 'macs']", 4},
      {kGoal + "thread = 1", 4},
      {kGoal + "[widths]\nfrom = 2", 5},
      {kGoal + "[widths]\nstep = 0", 5},
      {kGoal + "[[group]]\nwidths = [4]", 4},
      {kGoal + "[[group]]\nname = 'a'\nwidths = []", 6},
      {kGoal + "[[group]]\nname = 'a'\nwidths = [4]\nkeep = true", 4},
      {kGoal + "[depth]\ndrop = 'some'", 5},
      {kGoal + "[kernels]", 4},
      {kGoal + "[accuracy]\npoints = 1", 5},
      {kGoal + "[supernet]\nepochs = 0", 5},
      {kGoal + "[supernet]\nstart = 'there'", 5},
      {kGoal + "[finalists]\nrate = -1", 5},
      {kGoal + "[finalists]\nsmoothing = 'much'", 5},
      {kGoal + "[goal]\n", 4},
      {kGoal + "[[[", 0},
  };
  for (const auto& [toml, line] : wrong) try {
      parsed(toml);
      ADD_FAILURE() << toml;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_toml) << toml;
      if (line > 0) {
        EXPECT_EQ(error.place(), "folder/space.toml:" + std::to_string(line)) << toml << error.what();
      }
    }
}

pipeline::FoundMember some_member() {
  return {{{4, 6}, {1}, {0, 2}}, 0.6, 0.1, 1.2, true, {true, 0.5, 0.25, 0}, 7};
}

TEST(SearchJournal, RemembersAndPassesOverWhatWasCutOff) {
  TemporaryFolder folder;
  const fs::path path = folder.path() / "journal";
  EXPECT_FALSE(trainer::SearchJournal::go_on(path, "run"));
  {
    trainer::SearchJournal journal = trainer::SearchJournal::begin(path, "run");
    journal.write("loss a", 0.1), journal.write("loss b", 1.0 / 3), journal.write("found", some_member());
  }
  write_file(path, std::string(map_file(path).view()) + "{\"key\": \"loss c\", \"val");
  {
    auto journal = trainer::SearchJournal::go_on(path, "run");
    ASSERT_TRUE(journal);
    EXPECT_EQ(journal->number("loss b"), 1.0 / 3);
    EXPECT_FALSE(journal->number("loss c"));
    EXPECT_EQ(journal->count("loss "), 2u);
    EXPECT_EQ(trainer::to_json(*journal->member("found")), trainer::to_json(some_member()));
    journal->write("loss c", 2);
  }
  EXPECT_EQ(trainer::SearchJournal::go_on(path, "run")->count("loss "), 3u);
  auto code = [&](const std::string& run) {
    try {
      trainer::SearchJournal::go_on(path, run);
    } catch (const Error& error) {
      return error.code();
    }
    return Code::bug;
  };
  EXPECT_EQ(code("another"), Code::checkpoint_mismatch);
  write_file(path, "{\"run\": \"run\"}\n{\"key\": 3}\n");
  EXPECT_EQ(code("run"), Code::bad_checkpoint);
}

class Search : public ::testing::Test {
 protected:
  Search() {
    fs::create_directory(folder.path() / "test");
    data = write_colours(folder.path(), 240, 3), eval = write_colours(folder.path() / "test", 100, 4);
    graph::Model model = small_classifier();
    model.graph.inputs[0].shape = graph::Shape{1, 3, 8, 8};
    onnx::write(model, folder.path() / "net.onnx");
    space("latency = '0.9x'");
  }
  void space(const std::string& goal, const std::string& more = {}) const {
    write_file(folder.path() / "space.toml",
               "model = 'net.onnx'\nseed = 1\n[widths]\nfrom = 0.3\nstep = 1\n[depth]\ndrop = 'all'\n"
               "[kernels]\nsizes = [1]\n[goal]\n" +
                   goal +
                   "\n[accuracy]\nheld_out = 60\nstatistics = 60\npoints = 3\nrounds = 2\n[supernet]\n"
                   "epochs = 6\nbatch = 20\nrate = 0.1\ncrop = 1\n[finalists]\nepochs = 3\nbatch = 20\n"
                   "rate = 0.05\n" +
                   more);
  }
  Words search(const std::string& out, Words more = {}) const {
    Words words = {"search",    folder.path() / "space.toml",
                   "-o",        folder.path() / out,
                   "--data",    data,
                   "--eval",    eval,
                   "--time",    "0.5s",
                   "--profile", folder.path() / "profile.jsonl",
                   "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::string bytes(const std::string& name) const {
    return std::string(map_file(folder.path() / name).view());
  }

  TemporaryFolder folder;
  std::string data, eval;
};

void expect_error(const Finished& finished, int exit, const std::string& code, const std::string& words) {
  EXPECT_EQ(finished.exit, exit) << finished.err;
  EXPECT_NE(finished.err.find("error[" + code + "]"), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find(words), std::string::npos) << finished.err;
  EXPECT_EQ(finished.out, "");
}

// 0: all found something; 4: one of them did not within the goal, on a machine where this small network's latency is all
// overhead. Both print the document.
void expect_done(const Finished& finished) {
  EXPECT_TRUE(finished.exit == 0 || finished.exit == 4) << finished.err;
}

TEST_F(Search, ComparesThreeSearches) {
  TAILOR_NEEDS_RUNTIME();
  const Finished finished = run(search("out", {"--json"}));
  expect_done(finished);
  const Json found = document(finished);
  for (const std::string& line : violations(document(run({"schema", "search"})), found))
    ADD_FAILURE() << line;
  EXPECT_EQ(parse_json(bytes("out/search.json"), "search.json"), found);
  EXPECT_GT(found["spaces"]["all-widths"]["log10_size"], 1.0);
  EXPECT_LE(found["spaces"]["tail-free"]["log10_size"], found["spaces"]["all-widths"]["log10_size"]);
  EXPECT_EQ(found["samples"]["learned_from"], 180);
  EXPECT_GT(found["whole"]["evaluation"]["top1"], 0.5);
  ASSERT_EQ(found["finalists"].size(), 3u);
  for (const Json& f : found["finalists"]) {
    EXPECT_GT(f["after"]["top1"], 0.3) << f;
    const Finished again = run({"evaluate", f["model"].get<std::string>(), "--data", eval, "--json"});
    EXPECT_EQ(document(again)["top1"], f["after"]["top1"]);
  }
  EXPECT_EQ(found["speed"]["models"].size(), 4u);
  for (const auto& entry : fs::directory_iterator(folder.path() / "out"))
    EXPECT_NE(entry.path().extension(), ".checkpoint");
}

TEST_F(Search, TakesMacsAsTheGoal) {
  TAILOR_NEEDS_RUNTIME();
  space("macs = '0.5x'\ncompare = ['tail-free', 'macs']");
  const Finished finished = run(search("out"));
  expect_done(finished);
  EXPECT_NE(finished.out.find("goal      macs 0.5x"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("tail-free - macs"), std::string::npos) << finished.out;
  const Json found = parse_json(bytes("out/search.json"), "search.json");
  EXPECT_LE(found["finalists"][1]["macs_ratio"], 0.5);
}

TEST_F(Search, SaysWhatIsWrong) {
  expect_error(run({"search", folder.path() / "none.toml", "-o", folder.path() / "out", "--data", data,
                    "--eval", eval}),
               2, "E2101", "none.toml");
  expect_error(run(search("out", {"--epochs", "3"})), 2, "E2001", "--epochs");
  expect_error(run({"search", folder.path() / "space.toml"}), 2, "E2000", "--output");
  space("latency = '0.9x'", "[[group]]\nname = 'conv3'\n");
  expect_error(run(search("out")), 2, "E2001", "conv1");
  space("latency = '0.9x'", "[[group]]\nname = 'conv1'\nwidths = [7]\n");
  expect_error(run(search("out")), 2, "E2301", "space.toml:");
  space("latency = '0.9x'", "widht = 3\n");
  expect_error(run(search("out")), 2, "E2104", "unknown key 'widht'");
  space("latency = '0.9x'\nthreads = 1");
  expect_error(run(search("out", {"--limit", "100"})), 2, "E2002", "held out");
  expect_error(run(search("out", {"--shape", "x"})), 2, "E2002", "x");
  expect_error(run(search("out", {"--resume"})), 2, "E2109", "begins anew");
  write_file(folder.path() / "file", "no folder");
  expect_error(run(search("file")), 8, "E8002", "folder");
}

TEST_F(Search, HelpIsAResult) {
  const Finished finished = run({"search", "--help"});
  EXPECT_EQ(finished.exit, 0);
  EXPECT_NE(finished.out.find("Usage: tailor search"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("Examples:"), std::string::npos) << finished.out;
}

// Killed wherever it is: in the supernet's training, between losses, in a finalist's training. What it ends with is what
// the same plans end with undisturbed; latencies are measured, so two runs of their own may choose differently.
TEST_F(Search, KilledAtRandomMomentsGoesOn) {
  TAILOR_NEEDS_RUNTIME();
  const Words more = {"--checkpoint-every", "0s"};
  Random random(static_cast<std::uint64_t>(::getpid()));
  std::string supernet;
  Finished finished;
  int kills = 0;
  for (bool done = false; !done; ++kills) {
    Words words = search("out", more);
    const fs::path out = folder.path() / "out";
    if (fs::exists(out / "search.jsonl") || fs::exists(out / "supernet.checkpoint"))
      words.push_back("--resume");
    finished = run(words, {.kill_after_s = kills < 12 ? random.uniform(0.8, 3) : 0});
    done = finished.exit == 0 || finished.exit == 4;
    ASSERT_TRUE(done || finished.exit == 128 + 9) << finished.err;
    if (supernet.empty() && fs::exists(out / "search.jsonl")) supernet = bytes("out/supernet.onnx");
  }
  RecordProperty("kills", kills - 1);
  EXPECT_EQ(bytes("out/supernet.onnx"), supernet) << "it is not trained twice";
  ASSERT_TRUE(fs::exists(folder.path() / "out" / "search.json"));
  const Finished again = run(search("whole"));
  expect_done(again);
  EXPECT_EQ(bytes("whole/supernet.onnx"), supernet) << "bit for bit";
  // The same journal, so the same networks, trained without a kill.
  std::map<std::string, std::string> trained;
  for (const char* name : {"tail-free", "all-widths", "macs"})
    trained[name] = bytes("out/" + std::string(name) + ".onnx");
  std::string kept;
  std::istringstream lines(bytes("out/search.jsonl"));
  for (std::string line; std::getline(lines, line);)
    if (line.find("\"trained ") == std::string::npos) kept += line + "\n";
  write_file(folder.path() / "out" / "search.jsonl", kept);
  expect_done(run(search("out", {"--resume"})));
  for (const auto& [name, content] : trained) EXPECT_EQ(bytes("out/" + name + ".onnx"), content) << name;
  expect_error(run(search("out", {"--resume", "--limit", "200"})), 2, "E2202", "another one");
}

}  // namespace
}  // namespace tailor::testing
