// scripts/compare, scripts/criteria and scripts/mappings with a program that only notes how it is called: which runs it makes, which it makes again.
#include "tailor/base/file.h"
#include "tests/testing.h"

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace tailor::testing {
namespace {

const std::string kScripts = std::string(TAILOR_SOURCE_DIR) + "/scripts/";

// "plan table FILES" prints the files; one that is no result fails it. "optimize" prints a result, or what
// the file "fail" holds is its exit code.
constexpr const char* kProgram = R"sh(#!/bin/sh
here=$(dirname "$0")
if [ "$1" = plan ]; then
  shift 2
  for file; do grep -q result "$file" || exit 2; done
  cat "$@"
  exit
fi
printf '%s\n' "$*" >>"$here/calls"
if [ -f "$here/fail" ]; then exit "$(cat "$here/fail")"; fi
while [ "$1" != --rule ]; do shift; done
echo "result $2"
exit 4
)sh";

// "map" and "finetune" print documents as tailor does, "assign" writes its mapping too; nothing else is there.
constexpr const char* kMapper = R"sh(#!/bin/sh
printf '%s\n' "$*" >>"$(dirname "$0")/calls"
document() {
  printf '{\n  "chosen": {\n    "name": "any",\n    "latency_us": 1500.5,\n    "energy_uj": null\n  },\n  "baselines": [\n'
  printf '    {\n      "name": "all on digital",\n      "latency_us": 9\n    },\n    {\n      "name": "least latency"\n    }\n  ],\n'
  printf '  "front": [\n    {\n      "name": "no baseline"\n    }\n  ]\n}\n'
}
case $1 in
  map) document ;;
  finetune | distill)
    printf '{\n  "verb": "finetune",\n  "seconds": 12.6,\n  "evaluation": {\n    "original": null,\n'
    for when in unrounded before after; do
      printf '    "%s": {\n      "samples": 517,\n      "top1": 0.9%s,\n      "loss": 1\n    },\n' $when ${#when}
    done
    printf '    "last": 1\n  }\n}\n' ;;
  assign)
    while [ "$1" != --mapping-output ]; do shift; done
    document >"$2"
    echo '{}' ;;
esac
)sh";

class Compare : public ::testing::Test {
 protected:
  void SetUp() override {
    stand_in(kProgram);
    write_file(folder.path() / "model.onnx", "any");
  }
  void stand_in(const char* program) const {
    write_file(folder.path() / "tailor", program);
    std::filesystem::permissions(folder.path() / "tailor", std::filesystem::perms::owner_all);
  }
  int run(const std::string& arguments, const std::string& script = "compare") {
    std::string at = folder.path().string();
    return WEXITSTATUS(std::system(
        ("cd " + at + " && TAILOR=./tailor sh " + kScripts + script + " " + arguments + " >table 2>errors")
            .c_str()));
  }
  std::string read(const std::string& name) {
    return std::filesystem::exists(folder.path() / name) ? std::string(map_file(folder.path() / name).view())
                                                         : "";
  }
  int calls() {
    std::string text = read("calls");
    return static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  }
  TemporaryFolder folder;
};

TEST_F(Compare, RunsFourRulesAtEachGoalAndNoneTwice) {
  EXPECT_EQ(run("model.onnx out '0.8 0.5' -- --calib 'a b.bin'"), 0) << read("errors");
  EXPECT_EQ(calls(), 8) << read("calls");
  EXPECT_EQ(read("table"),
            "result exact\nresult uniform\nresult round:8\nresult round:16\n"
            "result exact\nresult uniform\nresult round:8\nresult round:16\n");
  std::string first = read("calls").substr(0, read("calls").find('\n'));
  EXPECT_EQ(first,
            "optimize model.onnx -o out/0.8-exact.onnx --rule exact --latency 0.8x --best-effort --json "
            "--calib a b.bin");
  EXPECT_NE(read("calls").find("--rule round:16 --as-fast-as out/0.5-exact.json"), std::string::npos);
  EXPECT_EQ(run("model.onnx out '0.8 0.5' -- --calib 'a b.bin'"), 0);
  EXPECT_EQ(calls(), 8) << "all were finished";
}

TEST_F(Compare, CriteriaAreRunWithEachRecovery) {
  EXPECT_EQ(run("model.onnx out 0.5 -- --calib 'a b.bin'", "criteria"), 0) << read("errors");
  EXPECT_EQ(calls(), 7 * 3 + 3) << "seven criteria, three recoveries, and functionality merged";
  const std::string all = read("calls"), table = read("table");
  EXPECT_EQ(all.substr(0, all.find('\n')),
            "optimize model.onnx -o out/0.5-l1-none.onnx --rule uniform --keep-streams --macs 0.5x --dry-run "
            "--json "
            "--criterion l1 --recover none --calib a b.bin");
  EXPECT_NE(all.find("--criterion functionality --recover lsq --merge"), std::string::npos) << all;
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 24);
  EXPECT_EQ(run("model.onnx out 0.5 -- --calib 'a b.bin'", "criteria"), 0);
  EXPECT_EQ(calls(), 24) << "all were finished";
  EXPECT_EQ(run("model.onnx out 0.5 -- --calib other", "criteria"), 2) << "results of other options";
  EXPECT_EQ(run("model.onnx out", "criteria"), 2);
}

