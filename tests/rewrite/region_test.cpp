// Regions: what they take in, that their tape computes what the runtime computes, and what fitting them brings.
#include "tailor/rewrite/region.h"

#include "tailor/rewrite/cut.h"
#include "tailor/rewrite/repair_jointly.h"
#include "tests/rewrite/graphs.h"

#include <limits>

namespace tailor::rewrite {
namespace {

// The region before the last layer of a graph, by what its layers give.
std::string before_last(const std::vector<std::string>& lines, graph::Shape input, int most) {
  graph::Model model = testing::graph_of(lines, std::move(input));
  graph::Shapes shapes = graph::infer_shapes(model);
  auto layers = layers_by_node(model, shapes);
  auto region = region_before(model, shapes, layers, layers.rbegin()->second, most);
  std::string text;
  if (!region) return text;
  for (const LinearLayer& layer : region->layers) text += layer.y + " ";
  text += "|";
  for (const std::string& input_name : region->inputs) text += " " + input_name;
  return text + " -> " + region->goal;
}

const std::vector<std::string> kBlocks = {"Conv x 4x4x3x3 4 -> a | pads=[1,1,1,1]",
                                          "Relu a -> s",
                                          "Conv s 6x4x3x3 -> b | pads=[1,1,1,1]",
                                          "BatchNormalization b 6 6 6 6 -> b2",
                                          "Relu b2 -> c",
                                          "Conv c 4x6x3x3 4 -> d | pads=[1,1,1,1]",
                                          "Add d s -> e",
                                          "Relu e -> t",
                                          "Conv t 6x4x3x3 6 -> f | pads=[1,1,1,1]",
                                          "Relu f -> g",
                                          "Conv g 4x6x3x3 4 -> h | pads=[1,1,1,1]",
                                          "Add t h -> y"};

TEST(Region, EndsAtTheSumAndBeginsWhereOthersRead) {
  EXPECT_EQ(before_last(kBlocks, {2, 4, 6, 6}, 2), "f h | t -> y");
  EXPECT_EQ(before_last(kBlocks, {2, 4, 6, 6}, 3), "d f h | c s -> y");
  EXPECT_EQ(before_last(kBlocks, {2, 4, 6, 6}, 4), "b d f h | s -> y");
  EXPECT_EQ(before_last(kBlocks, {2, 4, 6, 6}, 9), "a b d f h | x -> y");
}

TEST(Region, TakesInDepthwiseLayersMeansAndProducts) {
  EXPECT_EQ(before_last({"Conv x 6x3x1x1 -> a", "Clip a {0}f {6}f -> b", "Conv b 6x1x3x3 6 -> c | group=6",
                         "Relu c -> d", "Conv d 4x6x1x1 -> e", "GlobalAveragePool e -> f", "Flatten f -> g",
                         "Gemm g 4x5 5 -> y"},
                        {2, 3, 8, 8}, 4),
            "a c e y | x -> y");
}

TEST(Region, StopsAtWhatATapeCannotSay) {
  EXPECT_EQ(before_last({"Conv x 6x3x1x1 -> a", "Sigmoid a -> b", "Conv b 4x6x1x1 -> y"}, {2, 3, 8, 8}, 2),
            "");
  EXPECT_EQ(before_last({"Conv x 6x3x1x1 -> a", "MaxPool a -> b | kernel_shape=[2,2]", "Conv b 4x6x1x1 -> y"},
                        {2, 3, 8, 8}, 2),
            "");
  EXPECT_EQ(before_last({"Conv x 6x3x1x1 -> a", "Relu a -> b", "Conv b 6x6x1x1 -> c", "Mul c b -> d",
                         "Conv d 4x6x1x1 -> y"},
                        {2, 3, 8, 8}, 2),
            "");
}

double spread(const graph::Tensor& tensor) {
  double mean = 0, square = 0;
  std::vector<float> values = tensor.values<float>();
  for (float v : values) mean += v, square += double{v} * v;
  mean /= static_cast<double>(values.size());
  return square / static_cast<double>(values.size()) - mean * mean;
}

int expect_same_as_runtime(const std::string& name) {
  graph::Model model = onnx::read(testing::real_model(name));
  graph::Shapes shapes = graph::infer_shapes(model, testing::fill_free(model, 96));
  Activations values(*testing::runner(), shapes, testing::random_inputs(model, shapes, 5, 3), 1,
                     std::size_t{1} << 30);
  auto layers = layers_by_node(model, shapes);
  int found = 0;
  for (const auto& [node, layer] : layers) {
    auto region = region_before(model, shapes, layers, layer, 2 + found % 3);
    if (!region) continue;
    saliency::Wanted wanted{values.get(model, region->inputs), values.get(model, {region->goal}).front()};
    int samples = static_cast<int>(wanted.goal.dims[0]);
    double distance =
        saliency::squared_distance(region->tape, tape_weights(model, *region), wanted, 0, samples);
    double elements = static_cast<double>(graph::element_count(wanted.goal.dims));
    EXPECT_LE(distance / elements, 1e-9 * spread(wanted.goal) + 1e-12) << name << ": " << region->goal;
    ++found;
  }
  return found;
}

TEST(Region, TapesComputeWhatTheRuntimeComputes) {
  TAILOR_NEEDS_RUNNER();
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  EXPECT_EQ(expect_same_as_runtime("resnet20_cifar10"), 10);
  EXPECT_EQ(expect_same_as_runtime("mobilenet_v2_1.0_224_imagenet"), 42);
  EXPECT_GE(expect_same_as_runtime("mlperftiny_kws_dscnn"), 5);
}

TEST(Region, WeightsWrittenBackAreTheSame) {
  TAILOR_NEEDS_RUNNER();
  graph::Model model = testing::graph_of(kBlocks, {2, 4, 6, 6}), same = model;
  graph::Shapes shapes = graph::infer_shapes(model);
  auto layers = layers_by_node(model, shapes);
  auto region = region_before(model, shapes, layers, layers.rbegin()->second, 5);
  ASSERT_TRUE(region);
  set_tape_weights(same, *region, tape_weights(model, *region));
  auto inputs = testing::random_inputs(model, shapes, 1);
  EXPECT_LE(testing::difference(testing::run_model(model, inputs), testing::run_model(same, inputs)), 1e-6);
}

// Values that are known are not computed again, unless a layer before them has changed and this was said.
TEST(Activations, ForgetWhatLiesBehindAChange) {
  TAILOR_NEEDS_RUNNER();
  graph::Model model = testing::graph_of(kBlocks, {2, 4, 6, 6});
  graph::Shapes shapes = graph::infer_shapes(model);
  auto inputs = testing::random_inputs(model, shapes, 3);
  Activations values(*testing::runner(), shapes, inputs, 1, std::size_t{1} << 30);
  graph::Tensor before = values.get(model, {"s", "c", "y"})[2];
  LinearLayer layer = linear_layers(model, shapes).at(2);
  ASSERT_EQ(layer.y, "d");
  std::vector<float> changed = weights(model, layer);
  for (float& w : changed) w *= 2;
  set_weights(model, layer, changed, std::vector<float>(4, 0.5f));
  EXPECT_EQ(values.get(model, {"y"})[0].values<float>(), before.values<float>());
  values.forget(model, {layer.node});
  Activations fresh(*testing::runner(), shapes, inputs, 1, std::size_t{1} << 30);
  std::vector<float> again = values.get(model, {"y"})[0].values<float>(),
                     whole = fresh.get(model, {"y"})[0].values<float>();
  for (std::size_t i = 0; i < whole.size(); ++i)
    EXPECT_NEAR(again[i], whole[i], 1e-4f * std::abs(whole[i]) + 1e-3f);
  EXPECT_NE(values.get(model, {"y"})[0].values<float>(), before.values<float>());
}

double distance(const graph::Model& a, const graph::Model& b, const runtime::NamedTensors& inputs) {
  std::vector<float> x = testing::run_model(a, inputs)[0].second.values<float>(),
                     y = testing::run_model(b, inputs)[0].second.values<float>();
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
  return sum;
}

// A third of every group gone, repaired layer by layer, then region by region: nearer on samples that neither has seen.
TEST(RepairJointly, BringsANetworkNearerThanTheCascade) {
  TAILOR_NEEDS_RUNNER();
  graph::Model model = testing::graph_of(kBlocks, {graph::kUnknown, 4, 6, 6});
  model.graph.inputs[0].symbols = {"N", "", "", ""};
  graph::Shapes shapes = graph::infer_shapes(model);
  graph::Channels channels = graph::channel_groups(model, shapes);
  Cut what;
  for (std::size_t g = 0; g < channels.groups.size(); ++g)
    if (channels.groups[g].changeable() && channels.groups[g].width() == 6)
      what.kept[static_cast<int>(g)] = {0, 1, 3, 4};
  ASSERT_EQ(what.kept.size(), 2u);
  graph::Model pruned = cut(model, shapes, channels, what);
  graph::Shapes pruned_shapes = graph::infer_shapes(pruned);
  auto samples = testing::random_inputs(model, shapes, 2, 400),
       others = testing::random_inputs(model, shapes, 9, 200);
  Activations wanted(*testing::runner(), shapes, samples, 1, std::size_t{1} << 30),
      present(*testing::runner(), pruned_shapes, samples, 1, std::size_t{1} << 30);
  KeptChannels kept = kept_channels(channels, kept_atoms(channels, what));
  graph::Model cascade = repair(model, wanted, pruned, present, kept, pruned_shapes, {}).model;
  std::vector<std::string> goals;
  JointRepairOptions options;
  options.on_region = [&](const std::string& goal, double before, double after) {
    EXPECT_LE(after, before) << goal;
    goals.push_back(goal);
  };
  graph::Model joint = repair_jointly(model, wanted, cascade, present, kept, pruned_shapes, options);
  EXPECT_EQ(goals, (std::vector<std::string>{"e", "y"}));
  EXPECT_LT(distance(model, joint, others), 0.8 * distance(model, cascade, others));
}

}  // namespace
}  // namespace tailor::rewrite
