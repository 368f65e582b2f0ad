// The pruned model against the masked one, in the runtime: every changeable group of every real model.
#include "tailor/rewrite/cut.h"

#include "tests/rewrite/known.h"

#include <set>

namespace tailor::rewrite {
namespace {

using graph::Channels;
using graph::Model;
using graph::Shapes;
using testing::changeable;
using testing::free_size;
using testing::Known;
using testing::known;
using testing::some_models;

// Between one unit and all but one.
std::vector<int> random_units(int width, Random& random) {
  std::vector<int> units(static_cast<std::size_t>(width));
  for (int i = 0; i < width; ++i) units[static_cast<std::size_t>(i)] = i;
  random.shuffle(units);
  units.resize(1 + random.below(static_cast<std::size_t>(width - 1)));
  std::sort(units.begin(), units.end());
  return units;
}

Cut random_cut(const Channels& channels, const std::vector<int>& groups, std::uint64_t seed) {
  Random random(seed);
  Cut what;
  for (int g : groups) what.kept[g] = random_units(channels.groups[g].width(), random);
  return what;
}

double apart(const Known& k, const Cut& what) {
  Model small = cut(k.model, k.shapes, k.channels, what);
  return testing::difference(testing::run_model(mask(k.model, k.shapes, k.channels, what), k.inputs),
                             testing::run_model(small, k.inputs));
}

struct Count {
  int groups = 0, telling = 0;  // telling: the mask does change the outputs
};

// Each group alone.
Count expect_cuts_like_masks(const std::string& name, std::int64_t free_size, double tolerance) {
  SCOPED_TRACE(name);
  Known k = known(onnx::read(testing::real_model(name)), free_size);
  Count count;
  if (changeable(k.channels).empty()) return count;
  runtime::NamedTensors whole = testing::run_model(k.model, k.inputs);
  for (int g : changeable(k.channels)) try {
      Cut what = random_cut(k.channels, {g}, static_cast<std::uint64_t>(g));
      runtime::NamedTensors masked = testing::run_model(mask(k.model, k.shapes, k.channels, what), k.inputs),
                            pruned = testing::run_model(cut(k.model, k.shapes, k.channels, what), k.inputs);
      EXPECT_LE(testing::difference(masked, pruned), tolerance) << k.channels.groups[g].name;
      ++count.groups, count.telling += testing::difference(masked, whole) > tolerance;
    } catch (const Error& e) {
      ADD_FAILURE() << k.channels.groups[g].name << ": " << e.what();
    }
  return count;
}

// Models that nobody can cut: layers that start from states that are given.
const std::set<std::string> kUncut = {"dtln_model_1"};
class EveryGroup : public ::testing::TestWithParam<std::size_t> {};

TEST_P(EveryGroup, CutsLikeItsMask) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  TAILOR_NEEDS_RUNNER();
  int groups = 0, telling = 0;
  for (const std::string& name : some_models(GetParam(), 4)) {
    Count count = expect_cuts_like_masks(name, free_size(name), name.ends_with("int8") ? 0 : 1e-4);
    EXPECT_EQ(count.groups == 0, kUncut.contains(name)) << name;
    groups += count.groups, telling += count.telling;
  }
  EXPECT_GT(groups, 60);
  EXPECT_GT(telling, groups * 3 / 4) << "cuts that change nothing prove nothing";
}

INSTANTIATE_TEST_SUITE_P(Cut, EveryGroup, ::testing::Range<std::size_t>(0, 4));

TEST(Cut, AllGroupsTogether) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  TAILOR_NEEDS_RUNNER();
  for (const std::string& name : some_models(0, 1)) {
    if (kUncut.contains(name)) continue;
    Known k = known(onnx::read(testing::real_model(name)), free_size(name));
    Cut what = random_cut(k.channels, changeable(k.channels), 5);
    EXPECT_LE(apart(k, what), name.ends_with("int8") ? 0 : 1e-3) << name;
  }
}

Known made(const std::vector<std::string>& lines, graph::Shape input,
           std::map<std::string, graph::Tensor, std::less<>> constants = {}) {
  return known(testing::graph_of(lines, std::move(input), std::move(constants)), 8);
}

int group_of(const Known& k, const std::string& value, int axis = 1) {
  return k.channels.atoms[k.channels.find(value, axis)->at(0)].group;
}

graph::Tensor weights(graph::Shape dims) {
  Random random(4);
  return testing::smooth(std::move(dims), random);
}

