// Outputs compared, and a network whose cuts are known to be wrong is found out.
#include "tailor/pipeline/check_cuts.h"

#include "tests/running.h"

namespace tailor::pipeline {
namespace {

runtime::NamedTensors outputs(std::vector<float> values) {
  auto count = static_cast<std::int64_t>(values.size());
  return {{"y", graph::make_f32({count}, std::move(values))}};
}

TEST(Apart, IsRelativeToTheLargestValue) {
  EXPECT_EQ(apart(outputs({1, 2}), outputs({1, 2})), 0);
  EXPECT_NEAR(apart(outputs({100, 0}), outputs({100, 1})), 0.01, 1e-9);
  EXPECT_TRUE(std::isinf(apart(outputs({1}), outputs({1, 1}))));
  EXPECT_TRUE(std::isinf(apart(outputs({1}), outputs({std::nanf("")}))));
  EXPECT_TRUE(std::isinf(apart(outputs({1}), {})));
}

TEST(Apart, IntegersAgreeInEveryBit) {
  runtime::NamedTensors a = {{"y", graph::make_i64({2}, {5, 1000000})}},
                        b = {{"y", graph::make_i64({2}, {5, 1000001})}};
  EXPECT_EQ(apart(a, a), 0);
  EXPECT_TRUE(std::isinf(apart(a, b)));
}

graph::Model chain() {
  Random random(3);
  graph::Model model;
  model.opsets = {{"", 13}};
  model.graph.name = "chain";
  model.graph.nodes = {{"Conv", "", "first", {"x", "w"}, {"a"}},
                       {"Relu", "", "relu", {"a"}, {"b"}},
                       {"Conv", "", "second", {"b", "v"}, {"y"}}};
  model.graph.initializers = {{"w", testing::smooth({6, 3, 1, 1}, random)},
                              {"v", testing::smooth({2, 6, 1, 1}, random)}};
  model.graph.inputs = {{"x", graph::DataType::f32, graph::Shape{1, 3, 4, 4}}};
  model.graph.outputs = {{"y", graph::DataType::f32, graph::Shape{1, 2, 4, 4}}};
  return model;
}

TEST(CheckCuts, RightCutsPass) {
  TAILOR_NEEDS_RUNNER();
  CutOptions options;
  options.cuts = 4;
  CutCheck check = check_cuts(make_subject(chain(), {}), options);
  EXPECT_EQ(check.trials(), 4);
  EXPECT_EQ(check.failed(), 0);
  EXPECT_GE(check.telling(), 2);
  EXPECT_LE(check.worst(), 1e-4);
}

// 600 hidden units, summed in slices of some hundred; a sigmoid so steep that it shows the last bits of the sums.
graph::Model steep() {
  Random random(7);
  graph::Model model = chain();
  model.graph.nodes = {{"MatMul", "", "first", {"x", "w"}, {"a"}},
                       {"Relu", "", "relu", {"a"}, {"b"}},
                       {"MatMul", "", "second", {"b", "v"}, {"c"}},
                       {"Mul", "", "third", {"c", "steep"}, {"d"}},
                       {"Sigmoid", "", "fourth", {"d"}, {"y"}}};
  model.graph.initializers = {{"w", testing::smooth({16, 600}, random)},
                              {"v", testing::smooth({600, 64}, random)},
                              {"steep", graph::make_f32({1}, {80})}};
  model.graph.inputs = {{"x", graph::DataType::f32, graph::Shape{64, 16}}};
  model.graph.outputs = {{"y", graph::DataType::f32, graph::Shape{64, 64}}};
  return model;
}

// A cut moves units from slice to slice: the order of the sums alone moves outputs by more than the tolerance.
TEST(CheckCuts, RoundingIsNoFault) {
  TAILOR_NEEDS_RUNNER();
  CutOptions options;
  options.cuts = 24;
  CutCheck check = check_cuts(make_subject(steep(), {}), options);
  ASSERT_EQ(check.trials(), 24);
  EXPECT_EQ(check.failed(), 0);
  int allowed_more = 0;
  for (const CutTrial& trial : check.groups[0].trials) {
    EXPECT_GE(trial.allowed, 1e-4);
    EXPECT_LE(trial.allowed, 1e-3);
    allowed_more += trial.allowed > 1e-4;
  }
  if (allowed_more == 0) GTEST_SKIP() << "SKIPPED: this runtime adds up alike whatever is cut";
}

TEST(CheckCuts, ExternalDataStayExternalAndTheRuntimeFindsThem) {
  TAILOR_NEEDS_RUNNER();
  TemporaryFolder folder;
  Random random(5);
  graph::Model model = chain();
  model.graph.initializers["w"] = testing::smooth({128, 3, 1, 1}, random);
  model.graph.initializers["v"] = testing::smooth({2, 128, 1, 1}, random);
  onnx::Draft(model, folder.path() / "net.onnx", 0).commit();
  ASSERT_TRUE(std::filesystem::exists(folder.path() / "net.onnx.data"));
  CutOptions options;
  options.cuts = 3;
  CutCheck check = check_cuts(read_subject(folder.path() / "net.onnx", {}), options);
  EXPECT_EQ(check.trials(), 3);
  EXPECT_EQ(check.failed(), 0);
}

// The groups of another wiring: the second layer's inputs bound as if they were not read.
TEST(CheckCuts, WrongGroupsAreFoundOut) {
  TAILOR_NEEDS_RUNNER();
  Subject subject = make_subject(chain(), {});
  std::erase_if(subject.channels.bindings, [](const graph::Binding& b) { return b.node == 2; });
  CutOptions options;
  CutCheck check = check_cuts(subject, options);
  EXPECT_EQ(check.trials(), 1);
  EXPECT_EQ(check.failed(), 1);
}

}  // namespace
}  // namespace tailor::pipeline
