// Patterns of made networks whose best inputs are known; that ascent goes up, repeats bit by bit, and finds repeats.
#include "tailor/learn/patterns.h"

#include "tailor/base/error.h"
#include "tailor/graph/channels.h"
#include "tailor/learn/filter_clusters.h"
#include "tailor/learn/head.h"
#include "tailor/onnx/onnx.h"
#include "tests/learn/graphs.h"
#include "tests/testing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace tailor::learn {
namespace {

using testing::drawn;
using testing::small_classifier;

const graph::Shape kSample = {3, 8, 8};
const InputScale kPlain{{0, 0, 0}, {1, 1, 1}};

graph::Shapes shapes_of(const graph::Model& model) {
  return graph::infer_shapes(model, {{model.graph.inputs[0].name, {1, 3, 8, 8}}});
}

std::vector<FilterLayer> layers_of(const graph::Model& model, const std::vector<std::string>& names = {}) {
  const graph::Shapes shapes = shapes_of(model);
  return filter_layers(model, shapes, graph::channel_groups(model, shapes), names);
}

// x Nx3x8x8 -> Conv `filters` 5x5 without padding -> y, weights as given.
graph::Model one_convolution(graph::Tensor weights) {
  graph::Model model;
  model.opsets = {{"", 13}};
  const std::int64_t filters = weights.dims[0];
  model.graph.name = "linear";
  model.graph.nodes = {{"Conv", "", "conv", {"x", "w"}, {"y"}}};
  model.graph.initializers = {{"w", std::move(weights)}};
  model.graph.inputs = {{"x", graph::DataType::f32, graph::Shape{1, 3, 8, 8}}};
  model.graph.outputs = {{"y", graph::DataType::f32, graph::Shape{1, filters, 4, 4}}};
  return model;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double both = 0, own = 0, other = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    both += double{a[i]} * b[i], own += double{a[i]} * a[i], other += double{b[i]} * b[i];
  return both / std::sqrt(own * other);
}

PatternRecipe sharp() {
  PatternRecipe recipe;
  recipe.blur = 0;
  return recipe;
}

// The answer at one place is the product of the image with the kernel lying there: the best image of a size is the
// kernel.
TEST(Patterns, OfALinearFilterIsItsKernel) {
  const graph::Tensor weights = drawn({4, 3, 5, 5}, 3);
  const graph::Model model = one_convolution(weights);
  Network network(model);
  const FilterLayer layer = layers_of(model, {"conv"}).front();
  const std::vector<FilterPattern> found = filter_patterns(network, layer, kSample, kPlain, sharp());
  const std::vector<float> w = weights.values<float>();
  ASSERT_EQ(found.size(), 4u);
  for (std::size_t f = 0; f < 4; ++f) {
    std::vector<float> best(3 * 64, 0.0f);  // the middle of 4 x 4 places is (2, 2): taps from there on
    for (std::size_t i = 0; i < 75; ++i) best[i / 25 * 64 + (2 + i / 5 % 5) * 8 + 2 + i % 5] = w[f * 75 + i];
    EXPECT_GT(cosine(found[f].values, best), 0.95) << f;
    EXPECT_FALSE(found[f].silent);
    double answer = 0;
    for (std::size_t i = 0; i < best.size(); ++i) answer += double{best[i]} * found[f].values[i];
    EXPECT_NEAR(found[f].reached, answer, 1e-3 * std::abs(answer))
        << "what it reached is the answer to its picture";
  }
}

// Averaged over all places, a pixel counts as much as the taps that meet it.
TEST(Patterns, OfTheMeanIsWhatAllPlacesSee) {
  const graph::Tensor weights = drawn({2, 3, 5, 5}, 4);
  const graph::Model model = one_convolution(weights);
  Network network(model);
  PatternRecipe recipe = sharp();
  recipe.aim = Aim::mean, recipe.steps = 100;
  const FilterLayer layer = layers_of(model, {"conv"}).front();
  const std::vector<FilterPattern> found = filter_patterns(network, layer, kSample, kPlain, recipe);
  const std::vector<float> w = weights.values<float>();
  for (std::size_t f = 0; f < 2; ++f) {
    std::vector<float> best(3 * 64, 0.0f);
    for (std::size_t i = 0; i < 75; ++i)
      for (std::size_t place = 0; place < 16; ++place)
        best[i / 25 * 64 + (place / 4 + i / 5 % 5) * 8 + place % 4 + i % 5] += w[f * 75 + i];
    EXPECT_GT(cosine(found[f].values, best), 0.99) << f;
  }
}

TEST(Patterns, EveryFilterThatCanAnswerAnswersMore) {
  const graph::Model model = small_classifier(7);
  Network network(model);
  for (Aim aim : {Aim::middle, Aim::mean, Aim::maximum}) {
    PatternRecipe recipe;
    recipe.aim = aim, recipe.jitter = aim == Aim::mean ? 1 : 0;
    for (const FilterLayer& layer : layers_of(model))
      for (const FilterPattern& pattern : filter_patterns(network, layer, kSample, kPlain, recipe)) {
        EXPECT_FALSE(pattern.silent) << layer.layer;
        EXPECT_GT(pattern.reached, pattern.start) << layer.layer << " " << name(aim);
      }
  }
}

TEST(Patterns, EqualSeedsGiveEqualBits) {
  const graph::Model model = small_classifier(7);
  const FilterLayer layer = layers_of(model).back();
  const auto values = [&](std::uint64_t seed) {
    Network network(model);
    PatternRecipe recipe;
    recipe.seed = seed, recipe.jitter = 1, recipe.steps = 10;
    std::vector<float> all;
    for (const FilterPattern& pattern : filter_patterns(network, layer, kSample, kPlain, recipe))
      all.insert(all.end(), pattern.values.begin(), pattern.values.end());
    return all;
  };
  const std::vector<float> first = values(5);
  EXPECT_EQ(first, values(5));
  EXPECT_NE(first, values(6));
}

TEST(Patterns, BatchesAreBesideEachOther) {
  const graph::Model model = small_classifier(7);
  Network network(model);
  const FilterLayer layer = layers_of(model).front();
  PatternRecipe recipe;
  recipe.steps = 10;
  const std::vector<FilterPattern> whole = filter_patterns(network, layer, kSample, kPlain, recipe);
  recipe.batch = 4;
  std::vector<int> told;
  const std::vector<FilterPattern> parts =
      filter_patterns(network, layer, kSample, kPlain, recipe, [&](int done) { told.push_back(done); });
  EXPECT_EQ(told, (std::vector<int>{4, 6}));
  for (std::size_t f = 0; f < whole.size(); ++f)
    EXPECT_GT(cosine(whole[f].values, parts[f].values), 0.9999) << f;
}

// Filter 4 twice filter 1, filter 2 dead: its answer is a constant.
graph::Model repeating() {
  graph::Model model = small_classifier(7);
  graph::Tensor& tensor = model.graph.initializers.at("w1");
  std::vector<float> w = tensor.values<float>();
  for (std::size_t i = 0; i < 27; ++i) w[4 * 27 + i] = 2 * w[27 + i], w[2 * 27 + i] = 0;
  tensor = graph::make_f32(tensor.dims, std::move(w));
  return model;
}

TEST(Patterns, OfADeadFilterAreNothing) {
  const graph::Model model = repeating();
  Network network(model);
  const FilterLayer layer = layers_of(model, {"conv1"}).front();
  const std::vector<FilterPattern> found = filter_patterns(network, layer, kSample, kPlain, {});
  EXPECT_TRUE(found[2].silent);
  EXPECT_EQ(found[2].start, found[2].reached);
  EXPECT_EQ(found[2].values, std::vector<float>(3 * 64, 0.0f));
  EXPECT_FALSE(found[1].silent);
}

TEST(Patterns, RepeatsAreInOneCluster) {
  const graph::Model model = repeating();
  const graph::Shapes shapes = shapes_of(model);
  const graph::Channels channels = graph::channel_groups(model, shapes);
  Network network(model);
  std::vector<LayerPatterns> layers;
  for (const FilterLayer& layer : filter_layers(model, shapes, channels, {"conv1"}))
    layers.push_back({layer, filter_patterns(network, layer, kSample, kPlain, {})});
  const std::vector<GroupClusters> groups = filter_clusters(channels, layers, 0.98);
  ASSERT_EQ(groups.size(), 1u);
  const auto cluster = [&](int filter) {
    const graph::AtomPlace place = layers[0].layer.places[static_cast<std::size_t>(filter)];
    return groups[0].cluster[static_cast<std::size_t>(place.unit)];
  };
  EXPECT_EQ(cluster(1), cluster(4));
  EXPECT_NE(cluster(2), cluster(1));
  EXPECT_NE(cluster(0), cluster(3));
}

TEST(Patterns, WhatAnswersOtherwiseIsNotAlike) {
  const graph::Model model = repeating();
  const graph::Shapes shapes = shapes_of(model);
  const graph::Channels channels = graph::channel_groups(model, shapes);
  TemporaryFolder folder;
  const data::Dataset data = data::read_dataset(testing::write_colours(folder.path(), 20, 3), {}, kSample);
  Network network(model);
  const std::vector<FilterLayer> all = filter_layers(model, shapes, channels, {"conv1"});
  LayerPatterns layer{all[0], filter_patterns(network, all[0], kSample, kPlain, {}),
                      filter_responses(network, all, data, 7).front()};
  EXPECT_EQ(layer.responses.units, 6);
  EXPECT_EQ(layer.responses.samples, 20u * 51) << "1024 places over 20 samples";
  EXPECT_EQ(filter_clusters(channels, {layer}, 0.98)[0].cluster[1],
            filter_clusters(channels, {layer}, 0.98)[0].cluster[4]);
  for (std::size_t i = 0; i < layer.responses.samples; ++i)
    layer.responses.values[4 * layer.responses.samples + i] = static_cast<float>(i % 7);
  EXPECT_NE(filter_clusters(channels, {layer}, 0.98)[0].cluster[1],
            filter_clusters(channels, {layer}, 0.98)[0].cluster[4]);
}

TEST(Patterns, ScaleIsThatOfTheSamples) {
  TemporaryFolder folder;
  data::Preparation as_stored;
  as_stored.scale = 1;
  const data::Dataset data =
      data::read_dataset(testing::write_colours(folder.path(), 100, 3), as_stored, kSample);
  const InputScale scale = input_scale(data);
  std::vector<double> sum(3, 0.0), squares(3, 0.0);
  const std::vector<float> x = data.batch(0, 100).values<float>();
  for (std::size_t i = 0; i < x.size(); ++i)
    sum[i / 64 % 3] += x[i] / 6400.0, squares[i / 64 % 3] += double{x[i]} * x[i] / 6400.0;
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(scale.centre[c], sum[c], 1e-6 * sum[c]);
    EXPECT_NEAR(scale.spread[c], std::sqrt(squares[c] - sum[c] * sum[c]), 1e-4);
  }
  const graph::Model model = small_classifier(7);
  Network network(model);
  const FilterLayer layer = layers_of(model).front();
  for (const FilterPattern& pattern : filter_patterns(network, layer, kSample, scale, {}))
    EXPECT_GT(pattern.reached, pattern.start);
}

