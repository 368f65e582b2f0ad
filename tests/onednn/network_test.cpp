// Lists of layers: what is refused, where tensors lie, and that a run leaves nothing behind for the next one.
#include "runners/onednn/network.h"

#include "runners/onednn/check.h"
#include "tailor/base/random.h"
#include "tests/onednn/library.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstring>

namespace tailor::onednn {
namespace {

constexpr const char* kConv = "conv_mb1_g1_ic8ih6iw6_oc8oh6ow6_kh3kw3_sh1sw1_ph1pw1_";

Json one(const std::string& tail, std::vector<int> in, int out) {
  return {{"layer", kConv + tail}, {"in", in}, {"out", out}};
}
Json reorder(const char* from, const char* to, int in, int out) {
  return {{"layer", std::string("reorder_mb1_c8h6w6_") + from + "_" + to}, {"in", {in}}, {"out", out}};
}

void expect_refused(const Json& layers, const std::string& words) {
  try {
    parse_network({{"layers", layers}});
    ADD_FAILURE() << "accepted: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_json) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
  }
}

TEST(OneDnnNetwork, ListsThatContradictThemselvesAreRefused) {
  expect_refused(Json::array(), "array of 1 to");
  expect_refused(Json::array({one("f32", {}, 1)}), "one or two tensors");
  expect_refused(Json::array({one("f32", {0, 1}, 2)}), "it reads 1 tensors");
  expect_refused(Json::array({one("f32", {-1}, 1)}), "small whole number");
  expect_refused(Json::array({one("f32", {0}, 0)}), "read or written before");
  expect_refused({one("f32", {0}, 1), one("f32", {2}, 1)}, "read or written before");
  expect_refused({one("f32", {0}, 1), one("i8", {1}, 2)}, "it reads u8 where tensor 1 is f32");
  expect_refused({one("i8+relu", {0}, 1), one("i8+add", {1, 0}, 2)}, "it reads s8 where tensor 0 is u8");
}

// Chains with residuals of any age.
NetworkText random_network(std::uint64_t seed) {
  Random random(seed);
  Json layers = Json::array();
  const std::size_t steps = 3 + random.below(12);
  for (std::size_t s = 0; s < steps; ++s) {
    const int out = static_cast<int>(s) + 2;  // tensors 0 and 1 are inputs
    std::vector<int> in = {static_cast<int>(random.below(s + 2))};
    if (random.below(2)) in.push_back(static_cast<int>(random.below(s + 2)));
    layers.push_back(one(in.size() > 1 ? "f32+add" : "f32", in, out));
  }
  return parse_network({{"layers", layers}});
}

// Every place remembers whose value it holds; a sum in place may only end a residual that nobody reads again.
TEST(OneDnnNetwork, NoTensorIsOverwrittenBeforeItIsRead) {
  std::size_t shared = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const NetworkText network = random_network(seed);
    const TensorPlaces places = place_tensors(network);
    std::vector<int> holds(places.bytes.size(), -1);
    auto place = [&](int tensor) {
      return static_cast<std::size_t>(places.buffer_of[static_cast<std::size_t>(tensor)]);
    };
    for (int input : {0, 1})
      if (places.buffer_of[static_cast<std::size_t>(input)] >= 0) holds[place(input)] = input;
    for (int run = 0; run < 2; ++run)
      for (const NetworkLayer& l : network.layers) {
        for (int tensor : l.inputs) ASSERT_EQ(holds[place(tensor)], tensor) << seed;
        ASSERT_NE(place(l.output), place(l.inputs[0])) << seed << ": a convolution is not computed in place";
        shared += l.inputs.size() > 1 && place(l.output) == place(l.inputs[1]);
        holds[place(l.output)] = l.output;
      }
    EXPECT_LE(places.bytes.size(), static_cast<std::size_t>(network.tensors));
  }
  EXPECT_GT(shared, 100u) << "sums are taken in place where they can be";
}

TEST(OneDnnNetwork, EveryRunGivesTheSameBits) {
  TAILOR_NEEDS_LIBRARY();
  const int bits = weight_bits_of(*library());
  Json layers = {one("f32+bias+relu", {0}, 1), one("f32+add+relu", {1, 0}, 2), one("f32+add", {2, 1}, 3)};
  if (bits > 0) {
    Json small = one("i8+bias+relu", {4}, 5);
    layers.insert(layers.end(),
                  {reorder("f32", "u8", 3, 4), small, reorder("u8", "f32", 5, 6), one("f32", {6}, 7)});
  }
  const int last = bits > 0 ? 7 : 3;
  const Network network(*library(), parse_network({{"layers", layers}}), bits, 3);
  network.run();
  std::vector<float> first(8 * 36), again(8 * 36);
  std::memcpy(first.data(), network.tensor(last), first.size() * sizeof(float));
  for (int i = 0; i < 3; ++i) network.run();
  std::memcpy(again.data(), network.tensor(last), again.size() * sizeof(float));
  EXPECT_EQ(first, again);
  EXPECT_NE(first, std::vector<float>(first.size(), 0.f));
}

}  // namespace
}  // namespace tailor::onednn
