// Processes as samples: how often the interval holds the truth, and what time_apart asks of (shell) runners.
#include "tailor/runtime/apart.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

namespace tailor::runtime {
namespace {

using Parts = std::vector<std::vector<double>>;

// Rounds of two models whose true ratio is `ratio`: every process is off by `between`, every round by `within`.
std::pair<Parts, Parts> drawn(double ratio, std::size_t processes, double between, double within,
                              Random& random) {
  Parts a, b;
  for (std::size_t p = 0; p < processes; ++p) {
    const double placed = ratio * std::exp(between * random.normal());
    a.emplace_back(), b.emplace_back();
    for (int round = 0; round < 25; ++round) {
      const double speed = std::exp(0.2 * random.normal());
      a.back().push_back(100 * speed);
      b.back().push_back(100 * speed * placed * std::exp(within * random.normal()));
    }
  }
  return {a, b};
}

std::vector<double> joined(const Parts& parts) {
  std::vector<double> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

TEST(CompareApart, TheIntervalHoldsTheTruthAsOftenAsItSays) {
  Random random(3);
  for (std::size_t processes : {3, 5, 9}) {
    int held = 0, pooled_held = 0;
    constexpr int kDraws = 400;
    for (int draw = 0; draw < kDraws; ++draw) {
      const auto [a, b] = drawn(0.8, processes, 0.015, 0.03, random);
      const Comparison apart = compare_apart(a, b), pooled = compare(joined(a), joined(b), 0.01, 1);
      held += apart.lo <= 0.8 && 0.8 <= apart.hi;
      pooled_held += pooled.lo <= 0.8 && 0.8 <= pooled.hi;
    }
    EXPECT_GE(held, kDraws * 0.92) << processes;
    EXPECT_LE(pooled_held, kDraws * 0.75)
        << processes;  // why rounds of all processes are not thrown together
  }
}

TEST(CompareApart, IsTheGeometricMeanOfTheProcesses) {
  const Comparison c = compare_apart({{100, 100, 100}, {100, 100, 300}}, {{40, 40, 90}, {90, 90, 270}});
  EXPECT_NEAR(c.ratio, 0.6, 1e-12);
  EXPECT_NEAR(std::log(c.hi / c.ratio), 12.706 * std::log(0.9 / 0.4) / 2, 1e-9);
  EXPECT_NEAR(c.lo * c.hi, c.ratio * c.ratio, 1e-9);
  EXPECT_EQ(c.verdict, Verdict::ambiguous);
}

TEST(CompareApart, ProcessesThatAgreeDecide) {
  const Parts a(4, std::vector<double>(5, 100)), b(4, std::vector<double>(5, 90));
  const Comparison c = compare_apart(a, b);
  EXPECT_NEAR(c.hi - c.lo, 0, 1e-12);
  EXPECT_EQ(c.verdict, Verdict::faster);
  EXPECT_EQ(compare_apart({{100}, {100}}, {{90}, {90}}).verdict, Verdict::ambiguous);  // two rounds
}

TEST(CompareApart, OneProcessIsJudgedByItsRounds) {
  Random random(5);
  const auto [a, b] = drawn(0.9, 1, 0, 0.02, random);
  const Comparison one = compare_apart(a, b), rounds = compare(a[0], b[0]);
  EXPECT_EQ(one.ratio, rounds.ratio);
  EXPECT_EQ(one.lo, rounds.lo);
  EXPECT_EQ(one.verdict, rounds.verdict);
}

// A runner that writes a line into `log` for each start and each request, and gives two rounds of two jobs.
RunnerOptions counting(const std::filesystem::path& log) {
  RunnerOptions options;
  options.command =
      "read line; echo start >> '" + log.string() +
      R"('; echo '{"id":1,"ok":true,"protocol":1,"runtime":"fake","version":"1","isa":"none","processor":"p",)"
      R"("library":"","cores":1,"clock":"wall","workloads":true,"profiles":false}'; i=1; )"
      R"(while read line; do i=$((i+1)); echo "$line" >> ')" +
      log.string() +
      R"('; echo "{\"id\":$i,\"progress\":0.5}"; )"
      R"(echo "{\"id\":$i,\"ok\":true,\"jobs\":[{\"us\":[1,2],\"clock\":\"wall\"},{\"us\":[3,6],\"clock\":\"wall\"}]}"; done)";
  return options;
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t n = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

std::vector<Job> two_jobs() {
  Job job;
  job.workload = latency::parse_workload("gemm_m1_k2_n3_f32");
  return {job, job};
}

TEST(TimeApart, EveryProcessIsFreshAndItsRoundsStayTogether) {
  TemporaryFolder folder;
  const std::filesystem::path log = folder.fresh(".log");
  RunnerOptions runner = counting(log);
  std::vector<double> progress;
  runner.on_progress = [&](double done) { progress.push_back(done); };
  ApartOptions how;
  how.processes = 4, how.timing.seed = 7;
  const TimedApart timed = time_apart(runner, two_jobs(), how);
  ASSERT_EQ(timed.processes(), 4);
  for (int p = 0; p < 4; ++p) {
    EXPECT_EQ(timed.us[0][static_cast<std::size_t>(p)], (std::vector<double>{1, 2}));
    EXPECT_EQ(timed.us[1][static_cast<std::size_t>(p)], (std::vector<double>{3, 6}));
  }
  EXPECT_EQ(timed.clock, "wall");
  EXPECT_EQ(timed.hello.runtime, "fake");
  EXPECT_EQ(progress, (std::vector<double>{0.125, 0.375, 0.625, 0.875}));
  const Bytes bytes = map_file(log);
  const std::string said(bytes.view());
  EXPECT_EQ(count(said, "start"), 4u);
  for (const char* seed : {"\"seed\":7", "\"seed\":8", "\"seed\":9", "\"seed\":10"})
    EXPECT_EQ(count(said, seed), 1u) << said;
}

TEST(TimeApart, RoundsThatTheTimeLimitCutOffAreAskedForAgain) {
  TemporaryFolder folder;
  const std::filesystem::path log = folder.fresh(".log");
  ApartOptions how;
  how.processes = 2, how.fewest_rounds = 4, how.timing.time_limit_s = 0.01;
  const TimedApart timed = time_apart(counting(log), two_jobs(), how);
  ASSERT_EQ(timed.processes(), 2);
  EXPECT_EQ(timed.us[0][1], (std::vector<double>{1, 2, 1, 2}));
  const Bytes bytes = map_file(log);
  const std::string said(bytes.view());
  EXPECT_EQ(count(said, "\"rounds\":2"), 2u);
  for (std::size_t at = said.find("\"seed\":"); at != std::string::npos; at = said.find("\"seed\":", at + 1))
    EXPECT_LT(std::stod(said.substr(at + 7)), 9007199254740992.0) << "runners take seeds that a double holds";
}

TEST(TimeApart, GoesOnWhileThereIsTime) {
  TemporaryFolder folder;
  ApartOptions how;
  how.processes = 1, how.time_s = 2;
  const TimedApart timed = time_apart(counting(folder.fresh(".log")), two_jobs(), how);
  EXPECT_GE(timed.processes(), 2);
  how.processes = 3, how.time_s = 1e-9;
  EXPECT_EQ(time_apart(counting(folder.fresh(".log")), two_jobs(), how).processes(), 3);
}

TEST(TimeApart, ARunnerThatDoesNotStartIsAnError) {
  RunnerOptions runner;
  runner.command = "exit 3";
  EXPECT_THROW(time_apart(runner, two_jobs(), {}), Error);
}

}  // namespace
}  // namespace tailor::runtime
