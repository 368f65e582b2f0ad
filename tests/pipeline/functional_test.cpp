// Functions of channels on made graphs: what another channel does already can go, and the network computes the same.
#include "tailor/pipeline/functional.h"

#include "tailor/pipeline/counted.h"
#include "tailor/pipeline/criterion.h"
#include "tailor/pipeline/readers.h"
#include "tests/rewrite/graphs.h"

#include <cmath>

namespace tailor::pipeline {
namespace {

constexpr std::size_t kMemory = std::size_t{1} << 30;

// The channels of r are read in the plane by a Conv with a normalisation behind it, and flattened by a Gemm. The
// function of channel 4 is twice that of channel 1.
struct Repeating {
  Subject subject;
  runtime::NamedTensors samples;
  int group = 0;

  Repeating() {
    graph::Model model =
        testing::graph_of({"Conv x 6x4x1x1 6 -> a", "Relu a -> r", "Conv r 5x6x3x3 -> c",
                           "BatchNormalization c 5 5 5 5 -> z", "Flatten r -> f", "Gemm f 150x3 3 -> y"},
                          {graph::kUnknown, 4, 5, 5});
    model.graph.inputs[0].symbols = {"N", "", "", ""};
    model.graph.outputs.push_back({"z", graph::DataType::f32});
    for (std::size_t operand : {1u, 2u}) {
      graph::Tensor& tensor = model.graph.initializers.at(model.graph.nodes[0].inputs[operand]);
      std::vector<float> values = tensor.values<float>();
      const std::size_t row = values.size() / 6;
      for (std::size_t i = 0; i < row; ++i) values[4 * row + i] = 2 * values[row + i];
      tensor = graph::make_f32(tensor.dims, std::move(values));
    }
    subject = make_subject(std::move(model), {});
    samples = testing::random_inputs(subject.model, subject.shapes, 4, 40);
    group = subject.channels.atoms[static_cast<std::size_t>(subject.channels.find("r", 1)->front())].group;
  }
  rewrite::Activations now() const { return {*testing::runner(), subject.shapes, samples, 1, kMemory}; }
  double distance(const graph::Model& model) const {
    auto a = testing::run_model(subject.model, samples), b = testing::run_model(model, samples);
    double worst = 0;
    for (std::size_t output = 0; output < a.size(); ++output) {
      std::vector<float> x = a[output].second.values<float>(), y = b[output].second.values<float>();
      for (std::size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(double{x[i]} - y[i]));
    }
    return worst;
  }
};

TEST(Functional, ARepeatGoesFirstAndNothingChanges) {
  TAILOR_NEEDS_RUNNER();
  Repeating s;
  rewrite::Activations now = s.now();
  const std::vector<int> order = removal_order(s.subject, s.group, Criterion::functionality, {nullptr, &now});
  ASSERT_TRUE(order.front() == 4 || order.front() == 1);
  std::vector<int> kept;
  for (int unit = 0; unit < 6; ++unit)
    if (unit != order.front()) kept.push_back(unit);
  Surgery surgery;
  surgery.kept[s.group] = kept;
  const Merging merging = merge_functions(s.subject, surgery.kept, now);
  ASSERT_EQ(merging.merged.size(), 2u) << "one for each reader";
  for (const Merged& m : merging.merged) {
    EXPECT_EQ(m.unit, order.front());
    EXPECT_EQ(m.heir, 5 - m.unit);
    EXPECT_NEAR(m.unexplained, 0, 1e-5);
  }
  const graph::Model cut = apply(make_subject(merging.model, {}), surgery), plain = apply(s.subject, surgery);
  EXPECT_LT(s.distance(cut), 2e-4);
  EXPECT_GT(s.distance(plain), 0.05) << "a cut without a merge does change it";
}

TEST(Functional, AConstantChannelIsPutIntoTheIntercept) {
  TAILOR_NEEDS_RUNNER();
  Repeating s;
  graph::Model model = s.subject.model;
  for (std::size_t operand : {1u, 2u}) {
    graph::Tensor& tensor = model.graph.initializers.at(model.graph.nodes[0].inputs[operand]);
    std::vector<float> values = tensor.values<float>();
    const std::size_t row = values.size() / 6;
    for (std::size_t i = 0; i < row; ++i) values[2 * row + i] = operand == 2 ? 1.5f : 0;
    tensor = graph::make_f32(tensor.dims, std::move(values));
  }
  s.subject = make_subject(std::move(model), {});
  rewrite::Activations now = s.now();
  Surgery surgery;
  surgery.kept[s.group] = {0, 1, 3, 4, 5};
  const Merging merging = merge_functions(s.subject, surgery.kept, now);
  EXPECT_LT(s.distance(apply(make_subject(merging.model, {}), surgery)), 2e-4);
}

TEST(Functional, NoReaderNoCosts) {
  TAILOR_NEEDS_RUNNER();
  Repeating s;
  rewrite::Activations now = s.now();
  const int last =
      s.subject.channels.atoms[static_cast<std::size_t>(s.subject.channels.find("z", 1)->front())].group;
  EXPECT_EQ(take_over_costs(s.subject, last, now).units, 0);
  EXPECT_TRUE(readers_of(s.subject, last).empty());
}

TEST(Criteria, FpgmIsTheDistanceFromAllOthers) {
  Repeating s;
  const graph::Model& model = s.subject.model;
  const std::vector<float> w = model.graph.initializers.at(model.graph.nodes[0].inputs[1]).values<float>();
  std::vector<double> far(6, 0.0);
  for (std::size_t a = 0; a < 6; ++a)
    for (std::size_t b = 0; b < 6; ++b) {
      double sum = 0;
      for (std::size_t i = 0; i < 4; ++i) sum += std::pow(double{w[4 * a + i]} - w[4 * b + i], 2);
      far[a] += std::sqrt(sum);
    }
  const std::vector<int> order = removal_order(s.subject, s.group, Criterion::fpgm, {});
  for (std::size_t i = 1; i < order.size(); ++i)
    EXPECT_LE(far[static_cast<std::size_t>(order[i - 1])], far[static_cast<std::size_t>(order[i])] + 1e-9);
}

TEST(Criteria, AllHaveNamesThatAreReadBack) {
  for (const char* text :
       {"reconstruction", "l1", "l2", "bn", "fpgm", "activation", "functionality", "taylor", "fisher"})
    EXPECT_STREQ(name(parse_criterion(text)), text);
}

TEST(Counted, MultiplyAccumulatesOfTheLayers) {
  Repeating s;
  graph::ShapeOverrides one = {{"x", {1, 4, 5, 5}}};
  EXPECT_DOUBLE_EQ(count_macs(s.subject.model, one), 6 * 4 * 25 + 5 * 6 * 9 * 9 + 150 * 3);
}

}  // namespace
}  // namespace tailor::pipeline
