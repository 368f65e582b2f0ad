// Channels in another order: every real model computes what it did.
#include "tailor/rewrite/permute.h"

#include "tests/rewrite/known.h"

#include <numeric>
#include <optional>

namespace tailor::rewrite {
namespace {

using testing::Known;
using testing::known;

std::vector<int> shuffled(int width, Random& random) {
  std::vector<int> order(static_cast<std::size_t>(width));
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(order);
  return order;
}

Orders random_orders(const graph::Channels& channels, std::uint64_t seed) {
  Random random(seed);
  Orders orders;
  for (int g : testing::changeable(channels))
    if (!channels.in_bodies(g))
      orders[g] = shuffled(channels.groups[static_cast<std::size_t>(g)].width(), random);
  return orders;
}

TEST(Permute, RealModelsComputeTheSame) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  TAILOR_NEEDS_RUNNER();
  int moved = 0;
  for (const std::string& name : testing::some_models(0, 1)) {
    SCOPED_TRACE(name);
    const Known k = known(onnx::read(testing::real_model(name)), testing::free_size(name));
    const Orders orders = random_orders(k.channels, 7);
    const graph::Model other = permute(k.model, k.shapes, k.channels, orders);
    EXPECT_LE(other.graph.nodes.size(), k.model.graph.nodes.size()) << "what made a constant may be gone";
    moved += static_cast<int>(orders.size());
    EXPECT_LE(testing::difference(testing::run_model(k.model, k.inputs), testing::run_model(other, k.inputs)),
              name.ends_with("int8") ? 0 : 3e-4);
  }
  EXPECT_GT(moved, 300);
}

Known residual() {
  return known(testing::graph_of(
                   {"Conv x 8x3x3x3 8 -> a | pads=[1,1,1,1]", "BatchNormalization a 8 8 8 8 -> b",
                    "Relu b -> r", "Conv r 8x8x1x1 -> c", "Add c r -> s",
                    "Conv s 8x1x3x3 -> d | pads=[1,1,1,1] group=8", "Flatten d -> f", "Gemm f 200x4 4 -> y"},
                   {1, 3, 5, 5}),
               8);
}

TEST(Permute, BackAgainIsTheModel) {
  const Known k = residual();
  const Orders orders = random_orders(k.channels, 3);
  ASSERT_FALSE(orders.empty());
  Orders back;
  for (const auto& [g, order] : orders) {
    back[g].resize(order.size());
    for (std::size_t i = 0; i < order.size(); ++i)
      back[g][static_cast<std::size_t>(order[i])] = static_cast<int>(i);
  }
  const graph::Model there = permute(k.model, k.shapes, k.channels, orders),
                     again = permute(there, k.shapes, k.channels, back);
  int different = 0;
  for (const auto& [name, tensor] : k.model.graph.initializers) {
    different += there.graph.initializers.at(name).data != tensor.data;
    EXPECT_EQ(again.graph.initializers.at(name).data, tensor.data) << name;
  }
  EXPECT_GE(different, 8);
}

TEST(Permute, MovedTellsWhatEachPositionTakes) {
  const Known k = residual();
  const graph::Label label = k.channels.find("a", 1);
  const int group = k.channels.atoms[static_cast<std::size_t>(label->front())].group;
  const Orders orders = {{group, {7, 6, 5, 4, 3, 2, 1, 0}}};
  EXPECT_EQ(moved(k.channels, orders, label), (std::vector<int>{7, 6, 5, 4, 3, 2, 1, 0}));
  const std::vector<int> flat = moved(k.channels, orders, k.channels.find("f", 1));
  EXPECT_EQ(flat[0], 7 * 25) << "places of a channel stay together";
  EXPECT_EQ(flat[26], 6 * 25 + 1);
}

std::optional<Code> code_of(const Known& k, const Orders& orders) {
  try {
    permute(k.model, k.shapes, k.channels, orders);
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

TEST(Permute, RefusesWhatIsNoOrder) {
  const Known k = residual();
  const int group = k.channels.atoms[static_cast<std::size_t>(k.channels.find("a", 1)->front())].group,
            frozen = k.channels.atoms[static_cast<std::size_t>(k.channels.find("y", 1)->front())].group;
  EXPECT_EQ(code_of(k, {{group, {0, 1, 2, 3, 4, 5, 6, 7}}}), std::nullopt);
  EXPECT_EQ(code_of(k, {{group, {0, 1, 2, 3, 4, 5, 6, 6}}}), Code::bad_cut);
  EXPECT_EQ(code_of(k, {{group, {0, 1}}}), Code::bad_cut);
  EXPECT_EQ(code_of(k, {{group, {1, 2, 3, 4, 5, 6, 7, 8}}}), Code::bad_cut);
  EXPECT_EQ(code_of(k, {{frozen, {1, 0, 2, 3}}}), Code::bad_cut);
  EXPECT_EQ(code_of(k, {{99, {0}}}), Code::bad_cut);
}

}  // namespace
}  // namespace tailor::rewrite
