// Replay: on a made-up table, and on the measured spaces of the benchmark hub where they are.
#include "tailor/tune/replay.h"

#include "bench/benchmark_hub.h"
#include "tests/testing.h"
#include "tests/tune/spaces.h"

#include <cmath>

namespace tailor::tune {
namespace {

MeasuredSpace small() {
  std::vector<MeasuredRow> rows;
  for (std::int64_t a : {1, 2, 4, 8})
    for (std::int64_t b : {1, 2, 4})
      if (a * b <= 16)
        rows.push_back({{a, b}, a == 8 ? Outcome::invalid : Outcome::ok, 100.0 / double(a * b)});
  return make_measured_space({"a", "b"}, rows);
}

TEST(Replay, TablesKnowTheirRows) {
  const MeasuredSpace measured = small();
  EXPECT_EQ(measured.space.count(), 11u);
  EXPECT_EQ(measured.best_us(), 6.25);
  EXPECT_EQ(measured.trial({2, 2}).us, 6.25);
  EXPECT_EQ(measured.trial({3, 0}).outcome, Outcome::invalid);
  const MeasuredSpace twice = make_measured_space(
      {"a"}, {{{1}, Outcome::ok, 5}, {{1}, Outcome::ok, 4}, {{1.0}, Outcome::compile, 0}});
  EXPECT_EQ(twice.space.count(), 1u);
  EXPECT_EQ(twice.best_us(), 4);
  EXPECT_EQ(testing::code_of([] { make_measured_space({"a"}, {}); }), Code::bad_space);
}

TEST(Replay, CurvesOnlyFallAndEndWithTheSpace) {
  const MeasuredSpace measured = small();
  for (const char* name : {"exhaustive", "random", "evolution", "model"}) {
    auto searcher = make_searcher(name, measured.space, 1);
    const std::vector<double> curve = replay(*searcher, measured, 50);
    ASSERT_EQ(curve.size(), 11u) << name;
    EXPECT_TRUE(std::is_sorted(curve.rbegin(), curve.rend())) << name;
    EXPECT_EQ(curve.back(), 6.25) << name;
    EXPECT_GT(first_within(curve, 6.25), 0);
    EXPECT_EQ(first_within(curve, 6), 0);
  }
}

TEST(Replay, RecordsOfOneKeyAreATable) {
  RecordGroup group;
  for (int i = 1; i <= 3; ++i) {
    Record r;
    r.configuration = {{"tile", std::int64_t{i}}, {"layout", std::string(i == 2 ? "b" : "a")}};
    r.us = {10.0 * i, 9.0 * i};
    group.records.push_back(r);
  }
  group.records.push_back(group.records.front());
  group.records.back().configuration.pop_back();  // a stranger
  const MeasuredSpace measured = make_measured_space(group);
  EXPECT_EQ(measured.space.count(), 3u);
  EXPECT_EQ(measured.best_us(), 9);
}

TEST(Replay, TranslationGoesByNamesAndValues) {
  const MeasuredSpace from = small();
  const Space space(
      {{"b", testing::whole({2, 4})}, {"c", testing::whole({7})}, {"a", testing::whole({2, 4, 8})}},
      std::vector<std::string>{});
  const std::vector<Trial> trials = translate(from, space);
  ASSERT_EQ(trials.size(), 5u);  // a=2 b=2,4; a=4 b=2,4; a=8 b=2
  for (const Trial& trial : trials) {
    const double b = trial.configuration[0] == 0 ? 2 : 4, a = 2 << trial.configuration[2];
    EXPECT_EQ(trial.us, 100 / (a * b));
  }
  EXPECT_TRUE(translate(from, Space({{"a", testing::whole({1, 2})}}, std::vector<std::string>{})).empty())
      << "their second parameter has several values, and nobody says which";
}

// The bar of the module, at one seed per space so that it takes seconds; bench/tune_bench has more seeds.
TEST(Replay, TheModelBeatsChanceOnMeasuredSpaces) {
  const auto data = testing::shared_data();
  TAILOR_NEEDS(data / "gpu" / "benchmark_hub");
  double model = 0, chance = 0;
  for (const char* name : {"conv_A4000", "conv_W7800"}) {
    const MeasuredSpace measured = benchmark_hub::read(data, name);
    EXPECT_GT(measured.space.count(), 4000u);
    model += std::log(replay(*search_by_model(measured.space, 1), measured, 60).back() / measured.best_us());
    for (std::uint64_t seed = 1; seed <= 5; ++seed)
      chance += std::log(replay(*search_at_random(measured.space, seed), measured, 60).back() /
                         measured.best_us()) /
                5;
  }
  EXPECT_LT(model, chance);
}

TEST(Replay, RecordsOfAnotherDeviceLeadNearTheOptimumInTwentyTrials) {
  const auto data = testing::shared_data();
  TAILOR_NEEDS(data / "gpu" / "benchmark_hub");
  const MeasuredSpace measured = benchmark_hub::read(data, "gemm_RTX_Titan");
  const MeasuredSpace other = benchmark_hub::read(data, "gemm_RTX_2080_Ti");
  EXPECT_EQ(measured.space.count(), 17956u);
  const Prior prior(measured.space, translate(other, measured.space), "RTX 2080 Ti");
  auto searcher = search_by_model(measured.space, 1, {}, prior);
  EXPECT_LE(replay(*searcher, measured, 20).back(), 1.05 * measured.best_us());
}

}  // namespace
}  // namespace tailor::tune