// A trained network, one layer deep inside: all of its filters rise, and groups that a padded shortcut joins have clusters.
TEST(Patterns, OfARealNetworkRise) {
  TAILOR_NEEDS(tailor::testing::real_model("resnet20_cifar10"));
  const graph::Model model = onnx::read(tailor::testing::real_model("resnet20_cifar10"));
  const graph::Shape sample = {3, 32, 32};
  const graph::Shapes shapes =
      graph::infer_shapes(with_free_batch(model), {{only_input(model).name, {1, 3, 32, 32}}});
  const graph::Channels channels = graph::channel_groups(model, shapes);
  const std::vector<FilterLayer> all = filter_layers(model, shapes, channels);
  EXPECT_EQ(all.size(), 19u);
  Network network(model);
  PatternRecipe recipe;
  recipe.steps = 8;
  const LayerPatterns layer{all[9], filter_patterns(network, all[9], sample, kPlain, recipe)};
  for (const FilterPattern& pattern : layer.patterns) EXPECT_GT(pattern.reached, pattern.start);
  for (const GroupClusters& group : filter_clusters(channels, {layer}, 0.5))
    EXPECT_EQ(group.cluster.size(),
              static_cast<std::size_t>(channels.groups[static_cast<std::size_t>(group.group)].width()));
}

