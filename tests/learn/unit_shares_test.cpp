// The search for units: shares, their cost against sums by hand, gradients against differences, and that it finds what is
// cheap where nothing is lost and what is precise where cost does not matter.
#include "tailor/learn/unit_shares.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/network.h"
#include "tailor/learn/state.h"
#include "tailor/learn/train.h"
#include "tests/learn/graphs.h"
#include "tests/testing.h"

#include <cmath>
#include <limits>

namespace tailor::learn {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

std::vector<double> line(int channels, double start, double slope) {
  std::vector<double> stairs = {0};
  for (int c = 1; c <= channels; ++c) stairs.push_back(start + slope * c);
  return stairs;
}

saliency::Keeping kept_as(const char* format) { return {device::parse_weight_format(format)}; }

// Unit 0 in 8 bits, ten cycles a channel; unit 1 ternary, one cycle a channel. The slower one counts.
UnitSearch two_units(double strength) {
  UnitSearch search;
  const std::vector<saliency::Keeping> ways = {kept_as("int8"), kept_as("ternary")};
  for (const auto& [name, channels] : {std::pair{"w1", 6}, {"w2", 6}, {"w3", 4}})
    search.layers.push_back({name, ways, {0, 1}, {line(channels, 0, 10), line(channels, 0, 1)}});
  search.prices = [](std::span<const double> cycles) {
    return cycles[0] >= cycles[1] ? std::vector<double>{1, 0} : std::vector<double>{0, 1};
  };
  search.strength = strength;
  return search;
}

TEST(UnitShares, CostIsThatOfTheSharesAndPullsTheSlowerUnit) {
  UnitShares shares(two_units(2));
  // Half of the channels each: 3, 3 and 2 of them at ten cycles, against 160 for all.
  EXPECT_NEAR(shares.cost().item().toDouble(), 2 * 80.0 / 160, 1e-6);
  shares.cost().backward();
  for (const auto& [name, tensor] : shares.tensors()) {
    if (!name.starts_with("shares w")) continue;
    const at::Tensor gradient = tensor.grad().sum(1);
    EXPECT_GT(gradient[0].item().toDouble(), 0) << name;
    EXPECT_NEAR(gradient[0].item().toDouble(), -gradient[1].item().toDouble(), 1e-6) << name;
  }
}

TEST(UnitShares, RunsSeeTheWaysWeighedByTheirShares) {
  UnitShares shares(two_units(1));
  const at::Tensor weights = to_aten(testing::drawn({6, 3, 3, 3}, 3), at::kFloat).set_requires_grad(true);
  const at::Tensor seen = shares.seen("w1", weights);
  auto all = [&](int way) {
    return rounded(weights, {{kept_as("int8"), kept_as("ternary")}, std::vector<int>(6, way)});
  };
  EXPECT_LT((seen - (all(0) + all(1)) / 2).abs().max().item().toDouble(), 1e-6);
  seen.sum().backward();
  EXPECT_LT((weights.grad() - 1).abs().max().item().toDouble(), 1e-6) << "as if nothing were rounded";
  const at::Tensor numbers = shares.tensors()[0].second;
  const at::Tensor difference = ((all(0) - all(1)).sum({1, 2, 3}) / 4).detach();
  EXPECT_LT((numbers.grad()[0] - difference).abs().max().item().toDouble(), 1e-5);
  EXPECT_TRUE(shares.seen("other", weights).is_same(weights));
}

TEST(UnitShares, AWayThatCannotHasNoShare) {
  UnitSearch search = two_units(1);
  search.layers[1].cycles[0] = {0, kNever, kNever, kNever, kNever, kNever, kNever};
  UnitShares shares(search);
  EXPECT_NEAR(shares.cost().item().toDouble(), (30 + 6 + 20) / (60.0 + 6 + 40), 1e-6);
  const Keepings decided = shares.decided();
  for (int way : decided.at("w2").way) EXPECT_EQ(way, 1);
  search.layers[1].cycles[1] = search.layers[1].cycles[0];
  EXPECT_THROW(UnitShares{search}, Error);
}

TEST(UnitShares, StaircasesCountWholeChannels) {
  UnitSearch search = two_units(1);
  search.layers.resize(1);
  search.layers[0].cycles = {{0, 16, 16, 16, 16, 32, 32}, {0, 1, 1, 1, 1, 1, 1}};
  UnitShares shares(search);  // 3 channels each
  EXPECT_NEAR(shares.cost().item().toDouble(), 16.0 / 32, 1e-6);
}

class SearchesUnits : public ::testing::Test {
 protected:
  SearchesUnits() {
    set_threads(1);
    data.emplace(data::read_dataset(testing::write_colours(folder.path(), 200, 3)));
  }
  Training searched(double strength, double rate = 0.05, const Keeping& keeping = {},
                    const std::function<void(const Moment&)>& progress = {}) const {
    Task task{&*data, nullptr};
    task.units = two_units(strength);
    task.units->rate = rate;
    const Recipe recipe{.schedule = {.rate = 0.1}, .epochs = 4, .batch = 20, .seed = 5};
    return train(testing::small_classifier(), task, recipe, keeping, progress);
  }
  static int in_ternary(const Training& training) {
    int count = 0;
    for (const auto& [name, how] : training.keepings)
      for (int way : how.way) count += way;
    return count;
  }

  TemporaryFolder folder;
  std::optional<data::Dataset> data;
};

TEST_F(SearchesUnits, CheapWhereCostIsAllPreciseWhereItIsNothing) {
  const Training cheap = searched(100), precise = searched(0);
  EXPECT_EQ(in_ternary(cheap), 16);
  EXPECT_LT(in_ternary(precise), 12);
  EXPECT_EQ(cheap.keepings.at("w2").way.size(), 6u);
}

TEST_F(SearchesUnits, WritesTheWeightsAsDecided) {
  const Training training = searched(1);
  Task task{&*data, nullptr};
  const graph::Model again = as_kept(training.model, training.keepings);
  for (const char* name : {"w1", "w2", "w3"}) {
    const std::vector<float> a = training.model.graph.initializers.at(name).values<float>(),
                             b = again.graph.initializers.at(name).values<float>();
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-6 * std::abs(a[i])) << name;
  }
}

TEST_F(SearchesUnits, GoesOnToTheSameDecision) {
  const Keeping begun{folder.path() / "run", {}, "run", false, 0},
      resumed{folder.path() / "run", {}, "run", true, 0};
  const Training whole = searched(1);
  EXPECT_THROW(searched(1, 0.05, begun, [](const Moment& m) { set_interrupted(m.step == 17); }), Error);
  set_interrupted(false);
  const Training rest = searched(1, 0.05, resumed);
  EXPECT_EQ(rest.resumed_at, 17);
  EXPECT_EQ(rest.keepings, whole.keepings);
  EXPECT_EQ(rest.model.graph.initializers.at("w2").data.view(),
            whole.model.graph.initializers.at("w2").data.view());
}

}  // namespace
}  // namespace tailor::learn
