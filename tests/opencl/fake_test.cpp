// The runner and the scheduler with an OpenCL that is not there (fake_opencl.cpp): protocol, outcomes, sub-devices.
#include "tailor/base/file.h"
#include "tailor/base/subprocess.h"
#include "tailor/tune/opencl_source.h"
#include "tailor/tune/scheduler.h"
#include "tests/opencl/devices.h"
#include "tests/tune/spaces.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <set>

namespace tailor::tune {
namespace {

using testing::code_of;

class FakeOpenCl : public ::testing::Test {
 protected:
  // A shell command, with what the device is to be in its environment.
  std::string program(const std::string& words = {}) const {
    return fmt::format("FAKE_OPENCL='{}' FAKE_OPENCL_LOG='{}' exec " TAILOR_RUNNER_OPENCL, words,
                       log.string());
  }
  KernelRunner runner(const std::string& words = {}, const std::string& options = {},
                      double timeout_s = 20) const {
    return KernelRunner(-1, program(words) + " --opencl " TAILOR_FAKE_OPENCL " " + options, timeout_s);
  }
  OpenClPlace place(const std::string& words = {}) const {
    return find_opencl(0, TAILOR_FAKE_OPENCL, program(words));
  }

  std::filesystem::path text(const std::string& word = {}) {
    const Space space = opencl_space(w, testing::processor(8));
    Random random(1);
    const std::filesystem::path file = folder.fresh(".cl");
    write_file(file, opencl_source(w, space, space.sample(random)) + "// " + word + "\n");
    return file;
  }
  std::vector<std::string> lines() const {
    std::ifstream file(log);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }

