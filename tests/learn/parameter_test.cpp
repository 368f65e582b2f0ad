#include "tailor/learn/parameter.h"

#include "tailor/base/error.h"
#include "tailor/learn/head.h"
#include "tailor/learn/network.h"
#include "tailor/onnx/onnx.h"
#include "tests/learn/graphs.h"
#include "tests/testing.h"

#include <map>
#include <set>

namespace tailor::learn {
namespace {

std::map<std::string, Role> roles(const graph::Graph& graph) {
  std::map<std::string, Role> found;
  for (const Parameter& p : parameters(graph)) found[p.name] = p.role;
  return found;
}

using Roles = std::map<std::string, Role>;

TEST(Parameters, AreThoseOfLayers) {
  graph::Model model = with_own_vectors(testing::small_classifier());
  EXPECT_EQ(roles(model.graph), (Roles{{"w1", Role::weight},
                                       {"ones", Role::scale},
                                       {"zeros", Role::shift},
                                       {"zeros_2", Role::mean},
                                       {"ones_2", Role::variance},
                                       {"w2", Role::weight},
                                       {"ones_3", Role::scale},
                                       {"zeros_3", Role::shift},
                                       {"zeros_4", Role::mean},
                                       {"ones_4", Role::variance},
                                       {"w3", Role::weight},
                                       {"b3", Role::bias}}));
}

// What exporters without LayerNormalization and Linear write; scalars and positions are no parameters.
TEST(Parameters, AreFoundWhereLayersAreSpelledOut) {
  graph::Model model;
  graph::Graph& g = model.graph;
  g.inputs = {{"x", graph::DataType::f32, graph::Shape{2, 4}}};
  g.nodes = {{"Add", "", "", {"x", "position"}, {"a"}}, {"Div", "", "", {"a", "spread"}, {"b"}},
             {"Mul", "", "", {"b", "gamma"}, {"c"}},    {"Add", "", "", {"c", "beta"}, {"d"}},
             {"Transpose", "", "", {"w"}, {"wt"}},      {"MatMul", "", "", {"d", "wt"}, {"e"}},
             {"Add", "", "", {"bias", "e"}, {"f"}},     {"Mul", "", "", {"f", "half"}, {"y"}}};
  g.outputs = {{"y", graph::DataType::f32}};
  for (const char* name : {"position", "spread", "gamma", "beta", "bias"})
    g.initializers[name] = testing::filled(4, 1);
  g.initializers["half"] = testing::filled(1, 0.5f);
  g.initializers["w"] = testing::drawn({4, 4}, 1);
  EXPECT_EQ(
      roles(g),
      (Roles{{"gamma", Role::scale}, {"beta", Role::shift}, {"w", Role::weight}, {"bias", Role::bias}}));
}

TEST(Parameters, OfConstantNodesGoBackThere) {
  graph::Model model = testing::small_classifier();
  graph::Node node{"Constant", "", "holder", {}, {"w3"}};
  node.attributes["value"] = {model.graph.initializers.at("w3")};
  model.graph.initializers.erase("w3");
  model.graph.nodes.insert(model.graph.nodes.begin(), node);
  graph::Tensor other = testing::drawn({4, 6}, 99);
  graph::Model changed = with_values(model, {{"w3", other}});
  EXPECT_EQ(changed.graph.nodes[0].find<graph::Tensor>("value")->data, other.data);
  EXPECT_FALSE(model.graph.nodes[0].find<graph::Tensor>("value")->data == other.data);
}

// Read, put the same values back, write: the same bytes.
TEST(Parameters, ThatDidNotChangeLeaveTheFileAsItWas) {
  for (const auto& path : testing::real_models()) {
    graph::Model model;
    try {
      model = onnx::read(path);
    } catch (const Error&) {
      continue;  // the two that are no models
    }
    NamedTensors same;
    graph::Uses uses(model.graph);
    for (const Parameter& p : parameters(model.graph))
      same.emplace_back(p.name, *graph::constant(model.graph, uses, p.name));
    EXPECT_EQ(onnx::serialize_to_string(with_values(model, same)), onnx::serialize_to_string(model)) << path;
  }
}

// Old models list their initializers among the inputs, where a new one would be missing.
TEST(Parameters, OfOldModelsAreCopiedToConstantNodes) {
  graph::Model model = testing::small_classifier();
  model.ir_version = 3;
  graph::Model own = with_own_vectors(model);
  EXPECT_EQ(own.graph.initializers.size(), model.graph.initializers.size());
  EXPECT_EQ(own.graph.nodes.size(), model.graph.nodes.size() + 6);
  graph::check(own.graph);
}

TEST(Network, WithOwnVectorsComputesTheSame) {
  graph::Model model = testing::small_classifier();
  Network network(model);
  graph::check(network.model().graph);
  NamedTensors inputs = {{"x", testing::drawn({5, 3, 8, 8}, 4)}};
  EXPECT_EQ(network.run(inputs)[0].data, Network(network.model()).run(inputs)[0].data);
  EXPECT_EQ(network.run(inputs)[0].dims, (graph::Shape{5, 4}));
}

// In training the two normalisations follow batches of their own; in evaluation and with frozen statistics neither moves.
TEST(Network, StatisticsFollowBatchesInTrainingOnly) {
  Network network(testing::small_classifier());
  NamedTensors inputs = {{"x", testing::drawn({5, 3, 8, 8}, 4)}};
  graph::Tensor before = network.value("zeros_2");
  network.run(inputs, {}, Mode::evaluate);
  network.run(inputs, {}, Mode::frozen);
  EXPECT_EQ(network.value("zeros_2").data, before.data);
  network.run(inputs, {}, Mode::train);
  EXPECT_FALSE(network.value("zeros_2").data == before.data);
  EXPECT_FALSE(network.value("zeros_2").data == network.value("zeros_4").data);
}

// mean <- 0.75 mean + 0.25 batch mean; variance likewise, of the unbiased one.
TEST(Network, StatisticsFollowByTheMomentumOfTheNode) {
  graph::Model model;
  model.graph.inputs = {{"x", graph::DataType::f32, graph::Shape{4, 1, 1, 1}}};
  model.graph.outputs = {{"y", graph::DataType::f32}};
  model.graph.nodes = {{"BatchNormalization", "", "bn", {"x", "s", "b", "m", "v"}, {"y"}}};
  model.graph.nodes[0].attributes["momentum"] = {0.75f};
  model.graph.initializers = {{"s", testing::filled(1, 1)},
                              {"b", testing::filled(1, 0)},
                              {"m", testing::filled(1, 2)},
                              {"v", testing::filled(1, 8)}};
  Network network(model);
  network.run({{"x", graph::make_f32({4, 1, 1, 1}, {1, 3, 5, 7})}}, {}, Mode::train);
  EXPECT_NEAR(network.value("m").values<float>()[0], 0.75 * 2 + 0.25 * 4, 1e-5);
  EXPECT_NEAR(network.value("v").values<float>()[0], 0.75 * 8 + 0.25 * 20 / 3, 1e-5);
}

TEST(Heads, StandBeforeSoftmaxAndArgMax) {
  graph::Model model = testing::small_classifier();
  std::vector<Head> found = heads(model, graph::infer_shapes(model));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].value, "k");
  EXPECT_TRUE(found[0].classes);
  EXPECT_EQ(found[0].width, 4);
  model.graph.nodes.back().op = "ArgMax";
  EXPECT_EQ(heads(model, graph::infer_shapes(model))[0].value, "k");
}

TEST(Heads, AreRefusedWhereNothingFloats) {
  graph::Model model = testing::small_classifier();
  model.graph.nodes.back() = {"Shape", "", "shape", {"k"}, {"y"}};
  try {
    heads(model, graph::infer_shapes(model));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_trainable);
  }
}

}  // namespace
}  // namespace tailor::learn
