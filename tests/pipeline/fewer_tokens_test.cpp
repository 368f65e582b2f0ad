// Fewer tokens as candidates, in the planner's problem, over rounds, and in plans.
#include "tailor/pipeline/fewer_tokens.h"

#include "tailor/pipeline/counted.h"
#include "tailor/pipeline/isotonic.h"
#include "tailor/pipeline/loss.h"
#include "tailor/pipeline/merge.h"
#include "tailor/pipeline/rounds.h"
#include "tailor/pipeline/width_plan.h"
#include "tests/graph/transformers.h"
#include "tests/rewrite/graphs.h"

#include <nlohmann/json.hpp>

#include <numeric>

namespace tailor::pipeline {
namespace {

constexpr const char* kViT = "vit_cifar10_ibp_3_3_8";  // 17 tokens

Subject vit() { return read_subject(testing::real_model(kViT), {}); }

// Two blocks of attention and two layers behind them, with the mean of all tokens in the end.
Subject two_blocks() {
  const auto block = [](const std::string& in, const std::string& n) {
    return std::vector<std::string>{"Mul " + in + " 10 -> n" + n,
                                    "MatMul n" + n + " 10x10 -> q" + n,
                                    "MatMul n" + n + " 10x10 -> k0" + n,
                                    "Transpose k0" + n + " -> k" + n + " | perm=[0,2,1]",
                                    "MatMul n" + n + " 10x10 -> v" + n,
                                    "MatMul q" + n + " k" + n + " -> a" + n,
                                    "Softmax a" + n + " -> p" + n + " | axis=-1",
                                    "MatMul p" + n + " v" + n + " -> o" + n,
                                    "MatMul o" + n + " 10x10 -> w" + n,
                                    "Add " + in + " w" + n + " -> s" + n,
                                    "MatMul s" + n + " 10x20 -> h" + n,
                                    "Relu h" + n + " -> r" + n,
                                    "MatMul r" + n + " 20x10 -> m" + n,
                                    "Add s" + n + " m" + n + " -> t" + n};
  };
  std::vector<std::string> lines = {"MatMul x 7x10 -> e", "Add e 6x10 -> s0"};
  for (const auto& part : {block("s0", "1"), block("t1", "2")})
    lines.insert(lines.end(), part.begin(), part.end());
  lines.insert(lines.end(), {"ReduceMean t2 -> g | axes=[1] keepdims=0", "Gemm g 10x3 3 -> y"});
  graph::Model model = testing::graph_of(lines, {graph::kUnknown, 6, 7}, {}, 17);
  model.graph.inputs[0].symbols = {"N", "", ""};
  return make_subject(std::move(model), {});
}

std::vector<int> random_places(int count, int kept, Random& random) {
  std::vector<int> places(static_cast<std::size_t>(count));
  std::iota(places.begin(), places.end(), 0);
  random.shuffle(places);
  places.resize(static_cast<std::size_t>(kept));
  std::sort(places.begin(), places.end());
  return places;
}

// Proportional to the tokens, which is what the problem takes a layer's saving for at other widths.
double made_up(const latency::Workload& w) {
  return static_cast<double>(w.mb) *
         (3 + static_cast<double>(w.ic * w.oc) * 1e-2 + static_cast<double>((w.oc + 3) / 4));
}

double total(const Subject& subject) {
  double sum = 0;
  for (const latency::LayerWorkload& layer : subject.layers) sum += made_up(layer.workload);
  return sum;
}

CandidateTable random_table(const Subject& original, const Subject& present, const TokenCuts& cuts,
                            Random& random) {
  CandidateTable table;
  for (std::size_t g = 0; g < present.channels.groups.size(); ++g) {
    const graph::ChannelGroup& group = present.channels.groups[g];
    if (!group.changeable() || group.width() < 3 || table.groups.size() == 3) continue;
    GroupCandidates candidates{static_cast<int>(g), {}};
    for (int width : {group.width() * 2 / 3, group.width()})
      candidates.widths.push_back(
          {width, random_places(group.width(), width, random), width < group.width() ? random.uniform() : 0});
    table.groups.push_back(std::move(candidates));
  }
  for (std::size_t b = 0; b < present.branches.size(); b += 2)
    table.branches.push_back({static_cast<int>(b), {{0, random.uniform()}}});
  Counted counted;
  LatencyBook book(counted);
  const std::vector<LayerWidths> layers = written_layers(present);
  for (const TokenCounts& site : worthwhile_tokens(original, present, cuts, book, 2))
    for (int count : site.counts) {
      TokenOption option{site.flow.site, site.flow.axis, random_places(site.flow.count, count, random),
                         random.uniform()};
      option.layers = layers_with_fewer(
          present, layers, rewrite::keep_tokens(present.model, present.shapes, site.flow, option.kept));
      table.tokens.push_back(std::move(option));
    }
  return table;
}

plan::Problem problem_of(const Subject& subject, const CandidateTable& table) {
  std::map<latency::Workload, double> latency;
  const std::vector<LayerWidths> layers = written_layers(subject);
  for (const latency::Workload& w : needed_workloads(subject, layers, table)) latency[w] = made_up(w);
  return width_problem(subject, layers, table, latency);
}

// What the planner is told a choice costs is what the network costs that it means, round after round.
void expect_rounds_compose(const Subject& original, std::uint64_t seed) {
  Random random(seed);
  Surgery surgery;
  Subject present = make_subject(original.model, {});
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    const CandidateTable table = random_table(original, present, surgery.tokens, random);
    const plan::Problem problem = problem_of(present, table);
    std::vector<int> choice;
    for (const plan::Variable& v : problem.variables)
      choice.push_back(static_cast<int>(random.below(static_cast<std::size_t>(v.candidates))));
    const graph::Model stepwise = apply(present, merge(present, {}, present, table, choice));
    surgery = merge(original, surgery, present, table, choice);
    present = make_subject(apply(original, surgery), {});
    EXPECT_NEAR(plan::evaluate(problem, choice).latency_us, total(present), 1e-6 * total(present));
    const Subject step = make_subject(stepwise, {});
    EXPECT_EQ(total(step), total(present));
    std::vector<std::string> one, other;
    for (const graph::Node& node : step.model.graph.nodes) one.push_back(node.op + " " + node.output(0));
    for (const graph::Node& node : present.model.graph.nodes) other.push_back(node.op + " " + node.output(0));
    EXPECT_EQ(one, other);
  }
}

TEST(FewerTokens, RoundsCompose) {
  const Subject made = two_blocks();
  ASSERT_EQ(token_sites(made).flows.size(), 5u) << token_sites(made).obstacle;
  for (std::uint64_t seed = 1; seed < 12; ++seed) expect_rounds_compose(made, seed);
  TAILOR_NEEDS(testing::real_model(kViT));
  for (std::uint64_t seed = 1; seed < 4; ++seed) expect_rounds_compose(vit(), seed);
}

// What is saved beside the layers may be negative in the table; the planner's costs are not, and differ as they should.
TEST(FewerTokens, TimeBesideTheLayers) {
  const Subject subject = two_blocks();
  Random random(3);
  CandidateTable table = random_table(subject, subject, {}, random);
  ASSERT_GE(table.tokens.size(), 2u);
  table.tokens[0].beside_us = -7, table.tokens[1].beside_us = 4;
  EXPECT_EQ(tokens_saving(table), 7);
  const plan::Problem problem = problem_of(subject, table);
  plan::check(problem);
  std::vector<int> keep(problem.variables.size(), 0);
  for (std::size_t g = 0; g < table.groups.size(); ++g) keep[g] = 1;
  EXPECT_NEAR(plan::evaluate(problem, keep).latency_us, total(subject) + 7, 1e-6);
  for (int option : {0, 1}) {
    std::vector<int> choice = keep;
    choice.back() = option + 1;
    const Subject fewer = make_subject(apply(subject, merge(subject, {}, subject, table, choice)), {});
    EXPECT_NEAR(plan::evaluate(problem, choice).latency_us, total(fewer) + (option == 0 ? 0 : 11), 1e-6);
    EXPECT_EQ(plan::evaluate(problem, choice).loss, table.tokens[static_cast<std::size_t>(option)].loss);
  }
}

// A token that went stays gone: an earlier value decides for a later one.
TEST(FewerTokens, ALaterValueHasNoMoreThanAnEarlierOne) {
  const Subject subject = two_blocks();
  const TokenCuts cuts = {{"t1", {1, {0, 2, 4, 5}}}, {"s0", {1, {1, 2, 3, 5}}}, {"s2", {1, {5}}}};
  const graph::Model model = with_fewer_tokens(subject.model, {}, cuts);
  const graph::Shapes shapes = graph::infer_shapes(model);
  EXPECT_EQ(*shapes.shape("s1"), (graph::Shape{1, 4, 10}));
  EXPECT_EQ(*shapes.shape("q2"), (graph::Shape{1, 2, 10}));
  EXPECT_EQ(*shapes.shape("h2"), (graph::Shape{1, 1, 20}));
  EXPECT_EQ(places_left(subject, {{"s0", {1, {1, 2, 3, 5}}}}, "t1", 1), (std::vector<int>{1, 2, 3, 5}));
  EXPECT_EQ(places_left(subject, {{"t1", {1, {1, 2}}}}, "s0", 1).size(), 6u)
      << "a later one says nothing about it";
  const std::set<std::string> fewer = values_with_fewer(subject, {{"t1", {1, {0, 2}}}});
  EXPECT_TRUE(fewer.contains("q2") && fewer.contains("t2"));
  EXPECT_FALSE(fewer.contains("t1") || fewer.contains("s1") || fewer.contains("g"));
}

TEST(FewerTokens, RefusedCuts) {
  const Subject subject = two_blocks();
  for (const TokenCuts& cuts :
       {TokenCuts{{"nowhere", {1, {0}}}}, TokenCuts{{"x", {1, {0}}}}, TokenCuts{{"s0", {2, {0}}}},
        TokenCuts{{"s0", {-1, {0}}}}, TokenCuts{{"s0", {7, {0}}}}, TokenCuts{{"s0", {1, {}}}},
        TokenCuts{{"s0", {1, {9}}}}, TokenCuts{{"s0", {1, {0, 1}}}, {"t1", {1, {3, 4}}}}})
    try {
      with_fewer_tokens(subject.model, {}, cuts);
      ADD_FAILURE() << cuts.begin()->first;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_cut) << error.what();
    }
}

