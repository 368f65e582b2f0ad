// Channels in the bodies of If, Loop and Scan, and across their borders: each changeable group cut alone and all
// together, against the mask, in the runtime.
#include "tailor/graph/bodies.h"

#include "tests/rewrite/bodies.h"
#include "tests/rewrite/cuts.h"

#include <set>

namespace tailor::rewrite {
namespace {

using testing::around;
using testing::asking;
using testing::body;
using testing::branches;
using testing::choosing;
using testing::Cuts;
using testing::DataType;
using testing::Graph;
using testing::loop;
using testing::Model;
using testing::Node;
using testing::scalar;
using testing::spelled_out;

TEST(Bodies, BothBranchesAgreeOnWhatTheyGive) {
  TAILOR_NEEDS_RUNNER();
  for (double threshold : {-100.0, 100.0}) {
    Cuts cuts(choosing(threshold));
    EXPECT_EQ(cuts.frozen("z", 1), "");
    EXPECT_EQ(*cuts.channels.find("z", 1), *cuts.channels.find("a", 1)) << "the second branch hands them on";
    int groups = 0;
    for (int g = 0; g < static_cast<int>(cuts.channels.groups.size()); ++g) {
      if (!cuts.channels.groups[g].changeable()) continue;
      EXPECT_LE(cuts.apart(cuts.some(g)), cuts.tolerance) << cuts.channels.groups[g].name;
      ++groups;
    }
    EXPECT_EQ(groups, 2) << "what crosses the border, and what is inside of the first branch";
    Model small = rewrite::cut(cuts.model, cuts.shapes, cuts.channels, cuts.some(0));
    const Node& choice = small.graph.nodes[3];
    const Graph& yes = **choice.find<std::shared_ptr<const Graph>>("then_branch");
    EXPECT_EQ(choice.inputs, std::vector<std::string>{"yes"});
    EXPECT_EQ(yes.nodes.size(), 3u);
    EXPECT_EQ(yes.nodes[0].inputs, (std::vector<std::string>{"a", "tc0", "tc1"}));
    EXPECT_EQ(yes.initializers.at("tc0").dims, (graph::Shape{6, 5, 3, 3})) << "names stay, sizes do not";
  }
}

TEST(Bodies, InsideOneBranch) {
  TAILOR_NEEDS_RUNNER();
  auto yes = body(
      "t", {"Conv a 6x8x1x1 6 -> b", "Split b [3,3] -> c d | axis=1", "Mul c d -> e", "Conv e 8x3x1x1 -> f"},
      {}, {"f"});
  auto no = body("e", {"Conv a 5x8x1x1 5 -> g", "Relu g -> h", "Conv h 8x5x1x1 -> i"}, {}, {"i"});
  for (double threshold : {-100.0, 100.0}) {
    Cuts cuts(around(asking(threshold), branches("yes", {"y"}, yes, no), {}, {1, 4, 5, 5}));
    std::set<std::string> changeable;
    for (int g = 0; g < static_cast<int>(cuts.channels.groups.size()); ++g) {
      if (!cuts.channels.groups[g].changeable()) continue;
      changeable.insert(cuts.channels.groups[g].name);
      EXPECT_LE(cuts.apart(cuts.some(g)), cuts.tolerance);
    }
    EXPECT_EQ(changeable, (std::set<std::string>{"n0", "choice.then_branch/tn0", "choice.else_branch/en0"}));
    EXPECT_EQ(cuts.frozen("y", 1), "is a graph output");
  }
}

// What a branch gives without looking at anything is cut with what the other one computes.
TEST(Bodies, AConstantInOneBranch) {
  TAILOR_NEEDS_RUNNER();
  auto yes = body("t", {"Conv a 8x8x1x1 -> d"}, {}, {"d"});
  auto no = body("e", {"Identity 1x8x5x5 -> f"}, {}, {"f"});
  for (double threshold : {-100.0, 100.0}) {
    Cuts cuts(
        around(asking(threshold), branches("yes", {"z"}, yes, no), {"Conv z 2x8x1x1 -> y"}, {1, 4, 5, 5}));
    EXPECT_EQ(cuts.frozen("z", 1), "");
    rewrite::Cut all;
    for (int g = 0; g < static_cast<int>(cuts.channels.groups.size()); ++g)
      if (cuts.channels.groups[g].changeable()) all.kept.merge(cuts.some(g).kept);
    EXPECT_EQ(all.kept.size(), 2u);
    EXPECT_LE(cuts.apart(all), cuts.tolerance);
  }
}

// One weight that both branches read: what one cuts, the other cuts too.
TEST(Bodies, SharedWeights) {
  TAILOR_NEEDS_RUNNER();
  auto yes = body("t", {"Conv a w -> b", "Relu b -> c", "Conv c v -> d"}, {}, {"d"});
  auto no = body("e", {"Conv a w -> f", "Tanh f -> g", "Conv g v -> h"}, {}, {"h"});
  for (double threshold : {-100.0, 100.0}) {
    Model model =
        around(asking(threshold), branches("yes", {"z"}, yes, no), {"Conv z 2x8x1x1 -> y"}, {1, 4, 5, 5});
    Random random(5);
    model.graph.initializers["w"] = testing::smooth({6, 8, 1, 1}, random);
    model.graph.initializers["v"] = testing::smooth({8, 6, 1, 1}, random);
    Cuts cuts(model);
    for (int g = 0; g < static_cast<int>(cuts.channels.groups.size()); ++g)
      if (cuts.channels.groups[g].changeable()) {
        EXPECT_LE(cuts.apart(cuts.some(g)), cuts.tolerance);
      }
    rewrite::Cut all;
    for (int g = 0; g < static_cast<int>(cuts.channels.groups.size()); ++g)
      if (cuts.channels.groups[g].changeable()) all.kept.merge(cuts.some(g).kept);
    EXPECT_EQ(all.kept.size(), 4u);
    EXPECT_LE(cuts.apart(all), cuts.tolerance);
  }
}

// The branches disagree on the rank, as exporters have it where a Squeeze may do nothing.
TEST(Bodies, ABranchThatDoesNotRun) {
  TAILOR_NEEDS_RUNNER();
  std::vector<std::string> lines = {"Conv x 8x4x1 -> a", "Shape a -> s", "Gather s {2} -> n",
                                    "Equal n {1} -> one"};
  auto yes = body("t", {"Squeeze a [2] -> b"}, {}, {"b"});
  auto no = body("e", {"Identity a -> c"}, {}, {"c"});
  Cuts cuts(around(lines, branches("one", {"z"}, yes, no), {"MatMul z 8x3 -> y"}, {2, 4, 1}));
  ASSERT_TRUE(cuts.shapes.shape("z"));
  EXPECT_EQ(*cuts.shapes.shape("z"), (graph::Shape{2, 8}));
  EXPECT_EQ(cuts.check(), 1);
}

TEST(Bodies, WhatALoopCarries) {
  TAILOR_NEEDS_RUNNER();
  for (bool constant : {true, false}) {
    SCOPED_TRACE(constant ? "starts from a constant" : "starts from a value");
    Cuts cuts(spelled_out(constant));
    EXPECT_EQ(cuts.frozen("last", 1), "");
    EXPECT_EQ(cuts.frozen("each", 2), "");
    EXPECT_EQ(*cuts.shapes.shape("each"), (graph::Shape{graph::kUnknown, 2, 5}));
    EXPECT_EQ(cuts.check(), 2) << "the state, and what is collected";
  }
}

TEST(Bodies, Scan) {
  TAILOR_NEEDS_RUNNER();
  Cuts cuts(testing::walking());
  ASSERT_TRUE(cuts.shapes.shape("each"));
  EXPECT_EQ(*cuts.shapes.shape("each"), (graph::Shape{2, 7, 5}));
  EXPECT_EQ(cuts.check(), 3) << "elements of the sequence, the state, what is collected";
}

// A loop that makes what it carries longer has no fixed shape; nothing along that axis is known.
TEST(Bodies, ALoopThatGrowsWhatItCarries) {
  auto inner = std::make_shared<Graph>(
      *body("b", {"Identity on -> on2", "Concat h d -> h2 | axis=0"},
            {scalar("round", DataType::i64), scalar("on", DataType::boolean), {"h", DataType::f32}},
            {"on2", "h2"}));
  inner->outputs[0].type = DataType::boolean;
  Model model = around({"Identity {3} -> trips", "Identity x -> d", "Cast {1} -> going | to=9"},
                       loop({"trips", "going", "d"}, {"last"}, inner), {"MatMul last 6x4 -> y"}, {2, 6});
  model.graph.inputs = {{"x", DataType::f32, graph::Shape{2, 6}}};
  graph::Shapes shapes = graph::infer_shapes(model);
  ASSERT_TRUE(shapes.shape("last"));
  EXPECT_EQ(*shapes.shape("last"), (graph::Shape{graph::kUnknown, 6}));
  EXPECT_EQ(*shapes.shape("y"), (graph::Shape{graph::kUnknown, 4}));
}

// Weights of a recurrent layer that the graph slices and joins, as exporters do to reorder gates: its input can be cut.
TEST(Bodies, WeightsPutTogetherFromParts) {
  TAILOR_NEEDS_RUNNER();
  std::vector<std::string> lines = {"MatMul x 5x48 -> e"};
  auto sliced = [&](const std::string& from, const std::string& to, int half) {
    const std::string a = std::to_string(half * 3), b = std::to_string(half * 4),
                      all = std::to_string(half * 2);
    lines.push_back("Slice " + from + " [0] [" + all + "] [0] -> " + to + "0");
    lines.push_back("Slice " + from + " [" + a + "] [" + b + "] [0] -> " + to + "1");
    lines.push_back("Slice " + from + " [" + all + "] [" + a + "] [0] -> " + to + "2");
    lines.push_back("Concat " + to + "0 " + to + "1 " + to + "2 -> " + to + "3 | axis=0");
    lines.push_back("Unsqueeze " + to + "3 [0] -> " + to);
  };
  sliced("weights", "w", 96), sliced("states", "r", 96);
  lines.insert(lines.end(), {"LSTM e w r -> Y | hidden_size=96", "Squeeze Y [1] -> t", "MatMul t 96x3 -> y"});
  Random random(3);
  Cuts cuts(
      lines, {4, 2, 5},
      {{"weights", testing::smooth({384, 48}, random)}, {"states", testing::smooth({384, 96}, random)}});
  EXPECT_EQ(cuts.frozen("e", 2), "");
  EXPECT_EQ(cuts.frozen("Y", 3), "meets weights that are put together in an unknown way");
  EXPECT_EQ(cuts.check(), 1);
}

// A branch is missing, so nobody knows what the node does with what it reads.
TEST(Bodies, WhatCannotBeLaidOpenStaysFrozen) {
  Model model = choosing(0);
  model.graph.nodes[3].attributes.erase("else_branch");
  EXPECT_FALSE(graph::lay_open(model));
  graph::Shapes shapes = graph::infer_shapes(model);
  graph::Channels channels = graph::channel_groups(model, shapes);
  EXPECT_EQ(channels.groups[channels.atoms[channels.find("a", 1)->at(0)].group].frozen,
            "is read by the body of If, which Tailor cannot lay open");
}

// Laying open and putting back is the identity, and the file is the same byte for byte.
TEST(Bodies, PutBackAsTheyWere) {
  for (const Model& made : {choosing(0), spelled_out(true), spelled_out(false)}) {
    const std::string bytes = onnx::serialize_to_string(made);
    Model model = onnx::parse(Bytes::own(std::string(bytes)));
    auto open = graph::lay_open(model);
    ASSERT_TRUE(open);
    for (const Node& node : open->flat.graph.nodes) EXPECT_FALSE(graph::has_body(node));
    EXPECT_EQ(onnx::serialize_to_string(graph::put_back(open->flat, model)), bytes);
  }
  EXPECT_FALSE(graph::lay_open(testing::graph_of({"Relu x -> y"}, {1, 2})));
}

// Which branch runs depends on an input: 16 kHz with 512 samples, 8 kHz with 256.
TEST(Bodies, VoiceActivity) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  TAILOR_NEEDS_RUNNER();
  Model model = onnx::read(testing::real_model("silero_vad"));
  for (std::int64_t rate : {16000, 8000}) {
    SCOPED_TRACE(rate);
    graph::Shapes shapes =
        graph::infer_shapes(model, {{"input", {1, rate == 16000 ? 512 : 256}}, {"state", {2, 1, 128}}});
    graph::Channels channels = graph::channel_groups(model, shapes);
    runtime::NamedTensors inputs = testing::random_inputs(model, shapes, 3);
    for (auto& [name, tensor] : inputs)
      if (name == "sr") tensor = graph::make_i64({}, {rate});
    runtime::NamedTensors whole = testing::run_model(model, inputs);
    int groups = 0, telling = 0;
    for (int g = 0; g < static_cast<int>(channels.groups.size()); ++g) {
      const graph::ChannelGroup& group = channels.groups[g];
      if (!group.changeable() || group.width() < 2) continue;
      Cut what;
      for (int u = 0; u < group.width(); ++u)
        if (u % 3 != 1) what.kept[g].push_back(u);
      runtime::NamedTensors masked = testing::run_model(mask(model, shapes, channels, what), inputs),
                            pruned = testing::run_model(cut(model, shapes, channels, what), inputs);
      EXPECT_LE(testing::difference(masked, pruned), 1e-4) << group.name;
      ++groups, telling += testing::difference(masked, whole) > 1e-4;
    }
    EXPECT_GE(groups, 5);
    EXPECT_GE(telling, 4);
  }
}

}  // namespace
}  // namespace tailor::rewrite
