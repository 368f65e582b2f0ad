// Shards: disjoint, complete, the same everywhere.
#include "tailor/base/error.h"
#include "tests/farm/fake_workers.h"
#include "tests/tune/spaces.h"

namespace tailor::farm {
namespace {

using testing::code_of;

TEST(Shards, AreRead) {
  EXPECT_EQ(parse_shard("3/16").index, 3);
  EXPECT_EQ(parse_shard("3/16").count, 16);
  EXPECT_EQ(parse_shard("1/1").count, 1);
  for (const char* text :
       {"", "/", "3", "0/4", "5/4", "-1/4", "1/0", "1/4x", "a/b", " 1/4", "1/4/4", "1.5/4", "1/99999999999"})
    EXPECT_EQ(code_of([&] { parse_shard(text); }), Code::bad_value) << text;
}

// Every configuration of every task is in exactly one shard, whatever their numbers are.
TEST(Shards, AreDisjointAndEverything) {
  const std::vector<std::string> layers = {"gemm_m4_k8_n10_f32", "gemm_m1_k8_n10_f32", "gemm_m3_k64_n10_f32"};
  for (std::size_t tasks = 1; tasks <= layers.size(); ++tasks) {
    std::vector<tune::TuneTask> list;
    for (std::size_t i = 0; i < tasks; ++i) list.push_back({latency::parse_workload(layers[i]), 1, 1, 1});
    for (int count = 1; count <= 20; ++count) {
      std::multiset<std::string> seen;
      for (int index = 1; index <= count; ++index)
        for (const Portion& portion : portions_of(list, {index, count})) {
          const auto space =
              part_of(kernel_space(portion.task.workload, testing::kUnit), portion.part, portion.parts);
          for (std::uint64_t i = 0; space && i < space->count(); ++i)
            seen.insert(latency::to_string(portion.task.workload) + space->text(space->at(i)));
        }
      std::multiset<std::string> all;
      for (const tune::TuneTask& task : list) {
        const tune::Space space = kernel_space(task.workload, testing::kUnit);
        for (std::uint64_t i = 0; i < space.count(); ++i)
          all.insert(latency::to_string(task.workload) + space.text(space.at(i)));
      }
      EXPECT_EQ(seen, all) << tasks << " tasks, " << count << " shards";
    }
  }
}

TEST(Shards, PartsAreOfLikeSize) {
  const tune::Space space = kernel_space(latency::parse_workload("gemm_m64_k512_n512_f32"), testing::kUnit);
  for (int part = 0; part < 8; ++part)
    EXPECT_NEAR(static_cast<double>(part_of(space, part, 8)->count()), static_cast<double>(space.count()) / 8,
                static_cast<double>(space.count()) / 40);
}

// What belongs where is part of the file format: a job that is started again on another machine goes on with its own.
TEST(Shards, StayTheSame) {
  const tune::Space space = kernel_space(latency::parse_workload("gemm_m1_k8_n10_f32"), testing::kUnit);
  std::string places;
  for (std::uint64_t i = 0; i < space.count(); ++i)
    for (int part = 0; part < 3; ++part)
      if (const auto own = part_of(space, part, 3); own && own->allows(space.at(i)))
        places += std::to_string(part);
  EXPECT_EQ(places, "020200");
}

}  // namespace
}  // namespace tailor::farm
