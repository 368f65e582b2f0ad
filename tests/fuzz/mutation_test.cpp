// Some thousand mutants, and everything that was found before. mutate_models does the same for as long as one likes.
#include "tailor/base/file.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/straight_line.h"
#include "tests/testing.h"

namespace tailor::fuzz {
namespace {

TEST(Mutation, SeedsGetAllTheWay) {
  int cut = 0;
  std::vector<std::string> seeds = made_seeds();
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    Outcome outcome = straight_line(Bytes::own(seeds[i]), i);
    EXPECT_EQ(outcome.finding, "") << i;
    EXPECT_TRUE(outcome.reached != Reached::refused) << i;
    cut += outcome.reached == Reached::cut;
  }
  EXPECT_GE(cut, 15) << "of " << seeds.size();
}

void try_mutants(const std::vector<Seed>& seeds, int count) {
  int cut = 0;
  for (int i = 0; i < count && !::testing::Test::HasFailure(); ++i) {
    Random random(static_cast<std::uint64_t>(i));
    std::string mutant = seeds[random.below(seeds.size())].mutant(random);
    Outcome outcome = straight_line(Bytes::own(std::move(mutant)), random.next());
    EXPECT_EQ(outcome.finding, "") << "mutant " << i;
    cut += outcome.reached == Reached::cut;
  }
  EXPECT_GT(cut, count / 20) << "mutants that nobody takes for models prove little";
}

TEST(Mutation, OfMadeModels) {
  std::vector<Seed> seeds;
  for (const std::string& bytes : made_seeds()) seeds.emplace_back(bytes);
  try_mutants(seeds, 4000);
}

TEST(Mutation, OfRealModels) {
  TAILOR_NEEDS(testing::real_model("mnist-8"));
  std::vector<Seed> seeds;
  for (const char* name : {"mnist-8", "micro_kws_m_fp32", "mlperftiny_kws_dscnn", "vit_cifar10_pgd_2_3_16"})
    seeds.emplace_back(map_file(testing::real_model(name)).view());
  try_mutants(seeds, 400);
}

TEST(Mutation, WhatWasFoundBefore) {
  std::filesystem::path corpus = std::filesystem::path(TAILOR_SOURCE_DIR) / "tests" / "fuzz" / "corpus";
  for (const auto& entry : std::filesystem::directory_iterator(corpus))
    for (std::uint64_t seed = 0; seed < 8; ++seed)
      EXPECT_EQ(straight_line(map_file(entry.path()), seed).finding, "") << entry.path();
}

TEST(Mutation, CountsMemory) {
  reset_most_allocated();
  std::size_t before = most_allocated();
  { std::vector<char> large(1 << 22); }
  EXPECT_GE(most_allocated(), before + (1 << 22));
  EXPECT_LT(allocated(), before + (1 << 22));
}

}  // namespace
}  // namespace tailor::fuzz
