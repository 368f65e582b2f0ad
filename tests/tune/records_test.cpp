// Records: text and back, files that were torn or are hostile, merging, the order of merit.
#include "tailor/tune/records.h"

#include "tailor/base/file.h"
#include "tests/tune/spaces.h"

#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

namespace tailor::tune {
namespace {

using testing::code_of;

Record record(int tile, double us, Tier tier = Tier::parallel, const std::string& op = "gemm_m8_k8_n8_f32") {
  Record r;
  r.key = {op, "f32", "row-major", "EPYC avx2", 0.5, "g++ 12.2", "abc"};
  r.configuration = {{"tile", std::int64_t{tile}}, {"layout", std::string("packed")}, {"fraction", 0.25}};
  r.us = {us * 1.1, us, us * 1.3};
  r.clock = "thread cpu", r.partition = "cpu 1", r.neighbours = "busy", r.tier = tier;
  r.sentinel = 1.004, r.compile_s = 0.11, r.when = "2026-11-21T20:00:00Z";
  return r;
}

Record failed(int tile, Outcome outcome) {
  Record r = record(tile, 1);
  r.us.clear(), r.outcome = outcome, r.message = "signal 11";
  return r;
}

Record round_trip(const Record& r) {
  return record_from_json(parse_json(to_line(to_json(r)), "here"), "here");
}

TEST(Records, TextAndBack) {
  EXPECT_EQ(round_trip(record(8, 12.5)), record(8, 12.5));
  for (Outcome outcome : kOutcomes) {
    if (outcome == Outcome::ok) continue;
    EXPECT_EQ(round_trip(failed(4, outcome)), failed(4, outcome));
  }
}

TEST(Records, WhatIsNoRecordIsRefused) {
  const Json good = to_json(record(8, 12.5));
  auto refused = [&](const std::function<void(Json&)>& spoil) {
    Json bad = good;
    spoil(bad);
    return code_of([&] { record_from_json(bad, "here"); }) == Code::bad_json;
  };
  for (const auto& [key, value] : good.items()) {
    EXPECT_TRUE(refused([&key = key](Json& j) { j.erase(key); })) << key;
    EXPECT_TRUE(refused([&key = key](Json& j) { j[key] = nullptr; })) << key;
  }
  for (const auto& [key, value] : good["key"].items())
    EXPECT_TRUE(refused([&key = key](Json& j) { j["key"].erase(key); })) << key;
  EXPECT_TRUE(refused([](Json& j) { j["schema"] = "tailor/trial/2"; }));
  EXPECT_TRUE(refused([](Json& j) { j["us"] = {-1.0}; }));
  EXPECT_TRUE(refused([](Json& j) { j["us"] = Json::array(); }));
  EXPECT_TRUE(refused([](Json& j) { j["us"] = {"fast"}; }));
  EXPECT_TRUE(refused([](Json& j) { j["outcome"] = "compile"; }));
  EXPECT_TRUE(refused([](Json& j) { j["outcome"] = "great"; }));
  EXPECT_TRUE(refused([](Json& j) { j["tier"] = "secret"; }));
  EXPECT_TRUE(refused([](Json& j) { j["key"]["share"] = 0; }));
  EXPECT_TRUE(refused([](Json& j) { j["key"]["share"] = 1.5; }));
  EXPECT_TRUE(refused([](Json& j) { j["sentinel"] = -0.5; }));
  EXPECT_TRUE(refused([](Json& j) { j["configuration"] = Json::object(); }));
  EXPECT_TRUE(refused([](Json& j) { j["configuration"]["tile"] = Json::array(); }));
  EXPECT_EQ(code_of([] { record_from_json(Json(3), "here"); }), Code::bad_json);
}

TEST(RecordFile, AppendsAndReadsAgain) {
  TemporaryFolder folder;
  const auto path = folder.fresh(".jsonl");
  RecordFile file(path);
  for (int i = 1; i < 6; ++i) file.append(i % 3 ? record(i, 10.0 * i) : failed(i, Outcome::compile));
  const RecordFile again(path);
  EXPECT_EQ(again.records(), file.records());
  EXPECT_EQ(again.damaged(), 0);
}

TEST(RecordFile, ATornLastLineIsToleratedAtEveryByte) {
  TemporaryFolder folder;
  const auto path = folder.fresh(".jsonl");
  const std::string first = to_line(to_json(record(1, 10))) + "\n", second = to_line(to_json(record(2, 20)));
  for (std::size_t kept = 0; kept <= second.size(); kept += 7) {
    write_file(path, first + second.substr(0, kept));
    RecordFile file(path);
    ASSERT_EQ(file.records().size(), 1u);
    ASSERT_EQ(file.damaged(), kept > 0 ? 1 : 0);
    file.append(record(3, 30));
    const RecordFile again(path);
    ASSERT_EQ(again.records().size(), 2u) << kept;
    EXPECT_EQ(again.records().back(), record(3, 30));
  }
  write_file(path, first + second);
  EXPECT_EQ(RecordFile(path).records().size(), 2u) << "whole, only its line break is missing";
}

TEST(RecordFile, HostileLinesAreCountedOrRefused) {
  TemporaryFolder folder;
  const auto path = folder.fresh(".jsonl");
  const std::string good = to_line(to_json(record(1, 10))) + "\n";
  write_file(path, good + "nonsense\n\n{\"schema\":\n" + std::string(2 << 20, '[') + "\n" +
                       std::string("\0\x01\n", 3) + good);
  EXPECT_EQ(RecordFile(path).records().size(), 2u);
  EXPECT_EQ(RecordFile(path).damaged(), 4);
  for (const char* line : {"3", "[]", "{}", "{\"schema\":\"tailor/trial/1\"}", "null", "{\"schema\":{}}"}) {
    write_file(path, good + line + "\n");
    EXPECT_EQ(code_of([&] { RecordFile{path}; }), Code::bad_json) << line;
  }
  write_file(path, good + std::string(70, '[') + std::string(70, ']') + "\n");
  EXPECT_EQ(code_of([&] { RecordFile{path}; }), Code::bad_json) << "nested too deep";
  EXPECT_TRUE(RecordFile(folder.fresh(".jsonl")).records().empty()) << "a missing file is empty";
}

TEST(RecordFile, DamagedBytesNeverCrash) {
  TemporaryFolder folder;
  const auto path = folder.fresh(".jsonl");
  const std::string good = to_line(to_json(record(1, 10))) + "\n";
  Random random(1);
  int read = 0, refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string bad = good;
    for (std::size_t n = 1 + random.below(3); n > 0; --n) {
      const std::size_t at = random.below(bad.size());
      if (random.below(3) == 0)
        bad.erase(at, 1 + random.below(20));
      else
        bad[at] = "\"{}[],:0-e.x\n\0"[random.below(14)];
    }
    write_file(path, bad);
    try {
      const RecordFile file(path);
      ++read;
      for (const Record& r : file.records()) EXPECT_EQ(round_trip(r), r);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Code::bad_json) << bad;
      ++refused;
    }
  }
  EXPECT_GT(read, 100);
  EXPECT_GT(refused, 100);
}

