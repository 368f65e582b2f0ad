// The simple rules against their formula, on made graphs; the choice of a share against made-up latencies.
#include "tailor/pipeline/rules.h"

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/pipeline/width_plan.h"
#include "tests/rewrite/graphs.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::pipeline {
namespace {

// stem(a) -> residual sum with a block of b inside -> grouped (2 groups) and depthwise of 2c -> classifier
Subject made(int a, int b, int c) {
  auto text = [](int n) { return std::to_string(n); };
  std::string k = " | kernel_shape=[3,3] pads=[1,1,1,1]", A = text(a), B = text(b), C = text(2 * c);
  std::vector<std::string> lines = {
      "Conv x " + A + "x3x3x3 " + A + " -> stem" + k,
      "Relu stem -> s",
      "Conv s " + B + "x" + A + "x3x3 -> inner" + k,
      "BatchNormalization inner " + B + " " + B + " " + B + " " + B + " -> normal",
      "Relu normal -> r",
      "Conv r " + A + "x" + B + "x3x3 -> back" + k,
      "Add back s -> sum",
      "Conv sum " + C + "x" + A + "x1x1 -> wide | kernel_shape=[1,1]",
      "Conv wide " + C + "x1x3x3 -> deep" + k + " group=" + C,
      "GlobalAveragePool deep -> pooled",
      "Flatten pooled -> flat",
      "Gemm flat " + C + "x10 -> y"};
  return make_subject(testing::graph_of(lines, {1, 3, 8, 8}), {});
}

std::vector<Subject> made_graphs() {
  std::vector<Subject> graphs;
  Random random(5);
  auto width = [&] { return 1 + static_cast<int>(random.below(40)); };
  for (int i = 0; i < 12; ++i) graphs.push_back(made(width(), width(), width()));
  return graphs;
}

RemovalOrders l1_orders(const Subject& subject) { return removal_orders(subject, Criterion::l1, {}); }

int group_of(const Subject& subject, const std::string& value) {
  return subject.channels.atoms[subject.channels.find(value, 1)->at(0)].group;
}

// What the rule says, counted: the widest multiple that the share allows, not below one multiple.
int expected_width(int width, double share, int multiple) {
  int kept = width < multiple ? width : multiple;
  for (int w = multiple; w <= width; w += multiple)
    if (w <= share * width + 1e-6) kept = w;
  return kept;
}

TEST(Rules, NamesAreReadBack) {
  for (const char* text : {"exact", "uniform", "round:2", "round:8", "round:16"})
    EXPECT_EQ(name(parse_rule(text)), text);
  EXPECT_EQ(name(parse_rule("round:1")), "uniform");
  EXPECT_TRUE(parse_rule("exact").exact());
  for (const char* text : {"", "l1", "round", "Uniform"}) EXPECT_THROW(parse_rule(text), Error) << text;
  for (const char* text : {"round:", "round:0", "round:-1", "round:8 ", "round:1e3"})
    EXPECT_THROW(parse_rule(text), Error) << text;
}

TEST(Rules, EveryGroupHasTheWidthOfTheFormula) {
  for (const Subject& subject : made_graphs()) {
    RemovalOrders orders = l1_orders(subject);
    for (int multiple : {1, 2, 3, 8, 16})
      for (double share : {0.01, 0.25, 1.0 / 3, 0.5, 0.72, 0.9, 0.999, 1.0}) {
        Surgery surgery = surgery_at(orders, share, multiple);
        for (int g = 0; g < static_cast<int>(subject.channels.groups.size()); ++g) {
          const graph::ChannelGroup& group = subject.channels.groups[static_cast<std::size_t>(g)];
          int wanted = group.changeable() ? expected_width(group.width(), share, multiple) : group.width();
          EXPECT_EQ(width_after(subject, surgery, g), wanted)
              << group.name << " of " << group.width() << ", " << share << ", " << multiple;
          EXPECT_EQ(surgery.kept.contains(g), wanted != group.width());
        }
        EXPECT_TRUE(surgery.added.empty() && surgery.dropped.empty());
      }
  }
}

TEST(Rules, TheGraphsCanBeCutLikeThat) {
  for (const Subject& subject : made_graphs())
    for (int multiple : {1, 8}) {
      Surgery surgery = surgery_at(l1_orders(subject), 0.6, multiple);
      Subject after = make_subject(apply(subject, surgery), {});
      for (const char* value : {"sum", "r", "deep"})
        EXPECT_EQ((*after.shapes.shape(value))[1], width_after(subject, surgery, group_of(subject, value)))
            << value;
    }
}

TEST(Rules, AllIsKeptAtShareOneAndNothingFrozenEverGoes) {
  Subject subject = made(19, 24, 9);
  RemovalOrders orders = l1_orders(subject);
  EXPECT_TRUE(surgery_at(orders, 1, 1).empty());
  EXPECT_FALSE(surgery_at(orders, 1, 8).kept.contains(group_of(subject, "r"))) << "24 is a multiple";
  EXPECT_EQ(surgery_at(orders, 1, 8).kept.at(group_of(subject, "sum")).size(), 16u) << "19 is none";
  for (const auto& [group, order] : orders) EXPECT_TRUE(subject.channels.groups[group].changeable());
  Surgery narrowest = surgery_at(orders, 0, 1);
  EXPECT_EQ(narrowest.kept.size(), 3u) << "neither the network's input nor its output";
  graph::Model cut = apply(subject, narrowest);
  EXPECT_EQ(*make_subject(cut, {}).shapes.shape("y"), (graph::Shape{1, 10}));
  EXPECT_EQ(orders.size(), 3u);
}

// Sum of |w| over the rows of every layer that makes the value's channels.
std::vector<double> norms(const Subject& subject, const std::vector<std::string>& makers) {
  std::vector<double> sum;
  for (const graph::Node& node : subject.model.graph.nodes) {
    if (std::find(makers.begin(), makers.end(), node.outputs[0]) == makers.end()) continue;
    const graph::Tensor& tensor = *subject.shapes.constant(node.inputs[1]);
    std::vector<float> values = tensor.values<float>();
    sum.resize(static_cast<std::size_t>(tensor.dims[0]));
    for (std::size_t i = 0; i < values.size(); ++i)
      sum[i / (values.size() / sum.size())] += std::abs(static_cast<double>(values[i]));
  }
  return sum;
}

TEST(Rules, TheLargerNormsStay) {
  for (const Subject& subject : made_graphs()) {
    Surgery surgery = surgery_at(l1_orders(subject), 0.5, 1);
    std::vector<std::pair<std::string, std::vector<std::string>>> groups = {
        {"sum", {"stem", "back"}}, {"r", {"inner"}}, {"deep", {"wide", "deep"}}};
    for (const auto& [value, makers] : groups) {
      auto it = surgery.kept.find(group_of(subject, value));
      if (it == surgery.kept.end()) continue;
      std::vector<double> norm = norms(subject, makers);
      double least_kept = 1e9, most_gone = 0;
      for (int unit = 0; unit < static_cast<int>(norm.size()); ++unit) {
        bool stays = std::binary_search(it->second.begin(), it->second.end(), unit);
        double here = norm[static_cast<std::size_t>(unit)];
        stays ? least_kept = std::min(least_kept, here) : most_gone = std::max(most_gone, here);
      }
      EXPECT_GE(least_kept, most_gone - 1e-6) << value;
    }
  }
}

TEST(Rules, DistinctSharesAreAllSurgeriesAndNoneTwice) {
  for (const Subject& subject : made_graphs())
    for (int multiple : {1, 8}) {
      RemovalOrders orders = l1_orders(subject);
      std::vector<double> shares = distinct_shares(orders, multiple);
      EXPECT_EQ(shares.front(), 1);
      std::vector<Surgery> all;
      for (double share : shares) {
        Surgery surgery = surgery_at(orders, share, multiple);
        for (const auto& [group, order] : orders)
          if (!all.empty()) {
            EXPECT_LE(width_after(subject, surgery, group), width_after(subject, all.back(), group));
          }
        all.push_back(std::move(surgery));
      }
      for (std::size_t i = 1; i < all.size(); ++i) EXPECT_FALSE(all[i] == all[i - 1]) << shares[i];
      for (int i = 1; i <= 500; ++i)
        EXPECT_NE(std::find(all.begin(), all.end(), surgery_at(orders, i / 500.0, multiple)), all.end()) << i;
    }
}

// A latency that is made up; fails the test if a share is asked for twice.
struct MadeUp {
  std::function<double(double)> ratio;
  std::set<double> asked = {};
  std::function<double(double)> measure() {
    return [this](double share) {
      EXPECT_TRUE(asked.insert(share).second) << share << " was measured twice";
      return ratio(share);
    };
  }
};

std::vector<double> even_shares(int count) {
  std::vector<double> shares;
  for (int i = count; i > 0; --i) shares.push_back(static_cast<double>(i) / count);
  return shares;
}

TEST(WidestWithin, FindsTheBoundaryOfARisingLatency) {
  for (int count : {1, 2, 7, 16, 100, 3000}) {
    std::vector<double> shares = even_shares(count);
    for (double goal : {0.2, 0.31, 0.5, 0.777, 0.999, 1.0}) {
      MadeUp made{[](double share) { return 0.1 + 0.9 * share; }};
      ChosenShare chosen = widest_within(shares, made.measure(), goal);
      auto wanted =
          std::find_if(shares.begin(), shares.end(), [&](double s) { return 0.1 + 0.9 * s <= goal; });
      EXPECT_EQ(chosen.met, wanted != shares.end());
      EXPECT_EQ(chosen.share, wanted == shares.end() ? shares.back() : *wanted) << count << " " << goal;
      EXPECT_EQ(chosen.ratio, 0.1 + 0.9 * chosen.share);
      EXPECT_EQ(chosen.measured, static_cast<int>(made.asked.size()));
      EXPECT_LE(chosen.measured, 17 + static_cast<int>(std::ceil(std::log2(count + 1))));
    }
  }
}

TEST(WidestWithin, TheFastestWhereNothingFits) {
  MadeUp made{[](double share) { return 1 + std::abs(share - 0.5); }};
  ChosenShare chosen = widest_within(even_shares(64), made.measure(), 0.9);
  EXPECT_FALSE(chosen.met);
  EXPECT_EQ(chosen.share, 0.5);
  EXPECT_EQ(chosen.ratio, 1);
}

TEST(WidestWithin, AStairThatOnlyEvenWidthsTakeIsFound) {
  MadeUp made{[](double share) { return std::fmod(share * 8, 1) == 0 ? share : 1.2; }};
  EXPECT_EQ(widest_within(even_shares(64), made.measure(), 0.7).share, 0.625);
}

TEST(WidestWithin, NoiseDoesNotKeepItFromEnding) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed);
    MadeUp made{[&](double share) { return share + random.uniform(-0.2, 0.2); }};
    std::vector<double> shares = even_shares(1 + static_cast<int>(random.below(400)));
    ChosenShare chosen = widest_within(shares, made.measure(), 0.6);
    EXPECT_EQ(chosen.met, chosen.ratio <= 0.6);
    EXPECT_TRUE(made.asked.contains(chosen.share));
    EXPECT_LE(chosen.measured, 17 + 9);
  }
}

