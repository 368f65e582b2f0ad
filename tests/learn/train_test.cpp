// Training as a whole: it learns, it repeats bit by bit, it goes on where it was stopped, and what it refuses. Rules of
// the optimiser are checked on a model of one weight, by hand.
#include "tailor/learn/train.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/checkpoint.h"
#include "tailor/learn/network.h"
#include "tailor/onnx/onnx.h"
#include "tailor/rewrite/quantise_network.h"
#include "tests/learn/graphs.h"
#include "tests/rewrite/known.h"
#include "tests/running.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace tailor::learn {
namespace {

namespace fs = std::filesystem;

class Train : public ::testing::Test {
 protected:
  Train() {
    set_threads(1);
    fs::create_directory(folder.path() / "test");
    data.emplace(data::read_dataset(testing::write_colours(folder.path(), 200, 3)));
    eval.emplace(data::read_dataset(testing::write_colours(folder.path() / "test", 100, 4)));
  }
  ~Train() override { set_interrupted(false); }

  Recipe recipe() const {
    Recipe r{.schedule = {.rate = 0.1}, .augmentation = {.crop = 1}, .epochs = 4, .batch = 20, .seed = 5};
    return r;
  }
  Task task() const { return {&*data, &*eval}; }
  Keeping keeping(bool resume = false) const {
    return {folder.path() / "run", folder.path() / "curve.csv", "this run", resume, 0};
  }

