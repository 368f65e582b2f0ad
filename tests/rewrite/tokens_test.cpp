// Fewer tokens against the whole sequence with the others masked: keys that went get minus infinity in front of every
// softmax, and the pooling picks those that stayed.
#include "tailor/rewrite/tokens.h"

#include "tailor/rewrite/branch.h"
#include "tests/graph/transformers.h"
#include "tests/rewrite/graphs.h"

#include <numeric>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using testing::TransformerStyle;

int node_that_gives(const Model& model, const std::string& value) {
  return graph::Uses(model.graph).producer(value);
}

void put_before(Model& model, int reader, Node node, const std::string& instead_of) {
  std::vector<Node>& nodes = model.graph.nodes;
  auto& inputs = nodes[static_cast<std::size_t>(reader)].inputs;
  std::replace(inputs.begin(), inputs.end(), instead_of, node.outputs[0]);
  nodes.insert(nodes.begin() + reader, std::move(node));
}

// All tokens are carried to the end; those that went are seen by nobody.
Model masked(const Model& model, const std::string& site, const std::string& pooling, int count,
             const std::vector<int>& kept, int token_axis = 1) {
  Model result = model;
  std::vector<float> mask(static_cast<std::size_t>(count), -1e9f);
  for (int token : kept) mask[static_cast<std::size_t>(token)] = 0;
  result.graph.initializers["mask"] = graph::make_f32({count}, mask);
  result.graph.initializers["kept"] =
      graph::make_i64({static_cast<std::int64_t>(kept.size())}, {kept.begin(), kept.end()});
  for (int i = node_that_gives(model, site) + 1; i < static_cast<int>(result.graph.nodes.size()); ++i) {
    const Node& node = result.graph.nodes[static_cast<std::size_t>(i)];
    const std::string name = "masked" + std::to_string(i);
    if (node.op == "Softmax")
      put_before(result, i++, {"Add", "", name, {node.inputs[0], "mask"}, {name}}, node.inputs[0]);
  }
  const int reader = node_that_gives(result, pooling);
  const std::string pooled = result.graph.nodes[static_cast<std::size_t>(reader)].inputs[0];
  Node gather{"Gather", "", "pick", {pooled, "kept"}, {"picked"}};
  gather.attributes["axis"].value = std::int64_t{token_axis};
  put_before(result, reader, std::move(gather), pooled);
  return result;
}

std::vector<int> some_of(int count, const std::set<int>& needed, Random& random) {
  std::vector<int> kept;
  for (int t = 0; t < count; ++t)
    if (needed.contains(t) || random.below(2) == 0) kept.push_back(t);
  if (kept.empty()) kept.push_back(static_cast<int>(random.below(static_cast<std::size_t>(count))));
  return kept;
}

// @param pooling what the first node gives that has the tokens no more
void expect_like_masked(const Model& model, const std::string& site, const std::string& pooling,
                        std::int64_t samples, std::uint64_t seed, int token_axis = 1) {
  const graph::Shapes shapes = graph::infer_shapes(model);
  const graph::TokenFlow flow = graph::token_flow(model, shapes, site, 1);
  ASSERT_EQ(flow.obstacle, "") << flow.at;
  Random random(seed);
  const std::vector<int> kept = some_of(flow.count, flow.needed, random);
  const Model fewer = keep_tokens(model, shapes, flow, kept);
  const runtime::NamedTensors inputs = testing::random_inputs(model, shapes, seed, samples);
  const runtime::NamedTensors expected =
      testing::run_model(masked(model, site, pooling, flow.count, kept, token_axis), inputs);
  EXPECT_LE(testing::difference(expected, testing::run_model(fewer, inputs)), 1e-4) << kept.size();
  if (static_cast<int>(kept.size()) < flow.count) {
    EXPECT_GT(testing::difference(testing::run_model(model, inputs), expected), 1e-4) << "tells nothing";
  }
}

