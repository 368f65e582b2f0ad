// Messages are read back as they were written, and anything else is an error that names what is wrong.
#include "tailor/base/error.h"
#include "tests/farm/fake_workers.h"
#include "tests/tune/spaces.h"

namespace tailor::farm {
namespace {

using testing::code_of;

tune::TuneTask task() { return {latency::parse_workload("gemm_m4_k8_n10_f32+bias"), 0.3, 3, 2}; }
Named configuration() { return {{"mr", std::int64_t{4}}, {"layout", std::string("a\"b")}, {"rate", 0.1}}; }

std::vector<FromWorker> from_workers() {
  tune::Record record;
  record.key.op = "gemm_m4_k8_n10_f32", record.key.share = 0.1;
  record.configuration = configuration(), record.us = {1.0 / 3, 2}, record.message = "line\nbreak";
  tune::Record failed = record;
  failed.us.clear(), failed.outcome = tune::Outcome::compile;
  return {testing::hello_of("host", 3), TrialAnswer{7, record, 0.5, 2}, TrialAnswer{8, failed, 0, 0},
          ContestAnswer{9, {record, record}, "no library"}, GiveUp{"disk full"}};
}

std::vector<ToWorker> to_workers() {
  return {Place{3, {1, 2}, "busy"},
          TrialOrder{1, task(), configuration(), 5, 0.02},
          ContestOrder{2, task(), {configuration()}, {.seed = ~std::uint64_t{0}}, "lib.so"},
          ContestOrder{3, task(), {}, {}, std::nullopt},
          Wait{"no core"},
          Stop{}};
}

TEST(Messages, ComeBackAsTheyWere) {
  for (const FromWorker& message : from_workers()) {
    const std::string line = to_text(message);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(to_text(read_from_worker(line)), line);
  }
  for (const ToWorker& message : to_workers()) {
    const std::string line = to_text(message);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    EXPECT_EQ(to_text(read_to_worker(line)), line);
  }
}

TEST(Messages, KeepTheirValues) {
  const auto answer = std::get<TrialAnswer>(read_from_worker(to_text(from_workers()[1])));
  EXPECT_EQ(answer.record, std::get<TrialAnswer>(from_workers()[1]).record);
  const auto order = std::get<ContestOrder>(read_to_worker(to_text(to_workers()[2])));
  EXPECT_EQ(order.how.seed, ~std::uint64_t{0});
  EXPECT_EQ(order.task.share, 0.3);
  EXPECT_EQ(order.task.workload, task().workload);
  EXPECT_EQ(order.configurations.front(), configuration());
}

// Bytes lost, changed or cut off: a message or an error of the two kinds that are promised, never anything else.
template <class Read>
void expect_only_errors(const std::string& line, Random& random, Read read) {
  for (int i = 0; i < 400; ++i) {
    std::string damaged = line;
    for (std::size_t k = 0; k <= random.below(3); ++k) {
      const std::size_t at = random.below(damaged.size());
      if (random.below(3) == 0)
        damaged.erase(at, 1 + random.below(20));
      else
        damaged[at] = static_cast<char>(random.below(256));
      if (damaged.empty()) damaged = "{";
    }
    try {
      read(damaged);
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::bad_json || error.code() == Code::bad_value) << error.what();
    }
  }
}

TEST(Messages, DamagedOnesAreErrors) {
  Random random(5);
  for (const FromWorker& message : from_workers())
    expect_only_errors(to_text(message), random, [](const std::string& line) { read_from_worker(line); });
  for (const ToWorker& message : to_workers())
    expect_only_errors(to_text(message), random, [](const std::string& line) { read_to_worker(line); });
}

TEST(Messages, BoundsAreChecked) {
  for (const char* line :
       {"{}", "null", "{\"message\":\"hello\"}", "{\"message\":7}", "{\"message\":\"place\",\"core\":0}",
        "{\"message\":\"hello\",\"protocol\":1,\"host\":\"h\",\"cores\":[],\"device\":\"d\",\"versions\":"
        "\"v\","
        "\"source\":\"s\",\"floats\":16,\"registers\":32,\"unit\":\"u\"}"})
    EXPECT_EQ(code_of([&] { read_from_worker(line); }), Code::bad_json) << line;
  for (const char* line : {"{\"message\":\"place\",\"core\":-1,\"compile_cores\":[],\"neighbours\":\"\"}",
                           "{\"message\":\"place\",\"core\":0,\"compile_cores\":[\"x\"],\"neighbours\":\"\"}",
                           "{\"message\":\"trial\",\"ticket\":1,\"task\":{\"op\":\"gemm_m4_k8_n10_f32\","
                           "\"share\":2,\"workers\":1,"
                           "\"layers\":1},\"configuration\":{\"mr\":1},\"samples\":5,\"drift\":0.02}"})
    EXPECT_EQ(code_of([&] { read_to_worker(line); }), Code::bad_json) << line;
}

}  // namespace
}  // namespace tailor::farm