TEST(Cut, SharedWeightsAreCopiedWhereTheyDiffer) {
  TAILOR_NEEDS_RUNNER();
  Known k = made({"Conv x w -> a", "Relu a -> b", "Conv b w -> c", "Conv c w -> d", "Conv d 2x8x1x1 -> y"},
                 {1, 8, 5, 5}, {{"w", weights({8, 8, 1, 1})}});
  Cut what{{{group_of(k, "c"), {0, 3, 5}}}};
  Model small = cut(k.model, k.shapes, k.channels, what);
  EXPECT_EQ(small.graph.initializers.at("w").dims, (graph::Shape{8, 8, 1, 1})) << "the first use keeps it";
  EXPECT_EQ(small.graph.initializers.at(small.graph.nodes[2].inputs[1]).dims, (graph::Shape{3, 8, 1, 1}));
  EXPECT_LE(apart(k, what), 1e-5);
}

TEST(Cut, SharedWeightsCutAlikeStayOne) {
  TAILOR_NEEDS_RUNNER();
  Known k =
      made({"Conv x 8x4x1x1 v -> a", "BatchNormalization a v v v u -> b", "Conv b 2x8x1x1 -> y"},
           {1, 4, 5, 5}, {{"v", weights({8})}, {"u", graph::make_f32({8}, std::vector<float>(8, 0.7f))}});
  Cut what{{{group_of(k, "a"), {1, 2}}}};
  EXPECT_EQ(cut(k.model, k.shapes, k.channels, what).graph.initializers.at("v").dims, (graph::Shape{2}));
  EXPECT_LE(apart(k, what), 1e-5);
}

TEST(Cut, EqualNewConstantsAreStoredOnce) {
  TAILOR_NEEDS_RUNNER();
  Known k = made({"Conv x 8x4x1x1 -> a", "Reshape a [1,8,25] -> b", "Relu b -> c", "Reshape c [1,8,5,5] -> d",
                  "Reshape d [1,8,25] -> e", "Reshape e [1,8,5,5] -> f", "Conv f 2x8x1x1 -> y"},
                 {1, 4, 5, 5});
  Cut what{{{group_of(k, "a"), {0, 3, 5}}}};
  Model small = cut(k.model, k.shapes, k.channels, what);
  EXPECT_EQ(small.graph.nodes[1].inputs[1], small.graph.nodes[4].inputs[1]);
  EXPECT_EQ(small.graph.nodes[3].inputs[1], small.graph.nodes[5].inputs[1]);
  EXPECT_EQ(small.graph.initializers.size(), 4u);
  EXPECT_LE(apart(k, what), 1e-5);
}

TEST(Cut, WhatNobodyNeededBeforeStays) {
  Known k = made({"Conv x 8x4x1x1 -> a", "Relu a -> unused", "Conv a 2x8x1x1 -> y"}, {1, 4, 5, 5},
                 {{"spare", graph::make_f32({1}, {1})}});
  Model small = cut(k.model, k.shapes, k.channels, {{{group_of(k, "a"), {0, 3}}}});
  EXPECT_EQ(small.graph.nodes.size(), 3u);
  EXPECT_TRUE(small.graph.initializers.contains("spare"));
}

bool same_bytes(const Bytes& a, const Bytes& b) { return !a.empty() && a == b; }

// Constants that the cut may touch: operands of layers and followers, and those that name sizes.
std::set<std::string> bound_constants(const Known& k, int group) {
  std::set<std::string> names;
  const auto& inside = k.channels.inside;  // bodies cut what they read of the graph around them
  const graph::Graph& all = inside ? inside->open.flat.graph : k.model.graph;
  for (const graph::Binding& binding : inside ? inside->bindings : k.channels.bindings)
    for (auto [g, positions] : k.channels.composition(binding.label))
      if (g == group && positions > 0) names.insert(all.nodes[binding.node].inputs[binding.input]);
  return names;
}

// Node by node in the old order; what is new or gone are constants; untouched records are the same bytes.
void expect_only_the_cut(const Known& k, int group, const Model& small) {
  const auto& before = k.model.graph.nodes;
  std::size_t at = 0;
  graph::Uses uses(k.model.graph);
  auto is_constant = [&](const std::string& name) { return k.shapes.constant(name) != nullptr; };
  for (const graph::Node& node : small.graph.nodes) {
    while (at < before.size() && before[at].outputs != node.outputs) {
      auto replaced = [&](const std::string& name) { return name.empty() || is_constant(name); };
      bool gone = std::all_of(before[at].outputs.begin(), before[at].outputs.end(), replaced);
      ASSERT_TRUE(gone) << before[at].label();
      ++at;
    }
    ASSERT_LT(at, before.size()) << node.label();
    const graph::Node& old = before[at++];
    EXPECT_EQ(node.name, old.name);
    EXPECT_EQ(node.op, old.op);
    EXPECT_EQ(node.domain, old.domain);
    for (std::size_t i = 0; i < std::min(node.inputs.size(), old.inputs.size()); ++i) {
      bool allowed = node.inputs[i] == old.inputs[i] || is_constant(old.inputs[i]);
      EXPECT_TRUE(allowed) << old.label();
    }
  }
  std::set<std::string> bound = bound_constants(k, group);
  for (const auto& [name, tensor] : small.graph.initializers) {
    auto old = k.model.graph.initializers.find(name);
    if (old == k.model.graph.initializers.end()) continue;
    if (bound.contains(name)) continue;
    EXPECT_TRUE(same_bytes(tensor.origin, old->second.origin)) << name;
  }
}