TEST(Tokens, LikeMasked) {
  TAILOR_NEEDS_RUNNER();
  using Qkv = TransformerStyle::Qkv;
  using Norm = TransformerStyle::Norm;
  using Sizes = TransformerStyle::Sizes;
  std::uint64_t seed = 0;
  for (Qkv qkv : {Qkv::separate, Qkv::split, Qkv::gathered, Qkv::stacked, Qkv::per_head})
    for (Sizes sizes : {Sizes::literal, Sizes::partly, Sizes::computed})
      for (Norm norm : {Norm::batch, Norm::layer, Norm::spelled}) try {
          SCOPED_TRACE(static_cast<int>(qkv) * 100 + static_cast<int>(sizes) * 10 + static_cast<int>(norm));
          const Model model =
              testing::graph_of(testing::transformer({norm, qkv, sizes, norm == Norm::spelled}),
                                {graph::kUnknown, 5, 7}, {}, 17);
          for (const char* site : {"r0", "r2", "r1"})
            if (node_that_gives(model, site) >= 0) expect_like_masked(model, site, "pooled", 3, ++seed);
        } catch (const Error& e) {
          ADD_FAILURE() << e.what() << " at " << e.place();
        }
}

std::vector<std::string> attention_with(const std::vector<std::string>& lines,
                                        const std::vector<std::string>& end) {
  std::vector<std::string> all = lines;
  all.insert(all.end(), end.begin(), end.end());
  return all;
}

// Sizes and tables that name the count: targets, an Expand, rotary tables, a bias for each pair of places.
TEST(Tokens, ConstantsThatNameTheCount) {
  TAILOR_NEEDS_RUNNER();
  const Model model = testing::graph_of({"Add x 5x7 -> s",
                                         "MatMul s 7x24 -> q0",
                                         "Reshape q0 [-1,5,4,6] -> q1",
                                         "Transpose q1 -> q2 | perm=[0,2,1,3]",
                                         "Mul q2 5x6 -> q",
                                         "MatMul s 7x12 -> k0",
                                         "Reshape k0 [-1,5,2,6] -> k1",
                                         "Transpose k1 -> k2 | perm=[0,2,3,1]",
                                         "Unsqueeze k2 [2] -> k3",
                                         "Expand k3 [1,2,2,6,5] -> k4",
                                         "Reshape k4 [-1,4,6,5] -> k",
                                         "MatMul s 7x12 -> v0",
                                         "Reshape v0 [-1,5,2,6] -> v1",
                                         "Transpose v1 -> v2 | perm=[0,2,1,3]",
                                         "Unsqueeze v2 [2] -> v3",
                                         "Expand v3 [2,1,1] -> v4",
                                         "Reshape v4 [-1,4,5,6] -> v",
                                         "MatMul q k -> a",
                                         "Add a 4x5x5 -> b",
                                         "Softmax b -> p | axis=-1",
                                         "MatMul p v -> o",
                                         "Transpose o -> o1 | perm=[0,2,1,3]",
                                         "Reshape o1 [-1,5,24] -> o2",
                                         "MatMul o2 24x3 -> z",
                                         "ReduceMax z -> y | axes=[1] keepdims=0"},
                                        {graph::kUnknown, 5, 7}, {}, 17);
  for (std::uint64_t seed = 1; seed < 6; ++seed) expect_like_masked(model, "s", "y", 3, seed);
}

