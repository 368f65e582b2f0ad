// tailor analyze as its users start it. Times are not judged: a disturbed profile (exit 5) prints its result
// too.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

#include <sstream>

namespace tailor::testing {
namespace {

class AnalyzeVerb : public ::testing::Test {
 protected:
  Finished analyze(std::vector<std::string> more, int width = 18) {
    std::vector<std::string> arguments = {"analyze",
                                          write_small(folder.path(), "small.onnx", width).string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments, {.environment = {{"TAILOR_CACHE", folder.path().string()}}});
  }
  static bool finished(const Finished& f) { return f.exit == 0 || f.exit == 5; }
  TemporaryFolder folder;
};

TEST_F(AnalyzeVerb, BesideItsBase) {
  TAILOR_NEEDS_RUNTIME();
  const std::string base = write_small(folder.path(), "base.onnx", 48).string();
  const Finished f = analyze({"--json", "--base", base}, 33);
  ASSERT_TRUE(finished(f)) << f.err;
  const Json json = document(f);
  for (const std::string& line : violations(document(run({"schema", "analysis"})), json))
    ADD_FAILURE() << line;
  EXPECT_EQ(json["base"]["how"], "measured");
  EXPECT_GT(json["base"]["network_ratio"], 0);
  ASSERT_EQ(json["base"]["layers"].size(), 3u);
  EXPECT_NEAR(json["base"]["layers"][0]["macs_ratio"].get<double>(), 33.0 / 48, 1e-12);
  EXPECT_EQ(json["base"]["layers"][2]["gained"], "same") << "the last layer is as it was";
  const Finished missing = analyze({"--base", "/nowhere/base.onnx"});
  EXPECT_EQ(missing.exit, 2);
  EXPECT_NE(missing.err.find("/nowhere/base.onnx"), std::string::npos) << missing.err;
  EXPECT_EQ(analyze({"--base", base, "-d", "cuda"}).exit, 2) << "said before anything is started";
}

TEST_F(AnalyzeVerb, DocumentAndResume) {
  TAILOR_NEEDS_RUNTIME();
  Finished too_early = analyze({"--resume"});
  EXPECT_EQ(too_early.exit, 2);
  EXPECT_NE(too_early.err.find("error[E2109]"), std::string::npos) << too_early.err;
  Finished first = analyze({"--json", "--layer", "second"});
  ASSERT_TRUE(finished(first)) << first.err;
  Json json = document(first);
  for (const std::string& line : violations(document(run({"schema", "analysis"})), json))
    ADD_FAILURE() << line;
  EXPECT_EQ(json["layers"].size(), 3u);
  EXPECT_EQ(json["totals"]["matched"]["name"], 3);
  EXPECT_EQ(json["staircase"]["layer"], "second");
  EXPECT_GT(json["measured"], 0);
  EXPECT_EQ(json["known"], 0);
  Json again = document(analyze({"--json", "--resume"}));
  EXPECT_EQ(again["measured"], 0) << "what is measured is not measured again";
  Json fresh = document(analyze({"--json", "--fresh"}));
  EXPECT_GT(fresh["measured"], 0);
}

TEST_F(AnalyzeVerb, TableTotalsAndPicture) {
  TAILOR_NEEDS_RUNTIME();
  Finished text = analyze({"--top", "1", "--layer", "second"});
  ASSERT_TRUE(finished(text)) << text.err;
  for (const char* word :
       {"2 more layers: --all", "network ", "sum of nodes", "recoverable", "present width", "###"})
    EXPECT_NE(text.out.find(word), std::string::npos) << word << '\n' << text.out;
  EXPECT_NE(analyze({"--all"}).out.find("GlobalAveragePool"), std::string::npos);
  std::istringstream lines(text.out);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(line.size(), 120u) << line << " (no terminal has 120 columns)";
}

TEST_F(AnalyzeVerb, Mistakes) {
  EXPECT_EQ(analyze({"--top", "-1"}).exit, 2);
  EXPECT_EQ(analyze({"--threads", "0"}).exit, 2);
  EXPECT_EQ(analyze({"--fresh", "--resume"}).exit, 2);
  Finished device = analyze({"--device", "cpuu"});
  EXPECT_EQ(device.exit, 2);
  EXPECT_NE(device.err.find("error[E2108]"), std::string::npos) << device.err;
  EXPECT_NE(device.err.find("did you mean 'cpu'"), std::string::npos) << device.err;
}

TEST_F(AnalyzeVerb, UnknownLayer) {
  TAILOR_NEEDS_RUNTIME();
  Finished layer = analyze({"--layer", "secnod"});
  EXPECT_EQ(layer.exit, 2);
  EXPECT_NE(layer.err.find("did you mean 'second'"), std::string::npos) << layer.err;
}

TEST_F(AnalyzeVerb, Interrupted) {
  TAILOR_NEEDS_RUNTIME();
  std::string path = write_small(folder.path(), "small.onnx", 18).string();
  Finished stopped = run({"analyze", path},
                         {.environment = {{"TAILOR_CACHE", folder.path().string()}}, .interrupt_after_s = 1});
  EXPECT_EQ(stopped.exit, 130) << stopped.err;
  EXPECT_EQ(stopped.err.find("LEFT BEHIND"), std::string::npos) << stopped.err;
}

}  // namespace
}  // namespace tailor::testing