TEST(Filters, AnswersAreBehindTheNormalisation) {
  const std::vector<FilterLayer> layers = layers_of(small_classifier());
  ASSERT_EQ(layers.size(), 2u) << "the last product makes classes, which cannot go";
  EXPECT_EQ(layers[0].layer, "conv1");
  EXPECT_EQ(layers[0].value, "a");
  EXPECT_EQ(layers[0].response, "b");
  EXPECT_EQ(layers[1].response, "e");
  EXPECT_EQ(layers[0].places.front().group, layers[1].places.front().group) << "a residual sum joins them";
  const std::vector<FilterLayer> last = layers_of(small_classifier(), {"last"});
  EXPECT_EQ(last.front().filters(), 4);
  EXPECT_EQ(layers_of(small_classifier(), {"d", "conv1"}).size(), 2u) << "by the value, too";
}

Code code_of(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

TEST(Filters, NamesThatAreNoLayersAreGuessed) {
  try {
    layers_of(small_classifier(), {"conv3"});
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unknown_name);
    EXPECT_NE(std::string(error.what()).find("did you mean 'conv1'"), std::string::npos) << error.what();
  }
  EXPECT_EQ(code_of([] {
              layers_of(one_convolution(drawn({2, 3, 5, 5}, 4)));
            }),
            Code::nothing_to_change)
      << "its channels are the output";
}

TEST(Patterns, RecipesAreChecked) {
  const auto refused = [](auto change) {
    PatternRecipe recipe;
    change(recipe);
    return code_of([&] { check(recipe); }) == Code::bad_value;
  };
  EXPECT_FALSE(refused([](PatternRecipe&) {}));
  EXPECT_TRUE(refused([](PatternRecipe& r) { r.steps = 0; }));
  EXPECT_TRUE(refused([](PatternRecipe& r) { r.rate = 0; }));
  EXPECT_TRUE(refused([](PatternRecipe& r) { r.rate = std::nan(""); }));
  EXPECT_TRUE(refused([](PatternRecipe& r) { r.decay = 1; }));
  EXPECT_TRUE(refused([](PatternRecipe& r) { r.blur = -1; }));
  EXPECT_TRUE(refused([](PatternRecipe& r) { r.blur_every = 0; }));
  EXPECT_TRUE(refused([](PatternRecipe& r) { r.jitter = -1; }));
  EXPECT_TRUE(refused([](PatternRecipe& r) { r.batch = 0; }));
  EXPECT_EQ(code_of([] { parse_aim("median"); }), Code::unknown_name);
  EXPECT_EQ(parse_aim("maximum"), Aim::maximum);
}

}  // namespace
}  // namespace tailor::learn
