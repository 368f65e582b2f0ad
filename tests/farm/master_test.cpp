// The master by properties: whatever happens in whatever order, every configuration gets exactly one record, and the best is
// the one that a single process finds.
#include "tailor/base/error.h"
#include "tests/farm/fake_workers.h"

#include <deque>
#include <fstream>

namespace tailor::farm {
namespace {

using testing::hello_of;
using testing::kUnit;
using testing::tried_once;
using testing::Trouble;
using testing::World;

const std::vector<std::string> kLayers = {"gemm_m4_k8_n10_f32", "gemm_m1_k8_n10_f32"};

FarmOptions exhaustive() {
  return {.seconds = 1e9, .gain = 0, .searcher = "exhaustive", .finalists = 2, .silence_s = 30};
}

std::vector<Hello> on_one_host(std::size_t count) { return std::vector<Hello>(count, hello_of()); }

// Every configuration of every portion has one record; the best is the least of all that were measured.
void expect_all_tried(const std::vector<Portion>& portions, const tune::RecordFile& file,
                      const std::string& device = "d") {
  auto tried = tried_once(file.records());
  for (const Portion& portion : portions) {
    const tune::RecordKey key =
        key_of(portion.task, tune::MachineClass{device, "c++ 12", tune::kernel_hash()});
    const tune::Space space = kernel_space(portion.task.workload, kUnit);
    EXPECT_EQ(tried[key].size(), space.count()) << key.op;
    double least = INFINITY;
    std::set<std::string> given_up;
    for (const tune::Record& record : file.records())
      if (record.key == key && record.outcome != tune::Outcome::ok)
        given_up.insert(tune::to_string(record.configuration));
    for (std::uint64_t i = 0; i < space.count(); ++i) {
      const Named named = tune::named(space, space.at(i));
      if (!given_up.contains(tune::to_string(named)))
        least = std::min(least, testing::time_of(key.op, key.share, named));
    }
    const std::optional<tune::Standing> best = best_of(file.records(), key);
    ASSERT_TRUE(best);
    EXPECT_EQ(best->time_us(), least) << key.op;
    EXPECT_EQ(best->tier, tune::Tier::exclusive);
  }
}

class Masters : public ::testing::Test {
 protected:
  TemporaryFolder folder{true};
  std::filesystem::path db = folder.path() / "trials.jsonl";
  std::vector<Portion> portions = testing::portions_of_layers(kLayers, {0.5, 1});
};

TEST_F(Masters, OneWorkerDoesEverything) {
  tune::RecordFile file(db);
  Master master(portions, file, exhaustive(), 1);
  World world(master, on_one_host(1), {}, 1);
  ASSERT_TRUE(world.run(20000));
  expect_all_tried(portions, file);
  EXPECT_EQ(master.unfinished(world.now()), "");
  EXPECT_TRUE(master.lost().empty());
  const tune::TuneResult result = master.result(world.now());
  ASSERT_EQ(result.tasks.size(), portions.size());
  for (const tune::TaskResult& task : result.tasks) EXPECT_EQ(task.stopped, "every configuration tried");
}

// Any number of workers that die, sleep, answer twice or nonsense; the file is what a restart would read.
TEST_F(Masters, NothingIsLostOrDoubledWhateverHappens) {
  const Trouble trouble{.die = 0.004, .slow = 0.01, .twice = 0.2, .nonsense = 0.004, .give_up = 0.004};
  std::size_t troubled = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    std::filesystem::remove(db);
    tune::RecordFile file(db);
    Master master(portions, file, exhaustive(), 5);
    World world(master, on_one_host(5), trouble, seed);
    ASSERT_TRUE(world.run(100000));
    expect_all_tried(portions, file);
    EXPECT_EQ(tune::RecordFile(db).records(), file.records());
    EXPECT_EQ(master.unfinished(world.now()), "");
    troubled += world.in_trouble().size();
  }
  EXPECT_GT(troubled, 50u) << "the test tries nothing";
}

// The master is killed between any two events, once in the middle of a line, and begun again with fresh workers.
TEST_F(Masters, WhoIsKilledGoesOn) {
  const Trouble trouble{.die = 0.002, .slow = 0.005, .twice = 0.1};
  Random random(3);
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    std::filesystem::remove(db);
    std::vector<tune::Record> before;
    bool done = false;
    for (int life = 0; life < 200 && !done; ++life) {
      tune::RecordFile file(db);
      ASSERT_GE(file.records().size(), before.size());
      EXPECT_TRUE(std::equal(before.begin(), before.end(), file.records().begin())) << "a record changed";
      Master master(portions, file, exhaustive(), 3);
      World world(master, on_one_host(3), trouble, seed * 1000 + static_cast<std::uint64_t>(life));
      done = world.run(20 + static_cast<int>(random.below(200)));
      before = file.records();
      if (!done && random.below(3) == 0) std::ofstream(db, std::ios::app) << "{\"schema\":\"tailor/tri";
    }
    ASSERT_TRUE(done);
    expect_all_tried(portions, tune::RecordFile(db));
  }
}

// Unlike machines have searches of their own, and times never meet.
TEST_F(Masters, KindsOfMachineAreApart) {
  tune::RecordFile file(db);
  Master master(portions, file, exhaustive(), 4);
  World world(master, {hello_of("a"), hello_of("b", 2, "e"), hello_of("a"), hello_of("c", 2, "e")}, {}, 5);
  ASSERT_TRUE(world.run(40000));
  EXPECT_EQ(master.kinds(), 2u);
  expect_all_tried(portions, file, "d");
  expect_all_tried(portions, file, "e");
  EXPECT_EQ(master.result(world.now()).tasks.size(), 2 * portions.size());
}