// torch.nn.MultiheadAttention: tokens first, batch and heads on one axis, tokens and batch on one for the projection.
TEST(Tokens, BesideTheBatch) {
  TAILOR_NEEDS_RUNNER();
  const Model model = testing::graph_of({"Add x 5x7 -> s",
                                         "Transpose s -> xt | perm=[1,0,2]",
                                         "MatMul xt 7x24 -> q0",
                                         "MatMul xt 7x24 -> k0",
                                         "MatMul xt 7x24 -> v0",
                                         "Reshape q0 [5,-1,6] -> q1",
                                         "Reshape k0 [5,-1,6] -> k1",
                                         "Reshape v0 [5,-1,6] -> v1",
                                         "Transpose q1 -> q | perm=[1,0,2]",
                                         "Transpose k1 -> k | perm=[1,2,0]",
                                         "Transpose v1 -> v | perm=[1,0,2]",
                                         "MatMul q k -> p1",
                                         "Softmax p1 -> p | axis=-1",
                                         "MatMul p v -> o1",
                                         "Transpose o1 -> o2 | perm=[1,0,2]",
                                         "Reshape o2 [-1,24] -> o3",
                                         "Gemm o3 24x10 10 -> g",
                                         "Reshape g [5,-1,10] -> h",
                                         "MatMul h 10x3 -> z",
                                         "ReduceMean z -> y | axes=[0] keepdims=0"},
                                        {graph::kUnknown, 5, 7}, {}, 17);
  for (std::uint64_t seed = 1; seed < 6; ++seed) expect_like_masked(model, "s", "y", 3, seed, 0);
}

// What is read by its place stays, and is found where it then is.
TEST(Tokens, ReadByTheirPlace) {
  TAILOR_NEEDS_RUNNER();
  const std::vector<std::string> block = {
      "Add x 5x7 -> s",    "MatMul s 7x6 -> q", "MatMul s 7x6 -> k0", "Transpose k0 -> k | perm=[0,2,1]",
      "MatMul s 7x6 -> v", "MatMul q k -> a",   "Softmax a -> p",     "MatMul p v -> o"};
  struct Case {
    std::vector<std::string> end;
    std::set<int> needed;
  };
  for (const Case& c : {Case{{"Gather o {2} -> z | axis=1", "MatMul z 6x3 -> y"}, {2}},
                        Case{{"Gather o [-1] -> z | axis=1", "MatMul z 6x3 -> y"}, {4}},
                        Case{{"Slice o [3] [4] [1] -> z", "MatMul z 6x3 -> y"}, {3}},
                        Case{{"Slice o [1] [9999] [1] [1] -> z0", "ReduceMean z0 -> z | axes=[1]",
                              "Gather o {0} -> c | axis=1", "Add z c -> y"},
                             {0}},
                        Case{{"Gather o [4,1,2] -> z0 | axis=1", "ReduceMax z0 -> z | axes=[1]",
                              "Slice o [1] [2] [-2] -> c", "Add z c -> y"},
                             {1}}}) {
    SCOPED_TRACE(c.end.front());
    const Model model = testing::graph_of(attention_with(block, c.end), {graph::kUnknown, 5, 7}, {}, 17);
    const graph::Shapes shapes = graph::infer_shapes(model);
    const graph::TokenFlow flow = graph::token_flow(model, shapes, "s", 1);
    ASSERT_EQ(flow.obstacle, "") << flow.at;
    EXPECT_EQ(flow.needed, c.needed);
    // The other tokens may be there as keys: the same network with the scores masked is the reference.
    std::vector<int> kept = {1, 2, 4};
    for (int t : c.needed) kept.push_back(t);
    std::sort(kept.begin(), kept.end());
    kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
    const Model fewer = keep_tokens(model, shapes, flow, kept);
    Model reference = model;
    std::vector<float> mask(5, -1e9f);
    for (int t : kept) mask[static_cast<std::size_t>(t)] = 0;
    reference.graph.initializers["mask"] = graph::make_f32({5}, mask);
    put_before(reference, node_that_gives(reference, "p"), {"Add", "", "m", {"a", "mask"}, {"am"}}, "a");
    if (c.needed == std::set<int>{0}) {  // the mean is of those among places 1 to 4 that stay
      reference.graph.initializers["stay"] = graph::make_i64({3}, {0, 1, 3});
      Node pick{"Gather", "", "pick", {"z0", "stay"}, {"z1"}};
      pick.attributes["axis"].value = std::int64_t{1};
      put_before(reference, node_that_gives(reference, "z"), std::move(pick), "z0");
    }
    const runtime::NamedTensors inputs = testing::random_inputs(model, shapes, 5, 3);
    EXPECT_LE(testing::difference(testing::run_model(reference, inputs), testing::run_model(fewer, inputs)),
              1e-4);
    kept.erase(std::find(kept.begin(), kept.end(), *c.needed.begin()));
    try {
      keep_tokens(model, shapes, flow, kept);
      ADD_FAILURE() << "a token that is needed went";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::bad_cut);
    }
  }
}