TEST(FewerTokens, PlansThereAndBack) {
  const Subject subject = two_blocks();
  Surgery surgery;
  surgery.tokens = {{"s0", {1, {0, 2, 3, 5}}}, {"t1", {1, {0, 5}}}};
  const Json json = to_json(describe(subject, surgery));
  EXPECT_EQ(json["tokens"][1]["before"], 6);
  EXPECT_EQ(json["tokens"][1]["after"], 2);
  const WidthPlan plan = width_plan_from_json(json, "here");
  EXPECT_EQ(surgery_of(subject, plan), surgery);
  WidthPlan other = plan;
  other.tokens[0].before = 7;
  EXPECT_THROW(surgery_of(subject, other), Error);
  other = plan, other.tokens[1] = other.tokens[0];
  EXPECT_THROW(surgery_of(subject, other), Error);
  for (const char* bad : {R"("all")", R"([1])", R"([{"value": "s0", "axis": 1, "before": 6}])",
                          R"([{"value": "s0", "axis": 1, "before": 6, "kept": [0.5]}])",
                          R"([{"value": "s0", "axis": 1, "before": 6, "kept": [-1]}])",
                          R"([{"value": "s0", "axis": 1, "before": 6, "kept": 3}])"})
    try {
      Json wrong = json;
      wrong["tokens"] = Json::parse(bad);
      width_plan_from_json(wrong, "here");
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_json) << bad;
    }
}