  TemporaryFolder folder;
  std::optional<data::Dataset> data, eval;
  graph::Model model = testing::small_classifier();
};

std::string bits(const graph::Model& model) { return onnx::serialize_to_string(model); }

saliency::Keeping kept_as(const char* format) { return {device::parse_weight_format(format)}; }

// Three layers in 8 bits and ternary, channel by channel.
Keepings some_keepings() {
  const std::vector<saliency::Keeping> ways = {kept_as("int8"), kept_as("ternary")};
  return {
      {"w1", {ways, {0, 1, 1, 1, 0, 1}}}, {"w2", {ways, {1, 1, 1, 1, 1, 1}}}, {"w3", {ways, {1, 0, 1, 0}}}};
}

std::set<float> magnitudes(const graph::Model& model, const char* name, std::size_t channel) {
  const graph::Tensor& tensor = model.graph.initializers.at(name);
  const std::vector<float> values = tensor.values<float>();
  const std::size_t row = values.size() / static_cast<std::size_t>(tensor.dims[0]);
  std::set<float> found;
  for (std::size_t i = 0; i < row; ++i) found.insert(std::abs(values[channel * row + i]));
  found.erase(0);
  return found;
}

TEST_F(Train, LearnsWeightsAsTheyAreKept) {
  Task coarse = task();
  coarse.keepings = some_keepings();
  const Evaluation untrained = evaluate(as_kept(model, coarse.keepings), *eval);
  Recipe longer = recipe();
  longer.epochs = 8;
  const Training training = train(model, coarse, longer);
  EXPECT_LT(untrained.top1(), 0.6);
  EXPECT_GT(evaluate(training.model, *eval).top1(), 0.9);
  EXPECT_EQ(training.curve.back().eval->right, evaluate(training.model, *eval).right)
      << "judged as it is kept";
  for (std::size_t c = 0; c < 6; ++c) EXPECT_LE(magnitudes(training.model, "w2", c).size(), 1u) << c;
  EXPECT_LE(magnitudes(training.model, "w1", 1).size(), 1u);
  EXPECT_GT(magnitudes(training.model, "w1", 0).size(), 9u) << "8 bits";
  EXPECT_EQ(bits(as_kept(training.model, {})), bits(training.model));
}

TEST_F(Train, GoesOnWithTheWeightsThatLearn) {
  Task coarse = task();
  coarse.keepings = some_keepings();
  const std::string whole = bits(train(model, coarse, recipe()).model);
  auto stop = [](const Moment& moment) { set_interrupted(moment.step == 13); };
  EXPECT_THROW(train(model, coarse, recipe(), keeping(), stop), Error);
  set_interrupted(false);
  const Training rest = train(model, coarse, recipe(), keeping(true));
  EXPECT_EQ(rest.resumed_at, 13);
  EXPECT_EQ(bits(rest.model), whole);
}

TEST_F(Train, RefusesWeightsThatCannotBeKept) {
  auto code = [&](const Keepings& keepings) {
    try {
      as_kept(model, keepings);
    } catch (const Error& error) {
      return error.code();
    }
    return Code::bug;
  };
  EXPECT_EQ(code({{"w9", {{kept_as("int8")}, {0, 0}}}}), Code::not_trainable);
  EXPECT_EQ(code({{"b3", {{kept_as("int8")}, {0, 0, 0, 0}}}}), Code::not_trainable);
  EXPECT_EQ(code({{"w3", {{kept_as("int8")}, {0, 0, 0}}}}), Code::plan_mismatch);
}

// What the straight-through estimator says: the gradient of the network with rounded weights, taken for that of the weights.
TEST_F(Train, TheGradientPassesAsIfNothingWereRounded) {
  const Keepings keepings = some_keepings();
  Network coarse(model), rounded(as_kept(model, keepings));
  coarse.keep(keepings);
  const NamedTensors inputs = {{"x", testing::drawn({2, 3, 8, 8}, 9, 1)}};
  const std::vector<graph::Tensor> weights = {testing::drawn({2, 4}, 10, 1)};
  EXPECT_EQ(coarse.run(inputs)[0].data.view(), rounded.run(inputs)[0].data.view());
  const Gradients a = coarse.gradients(inputs, weights), b = rounded.gradients(inputs, weights);
  for (const char* name : {"w1", "w2", "w3", "b3"})
    EXPECT_EQ(a.parameters.at(name).data.view(), b.parameters.at(name).data.view()) << name;
}

// What training sees of activations is what ONNX Runtime computes with them taken through u8.
TEST_F(Train, ActivationsAreRoundedAsTheRuntimeDoes) {
  TAILOR_NEEDS_RUNNER();
  const std::vector<int> layers = rewrite::quantisable_layers(model, graph::infer_shapes(model));
  const std::vector<std::string> values = rewrite::rounded_values(model, layers);
  EXPECT_EQ(values, (std::vector<std::string>{"x", "c", "e", "j"}));
  const RoundedActivations levels = measured_levels(model, values, *data, 5, 40);
  std::map<std::string, rewrite::Range> ranges;
  for (const auto& [name, level] : levels) {
    const auto zero = static_cast<float>(level.zero), most = static_cast<float>(level.most);
    ranges[name] = {-level.scale * zero, level.scale * (most - zero)};
  }
  Network network(model);
  const NamedTensors inputs = {{"x", testing::drawn({1, 3, 8, 8}, 9, 1)}};
  const std::vector<float> plain = network.run(inputs)[0].values<float>();
  network.round(levels);
  const std::vector<float> ours = network.run(inputs)[0].values<float>(),
                           theirs = testing::run_model(rewrite::with_rounded_values(model, ranges, 5), inputs)
                                        .front()
                                        .second.values<float>();
  double moved = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    EXPECT_NEAR(ours[i], theirs[i], 1e-4);
    moved += std::abs(ours[i] - plain[i]);
  }
  EXPECT_GT(moved, 1e-4) << "five bits are seen";
}

// The gradient passes where a level is near, and stops behind the last one.
TEST_F(Train, GradientsPassRoundedActivations) {
  Network network(model);
  network.round({{"x", {0.1f, 8, 15}}});  // -0.8 .. 0.7
  graph::Tensor x = graph::make_f32({1, 3, 8, 8}, std::vector<float>(192, 0.5f));
  std::vector<float> values = x.values<float>();
  values[0] = 3, values[1] = -3;
  x = graph::make_f32({1, 3, 8, 8}, values);
  const std::vector<float> gradient =
      network.gradients({{"x", x}}, {testing::drawn({1, 4}, 10, 1)}).inputs.at("x").values<float>();
  EXPECT_EQ(gradient[0], 0);
  EXPECT_EQ(gradient[1], 0);
  EXPECT_GT(std::count_if(gradient.begin(), gradient.end(), [](float g) { return g != 0; }), 150);
}

