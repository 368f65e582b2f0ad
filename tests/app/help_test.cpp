// What the program says of itself, and what it says to those who are lost: every message teaches the next step.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

namespace tailor::testing {
namespace {

using Words = std::vector<std::string>;

std::string reference() { return run({"man", "--markdown"}).out; }

// "plan show" and the like, as headings of the reference have them.
std::vector<Words> verbs() {
  std::vector<Words> found;
  std::istringstream text(reference());
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("## tailor ")) continue;
    std::istringstream words(line.substr(10));
    found.emplace_back();
    for (std::string word; words >> word;) found.back().push_back(word);
  }
  return found;
}

bool trains(const Words& verb) {
  return verb[0] == "train" || verb[0] == "finetune" || verb[0] == "distill" || verb[0] == "evaluate" ||
         verb[0] == "worth" || verb[0] == "assign" || verb[0] == "patterns" || verb[0] == "search";
}

TEST(Help, EveryVerbHasExamplesOfItself) {
  ASSERT_GT(verbs().size(), 25u);
  for (Words verb : verbs()) {
    if (trains(verb)) continue;  // another program's, which may be missing
    std::string path = "tailor";
    for (const std::string& word : verb) path += " " + word;
    verb.push_back("--help");
    const Finished f = run(verb);
    EXPECT_EQ(f.exit, 0) << f.err;
    EXPECT_NE(f.out.find("Usage: " + path), std::string::npos) << f.out;
    const std::size_t examples = f.out.find("Examples:\n");
    ASSERT_NE(examples, std::string::npos) << path << " has no file in tailor/console/help";
    EXPECT_NE(f.out.find("  " + path, examples), std::string::npos) << path << " is not in its examples";
    std::istringstream lines(f.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 104u) << path << ": " << line;
  }
}

// "--name" wherever it stands.
std::set<std::string> options_in(std::string_view text) {
  std::set<std::string> options;
  for (std::size_t at = text.find("--"); at != std::string_view::npos; at = text.find("--", at + 2)) {
    const std::size_t end =
        std::min(text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-", at), text.size());
    if (end > at + 2 && text[at + 2] >= 'a' && text[at + 2] <= 'z')
      options.emplace(text.substr(at, end - at)), at = end - 2;
  }
  return options;
}

// Options in examples exist, so that an example can be pasted.
TEST(Help, ExamplesUseOptionsThatExist) {
  const std::string text = reference();
  std::istringstream lines(text);
  std::string section;
  std::map<std::string, std::string> sections;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) section = line.substr(3);
    sections[section] += line + "\n";
  }
  for (const auto& [name, body] : sections) {
    if (!name.starts_with("tailor ") || trains({name.substr(7)})) continue;
    const std::string examples = body.substr(std::min(body.find("```"), body.size()));
    // Of any verb: a line may be `tailor analyze ... --json > a.json; tailor report a.json`.
    for (const std::string& option : options_in(examples))
      EXPECT_TRUE(text.find("`" + option + "`") != std::string::npos ||
                  text.find("`" + option + " ") != std::string::npos)
          << name << ": " << option;
  }
}

TEST(Help, DocsHaveEveryOption) {
  const std::filesystem::path path = TAILOR_SOURCE_DIR "/docs/options.md";
  EXPECT_EQ(std::string(map_file(path).view()), reference())
      << "write it again: tailor man --markdown > docs/options.md";
}

// docs/verbs.md has a section for each verb; second words may share one.
TEST(Help, DocsHaveEveryVerb) {
  std::string headings;
  const std::string docs(map_file(TAILOR_SOURCE_DIR "/docs/verbs.md").view());
  std::istringstream lines(docs);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("## ")) headings += line.substr(2) + " ";
  std::replace(headings.begin(), headings.end(), ',', ' ');
  for (const Words& verb : verbs())
    EXPECT_NE(headings.find(" " + verb[0] + " "), std::string::npos) << verb[0] << " is not in docs/verbs.md";
}