// A child appends until it is killed at a random moment; what it said it had written is there.
TEST(RecordFile, NothingIsLostOrDoubledByKill9) {
  TemporaryFolder folder;
  Random random(1);
  for (int i = 0; i < 15; ++i) {
    const auto path = folder.fresh(".jsonl");
    int channel[2];
    ASSERT_EQ(::pipe(channel), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      RecordFile file(path);
      for (int n = 1;; ++n) {
        file.append(record(n, n));
        if (::write(channel[1], &n, sizeof n) != sizeof n) ::_exit(1);
      }
    }
    ::close(channel[1]);
    std::this_thread::sleep_for(std::chrono::microseconds(500 + random.below(20000)));
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    int said = 0;
    for (int n = 0; ::read(channel[0], &n, sizeof n) == sizeof n;) said = n;
    ::close(channel[0]);
    const RecordFile file(path);
    ASSERT_GE(static_cast<int>(file.records().size()), said);
    ASSERT_LE(static_cast<int>(file.records().size()), said + 1);
    for (std::size_t n = 0; n < file.records().size(); ++n)
      ASSERT_EQ(std::get<std::int64_t>(file.records()[n].configuration[0].second),
                static_cast<std::int64_t>(n) + 1);
  }
}

TEST(Records, MergingIsAUnion) {
  const std::vector<Record> a = {record(1, 10), record(2, 20, Tier::parallel, "conv"),
                                 failed(3, Outcome::timeout)};
  const std::vector<Record> b = {record(1, 10), record(4, 5)};
  const std::vector<Record> merged = merge({a, b});
  EXPECT_EQ(merged.size(), 4u);
  EXPECT_EQ(merged.front().key.op, "conv");
  EXPECT_EQ(merge({merged, a, b, merged}), merged);
  EXPECT_EQ(merge({}), std::vector<Record>{});
  EXPECT_EQ(group(merged).size(), 2u);
  EXPECT_EQ(group(merged)[1].records.size(), 3u);
}

TEST(Records, WhatWasMeasuredAloneComesFirst) {
  std::vector<Record> records = {record(1, 10),
                                 record(2, 11, Tier::exclusive),
                                 record(2, 4),
                                 record(3, 12, Tier::exclusive),
                                 record(1, 9),
                                 failed(5, Outcome::wrong_result),
                                 record(5, 1, Tier::exclusive)};
  std::vector<Standing> order = ranking(group(records).front());
  ASSERT_EQ(order.size(), 3u) << "a wrong result is never chosen";
  EXPECT_EQ(order[0].time_us(), 11);
  EXPECT_EQ(order[1].time_us(), 12);
  EXPECT_EQ(order[2].time_us(), 9);
  EXPECT_EQ(order[2].us.size(), 6u) << "samples of both records";
  Random random(1);
  random.shuffle(records);
  std::vector<Standing> again = ranking(group(records).front());
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(again[i].configuration, order[i].configuration);
  EXPECT_EQ(to_string(order[0].configuration), "tile=2 layout=packed fraction=0.25");
}

}  // namespace
}  // namespace tailor::tune
