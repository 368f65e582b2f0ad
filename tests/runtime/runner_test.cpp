// What the client makes of runners that misbehave. Each fake runner is a line of shell.
#include "tailor/runtime/runner.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace tailor::runtime {
namespace {

const std::string kHello =
    R"(read line; echo '{"id":1,"ok":true,"protocol":1,"runtime":"fake","version":"1","isa":"none","processor":"p",)"
    R"("library":"","cores":1,"clock":"wall","workloads":true,"profiles":false}'; )";

RunnerOptions fake(const std::string& script, double silence_s = 20) {
  RunnerOptions options;
  options.command = script;
  options.start_timeout_s = silence_s;
  options.silence_timeout_s = silence_s;
  return options;
}

std::vector<Samples> time_something(const RunnerOptions& options) {
  Runner runner(options);
  Job job;
  job.workload = latency::parse_workload("gemm_m1_k2_n3_f32");
  return runner.time(std::vector<Job>{job}, {});
}

Error failure_of(const RunnerOptions& options) {
  try {
    time_something(options);
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::bug, "nothing was thrown");
}

TEST(FakeRunner, AGoodAnswerIsUnderstood) {
  double last = 0;
  RunnerOptions options = fake(kHello + R"(read line; echo '{"id":2,"progress":0.5}';
      echo '{"id":2,"ok":true,"jobs":[{"us":[1.5,2],"clock":"wall","kernel":"k"}]}'; read line)");
  options.on_progress = [&](double done) { last = done; };
  auto samples = time_something(options);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].us, (std::vector<double>{1.5, 2}));
  EXPECT_EQ(samples[0].kernel, "k");
  EXPECT_EQ(last, 0.5);
}

TEST(FakeRunner, Dies) {
  Error error = failure_of(fake(kHello + "read line; echo 'kernel exploded' >&2; kill -SEGV $$"));
  EXPECT_EQ(error.code(), Code::runner_failed);
  EXPECT_NE(std::string(error.what()).find("signal 11"), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find("kernel exploded"), std::string::npos) << error.what();
}

TEST(FakeRunner, DoesNotStart) {
  Error error = failure_of(fake("/no/such/program"));
  EXPECT_EQ(error.code(), Code::runner_failed);
  EXPECT_NE(std::string(error.what()).find("exit status 127"), std::string::npos) << error.what();
}

TEST(FakeRunner, AnswersNonsense) {
  for (const char* answer :
       {"hello there", "[]", "{}", "17", R"({"id":2})", R"({"id":2,"ok":1})", R"({"id":2,"ok":true})",
        R"({"id":2,"ok":true,"jobs":7})", R"({"id":2,"ok":true,"jobs":[]})",
        R"({"id":2,"ok":true,"jobs":[{}]})", R"({"id":2,"ok":true,"jobs":[{"us":[],"clock":"wall"}]})",
        R"({"id":2,"ok":true,"jobs":[{"us":["a"],"clock":"wall"}]})",
        R"({"id":2,"ok":true,"jobs":[{"us":[-1],"clock":"wall"}]})",
        R"({"id":2,"ok":true,"jobs":[{"us":[1],"clock":3}]})",
        R"({"id":3,"ok":true,"jobs":[{"us":[1],"clock":"wall"}]})", R"({"id":"2","ok":true})",
        R"({"id":2,"ok":false,"kind":"memory","message":"no more"})", R"({"id":2,"ok":false,"kind":5})"})
    EXPECT_EQ(failure_of(fake(kHello + "read line; echo '" + answer + "'; read line")).code(),
              Code::runner_failed)
        << answer;
}

// Of what was refused; bug: nothing was.
Code code_of_profile(const std::string& members) {
  Runner runner(fake(kHello + R"(read line; echo '{"id":2,"ok":true,)" + members + "}'; read line"));
  try {
    runner.profile({"model.onnx", {}, {}}, {});
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

TEST(FakeRunner, ProfilesAreInPairsAndSharesAreShares) {
  const std::string nodes = R"("nodes":[{"name":"a","op":"Conv","us":[1,2]}],"run_us":[3,4],)";
  EXPECT_EQ(code_of_profile(nodes + R"("unprofiled_us":[2,3])"), Code::bug) << "nothing is wrong with it";
  EXPECT_EQ(code_of_profile(nodes + R"("unprofiled_us":[2,3],"inside_share":0.5)"), Code::bug);
  for (const char* rest : {R"("unprofiled_us":[2])", R"("unprofiled_us":[2,3],"inside_share":1.5)",
                           R"("unprofiled_us":[2,3],"inside_share":-1)",
                           R"("unprofiled_us":[2,3],"inside_share":"half")", R"("unprofiled_us":[2,-3])"})
    EXPECT_EQ(code_of_profile(nodes + rest), Code::runner_failed) << rest;
}

TEST(FakeRunner, IsTooSlow) {
  Error error = failure_of(fake(kHello + "read line; sleep 30", 0.3));
  EXPECT_EQ(error.code(), Code::runner_failed);
  EXPECT_NE(std::string(error.what()).find("within 0.3 s"), std::string::npos) << error.what();
  EXPECT_EQ(failure_of(fake("sleep 30", 0.3)).code(), Code::runner_failed);
}

TEST(FakeRunner, WritesAnEndlessLine) {
  Error error = failure_of(fake(kHello + "read line; cat /dev/zero | tr '\\0' x"));
  EXPECT_EQ(error.code(), Code::runner_failed);
  EXPECT_NE(std::string(error.what()).find("256 MiB"), std::string::npos) << error.what();
}

TEST(FakeRunner, RefusesAndLacksTheLibrary) {
  auto answering = [](const std::string& answer) {
    return fake(kHello + "read line; echo '" + answer + "'; read line");
  };
  Error refused = failure_of(answering(R"({"id":2,"ok":false,"kind":"refused","message":"unknown op Foo"})"));
  EXPECT_EQ(refused.code(), Code::runtime_refused);
  EXPECT_STREQ(refused.what(), "unknown op Foo");
  Error missing = failure_of(
      fake(R"(read line; echo '{"id":1,"ok":false,"kind":"device","message":"no lib"}'; read line)"));
  EXPECT_EQ(missing.code(), Code::runtime_missing);
  EXPECT_NE(missing.help().find("scripts/get-onnxruntime"), std::string::npos);
  Error shape = failure_of(answering(R"({"id":2,"ok":false,"kind":"usage","code":"E3102","message":"m"})"));
  EXPECT_EQ(shape.code(), Code::shape_unknown);
  EXPECT_EQ(failure_of(answering(R"({"id":2,"ok":false,"kind":"usage","message":"m"})")).code(),
            Code::runner_failed);
}

TEST(FakeRunner, SpeaksAnotherProtocol) {
  EXPECT_EQ(failure_of(fake(R"(read line; echo '{"id":1,"ok":true,"protocol":9}'; read line)")).code(),
            Code::runner_failed);
}

TEST(FakeRunner, ADeadRunnerStaysDead) {
  Runner runner(fake(kHello + "read line; exit 3"));
  Job job;
  job.workload = latency::parse_workload("gemm_m1_k2_n3_f32");
  for (int i = 0; i < 2; ++i) EXPECT_THROW(runner.time(std::vector<Job>{job}, {}), Error);
}

TEST(FakeRunner, CtrlCEndsACall) {
  std::jthread ctrl_c([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    set_interrupted(true);
  });
  Error error = failure_of(fake(kHello + "read line; sleep 30"));
  set_interrupted(false);
  EXPECT_EQ(error.code(), Code::interrupted);
}

}  // namespace
}  // namespace tailor::runtime
