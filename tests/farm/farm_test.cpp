// The program tailor-farm as its users start it: shards, ranks of mpirun, and all of them killed at any moment.
#include "tailor/tune/records.h"
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/farm/job.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <map>
#include <set>

namespace tailor::testing {
namespace {

using Words = std::vector<std::string>;
using Tried = std::map<std::tuple<std::string, double>, std::set<std::string>>;

Words operator+(Words a, const Words& b) { return a.insert(a.end(), b.begin(), b.end()), a; }

// Open MPI leaves memory behind when it ends: leaks of ours are looked for where ranks are threads (test_farm).
const Words kNoLeaks = {"ASAN_OPTIONS=detect_leaks=0"};
const Words kRanks =
    kNoLeaks + Words{"mpirun", "-n", "3", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none"};

// TAILOR_PROGRAM is env, which becomes whatever its first word names.
Finished farm(const Words& words) { return run(Words{TAILOR_FARM} + words); }
Finished tailor(const Words& words) { return run(Words{TAILOR_TAILOR} + words); }

void expect_valid(const char* schema, const Json& json) {
  for (const std::string& line : violations(document(tailor({"schema", schema})), json))
    ADD_FAILURE() << line;
}

bool ranks_possible() {
  return TAILOR_HAS_MPI && run({"mpirun", "--version"}).out.find("Open MPI") != std::string::npos;
}
#define TAILOR_NEEDS_RANKS() \
  if (!ranks_possible()) GTEST_SKIP() << "no Open MPI here, or tailor-farm is built without: make farm"

// What was tried by operator and share; fails where something was tried twice.
Tried tried(const std::string& db) {
  Tried all;
  const tune::RecordFile file(db);
  for (const tune::Record& record : file.records())
    if (record.tier == tune::Tier::parallel) {
      std::set<std::string>& known = all[{record.key.op, record.key.share}];
      EXPECT_TRUE(known.insert(tune::to_string(record.configuration)).second)
          << record.key.op << " twice: " << tune::to_string(record.configuration);
    }
  return all;
}

// Two products so small that each has a few configurations only: they are searched to the end.
graph::Model two_products() {
  graph::Model model;
  model.opsets = {{"", 13}};
  graph::Graph& g = model.graph;
  g.name = "products";
  g.nodes = {{"Gemm", "", "first", {"x", "w1"}, {"a"}, {}}, {"Gemm", "", "last", {"a", "w2"}, {"y"}, {}}};
  g.initializers = {{"w1", random_weights({8, 12}, 1)}, {"w2", random_weights({12, 10}, 2)}};
  g.inputs = {{"x", graph::DataType::f32, graph::Shape{1, 8}}};
  g.outputs = {{"y", graph::DataType::f32, graph::Shape{1, 10}}};
  return model;
}

class Farm : public ::testing::Test {
 protected:
  std::string file(const std::string& name) { return (folder.path() / name).string(); }
  std::string products() {
    onnx::write(two_products(), file("products.onnx"));
    return file("products.onnx");
  }
  Words search(const std::string& model, const std::string& db) {
    return {model,       "--db", file(db),    "--searcher", "exhaustive", "--gain", "0",
            "--samples", "1",    "--threads", "2",          "--time",     "5m",     "--no-library"};
  }
  // What one process finds.
  Tried alone(const std::string& model) {
    const Finished f = tailor(Words{"tune"} + search(model, "alone.jsonl"));
    EXPECT_EQ(f.exit, 0) << f.err;
    return tried(file("alone.jsonl"));
  }
  TemporaryFolder folder;
};

TEST_F(Farm, ShardsTogetherTryWhatOneProcessTries) {
  const std::string model = products();
  const Tried expected = alone(model);
  ASSERT_EQ(expected.size(), 2u);
  Words merge = {"tune", "merge", "-o", file("all.jsonl")};
  for (const std::string shard : {"1", "2", "3", "4", "5"}) {
    const Finished f = farm(search(model, shard + ".jsonl") + Words{"--shard", shard + "/5"});
    ASSERT_EQ(f.exit, 0) << f.err;
    const tune::RecordFile records(file(shard + ".jsonl"));
    for (const tune::Record& record : records.records())
      EXPECT_EQ(record.tier, tune::Tier::parallel) << "a part has no finals";
    merge.push_back(file(shard + ".jsonl"));
  }
  ASSERT_EQ(tailor(merge).exit, 0);
  EXPECT_EQ(tried(file("all.jsonl")), expected);
  // The whole adds the finals and tries nothing again; another time it adds nothing.
  const Finished f = farm(search(model, "all.jsonl") + Words{"--shard", "1/1", "--json"});
  ASSERT_EQ(f.exit, 0) << f.err;
  const Json json = document(f);
  expect_valid("tune", json);
  EXPECT_EQ(json["trials"], 0);
  for (const Json& task : json["tasks"]) EXPECT_EQ(task["own"]["tier"], "exclusive") << task;
  EXPECT_EQ(tried(file("all.jsonl")), expected);
  const std::string before(map_file(file("all.jsonl")).view());
  EXPECT_EQ(farm(search(model, "all.jsonl") + Words{"--shard", "1/1"}).exit, 0);
  EXPECT_EQ(map_file(file("all.jsonl")).view(), before);
}

TEST_F(Farm, WrongUsageIsSaid) {
  const std::string model = products();
  auto expect = [&](const Words& words, int exit, const std::string& code) {
    const Finished f = farm(words);
    EXPECT_EQ(f.exit, exit) << f.err;
    EXPECT_NE(f.err.find("error[" + code + "]"), std::string::npos) << f.err;
  };
  const Words good = {model, "--db", file("t.jsonl")};
  expect({}, 2, "E2000");
  expect({model}, 2, "E2000");
  expect(good + Words{"--shard", "5/4"}, 2, "E2002");
  expect(good + Words{"--shard", "1/1", "--jobs", "0"}, 2, "E2002");
  expect(good + Words{"--shard", "1/1", "--jobs", "100000"}, 2, "E2002");
  expect(good + Words{"--shard", "1/1", "--samples", "0"}, 2, "E2002");
  expect(good + Words{"--shard", "1/1", "--silence", "0"}, 2, "E2002");
  expect(good + Words{"--shard", "1/1", "--share", "33"}, 2, "E2002");
  expect(good + Words{"--shrad", "1/1"}, 2, "E2001");
  expect(good + Words{"--jobs", "2"}, 2, "E2000");
  expect({model, "--db", file("t.jsonl"), "--shard", "1/1", "--searcher", "luck"}, 2, "E2001");
  expect({file("none.onnx"), "--db", file("t.jsonl"), "--shard", "1/1"}, 2, "E2101");
  expect({model, "--db", file("none/t.jsonl"), "--shard", "1/1"}, 8, "E8002");
  if (!TAILOR_HAS_MPI) expect(good, 6, "E6001");
  EXPECT_EQ(farm({"--help"}).exit, 0);
}

TEST_F(Farm, RanksTryWhatOneProcessTries) {
  TAILOR_NEEDS_RANKS();
  const std::string model = products();
  const Finished f = run(kRanks + Words{TAILOR_FARM} + search(model, "ranks.jsonl") + Words{"--json"});
  ASSERT_EQ(f.exit, 0) << f.err;
  const Json json = document(f);
  expect_valid("tune", json);
  for (const Json& task : json["tasks"]) {
    EXPECT_EQ(task["stopped"], "every configuration tried");
    EXPECT_EQ(task["own"]["tier"], "exclusive");
  }
  const Tried ranks = tried(file("ranks.jsonl")), one = alone(model);
  EXPECT_EQ(ranks, one);
  std::size_t count = 0;
  for (const auto& entry : ranks) count += entry.second.size();
  EXPECT_EQ(json["trials"], count);
  std::fprintf(stderr, "mpirun -n 3: %zu configurations of %zu tasks, each once, as one process\n", count,
               ranks.size());
}

TEST_F(Farm, OneRankAloneIsSaid) {
  TAILOR_NEEDS_RANKS();
  const Finished f = run(kNoLeaks + Words{"mpirun", "-n", "1", "--allow-run-as-root", TAILOR_FARM, products(),
                                          "--db", file("t.jsonl")});
  EXPECT_EQ(f.exit, 2) << f.err;
  EXPECT_NE(f.err.find("error[E2000]"), std::string::npos) << f.err;
}

// An error of the first rank ends all ranks, and is said once.
TEST_F(Farm, ErrorsOfTheFirstRankEndAll) {
  TAILOR_NEEDS_RANKS();
  const Finished f = run(kRanks + Words{TAILOR_FARM, file("none.onnx"), "--db", file("t.jsonl")});
  EXPECT_EQ(f.exit, 2) << f.err;
  const std::size_t at = f.err.find("error[E2101]");
  EXPECT_NE(at, std::string::npos) << f.err;
  EXPECT_EQ(f.err.find("error[E2101]", at + 1), std::string::npos) << f.err;
}

std::string whole_lines(const std::string& path) {
  if (!std::filesystem::exists(path)) return {};
  const std::string text(map_file(path).view());
  return text.substr(0, text.rfind('\n') + 1);
}

// Three moments, or as many as TAILOR_KILLS says (scripts/farm-check), spread over what a job does from its start to its
// trials by the golden ratio.
std::vector<double> moments() {
  const char* wanted = std::getenv("TAILOR_KILLS");
  const int count = wanted ? std::clamp(std::atoi(wanted), 1, 1000) : 3;
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) seconds.push_back(0.4 + 3 * std::fmod(0.6180339887 * (i + 1), 1.0));
  return seconds;
}

// A runner, a worker and the master are killed in turn. A job goes on without its runner; without a rank it ends, and the
// same command goes on from the records. Nothing that was recorded is lost or changed, nothing is tried twice.
TEST_F(Farm, IsKilledAndGoesOn) {
  TAILOR_NEEDS_RANKS();
  const std::string model = write_small(folder.path(), "small.onnx", 6).string(), db = file("trials.jsonl");
  const Words words =
      kRanks + Words{TAILOR_FARM, model, "--db",   db,  "--threads", "2",   "--share",     "50,100",
                     "--samples", "1",   "--gain", "0", "--time",    "10m", "--no-library"};
  std::string before;
  std::map<Victim, int> killed;
  int next = 0;
  for (const double seconds : moments()) {
    Job job(Words{"env"} + words);
    const Victim victim = kVictims[next++ % std::size(kVictims)];
    job.wait(seconds);
    bool hit = job.kill(victim);
    for (int i = 0; i < 300 && !hit; ++i) job.wait(0.05), hit = job.kill(victim);  // as soon as there is one
    ASSERT_TRUE(hit) << job.words();
    ++killed[victim];
    if (victim == Victim::runner) {
      job.wait(0.5);
      EXPECT_TRUE(job.runs()) << "without its runner the job ended: " << job.words();
    } else {
      EXPECT_GT(job.end(30), 0) << "without a rank the job went on, or ended well: " << job.words();
    }
    job.kill_all();
    const std::string now = whole_lines(db);
    EXPECT_TRUE(now.starts_with(before)) << "a record was lost or changed";
    before = now;
    if (std::filesystem::exists(db)) tried(db);
  }
  std::size_t most = 0, trials = 0;
  if (std::filesystem::exists(db))
    for (const auto& entry : tried(db))
      most = std::max(most, entry.second.size()), trials += entry.second.size();
  std::fprintf(stderr, "killed: %d runners, %d workers, %d masters; %zu trials kept\n",
               killed[Victim::runner], killed[Victim::worker], killed[Victim::master], trials);
  const Finished f = run(words + Words{"--trials", std::to_string(most + 1), "--json"});
  ASSERT_EQ(f.exit, 0) << f.err;
  EXPECT_TRUE(std::string(map_file(db).view()).starts_with(before));
  for (const auto& [task, configurations] : tried(db)) EXPECT_LE(configurations.size(), most + 1);
  const Json json = document(f);
  for (const Json& task : json["tasks"]) {
    EXPECT_EQ(task["own"]["tier"], "exclusive") << task;
    EXPECT_TRUE(task["stopped"] == fmt::format("{} trials", most + 1) ||
                task["stopped"] == "every configuration tried")
        << task["stopped"];
  }
}

}  // namespace
}  // namespace tailor::testing