TEST_F(Train, LearnsBesideRoundedActivations) {
  Task rounded = task();
  rounded.activations = measured_levels(model, {"x", "c", "e", "j"}, *data, 7, 40);
  const Training trained = train(model, rounded, recipe());
  EXPECT_GT(trained.curve.back().eval->top1(), 0.8);
  const Evaluation judged = evaluate(trained.model, *eval, 0, 100, rounded.activations);
  EXPECT_EQ(judged.right, trained.curve.back().eval->right) << "the curve is of rounded activations";
  EXPECT_THROW(measured_levels(model, {"nothing"}, *data, 7), Error);
  graph::Model overflowing = model;
  graph::Tensor& first = overflowing.graph.initializers.at("w1");
  first = graph::make_f32(first.dims, std::vector<float>(first.values<float>().size(), 3e38f));
  try {
    measured_levels(overflowing, {"c"}, *data, 7);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::dataset_mismatch) << error.what();
  }
}

// Matrices are kept inputs first: the ways are those of columns.
TEST_F(Train, OutputsMayBeTheLastAxis) {
  graph::Model other = model;
  graph::Tensor& matrix = other.graph.initializers.at("w3");
  matrix = testing::drawn({6, 4}, 3);
  other.graph.nodes[10].attributes.erase("transB");
  const graph::Model kept =
      as_kept(other, {{"w3", {{kept_as("f32"), kept_as("ternary")}, {0, 1, 0, 1}, true}}});
  const std::vector<float> before = matrix.values<float>(),
                           after = kept.graph.initializers.at("w3").values<float>();
  std::set<float> found;
  for (std::size_t i = 0; i < before.size(); ++i)
    if (i % 2 == 0)
      EXPECT_EQ(after[i], before[i]) << i;
    else
      found.insert(std::abs(after[i]));
  found.erase(0);
  EXPECT_EQ(found.size(), 1u);
}

TEST_F(Train, LearnsFromLabels) {
  Evaluation before = evaluate(model, *eval);
  Training training = train(model, task(), recipe());
  Evaluation after = evaluate(training.model, *eval);
  EXPECT_LT(before.top1(), 0.6);
  EXPECT_GT(after.top1(), 0.95);
  EXPECT_LT(after.loss, before.loss);
  ASSERT_EQ(training.curve.size(), 4u);
  EXPECT_EQ(training.steps, 40);
  EXPECT_LT(training.curve.back().loss, training.curve.front().loss);
  EXPECT_EQ(training.curve.back().eval->right, after.right);
  EXPECT_EQ(training.parameters, 6 * 27 + 6 * 54 + 24 + 4 + 24);
}

TEST_F(Train, LearnsByEveryRule) {
  Recipe adamw = recipe(), nesterov = recipe(), everything = recipe();
  adamw.rule = Rule::adamw, adamw.schedule.rate = 0.02, adamw.epochs = 8;
  nesterov.nesterov = true, nesterov.clip = 1, nesterov.schedule.curve = Curve::step;
  everything.augmentation.mixup = 0.2, everything.objective.smoothing = 0.1, everything.average = 0.9;
  everything.schedule.warmup = 1, everything.epochs = 6;
  for (const Recipe& r : {adamw, nesterov, everything}) {
    Training training = train(model, task(), r);
    EXPECT_GT(evaluate(training.model, *eval).top1(), 0.9) << describe(r);
  }
}

// Without labels, from the outputs of a model that has learned.
TEST_F(Train, LearnsFromATeacher) {
  graph::Model teacher = train(model, task(), recipe()).model;
  Recipe r = recipe();
  r.epochs = 16;
  r.objective = {.labels = 0, .distill = 1, .temperature = 2, .match = 0.5};
  Training training = train(testing::small_classifier(77), {&*data, &*eval, teacher}, r);
  EXPECT_GT(evaluate(training.model, *eval).top1(), 0.9);
  EXPECT_GT(training.curve.back().right, 0.7);
}

TEST_F(Train, StartsAnewFromASeed) {
  graph::Model a = initialised(model, 3);
  EXPECT_EQ(bits(a), bits(initialised(model, 3)));
  EXPECT_NE(bits(a), bits(initialised(model, 4)));
  std::vector<float> w = a.graph.initializers.at("w2").values<float>();
  double squares = 0;
  for (float v : w) squares += double{v} * v;
  EXPECT_NEAR(squares / static_cast<double>(w.size()), 2.0 / 54, 0.3 * 2.0 / 54);
  EXPECT_GT(evaluate(train(a, task(), recipe()).model, *eval).top1(), 0.9);
}

