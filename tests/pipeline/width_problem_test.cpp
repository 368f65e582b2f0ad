// The planner's problem against the surgery that a choice means, on a real residual network.
#include "tailor/pipeline/width_problem.h"

#include "tailor/base/random.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/merge.h"
#include "tests/pipeline/random_table.h"
#include "tests/testing.h"

namespace tailor::pipeline {
namespace {

using testing::random_table;

// Any function of the workload will do, as long as no two are alike and a kernel is a factor of it.
double made_up(const latency::Workload& w) {
  double size = static_cast<double>(w.oh * w.ow);
  return (3 + std::sqrt(static_cast<double>(w.ic * w.oc)) * size * 1e-3 +
          0.1 * static_cast<double>((w.ic + 3) / 4) + 0.07 * static_cast<double>(w.oc)) *
         (0.3 * static_cast<double>(w.kh) + 0.2 * static_cast<double>(w.kw));
}

double total(const Subject& subject) {
  double sum = 0;
  for (const latency::LayerWorkload& layer : subject.layers) sum += made_up(layer.workload);
  return sum;
}

std::vector<int> random_choice(const plan::Problem& problem, Random& random) {
  std::vector<int> choice;
  for (const plan::Variable& v : problem.variables)
    choice.push_back(static_cast<int>(random.below(static_cast<std::size_t>(v.candidates))));
  return choice;
}

plan::Problem problem_of(const Subject& subject, const CandidateTable& table) {
  std::vector<LayerWidths> layers = layer_widths(subject);
  std::map<latency::Workload, double> latency;
  for (const latency::Workload& w : needed_workloads(subject, layers, table)) {
    EXPECT_EQ(latency::parse_workload(latency::to_string(w)), w) << "it can be asked for";
    latency[w] = made_up(w);
  }
  plan::Problem problem = width_problem(subject, layers, table, latency);
  plan::check(problem);
  return problem;
}

// What is fused behind a layer differs once a sum is gone; the made-up latency does not look at it.
TEST(WidthProblem, EvaluatesToWhatTheSurgeryCosts) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject original = make_subject(onnx::read(testing::real_model("resnet20_cifar10")), {});
  Random random(1);
  for (int round = 0; round < 12; ++round) {
    CandidateTable table = random_table(original, random);
    plan::Problem problem = problem_of(original, table);
    std::vector<int> choice = random_choice(problem, random);
    Surgery surgery = merge(original, {}, original, table, choice);
    EXPECT_NEAR(plan::evaluate(problem, choice).latency_us, total(make_subject(apply(original, surgery), {})),
                1e-6);
  }
}

TEST(WidthProblem, KeepingAllIsTheOriginal) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject original = make_subject(onnx::read(testing::real_model("resnet20_cifar10")), {});
  Random random(2);
  CandidateTable table = random_table(original, random);
  plan::Problem problem = problem_of(original, table);
  std::vector<int> choice(problem.variables.size(), 0);
  std::fill_n(choice.begin(), table.groups.size(), 2);
  EXPECT_TRUE(merge(original, {}, original, table, choice).empty());
  EXPECT_NEAR(plan::evaluate(problem, choice).latency_us, total(original), 1e-6);
  EXPECT_EQ(plan::evaluate(problem, choice).loss, 0);
}

TEST(WidthProblem, RoundsCompose) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject original = make_subject(onnx::read(testing::real_model("resnet20_cifar10")), {});
  Random random(3);
  for (int repetition = 0; repetition < 6; ++repetition) {
    Surgery surgery;
    Subject present = make_subject(original.model, {});
    for (int round = 0; round < 3; ++round) {
      SCOPED_TRACE(std::to_string(repetition) + "." + std::to_string(round));
      CandidateTable table = random_table(present, random);
      plan::Problem problem = problem_of(present, table);
      std::vector<int> choice = random_choice(problem, random);
      Surgery here = merge(present, {}, present, table, choice);
      graph::Model stepwise = apply(present, here);
      surgery = merge(original, surgery, present, table, choice);
      present = make_subject(apply(original, surgery), {});
      EXPECT_NEAR(plan::evaluate(problem, choice).latency_us, total(present), 1e-6);
      ASSERT_EQ(stepwise.graph.nodes.size(), present.model.graph.nodes.size());
      for (const auto& [name, tensor] : present.model.graph.initializers)
        if (auto it = stepwise.graph.initializers.find(name); it != stepwise.graph.initializers.end()) {
          EXPECT_TRUE(tensor.dims == it->second.dims && tensor.data == it->second.data) << name;
        }
    }
  }
}

// A convolution of its own shortcut takes the sum in; one beside a projection cannot.
TEST(WidthProblem, AFoldedBranchIsTimedAsItIsWritten) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject original = make_subject(onnx::read(testing::real_model("resnet20_cifar10")), {});
  int absorbed = 0, beside = 0;
  for (std::size_t b = 0; b < original.branches.size(); ++b) {
    Surgery surgery;
    surgery.folded[original.branches[b].name] = 1;
    Subject folded = make_subject(apply(original, surgery), {}),
            written = make_subject(final_form(original, surgery, folded.model), {});
    std::string timed = folded_layer(original, static_cast<int>(b), 1).workload.post, post;
    for (const latency::LayerWorkload& layer : written.layers)
      if (const std::string& value = written.model.graph.nodes[layer.node].output(0);
          value == original.branches[b].name || value == rewrite::folded_value(original.branches[b], 1))
        post = layer.workload.post;
    EXPECT_EQ(timed, post) << original.branches[b].name;
    (timed.find("add") == std::string::npos ? absorbed : beside) += 1;
    std::multiset<latency::Workload> expected, found;
    for (const latency::LayerWorkload& layer : written.layers) expected.insert(layer.workload);
    for (const LayerWidths& layer : written_layers(folded)) found.insert(layer.workload);
    EXPECT_EQ(expected, found);
  }
  EXPECT_EQ(absorbed, 7);
  EXPECT_EQ(beside, 2);
}

TEST(WidthProblem, WidthsAfterCountWhatIsAdded) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject original = make_subject(onnx::read(testing::real_model("resnet20_cifar10")), {});
  auto group = static_cast<int>(std::find_if(original.channels.groups.begin(), original.channels.groups.end(),
                                             [](const auto& g) { return g.changeable(); }) -
                                original.channels.groups.begin());
  Surgery surgery{{{group, {0, 2, 4}}}, {{group, 5}}, {}, {}};
  EXPECT_EQ(width_after(original, surgery, group), 8);
}

}  // namespace
}  // namespace tailor::pipeline
