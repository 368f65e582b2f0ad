// Networks for units that take turns: the list that is executed is the one that the planner pays for, and its types agree.
#include "tailor/pipeline/turn_network.h"

#include "tailor/base/random.h"
#include "tailor/pipeline/turn_costs.h"
#include "tailor/rewrite/quantise_network.h"
#include "tests/rewrite/graphs.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

namespace tailor::pipeline {
namespace {

// A residual block, a sum that two read, maximum pooling, a classifier.
TurnNetwork network(const device::Platform& platform = device::find_platform("cpu")) {
  const Subject subject =
      make_subject(testing::graph_of({"Conv x 8x3x3x3 8 -> a | pads=[1,1,1,1]", "Relu a -> b",
                                      "MaxPool b -> p | kernel_shape=[2,2]",
                                      "Conv p 8x8x3x3 8 -> c | pads=[1,1,1,1]", "Add c p -> s", "Relu s -> r",
                                      "Conv r 8x1x3x3 8 -> d | group=8", "Conv r 4x8x1x1 4 -> e",
                                      "GlobalAveragePool d -> g", "Flatten g -> f", "Gemm f 8x5 5 -> y"},
                                     {1, 3, 8, 8}, {}, 13),
                   {});
  return turn_network(subject, platform, rewrite::quantisable_layers(subject.model, subject.shapes));
}

// Costs of which every sum is different.
void draw_costs(TurnNetwork& n, std::uint64_t seed) {
  Random random(seed);
  for (plan::TurnStep& step : n.problem.steps)
    for (plan::Way& way : step.ways) way.cost = random.uniform(1, 100);
  for (plan::TurnValue& value : n.problem.values)
    for (auto& row : value.conversion)
      for (double& cost : row) cost = random.uniform(1, 100);
}

std::vector<int> random_choice(const TurnNetwork& n, Random& random) {
  std::vector<int> choice;
  for (const plan::TurnStep& step : n.problem.steps)
    choice.push_back(static_cast<int>(random.below(step.ways.size())));
  return choice;
}

// A machine so slow that a profile has two runs: neither lies between their quartiles, and both count.
TEST(TurnCosts, SomeRunsAreAlwaysTypical) {
  EXPECT_EQ(typical_runs({7}), (std::vector<std::size_t>{0}));
  EXPECT_EQ(typical_runs({7, 9}), (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(typical_runs({7, 9, 8}), (std::vector<std::size_t>{2}));
  EXPECT_EQ(typical_runs({1, 2, 3, 4, 100}), (std::vector<std::size_t>{1, 2, 3}));
}

TEST(TurnNetwork, WaysFollowWhatHasAFormInEightBits) {
  const TurnNetwork n = network();
  auto ways = [&](const std::string& head) {
    for (std::size_t s = 0; s < n.list.layers.size(); ++s)
      if (n.list.layers[s].text.starts_with(head)) return n.problem.steps[s].ways.size();
    ADD_FAILURE() << head;
    return std::size_t{0};
  };
  EXPECT_EQ(ways("conv_"), 4u) << "f32, bf16, int8, int8 that gives f32";
  EXPECT_EQ(ways("gemm_"), 4u);
  EXPECT_EQ(ways("pool_max_"), 3u);
  EXPECT_EQ(ways("pool_avg_"), 1u);
}

TEST(TurnNetwork, TheExecutedListIsWhatThePlannerPays) {
  TurnNetwork n = network();
  Random random(5);
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    draw_costs(n, seed);
    const std::vector<int> choice = random_choice(n, random);
    const TurnList list = turn_list(n, choice);
    double cost = 0;
    for (const ListedStep& step : list.steps)
      if (step.step >= 0) {
        const auto s = static_cast<std::size_t>(step.step);
        cost += n.problem.steps[s].ways[static_cast<std::size_t>(choice[s])].cost;
      } else {
        const plan::Conversion& c = step.conversion;
        cost += n.problem.values[static_cast<std::size_t>(c.value)]
                    .conversion[static_cast<std::size_t>(c.from)][static_cast<std::size_t>(c.to)];
      }
    EXPECT_NEAR(cost, plan::evaluate(n.problem, choice).latency_us, 1e-9 * cost);
    EXPECT_EQ(Json::parse(list.network)["layers"].size(), list.steps.size());
  }
}

// Every tensor is written once, before it is read, and read in the type that it was written in.
TEST(TurnNetwork, TypesOfAListAgree) {
  const TurnNetwork n = network();
  Random random(6);
  for (int i = 0; i < 200; ++i) {
    const Json layers = Json::parse(turn_list(n, random_choice(n, random)).network)["layers"];
    std::map<int, std::string> types;
    for (const Json& layer : layers) {
      const std::string text = layer["layer"];
      const std::size_t plus = std::min(text.find('+'), text.size());
      const bool reorder = text.starts_with("reorder_");
      const std::size_t last = text.rfind('_', plus), before = text.rfind('_', last - 1);
      const std::string reads = reorder ? text.substr(before + 1, last - before - 1)
                                        : std::string(layer["reads"]),
                        writes =
                            reorder ? text.substr(last + 1, plus - last - 1) : std::string(layer["writes"]);
      for (std::size_t k = 0; k < layer["in"].size(); ++k) {
        const std::string wanted = k == 0 ? reads : std::string(layer.value("residual", reads));
        EXPECT_EQ(types.try_emplace(layer["in"][k].get<int>(), wanted).first->second, wanted) << layer;
      }
      EXPECT_TRUE(types.try_emplace(layer["out"].get<int>(), writes).second) << "written twice: " << layer;
    }
  }
}

TEST(TurnNetwork, LevelsAreSignedWhereValuesAre) {
  const TurnNetwork n = network();
  std::set<std::string> written;
  std::vector<int> choice;
  for (const plan::TurnStep& step : n.problem.steps) {
    int levels = 0;
    for (std::size_t w = 0; w < step.ways.size(); ++w)
      if (step.ways[w].name == "int8") levels = static_cast<int>(w);
    choice.push_back(levels);
  }
  const Json network = Json::parse(turn_list(n, choice).network);
  for (const Json& layer : network["layers"]) {
    const std::string text = layer["layer"];
    if (!text.starts_with("conv_")) continue;
    EXPECT_NE(text.find("_i8"), std::string::npos) << text;
    EXPECT_EQ(layer["writes"], text.ends_with("relu") ? "u8" : "s8") << text;
  }
}

TEST(TurnNetwork, EveryConversionOfAChoiceIsAPossibleOne) {
  const TurnNetwork n = network();
  const std::vector<plan::Conversion> all = possible_conversions(n);
  const std::set<plan::Conversion> possible(all.begin(), all.end());
  Random random(7);
  for (int i = 0; i < 200; ++i)
    for (const plan::Conversion& c : plan::conversions(n.problem, random_choice(n, random)))
      EXPECT_TRUE(possible.contains(c));
}

}  // namespace
}  // namespace tailor::pipeline
