#include "tailor/runtime/profile.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <gtest/gtest.h>

namespace tailor::runtime {
namespace {

const latency::Context kHere = {"fake", "1", "none", "p", 1, "evicted"};

latency::Workload gemm(int n) {
  latency::Workload w;
  w.kind = latency::Kind::gemm;
  w.ic = 8, w.oc = n;
  return w;
}
Measured measured(int n, double us) { return {kHere, gemm(n), {{us, us + 2, us + 1}, "thread cpu", "k"}}; }

class Profiles : public ::testing::Test {
 protected:
  std::string content() const { return std::string(map_file(path).view()); }
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "p.jsonl";
};

TEST_F(Profiles, WhatIsAppendedIsFoundAgain) {
  Profile writing(path);
  writing.append({measured(1, 10), measured(2, 20)});
  writing.append({measured(1, 30)});
  Profile reading(path);
  EXPECT_EQ(reading.size(), 2u);
  ASSERT_NE(reading.find(kHere, gemm(1)), nullptr);
  EXPECT_EQ(reading.find(kHere, gemm(1))->samples.us.front(), 30);
  latency::Context elsewhere = kHere;
  elsewhere.threads = 2;
  EXPECT_EQ(reading.find(elsewhere, gemm(1)), nullptr);
  EXPECT_EQ(reading.contexts(), std::vector{kHere});
}

TEST_F(Profiles, SurviveBeingKilledWhileWriting) {
  Profile(path).append({measured(1, 10), measured(2, 20)});
  const std::string whole = content();
  for (std::size_t cut = 0; cut < whole.size(); cut += 7) {
    write_file(path, whole.substr(0, cut));
    Profile torn(path);
    EXPECT_LE(torn.size(), 2u);
    torn.append({measured(3, 5)});
    Profile again(path);
    EXPECT_NE(again.find(kHere, gemm(3)), nullptr) << cut;
    EXPECT_EQ(again.size(), torn.size()) << cut;
  }
}

TEST_F(Profiles, AnotherSchemaIsRefused) {
  for (const char* line : {R"({"schema":"tailor/plan/1"})", "[]", "{}", R"({"schema":"tailor/profile/1"})",
                           R"({"schema":"tailor/profile/1","context":{}})"}) {
    write_file(path, std::string(line) + "\n");
    try {
      Profile profile(path);
      ADD_FAILURE() << line;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_json);
      EXPECT_NE(error.place().find(":1"), std::string::npos);
    }
  }
}

TEST_F(Profiles, ReplayAnswersOnlyWhatWasMeasured) {
  Profile profile(path);
  profile.append({measured(1, 10)});
  ReplayOracle oracle(profile, kHere);
  std::vector<latency::Workload> known = {gemm(1), gemm(1)};
  auto estimates = oracle.evaluate(known);
  ASSERT_EQ(estimates.size(), 2u);
  EXPECT_EQ(estimates[0].value.value, 11);
  EXPECT_EQ(estimates[0].lo.value, 10.5);
  EXPECT_EQ(estimates[0].kernel, "k");
  known.push_back(gemm(2));
  try {
    oracle.evaluate(known);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unknown_name);
  }
}

// A runner that answers two jobs with 5 and 7 us, once.
RunnerOptions fake_runner() {
  return {
      .command =
          R"(read line; echo '{"id":1,"ok":true,"protocol":1,"runtime":"fake","version":"1","isa":"none","processor":"p",)"
          R"("library":"","cores":1,"clock":"thread cpu","workloads":true,"profiles":false}'; read line; )"
          R"(case "$line" in *gemm_m1_k8_n2_f32*gemm_m1_k8_n3_f32*) ;; *) exit 9;; esac; )"
          R"(echo '{"id":2,"ok":true,"jobs":[{"us":[5],"clock":"thread cpu"},{"us":[7],"clock":"thread cpu"}]}'; read line)"};
}

TEST_F(Profiles, MeasuringAsksOnlyForWhatIsMissing) {
  Runner runner(fake_runner());
  Profile profile(path);
  profile.append({measured(1, 10)});
  MeasuringOracle oracle(runner, profile);
  EXPECT_EQ(oracle.context(), kHere);
  std::vector<latency::Workload> wanted = {gemm(3), gemm(1), gemm(2), gemm(3)};
  for (int i = 0; i < 2; ++i) {  // the second time nothing is measured: the runner would not answer
    auto estimates = oracle.evaluate(wanted);
    EXPECT_EQ(estimates[0].value.value, 7);
    EXPECT_EQ(estimates[1].value.value, 11);
    EXPECT_EQ(estimates[2].value.value, 5);
    EXPECT_EQ(estimates[3].value.value, 7);
  }
  EXPECT_EQ(oracle.measured(), 2u);
  EXPECT_EQ(oracle.known(), 1u);
  EXPECT_EQ(Profile(path).size(), 3u);
}