TEST(ConfirmedWithin, TakesBackWhatWasMeasuredTooFast) {
  std::vector<double> shares = even_shares(64);
  MadeUp made{[](double share) { return share == 0.75 ? 0.5 : share; }};  // 0.75 looks fast once
  std::vector<double> confirmed;
  auto confirm = [&](double share) { return confirmed.push_back(share), share; };
  ChosenShare chosen = confirmed_within(shares, made.measure(), confirm, 0.6);
  EXPECT_TRUE(chosen.met);
  EXPECT_EQ(chosen.share, 38.0 / 64);
  EXPECT_EQ(confirmed.back(), chosen.share);
  EXPECT_EQ(confirmed.size(), 2u) << "0.75, then the boundary";
  EXPECT_EQ(chosen.measured, static_cast<int>(made.asked.size()));
}

TEST(ConfirmedWithin, EndsWhereNothingIsConfirmed) {
  int confirmations = 0;
  auto slow = [&](double) { return ++confirmations, 2.0; };
  MadeUp made{[](double share) { return share; }};
  ChosenShare chosen = confirmed_within(even_shares(64), made.measure(), slow, 0.6);
  EXPECT_EQ(confirmations, 4);
  EXPECT_TRUE(made.asked.contains(chosen.share));
  confirmations = 0;
  MadeUp far{[](double share) { return 1 + share; }};
  EXPECT_FALSE(confirmed_within(even_shares(64), far.measure(), slow, 0.6).met);
  EXPECT_EQ(confirmations, 1) << "what does not fit is carried out once";
}

TEST(WidthPlan, SaysItsRuleAndReadsOlderPlans) {
  WidthPlan plan;
  plan.rule = "round:8";
  Json json = to_json(plan);
  EXPECT_EQ(width_plan_from_json(json, "here").rule, "round:8");
  json.erase("rule");
  EXPECT_EQ(width_plan_from_json(json, "here").rule, "exact");
}

}  // namespace
}  // namespace tailor::pipeline
