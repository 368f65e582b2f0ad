// Repair without labels: leaves what is right, finds what can be found.
#include "tailor/rewrite/repair.h"

#include "tailor/rewrite/cut.h"
#include "tests/rewrite/graphs.h"

namespace tailor::rewrite {
namespace {

struct Network {
  graph::Model model;
  graph::Shapes shapes;
  graph::Channels channels;
  runtime::NamedTensors samples, others;
};

Network network(graph::Model model, int samples) {
  Network n;
  n.shapes = graph::infer_shapes(model);
  n.channels = graph::channel_groups(model, n.shapes);
  n.samples = testing::random_inputs(model, n.shapes, 2, samples);
  n.others = testing::random_inputs(model, n.shapes, 77, samples);
  n.model = std::move(model);
  return n;
}

graph::Model repaired(const Network& n, const graph::Model& pruned, const Cut& what,
                      const RepairOptions& options = {}) {
  graph::Shapes shapes = graph::infer_shapes(pruned);
  Activations wanted(*testing::runner(), n.shapes, n.samples, 1, std::size_t{1} << 30);
  Activations present(*testing::runner(), shapes, n.samples, 1, std::size_t{1} << 30);
  KeptChannels kept = kept_channels(n.channels, kept_atoms(n.channels, what));
  return repair(n.model, wanted, pruned, present, kept, shapes, options).model;
}

// Mean squared distance of the outputs over the spread of the original's.
double distance(const Network& n, const graph::Model& model) {
  std::vector<float> a = testing::run_model(n.model, n.others)[0].second.values<float>(),
                     b = testing::run_model(model, n.others)[0].second.values<float>();
  double apart = 0, mean = 0, spread = 0;
  for (float v : a) mean += v / static_cast<double>(a.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    apart += (a[i] - b[i]) * (a[i] - b[i]), spread += (a[i] - mean) * (a[i] - mean);
  return apart / spread;
}

TEST(Repair, LeavesWhatIsRight) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  for (const char* name : {"resnet20_cifar10", "mlperftiny_resnet8_cifar10"}) {
    Network n = network(onnx::read(testing::real_model(name)), 16);
    graph::Model same = repaired(n, n.model, {});
    EXPECT_LE(testing::difference(testing::run_model(n.model, n.others), testing::run_model(same, n.others)),
              1e-3)
        << name;
  }
}

// Channel 1 is twice channel 0: whoever loses it needs only other weights.
TEST(Repair, MakesUpForACopyThatIsGone) {
  TAILOR_NEEDS_RUNNER();
  Random random(3);
  std::vector<float> w = testing::smooth({6, 4, 3, 3}, random).values<float>();
  for (std::size_t i = 0; i < 36; ++i) w[36 + i] = 2 * w[i];
  Network n = network(testing::graph_of({"Conv x w -> a | pads=[1,1,1,1]", "Relu a -> b",
                                         "Conv b 5x6x3x3 5 -> c | strides=[2,2]", "Relu c -> d",
                                         "Flatten d -> f", "Gemm f 45x3 3 -> y"},
                                        {1, 4, 8, 8}, {{"w", graph::make_f32({6, 4, 3, 3}, w)}}),
                      1);
  for (auto* list : {&n.samples, &n.others}) {
    Random more(list == &n.samples ? 5 : 6);
    std::vector<float> noise(64 * 4 * 8 * 8);
    for (float& v : noise) v = static_cast<float>(more.normal());
    (*list)[0].second = graph::make_f32({64, 4, 8, 8}, noise);
  }
  n.model.graph.inputs[0].shape->front() = graph::kUnknown,
  n.model.graph.inputs[0].symbols = {"N", "", "", ""};
  int group = n.channels.atoms[n.channels.find("a", 1)->at(0)].group;
  Cut what{{{group, {0, 2, 3, 4, 5}}}};
  graph::Model pruned = cut(n.model, n.shapes, n.channels, what);
  EXPECT_GT(distance(n, pruned), 1e-3);
  RepairOptions options;
  options.ridge = 1e-8;
  graph::Model mended = repaired(n, pruned, what, options);
  EXPECT_LE(testing::difference(testing::run_model(n.model, n.others), testing::run_model(mended, n.others)),
            1e-4);
}

TEST(Repair, BringsAPrunedResnetBack) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  Network n = network(onnx::read(testing::real_model("resnet20_cifar10")), 96);
  Cut what;
  for (std::size_t g = 0; g < n.channels.groups.size(); ++g) {
    const graph::ChannelGroup& group = n.channels.groups[g];
    if (!group.changeable() || group.width() < 8) continue;
    for (int u = 0; u < group.width(); ++u)
      if (u % 6 != 5) what.kept[static_cast<int>(g)].push_back(u);
  }
  graph::Model pruned = cut(n.model, n.shapes, n.channels, what);
  double before = distance(n, pruned), after = distance(n, repaired(n, pruned, what));
  EXPECT_LT(after, before / 4) << before;
}

// Scale and bias of a normalisation behind one constant: a new mean must not change the offset.
TEST(Repair, ConstantsWithTwoRolesAreCopied) {
  TAILOR_NEEDS_RUNNER();
  graph::Model model =
      testing::graph_of({"Conv x 6x4x1x1 -> a", "BatchNormalization a 6 zero zero 6 -> b", "Relu b -> c",
                         "Conv c 2x6x1x1 -> y"},
                        {1, 4, 5, 5}, {{"zero", graph::make_f32({6}, std::vector<float>(6))}});
  LinearLayer layer = linear_layers(model, graph::infer_shapes(model)).at(0);
  ASSERT_GE(layer.destination.normalisation, 0);
  set_weights(model, layer, weights(model, layer), std::vector<float>(6, 3.0f));
  const graph::Node& node = model.graph.nodes[1];
  EXPECT_EQ(model.graph.initializers.at(node.inputs[2]).values<float>()[0], 0);
  EXPECT_EQ(model.graph.initializers.at(node.inputs[3]).values<float>()[0], -3);
}

// Everything about a depthwise layer is forgotten: the samples bring it back, channel by channel.
TEST(Repair, FindsADepthwiseLayerAgain) {
  TAILOR_NEEDS_RUNNER();
  for (const char* stride : {"strides=[1,1]", "strides=[2,2]"}) {
    Network n =
        network(testing::graph_of(
                    {"Conv x 6x4x1x1 -> a", "Relu a -> b",
                     std::string("Conv b 6x1x3x3 6 -> c | group=6 pads=[1,1,1,1] ") + stride,
                     "BatchNormalization c 6 6 6 6 -> d", "Clip d {-1}f {1}f -> e", "Conv e 3x6x1x1 -> y"},
                    {graph::kUnknown, 4, 8, 8}),
                64);
    graph::Model forgotten = n.model;
    LinearLayer layer = depthwise_layers(n.model, n.shapes).at(0);
    EXPECT_EQ(layer.outputs, 6);
    set_weights(forgotten, layer, std::vector<float>(6 * 9, 0.1f), std::vector<float>(6, 0.0f));
    EXPECT_GT(distance(n, forgotten), 0.05);
    RepairOptions options;
    options.ridge = 1e-7;
    EXPECT_LT(distance(n, repaired(n, forgotten, {}, options)), 1e-3) << stride;
  }
}

// Products of places, with a bias behind them and without one; a sum around one of them.
TEST(Repair, FindsProductsAgain) {
  TAILOR_NEEDS_RUNNER();
  Network n =
      network(testing::graph_of({"MatMul x 6x10 -> a", "Add a 10 -> b", "Relu b -> c", "MatMul c 10x6 -> d",
                                 "Add d 1x1x6 -> e", "Add e x -> f", "MatMul f 6x4 -> y"},
                                {graph::kUnknown, 7, 6}),
              64);
  const std::vector<LinearLayer> layers = linear_layers(n.model, n.shapes);
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_TRUE(layers[0].takes_intercept() && layers[1].takes_intercept());
  EXPECT_FALSE(layers[2].takes_intercept());
  EXPECT_EQ(layers[1].destination.goal, "f");
  RepairOptions options;
  options.ridge = 1e-7;
  for (const LinearLayer& layer : layers) {
    graph::Model forgotten = n.model;
    const auto outputs = static_cast<std::size_t>(layer.outputs);
    set_weights(forgotten, layer, std::vector<float>(static_cast<std::size_t>(layer.inputs) * outputs, 0.1f),
                std::vector<float>(outputs, layer.takes_intercept() ? 0.5f : 0.0f));
    EXPECT_GT(distance(n, forgotten), 0.01) << layer.y;
    EXPECT_LT(distance(n, repaired(n, forgotten, {}, options)), 1e-3) << layer.y;
  }
}

// Hidden units that go: the product behind them makes up for what it can.
TEST(Repair, OfACutFeedForwardLayerComesNear) {
  TAILOR_NEEDS_RUNNER();
  Network n = network(testing::graph_of({"MatMul x 6x24 -> a", "Add a 24 -> b", "Relu b -> c",
                                         "MatMul c 24x6 -> d", "Add d 6 -> y"},
                                        {graph::kUnknown, 7, 6}),
                      64);
  const int group = n.channels.atoms[n.channels.find("c", 2)->at(0)].group;
  Cut what{{{group, {0, 2, 3, 5, 8, 9, 11, 12, 14, 17, 20, 23}}}};
  graph::Model pruned = cut(n.model, n.shapes, n.channels, what);
  EXPECT_LT(distance(n, repaired(n, pruned, what)), distance(n, pruned) / 3);
}

// Where the original and the fit are both cut off, nothing is to be fitted: what passes comes nearer.
TEST(Repair, BeyondTheBoundsOnlyTheSideMatters) {
  TAILOR_NEEDS_RUNNER();
  for (const char* bounded : {"Relu c -> y", "Clip c {-0.2}f {0.2}f -> y"}) {
    Network n = network(
        testing::graph_of({"Conv x 12x4x3x3 12 -> a", "Relu a -> b", "Conv b 8x12x1x1 8 -> c", bounded},
                          {graph::kUnknown, 4, 9, 9}),
        64);
    Cut what{{{0, {2, 5, 11}}}};
    ASSERT_EQ(n.channels.groups[0].width(), 12);
    graph::Model pruned = cut(n.model, n.shapes, n.channels, what);
    RepairOptions plain;
    plain.rectify = 0;
    double of_plain = distance(n, repaired(n, pruned, what, plain)),
           of_relaxed = distance(n, repaired(n, pruned, what));
    EXPECT_LT(of_relaxed, of_plain) << bounded;
    EXPECT_GT(of_relaxed, 0);
  }
}

TEST(Repair, InterceptsMoveTheOutputOnly) {
  TAILOR_NEEDS_RUNNER();
  for (const char* conv : {"Conv x 6x4x1x1 -> a", "Conv x 6x4x1x1 6 -> a"}) {
    graph::Model model = testing::graph_of({conv, "BatchNormalization a 6 6 6 6 -> b", "Conv b 2x6x1x1 -> y"},
                                           {1, 4, 5, 5}),
                 moved = model;
    LinearLayer layer = linear_layers(model, graph::infer_shapes(model)).at(0);
    std::vector<float> bias(6, 0.0f), now = weights(model, layer);
    if (model.graph.nodes[0].inputs.size() > 2)
      bias = model.graph.initializers.at(model.graph.nodes[0].inputs[2]).values<float>();
    set_weights(moved, layer, now, bias);  // what it has already
    auto inputs = testing::random_inputs(model, graph::infer_shapes(model), 1);
    EXPECT_LE(testing::difference(testing::run_model(model, inputs), testing::run_model(moved, inputs)), 1e-6)
        << conv;
  }
}

TEST(Repair, StatisticsAreThoseOfTheSamples) {
  TAILOR_NEEDS_RUNNER();
  graph::Model model = testing::graph_of(
      {"Conv x 6x4x1x1 -> a", "BatchNormalization a 6 6 6 6 -> b", "Conv b 3x6x1x1 -> c",
       "BatchNormalization c one zero 3 3 -> y"},
      {graph::kUnknown, 4, 5, 5},
      {{"one", graph::make_f32({3}, {1, 1, 1})}, {"zero", graph::make_f32({3}, {0, 0, 0})}});
  model.graph.inputs[0].symbols = {"N", "", "", ""};
  graph::Shapes shapes = graph::infer_shapes(model);
  auto samples = testing::random_inputs(model, shapes, 4, 50);
  Activations present(*testing::runner(), shapes, samples, 1, std::size_t{1} << 30);
  graph::Model fresh = reestimate_normalisation(model, present);
  auto y = testing::run_model(fresh, samples)[0].second.values<float>();
  for (std::size_t c = 0; c < 3; ++c) {
    double sum = 0, square = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
      if (i / 25 % 3 == c) sum += y[i], square += y[i] * y[i];
    EXPECT_NEAR(sum / 1250, 0, 1e-3);
    EXPECT_NEAR(square / 1250, 1, 1e-2);
  }
}

TEST(Activations, AreWhatTheModelComputes) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  Network n = network(onnx::read(testing::real_model("resnet20_cifar10")), 4);
  for (std::size_t limit : {std::size_t{0}, std::size_t{1} << 30}) {
    Activations values(*testing::runner(), n.shapes, n.samples, 1, limit);
    for (std::size_t i = 3; i < n.model.graph.nodes.size(); i += 9)
      values.get(n.model, {n.model.graph.nodes[i].output(0)});
    std::string last = n.model.graph.outputs[0].name;
    runtime::NamedTensors step = {{last, values.get(n.model, {last, last, "input"}).front()}};
    EXPECT_LE(testing::difference(testing::run_model(n.model, n.samples), step), 1e-5);
  }
}

}  // namespace
}  // namespace tailor::rewrite