TEST_F(Profiles, FreshMeasuresOnceWhatTheJournalKnows) {
  Runner runner(fake_runner());
  Profile profile(path);
  profile.append({measured(2, 100), measured(3, 100), measured(4, 100)});
  MeasuringOracle oracle(runner, profile, {}, Journal::fresh);
  std::vector<latency::Workload> wanted = {gemm(3), gemm(2)};
  for (int i = 0; i < 2; ++i) {
    auto estimates = oracle.evaluate(wanted);
    EXPECT_EQ(estimates[0].value.value, 7);
    EXPECT_EQ(estimates[1].value.value, 5);
  }
  EXPECT_EQ(oracle.measured(), 2u);
  EXPECT_EQ(oracle.known(), 0u);
  EXPECT_EQ(Profile(path).find(kHere, gemm(3))->samples.us.front(), 7) << "the journal keeps the latest";
}

// A runner that answers a GEMM of n columns with n us, from its second call on with 1.5 n.
RunnerOptions slowing_runner() {
  return {
      .command =
          R"(read line; echo '{"id":1,"ok":true,"protocol":1,"runtime":"fake","version":"1","isa":"none","processor":"p",)"
          R"("library":"","cores":1,"clock":"thread cpu","workloads":true,"profiles":false}'; call=1; )"
          R"(while read -r line; do call=$((call + 1)); echo "$line" | awk -v id=$call '{ jobs = ""; )"
          R"(while (match($0, /_n[0-9]+_f32/)) { n = substr($0, RSTART + 2, RLENGTH - 6); $0 = substr($0, RSTART + RLENGTH); )"
          R"(jobs = jobs (jobs == "" ? "" : ",") "{\"us\":[" n * (id == 2 ? 1 : 1.5) "],\"clock\":\"thread cpu\"}" } )"
          R"(print "{\"id\":" id ",\"ok\":true,\"jobs\":[" jobs "]}" }'; done)"};
}

TEST_F(Profiles, AMachineThatBecomesSlowerBetweenCallsIsTakenOut) {
  Runner runner(slowing_runner());
  Profile profile(path);
  MeasuringOracle oracle(runner, profile);
  std::vector<latency::Workload> wanted;
  for (int n = 1; n <= 400; ++n) wanted.push_back(gemm(n));
  auto estimates = oracle.evaluate(wanted);  // two calls
  for (int n = 1; n <= 400; ++n) EXPECT_DOUBLE_EQ(estimates[static_cast<std::size_t>(n - 1)].value.value, n);
  EXPECT_DOUBLE_EQ(oracle.unrest(), 1.5);
  EXPECT_EQ(oracle.measured(), 400u);
  const latency::Workload later = gemm(401);
  EXPECT_DOUBLE_EQ(oracle.evaluate(std::span(&later, 1))[0].value.value, 401);
  EXPECT_EQ(Profile(path).find(kHere, later)->samples.us.front(), 601.5)
      << "samples are kept as they were taken";
  EXPECT_DOUBLE_EQ(ReplayOracle(Profile(path), kHere).evaluate(std::span(&later, 1))[0].value.value, 401);
}

TEST_F(Profiles, FewLayersHaveNoAnchors) {
  Runner runner(slowing_runner());
  Profile profile(path);
  MeasuringOracle oracle(runner, profile);
  for (int n : {3, 4}) oracle.evaluate(std::vector{gemm(n)});
  EXPECT_EQ(oracle.unrest(), 1);
  EXPECT_EQ(profile.find(kHere, gemm(4))->samples.us.front(), 6);
  EXPECT_EQ(profile.find(kHere, gemm(4))->pace, 1);
}

TEST_F(Profiles, APaceMustBeANumberAboveZero) {
  Profile(path).append({measured(1, 10)});
  const std::string line = content().substr(0, content().rfind('}'));
  for (const char* pace : {"0", "-1", "\"1\"", "null"}) {
    write_file(path, line + ",\"pace\":" + pace + "}\n");
    EXPECT_THROW(Profile{path}, Error) << pace;
  }
  write_file(path, line + ",\"pace\":2}\n");
  EXPECT_EQ(estimate(*Profile(path).find(kHere, gemm(1))).value.value, 5.5);
}

TEST_F(Profiles, ResumeNeedsAJournalOfThisContext) {
  Runner runner(fake_runner());
  Profile profile(path);
  auto refused = [&](TimingOptions options) {
    try {
      MeasuringOracle oracle(runner, profile, options, Journal::resume);
      return false;
    } catch (const Error& error) {
      return error.code() == Code::nothing_to_resume;
    }
  };
  EXPECT_TRUE(refused({}));
  profile.append({measured(1, 10)});
  EXPECT_FALSE(refused({}));
  EXPECT_TRUE(refused({.threads = 2})) << "measured with one thread only";
}

}  // namespace
}  // namespace tailor::runtime
