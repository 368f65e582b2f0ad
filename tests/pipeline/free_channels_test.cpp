// Channels that cost nothing, against stairs whose edges are known.
#include "tailor/pipeline/free_channels.h"

#include "tests/app/models.h"
#include "tests/testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <functional>

namespace tailor::pipeline {
namespace {

using latency::Workload;

struct FunctionOracle : latency::LatencyOracle {
  explicit FunctionOracle(std::function<double(const Workload&)> price) : cost(std::move(price)) {}
  std::vector<latency::Estimate> evaluate(std::span<const Workload> workloads) override {
    std::vector<latency::Estimate> answers;
    for (const Workload& w : workloads)
      answers.push_back({{cost(w)}, {cost(w)}, {cost(w)}, How::modelled, {}});
    return answers;
  }
  latency::Context context() const override { return {}; }
  std::function<double(const Workload&)> cost;
};

FreeChannels free_of(int width, const std::function<double(const Workload&)>& cost) {
  FunctionOracle oracle(cost);
  LatencyBook book(oracle);
  return free_channels(make_subject(testing::small_model(width), {}), book, How::modelled);
}

std::int64_t tiles(std::int64_t channels, std::int64_t tile) { return (channels + tile - 1) / tile; }

TEST(FreeChannels, ReachTheRightEdge) {
  const FreeChannels free =
      free_of(18, [](const Workload& w) { return 10.0 * double(tiles(w.oc, 16) + tiles(w.ic, 16)); });
  ASSERT_EQ(free.groups.size(), 2u);
  EXPECT_EQ(free.groups[0].width, 18);
  EXPECT_EQ(free.groups[0].free_to, 32);
  EXPECT_EQ(free.groups[0].layers, 2);
  EXPECT_EQ(free.groups[1].free_to, 16) << "8 channels, at most twice as many";
  EXPECT_EQ(free.groups[0].together, 32);
  EXPECT_DOUBLE_EQ(free.us, free.together_us);
  EXPECT_EQ(free.asked, 2);
  EXPECT_EQ(free.stuck, 0);
}

// Any stairs, any width: the edge as a loop over the same grid finds it, and nothing gets slower by taking all.
TEST(FreeChannels, AsALoopFindsThem) {
  for (int width = 3; width <= 64; width += 3)
    for (int tile : {4, 8, 16, 24, 64}) {
      SCOPED_TRACE(::testing::Message() << width << " channels in tiles of " << tile);
      const FreeChannels free =
          free_of(width, [&](const Workload& w) { return 1.0 + double(tiles(w.oc, tile)); });
      int expected = width;
      for (int wider = width + 1; wider <= 2 * width; ++wider)
        if (wider % 4 == 0 && tiles(wider, tile) == tiles(width, tile)) expected = wider;
      int found = width;
      for (const FreeGroup& g : free.groups)
        if (g.width == width && g.layers == 2 && g.name.find("first") != std::string::npos) found = g.free_to;
      EXPECT_EQ(found, expected);
      EXPECT_DOUBLE_EQ(free.us, free.together_us);
      for (const FreeGroup& g : free.groups) {
        EXPECT_LE(g.width, g.together);
        EXPECT_LE(g.together, g.free_to);
      }
    }
}

// A layer between two groups pays when both grow: the one that gives more goes first, the other takes what is left.
TEST(FreeChannels, CoupledLayersArePricedTogether) {
  const FreeChannels free = free_of(18, [](const Workload& w) { return w.ic + w.oc <= 40 ? 100.0 : 200.0; });
  ASSERT_EQ(free.groups.size(), 2u);
  EXPECT_EQ(free.groups[0].free_to, 32);
  EXPECT_EQ(free.groups[1].free_to, 16);
  EXPECT_EQ(free.groups[1].together, 16) << "twice as many channels";
  EXPECT_EQ(free.groups[0].together, 24) << "24 + 16 = 40";
  EXPECT_DOUBLE_EQ(free.us, free.together_us);
}

TEST(FreeChannels, NoneWhereEveryChannelCosts) {
  const FreeChannels free = free_of(18, [](const Workload& w) { return double(w.ic * w.oc); });
  EXPECT_TRUE(free.groups.empty());
  EXPECT_EQ(free.asked, 2);
  EXPECT_DOUBLE_EQ(free.us, free.together_us);
  EXPECT_TRUE(to_json(free)["groups"].empty());
}

}  // namespace
}  // namespace tailor::pipeline