  const latency::Workload w = latency::parse_workload("gemm_m12_k7_n20_f32+bias+relu");
  TemporaryFolder folder;
  std::filesystem::path log = folder.fresh(".log");
};

TEST_F(FakeOpenCl, TheDeviceIsWhatTheDriverSays) {
  const OpenClPlace found = place();
  EXPECT_EQ(found.clock, "thread cpu");
  OpenClDevice expected;
  expected.name = "fake device", expected.platform = "fake platform", expected.driver = "7";
  expected.version = "OpenCL 1.2 fake  built by nobody", expected.processor = expected.by_counts = true;
  expected.units = 4, expected.vector_floats = 8, expected.local_bytes = 32768, expected.group = 64;
  EXPECT_EQ(found.device, expected);
  EXPECT_EQ(place("gpu").clock, "device");
  EXPECT_FALSE(place("whole").device.by_counts);
}

TEST_F(FakeOpenCl, WhatIsMissingIsSaidWithAWayOut) {
  std::string help;
  auto error_of = [&](int number, const std::string& library, const std::string& words) {
    try {
      find_opencl(number, library, program(words));
    } catch (const Error& error) {
      help = error.help();
      EXPECT_FALSE(help.empty()) << error.what();
      return error.code();
    }
    return Code::bug;
  };
  EXPECT_EQ(error_of(0, "/nowhere/libOpenCL.so.1", ""), Code::runtime_missing);
  EXPECT_EQ(error_of(0, "libm.so.6", ""), Code::runtime_missing) << "a library, but not OpenCL's";
  EXPECT_EQ(error_of(0, TAILOR_FAKE_OPENCL, "nothing"), Code::runtime_missing);
  EXPECT_EQ(error_of(1, TAILOR_FAKE_OPENCL, ""), Code::unknown_name);
  EXPECT_NE(help.find("--backend opencl:0"), std::string::npos) << help;
}

TEST_F(FakeOpenCl, EveryOutcomeIsData) {
  KernelRunner asked = runner();
  auto timed = [&](const std::string& word) { return asked.time(text(word), w, 1, 3, 1); };
  const KernelTiming good = timed("");
  ASSERT_EQ(good.outcome, Outcome::ok) << good.message;
  EXPECT_EQ(good.us.size(), 3u);
  EXPECT_GT(good.compile_s, 0);
  const KernelTiming refused = timed("fake: refuse");
  EXPECT_EQ(refused.outcome, Outcome::compile);
  EXPECT_NE(refused.message.find("nobody understands that"), std::string::npos) << refused.message;
  EXPECT_EQ(timed("fake: no kernel").outcome, Outcome::compile);
  EXPECT_EQ(timed("fake: large group").outcome, Outcome::device_limit);
  EXPECT_EQ(timed("fake: odd").outcome, Outcome::invalid);
  EXPECT_EQ(timed("fake: wrong").outcome, Outcome::wrong_result);
  EXPECT_EQ(timed("fake: crash").outcome, Outcome::invalid);
  EXPECT_EQ(asked.time("/nowhere.cl", w, 1, 1).outcome, Outcome::invalid);
  EXPECT_GT(asked.sentinel_us(), 0) << "the next runner is alive";
  KernelRunner impatient = runner("", "", 0.5);
  EXPECT_EQ(impatient.time(text("fake: hang"), w, 1, 1).outcome, Outcome::timeout);
}

TEST_F(FakeOpenCl, MemoryThatTheDeviceLacksIsItsLimit) {
  const std::filesystem::path file = folder.fresh(".cl");
  write_file(file,
             "// tailor {\"packed\": 200000000, \"scratch\": 0, \"prepare\": [], \"run\": [{\"kernel\": "
             "\"product\", \"global\": [1]}]}\n");
  EXPECT_EQ(runner().time(file, w, 1, 1).outcome, Outcome::device_limit);
}

TEST_F(FakeOpenCl, EventsAreTheClockOfWhatIsNoProcessor) {
  KernelRunner asked = runner("gpu");
  const KernelTiming timing = asked.time(text(), w, 4, 2, 1);
  ASSERT_EQ(timing.outcome, Outcome::ok) << timing.message;
  for (double us : timing.us) EXPECT_LT(us, 1e5);
}

TEST_F(FakeOpenCl, AShareIsASubDeviceOutOfOneSplit) {
  {
    KernelRunner asked = runner("", "--first 2 --units 2");
    EXPECT_EQ(asked.time(text(), w, 1, 1, 1).outcome, Outcome::ok);
    EXPECT_EQ(asked.time(text(), w, 2, 1, 1).outcome, Outcome::ok);
    const KernelTiming more = asked.time(text(), w, 3, 1, 1);
    EXPECT_EQ(more.outcome, Outcome::invalid);
    EXPECT_NE(more.message.find("2 compute units"), std::string::npos) << more.message;
  }
  EXPECT_EQ(lines(), (std::vector<std::string>{"split 2 1", "split 2 2", "left 0"}));
}

TEST_F(FakeOpenCl, TheWholeNeedsNoSplitAndEverythingIsReleased) {
  {
    KernelRunner asked = runner("whole");
    EXPECT_EQ(asked.time(text(), w, 4, 1, 1).outcome, Outcome::ok);
    for (const char* word : {"fake: refuse", "fake: no kernel", "fake: large group", "fake: odd"})
      EXPECT_NE(asked.time(text(word), w, 4, 1, 1).outcome, Outcome::ok);
    const KernelTiming part = asked.time(text(), w, 1, 1, 1);
    EXPECT_NE(part.message.find("cannot be handed out by counts"), std::string::npos) << part.message;
  }
  EXPECT_EQ(lines(), (std::vector<std::string>{"left 0"}));
}

TEST_F(FakeOpenCl, ADriverThatMakesTooFewPartsIsNotBelieved) {
  EXPECT_NE(runner("few").time(text(), w, 1, 1, 1).message.find("sub-devices were asked for"),
            std::string::npos);
}

TEST_F(FakeOpenCl, ThePlaceOnTheDeviceMustBeThere) {
  for (const char* options : {"--first 4", "--first 3 --units 2", "--units 5"})
    EXPECT_EQ(code_of([&] { runner("", options); }), Code::runner_failed) << options;
}

TEST_F(FakeOpenCl, HostileRequestsAreAnswered) {
  Subprocess child(program() + " --opencl " TAILOR_FAKE_OPENCL);
  auto answer = [&](const std::string& line) {
    EXPECT_EQ(child.write_line(line, 5), Subprocess::Outcome::done);
    const Subprocess::Line got = child.read_line(20, 1 << 20);
    EXPECT_EQ(got.outcome, Subprocess::Outcome::done) << line;
    return parse_json(got.text, "answer");
  };
  const std::string file = text().string();
  auto time = [&](const std::string& members) {
    return R"({"op":"time","workload":"gemm_m12_k7_n20_f32+bias+relu","library":")" + file + "\"," + members +
           "}";
  };
  for (
      const std::string& bad :
      {std::string("nonsense"), std::string("[]"), std::string("{}"), std::string(R"({"op":"fly"})"),
       std::string(R"({"op":"time"})"), time(R"("workers":0,"samples":1,"min_sample_us":1)"),
       time(R"("workers":1,"samples":-1,"min_sample_us":1)"),
       time(R"("workers":1,"samples":1,"min_sample_us":"x")"),
       time(R"("workers":1e99,"samples":1,"min_sample_us":1)"),
       std::string(
           R"({"op":"time","workload":"gemm_m-1_k7_n20_f32","library":"x","workers":1,"samples":1,"min_sample_us":1})"),
       std::string(
           R"({"op":"partitions","workload":"gemm_m12_k7_n20_f32","library":"x","workers":1,"rounds":1,"seconds":1e9})")})
    EXPECT_EQ(answer(bad)["ok"], false) << bad;
  EXPECT_EQ(answer(time(R"("workers":1,"samples":1,"min_sample_us":1)"))["right"], true);
}

TEST_F(FakeOpenCl, PartsOfOneSplitRunBesideEachOther) {
  Subprocess child(program() + " --opencl " TAILOR_FAKE_OPENCL);
  child.write_line(
      R"({"op":"partitions","workload":"gemm_m12_k7_n20_f32+bias+relu","workers":1,"rounds":2,"seconds":0.02,"library":")" +
          text().string() + "\"}",
      5);
  const Json json = parse_json(child.read_line(20, 1 << 20).text, "answer");
  ASSERT_EQ(json["right"], true) << to_line(json);
  EXPECT_EQ(json["units"], (Json{1, 1, 1, 1}));
  EXPECT_EQ(json["throughput"].size(), 2u);
  for (const char* key : {"alone_us", "beside_us", "alone_cpu_us", "beside_cpu_us"}) {
    ASSERT_EQ(json[key].size(), 4u) << key;
    for (const Json& part : json[key]) EXPECT_EQ(part.size(), 2u) << key;
  }
  child.end(5);
  EXPECT_EQ(lines(), (std::vector<std::string>{"split 1 1 1 1", "left 0"}));
}