// Two kinds on one host, as of two compilers: the finals of one wait until the other does nothing, and the other way round.
TEST_F(Masters, ContestsAreAloneOnTheirHost) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::filesystem::remove(db);
    tune::RecordFile file(db);
    Master master(portions, file, exhaustive(), 3);
    World world(master, {hello_of("a"), hello_of("a", 8, "e"), hello_of("a", 8, "e")}, {}, seed);
    ASSERT_TRUE(world.run(40000));
    expect_all_tried(portions, file, "d");
    expect_all_tried(portions, file, "e");
  }
}

// Who comes while finals are held on the host is given nothing until they are over.
TEST_F(Masters, WhoComesDuringAContestWaits) {
  tune::RecordFile file(db);
  Master master(testing::portions_of_layers({kLayers[1]}), file, exhaustive(), 2);
  std::deque<Letter> letters;
  auto say = [&](int rank, const std::string& line) {
    for (Letter& letter : master.receive(rank, line, 0)) letters.push_back(std::move(letter));
  };
  std::optional<ContestOrder> contest;
  for (say(1, to_text(FromWorker(hello_of()))); !letters.empty(); letters.pop_front()) {
    const ToWorker message = read_to_worker(letters.front().line);
    if (const auto* trial = std::get_if<TrialOrder>(&message)) say(1, testing::answer_to(*trial));
    if (const auto* order = std::get_if<ContestOrder>(&message)) contest = *order;
  }
  ASSERT_TRUE(contest);
  auto trials_for_2 = [&] {
    return std::count_if(letters.begin(), letters.end(), [](const Letter& letter) {
      return letter.rank == 2 && std::holds_alternative<TrialOrder>(read_to_worker(letter.line));
    });
  };
  say(2, to_text(FromWorker(hello_of("a", 8, "e"))));
  EXPECT_EQ(trials_for_2(), 0);
  say(1, testing::answer_to(*contest));
  EXPECT_EQ(trials_for_2(), 2);
}

TEST_F(Masters, AnotherBuildIsRefused) {
  tune::RecordFile file(db);
  Master master(portions, file, exhaustive(), 1);
  Hello other = hello_of();
  other.machine.source = "0";
  const std::vector<Letter> letters = master.receive(1, to_text(FromWorker(other)), 0);
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Wait>(read_to_worker(letters[0].line)));
  EXPECT_TRUE(master.done(0));
  EXPECT_NE(master.unfinished(0).find("another build"), std::string::npos);
}

// Each measures on a core of its own; who finds none is refused, and the others go on.
TEST_F(Masters, CoresAreNotShared) {
  tune::RecordFile file(db);
  Master master(portions, file, exhaustive(), 3);
  std::vector<Letter> letters;
  for (int rank = 1; rank <= 3; ++rank)
    for (Letter& letter : master.receive(rank, to_text(FromWorker(hello_of("a", 2))), 0))
      letters.push_back(std::move(letter));
  std::map<int, Place> places;
  std::set<int> refused;
  for (const Letter& letter : letters) {
    const ToWorker message = read_to_worker(letter.line);
    if (const Place* place = std::get_if<Place>(&message)) places[letter.rank] = *place;
    if (std::holds_alternative<Wait>(message)) refused.insert(letter.rank);
  }
  EXPECT_EQ(places[1].core, 0);
  EXPECT_EQ(places[2].core, 1);
  EXPECT_TRUE(places[1].compile_cores.empty());
  EXPECT_EQ(places[1].neighbours, "busy");
  EXPECT_EQ(refused, std::set<int>{3});
}

TEST_F(Masters, TrialsCountThoseOfEarlierRuns) {
  FarmOptions options = exhaustive();
  options.trials = 5;
  for (int run = 0; run < 2; ++run) {
    tune::RecordFile file(db);
    Master master(portions, file, options, 3);
    World world(master, on_one_host(3), {}, 7);
    ASSERT_TRUE(world.run(20000));
    for (const auto& [key, configurations] : tried_once(file.records()))
      EXPECT_EQ(configurations.size(), 5u) << key.op;
    EXPECT_EQ(master.trials(), run == 0 ? 20u : 0u);
  }
}

TEST_F(Masters, TheTimeEndsIt) {
  FarmOptions options = exhaustive();
  options.seconds = 1;
  tune::RecordFile file(db);
  Master master(portions, file, options, 2);
  World world(master, on_one_host(2), {}, 9);
  ASSERT_TRUE(world.run(20000));
  EXPECT_LT(master.trials(), 20u);
  EXPECT_EQ(master.unfinished(world.now()), "");
  EXPECT_EQ(master.result(world.now()).tasks.front().stopped, "the time is over");
}

TEST_F(Masters, WithoutWorkersItEndsAndSaysWhy) {
  tune::RecordFile file(db);
  Master master(portions, file, exhaustive(), 3);
  World world(master, on_one_host(3), {.die = 0.1}, 11);
  world.nobody_is_well();
  ASSERT_TRUE(world.run(20000));
  EXPECT_NE(master.unfinished(world.now()).find("is lost"), std::string::npos);
  tried_once(file.records());
  EXPECT_EQ(master.lost().size(), 3u);
}

TEST_F(Masters, AnUnknownSearcherIsFoundAtOnce) {
  FarmOptions options = exhaustive();
  options.searcher = "luck";
  tune::RecordFile file(db);
  EXPECT_THROW(Master(portions, file, options, 1), Error);
}

}  // namespace
}  // namespace tailor::farm
