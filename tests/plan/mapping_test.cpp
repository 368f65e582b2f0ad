// Whole networks: against enumeration on small ones, against the published tables on real ones.
#include "tailor/base/random.h"
#include "tailor/plan/platform_mapping.h"
#include "tests/device/networks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace tailor::plan {
namespace {

using device::find_platform;
using device::Platform;

// Loss: how many weights are not in the first option.
std::vector<LayerToMap> weights_as_loss(const Platform& platform, const testing::Layers& workloads) {
  std::vector<LayerToMap> layers;
  for (const latency::Workload& w : workloads) {
    LayerToMap layer{"layer" + std::to_string(layers.size()), w, {}, {}};
    if (!layers.empty()) layer.reads.push_back(static_cast<int>(layers.size()) - 1);
    auto row = static_cast<double>(w.ic / w.g * w.kh * w.kw);
    for (std::size_t o = 0; o < latency::unit_choices(platform).size(); ++o)
      layer.loss.emplace_back(static_cast<std::size_t>(w.oc), o == 0 ? 0 : row);
    layers.push_back(std::move(layer));
  }
  return layers;
}

// The weights of layers that can be split at all.
double splittable_weights(const std::vector<LayerToMap>& layers) {
  double sum = 0;
  for (const LayerToMap& layer : layers)
    if (layer.workload.g == 1)
      for (double row : layer.loss.back()) sum += row;
  return sum;
}

struct Published {
  const char* name;
  testing::Layers layers;
  // cycles and microjoules: everything 8-bit, everything ternary, ternary but for the ends, fastest, thriftiest
  double digital, digital_uj, ternary, ternary_uj, ends, ends_uj, fastest, fastest_uj, least_uj;
};
std::vector<Published> published() {
  return {{"resnet20", testing::resnet20(), 257673, 24.737, 88121, 9.741, 86964, 9.551, 86964, 9.687, 9.551},
          {"resnet18_64", testing::resnet18_64(), 11336793, 1088.3, 464150, 51.31, 509862, 55.36, 464150,
           60.15, 51.31},
          {"resnet18_224", testing::resnet18_224(), 10401181, 998.5, 629565, 69.59, 994340, 101.2, 629565,
           84.13, 69.59},
          {"mobilenet", testing::mobilenet_v1(), 208608, 20.026, 144454, 14.339, 139042, 13.634, 139042,
           14.054, 13.634}};
}

double cycles_of(const Platform& platform, const Mapping& mapping) {
  return mapping.latency_us * platform.frequency_mhz;
}
// The tables give four or five digits.
void expect_close(double value, double table, const char* what) {
  EXPECT_NEAR(value / table, 1, 1.2e-4) << what;
}

Mapping fastest(const Platform& platform, const std::vector<LayerToMap>& layers, Objective objective) {
  PlatformProblem problem = platform_problem(platform, layers, objective);
  Front front =
      plan_mapping(problem.mapping, {.budget_us = find_least_cost(problem.mapping).least_cost * (1 + 1e-9)});
  EXPECT_FALSE(front.points.empty());
  return mapping_of(platform, layers, problem.mapping, front.points.back().choice);
}

TEST(Diana, TablesArePublishedOnes) {
  const Platform diana = find_platform("diana");
  for (const Published& p : published()) {
    SCOPED_TRACE(p.name);
    std::vector<LayerToMap> layers = weights_as_loss(diana, p.layers);
    std::vector<Baseline> simple = baselines(diana, layers);
    ASSERT_EQ(simple.size(), 3u);
    EXPECT_EQ(simple[0].name, "all on digital");
    EXPECT_EQ(simple[1].name, "all on analog");
    EXPECT_EQ(simple[2].name, "first and last on digital, rest on analog");
    expect_close(cycles_of(diana, simple[0].mapping), p.digital, "digital");
    expect_close(simple[0].mapping.energy_uj, p.digital_uj, "digital uJ");
    expect_close(cycles_of(diana, simple[1].mapping), p.ternary, "ternary");
    expect_close(simple[1].mapping.energy_uj, p.ternary_uj, "ternary uJ");
    expect_close(cycles_of(diana, simple[2].mapping), p.ends, "ends");
    expect_close(simple[2].mapping.energy_uj, p.ends_uj, "ends uJ");
    Mapping fast = fastest(diana, layers, Objective::latency);
    expect_close(cycles_of(diana, fast), p.fastest, "fastest");
    expect_close(fast.energy_uj, p.fastest_uj, "fastest uJ");
    expect_close(fastest(diana, layers, Objective::energy).energy_uj, p.least_uj, "thriftiest");
  }
}

// Digital channels per layer, without the depthwise layers: the splits of the published minimum-latency
// networks.
std::vector<int> digital_channels(const Mapping& mapping, const std::vector<LayerToMap>& layers) {
  std::vector<int> counts;
  for (std::size_t l = 0; l < layers.size(); ++l)
    counts.push_back(layers[l].workload.g > 1 ? 0 : mapping.splits[l].counts[0]);
  return counts;
}

TEST(Diana, FastestSplitsArePublishedOnes) {
  const Platform diana = find_platform("diana");
  auto splits = [&](const testing::Layers& workloads) {
    std::vector<LayerToMap> layers = weights_as_loss(diana, workloads);
    return digital_channels(fastest(diana, layers, Objective::latency), layers);
  };
  std::vector<int> resnet20(22), resnet18(21), mobilenet(28);
  resnet20[0] = 16, resnet20[14] = 4, resnet20[21] = 10;
  EXPECT_EQ(splits(testing::resnet20()), resnet20);
  for (std::size_t layer : {0, 15, 16, 17, 18, 19}) resnet18[layer] = 16;
  resnet18[20] = 112;
  EXPECT_EQ(splits(testing::resnet18_64()), resnet18);
  mobilenet[0] = 8, mobilenet[2] = 6, mobilenet[24] = mobilenet[26] = 32, mobilenet[27] = 2;
  EXPECT_EQ(splits(testing::mobilenet_v1()), mobilenet);
}

// Share of the weights that is 8-bit at shares of the way from the fastest mapping to the all-8-bit one. The
// table was computed with latencies rounded to the nearest tick, so it lies between the exact shares at a
// thousandth less and a thousandth more of the latency.
void expect_shares(const testing::Layers& workloads, const std::vector<std::pair<double, double>>& table) {
  const Platform diana = find_platform("diana");
  std::vector<LayerToMap> layers = weights_as_loss(diana, workloads);
  PlatformProblem problem = platform_problem(diana, layers, Objective::latency);
  Front front = plan_mapping(problem.mapping);
  double all = baselines(diana, layers)[0].mapping.latency_us, least = front.points.front().cost.latency_us;
  auto percent = [&](double budget) {
    const Point* point = front.best_within(std::max(budget, least));
    return 100 * (1 - point->cost.loss / splittable_weights(layers));
  };
  for (auto [way, published] : table) {
    double budget = least + way * (all - least);
    EXPECT_LE(percent(budget - 1e-3 * all), published + 0.06) << way;
    EXPECT_GE(percent(budget + 1e-3 * all), published - 0.06) << way;
  }
}

TEST(Diana, EightBitSharesArePublishedOnes) {
  expect_shares(testing::resnet20(), {{0, 2.0},
                                      {.02, 20.2},
                                      {.05, 23.8},
                                      {.1, 30.1},
                                      {.2, 42.3},
                                      {.3, 54.5},
                                      {.5, 78.5},
                                      {.7, 93.0},
                                      {1, 100}});
  expect_shares(
      testing::resnet18_64(),
      {{0, 3.2}, {.02, 7.1}, {.05, 12.8}, {.1, 22.5}, {.2, 41.7}, {.3, 60.9}, {.5, 87.8}, {.7, 97.2}});
  expect_shares(
      testing::mobilenet_v1(),
      {{0, 7.2}, {.02, 13.0}, {.05, 19.6}, {.1, 28.2}, {.2, 46.7}, {.3, 60.2}, {.5, 77.3}, {.7, 94.5}});
}

TEST(Diana, APointAtABudgetIsExact) {
  const Platform diana = find_platform("diana");
  std::vector<LayerToMap> layers = weights_as_loss(diana, testing::resnet20());
  PlatformProblem problem = platform_problem(diana, layers, Objective::latency);
  const double budget = 1.05 * find_least_cost(problem.mapping).least_cost;
  Front front = plan_mapping(problem.mapping, {.budget_us = budget});
  const Point* point = front.best_within(budget);
  ASSERT_NE(point, nullptr);
  EXPECT_TRUE(point->certificate.optimal);
  EXPECT_EQ(point->certificate.quantum_us, 0);
}

TEST(Diana, FreeChannelsOfResNet18) {
  const Platform diana = find_platform("diana");
  std::vector<LayerToMap> layers = weights_as_loss(diana, testing::resnet18_64());
  for (std::size_t l = 15; l < 21; ++l) {
    SplitProblem problem = split_problem(diana, layers[l], Objective::latency);
    FreeChannels free = free_channels(problem, find_splits(problem, {.pareto = false}), 0);
    EXPECT_EQ(free.least, 0) << l;
    EXPECT_EQ(free.most, l == 20 ? 112 : 16) << l;
    EXPECT_LE(free.at_most, free.limit);
    EXPECT_GT(free.next, free.limit);
  }
}

// Losses that differ from channel to channel, on small layers: equal to going through all splits of all layers.
TEST(Mapping, EqualsEnumeration) {
  Random random(7);
  for (const char* name : {"diana", "darkside", "ne16", "mpic"}) {
    Platform platform = find_platform(name);
    for (int i = 0; i < 30; ++i) {
      if (i % 3 == 1) platform.transfer = {70, 0.25, 1, 5};
      Objective objective = i % 2 && platform.knows_power() ? Objective::energy : Objective::latency;
      std::vector<LayerToMap> layers = weights_as_loss(
          platform, {testing::conv(8, 8, 3, 4), testing::conv(8, 6, 3, 4), testing::conv(6, 6, 3, 2)});
      layers.resize(1 + random.below(3));
      for (LayerToMap& layer : layers)
        for (auto& losses : layer.loss)
          for (double& loss : losses) loss = static_cast<double>(random.below(50));
      PlatformProblem problem = platform_problem(platform, layers, objective);
      Front front = plan_mapping(problem.mapping);
      std::vector<int> choice(layers.size());
      double best_at_least = std::numeric_limits<double>::infinity();
      for (bool more = true; more;) {
        Cost cost = evaluate(problem.mapping, choice);
        const Point* point = front.best_within(cost.latency_us * (1 + 1e-12));
        ASSERT_NE(point, nullptr);
        ASSERT_LE(point->cost.loss, cost.loss) << name << " " << i;
        best_at_least = std::min(best_at_least, cost.latency_us);
        std::size_t l = 0;
        for (; l < choice.size(); choice[l++] = 0)
          if (++choice[l] < static_cast<int>(problem.mapping.layers[l].splits.size())) break;
        more = l < choice.size();
      }
      EXPECT_NEAR(find_least_cost(problem.mapping).least_cost, best_at_least, 1e-9 * best_at_least);
      for (const Point& point : front.points) {
        Mapping mapping = mapping_of(platform, layers, problem.mapping, point.choice);
        double priced = objective == Objective::latency ? mapping.latency_us : mapping.energy_uj;
        EXPECT_NEAR(priced, point.cost.latency_us, 1e-9 * priced);
        EXPECT_NEAR(mapping.loss, point.cost.loss, 1e-9);
      }
    }
  }
}

TEST(Mapping, NeverWorseThanABaseline) {
  for (const char* name : {"diana", "darkside"}) {
    const Platform platform = find_platform(name);
    for (const testing::Layers& network : {testing::resnet20(), testing::mobilenet_v1()}) {
      std::vector<LayerToMap> layers = weights_as_loss(platform, network);
      for (Objective objective : {Objective::latency, Objective::energy}) {
        PlatformProblem problem = platform_problem(platform, layers, objective);
        EXPECT_EQ(problem.largest_step, 1);
        Front front = plan_mapping(problem.mapping);
        for (const Baseline& baseline : baselines(platform, layers)) {
          double cost =
              objective == Objective::latency ? baseline.mapping.latency_us : baseline.mapping.energy_uj;
          const Point* point =
              front.best_within(cost * (1 + 1e-9) + front.points.back().certificate.quantum_us);
          ASSERT_NE(point, nullptr) << baseline.name;
          EXPECT_LE(point->cost.loss, baseline.mapping.loss + 1e-9) << baseline.name;
        }
      }
    }
  }
}

// One unit in the middle of a network of the other: worth it alone, not worth the way there and back.
TEST(Mapping, ChangesOfUnitArePriced) {
  Platform diana = find_platform("diana");
  std::vector<LayerToMap> layers = weights_as_loss(
      diana, {testing::conv(64, 64, 3, 8), testing::linear(64, 10), testing::conv(64, 64, 3, 8)});
  auto digital_in_the_middle = [&] {
    Mapping mapping = fastest(diana, layers, Objective::latency);
    return mapping.splits[1].counts[0] == 10;
  };
  EXPECT_TRUE(digital_in_the_middle());
  diana.transfer.cycles = 1000;
  EXPECT_FALSE(digital_in_the_middle());
}

TEST(Mapping, TheRelaxationIsJustPossible) {
  const Platform diana = find_platform("diana");
  std::vector<LayerToMap> layers = weights_as_loss(diana, testing::resnet20());
  PlatformProblem problem = platform_problem(diana, layers, Objective::latency);
  LeastCost relaxation = find_least_cost(problem.mapping);
  EXPECT_TRUE(
      plan_mapping(problem.mapping, {.budget_us = relaxation.least_cost * (1 - 1e-6)}).points.empty());
  EXPECT_FALSE(
      plan_mapping(problem.mapping, {.budget_us = relaxation.least_cost * (1 + 1e-9)}).points.empty());
  EXPECT_TRUE(std::is_sorted(relaxation.share.rbegin(), relaxation.share.rend()));
  EXPECT_EQ(relaxation.slowest.size(), 22u);
}

// Printed, not asserted: the machine may be busy.
TEST(Mapping, TimeOfWholeFronts) {
  for (const char* name : {"diana", "darkside"}) {
    const Platform platform = find_platform(name);
    const std::pair<const char*, testing::Layers> networks[] = {{"ResNet20", testing::resnet20()},
                                                                {"ResNet18", testing::resnet18_64()},
                                                                {"MobileNetV1", testing::mobilenet_v1()}};
    for (const auto& [title, network] : networks) {
      auto begin = std::chrono::steady_clock::now();
      std::vector<LayerToMap> layers = weights_as_loss(platform, network);
      PlatformProblem problem = platform_problem(platform, layers, Objective::latency);
      Front front = plan_mapping(problem.mapping);
      std::size_t candidates = 0;
      for (const LayerSplits& layer : problem.mapping.layers) candidates += layer.splits.size();
      std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      std::printf("%s on %s: %zu splits, %zu points, quantum %.3g of %.6g us, %.3f s\n", title, name,
                  candidates, front.points.size(), front.points.back().certificate.quantum_us,
                  front.points.back().cost.latency_us, took.count());
      EXPECT_GT(front.points.size(), 2u);
    }
  }
}

}  // namespace
}  // namespace tailor::plan