TEST_F(FakeOpenCl, JobsTuneOnPartsOfTheDeviceAndGoOn) {
  const std::vector<TuneTask> tasks = {{w, 0.25, 1, 1}, {w, 0.5, 2, 1}};
  TuneOptions how{.jobs = 2, .seconds = 60};
  how.per_task = {.trials = 4}, how.samples = 2, how.finalists = 2, how.searcher = "random";
  how.opencl = place();
  const std::filesystem::path path = folder.fresh(".jsonl");
  {
    RecordFile file(path);
    const TuneResult result = tune_kernels(tasks, file, how);
    for (const TaskResult& task : result.tasks) {
      EXPECT_EQ(task.trials, 4u);
      ASSERT_TRUE(task.best);
      EXPECT_EQ(task.best->tier, Tier::exclusive);
      EXPECT_TRUE(task.key.device.starts_with("OpenCL: fake device, 4 compute units")) << task.key.device;
    }
  }
  RecordFile file(path);
  std::set<std::string> places;
  for (const Record& record : file.records()) {
    EXPECT_EQ(record.outcome, Outcome::ok) << record.message;
    EXPECT_GT(record.tier == Tier::exclusive || record.compile_s > 0, 0);
    places.insert(record.partition);
  }
  for (const std::string& partition : places)
    EXPECT_TRUE((std::set<std::string>{"unit 0", "unit 2", "unit 0-1", "unit 2-3"}.contains(partition)))
        << partition;
  EXPECT_TRUE(places.contains("unit 0-1"));
  const TuneResult again = tune_kernels(tasks, file, how);
  for (const TaskResult& task : again.tasks) EXPECT_EQ(task.before, 4u);
}

TEST_F(FakeOpenCl, AShareThatNoJobHasIsRefused) {
  TuneOptions how{.jobs = 2, .seconds = 10};
  how.opencl = place();
  RecordFile file(folder.fresh(".jsonl"));
  EXPECT_EQ(code_of([&] { tune_kernels({{w, 1, 4, 1}}, file, how); }), Code::bad_value);
  how.jobs = 5;
  EXPECT_EQ(code_of([&] { tune_kernels({{w, 0.25, 1, 1}}, file, how); }), Code::bad_value);
}

// Whatever stands where a runner's words should be, it is an error of the runner.
TEST(HostileRunner, WordsThatAreNone) {
  const std::string answer =
      R"sh(while read -r line; do
        id=$(echo "$line" | sed 's/.*"id": *\([0-9]*\).*/\1/')
        echo '{"id":'$id',"ok":false,"code":7,"message":[1]}'
      done)sh";
  try {
    tune::KernelRunner runner(-1, answer);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::runner_failed) << error.what();
  }
}

}  // namespace
}  // namespace tailor::tune
