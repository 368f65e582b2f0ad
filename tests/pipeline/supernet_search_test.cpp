// The search in a space that is small enough to try every member, with made losses and latencies: what it finds is the
// best there is. And the spaces by themselves.
#include "tailor/pipeline/supernet_search.h"

#include "tailor/base/error.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/counted.h"
#include "tests/pipeline/stairs.h"
#include "tests/testing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace tailor::pipeline {
namespace {

using testing::Given;

// As many steps as blocks of eight channels of the output times those of the input.
double steps(const latency::Workload& w) {
  const auto blocks = [](std::int64_t channels) { return static_cast<double>((channels + 7) / 8); };
  return blocks(w.oc) * blocks(w.ic) *
         static_cast<double>(std::max<std::int64_t>(1, w.oh * w.ow * w.kh * w.kw));
}

class Blocks final : public latency::LatencyOracle {
 public:
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override {
    std::vector<latency::Estimate> estimates;
    for (const latency::Workload& w : workloads)
      estimates.push_back({{steps(w)}, {steps(w)}, {steps(w)}, How::modelled, ""});
    return estimates;
  }
  latency::Context context() const override { return {"blocks", "1", "none", "none", 1, "none"}; }
};

double cost(const graph::Model& model) {
  double sum = 0;
  for (const latency::LayerWorkload& layer : latency::extract_workloads(model, graph::infer_shapes(model)))
    sum += steps(layer.workload);
  return sum;
}

Code code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

// Groups of 24 and 40 channels, made by a and b.
struct Small : Given {
  SpaceRules rules;
  RemovalOrders orders = removal_orders(subject, Criterion::l1, {});
  Blocks blocks;
  LatencyBook prices{blocks};

  Small() { rules.widths.from = 0.2, rules.widths.step = 4; }
  SearchSpace space() const { return resolve(rules, subject); }

