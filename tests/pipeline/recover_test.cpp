// What a search sees without least squares, and the activation criterion, each against a stupid reference.
#include "tailor/pipeline/activation_worth.h"
#include "tailor/pipeline/candidates.h"
#include "tailor/pipeline/loss.h"
#include "tailor/pipeline/rounds.h"
#include "tests/rewrite/graphs.h"

#include <cmath>

namespace tailor::pipeline {
namespace {

constexpr std::size_t kMemory = std::size_t{1} << 30;

// `value` as the model computes it: one more output.
graph::Tensor value_of(graph::Model model, const std::string& value, const runtime::NamedTensors& inputs) {
  model.graph.outputs = {{value, graph::DataType::f32}};
  return testing::run_model(model, inputs).front().second;
}

double mean_abs(const graph::Tensor& x, std::int64_t channel) {
  const std::vector<float> values = x.values<float>();
  const auto channels = x.dims[1], samples = x.dims[0],
             plane = static_cast<std::int64_t>(values.size()) / samples / channels;
  double sum = 0;
  for (std::int64_t n = 0; n < samples; ++n)
    for (std::int64_t p = 0; p < plane; ++p)
      sum += std::abs(values[static_cast<std::size_t>((n * channels + channel) * plane + p)]);
  return sum / static_cast<double>(samples * plane);
}

// Of a Conv's weights: outputs x inputs x taps.
double column_norm(const graph::Tensor& w, std::int64_t input) {
  const std::vector<float> values = w.values<float>();
  const auto taps = w.dims[2] * w.dims[3];
  double sum = 0;
  for (std::int64_t o = 0; o < w.dims[0]; ++o)
    for (std::int64_t t = 0; t < taps; ++t)
      sum += std::abs(values[static_cast<std::size_t>((o * w.dims[1] + input) * taps + t)]);
  return sum;
}

struct Summed {
  Subject subject;
  runtime::NamedTensors samples;
};

// Two layers make the channels of r together; a Conv reads them in the plane, a Gemm flattened.
Summed summed() {
  graph::Model model =
      testing::graph_of({"Conv x 6x4x1x1 -> a", "Conv x 6x4x1x1 -> b", "Add a b -> s", "Relu s -> r",
                         "Conv r 5x6x3x3 -> c", "Flatten r -> f", "Gemm f 150x3 3 -> y"},
                        {graph::kUnknown, 4, 5, 5});
  model.graph.inputs[0].symbols = {"N", "", "", ""};
  model.graph.outputs.push_back({"c", graph::DataType::f32});
  Subject subject = make_subject(std::move(model), {});
  runtime::NamedTensors samples = testing::random_inputs(subject.model, subject.shapes, 4, 20);
  return {std::move(subject), std::move(samples)};
}

TEST(ActivationWorth, IsWhatTheReadersSeeTimesHowTheyReadIt) {
  TAILOR_NEEDS_RUNNER();
  Summed s = summed();
  const graph::Model& model = s.subject.model;
  graph::Tensor r = value_of(model, "r", s.samples), f = value_of(model, "f", s.samples),
                w = model.graph.initializers.at(model.graph.nodes[4].inputs[1]),
                dense = model.graph.initializers.at(model.graph.nodes[6].inputs[1]);
  std::vector<float> rows = dense.values<float>();  // 150 x 3
  const int group =
      s.subject.channels.atoms[static_cast<std::size_t>(s.subject.channels.find("r", 1)->front())].group;
  rewrite::Activations now(*testing::runner(), s.subject.shapes, s.samples, 1, kMemory);
  std::vector<double> worth = activation_worth(s.subject, group, now);
  ASSERT_EQ(worth.size(), 6u);
  for (std::int64_t c = 0; c < 6; ++c) {
    double expected = mean_abs(r, c) * column_norm(w, c);
    for (std::int64_t i = 25 * c; i < 25 * c + 25; ++i)
      for (std::int64_t o = 0; o < 3; ++o)
        expected += mean_abs(f, i) * std::abs(rows[static_cast<std::size_t>(3 * i + o)]);
    EXPECT_NEAR(worth[static_cast<std::size_t>(c)], expected, 1e-5 * expected) << c;
  }
  std::vector<int> order = removal_order(s.subject, group, Criterion::activation, {nullptr, &now});
  for (std::size_t i = 1; i < order.size(); ++i)
    EXPECT_LE(worth[static_cast<std::size_t>(order[i - 1])], worth[static_cast<std::size_t>(order[i])]);
}

TEST(ActivationWorth, IsEmptyWhereNoLayerReads) {
  TAILOR_NEEDS_RUNNER();
  Summed s = summed();
  rewrite::Activations now(*testing::runner(), s.subject.shapes, s.samples, 1, kMemory);
  const int last =
      s.subject.channels.atoms[static_cast<std::size_t>(s.subject.channels.find("c", 1)->front())].group;
  EXPECT_TRUE(activation_worth(s.subject, last, now).empty());
}

class Recovery : public ::testing::Test {
 protected:
  void SetUp() override {
    TAILOR_NEEDS_RUNNER();
    subject = read_subject(TAILOR_SOURCE_DIR "/demo/shapes.onnx", {});
    calibration.fit = testing::random_inputs(subject.model, subject.shapes, 1, 24);
    calibration.judge = testing::random_inputs(subject.model, subject.shapes, 2, 16);
    calibration.memory = kMemory;
    while (!subject.channels.groups[static_cast<std::size_t>(group)].changeable()) ++group;
  }
  double reference(const graph::Model& changed) const {
    auto run = [&](const graph::Model& m) { return testing::run_model(m, calibration.judge); };
    return divergence(run(subject.model), run(changed));
  }
  WidthCandidate candidate(Recover recover) const {
    TableOptions options;
    options.criterion = Criterion::l1, options.recover = recover, options.branches = false;
    return fill_table(*testing::runner(), subject, subject, {}, {}, calibration, {{group, {9}}}, options)
        .groups.front()
        .widths.front();
  }
  Subject subject;
  Calibration calibration;
  int group = 0;
};

TEST_F(Recovery, NoneJudgesTheCutAsItIs) {
  WidthCandidate seen = candidate(Recover::none);
  graph::Model cut = apply(subject, {{{group, seen.kept}}, {}, {}});
  EXPECT_NEAR(seen.loss, reference(cut), 1e-6 + 1e-3 * seen.loss);
  EXPECT_GT(seen.loss, 0);
}

TEST_F(Recovery, BnJudgesTheCutWithNewStatistics) {
  ASSERT_GT(normalisations(subject.model), 0);
  WidthCandidate seen = candidate(Recover::bn);
  graph::Model cut = apply(subject, {{{group, seen.kept}}, {}, {}});
  const graph::Shapes shapes = graph::infer_shapes(cut);
  rewrite::Activations now(*testing::runner(), shapes, calibration.fit, 1, kMemory);
  double again = reference(rewrite::reestimate_normalisation(cut, now));
  EXPECT_NEAR(seen.loss, again, 1e-5 + 1e-2 * again);
  EXPECT_GT(std::abs(again - reference(cut)), 1e-4) << "the statistics make a difference here";
}

// a = x0, b = x0 / 20 + x1, y = a + b / 2. Without a, samples in which x1 is 0 say y = 20.5 b, and others are far from that.
TEST(RepairLeftOut, WhereItMakesThingsWorse) {
  TAILOR_NEEDS_RUNNER();
  const graph::Model model =
      testing::graph_of({"Conv x w1 -> a", "Relu a -> b", "Conv b w2 -> y"}, {24, 2, 4, 4},
                        {{"w1", graph::make_f32({2, 2, 1, 1}, {1, 0, 0.05f, 1})},
                         {"w2", graph::make_f32({1, 2, 1, 1}, {1, 0.5f})}});
  const Subject subject = make_subject(model, {});
  Calibration calibration;
  calibration.memory = kMemory;
  auto samples = [](std::uint64_t seed, bool second) {
    Random random(seed);
    std::vector<float> values;
    for (int i = 0; i < 24 * 2 * 16; ++i)
      values.push_back(i / 16 % 2 == 0 || second ? static_cast<float>(random.uniform()) : 0.f);
    return runtime::NamedTensors{{"x", graph::make_f32({24, 2, 4, 4}, std::move(values))}};
  };
  RoundOptions options;
  options.yardstick.ratio = [](const graph::Model&) { return 1.0; };
  const int group =
      subject.channels.atoms[static_cast<std::size_t>(subject.channels.find("a", 1)->front())].group;
  const Surgery surgery = {{{group, {1}}}, {}, {}};
  for (bool second : {false, true}) {
    calibration.fit = samples(1, second), calibration.judge = samples(2, true);
    const Searched found = carry_out(*testing::runner(), subject, calibration, surgery, options);
    EXPECT_EQ(found.left_out.has_value(), !second);
    if (found.left_out) {
      EXPECT_GT(*found.left_out, found.cut_loss);
      EXPECT_EQ(found.loss, found.cut_loss);
    } else {
      EXPECT_LT(found.loss, found.cut_loss);
    }
    const auto run = [&](const graph::Model& m) { return testing::run_model(m, calibration.judge); };
    EXPECT_NEAR(divergence(run(model), run(found.model)), found.loss, 1e-3 * found.loss);
  }
}

TEST(RecoveryNames, AreParsed) {
  for (Recover r : {Recover::lsq, Recover::bn, Recover::none}) EXPECT_EQ(parse_recover(name(r)), r);
  EXPECT_THROW(parse_recover("training"), Error);
  for (Criterion c : {Criterion::bn_scale, Criterion::activation}) EXPECT_EQ(parse_criterion(name(c)), c);
}

}  // namespace
}  // namespace tailor::pipeline