TEST(Help, WithoutArgumentsThereIsAWayIn) {
  const Finished f = run({});
  EXPECT_EQ(f.exit, 0);
  EXPECT_EQ(f.err, "");
  for (const char* words :
       {"tailor doctor", "tailor analyze model.onnx", "tailor optimize model.onnx", "Look:", "Change:"})
    EXPECT_NE(f.out.find(words), std::string::npos) << words << "\n" << f.out;
}

class Lost : public ::testing::Test {
 protected:
  void SetUp() override { model = write_small(folder.path(), "a.onnx", 8).string(); }
  // The exit code, and everything that the message must hold.
  void expect(const Words& words, int exit, const Words& said, const Start& start = {}) const {
    const Finished f = run(words, start);
    EXPECT_EQ(f.exit, exit) << f.err;
    EXPECT_EQ(f.out, "");
    for (const std::string& part : said)
      EXPECT_NE(f.err.find(part), std::string::npos) << part << "\n" << f.err;
    EXPECT_NE(f.err.find("\n  help: "), std::string::npos) << f.err;
  }
  TemporaryFolder folder;
  std::string model;
};

TEST_F(Lost, AtVerbs) {
  expect({"anayze", model}, 2, {"E2001", "did you mean 'analyze'?", "verbs: doctor"});
  expect({"plan", "sho", "p.json"}, 2, {"E2001", "did you mean 'show'?"});
  expect({"-v"}, 2, {"no verb given", "tailor analyze MODEL", "tailor --help"});
}

TEST_F(Lost, AtOptions) {
  expect({"analyze", model, "--devcie", "t4"}, 2,
         {"E2001", "did you mean '--device'?", "tailor analyze --help"});
  expect({"analyze", model, "-device", "t4"}, 2, {"E2001", "there is no option '-device'", "'--device'"});
  expect({"analyze", model, "-D", "t4"}, 2, {"E2001", "there is no option '-D'", "'-d'"});
  expect({"plan", "apply", "p.json", model, "--outptu=x"}, 2,
         {"did you mean '--output'?", "tailor plan apply --help"});
  expect({"analyze", model, "--top", "many"}, 2, {"E2002", "--top"});
  expect({"analyze", model, "--top"}, 2, {"--top"});
}

TEST_F(Lost, AtOperands) {
  expect({"analyze"}, 2, {"MODEL is required", "tailor analyze MODEL [OPTIONS]", "tailor analyze --help"});
  expect({"plan", "apply", "p.json"}, 2, {"required", "tailor plan apply PLAN MODEL [OPTIONS]"});
  expect({"optimize", model, "-o", "x.onnx"}, 2, {"--calib", "tailor optimize --help"});
  expect({"report"}, 2, {"RUNS", "tailor report RUNS"});
}

TEST_F(Lost, AtLayersAndDevices) {
  expect({"analyze", model, "-d", "t4", "--layer", "secnd"}, 2,
         {"E2001", "did you mean 'second'?", "--all lists the layers"});
  expect({"analyze", model, "-d", "t4", "--layer", "st"}, 2,
         {"'st' is part of the names of 2 layers: 'first', 'last'", "--all lists the layers"});
  expect({"analyze", model, "-d", "h20"}, 2, {"E2108", "did you mean 'h200'?", "tailor devices list"});
  expect({"map", model, "--platform", "daina"}, 2, {"diana"});
}

TEST_F(Lost, WithoutARuntime) {
  const Start none{.environment = {{"TAILOR_ORT_LIBRARY", "/nowhere/libonnxruntime.so"}}};
  for (const Words& words : {Words{"analyze", model}, Words{"bench", model}, Words{"verify", model, model}})
    expect(words, 6, {"E6001", "/nowhere/libonnxruntime.so", "scripts/get-onnxruntime", "--ort-library"},
           none);
  EXPECT_EQ(run({"analyze", model, "-d", "t4"}, none).exit, 0) << "nothing has to run for a described device";
}

}  // namespace
}  // namespace tailor::testing