TEST_F(Train, RepeatsBitByBit) {
  Recipe r = recipe();
  r.augmentation = {.flip = true, .crop = 2, .mixup = 0.3};
  std::string once = bits(train(model, task(), r).model);
  EXPECT_EQ(once, bits(train(model, task(), r).model));
  r.seed = 6;
  EXPECT_NE(once, bits(train(model, task(), r).model));
}

// Stopped after every so many steps, as Ctrl-C stops it, for both rules and with a moving average.
TEST_F(Train, GoesOnToTheSameBits) {
  for (Rule rule : {Rule::sgd, Rule::adamw}) {
    Recipe r = recipe();
    r.rule = rule, r.average = 0.9, r.augmentation.mixup = 0.2;
    Training whole = train(model, task(), r);
    std::optional<Training> pieces;
    for (bool resume = false; !pieces; resume = true) {
      std::int64_t steps = 0;
      set_interrupted(false);
      try {
        pieces =
            train(model, task(), r, keeping(resume), [&](const Moment&) { set_interrupted(++steps == 7); });
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), Code::interrupted);
      }
    }
    EXPECT_EQ(bits(pieces->model), bits(whole.model));
    EXPECT_EQ(pieces->resumed_at, 35);
    ASSERT_EQ(pieces->curve.size(), whole.curve.size());
    for (std::size_t i = 0; i < whole.curve.size(); ++i) {
      EXPECT_EQ(pieces->curve[i].loss, whole.curve[i].loss);
      EXPECT_EQ(pieces->curve[i].eval->right, whole.curve[i].eval->right);
    }
    std::string csv(map_file(keeping().curve).view());
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
  }
}

Code code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

TEST_F(Train, RefusesCheckpointsOfOthers) {
  EXPECT_EQ(code_of([&] { train(model, task(), recipe(), keeping(true)); }), Code::nothing_to_resume);
  Keeping other = keeping();
  other.run = "another run";
  train(model, task(), recipe(), other);
  EXPECT_EQ(code_of([&] { train(model, task(), recipe(), keeping(true)); }), Code::checkpoint_mismatch);
  Checkpoint checkpoint = read_checkpoint(other.checkpoint);
  checkpoint.run = "this run";
  checkpoint.tensors.pop_back();
  write_checkpoint(other.checkpoint, checkpoint);
  EXPECT_EQ(code_of([&] { train(model, task(), recipe(), keeping(true)); }), Code::bad_checkpoint);
}

TEST_F(Train, RefusesWhatCannotLearn) {
  Recipe wild = recipe();
  wild.schedule.rate = 1e30;
  EXPECT_EQ(code_of([&] { train(model, task(), wild); }), Code::diverged);
  Recipe background = recipe();
  background.label_offset = 1;
  EXPECT_EQ(code_of([&] { train(model, task(), background); }), Code::dataset_mismatch);
  graph::Model two = model;
  two.graph.inputs.push_back({"z", graph::DataType::f32, graph::Shape{1}});
  EXPECT_EQ(code_of([&] { train(two, task(), recipe()); }), Code::not_trainable);
  graph::Model fixed = model;
  fixed.graph.nodes[8] = {"Reshape", "", "flat", {"h", "one_by_six"}, {"i"}};
  fixed.graph.initializers["one_by_six"] = graph::make_i64({2}, {1, 6});
  EXPECT_EQ(code_of([&] { train(fixed, task(), recipe()); }), Code::bad_shape);
  fs::remove(folder.path() / "colours-labels-idx1-ubyte");
  data.emplace(data::read_dataset(folder.path() / "colours-images-idx4-ubyte"));
  EXPECT_EQ(code_of([&] { train(model, task(), recipe()); }), Code::dataset_mismatch);
}

TEST_F(Train, RefusesTeachersOfOtherClasses) {
  graph::Model other = model;
  other.graph.initializers.at("w3") = testing::drawn({5, 6}, 1);
  other.graph.initializers.at("b3") = testing::drawn({5}, 1);
  other.graph.outputs[0].shape.reset();
  Recipe r = recipe();
  r.objective = {.labels = 0, .distill = 1};
  EXPECT_EQ(code_of([&] { train(model, {&*data, nullptr, other}, r); }), Code::dataset_mismatch);
}