TEST(Cut, ADifferenceShowsTheCutAndNothingElse) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  for (const std::string& name : some_models(0, 1)) {
    SCOPED_TRACE(name);
    Known k = known(onnx::read(testing::real_model(name)), free_size(name));
    std::vector<int> groups = changeable(k.channels);
    if (groups.empty()) continue;
    Random random(17);
    int group = groups[random.below(groups.size())];
    Model small = cut(k.model, k.shapes, k.channels, random_cut(k.channels, {group}, 3));
    expect_only_the_cut(k, group, onnx::parse(Bytes::own(onnx::serialize_to_string(small))));
  }
}

TEST(Cut, NamesStay) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Known k = known(onnx::read(testing::real_model("resnet20_cifar10")), 8);
  Model small = cut(k.model, k.shapes, k.channels, random_cut(k.channels, changeable(k.channels), 1));
  ASSERT_EQ(small.graph.nodes.size(), k.model.graph.nodes.size());
  for (std::size_t i = 0; i < small.graph.nodes.size(); ++i) {
    EXPECT_EQ(small.graph.nodes[i].name, k.model.graph.nodes[i].name);
    EXPECT_EQ(small.graph.nodes[i].input(0), k.model.graph.nodes[i].input(0));
    EXPECT_EQ(small.graph.nodes[i].outputs, k.model.graph.nodes[i].outputs);
  }
}

TEST(Cut, OperatorsThatNameSizes) {
  TAILOR_NEEDS_RUNNER();
  std::vector<std::vector<std::string>> graphs = {
      {"Conv x 8x4x1x1 8 -> a", "Flatten a -> f", "Gemm f 200x6 6 -> g", "Relu g -> h",
       "Gemm h 3x6 -> y | transB=1"},
  };
  const auto& more = testing::graphs_that_name_sizes();
  graphs.insert(graphs.end(), more.begin(), more.end());
  for (std::size_t i = 0; i < graphs.size(); ++i) {
    SCOPED_TRACE(i);
    std::vector<std::string> lines = graphs[i];
    Known k = made(lines, {1, 4, 5, 5});
    EXPECT_FALSE(changeable(k.channels).empty());
    for (int g : changeable(k.channels)) try {
        EXPECT_LE(apart(k, random_cut(k.channels, {g}, i)), 1e-4) << k.channels.groups[g].name;
      } catch (const Error& e) {
        ADD_FAILURE() << e.what();
      }
  }
}

// Attention scaled by the root of its width, which the graph computes from a shape: the scale stays.
TEST(Cut, NumbersComputedFromSizesStay) {
  TAILOR_NEEDS_RUNNER();
  Known k =
      made({"MatMul x 4x6 -> q", "MatMul x 4x6 -> k0", "Add k0 6 -> k", "Transpose k -> t | perm=[0,2,1]",
            "MatMul q t -> p", "Shape q -> s", "Gather s {2} -> d | axis=0", "Cast d -> f | to=1",
            "Sqrt f -> r", "Div p r -> u", "Softmax u -> v | axis=-1", "MatMul v x -> y"},
           {1, 5, 4});
  int g = group_of(k, "q", 2);
  ASSERT_TRUE(k.channels.groups[g].changeable()) << k.channels.groups[g].frozen;
  EXPECT_LE(apart(k, Cut{{{g, {0, 2}}}}), 1e-5);
}

TEST(Cut, NonsenseIsRefused) {
  Known k = made({"Conv x 8x4x1x1 -> a", "Relu a -> b", "Conv b 2x8x1x1 -> y"}, {1, 4, 5, 5});
  int g = group_of(k, "a"), frozen = group_of(k, "y");
  const std::vector<Cut> wrong = {{{{g, {}}}},   {{{g, {0, 0}}}},   {{{g, {8}}}},
                                  {{{g, {-1}}}}, {{{g, {3, 1}}}},   {{{99, {0}}}},
                                  {{{-1, {0}}}}, {{{frozen, {0}}}}, {{{g, {0, 0, 1, 2, 3, 4, 5, 6}}}}};
  for (const Cut& what : wrong) try {
      cut(k.model, k.shapes, k.channels, what);
      ADD_FAILURE() << "not refused";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::bad_cut) << e.what();
    }
}

}  // namespace
}  // namespace tailor::rewrite