// Why tokens cannot go, in words.
TEST(Tokens, Obstacles) {
  struct Case {
    std::vector<std::string> lines;
    const char* why;
  };
  for (const Case& c :
       {Case{{"Add x 6x7 -> s", "Transpose s -> t | perm=[0,2,1]", "MatMul t 6x6 -> y"},
             "belong to their places"},
        Case{{"Add x 6x7 -> s", "ReduceSum s [1] -> y"}, "how many tokens"},
        Case{{"Add x 6x7 -> s", "Transpose s -> t | perm=[0,2,1]", "Conv t 3x7x3 -> y"}, "neighbouring"},
        Case{{"Add x 6x7 -> s", "Reshape s [1,2,3,7] -> r", "ReduceMean r -> y | axes=[1,2]"}, "in rows"},
        Case{{"Abs x -> x1", "Add x1 6x7 -> s", "Add s x1 -> r", "ReduceMean r -> y | axes=[1]"},
             "made before them"},
        Case{{"Add x 6x7 -> s", "Softmax s -> y | axis=1"}, "an output of the model"},
        Case{{"Add x 6x7 -> s", "CumSum s {1} -> y"}, "not known"},
        Case{{"Add x 6x7 -> s", "LayerNormalization s 6x7 6x7 -> r | axis=1", "ReduceMean r -> y | axes=[1]"},
             "normalises over the tokens"},
        Case{{"Add x 6x7 -> s", "Transpose s -> t | perm=[0,2,1]", "MatMul t s -> r",
              "ReduceMean r -> y | axes=[1]"},
             "without a softmax"},
        Case{{"Add x 6x7 -> s", "Split s [3,3] -> r u | axis=1", "Add r u -> y"}, "splits"},
        Case{{"Add x 6x7 -> s", "Relu s -> y0", "Slice y0 [0] [6] [1] [2] -> r",
              "ReduceMean r -> y | axes=[1]"},
             "computed places"}}) {
    const Model model = testing::graph_of(c.lines, {1, 6, 7}, {}, 17);
    const graph::TokenFlow flow = graph::token_flow(model, graph::infer_shapes(model), "s", 1);
    EXPECT_NE(flow.obstacle.find(c.why), std::string::npos) << c.lines.back() << ": " << flow.obstacle;
    EXPECT_FALSE(flow.at.empty());
  }
}

std::vector<std::string> sums_of(const Model& model) {
  std::vector<std::string> values;
  for (const Node& node : model.graph.nodes)
    if (node.op == "Add") values.push_back(node.output(0));
  return values;
}

// A size that was asked for in front of the site is no longer that of the tokens.
TEST(Tokens, SizesComputedBefore) {
  const std::vector<std::string> lines = {"Relu x -> x1",
                                          "Shape x1 -> l",
                                          "Add x1 5x6 -> s",
                                          "MatMul s 6x6 -> q",
                                          "Transpose s -> k | perm=[0,2,1]",
                                          "MatMul q k -> a",
                                          "Softmax a -> p",
                                          "MatMul p s -> o",
                                          "Reshape o l -> o1",
                                          "ReduceMean o1 -> y | axes=[1]"};
  const Model model = testing::graph_of(lines, {1, 5, 6}, {}, 17);
  const TokenSites sites = token_sites(model, graph::infer_shapes(model), {"s"});
  EXPECT_TRUE(sites.flows.empty());
  EXPECT_NE(sites.obstacle.find("n8 does not fit fewer tokens"), std::string::npos) << sites.obstacle;
}