// The table's loss is that of the network with only these tokens, and those that go first are those that do least alone.
TEST(FewerTokens, LossesAreThoseOfTheNetwork) {
  TAILOR_NEEDS_RUNNER();
  const Subject subject = two_blocks();
  Calibration calibration;
  calibration.fit = testing::random_inputs(subject.model, subject.shapes, 1, 24);
  calibration.judge = testing::random_inputs(subject.model, subject.shapes, 2, 16);
  const auto loss = [&](const std::string& site, const std::vector<int>& kept,
                        const runtime::NamedTensors& samples) {
    return divergence(testing::run_model(subject.model, samples),
                      testing::run_model(with_fewer_tokens(subject.model, {}, {{site, {1, kept}}}), samples));
  };
  TableOptions options;
  options.branches = false, options.recover = Recover::none;
  for (graph::TokenFlow& flow : token_sites(subject).flows)
    options.tokens.push_back({std::move(flow), {2, 5}});
  const CandidateTable table =
      fill_table(*testing::runner(), subject, subject, {}, {}, calibration, {}, options);
  ASSERT_EQ(table.tokens.size(), 10u);
  for (const TokenOption& option : table.tokens) {
    const double expected = loss(option.site, option.kept, calibration.judge);
    EXPECT_NEAR(option.loss, expected, 1e-6 + 1e-3 * expected) << option.site;
    if (option.kept.size() != 5) continue;
    int gone = 0;
    while (std::binary_search(option.kept.begin(), option.kept.end(), gone)) ++gone;
    for (int token = 0; token < 6; ++token) {
      std::vector<int> others = {0, 1, 2, 3, 4, 5};
      others.erase(others.begin() + token);
      EXPECT_GE(loss(option.site, others, calibration.fit) * 1.001 + 1e-7,
                loss(option.site, option.kept, calibration.fit))
          << gone << " went, and " << token << " does less";
    }
  }
}

