// tailor report, --report and its like, completion and the manual page, as their users start them.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace tailor::testing {
namespace {

std::string read(const std::filesystem::path& path) { return std::string(map_file(path).view()); }

class ReportVerb : public ::testing::Test {
 protected:
  std::string model() {
    onnx::write(with_free_batch(small_model(18)), folder.path() / "free.onnx");
    return (folder.path() / "free.onnx").string();
  }
  std::vector<std::string> described(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"analyze", model(), "-d", "v100", "--shape", "x:64x3x32x32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::string file(const char* name) const { return (folder.path() / name).string(); }
  TemporaryFolder folder;
};

TEST_F(ReportVerb, PageBesideTheDocumentAndFromIt) {
  const Finished f = run(described({"--json", "--report", file("page.html")}));
  ASSERT_EQ(f.exit, 0) << f.err;
  const Json json = document(f);
  const std::string page = read(file("page.html"));
  for (const Json& layer : json["layers"])
    EXPECT_NE(page.find("data-v=\"" + layer["model"]["us"].dump() + "\""), std::string::npos)
        << layer["name"];
  write_file(file("run.json"), f.out);
  const Finished again = run({"report", file("run.json"), "-o", file("again.html")});
  ASSERT_EQ(again.exit, 0) << again.err;
  EXPECT_NE(again.out.find("again.html"), std::string::npos);
  EXPECT_NE(read(file("again.html")).find("data-v=\"" + json["layers"][0]["model"]["us"].dump()),
            std::string::npos);
  const Finished two = run({"report", file("run.json"), file("run.json"), "-o", file("two.html"), "--json"});
  ASSERT_EQ(two.exit, 0) << two.err;
  EXPECT_EQ(document(two)["written"], file("two.html"));
  for (const std::string& line : violations(document(run({"schema", "report"})), document(two)))
    ADD_FAILURE() << line;
  EXPECT_NE(read(file("two.html")).find("Two runs"), std::string::npos);
}

TEST_F(ReportVerb, FilesForOtherTools) {
  const Finished f = run(
      described({"--json", "--netron", file("n.json"), "--trace", file("t.json"), "--csv", file("l.csv")}));
  ASSERT_EQ(f.exit, 0) << f.err;
  const Json json = document(f);
  const double us = json["layers"][0]["model"]["us"].get<double>();
  EXPECT_NEAR(parse_json(read(file("n.json")), "n")["metrics"][0]["value"].get<double>(), us, 5e-5 * us);
  EXPECT_EQ(parse_json(read(file("t.json")), "t")["traceEvents"].size(), 2 + json["layers"].size());
  EXPECT_TRUE(read(file("l.csv")).starts_with("layer,operator,workload,us,"));
}

TEST_F(ReportVerb, MistakesTeachTheNextStep) {
  const Finished place = run(described({"--report", file("no/such/folder/page.html")}));
  EXPECT_EQ(place.exit, 8);
  EXPECT_NE(place.err.find("error[E8002]"), std::string::npos) << place.err;
  write_file(file("doctor.json"), run({"doctor", "--noise-test", "0", "--json"}).out);
  const Finished kind = run({"report", file("doctor.json"), "-o", file("page.html")});
  EXPECT_EQ(kind.exit, 2);
  EXPECT_NE(kind.err.find("analysis, device-analysis, gpu-analysis, bench"), std::string::npos) << kind.err;
  write_file(file("text.json"), "no json");
  EXPECT_EQ(run({"report", file("text.json"), "-o", file("page.html")}).exit, 2);
  EXPECT_EQ(run({"report", file("missing.json"), "-o", file("page.html")}).exit, 2);
  EXPECT_EQ(run({"report", file("doctor.json")}).exit, 2) << "no output";
  EXPECT_FALSE(std::filesystem::exists(file("page.html")));
}

TEST_F(ReportVerb, MappingHasAPage) {
  const Finished f = run({"map", model(), "--platform", "diana", "--shape", "x:1x3x32x32", "--budget", "0.6x",
                          "--json", "--report", file("map.html")});
  ASSERT_EQ(f.exit, 0) << f.err;
  const Json json = document(f);
  EXPECT_GT(json["frequency_mhz"], 0);
  EXPECT_EQ(json["units"].size(), json["layers"][0]["cycles"].size());
  EXPECT_NE(read(file("map.html")).find("data-v=\"" + json["chosen"]["latency_us"].dump() + "\""),
            std::string::npos);
}

// What bash offers for the words of a command line, the last one being completed.
std::string completed(const std::filesystem::path& script, const std::string& words) {
  const std::string program = "source '" + script.string() + "'; COMP_WORDS=(" + words +
                              "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tailor; echo \"${COMPREPLY[@]}\"";
  FILE* pipe = ::popen(("bash -c '" +
                        [&] {
                          std::string quoted;
                          for (char c : program)
                            quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
                          return quoted;
                        }() +
                        "'")
                           .c_str(),
                       "r");
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  ::pclose(pipe);
  return text;
}

TEST_F(ReportVerb, CompletionCompletes) {
  const Finished script = run({"completion", "bash"});
  ASSERT_EQ(script.exit, 0) << script.err;
  write_file(file("tailor.bash"), script.out);
  EXPECT_EQ(completed(file("tailor.bash"), "tailor ana"), "analyze\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor analyze --rep"), "--report\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor plan sh"), "show\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor --color al"), "always\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor analyze m.onnx -d h10"), "h100\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor optimize m.onnx -d eye"), "eyeriss\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor platform predict shi"), "shidiannao\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor devices show h10"), "h100\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor schema optim"), "optimize\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor completion z"), "zsh\n");
  EXPECT_EQ(completed(file("tailor.bash"), "tailor map m.onnx --platform dia"), "diana\n");
  for (const char* shell : {"zsh", "fish"}) {
    const Finished other = run({"completion", shell});
    EXPECT_EQ(other.exit, 0) << other.err;
    EXPECT_NE(other.out.find("analyze"), std::string::npos);
  }
  const Finished unknown = run({"completion", "bahs"});
  EXPECT_EQ(unknown.exit, 2);
  EXPECT_NE(unknown.err.find("did you mean 'bash'"), std::string::npos) << unknown.err;
}

TEST_F(ReportVerb, ManualNamesEveryVerb) {
  const Finished manual = run({"man"});
  ASSERT_EQ(manual.exit, 0) << manual.err;
  EXPECT_TRUE(manual.out.starts_with(".TH TAILOR 1"));
  for (const char* verb : {".SS tailor analyze MODEL", ".SS tailor plan show", ".SS tailor report RUNS",
                           ".SH EXIT STATUS", "\\-\\-report"})
    EXPECT_NE(manual.out.find(verb), std::string::npos) << verb;
}

}  // namespace
}  // namespace tailor::testing