TEST(Tokens, RefusesWrongPlaces) {
  const Model model = testing::graph_of(testing::transformer({}), {1, 5, 7}, {}, 17);
  const graph::Shapes shapes = graph::infer_shapes(model);
  const graph::TokenFlow flow = graph::token_flow(model, shapes, "r0", 1);
  ASSERT_TRUE(flow.possible()) << flow.obstacle;
  for (const std::vector<int>& kept : {std::vector<int>{}, {2, 1}, {1, 1}, {-1, 2}, {0, 5}}) try {
      keep_tokens(model, shapes, flow, kept);
      ADD_FAILURE() << "accepted " << kept.size();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Code::bad_cut);
    }
}

// No tokens where a network has none: channels and pixels are not mistaken for them.
TEST(Tokens, NoneInConvolutions) {
  for (const char* name : {"resnet20_cifar10", "mobilenet_v2_1.0_224_imagenet"}) {
    TAILOR_NEEDS(testing::real_model(name));
    const Model model = onnx::read(testing::real_model(name));
    const TokenSites sites = token_sites(model, graph::infer_shapes(model), sums_of(model));
    EXPECT_TRUE(sites.flows.empty()) << name;
    EXPECT_FALSE(sites.obstacle.empty()) << name;
  }
}

// Sites of the real ones: the embedding with its positions, and both sums of every block.
TEST(Tokens, RealTransformersLikeMasked) {
  TAILOR_NEEDS_RUNNER();
  struct Real {
    const char *name, *embedding;
    int tokens;
    std::size_t sites;
  };
  for (const Real& real : {Real{"vit_cifar10_pgd_2_3_16", "/0/Add_1_output_0", 5, 5},
                           Real{"vit_cifar10_ibp_3_3_8", "/0/Add_1_output_0", 17, 7}}) {
    TAILOR_NEEDS(testing::real_model(real.name));
    const Model model = onnx::read(testing::real_model(real.name));
    const graph::Shapes shapes = graph::infer_shapes(model);
    std::vector<std::string> values = {real.embedding};
    for (const Branch& branch : residual_branches(model, shapes)) values.push_back(branch.name);
    const TokenSites sites = token_sites(model, shapes, values);
    EXPECT_EQ(sites.flows.size(), real.sites) << real.name << " " << sites.obstacle;
    const auto pooling = std::find_if(model.graph.nodes.begin(), model.graph.nodes.end(),
                                      [](const Node& node) { return node.op == "ReduceMean"; });
    ASSERT_NE(pooling, model.graph.nodes.end());
    std::uint64_t seed = 7;
    for (const graph::TokenFlow& flow : sites.flows) {
      EXPECT_EQ(flow.count, real.tokens);
      EXPECT_TRUE(flow.needed.empty()) << "the mean is of all tokens";
      expect_like_masked(model, flow.site, pooling->outputs[0], 4, ++seed);
    }
  }
}

// Fewer, and then fewer still: the second site sees what the first left.
TEST(Tokens, Twice) {
  TAILOR_NEEDS_RUNNER();
  std::vector<std::string> lines = testing::transformer({});
  const Model model = testing::graph_of(lines, {graph::kUnknown, 5, 7}, {}, 17);
  const graph::Shapes shapes = graph::infer_shapes(model);
  const Model once = keep_tokens(model, shapes, graph::token_flow(model, shapes, "r0", 1), {0, 2, 3, 4});
  const graph::Shapes after = graph::infer_shapes(once);
  const graph::TokenFlow later = graph::token_flow(once, after, "r1", 1);
  ASSERT_TRUE(later.possible()) << later.obstacle;
  EXPECT_EQ(later.count, 4);
  const Model twice = keep_tokens(once, after, later, {1, 3});
  const runtime::NamedTensors inputs = testing::random_inputs(model, shapes, 3, 3);
  Model reference = masked(model, "r0", "pooled", 5, {0, 2, 3, 4});
  reference.graph.initializers["kept"] = graph::make_i64({2}, {2, 4});  // of those that the first left
  EXPECT_LE(testing::difference(testing::run_model(reference, inputs), testing::run_model(twice, inputs)),
            1e-4);
}

}  // namespace
}  // namespace tailor::rewrite