TEST(FewerTokens, AttentionReceived) {
  graph::TokenFlow flow;
  flow.count = 3;
  const auto tokens = std::make_shared<const std::vector<int>>(std::vector<int>{2, -1, 0});
  flow.values["p"] = {{1, 1, 1, tokens, false}, {2, 1, 1, tokens, true}};
  const graph::Tensor weights = graph::make_f32({2, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  EXPECT_EQ(attention_received(flow, "p", weights), (std::vector<double>{3 + 6 + 9 + 12, 0, 1 + 4 + 7 + 10}));
}

// Against the definition: at each place the largest mean that ends there of the smallest that begins there.
TEST(FewerTokens, NeverFallingNearest) {
  Random random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> values;
    for (std::size_t i = 0, n = random.below(9); i < n; ++i) values.push_back(random.uniform());
    const std::vector<double> found = isotonic(values);
    ASSERT_EQ(found.size(), values.size());
    for (std::size_t at = 0; at < values.size(); ++at) {
      double expected = -1;
      for (std::size_t from = 0; from <= at; ++from) {
        double least = 2;
        for (std::size_t to = at; to < values.size(); ++to) {
          double sum = 0;
          for (std::size_t i = from; i <= to; ++i) sum += values[i];
          least = std::min(least, sum / static_cast<double>(to - from + 1));
        }
        expected = std::max(expected, least);
      }
      EXPECT_NEAR(found[at], expected, 1e-12);
    }
  }
}

// A search by counted arithmetic, which says the same every time: the goal cannot be met by the widths alone within the
// candidates, and what is found is what its surgery says.
TEST(FewerTokens, ASearchFindsThem) {
  TAILOR_NEEDS_RUNNER();
  const Subject subject = two_blocks();
  Calibration calibration;
  calibration.fit = testing::random_inputs(subject.model, subject.shapes, 1, 64);
  calibration.judge = testing::random_inputs(subject.model, subject.shapes, 2, 32);
  Counted counted;
  LatencyBook book(counted);
  RoundOptions options;
  options.tokens = true, options.table.branches = false, options.joint.layers = 0, options.widths = 3,
  options.rounds = 2;
  const double all = count_macs(subject.model, {});
  options.yardstick = {[&](const graph::Model& model) { return count_macs(model, {}) / all; }, "counted",
                       "multiply-accumulates", true};
  const Searched found = search_rounds(*testing::runner(), subject, calibration, book, 0.4, options);
  EXPECT_LE(found.ratio, 0.4 * 1.003);
  ASSERT_FALSE(found.surgery.tokens.empty());
  EXPECT_NEAR(count_macs(found.model, {}) / all, found.ratio, 1e-9);
  EXPECT_NEAR(found.loss,
              divergence(testing::run_model(subject.model, calibration.judge),
                         testing::run_model(found.model, calibration.judge)),
              1e-3 * found.loss + 1e-6);
  options.tokens = false;
  LatencyBook again(counted);
  EXPECT_TRUE(
      search_rounds(*testing::runner(), subject, calibration, again, 0.8, options).surgery.tokens.empty());
}

}  // namespace
}  // namespace tailor::pipeline
