// Gradients of gates: against differences of the loss, whatever the batch, with labels and without.
#include "tailor/learn/worth.h"

#include "tailor/base/error.h"
#include "tailor/data/dataset.h"
#include "tailor/learn/network.h"
#include "tests/learn/graphs.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tailor::learn {
namespace {

using testing::small_classifier;

class WorthOfChannels : public ::testing::Test {
 protected:
  WorthOfChannels() : data(read(10)) {}

  data::Dataset read(std::uint32_t count) {
    data::Preparation preparation;
    preparation.mean = {100, 100, 100}, preparation.std = {40, 40, 40}, preparation.scale = 1;
    return data::read_dataset(testing::write_colours(folder.path(), count, 3), preparation, {3, 8, 8});
  }
  // Cross entropy of one sample, in double.
  static double loss(const graph::Model& model, const data::Dataset& one) {
    Network network(model, Precision::f64);
    const graph::Tensor y = network.run({{"x", one.batch(0, 1)}}, {"y"}).front();
    return -std::log(y.values<double>()[static_cast<std::size_t>(one.labels()[0])]);
  }
  // The input channel of conv2 times `gate`: the sum reads the same value, so it is gated where it is made.
  static graph::Model gated(graph::Model model, std::size_t channel, double gate) {
    graph::Node mul{"Mul", "", "gate", {"c_open", "gates"}, {"c"}};
    model.graph.nodes[2].outputs = {"c_open"};
    std::vector<float> gates(6, 1.0f);
    gates[channel] = static_cast<float>(gate);
    model.graph.initializers["gates"] = graph::make_f32({1, 6, 1, 1}, std::move(gates));
    model.graph.nodes.insert(model.graph.nodes.begin() + 3, std::move(mul));
    return model;
  }
  static const ChannelWorth& of(const WorthResult& result, const std::string& value) {
    for (const ChannelWorth& w : result.values)
      if (w.value == value) return w;
    throw std::out_of_range(value);
  }

  TemporaryFolder folder;
  data::Dataset data;
};

TEST_F(WorthOfChannels, IsTheDerivativeByTheGate) {
  const graph::Model model = small_classifier(7);
  for (std::int64_t sample : {0, 4}) {
    const data::Dataset one = data.subset({sample});
    const ChannelWorth worth = of(channel_worth(model, one, 0, 1), "c");
    ASSERT_EQ(worth.taylor.size(), 6u);
    for (std::size_t c = 0; c < 6; ++c) {
      const double step = 1e-3,
                   s = (loss(gated(model, c, 1 + step), one) - loss(gated(model, c, 1 - step), one)) /
                       (2 * step);
      EXPECT_NEAR(worth.taylor[c], std::abs(s), 2e-4 * (0.01 + std::abs(s))) << c;
      EXPECT_NEAR(worth.fisher[c], s * s / 2, 1e-3 * (1e-4 + s * s)) << c;
    }
  }
}

TEST_F(WorthOfChannels, IsTheMeanOverSamplesWhateverTheBatch) {
  const graph::Model model = small_classifier(7);
  const WorthResult whole = channel_worth(model, data, 0, 10), parts = channel_worth(model, data, 0, 3);
  EXPECT_EQ(whole.samples, 10);
  EXPECT_TRUE(whole.labelled);
  EXPECT_NEAR(whole.loss, parts.loss, 1e-5);
  ASSERT_EQ(whole.values.size(), 2u) << "what conv2 and the last product read; nothing learns in front of x";
  std::vector<double> mean(6, 0.0);
  for (std::int64_t i = 0; i < 10; ++i) {
    const std::vector<double> one = of(channel_worth(model, data.subset({i}), 0, 1), "c").taylor;
    for (std::size_t c = 0; c < 6; ++c) mean[c] += one[c] / 10;
  }
  for (std::size_t c = 0; c < 6; ++c) {
    EXPECT_NEAR(of(whole, "c").taylor[c], mean[c], 1e-5 * (1 + mean[c]));
    EXPECT_NEAR(of(parts, "c").fisher[c], of(whole, "c").fisher[c], 1e-5 * (1 + of(whole, "c").fisher[c]));
  }
}

TEST_F(WorthOfChannels, OfADeadChannelIsNothing) {
  graph::Model model = small_classifier(7);
  graph::Tensor& last = model.graph.initializers.at("w3");  // 4 x 6
  std::vector<float> weights = last.values<float>();
  for (std::size_t row = 0; row < 4; ++row) weights[row * 6 + 2] = 0;
  last = graph::make_f32({4, 6}, std::move(weights));
  const WorthResult found = channel_worth(model, data, 0, 5);
  EXPECT_EQ(found.values.back().taylor[2], 0);
  EXPECT_GT(found.values.back().taylor[3], 0);
}

TEST_F(WorthOfChannels, WithoutLabelsTheModelDecides) {
  std::filesystem::remove(folder.path() / "colours-labels-idx1-ubyte");
  data::Preparation preparation;
  const data::Dataset bare =
      data::read_dataset(folder.path() / "colours-images-idx4-ubyte", preparation, {3, 8, 8});
  ASSERT_FALSE(bare.labelled());
  const WorthResult found = channel_worth(small_classifier(7), bare, 0, 5);
  EXPECT_FALSE(found.labelled);
  EXPECT_LT(found.loss, std::log(4.0)) << "its own decision is never less likely than a guess";
  EXPECT_GT(*std::max_element(found.values[0].taylor.begin(), found.values[0].taylor.end()), 0);
}

TEST_F(WorthOfChannels, NeedsScoresOfClasses) {
  graph::Model model = small_classifier(7);
  model.graph.nodes.resize(7);
  model.graph.outputs = {{"g", graph::DataType::f32, graph::Shape{1, 6, 8, 8}}};
  std::filesystem::remove(folder.path() / "colours-labels-idx1-ubyte");
  const data::Dataset bare = data::read_dataset(folder.path() / "colours-images-idx4-ubyte", {}, {3, 8, 8});
  try {
    channel_worth(model, bare, 0, 5);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::not_trainable);
  }
}

}  // namespace
}  // namespace tailor::learn