  // Every axis has a price of its own: the first group's channels are worth more.
  static double loss_of(const SearchSpace& space, const Member& m) {
    double sum = 0.3;
    for (std::size_t i = 0; i < m.widths.size(); ++i) {
      const double lost = 1 - static_cast<double>(m.widths[i]) / space.widths[i].widths.back();
      sum += (i == 0 ? 2 : 1) * lost * lost;
    }
    return sum;
  }
  double ratio(const Surgery& surgery) const { return cost(apply(subject, surgery)) / cost(subject.model); }
  SupernetTools tools(const SearchSpace& space) {
    return {subject,
            space,
            orders,
            prices,
            [&space](const Member& m) { return loss_of(space, m); },
            [this](const Surgery& s) { return ratio(s); },
            2,
            10,
            {}};
  }
};

std::vector<Member> all_members(const SearchSpace& space) {
  std::vector<Member> list;
  for (int a : space.widths[0].widths)
    for (int b : space.widths[1].widths) list.push_back({{a, b}, {}, {}});
  return list;
}

double least_loss(Small& small, const SearchSpace& space, const SearchSpace& allowed, double goal) {
  double least = 1e9;
  for (const Member& m : all_members(allowed))
    if (small.ratio(surgery_of(small.subject, space, small.orders, m)) <= goal * 1.003)
      least = std::min(least, Small::loss_of(space, m));
  return least;
}

TEST(SearchSpace, HoldsWhatTheRulesSay) {
  Small small;
  SearchSpace space = small.space();
  ASSERT_EQ(space.widths.size(), 2u);
  EXPECT_EQ(space.widths[0].widths, (std::vector<int>{8, 12, 16, 20, 24}));
  EXPECT_EQ(space.widths[1].widths, (std::vector<int>{8, 12, 16, 20, 24, 28, 32, 36, 40}));
  EXPECT_NEAR(log10_size(space), std::log10(45.0), 1e-12);
  small.rules.groups = {{.group = "a", .keep = true}, {.group = "b", .widths = {10, 30}}};
  space = small.space();
  ASSERT_EQ(space.widths.size(), 1u);
  EXPECT_EQ(space.widths[0].widths, (std::vector<int>{10, 30, 40}));
}

TEST(SearchSpace, KnowsItsMembers) {
  Small small;
  small.rules.kernels = {1};
  const SearchSpace space = small.space();
  Random random(6);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(holds(space, drawn(space, random)));
  EXPECT_TRUE(holds(space, {{8, 40}, {}, {0, 1}}));
  EXPECT_FALSE(holds(space, {{8}, {}, {0, 1}}));
  EXPECT_FALSE(holds(space, {{9, 40}, {}, {0, 1}}));
  EXPECT_FALSE(holds(space, {{8, 40}, {1}, {0, 1}}));
  EXPECT_FALSE(holds(space, {{8, 40}, {}, {0, 2}}));
  EXPECT_FALSE(holds(space, {{8, 40}, {}, {-1, 0}}));
}

TEST(SearchSpace, RefusesWhatTheModelHasNot) {
  Small small;
  auto refused = [&](WidthRule rule) {
    small.rules.groups = {std::move(rule)};
    return code_of([&] { small.space(); });
  };
  EXPECT_EQ(refused({.group = "c"}), Code::unknown_name);
  EXPECT_EQ(refused({.group = "a", .widths = {25}}), Code::bad_space);
  EXPECT_EQ(refused({.group = "y", .widths = {5}}), Code::bad_space) << "an output";
  small.rules.groups = {{.group = "a"}, {.group = "a"}};
  EXPECT_EQ(code_of([&] { small.space(); }), Code::bad_space);
  small.rules.groups.clear(), small.rules.branches = {"sum"};
  EXPECT_EQ(code_of([&] { small.space(); }), Code::unknown_name);
  small.rules.branches.clear(), small.rules.kernels = {2}, small.rules.convolutions = {"nobody"};
  EXPECT_EQ(code_of([&] { small.space(); }), Code::bad_space);
  small.rules.kernels.clear(), small.rules.widths.keep = true;
  EXPECT_EQ(code_of([&] { small.space(); }), Code::bad_space) << "nothing to choose";
}

TEST(SearchSpace, KernelsShrinkToTheirCentre) {
  Small small;
  small.rules.kernels = {1};
  const SearchSpace space = small.space();
  ASSERT_EQ(space.kernels.size(), 2u);
  EXPECT_EQ(space.kernels[0].taps, (std::vector<rewrite::Taps>{{1, 1, 1, 1}}));
  const Surgery surgery = surgery_of(small.subject, space, small.orders, smallest(space));
  EXPECT_EQ(surgery.kernels.size(), 2u);
  EXPECT_EQ(make_subject(apply(small.subject, surgery), {}).layers[0].workload.kh, 1);
}

// The made staircase steps at multiples of 8 of outputs, and of inputs.
TEST(SearchSpace, TailFreeIsTheRightEdgesOfSteps) {
  Small small;
  const SearchSpace edges = tail_free(small.subject, small.space(), small.prices);
  EXPECT_EQ(edges.widths[0].widths, (std::vector<int>{8, 16, 24}));
  EXPECT_EQ(edges.widths[1].widths, (std::vector<int>{8, 16, 24, 32, 40}));
}

TEST(SearchSpace, MembersAreNestedAndSurgeriesAsWideAsTheySay) {
  TAILOR_NEEDS(tailor::testing::real_model("resnet20_cifar10"));
  const Subject subject = make_subject(onnx::read(tailor::testing::real_model("resnet20_cifar10")), {});
  SpaceRules rules;
  rules.all_branches = true;
  const SearchSpace space = resolve(rules, subject);
  const RemovalOrders orders = removal_orders(subject, Criterion::l1, {});
  EXPECT_TRUE(surgery_of(subject, space, orders, largest(space)).empty());
  Random random(4);
  for (int i = 0; i < 20; ++i) {
    const Member member = drawn(space, random);
    const Surgery surgery = surgery_of(subject, space, orders, member);
    EXPECT_EQ(surgery, surgery_of(subject, space, orders, without_idle_choices(subject, space, member)));
    const Member plain = without_idle_choices(subject, space, member);
    for (std::size_t a = 0; a < space.widths.size(); ++a) {
      EXPECT_EQ(width_after(subject, surgery, space.widths[a].group), plain.widths[a]);
      Member wider = plain;
      wider.widths[a] = space.widths[a].widths.back();
      const Surgery more = surgery_of(subject, space, orders, wider);
      for (const auto& [group, units] : more.kept) EXPECT_EQ(units, surgery.kept.at(group));
    }
    const double before = cost(subject.model);
    EXPECT_LT(cost(apply(subject, surgery)), before);
  }
}

TEST(LossModel, MeasuresPointsAndDrawsLinesBetween) {
  Small small;
  const SearchSpace space = small.space();
  std::set<Member> asked;
  LossModel losses(
      small.subject, space, [&](const Member& m) { return asked.insert(m), Small::loss_of(space, m); }, 3);
  losses.measure(largest(space));
  EXPECT_EQ(losses.width(0, 24), 0);
  EXPECT_NEAR(losses.width(0, 8), 2 * 4.0 / 9, 1e-12);
  EXPECT_NEAR(losses.width(1, 36), 0.01, 1e-12);  // measured: the widest below the whole one
  const double a = losses.width(1, 8), b = losses.width(1, 36);
  EXPECT_NEAR(losses.width(1, 22), (a + b) / 2, 1e-12);
  EXPECT_LE(asked.size(), 6u);
}

TEST(LossModel, NarrowerNeverLosesLess) {
  Small small;
  const SearchSpace space = small.space();
  Random random(5);
  LossModel losses(
      small.subject, space, [&](const Member&) { return random.uniform(0, 1); }, 9);
  losses.measure(largest(space));
  for (std::size_t axis = 0; axis < 2; ++axis)
    for (int w = 8; w < space.widths[axis].widths.back(); ++w)
      EXPECT_GE(losses.width(axis, w), losses.width(axis, w + 1));
}

TEST(SupernetSearch, FindsTheBestMember) {
  Small small;
  const SearchSpace space = small.space(), edges = tail_free(small.subject, space, small.prices);
  const SupernetTools tools = small.tools(space);
  for (double goal : {0.3, 0.45, 0.6, 0.75, 0.9}) {
    for (const SearchSpace* allowed : {&space, &edges}) {
      const FoundMember found = search_by_latency(tools, *allowed, goal);
      EXPECT_TRUE(found.fits);
      EXPECT_LE(found.ratio, goal * 1.003);
      EXPECT_NEAR(found.loss, least_loss(small, space, *allowed, goal), 1e-9) << goal;
    }
    // On a staircase with sharp edges the restriction costs nothing.
    EXPECT_NEAR(least_loss(small, space, edges, goal), least_loss(small, space, space, goal), 1e-9);
  }
}

TEST(SupernetSearch, CountsMacsAtEqualLatency) {
  Small small;
  const SearchSpace space = small.space();
  const SupernetTools tools = small.tools(space);
  for (double goal : {0.45, 0.6, 0.75}) {
    const FoundMember by_macs = search_by_macs(tools, space, goal),
                      by_latency = search_by_latency(tools, space, goal);
    EXPECT_TRUE(by_macs.fits);
    EXPECT_LE(by_macs.ratio, goal * 1.003);
    EXPECT_GE(by_macs.loss, by_latency.loss - 1e-9);
  }
  const FoundMember half = search_within_macs(tools, space, 0.5);
  EXPECT_TRUE(half.fits);
  EXPECT_LE(macs_ratio(tools, half.member), 0.5);
  double least = 1e9;
  for (const Member& m : all_members(space))
    if (macs_ratio(tools, m) <= 0.5) least = std::min(least, Small::loss_of(space, m));
  EXPECT_NEAR(half.loss, least, 1e-9);
}

TEST(SupernetSearch, SaysThatNothingFits) {
  Small small;
  const SearchSpace space = small.space();
  const FoundMember found = search_by_latency(small.tools(space), space, 0.001);
  EXPECT_FALSE(found.fits);
  EXPECT_EQ(found.member, smallest(space));
  EXPECT_FALSE(search_by_macs(small.tools(space), space, 0.001).fits);
  EXPECT_FALSE(search_within_macs(small.tools(space), space, 0.001).fits);
}

// Losses that do not add up: measured anew around the choice, the second round mends the first one's.
TEST(SupernetSearch, MeasuresAnewAroundTheChoice) {
  Small small;
  const SearchSpace space = small.space();
  SupernetTools tools = small.tools(space);
  int asked = 0;
  tools.loss = [&](const Member& m) {
    ++asked;
    const double a = 1 - m.widths[0] / 24.0, b = 1 - m.widths[1] / 40.0;
    return 0.2 + a + b + 6 * a * b;
  };
  tools.rounds = 1;
  const FoundMember once = search_by_latency(tools, space, 0.5);
  const int before = asked;
  tools.rounds = 3;
  const FoundMember thrice = search_by_latency(tools, space, 0.5);
  EXPECT_GT(asked, 2 * before - 2);
  EXPECT_LE(thrice.loss, once.loss);
}

TEST(SupernetSearch, RefusesSpacesThatNobodyCouldTime) {
  Small small;
  Subject wide = make_subject(
      testing::graph_of(
          {"Conv x 4096x3x1x1 4096 -> a", "Conv a 4096x4096x1x1 4096 -> b", "Conv b 8x4096x1x1 8 -> y"},
          {1, 3, 2, 2}),
      {});
  SpaceRules rules;
  rules.widths.from = 0.01, rules.widths.step = 1;
  EXPECT_EQ(code_of([&] { resolve(rules, wide); }), Code::bad_space) << "too many widths of one group";
  rules.widths.from = 0.3, rules.widths.step = 4;
  const SearchSpace space = resolve(rules, wide);
  SearchSpace many = space;
  for (WidthAxis& axis : many.widths)
    for (int w = 1; w < 4096; ++w) axis.widths.insert(axis.widths.end() - 1, w);
  const RemovalOrders orders = removal_orders(wide, Criterion::l1, {});
  const SupernetTools tools{
      wide, many, orders, small.prices, [](const Member&) { return 0.5; }, [](const Surgery&) { return 0.5; },
      1,    3,    {}};
  EXPECT_EQ(code_of([&] { search_by_latency(tools, many, 0.5); }), Code::bad_space);
}

}  // namespace
}  // namespace tailor::pipeline