TEST_F(Compare, GradientsAddTheirCriteria) {
  ::setenv("GRADIENTS", "my worth.json", 1);
  const int code = run("model.onnx out 0.5 -- --calib b.bin", "criteria");
  ::unsetenv("GRADIENTS");
  EXPECT_EQ(code, 0) << read("errors");
  EXPECT_EQ(calls(), 9 * 3 + 3);
  const std::string all = read("calls");
  EXPECT_NE(all.find("--criterion taylor --recover bn --gradients my worth.json --calib"), std::string::npos)
      << all;
  EXPECT_EQ(all.find("--criterion l1 --recover none --gradients"), std::string::npos);
}

TEST_F(Compare, RunsAgainWhatIsMissingAndWhatDependsOnIt) {
  EXPECT_EQ(run("model.onnx out 0.5 -- --seed 1"), 0) << read("errors");
  std::filesystem::remove(folder.path() / "out" / "0.5-round-8.json");
  EXPECT_EQ(run("model.onnx out 0.5 -- --seed 1"), 0);
  EXPECT_EQ(calls(), 5);
  write_file(folder.path() / "out" / "0.5-exact.json", "half a fi");
  EXPECT_EQ(run("model.onnx out 0.5 -- --seed 1"), 0);
  EXPECT_EQ(calls(), 9) << "the rules had the goal of the lost result";
}

TEST_F(Compare, OtherOptionsNeedAnotherFolder) {
  EXPECT_EQ(run("model.onnx out 0.5 -- --seed 1"), 0) << read("errors");
  EXPECT_EQ(run("model.onnx out 0.5 -- --seed 2"), 2);
  write_file(folder.path() / "model.onnx", "another");
  EXPECT_EQ(run("model.onnx out 0.5 -- --seed 1"), 2);
  EXPECT_EQ(calls(), 4);
}

TEST_F(Compare, MappingsAreTrainedOneByOne) {
  stand_in(kMapper);
  const std::string arguments = "model.onnx out diana '1.05x-least 0.4ms' -- --data 'a b.bin'";
  ::setenv("STRENGTHS", "0.5", 1);
  EXPECT_EQ(run(arguments, "mappings"), 0) << read("errors");
  EXPECT_EQ(calls(), 1 + 2 * (2 + 2) + 2) << read("calls");
  EXPECT_EQ(
      read("table"),
      "| mapping | ms | uJ | top-1 unrounded | rounded | trained | s |\n|---|---:|---:|---:|---:|---:|---:|\n"
      "| all on digital | 1.5005 | - | 99.00 | 96.00 | 95.00 | 13 |\n"
      "| least latency | 1.5005 | - | 99.00 | 96.00 | 95.00 | 13 |\n"
      "| exact, 1.05x-least | 1.5005 | - | 99.00 | 96.00 | 95.00 | 13 |\n"
      "| exact, 0.4ms | 1.5005 | - | 99.00 | 96.00 | 95.00 | 13 |\n"
      "| ODiMO's search, 0.5 | 1.5005 | - | 99.00 | 96.00 | 95.00 | 13 |\n");
  const std::string all = read("calls");
  for (const char* call :
       {"map model.onnx --platform diana --objective latency --baseline all on digital --json\n",
        "finetune model.onnx -o out/all-on-digital.onnx --mapping out/all-on-digital.json --data a b.bin "
        "--json\n",
        "map model.onnx --platform diana --objective latency --budget 1.05x-least --json\n",
        "assign model.onnx -o out/search-0.5-searched.onnx --mapping-output out/search-0.5.json --platform "
        "diana",
        "finetune out/search-0.5-searched.onnx -o out/search-0.5.onnx --mapping out/search-0.5.json"})
    EXPECT_NE(all.find(call), std::string::npos) << call << "\n" << all;
  EXPECT_EQ(run(arguments, "mappings"), 0);
  EXPECT_EQ(calls(), 11) << "all were finished";
  std::filesystem::remove(folder.path() / "out" / "exact-0.4ms-trained.json");
  EXPECT_EQ(run(arguments, "mappings"), 0);
  EXPECT_EQ(calls(), 12);
  EXPECT_EQ(run("model.onnx out diana 0.4ms -- --data other", "mappings"), 2) << "results of other options";
  ::unsetenv("STRENGTHS");
  EXPECT_EQ(run("model.onnx out diana", "mappings"), 2);
}

TEST_F(Compare, MappingsAreTrainedByDistillationWhereAsked) {
  stand_in(kMapper);
  ::setenv("DISTILL", "1", 1);
  EXPECT_EQ(run("model.onnx out diana 0.4ms -- --data b.bin", "mappings"), 0) << read("errors");
  ::unsetenv("DISTILL");
  EXPECT_NE(read("calls").find("\ndistill model.onnx model.onnx -o out/exact-0.4ms.onnx --mapping "
                               "out/exact-0.4ms.json --data b.bin --json\n"),
            std::string::npos)
      << read("calls");
  EXPECT_EQ(read("calls").find("finetune"), std::string::npos) << read("calls");
  EXPECT_EQ(run("model.onnx out diana 0.4ms -- --data b.bin", "mappings"), 2) << "results of the other verb";
}

TEST_F(Compare, SaysWhatFails) {
  for (const char* arguments : {"", "model.onnx out 0.5", "model.onnx out 50% -- --seed 1"})
    EXPECT_EQ(run(arguments), 2) << arguments;
  write_file(folder.path() / "fail", "5");
  EXPECT_EQ(run("model.onnx out 0.5 -- --seed 1"), 8);
  EXPECT_NE(read("errors").find("out/0.5-exact.log"), std::string::npos) << read("errors");
  write_file(folder.path() / "fail", "130");
  EXPECT_EQ(run("model.onnx out 0.5 -- --seed 1"), 130);
  EXPECT_EQ(calls(), 2);
}

}  // namespace
}  // namespace tailor::testing
