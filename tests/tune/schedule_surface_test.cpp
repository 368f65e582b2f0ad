// Answers for shapes that were left out of recorded measurements: of laws whose truth is known.
#include "tailor/tune/schedule_surface.h"

#include "tests/tune/spaces.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace tailor::tune {
namespace {

using latency::Workload;
constexpr const char* kDevice = "a processor, avx2";

Workload product(std::int64_t m, std::int64_t k, std::int64_t n) {
  return latency::parse_workload(fmt::format("gemm_m{}_k{}_n{}_f32+bias", m, k, n));
}

std::int64_t setting(const std::vector<std::pair<std::string, Value>>& list, const std::string& name) {
  for (const auto& [key, value] : list)
    if (key == name) return std::get<std::int64_t>(value);
  return 0;
}

// Microseconds of a configuration by its tile alone: padded products over a speed that grows with the tile.
double law(const Workload& w, const std::vector<std::pair<std::string, Value>>& list) {
  const double mr = static_cast<double>(setting(list, "mr")),
               nr = 8.0 * static_cast<double>(setting(list, "nv"));
  const double rows = std::ceil(static_cast<double>(w.mb) / mr) * mr,
               columns = std::ceil(static_cast<double>(w.oc) / nr) * nr;
  return rows * columns * static_cast<double>(w.ic) / (1000 * mr * nr / (mr + nr));
}

Record record_of(const Workload& w, const std::vector<std::pair<std::string, Value>>& configuration,
                 double us) {
  Record record;
  record.key = {latency::to_string(w), "f32", "row-major", kDevice, 1, "g++ 12; -O3", "abc"};
  record.configuration = configuration, record.us = {us, 1.2 * us};
  record.tier = Tier::exclusive;
  return record;
}

using Truth = std::function<double(const Workload&, const std::vector<std::pair<std::string, Value>>&)>;
// The same thirty tiles at every shape, whole blocks.
std::vector<Record> records_of(const std::vector<Workload>& shapes, const Truth& truth) {
  std::vector<Record> records;
  for (const Workload& w : shapes) {
    const Space space = kernel_space(w, {8, 16, "avx2"});
    for (std::uint64_t i = 0; i < space.count(); ++i) {
      const auto list = named(space, space.at(i));
      if (setting(list, "unroll") != 1 || setting(list, "pack") != 0 || setting(list, "kc") != w.ic ||
          setting(list, "mc") != w.mb || setting(list, "nc") != w.oc)
        continue;
      records.push_back(record_of(w, list, truth(w, list)));
    }
  }
  return records;
}

std::vector<Workload> grid() {
  std::vector<Workload> shapes;
  for (std::int64_t m : {32, 64, 128})
    for (std::int64_t n : {48, 96, 200}) shapes.push_back(product(m, 256, n));
  return shapes;
}

ScheduleSurface surface_of(const std::vector<Record>& records, int workers = 1, SurfaceOptions options = {}) {
  RecordKey here = {"", "f32", "", kDevice, 1, "g++ 12; -O3", "abc"};
  return {records, here, *unit_of(here), workers, options};
}

TEST(ScheduleSurface, IsExactWhereSpeedsDoNotDependOnTheShape) {
  const ScheduleSurface surface = surface_of(records_of(grid(), law));
  for (const Workload& asked : {product(100, 256, 130), product(48, 256, 72), product(200, 300, 390)}) {
    const SurfaceAnswer answer = surface.ask(asked);
    ASSERT_EQ(answer.ground, Ground::interpolated) << answer.reason;
    EXPECT_NEAR(*answer.us, law(asked, answer.configuration), 1e-9 * *answer.us);
    EXPECT_LE(*answer.lo_us, *answer.us);
    EXPECT_LE(*answer.us, *answer.hi_us);
    EXPECT_EQ(answer.neighbours.size(), 3u);
    EXPECT_NE(answer.reason, "");
    // No tile that was recorded anywhere would be faster there.
    const Space space = kernel_space(asked, {8, 16, "avx2"});
    for (std::uint64_t i = 0; i < space.count(); ++i) {
      const auto list = named(space, space.at(i));
      const bool whole = setting(list, "kc") == asked.ic && setting(list, "mc") == asked.mb &&
                         setting(list, "nc") == asked.oc;
      EXPECT_TRUE(!whole || law(asked, list) * 1.35 >= *answer.us) << to_string(list);
    }
  }
  EXPECT_NEAR(surface.error_of(product(64, 256, 96)).largest, 0, 1e-9);
}

// Speed depends on the sizes as caches make it do: each shape is left out and asked of the others.
TEST(ScheduleSurface, ShapesLeftOutLieWithinTheErrorOfTheOthers) {
  const Truth cached = [](const Workload& w, const std::vector<std::pair<std::string, Value>>& list) {
    return law(w, list) * std::pow(static_cast<double>(w.mb * w.oc) / 6144, 0.08);
  };
  const std::vector<Workload> shapes = grid();
  int covered = 0;
  for (const Workload& left_out : shapes) {
    std::vector<Workload> others = shapes;
    std::erase(others, left_out);
    const SurfaceAnswer answer = surface_of(records_of(others, cached)).ask(left_out);
    ASSERT_EQ(answer.ground, Ground::interpolated) << answer.reason;
    const double truth = cached(left_out, answer.configuration);
    covered += *answer.lo_us <= truth && truth <= *answer.hi_us ? 1 : 0;
    EXPECT_LT(std::abs(std::log(*answer.us / truth)), 0.25);
  }
  EXPECT_GE(covered, 7) << "of nine";
  const SurfaceError error = surface_of(records_of(shapes, cached)).error_of(product(64, 256, 96));
  EXPECT_EQ(error.shapes, 8);
  EXPECT_GT(error.largest, 0);
  EXPECT_GE(error.largest, error.median);
  ASSERT_TRUE(error.largest_regret);
  EXPECT_GE(*error.largest_regret, 0);
}

TEST(ScheduleSurface, WhatIsRecordedIsAnsweredByItsRecords) {
  std::vector<Record> records = records_of(grid(), law);
  const Workload known = product(64, 256, 96);
  double best = 1e300;
  for (const Record& record : records)
    if (record.key.op == latency::to_string(known)) best = std::min(best, record.time_us());
  SurfaceAnswer answer = surface_of(records).ask(known);
  EXPECT_EQ(answer.ground, Ground::measured);
  EXPECT_EQ(*answer.us, best);
  EXPECT_FALSE(answer.library);
  EXPECT_EQ(answer.reason, "");
  records.push_back(record_of(known, {{"library", std::string("onednn 2.6.3")}}, 0.5 * best));
  answer = surface_of(records).ask(known);
  EXPECT_TRUE(answer.library);
  EXPECT_EQ(*answer.us, 0.5 * best);
  EXPECT_EQ(to_string(answer.configuration), "library=onednn 2.6.3");
  records.back().us = {2 * best};
  EXPECT_FALSE(surface_of(records).ask(known).library);
}

TEST(ScheduleSurface, FallsBackWithAReason) {
  auto expect = [](const SurfaceAnswer& answer, Ground ground, const std::string& words) {
    EXPECT_EQ(answer.ground, ground) << answer.reason;
    EXPECT_NE(answer.reason.find(words), std::string::npos) << answer.reason;
    EXPECT_FALSE(answer.us || answer.lo_us || answer.hi_us) << "no time is promised";
    EXPECT_FALSE(answer.configuration.empty());
  };
  const std::vector<Record> records = records_of(grid(), law);
  const ScheduleSurface surface = surface_of(records);
  expect(surface.ask(latency::parse_workload("gemm_m64_k256_n96_f32+bias+relu")), Ground::rule,
         "nothing is recorded");
  expect(surface.ask(product(600, 256, 96)), Ground::nearest,
         "batch 600 is beyond 2 times the measured ones (32 to 128)");
  expect(surface.ask(product(64, 256, 20)), Ground::nearest, "output width 20 is beyond");
  expect(
      surface_of(records_of({product(64, 256, 96), product(64, 256, 200)}, law)).ask(product(64, 256, 128)),
      Ground::nearest, "2 layers like it");
  const Truth wild = [](const Workload& w, const std::vector<std::pair<std::string, Value>>& list) {
    return law(w, list) * (w.oc == 96 ? 3 : 1);
  };
  expect(surface_of(records_of(grid(), wild)).ask(product(64, 256, 150)), Ground::nearest, "missed by up to");
  EXPECT_EQ(surface_of(records_of(grid(), wild), 1, {.most_error = 10}).ask(product(64, 256, 150)).ground,
            Ground::interpolated);
}

TEST(ScheduleSurface, OtherDevicesSharesVersionsAndFailuresDoNotCount) {
  const std::vector<Record> records = records_of(grid(), law);
  const Workload asked = product(100, 256, 130);
  auto ground_with = [&](const std::function<void(Record&)>& spoil) {
    std::vector<Record> spoilt = records;
    for (Record& record : spoilt) spoil(record);
    return surface_of(spoilt).ask(asked).ground;
  };
  EXPECT_EQ(ground_with([](Record&) {}), Ground::interpolated);
  EXPECT_EQ(ground_with([](Record& r) { r.key.device = "another, avx2"; }), Ground::rule);
  EXPECT_EQ(ground_with([](Record& r) { r.key.share = 0.5; }), Ground::rule);
  EXPECT_EQ(ground_with([](Record& r) { r.key.versions = "g++ 13"; }), Ground::rule);
  EXPECT_EQ(ground_with([](Record& r) { r.key.source = "def"; }), Ground::rule);
  EXPECT_EQ(ground_with([](Record& r) { r.outcome = Outcome::wrong_result, r.us.clear(); }), Ground::rule);
  EXPECT_EQ(ground_with([](Record& r) { r.configuration = {{"tile", std::int64_t{3}}}; }), Ground::rule);
  EXPECT_EQ(ground_with([](Record& r) { r.key.op = "softmax"; }), Ground::rule) << "no workload of ours";
}

// Microseconds of the one of four threads who gets most, blocks dealt in turn, tiles at the border whole.
double on_four(const Workload& w, const Space& space, const Configuration& c) {
  const Blocks blocks = blocks_of(w, {8, 16, "avx2"}, space, c);
  auto whole = [](std::int64_t size, std::int64_t tile) { return (size + tile - 1) / tile * tile; };
  std::array<std::int64_t, 4> load = {};
  std::size_t number = 0;
  for (std::int64_t column = 0; column < blocks.n; column += blocks.columns)
    for (std::int64_t row = 0; row < blocks.m; row += blocks.rows)
      load[number++ % 4] += whole(std::min(blocks.rows, blocks.m - row), blocks.tile_rows) *
                            whole(std::min(blocks.columns, blocks.n - column), blocks.tile_columns);
  return static_cast<double>(*std::max_element(load.begin(), load.end()) * w.ic) / 1e4;
}

TEST(ScheduleSurface, SharesOfSeveralThreadsFollowTheLargestLoad) {
  std::vector<Record> records;
  const Space smallest = kernel_space(product(96, 256, 192), {8, 16, "avx2"});
  for (std::int64_t n : {192, 384, 768}) {
    const Workload w = product(96, 256, n);
    const Space space = kernel_space(w, {8, 16, "avx2"});
    for (std::uint64_t i = 0; i < 400; ++i) {
      const auto list = named(smallest, smallest.at(i * 97 % smallest.count()));
      const std::optional<Configuration> c = place_of(space, list);
      if (c && setting(list, "nc") < 192) records.push_back(record_of(w, list, on_four(w, space, *c)));
    }
  }
  const Workload asked = product(96, 256, 512);
  const Space space = kernel_space(asked, {8, 16, "avx2"});
  const SurfaceAnswer answer = surface_of(records, 4, {.most_error = 1000}).ask(asked);
  ASSERT_EQ(answer.ground, Ground::interpolated) << answer.reason;
  const std::optional<Configuration> chosen = place_of(space, answer.configuration);
  ASSERT_TRUE(chosen);
  EXPECT_NEAR(*answer.us, on_four(asked, space, *chosen), 1e-9 * *answer.us);
}

TEST(ScheduleSurface, UnitsAreReadOffTheDevice) {
  EXPECT_EQ(unit_of({"", "", "", "AMD EPYC, avx512", 1, "", ""})->floats, 16);
  EXPECT_EQ(unit_of({"", "", "", "AMD EPYC, avx2", 1, "", ""})->registers, 16);
  EXPECT_FALSE(unit_of({"", "", "", "H200", 1, "", ""}));
  EXPECT_EQ(surfaces_in(records_of(grid(), law)).size(), 1u);
}

}  // namespace
}  // namespace tailor::tune