// Two scores, each one weight times 1; the label is the first. So each rule can be followed by hand, in double.
class TwoWeights : public ::testing::Test {
 protected:
  TwoWeights() {
    set_threads(1);
    model.opsets = {{"", 13}};
    model.graph.inputs = {{"x", graph::DataType::f32, graph::Shape{1, 2}}};
    model.graph.outputs = {{"y", graph::DataType::f32, graph::Shape{1, 2}}};
    model.graph.nodes = {{"MatMul", "", "product", {"x", "w"}, {"y"}}};
    model.graph.initializers["w"] = graph::make_f32({2, 2}, {0.5f, -0.25f, 0, 0});
    std::string count = testing::big_endian(1);
    write_file(images, std::string("\0\0\x08\x02", 4) + count + testing::big_endian(2) + "\xFF" + '\0');
    write_file(folder.path() / "x-labels-idx1-ubyte", std::string("\0\0\x08\x01", 4) + count + '\0');
  }

  std::vector<float> after(int steps, Recipe recipe) {
    recipe.epochs = steps, recipe.schedule = {.curve = Curve::constant, .rate = 0.1};
    data::Dataset data = data::read_dataset(images);
    return train(model, {&data}, recipe).model.graph.initializers.at("w").values<float>();
  }

  using Pair = std::array<double, 2>;
  // Gradient of -log softmax(w)[0].
  static Pair slope(const Pair& w) {
    double p = 1 / (1 + std::exp(w[1] - w[0]));
    return {p - 1, 1 - p};
  }

  TemporaryFolder folder;
  fs::path images = folder.path() / "x-images-idx3-ubyte";
  graph::Model model;
};

TEST_F(TwoWeights, FollowMomentum) {
  for (bool nesterov : {false, true}) {
    Pair w = {0.5, -0.25}, m = {0, 0};
    for (int step = 0; step < 4; ++step) {
      Pair g = slope(w);
      for (int i : {0, 1}) {
        double d = g[i] + 0.01 * w[i];
        m[i] = 0.8 * m[i] + d;
        w[i] -= 0.1 * (nesterov ? d + 0.8 * m[i] : m[i]);
      }
    }
    std::vector<float> found = after(4, {.momentum = 0.8, .decay = 0.01, .nesterov = nesterov});
    EXPECT_NEAR(found[0], w[0], 1e-6);
    EXPECT_NEAR(found[1], w[1], 1e-6);
  }
}

TEST_F(TwoWeights, FollowAdamW) {
  Pair w = {0.5, -0.25}, m = {0, 0}, v = {0, 0};
  for (int step = 1; step <= 4; ++step) {
    Pair g = slope(w);
    for (int i : {0, 1}) {
      m[i] = 0.8 * m[i] + 0.2 * g[i];
      v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
      double first = m[i] / (1 - std::pow(0.8, step)), second = v[i] / (1 - std::pow(0.999, step));
      w[i] = w[i] * (1 - 0.1 * 0.01) - 0.1 * first / (std::sqrt(second) + 1e-8);
    }
  }
  std::vector<float> found = after(4, {.rule = Rule::adamw, .momentum = 0.8, .decay = 0.01});
  EXPECT_NEAR(found[0], w[0], 1e-5);
  EXPECT_NEAR(found[1], w[1], 1e-5);
}

TEST_F(TwoWeights, AreClippedTogether) {
  Pair g = slope({0.5, -0.25});
  double norm = std::hypot(g[0], g[1]);
  std::vector<float> found = after(1, {.momentum = 0, .decay = 0, .clip = norm / 4});
  EXPECT_NEAR(found[0], 0.5 - 0.1 * g[0] / 4, 1e-6);
  EXPECT_NEAR(found[1], -0.25 - 0.1 * g[1] / 4, 1e-6);
}

// d = min(0.5, (1 + n) / (10 + n)): 2/11, 3/12.
TEST_F(TwoWeights, AreAveraged) {
  Recipe plain{.momentum = 0, .decay = 0}, averaged = plain;
  averaged.average = 0.5;
  double w1 = double{after(1, plain)[0]}, w2 = double{after(2, plain)[0]};
  double first = 0.5 + (1 - 2.0 / 11) * (w1 - 0.5), second = first + (1 - 3.0 / 12) * (w2 - first);
  EXPECT_NEAR(after(2, averaged)[0], second, 1e-6);
}

}  // namespace
}  // namespace tailor::learn
